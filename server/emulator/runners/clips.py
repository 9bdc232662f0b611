"""Videos from words or from given pictures."""

from typing import cast

from PIL import Image

from server.emulator.runners.clip_file import Plan, keep_clip
from server.emulator.runners.framing import combined
from server.emulator.runners.given_pictures import last_frame, ordered
from server.emulator.runners.picture_file import opened
from server.emulator.runners.reels import CrossReel, Reel, SceneReel, StillReel
from server.emulator.runners.request import Given, Request
from server.emulator.runners.sizes import Size, video_size
from server.emulator.runners.soundtracks import given_sound, soundtrack, wants_sound
from server.emulator.runners.speech import speech
from server.emulator.runners.tones import Sound, fitted
from server.emulator.work import Made, RunnerError

LONGEST_SECONDS = 120.0
_FRAME_COUNTS = ("num_frames", "number_of_frames", "frame_count", "video_length")
_RATES = ("fps", "frames_per_second", "frame_rate", "target_fps", "output_fps")
_SECONDS = ("duration", "duration_seconds", "seconds", "video_duration", "audio_duration_seconds")


def clip_all(request: Request) -> list[Made]:
    """Make the clip that *request* asks for, from its words or from the pictures it gives.

    Raises:
        RunnerError: a given file cannot be read, or the clip would be absurdly large or long.
    """
    pictures = [opened(given) for given in ordered(request)]
    source = pictures[0].size if pictures else None
    size = video_size(request, source)
    sound = _spoken(request)
    plan = planned(request, size, sound.seconds if sound else None)
    request.report(0.0, f"{plan.count} frames at {size[0]} x {size[1]}, {plan.fps:g} a second")
    if sound is None and wants_sound(request):
        sound = soundtrack(request.text, plan.seconds, request.chance("sound"))
    reel = _reel(request, pictures, plan)
    count = int(min(4, max(1, request.number("num_videos", "num_samples") or 1)))
    made = [keep_clip(reel, plan, sound, request)]
    for place in range(1, count):
        other = SceneReel(request.text, plan.inner, request.chance("clip", place), plan.seconds)
        made.append(keep_clip(reel if pictures else other, plan, sound, request))
    return made


def planned(request: Request, size: Size, sound_seconds: float | None = None) -> Plan:
    """Size, rate and number of frames, as the arguments ask; five seconds where they do not.

    Raises:
        RunnerError: more than two minutes are asked for.
    """
    fps = min(120.0, max(1.0, request.number(*_RATES) or 24.0))
    frames = request.number(*_FRAME_COUNTS)
    seconds = request.number(*_SECONDS)
    if sound_seconds:
        count = round(sound_seconds * fps)
    elif seconds:
        count = round(seconds * fps)
    elif frames:
        count = int(frames)
    else:
        count = round((_shots(request) or 5.0) * fps)
    if count / fps > LONGEST_SECONDS:
        raise RunnerError(
            422,
            "video_duration_too_long",
            f"a local preview has at most {LONGEST_SECONDS:.0f} seconds, not {count / fps:.0f}",
            loc=(next((name for name in _SECONDS if name in request.arguments), "duration"),),
            ctx={"max_duration": LONGEST_SECONDS, "provided_duration": round(count / fps, 2)},
        )
    return Plan(size, fps, max(1, count))


def _shots(request: Request) -> float:
    """The length of all shots of a multi-shot prompt together; 0 without one."""
    given: object = request.arguments.get("multi_prompt")
    total = 0.0
    for shot in cast("list[object]", given) if isinstance(given, list) else ():
        length = cast("dict[str, object]", shot).get("duration") if isinstance(shot, dict) else 0
        words = str(length)
        total += float(words) if words.replace(".", "", 1).isdigit() else 0.0
    return total


def _spoken(request: Request) -> Sound | None:
    """The sound that sets the length of the clip: the given one, or the babble of a given text."""
    sound = given_sound(request)
    if sound is not None:
        return fitted(sound, min(sound.seconds, LONGEST_SECONDS))
    talks = "avatar" in request.task.endpoint_id or "fabric" in request.task.endpoint_id
    words = request.word("text", "script", "text_prompt", "input_text")
    if talks and words and not request.number(*_SECONDS):
        babble = speech(words, request.word("voice", "voice_id") or "avatar", request.chance("v"))
        return fitted(babble, min(babble.seconds, LONGEST_SECONDS))
    return None


def _reel(request: Request, pictures: list[Image.Image], plan: Plan) -> Reel:
    chance = request.chance("clip", 0)
    end = last_frame(request)
    if not pictures:
        scene = SceneReel(request.text, plan.inner, chance, plan.seconds)
        return CrossReel(scene, _closing(end, plan, request)) if end else scene
    first = pictures[0] if len(pictures) == 1 else combined(pictures, plan.inner)
    still = StillReel(first, plan.inner, chance)
    return CrossReel(still, _closing(end, plan, request)) if end else still


def _closing(end: Given, plan: Plan, request: Request) -> Reel:
    return StillReel(opened(end), plan.inner, request.chance("end"), ends=True)
