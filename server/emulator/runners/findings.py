"""Lists that tell what was found in given media: phrases with times, boxes, points, colours."""

from collections.abc import Callable, Mapping
from typing import Any

from PIL import Image

from server.emulator.runners.request import Request
from server.emulator.runners.texts import LEAD, prose

Finding = Callable[[Request], list[Any]]


def listed(
    name: str, request: Request, items: Mapping[str, Any], at: tuple[str, ...]
) -> list[Any] | None:
    """Return what belongs into the list *name*, or None where nothing is known of it.

    Raises:
        RunnerError: a given file cannot be read.
    """
    del at
    if name == "timestamps" and items.get("type") != "object":
        return []
    find = _FINDINGS.get(name)
    return None if find is None else find(request)


def _phrases(request: Request) -> list[tuple[float, float]]:
    from server.emulator.runners.footage import probed
    from server.emulator.runners.looking import phrases
    from server.emulator.runners.sound_file import heard

    sounds = request.media("audio")
    if sounds:
        return [(one.start, one.end) for one in phrases(heard(sounds[0], 16_000))]
    videos = request.media("video")
    if videos:
        found = probed(videos[0])
        if found.has_sound:
            return [(one.start, one.end) for one in phrases(heard(videos[0], 16_000))]
        return [(0.0, round(found.seconds, 2))]
    return []


def _chunks(request: Request) -> list[Any]:
    return [
        {
            "timestamp": [start, end],
            "text": f"{LEAD} phrase {place + 1}",
            "speaker": "SPEAKER_00",
        }
        for place, (start, end) in enumerate(_phrases(request))
    ]


def _words(request: Request) -> list[Any]:
    return [
        {
            "text": f"{LEAD} phrase {place + 1}",
            "start": start,
            "end": end,
            "type": "word",
            "speaker_id": "speaker_0",
        }
        for place, (start, end) in enumerate(_phrases(request))
    ]


def _spans(request: Request) -> list[Any]:
    return [
        {"start": start, "end": end, "text": f"{LEAD} something from {start} to {end} seconds"}
        for start, end in _phrases(request)
    ]


def _turns(request: Request) -> list[Any]:
    return [{"timestamp": list(span), "speaker": "SPEAKER_00"} for span in _phrases(request)]


def _picture(request: Request) -> Image.Image | None:
    from server.emulator.runners.given_pictures import ordered
    from server.emulator.runners.picture_file import opened

    given = ordered(request)
    return opened(given[0]) if given else None


def _box(request: Request) -> tuple[int, int, int, int] | None:
    from server.emulator.runners.looking import subject_box

    picture = _picture(request)
    return subject_box(picture) if picture else None


def _named_boxes(request: Request) -> list[Any]:
    box = _box(request)
    if box is None:
        return []
    left, top, right, bottom = box
    return [
        {
            "x": left,
            "y": top,
            "w": right - left,
            "h": bottom - top,
            "label": f"{LEAD} what stands out",
        }
    ]


def _shares(request: Request) -> list[Any]:
    picture, box = _picture(request), _box(request)
    if picture is None or box is None:
        return []
    width, height = picture.size
    return [
        {
            "x_min": round(box[0] / width, 4),
            "y_min": round(box[1] / height, 4),
            "x_max": round(box[2] / width, 4),
            "y_max": round(box[3] / height, 4),
        }
    ]


def _points(request: Request) -> list[Any]:
    return [
        {
            "x": round((box["x_min"] + box["x_max"]) / 2, 4),
            "y": round((box["y_min"] + box["y_max"]) / 2, 4),
        }
        for box in _shares(request)
    ]


def _polygons(request: Request) -> list[Any]:
    box = _box(request)
    if box is None:
        return []
    left, top, right, bottom = box
    corners = ((left, top), (right, top), (right, bottom), (left, bottom))
    points = [{"x": x, "y": y} for x, y in corners]
    return [{"points": points, "label": f"{LEAD} what stands out"}]


def _boxes(request: Request) -> list[Any]:
    box = _box(request)
    return [list(box)] if box else []


def _records(request: Request) -> list[Any]:
    return [{"index": place, "score": 0.5, "box": box} for place, box in enumerate(_boxes(request))]


def _waveform(request: Request) -> list[Any]:
    from server.emulator.runners.sound_file import heard

    given = [*request.media("audio"), *request.media("video")]
    if not given:
        return []
    samples = heard(given[0], 8000).samples
    count = int(request.number("points", "num_points", "points_per_second") or 200)
    step = max(1, len(samples) // max(1, min(count, 4000)))
    starts = range(0, len(samples), step)
    return [round(max(samples[at : at + step]) / 32_768, 4) for at in starts][:4000]


def _palette(request: Request) -> list[Any]:
    from server.emulator.runners.looking import colours
    from server.emulator.runners.words import colour_names

    picture = _picture(request)
    names = colours(picture, 8) if picture else []
    return ["#{:02x}{:02x}{:02x}".format(*colour_names()[name]) for name in names]


def _run_lengths(request: Request) -> list[Any]:
    from server.emulator.runners.looking import run_lengths
    from server.emulator.runners.masking import subject

    picture = _picture(request)
    return [run_lengths(subject(picture))] if picture else []


def _messages(request: Request) -> list[Any]:
    return [
        {"role": "user", "content": request.text},
        {"role": "assistant", "content": prose(request, "output")},
    ]


_FINDINGS: dict[str, Finding] = {
    "messages": _messages,
    "chunks": _chunks,
    "words": _words,
    "segments": _spans,
    "events": _spans,
    "timestamps": _spans,
    "diarization_segments": _turns,
    "inferred_languages": lambda request: [request.word("language") or "en"],
    "languages": lambda request: [request.word("language") or "en"],
    "bboxes": _named_boxes,
    "quad_boxes": _named_boxes,
    "polygons": _polygons,
    "objects": _shares,
    "points": _points,
    "boxes": _boxes,
    "scores": lambda request: [0.5 for _ in _boxes(request)],
    "metadata": _records,
    "waveform": _waveform,
    "palette": _palette,
    "rle": _run_lengths,
    "outputs": lambda request: [prose(request, "outputs")],
    "captions": lambda request: [prose(request, "captions")],
    "filenames": lambda request: [given.file.name for given in request.media("image")],
}
