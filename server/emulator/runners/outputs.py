"""The output of a request: the card's output schema, walked and filled with what makers made."""

import time
from collections.abc import Callable, Mapping
from typing import Any, cast

from catalog.card import ModelCard
from server.emulator.runners import chat
from server.emulator.runners.makers import Makers
from server.emulator.runners.plain import Plain
from server.emulator.runners.request import Request
from server.emulator.work import Made, Task

Schema = Mapping[str, Any]
At = tuple[str, ...]

# Where nothing is known of a card's output: what models of its category usually return.
_USUAL: dict[str, dict[str, str]] = {
    "image": {"images[]": "image"},
    "video": {"video": "video"},
    "audio": {"audio": "audio"},
    "speech": {"audio": "audio"},
    "3d": {"model_mesh": "3d"},
    "training": {"diffusers_lora_file": "weights", "config_file": "file"},
}
# An optional file comes along only when one of these arguments asks for it.
_ASKED_BY: dict[str, tuple[str, ...]] = {
    "frames_zip": ("return_frames_zip",),
    "boundingbox_frames_zip": ("boundingbox_zip",),
    "debug_dataset": ("debug_dataset",),
    "debug_preprocessed_output": ("debug_dataset",),
    "animation_glb": ("enable_animation",),
    "basic_animations": ("enable_animation",),
    "rigged_character_glb": ("enable_rigging",),
    "exr_file": ("export_exr", "exr"),
    "raw_depths": ("include_raw_depths",),
    "mask_image": ("output_mask",),
    "mask_video": ("output_mask",),
    "meshes": ("export_meshes",),
    "caption_file": ("caption", "captions"),
    "preprocessing_video": ("return_preprocessing", "return_preprocessed"),
    "preprocessing_mask_video": ("return_preprocessing", "return_preprocessed"),
}
# Files of which the output gives no object but the bare address.
_URLS = {"video_url": "video", "audio_url": "audio", "image_url": "image", "thumbnail_url": "image"}
# Formats that only their makers' programs write; they are left out where the card allows it.
_UNWRITTEN = ("fbx", "blend")


def output(task: Task, card: ModelCard, report: Callable[[float, str], None]) -> dict[str, Any]:
    """Return what the model of *card* answers to *task*, valid for the card's output schema.

    Raises:
        RunnerError: the model would refuse the arguments or the given media.
    """
    started = time.perf_counter()
    request = Request(task, card, report)
    answer = chat.answer(request)
    if answer is not None:
        return answer
    makers = Makers(request)
    schema = output_schema(card)
    result = _Walk(request, makers, schema).whole()
    if "timings" in result:
        spent = round(time.perf_counter() - started, 3)
        rule = cast("Mapping[str, Schema]", schema["properties"])["timings"]
        steps = cast("Mapping[str, Schema]", rule.get("properties") or {"inference": {}})
        result["timings"] = dict.fromkeys(steps, spent)
    report(1.0, "done")
    return result


def output_schema(card: ModelCard) -> Schema:
    """The card's output schema; where it has none, one that its known or usual media make up."""
    if card.output_schema.get("properties"):
        return card.output_schema
    media = card.output_media or _usual(card)
    properties: dict[str, Any] = {}
    for path, kind in media.items():
        name = path.split(".")[0]
        leaf = {"type": "object", "x-media": kind}
        if "." not in path:
            is_list = name.endswith("[]")
            properties[name.removesuffix("[]")] = (
                {"type": "array", "items": leaf} if is_list else leaf
            )
    if not properties:
        properties["output"] = {"type": "string"}
    if "seed" in card.properties:
        properties["seed"] = {"type": "integer"}
    return {"type": "object", "properties": properties, "required": list(properties)}


def _usual(card: ModelCard) -> Mapping[str, str]:
    target = card.category.split("-to-")[-1]
    if target not in _USUAL and card.category == "training":
        target = "training"
    return _USUAL.get(target, {})


class _Walk:
    """One walk through an output schema."""

    def __init__(self, request: Request, makers: Makers, schema: Schema) -> None:
        self.request, self.makers, self.schema = request, makers, schema
        self.plain = Plain(request, makers)
        required = schema.get("required", ())
        properties = cast("Mapping[str, Schema]", schema.get("properties", {}))
        self.has_media = any(_is_media(properties.get(name, {})) for name in required)

    def whole(self) -> dict[str, Any]:
        return self._object(self.schema, ())

    def _object(self, schema: Schema, at: At) -> dict[str, Any]:
        required = cast("list[str]", schema.get("required", ()))
        made: dict[str, Any] = {}
        properties = cast("Mapping[str, Schema]", schema.get("properties", {}))
        # Media first, since numbers such as a duration tell of it.
        for name in sorted(properties, key=lambda name: not _is_media(properties[name])):
            if name in required or self._is_wanted(name, properties[name], at):
                made[name] = self._value(name, properties[name], (*at, name))
        if not at and not self.makers.files:
            made |= self._fallback(properties)
        return {name: made[name] for name in properties if name in made}

    def _fallback(self, properties: Mapping[str, Schema]) -> dict[str, Any]:
        """The first file of an output whose files are all optional and unasked for."""
        media = (name for name, schema in properties.items() if _is_media(schema))
        first = next((name for name in media if not _is_unwritten(name)), None)
        return {first: self._value(first, properties[first], (first,))} if first else {}

    def _value(self, name: str, schema: Schema, at: At) -> Any:  # noqa: ANN401  # JSON
        schema = next((one for one in schema.get("anyOf", ()) if one.get("x-media")), schema)
        kind = schema.get("x-media")
        if kind:
            return self.makers.one(str(kind), at)
        if name in _URLS and schema.get("type") == "string":
            made = self.makers.one(_URLS[name], at)
            return Made(made.path, made.media_type, {**made.facts, "url_only": True})
        if schema.get("type") == "array":
            items = cast("Schema", schema.get("items", {}))
            if _carries_bytes(items):
                files = self.makers.many("image", at)
                return [
                    Made(made.path, made.media_type, {**made.facts, "bytes_only": True})
                    for made in files
                ]
            if items.get("x-media"):
                return self.makers.many(str(items["x-media"]), at)
            if _is_media(items):
                return [self._object(items, at)]
            return self.plain.listed(name, schema, at)
        if schema.get("type") == "object" and schema.get("properties") and _is_media(schema):
            return self._object(schema, at)
        return self.plain.value(name, schema, at)

    def _is_wanted(self, name: str, schema: Schema, at: At) -> bool:
        """Whether the optional field *name* comes along."""
        if not _is_media(schema):
            # Some cards do not say that these are files; they repeat the picture that is there.
            return name != "images" and self.plain.is_wanted(name, schema)
        if _is_unwritten(name):
            return False
        asked = None if at else _ASKED_BY.get(name)
        if asked is None:
            return (
                name in ("images", "image", "thumbnail", "rendered_image", "model_urls")
                or bool(at)
                or not self.has_media
            )
        return any(bool(self.request.arguments.get(argument)) for argument in asked)


def _is_unwritten(name: str) -> bool:
    return any(part in _UNWRITTEN for part in name.split("_"))


def _carries_bytes(schema: Schema) -> bool:
    """Whether it is a picture that comes as bytes, which models that answer at once return."""
    parts = cast("Mapping[str, Schema]", schema.get("properties", {}))
    return parts.get("content", {}).get("format") == "binary" and "width" in parts


def _is_media(schema: Schema) -> bool:
    """Whether a file object stands somewhere below."""
    if schema.get("x-media") or _carries_bytes(schema):
        return True
    if isinstance(schema.get("items"), Mapping) and _is_media(schema["items"]):
        return True
    if any(_is_media(one) for one in cast("list[Schema]", schema.get("anyOf", ()))):
        return True
    return any(
        _is_media(part)
        for part in cast("Mapping[str, Schema]", schema.get("properties", {})).values()
    )
