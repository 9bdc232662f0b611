"""Prose that says in its first words that it is a local preview, and what was really found."""

from server.emulator.runners.given_pictures import ordered
from server.emulator.runners.looking import described, phrases
from server.emulator.runners.picture_file import opened
from server.emulator.runners.request import Request
from server.emulator.runners.sound_file import heard

LEAD = "Local preview:"
_LISTENING = ("speech-to-text", "audio-to-text", "speech-to-speech", "video-to-text")


def prose(request: Request, name: str) -> str:
    """Return a text for the output field *name*: what was seen, heard or read, in plain words.

    Raises:
        RunnerError: a given file cannot be read.
    """
    pictures, sounds, videos = ordered(request), request.media("audio"), request.media("video")
    if name in ("reasoning", "reasoning_content", "think_info", "thinking"):
        return f"{LEAD} nothing was thought; the embedded platform has no language model."
    if name.startswith("svg"):
        from server.emulator.runners.vectors import svg_text

        return svg_text(request)
    if sounds and (request.card.category in _LISTENING or not pictures):
        return f"{LEAD} {_heard(request)}"
    if pictures:
        asked = f" Asked: {_short(request.text)}." if request.text else ""
        return f"{LEAD} {described(opened(pictures[0]))}.{asked}"
    if videos:
        return f"{LEAD} {_watched(request)}"
    if "prompt" in name and request.text:
        return f"{LEAD} {request.text}"
    return f"{LEAD} {_read(request)}"


def _heard(request: Request) -> str:
    sound = heard(request.media("audio")[0], 16_000)
    found = phrases(sound)
    spoken = sum(phrase.end - phrase.start for phrase in found)
    return (
        f"{sound.seconds:.1f} seconds of sound in {len(found)} phrases, {spoken:.1f} seconds of it "
        "not silent. The embedded platform hears where something is said, not what."
    )


def _watched(request: Request) -> str:
    from server.emulator.runners.footage import frame_at, probed

    video = probed(request.media("video")[0])
    sound = "with sound" if video.has_sound else "without sound"
    scene = described(frame_at(video, video.seconds / 2))
    return f"a video of {video.seconds:.1f} seconds, {sound}. In its middle stands {scene}."


def _read(request: Request) -> str:
    words = len(request.text.split())
    return (
        f"{request.card.title} would answer here. The embedded platform has no language model; it "
        f"read {words} words: {_short(request.text)}"
    )


def _short(text: str) -> str:
    return repr(text if len(text) <= 160 else f"{text[:157]}...")
