"""The values of an output that are not files: seeds, echoes, prose, times, boxes, counts."""

import base64
import time
from array import array
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from server.emulator.runners.makers import Makers
from server.emulator.runners.request import Request

Schema = Mapping[str, Any]
At = tuple[str, ...]
Value = Callable[["Plain"], Any]

# Optional values that stay away, as they often do on fal; all others come along.
_UNUSUAL = (
    "error",
    "moderation",
    "debug",
    "lora_url",
    "reasoning",
    "think",
    "failed",
    "sdp",
    "type",
)
# These echo what was asked; other prose has its own maker.
_ECHOES = ("prompt", "actual_prompt", "revised_prompt", "expanded_prompt", "text_style_prompt")
_TELLING = ("llm", "vision", "text-to-json")


class Plain:
    """Values for one request; those that tell of a file ask the makers for its facts."""

    def __init__(self, request: Request, makers: Makers) -> None:
        self.request, self.makers = request, makers
        self.started = time.perf_counter()
        self._prose: dict[str, str] = {}

    def is_wanted(self, name: str, schema: Schema) -> bool:
        """Whether the optional value *name* comes along."""
        if name in ("boxes", "scores", "metadata"):
            return bool(self.request.flag(f"include_{name}"))
        return not any(part in name for part in _UNUSUAL)

    def listed(self, name: str, schema: Schema, at: At) -> list[Any]:
        """A list for *name*, as long as what it tells of."""
        items = cast("Schema", schema.get("items", {}))
        if name in ("has_nsfw_concepts", "nsfw_content_detected"):
            return [self.request.is_flagged] * max(1, len(self.makers.files))
        known = _KNOWN.get(name)
        told = known(self) if known else None
        if isinstance(told, list):
            return [self._fitted(value, items, at) for value in cast("list[object]", told)]
        if name == "seeds":
            return [self.request.seed + place for place in range(max(1, len(self.makers.files)))]
        from server.emulator.runners import findings

        found = findings.listed(name, self.request, items, at)
        if found is not None:
            return [self._fitted(value, items, at) for value in found]
        count = max(1 if schema.get("minItems") is None else int(schema["minItems"]), 1)
        if not items:
            return []
        return [self.value(name, items, at) for _ in range(count)]

    def value(self, name: str, schema: Schema, at: At) -> Any:  # noqa: ANN401  # JSON
        """A value for *name* of the type that *schema* wants."""
        if name in _ECHOES and self.request.card.category not in _TELLING:
            return self.request.text
        known = _KNOWN.get(name)
        told = known(self) if known else None
        if told is not None:
            return self._fitted(told, schema, at)
        kind = schema.get("type")
        if kind == "array":
            return self.listed(name, schema, at)
        if kind == "object":
            return self._object(schema, at)
        choices = cast("Sequence[Any]", schema.get("enum") or ())
        if choices:
            return schema.get("default", choices[0])
        if kind in ("integer", "number"):
            return self._number(name, schema)
        if kind == "boolean":
            return bool(schema.get("default", False))
        if kind is None and "anyOf" in schema:
            return self.value(name, cast("list[Schema]", schema["anyOf"])[0], at)
        return self.words(name) if len(at) < 2 else self._short_words(name)

    def words(self, name: str) -> str:
        """Prose for the field *name*, which says in its first words what it is."""
        from server.emulator.runners import texts

        if name not in self._prose:
            self._prose[name] = texts.prose(self.request, name)
        return self._prose[name]

    def _short_words(self, name: str) -> str:
        """A few words for a field deep inside, such as a colour scheme."""
        from server.emulator.runners.texts import LEAD

        return f"{LEAD} no {name.replace('_', ' ')} was worked out"

    def found(self, name: str) -> list[Any]:
        """The list *name* of what was found in the given media, empty where nothing was."""
        from server.emulator.runners import findings

        return findings.listed(name, self.request, {"type": "object"}, (name,)) or []

    def _object(self, schema: Schema, at: At) -> dict[str, Any]:
        properties = cast("Mapping[str, Schema]", schema.get("properties", {}))
        required = cast("list[str]", schema.get("required", list(properties)))
        if not properties and at[-1].startswith("structured"):
            return {"short_description": self.words(at[-1]), "prompt": self.request.text}
        return {
            name: self.value(name, rule, (*at, name))
            for name, rule in properties.items()
            if name in required
        }

    def _number(self, name: str, schema: Schema) -> float | int:
        facts = self.makers.facts
        told = facts.get(name)
        if isinstance(told, (int, float)):
            value = float(told)
        else:
            given = self.request.arguments.get(name)
            low, high = (
                schema.get("minimum", schema.get("exclusiveMinimum", 0)),
                schema.get("maximum", 1),
            )
            fallback = low + (high - low) / 2 if "maximum" in schema else low
            value = (
                float(given)
                if isinstance(given, (int, float))
                else float(schema.get("default", fallback))
            )
        return int(value) if schema.get("type") == "integer" else round(value, 4)

    def _fitted(self, value: object, schema: Schema, at: At) -> Any:  # noqa: ANN401  # JSON
        """*value*, or where its type is not the asked one, the nearest value of that type."""
        match schema.get("type"):
            case "string":
                return value if isinstance(value, str) else str(value)
            case "integer" if isinstance(value, (int, float)):
                return int(value)
            case "array":
                return cast("list[Any]", value) if isinstance(value, list) else []
            case "object":
                if not isinstance(value, dict):
                    return self._object(schema, at)
                return self._completed(cast("dict[str, Any]", value), schema, at)
            case _:
                return value

    def _completed(self, held: dict[str, Any], schema: Schema, at: At) -> dict[str, Any]:
        """*held* without what *schema* does not know, and with what it requires."""
        rules = cast("Mapping[str, Schema]", schema.get("properties", {}))
        known = {name: part for name, part in held.items() if not rules or name in rules}
        missing = [name for name in schema.get("required", ()) if name not in held]
        told = {name: self.value(name, rules.get(name, {}), (*at, name)) for name in missing}
        return {**known, **told}


def _tokens(plain: Plain) -> int:
    return max(1, len(plain.request.text) // 4)


def _seconds(plain: Plain) -> float:
    return float(plain.makers.facts.get("duration") or 0.0)


def _spent(plain: Plain) -> float:
    return round(time.perf_counter() - plain.started, 3)


def _original(plain: Plain) -> dict[str, Any]:
    from server.emulator.runners.footage import probed

    videos = plain.request.media("video")
    if not videos:
        return {}
    found = probed(videos[0])
    width, height = found.size
    return {"duration": round(found.seconds, 3), "width": width, "height": height}


def _sample_rate(plain: Plain) -> int:
    return int(
        plain.makers.facts.get("sample_rate") or plain.request.number("sample_rate") or 44_100
    )


def _identifier(plain: Plain) -> str:
    return f"local-preview-{plain.request.chance('id').randrange(16**10):010x}"


def _outline(plain: Plain) -> str:
    """The box of what stands out as the path of an SVG, in shares of the picture."""
    for box in plain.found("objects"):
        return f"M{box['x_min']} {box['y_min']}H{box['x_max']}V{box['y_max']}H{box['x_min']}Z"
    return "M0 0H1V1H0Z"


def _embedding(plain: Plain) -> str:
    chance = plain.request.chance("embedding")
    numbers = array("f", [chance.gauss(0, 1) for _ in range(256)])
    return base64.b64encode(numbers.tobytes()).decode()


def _first(name: str) -> Value:
    return lambda plain: next(iter(plain.found(name)), None)


def _action(plain: Plain) -> object:
    given: object = plain.request.arguments.get("animation_action_ids")
    return next(iter(cast("list[object]", given)), 0) if isinstance(given, list) else 0


_KNOWN: dict[str, Value] = {
    "bbox": _first("objects"),
    "span": _first("segments"),
    "rle": _first("rle"),
    "path": _outline,
    "embedding_b64": _embedding,
    "has_speech": lambda plain: bool(plain.found("segments")),
    "num_colors": lambda plain: len(plain.found("palette")),
    "points_count": lambda plain: len(plain.found("waveform")),
    "subtitle_count": lambda plain: len(plain.found("segments")),
    "action_id": _action,
    "seed": lambda plain: plain.request.seed,
    "used_seed": lambda plain: plain.request.seed,
    "timings": lambda plain: {"inference": _spent(plain)},
    "has_nsfw_concepts": lambda plain: False,
    "duration": _seconds,
    "trimmed_duration": _seconds,
    "duration_ms": lambda plain: round(_seconds(plain) * 1000),
    "durations": lambda plain: [_seconds(plain)],
    "sample_rate": _sample_rate,
    "original_duration": lambda plain: _original(plain).get("duration", 0.0),
    "original_width": lambda plain: _original(plain).get("width", 0),
    "original_height": lambda plain: _original(plain).get("height", 0),
    "scaled_width": lambda plain: plain.makers.facts.get("width", 0),
    "scaled_height": lambda plain: plain.makers.facts.get("height", 0),
    "generation_time": _spent,
    "total_generation_time": _spent,
    "rtf": lambda plain: round(_spent(plain) / max(0.1, _seconds(plain)), 4),
    "average_rtf": lambda plain: round(_spent(plain) / max(0.1, _seconds(plain)), 4),
    "prompt_tokens": _tokens,
    "input_tokens": _tokens,
    "completion_tokens": lambda plain: 64,
    "output_tokens": lambda plain: 64,
    "total_tokens": lambda plain: _tokens(plain) + 64,
    "cost": lambda plain: 0.0,
    "finish_reason": lambda plain: "stop",
    "language_code": lambda plain: plain.request.word("language_code", "language") or "en",
    "target_lang": lambda plain: (
        plain.request.word("target_lang", "target_language", "output_language") or "en"
    ),
    "language_probability": lambda plain: 0.5,
    "tags": lambda plain: str(plain.request.arguments.get("tags") or plain.request.text),
    "lyrics": lambda plain: str(plain.request.arguments.get("lyrics") or ""),
    "content_type": lambda plain: plain.makers.files[0].media_type if plain.makers.files else "",
    "size_bytes": lambda plain: (
        plain.makers.files[0].path.stat().st_size if plain.makers.files else 0
    ),
    "num_images": lambda plain: len(plain.makers.files),
    "frame_count": lambda plain: len(plain.makers.files),
    "voice_id": _identifier,
    "custom_voice_id": _identifier,
    "task_id": _identifier,
    "rig_task_id": _identifier,
    "request_id": _identifier,
    "draft_id": _identifier,
    "model_id": _identifier,
    "profile_id": _identifier,
    "style_id": _identifier,
    "custom_model_uri": lambda plain: f"model/{_identifier(plain)}",
    "error": lambda plain: "",
}
