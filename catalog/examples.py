"""Values that show how an input is used, and that fit its schema."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, cast

from catalog.card import TEXT_FIELDS, ModelCard
from catalog.convert import number_rule, types_of
from catalog.reading import resolved

_MEDIA = {
    "image": "photo.jpg",
    "video": "clip.mp4",
    "audio": "speech.mp3",
    "3d": "model.glb",
    "archive": "images.zip",
    "weights": "style.safetensors",
    "file": "file.bin",
}
_SPEECH = "Good morning. The train to the coast leaves at nine, and the sea is calm today."
_SPOKEN = ("text-to-speech", "speech-to-speech", "audio-to-audio")
_VOICE = "a warm, low voice, unhurried, close to the microphone"
_MUSIC = "calm piano with soft rain in the background"
_SOUNDS = "footsteps on gravel, light wind"
_TEXTS = {
    "text-to-audio": _MUSIC,
    "text-to-video": "a red fox walks through fresh snow, slow push in, morning light",
    "image-to-video": "the camera moves in slowly while leaves drift past",
    "audio-to-video": "a friendly presenter speaks to the camera",
    "image-to-image": "make it golden hour and keep everything else",
    "video-to-video": "turn the scene into a watercolour painting",
    "video-to-audio": _SOUNDS,
    "vision": "What is in this picture?",
    "image-to-text": "What is in this picture?",
    "image-to-json": "What is in this picture?",
    "video-to-text": "What happens in this video?",
    "audio-to-text": "What is being said, and by how many people?",
    "llm": "Name three colours of autumn.",
    "text-to-3d": "a small wooden boat with a red sail",
    "image-to-3d": "a small wooden boat with a red sail",
}
_ROUTED = "google/gemini-2.5-flash"
# Where models whose category begins so take their medium, and which.
_PLACES = {
    "image": ("image_url", "image"), "video": ("video_url", "video"), "3d": ("model_url", "3d"),
    "audio": ("audio_url", "audio"), "speech": ("audio_url", "audio"),
    "training": ("training_data_url", "archive"),
}  # fmt: skip
_LYRICS = "[verse]\nMorning comes slowly over the bay\nGulls and a bell, then the fog rolls away"
_PICTURE = "a red fox in fresh snow, soft morning light"
# What is asked of models that find or take away things, told from how their cards begin.
_FOUND = re.compile(r"(?:segments?|detects?|finds?|points? at|locates?|tracks?)\b", re.IGNORECASE)
_TAKEN = re.compile(r"(?:erases?|removes?)\b(?! (?:image |video )?background)", re.IGNORECASE)
_SINGS = re.compile(r"\b(?:songs?|music|lyrics|inpaint|outpaint|remix)", re.IGNORECASE)
_NAMED = {
    "lyrics": _LYRICS,
    "lyrics_prompt": _LYRICS,
    "path": "https://example.com/style.safetensors",
    "tags": "folk, acoustic guitar, calm",
    "original_tags": "pop, synthesiser, bright",
    "city_name": "Lisbon",
    "object": "fox",
    "preview_text": _SPEECH,
    "first_text_input": "Did you hear the sea last night?",
    "second_text_input": "I did. It sounded as if it were in the room.",
    "object_name": "parked car",
    "object_to_remove": "lamp post",
    "new_text": "OPEN ALL DAY",
    "style": "watercolour",
    "genres": "folk, acoustic guitar, female voice",
    "input_concept": "a fox crosses a frozen river at dawn",
    "video_description": "a dancer turns slowly in the rain",
    "classes": "outdoor",
    "labels_fg1": "boat",
    "labels_fg2": "tree",
    "trigger_phrase": "TOK",
    "name": "Mira",
    "model_name": "stabilityai/stable-diffusion-xl-base-1.0",
    "image_source": "https://example.com/photo.jpg",
}
# Numbers without bounds or default that would make no sense as 1.
_NUMBERS = {"width": 1024, "height": 1024, "frame_index": 0, "x": 100, "y": 100, "steps": 1000}


def main_text(card: ModelCard) -> str:
    """Return a main text that suits what *card* does."""
    if card.category in ("audio-to-audio", "text-to-audio") and card.text_field != "text":
        told = card.summary.lower()
        if "sfx" in card.endpoint_id or ("sound effect" in told and "music" not in told):
            return _SOUNDS
        if _SINGS.search(f"{card.endpoint_id} {card.summary}"):
            return _MUSIC
    if card.category in ("image-to-image", "video-to-video", "vision"):
        if _FOUND.match(card.summary):
            return "person"
        if _TAKEN.match(card.summary):
            return "the person in the background"
    if card.category == "vision" and "video" in card.media_in.values():
        return _TEXTS["video-to-text"]
    speaks = {"voice", "voice_id", "voices"} & set(card.properties) or card.category in _SPOKEN
    if "video" in card.category:
        speaks = card.text_field in ("text", "script", "text_input")
    if speaks:
        return _SPEECH
    return _TEXTS.get(card.category, _PICTURE)


def supposed_arguments(card: ModelCard) -> dict[str, Any]:
    """Return arguments for *card*, of whose inputs nothing is known, by its task and id.

    The names are the usual ones of such models, and those of OpenAI's interface where the id
    names a path of it.
    """
    text = main_text(card)
    routed = card.endpoint_id.startswith("openrouter/")  # which asks for a model of its own
    match card.endpoint_id.rpartition("/v1/")[2]:
        case "chat/completions":
            asked = [{"role": "user", "content": text}]
            return {**({"model": _ROUTED} if routed else {}), "messages": asked}
        case "responses":
            return {"model": _ROUTED, "input": text}
        case "embeddings":
            return {"model": "openai/text-embedding-3-small", "input": text}
        case _:
            pass
    given, _, made = card.category.partition("-to-")
    place = _PLACES.get(given)
    if place is None:
        return {"text" if made == "speech" else "prompt": text}
    media = {place[0]: f"https://example.com/{_MEDIA[place[1]]}"}
    return media if made in ("3d", "text", "json", "") else {**media, "prompt": text}


def example_value(card: ModelCard, schema: Mapping[str, Any], name: str, depth: int = 0) -> object:
    """Return a value for the input *name* that fits *schema*; nested required fields are filled."""
    schema = resolved(card.input_schema, schema)
    if name not in TEXT_FIELDS and schema.get("default") not in (None, "", [], {}):
        return schema["default"]
    if branches := schema.get("anyOf") or schema.get("oneOf"):
        inner = [resolved(card.input_schema, branch) for branch in branches]
        best = next((branch for branch in inner if "enum" in branch), inner[0])
        return example_value(card, best, name, depth)
    if kind := schema.get("x-media"):
        file = "mask.png" if "mask" in name and kind == "image" else _MEDIA.get(kind, "file.bin")
        return f"https://example.com/{file}"
    named = schema.get("enum") or schema.get("examples") or [schema.get("const")]
    return _by_type(card, schema, name, depth) if named[0] is None else named[0]


def _by_type(card: ModelCard, schema: Mapping[str, Any], name: str, depth: int) -> object:
    kinds = types_of(schema)
    if "array" in kinds:
        count = max(1, schema.get("minItems", 1))
        items: Mapping[str, Any] = schema.get("items") or {"type": "string"}
        return [example_value(card, items, name, depth + 1) for _ in range(count)]
    if "object" in kinds:
        return _object(card, schema, depth)
    if "integer" in kinds or "number" in kinds:
        return _number(schema, name)
    if "boolean" in kinds:
        return True
    if span := schema.get("x-range-seconds"):
        return str(math.ceil(span[0]))
    return _text(card, schema, name)


def _object(card: ModelCard, schema: Mapping[str, Any], depth: int) -> dict[str, object]:
    known: Mapping[str, Mapping[str, Any]] = schema.get("properties") or {}
    names = (
        cast("Sequence[str]", schema.get("required") or ())
        or [name for name, inner in known.items() if "x-media" in inner]
        or [name for name in known if name not in ("default",)][:2]
    )
    if depth > 6:
        return {}
    return {name: example_value(card, known.get(name, {}), name, depth + 1) for name in names}


def _number(schema: Mapping[str, Any], name: str) -> float:
    whole = "integer" in types_of(schema)
    start: float = _NUMBERS.get(name, 1)
    if low := schema.get("minimum"):
        start = max(start, low)
    above = schema.get("exclusiveMinimum")
    if above is not None and start <= above:
        start = above + 1
    high = schema.get("maximum")
    if high is not None and start > high:
        start = high
    step = schema.get("multipleOf")
    if step and number_rule(schema, start)[0]:
        start = math.ceil(start / step) * step
    return int(start) if whole else start


def _text(card: ModelCard, schema: Mapping[str, Any], name: str) -> str:
    text = _named(card, name)
    least, most = schema.get("minLength", 0), schema.get("maxLength")
    while len(text) < least:
        text = f"{text} {text}"
    return text if most is None else text[:most]


def _named(card: ModelCard, name: str) -> str:
    """Return a text for the input *name*, whatever its schema says."""
    if name in _NAMED:
        return _NAMED[name]
    if name == "model" and card.endpoint_id.startswith("openrouter/"):
        return _ROUTED
    if name == "prompt" and ("voice-design" in card.endpoint_id or card.text_field == "text"):
        return _VOICE
    if "negative" in name:
        return "blurry, distorted, low quality"
    if name in TEXT_FIELDS or "prompt" in name:
        return main_text(card)
    if "color" in name or "colour" in name:
        return "#ffffff"
    if "language" in name:
        return "en"
    return "https://example.com/file.bin" if name.endswith("url") else name.replace("_", " ")
