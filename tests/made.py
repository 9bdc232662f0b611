"""Runs of runners, files to give them, and what can be read from what they make."""

import json
import random
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, cast

import av
import jsonschema

from catalog.card import ModelCard
from server.emulator.fitting import fit
from server.emulator.runners import run
from server.emulator.runners.pictures import drawn
from server.emulator.work import Made, Task


def made(
    endpoint_id: str,
    arguments: Mapping[str, Any],
    folder: Path,
    *,
    seed: int = 7,
    inputs: Mapping[str, Path] | None = None,
) -> dict[str, Any]:
    task = Task(endpoint_id, dict(arguments), seed, dict(inputs or {}), folder)
    return run(task, lambda share, text: None)


def first_image(output: Mapping[str, Any]) -> Made:
    return cast("Made", output["images"][0])


def painted(path: Path, text: str, size: tuple[int, int]) -> Path:
    """A picture to edit."""
    drawn(text, size, random.Random(text)).save(path)  # noqa: S311  # drawing, no secret
    return path


def seen(path: Path) -> dict[str, Any]:
    """What a player finds in a media file."""
    with av.open(str(path)) as container:
        facts: dict[str, Any] = {"note": container.metadata.get("comment", "")}
        facts["seconds"] = (container.duration or 0) / 1_000_000
        facts["sound"] = [stream.codec_context.name for stream in container.streams.audio]
        if container.streams.video:
            video = container.streams.video[0]
            facts |= {"codec": video.codec_context.name, "pixels": video.codec_context.pix_fmt}
            facts |= {"size": (video.width, video.height), "fps": float(video.average_rate or 0)}
            facts["frames"] = sum(1 for _ in container.decode(video=0))
    return facts


def given_files(folder: Path) -> dict[str, Path]:
    """One small file of each kind, by the address under which it is given."""
    picture = painted(folder / "given.png", "a red house", (96, 64))
    small = {"width": 96, "height": 64, "num_frames": 8, "fps": 8, "generate_audio": True}
    clip = made("fal-ai/veo3.1", {"prompt": "rain", **small}, folder)
    speech = made("fal-ai/kokoro/american-english", {"prompt": "Hello."}, folder)
    (folder / "given.zip").write_bytes(b"zip")
    files = {
        "image": picture,
        "video": cast("Made", clip["video"]).path,
        "audio": cast("Made", speech["audio"]).path,
        "archive": folder / "given.zip",
        "3d": folder / "given.zip",
    }
    return {f"https://files.test/{kind}": path for kind, path in files.items()}


def sample_value(rule: Mapping[str, Any]) -> Any:  # JSON
    """A value that fits *rule*: its default, its first choice, its lowest number, a given file."""
    if rule.get("default", "null") != "null":
        return rule["default"]
    if rule.get("x-media") and rule.get("type") == "string":
        return f"https://files.test/{rule['x-media']}"
    for choices in ("anyOf", "oneOf"):
        if rule.get(choices):
            return sample_value(rule[choices][0])
    if rule.get("enum"):
        return rule["enum"][0]
    match rule.get("type"):
        case "array":
            return [sample_value(rule.get("items", {}))] * max(1, int(rule.get("minItems", 1)))
        case "object":
            parts = rule.get("properties", {})
            return {name: sample_value(parts[name]) for name in rule.get("required", ())}
        case "boolean":
            return False
        case "integer" | "number":
            return max(1, int(rule.get("minimum", 1)))
        case _:
            return "a red boat on the sea"


def with_addresses(value: object) -> Any:  # JSON
    """An output as a client sees it, with file objects where files were made."""
    if isinstance(value, Made):
        assert value.path.stat().st_size > 0
        url = "https://files.test/made"
        return url if value.facts.get("url_only") else {"url": url, **value.facts}
    if isinstance(value, dict):
        entries = cast("dict[str, object]", value)
        return {name: with_addresses(part) for name, part in entries.items()}
    if isinstance(value, list):
        return [with_addresses(part) for part in cast("list[object]", value)]
    return value


def sweep(cards: Iterable[ModelCard], folder: Path) -> int:
    """Run each of *cards* at its smallest and hold the output against its schema."""
    inputs = given_files(folder)
    least = {"width": 64, "height": 48, "num_frames": 8, "duration": 1, "num_images": 1}
    count = 0
    for card in cards:
        wanted = {*card.required, "image_url", "image_urls", "video_url", "audio_url", "mask_url"}
        body = {
            name: sample_value(rule) for name, rule in card.properties.items() if name in wanted
        }
        arguments, _ = fit(card, body)
        task = Task(card.endpoint_id, {**arguments, **least}, 3, inputs, folder / "out")
        output = with_addresses(run(task, lambda share, text: None))
        json.dumps(output)
        if card.output_schema:
            jsonschema.validate(output, dict(card.output_schema))
        count += 1
    return count
