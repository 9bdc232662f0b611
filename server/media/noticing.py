"""What a person would notice at a first look or listen: nothing to see, nothing to hear."""

import time
from pathlib import Path

from catalog.media import MediaFacts
from tools.errors import MediaError

# A look is for free with every result, so it takes no longer than this, in seconds.
LOOKS_WITHIN = 4.0
# Of smaller pictures an even colour is no surprise; pixels.
SMALLEST = 32
MOST_LISTENED = 600.0  # seconds of sound
_FRAMES = (0.02, 0.25, 0.5, 0.75, 0.98)  # of the length
_LOOKED_AT = 160  # pixels
_SILENT_BELOW = -60.0  # dB of full scale


def noticed(path: Path, facts: MediaFacts) -> str:
    """Return in a few words why the file at *path* may be worth nothing; empty for ordinary ones.

    A black, white, even or transparent picture; a video of which every sampled frame is one;
    silence; a video whose later part does not decode. It looks at samples and for a few seconds
    only, and what cannot be told is not said. Blocks.
    """
    try:
        match facts.kind:
            case "image":
                return _of_picture(path, facts)
            case "video":
                return _of_video(path, facts)
            case "audio":
                return _of_sound(path, facts)
            case _:
                return ""
    except (OSError, MediaError, ValueError):
        return ""


def _of_picture(path: Path, facts: MediaFacts) -> str:
    if min(facts.width or 0, facts.height or 0) < SMALLEST or facts.media_type == "image/svg+xml":
        return ""
    if (facts.frames or 1) > 1:  # of an animation the first picture says little
        return ""
    from server.media.pixels import emptiness, open_picture

    return emptiness(open_picture(path, longest=_LOOKED_AT))


def _of_video(path: Path, facts: MediaFacts) -> str:
    from server.media.moving import frames_at
    from server.media.pixels import emptiness

    seconds, until = facts.seconds or 0.0, time.monotonic() + LOOKS_WITHIN
    found: dict[float, str] = {}
    for share in _FRAMES:
        wanted = seconds * share
        for frame in frames_at(path, facts.media_type, [wanted], _LOOKED_AT):
            words = emptiness(frame.picture)
            if not words:
                return ""
            found[frame.seconds] = words
        if time.monotonic() > until:
            break
    if not found:
        return ""
    kinds = set(found.values())
    what = kinds.pop() if len(kinds) == 1 else "nearly black, white or of one colour"
    return f"every frame looked at ({len(found)}) is {what}"


def _of_sound(path: Path, facts: MediaFacts) -> str:
    if (facts.seconds or 0.0) > MOST_LISTENED:
        return ""
    from server.media.waveform import measured

    level = measured(path, facts.media_type)
    if level.seconds and level.peak < _SILENT_BELOW:
        return "it is silent"
    return ""
