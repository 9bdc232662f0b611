"""Sounds from words, and sounds made from given sounds or videos."""

from collections.abc import Callable, Sequence
from typing import Any, cast

from server.emulator.runners import tones
from server.emulator.runners.filters import filtered
from server.emulator.runners.footage import probed
from server.emulator.runners.music import music
from server.emulator.runners.noises import names_noise, noises
from server.emulator.runners.request import Request
from server.emulator.runners.sound_file import heard, keep_sound
from server.emulator.runners.soundtracks import mixed
from server.emulator.runners.speech import speech
from server.emulator.runners.tones import Sound
from server.emulator.runners.words import words_of
from server.emulator.work import Made, RunnerError

LONGEST_SECONDS = 600.0
_MUSIC = "music song lyria ace-step diffrhythm stable-audio beat instrumental"
_EFFECTS = "sfx sound-effect foley mmaudio thinksound audio-effects"
_SPEECH = "tts speech dialogue kokoro voice speak dia- vibevoice zonos csm chatterbox orpheus maya"
_SECONDS = (
    *("duration", "duration_seconds", "seconds_total", "total_seconds", "audio_length"),
    *("music_duration", "audio_duration", "length", "append_duration"),
)


def sound_all(request: Request) -> list[Made]:
    """Make the sounds that *request* asks for.

    Raises:
        RunnerError: a given file cannot be read, or more than ten minutes are asked for.
    """
    request.report(0.1, "working out the sound")
    texts = request.arguments.get("texts")
    if isinstance(texts, list) and texts:
        voice = request.word("voice", "prompt")
        spoken = [
            speech(str(text), voice, request.chance(text)) for text in cast("list[Any]", texts)
        ]
        return [keep_sound(sound, request) for sound in spoken[:16]]
    count = int(min(8, max(1, request.number("num_samples", "num_outputs") or 1)))
    return [keep_sound(made(request, place), request) for place in range(count)]


def made(request: Request, place: int = 0) -> Sound:
    """The *place*-th sound that *request* asks for."""
    if request.media("audio") and not _is_speech(request):
        return reworked(request, place)
    chance = request.chance("sound", place)
    if _is_speech(request):
        return _spoken(request)
    seconds = asked_seconds(request) or _given_seconds(request)
    name = request.task.endpoint_id.lower()
    wants_effects = any(word in name for word in _EFFECTS.split())
    wants_music = any(word in name for word in _MUSIC.split())
    if wants_effects or (names_noise(request.text) and not wants_music):
        return noises(request.text, seconds or 5.0, chance)
    length = seconds or 30.0
    sound = music(request.text, length, chance)
    lyrics = request.word("lyrics", "lyrics_prompt")
    if lyrics and "instrumental" not in words_of(lyrics):
        sung = tones.fitted(speech(lyrics, "singer", chance, speed=0.7), length)
        return mixed([(sound, 0.75), (sung, 0.5)], length)
    return sound


def asked_seconds(request: Request) -> float | None:
    """The length that the arguments ask for, or None.

    Raises:
        RunnerError: it is more than ten minutes.
    """
    thousandths = request.number("music_length_ms", "duration_ms")
    frames, rate = request.number("num_frames"), request.number("frames_per_second", "fps")
    seconds = request.number(*_SECONDS)
    if thousandths:
        seconds = thousandths / 1000
    elif seconds is None and frames and rate:
        seconds = frames / rate
    if seconds and seconds > LONGEST_SECONDS:
        raise RunnerError(
            422,
            "audio_duration_too_long",
            f"a local preview has at most {LONGEST_SECONDS:.0f} seconds, not {seconds:.0f}",
            loc=(next((name for name in _SECONDS if name in request.arguments), "duration"),),
            ctx={"max_duration": LONGEST_SECONDS, "provided_duration": round(seconds, 2)},
        )
    return max(0.2, seconds) if seconds else None


def _given_seconds(request: Request) -> float | None:
    videos = request.media("video")
    return probed(videos[0]).seconds if videos else None


def _is_speech(request: Request) -> bool:
    name = request.task.endpoint_id.lower()
    if request.card.category == "text-to-speech":
        return True
    speaks = any(word in name for word in _SPEECH.split())
    has_words = any(
        field in request.arguments
        for field in ("text", "script", "gen_text", "inputs", "scene", "transcript")
    )
    effects = any(word in name for word in (*_MUSIC.split(), *_EFFECTS.split()))
    return (
        (
            (speaks or has_words)
            and not effects
            and request.card.category in ("text-to-audio", "unknown")
        )
        or (has_words and "tts" in name)
        or ("text-to-speech" in name)
    )


def _spoken(request: Request) -> Sound:
    setting = request.arguments.get("voice_setting")
    held = cast("dict[str, Any]", setting) if isinstance(setting, dict) else {}
    pace = held.get("speed") or request.number("speed", "voice_speed", "speed_up_factor") or 1.0
    usual = request.word("voice", "voice_id", "speaker") or str(held.get("voice_id") or "narrator")
    parts = [
        speech(text, voice or usual, request.chance("speech", place), speed=float(pace))
        for place, (voice, text) in enumerate(lines(request))
    ]
    return tones.joined(parts)


def lines(request: Request) -> list[tuple[str, str]]:
    """Who says what: the turns of a dialogue, else the whole text in the usual voice."""
    for name in ("inputs", "scene"):
        turns = request.arguments.get(name)
        if isinstance(turns, list) and turns:
            return [_turn(turn) for turn in cast("list[Any]", turns)][:40]
    text = str(request.arguments.get("transcript") or request.text or "…")
    found: list[tuple[str, str]] = []
    for line in text.splitlines():
        who, colon, words = line.partition(":")
        if colon and len(who) < 24 and words.strip():
            found.append((who.strip(), words.strip()))
        elif line.strip():
            found.append((found[-1][0] if found else "", line.strip()))
    return found[:200] or [("", text)]


def _turn(turn: object) -> tuple[str, str]:
    if isinstance(turn, dict):
        held = cast("dict[str, Any]", turn)
        voice = held.get("voice") or held.get("speaker_id") or held.get("speaker") or ""
        return str(voice), str(held.get("text") or "")
    return "", str(turn)


def reworked(request: Request, place: int = 0) -> Sound:
    """The sound that the endpoint makes of the given ones."""
    given = [heard(one) for one in request.media("audio")]
    first = given[0]
    name = request.task.endpoint_id.lower()
    chance = request.chance("rework", place)
    if "merge" in name:
        return tones.with_marker(tones.joined(given))
    if "extend" in name or "outpaint" in name:
        before = request.number("extend_before_duration", "extend_seconds_before") or 0.0
        after = request.number("extend_after_duration", "extend_seconds_after", "append_duration")
        return _extended(
            first, before, 10.0 if after is None and not before else after or 0.0, request
        )
    if "inpaint" in name:
        return _patched(first, request)
    chain = next(
        (rule for words, rule in _CHAINS if any(word in name for word in words.split())), ""
    )
    if chain:
        return tones.with_marker(filtered(first, chain))
    seconds = asked_seconds(request) or first.seconds
    new = music(request.text, seconds, chance)
    kept = tones.fitted(_slowed(first), seconds)
    return mixed([(kept, 0.55), (new, 0.5)], seconds)


# How the sound is changed, by parts of the endpoint's id, in the words of the filter library.
_CHAINS = (
    (
        "voice-changer speech-to-speech personaplex",
        "asetrate=44100*0.84,aresample=44100,atempo=1.19",
    ),
    ("isolation deepfilter denoise enhance clean", "highpass=f=90,lowpass=f=9000,afftdn=nr=12"),
    ("loudnorm", "loudnorm=I=-16:TP=-1.5,aresample=44100"),
    ("compressor", "acompressor=threshold=0.1:ratio=4:makeup=2"),
    ("impulse", "aecho=0.8:0.7:60|140:0.4|0.25"),
)
# What of a mix counts as which stem.
STEMS = {
    "vocals": "highpass=f=220,lowpass=f=3800",
    "target": "highpass=f=300,lowpass=f=3400",
    "residual": "bandreject=f=1200:width_type=h:w=2400",
    "drums": "highpass=f=2600,acompressor=threshold=0.05:ratio=6",
    "bass": "lowpass=f=180",
    "guitar": "highpass=f=300,lowpass=f=5200",
    "piano": "highpass=f=240,lowpass=f=4200",
    "other": "bandreject=f=1400:width_type=h:w=1800",
}


def stem_maker(name: str) -> Callable[[Request], Sequence[Made]]:
    """The maker of the stem *name* of the given sound."""

    def stem(request: Request) -> list[Made]:
        given = [*request.media("audio"), *request.media("video")]
        if not given:
            return sound_all(request)
        part = filtered(heard(given[0]), STEMS[name])
        return [keep_sound(tones.with_marker(part), request, name)]

    return stem


def _slowed(sound: Sound) -> Sound:
    """*sound* at the rate that made ones have."""
    return filtered(sound, f"aresample={tones.RATE}", rate=tones.RATE)


def _extended(sound: Sound, before: float, after: float, request: Request) -> Sound:
    kept = _slowed(sound)
    parts = [kept]
    if before:
        parts.insert(0, _more(request, before, "before"))
    if after:
        parts.append(_more(request, after, "after"))
    return tones.with_marker(tones.joined(parts))


def _more(request: Request, seconds: float, salt: str) -> Sound:
    chance = request.chance(salt)
    if "sfx" in request.task.endpoint_id or names_noise(request.text):
        return noises(request.text, seconds, chance)
    return music(request.text, seconds, chance)


def _patched(sound: Sound, request: Request) -> Sound:
    kept = _slowed(sound)
    start = request.number("mask_start_seconds", "mask_start", "start_time") or 0.0
    end = request.number("mask_end_seconds", "mask_end", "end_time") or start + 5.0
    first, last = round(start * tones.RATE), round(min(end, kept.seconds) * tones.RATE)
    if last > first:
        patch = tones.fitted(
            _more(request, (last - first) / tones.RATE, "patch"), (last - first) / tones.RATE
        )
        kept.samples[first:last] = patch.samples[: last - first]
    return tones.with_marker(kept)
