"""Files that are neither seen nor heard: weights, settings, archives, subtitles, animations."""

import io
import json
import struct
import zipfile
from collections.abc import Callable, Sequence
from typing import Any

from server.emulator.runners.request import Given, Request
from server.emulator.work import Made, RunnerError

NOTE = "Local preview made by falkit's embedded platform; not the output of the named model."
_DATE = (2026, 1, 1, 0, 0, 0)


def _note(request: Request) -> str:
    return f"{NOTE} Model: {request.task.endpoint_id}. Seed: {request.seed}."


def weights_maker(name: str) -> Callable[[Request], Sequence[Made]]:
    """The maker of a small file of weights that open, say what they are, and do nothing."""

    def weights(request: Request) -> list[Made]:
        request.report(0.5, "writing weights that stand for a training")
        path = request.new_file(name, ".safetensors")
        path.write_bytes(safetensors(_tensors(request), _about(request)))
        return [Made(path, "application/octet-stream")]

    return weights


def _tensors(request: Request) -> dict[str, tuple[list[int], bytes]]:
    """A pair of rank-4 matrices for each of two layers, the second zero as at a start."""
    chance = request.chance("weights")
    found: dict[str, tuple[list[int], bytes]] = {}
    for layer in range(2):
        down = [chance.gauss(0, 0.02) for _ in range(4 * 64)]
        key = f"local_preview.blocks.{layer}.lora"
        found[f"{key}_A.weight"] = ([4, 64], struct.pack(f"<{len(down)}f", *down))
        found[f"{key}_B.weight"] = ([64, 4], bytes(4 * 64 * 4))
    return found


def _about(request: Request) -> dict[str, str]:
    words = request.word("trigger_phrase", "trigger_word", "instance_prompt")
    return {"note": _note(request), "local_preview": "true", "format": "pt", "trigger": words}


def safetensors(tensors: dict[str, tuple[list[int], bytes]], about: dict[str, str]) -> bytes:
    """Return float tensors (shape, little-endian bytes) in the safetensors layout.

    Eight bytes of header length, a JSON header with names, types and offsets, then the data.
    """
    header: dict[str, Any] = {"__metadata__": about}
    data = b""
    for name, (shape, content) in tensors.items():
        place = [len(data), len(data) + len(content)]
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": place}
        data += content
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + data


def file_maker(name: str) -> Callable[[Request], Sequence[Made]]:
    """The maker of the file *name*, whose words tell what kind of file it is."""
    for word, make in (
        ("media", _same),
        ("frames", _frames_zip),
        ("zip", _zip),
        ("dataset", _zip),
        ("artifacts", _zip),
        ("preprocessed", _zip),
        ("remeshing", _zip),
        ("latents", _latents),
        ("caption", _subtitles),
        ("lottie", _lottie),
        ("config", _config),
    ):
        if word in name:
            return make
    return _facts


def archive(entries: Sequence[tuple[str, bytes]]) -> bytes:
    """Return a zip archive of *entries* (name, content), the same bytes each time."""
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in entries:
            packed.writestr(zipfile.ZipInfo(name, _DATE), content)
    return held.getvalue()


def _written(request: Request, name: str, suffix: str, content: bytes) -> Made:
    types = {".zip": "application/zip", ".json": "application/json", ".srt": "application/x-subrip"}
    path = request.new_file(name, suffix)
    path.write_bytes(content)
    return Made(path, types.get(suffix, "application/octet-stream"))


def _zip(request: Request) -> list[Made]:
    about = json.dumps({"note": _note(request), "arguments": request.arguments}, indent=1)
    entries = [("LOCAL_PREVIEW.txt", _note(request).encode()), ("request.json", about.encode())]
    return [_written(request, "archive", ".zip", archive(entries))]


def _frames_zip(request: Request) -> list[Made]:
    """Frames of the first given video, at most sixty, else a drawn one."""
    from server.emulator.runners.footage import FootageReel, probed
    from server.emulator.runners.label import stamped
    from server.emulator.runners.pictures import drawn

    pictures = [drawn(request.text, (480, 272), request.chance("frame"))]
    videos = request.media("video")
    if videos:
        footage = probed(videos[0])
        width = min(640, footage.size[0])
        size = (width, max(2, round(width * footage.size[1] / footage.size[0])))
        reel, count = FootageReel(footage, size), min(60, footage.count)
        pictures = [reel.frame(place / max(1, count - 1)) for place in range(count)]
    entries: list[tuple[str, bytes]] = [("LOCAL_PREVIEW.txt", _note(request).encode())]
    for place, picture in enumerate(pictures):
        held = io.BytesIO()
        stamped(picture.copy()).save(held, "JPEG", quality=88)
        entries.append((f"frame_{place:04d}.jpg", held.getvalue()))
    return [_written(request, "frames", ".zip", archive(entries))]


def _latents(request: Request) -> list[Made]:
    content = safetensors({"latents": ([1, 4, 2, 2], bytes(64))}, {"note": _note(request)})
    return [_written(request, "latents", ".safetensors", content)]


def _same(request: Request) -> list[Made]:
    """The first given file itself, with what is known of it."""
    given = request.given
    if not given:
        return _facts(request)
    first = given[0]
    path = request.new_file("media", first.file.suffix or ".bin")
    path.write_bytes(first.file.read_bytes())
    facts, media_type = _known_of(first)
    return [Made(path, media_type, facts)]


def _known_of(given: Given) -> tuple[dict[str, Any], str]:
    """Size, length and rate of a given file, as far as they can be read, and its media type."""
    from server.emulator.runners.footage import probed
    from server.emulator.runners.picture_file import opened
    from server.emulator.runners.sound_file import heard

    try:
        video = probed(given)
    except RunnerError:
        pass
    else:
        facts = {"width": video.size[0], "height": video.size[1], "fps": round(video.fps, 3)}
        return {**facts, "duration": round(video.seconds, 3)}, "video/mp4"
    try:
        return {"duration": round(heard(given).seconds, 3)}, "audio/mpeg"
    except RunnerError:
        picture = opened(given)
        return {"width": picture.width, "height": picture.height}, "image/png"


def _config(request: Request) -> list[Made]:
    told = {"note": _note(request), "local_preview": True, **request.arguments}
    return [_written(request, "config", ".json", json.dumps(told, indent=1).encode())]


def _facts(request: Request) -> list[Made]:
    told = {"note": _note(request), "local_preview": True, "prompt": request.text}
    return [_written(request, "preview", ".json", json.dumps(told, indent=1).encode())]


def _subtitles(request: Request) -> list[Made]:
    from server.emulator.runners.findings import listed

    spans = listed("segments", request, {"type": "object"}, ("segments",)) or [
        {"start": 0.0, "end": 2.0, "text": "Local preview: words would stand here"}
    ]
    blocks = [
        f"{place + 1}\n{_clock(span['start'])} --> {_clock(span['end'])}\n{span['text']}\n"
        for place, span in enumerate(spans)
    ]
    return [_written(request, "captions", ".srt", "\n".join(blocks).encode())]


def _clock(seconds: float) -> str:
    whole, thousandths = divmod(round(seconds * 1000), 1000)
    return f"{whole // 3600:02d}:{whole // 60 % 60:02d}:{whole % 60:02d},{thousandths:03d}"


def _lottie(request: Request) -> list[Made]:
    """A circle that breathes in one of the prompt's colours, in the Lottie format (5.7)."""
    from server.emulator.runners.palette import palette
    from server.emulator.runners.words import wishes

    ink = palette(wishes(request.text), request.chance("lottie")).accent
    colour = [round(part / 255, 3) for part in ink]
    times = ((0, 60), (30, 100), (60, 60))
    grown = [{"t": at, "s": [size, size], "i": _EASE, "o": _EASE} for at, size in times]
    still = {"a": 0, "k": [0, 0]}
    group = [
        {"ty": "el", "p": still, "s": {"a": 0, "k": [320, 320]}},
        {"ty": "fl", "c": {"a": 0, "k": [*colour, 1]}, "o": {"a": 0, "k": 100}},
        {"ty": "tr", "p": still, "a": still, "s": {"a": 0, "k": [100, 100]}, "r": {"a": 0, "k": 0}},
    ]
    middle = {"a": 0, "k": [256, 256]}
    layer = {
        "ty": 4, "nm": "local preview", "ip": 0, "op": 60, "st": 0,
        "ks": {"p": middle, "a": still, "s": {"a": 1, "k": grown}, "o": {"a": 0, "k": 100}},
        "shapes": [{"ty": "gr", "it": group}],
    }  # fmt: skip
    whole = {"v": "5.7.0", "fr": 30, "ip": 0, "op": 60, "w": 512, "h": 512, "nm": _note(request)}
    content = json.dumps({**whole, "layers": [layer]}).encode()
    return [_written(request, "animation", ".json", content)]


_EASE = {"x": [0.5], "y": [0.5]}
