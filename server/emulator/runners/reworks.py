"""Videos made from given videos: enlarged, reframed, extended, restyled, with other sound."""

import random
from collections.abc import Callable

from PIL import Image, ImageDraw, ImageFont

from server.emulator.runners import guides, retouch, tones
from server.emulator.runners.canvas import Size, blurred, resized
from server.emulator.runners.clip_file import Plan, keep_clip
from server.emulator.runners.edits import said
from server.emulator.runners.footage import Change, Footage, FootageReel, frame_at, probed
from server.emulator.runners.framing import covered
from server.emulator.runners.instructing import instructed
from server.emulator.runners.masking import subject
from server.emulator.runners.reels import ChainReel, Reel, StillReel
from server.emulator.runners.request import Request
from server.emulator.runners.sizes import MAX_VIDEO_PIXELS, asked_ratio, bounded, even, video_size
from server.emulator.runners.sound_file import heard
from server.emulator.runners.soundtracks import given_sound, mixed, soundtrack, wants_sound
from server.emulator.runners.tones import Sound
from server.emulator.runners.words import colour_names
from server.emulator.work import Made

# Frames that are changed one by one cost more than those that are only read.
_CHANGED_PIXELS = 24_000_000
_RESOUND = (
    "mmaudio foley sfx thinksound sound-effects video-to-audio video-to-music add-audio dubbing"
)
_LIPS = "sync lip avatar dubbing"
_MERELY_READ = (
    f"trim merge concat interleave upscale interpolat {_RESOUND} {_LIPS} compose scale-video"
)


def rework_all(request: Request) -> list[Made]:
    """Make the video that *request* asks for from the videos that it gives.

    Raises:
        RunnerError: a given file cannot be read, or the result would be absurdly large or long.
    """
    footages = [probed(given) for given in request.media("video")]
    first = footages[0]
    name = request.task.endpoint_id.lower()
    sound = _lip_sound(request, name)
    spans = [_span(request, footage) for footage in footages]
    several = any(word in name for word in ("merge", "concat", "interleave", "compose"))
    seconds = sum(end - start for start, end in (spans if several else spans[:1]))
    more = _extension(request, name)
    fps = min(60.0, request.number("target_fps", "output_fps") or first.fps)
    total = sound.seconds if sound else seconds + more
    size = _size(request, first, name)
    plan = Plan(size, fps, max(1, round(total * fps)), _pixels(name))
    request.report(0.0, f"{plan.count} frames from {first.count} given ones")
    change = None if any(word in name for word in _MERELY_READ.split()) else _change(request, name)
    reels: list[tuple[float, Reel]] = []
    for footage, span in list(zip(footages, spans, strict=True))[: None if several else 1]:
        reel = _fitted_reel(footage, plan.inner, change, span)
        reels.append((span[1] - span[0], reel))
    if more:
        end = frame_at(first, spans[0][1])
        reels.append((more, StillReel(end, plan.inner, request.chance("extension"))))
    sound = sound or _sound(request, first, plan.seconds, spans[0], name)
    return [keep_clip(ChainReel(reels) if len(reels) > 1 else reels[0][1], plan, sound, request)]


def _pixels(name: str) -> int:
    return 96_000_000 if any(word in name for word in _MERELY_READ.split()) else _CHANGED_PIXELS


def _span(request: Request, footage: Footage) -> tuple[float, float]:
    """From when to when the footage is shown, in seconds."""
    start = request.number("start_time", "start_seconds", "trim_start") or 0.0
    end = request.number("end_time", "end_seconds", "trim_end") or footage.seconds
    if "trim" in request.task.endpoint_id and request.number("duration"):
        end = start + (request.number("duration") or 0.0)
    start = min(max(0.0, start), footage.seconds - 1 / footage.fps)
    return start, min(footage.seconds, max(end, start + 1 / footage.fps))


def _extension(request: Request, name: str) -> float:
    if "extend" not in name and "extension" not in name:
        return 0.0
    return min(60.0, request.number("duration", "extend_duration", "seconds") or 5.0)


def _size(request: Request, footage: Footage, name: str) -> Size:
    width, height = footage.size
    if "upscal" in name or "scale-video" in name:
        by_factor = request.word("upscale_mode") == "factor"
        target = "" if by_factor else request.word("target_resolution")
        lines = {"2k": 1440, "4k": 2160}.get(target) or int(target.rstrip("p") or 0)
        factor = lines / min(footage.size) if lines else 0.0
        factor = (
            factor
            or request.number("upscale_factor", "scale_factor", "scale_ratio", "scale")
            or 2.0
        )
        size = bounded((round(width * factor), round(height * factor)), MAX_VIDEO_PIXELS, request)
    elif "reframe" in name or "outpaint" in name:
        ratio = asked_ratio(request) or width / height
        short = min(video_size(request, footage.size))
        size = (even(short * ratio), short) if ratio >= 1 else (short, even(short / ratio))
    elif "aspect_ratio" in request.arguments or "resolution" in request.arguments:
        size = video_size(request, footage.size)
    else:
        size = footage.size
    return even(size[0]), even(size[1])


def _fitted_reel(
    footage: Footage, size: Size, change: Change | None, span: tuple[float, float]
) -> Reel:
    """The footage in frames of *size*; what is too narrow or too flat lies on its own blur."""
    ratio, own = size[0] / size[1], footage.size[0] / footage.size[1]
    if abs(ratio / own - 1) < 0.02:
        return FootageReel(footage, size, change, span)
    inner = (size[0], round(size[0] / own)) if own > ratio else (round(size[1] * own), size[1])

    def on_ground(picture: Image.Image) -> Image.Image:
        ground = retouch.darker(blurred(covered(picture, size), max(size) / 30))
        ground.paste(picture, ((size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2))
        return change(ground) if change else ground

    return FootageReel(footage, inner, on_ground, span)


def _change(request: Request, name: str) -> Change:
    """What is done to each frame, by the endpoint's name and the words."""
    if "background-removal" in name or "matting" in name or "green-screen" in name:
        return _cut(request)
    if "depth-anything" in name or "depth-video" in name:
        return guides.depth
    if "caption" in name or "subtitle" in name:
        return _captioned(request.text or "Local preview: words would stand here")
    if "reframe" in name or "outpaint" in name or "extend" in name:
        return lambda picture: picture
    text = said(request)
    hint = name.split("/", 1)[-1]

    def changed(picture: Image.Image) -> Image.Image:
        # The same chance for each frame, so that what is drawn stays where it is.
        new = instructed(picture, text, hint, request.chance("change"))
        if new is picture:
            return retouch.tinted(picture, _colour(request.chance("tint")), 0.35)
        return new if new.size == picture.size else resized(new, picture.size)

    return changed


def _colour(chance: random.Random) -> tuple[int, int, int]:
    return chance.choice(tuple(colour_names().values())[:20])


def _cut(request: Request) -> Change:
    """The subject before one colour; its outline is looked for in every fourth frame."""
    named = request.word("background_color", "output_background").split("-")[0]
    ground = colour_names().get(
        named, (0, 177, 64) if "green" in request.task.endpoint_id else (0, 0, 0)
    )
    held: list[Image.Image] = []
    count = 0

    def cut(picture: Image.Image) -> Image.Image:
        nonlocal count
        if count % 4 == 0:
            held[:] = [subject(picture)]
        count += 1
        return Image.composite(picture, Image.new("RGB", picture.size, ground), held[0])

    return cut


def _captioned(text: str) -> Callable[[Image.Image], Image.Image]:
    words = text.split()[:60] or ["…"]
    count = 0

    def caption(picture: Image.Image) -> Image.Image:
        nonlocal count
        place = count // 24 * 4 % len(words)
        count += 1
        letters = max(10, round(picture.height * 0.055))
        pen = ImageDraw.Draw(picture)
        pen.text(
            (picture.width / 2, picture.height * 0.86),
            " ".join(words[place : place + 4]),
            font=ImageFont.load_default(size=letters),
            anchor="mm",
            fill=(255, 255, 255),
            stroke_width=max(1, letters // 10),
            stroke_fill=(0, 0, 0),
        )
        return picture

    return caption


def _lip_sound(request: Request, name: str) -> Sound | None:
    """The sound that lips follow and that sets the length, where the endpoint works that way."""
    if not any(word in name for word in _LIPS.split()):
        return None
    return given_sound(request)


def _sound(
    request: Request, footage: Footage, seconds: float, span: tuple[float, float], name: str
) -> Sound | None:
    """The sound of the result: the given one, the video's own, or one that fits the words."""
    given = given_sound(request)
    if given is not None:
        return tones.fitted(given, seconds)
    keeps = request.flag(
        "keep_audio", "preserve_audio", "keep_original_sound", "original_sound_switch"
    )
    own: Sound | None = None
    if footage.has_sound and keeps is not False:
        whole = heard(footage.given, tones.RATE)
        cut = whole.samples[round(span[0] * whole.rate) : round(span[1] * whole.rate)]
        own = tones.fitted(Sound(cut, whole.rate), seconds)
    anew = any(word in name for word in _RESOUND.split())
    if anew or (own is None and wants_sound(request)):
        new = soundtrack(request.text or name, seconds, request.chance("sound"))
        return mixed([(new, 0.8), (own, 0.4)], seconds) if own else new
    return tones.with_marker(own) if own else None
