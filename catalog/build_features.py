"""Read from a card the properties that searches ask for: sound, masks, formats, frame rates."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from catalog.card import ModelCard
from catalog.granting import makes_sound
from catalog.search_tables import HEIGHTS, SIZES
from catalog.search_wishes import COUNTS

_FIELD_FEATURES: Mapping[str, tuple[str, ...]] = {
    "mask": ("mask_url", "mask_image_url", "mask_video_url", "mask"),
    "end frame": (
        "end_image_url", "tail_image_url", "last_frame_url", "last_frame_image_url",
        "last_image_url", "end_frame_url",
    ),
    "seed": ("seed",),
    "negative prompt": ("negative_prompt",),
    "lora": ("loras", "lora_url", "lora_path"),
    "aspect ratio": ("aspect_ratio", "image_size", "video_size"),
    "several images": ("num_images", "num_samples", "max_images"),
    "camera control": ("camera_movement", "camera_control", "camera_lora", "camera_motion"),
    "voice": ("voice", "voice_id", "voice_setting"),
    "prompt expansion": ("enable_prompt_expansion", "expand_prompt", "prompt_optimizer"),
    "web search": ("enable_web_search", "enable_google_search"),
    "loop": ("loop",),
    "palette": ("colors", "color_palette"),
    "fixed camera": ("camera_fixed",),
    "pronunciation": ("pronunciation_dict", "pronunciation_dictionary_locators"),
    "polygon count": ("target_polycount", "face_limit", "face_count"),
    "quads": ("topology", "quad", "polygon_type"),
    "pbr": ("enable_pbr", "pbr"),
    "rigging": ("enable_rigging",),
    "speakers": ("diarize", "num_speakers"),
    "lyrics": ("lyrics", "lyrics_prompt"),
    "strength": ("strength", "image_strength", "image_prompt_strength", "prompt_strength"),
    "safety switch": ("enable_safety_checker", "safety_tolerance", "enable_safety_checks"),
    "speed": ("speed", "voice_speed"),
    "multi-shot": ("multi_prompt", "multi_shots", "shots", "generate_multi_clip_switch"),
    "elements": ("elements", "character_ids"),
    "timestamps": ("timestamps", "chunk_level"),
    "emotion": (
        "emotion", "emotion_prompt", "emotional_strengths", "exaggeration", "voice_setting",
        "style_instructions", "voice_instruction",
    ),
    "json prompt": ("structured_prompt", "structured_instruction"),
    "motion path": ("trajectories", "trajectory", "dynamic_masks", "static_mask_url"),
    "t-pose": ("TAPose", "is_a_t_pose"),
    "reasoning": ("thinking_type", "thinking_level", "reasoning", "reasoning_mode", "use_thought"),
    "system prompt": ("system_prompt",),
    "keyframes": ("keyframes", "keyframe_indexes"),
    "style presets": ("style_preset", "style_name", "styles"),
    "tiling": ("tiling_mode",),
    "control image": (
        "controlnets", "controlnet_unions", "control_image_url", "control_loras",
        "control_lora_image_url", "openpose_image_url", "depth_image_url",
    ),
    "video reference": ("reference_video_urls", "video_reference_url"),
    "audio reference": ("audio_urls", "reference_audio_urls", "reference_audio_url"),
    "point prompts": ("point_prompts",),
    "box prompts": ("box_prompts",),
    "audio events": ("tag_audio_events",),
    "vocabulary": ("keyterms", "vocabulary"),
    "pitch": ("pitch", "voice_setting", "voice_modify"),
    "instrumental": ("is_instrumental", "instrumental", "force_instrumental"),
    "several views": ("back_image_url", "left_image_url"),
    "keep audio": ("keep_audio", "preserve_audio", "keep_original_sound"),
    "sample rate": ("sample_rate", "sample_rate_hertz"),
    "hdr": ("hdr",),
    "exr": ("exr_export",),
}  # fmt: skip
# Words of id, summary or title, in lower letters.
_WORD_FEATURES: Mapping[str, tuple[str, ...]] = {
    "transparent": ("transparen", "alpha", "background-removal", "rembg", "birefnet", "rgba"),
    "multi-shot": ("multi-shot", "multi-clip", "multishot"),
    "open weights": ("open ", "open-weight"),
    "draft": ("draft",),
    "camera control": ("camera command", "camera move", "camera control", "camera path"),
    "licensed data": ("bria/", "licensed data", "licensed training", "licensed footage"),
    "emotion": ("emotion",),
    "audio tags": ("emotion tags",),
    "json prompt": ("structured json",),
    "motion path": ("motion brush", "trajectory"),
    "svg": ("svg", "to-vector"),
    "several views": ("multi-view", "multiview"),
    "keyframes": ("keyframe",),
    "tiling": ("/tiling", "tileable", "seamless texture"),
    "hdr": (" hdr", "/hdr"),
    "rigging": ("/rigging",),
}
_TEXT_WORDS = re.compile(
    r"typograph|text render|text in (?:pictures|\d+ languages)|long text|legible|lettering"
)
_LIST_REFERENCES = (
    "image_urls", "reference_image_urls", "input_image_urls", "ref_image_urls", "images",
    "subject_reference_image_url", "elements", "reference_images", "reference_image_url",
)  # fmt: skip
_LANGUAGE_FIELDS = (
    "language", "language_code", "language_boost", "custom_audio_language", "output_language",
    "target_language", "voice_language",
)  # fmt: skip
_FORMAT_FIELDS = (
    "output_format", "format", "image_format", "audio_format", "geometry_file_format",
    "target_formats", "export_format", "video_output_type", "response_format",
)  # fmt: skip
_FORMATS_LISTED = "webp gif mp3 wav flac opus glb obj usdz fbx stl blend ply webm mov"
_FORMATS = frozenset(_FORMATS_LISTED.split())
# Outputs whose names tell the format; the rest tell it by their parts (`model_urls`).
_OUTPUT_FORMATS: Mapping[str, tuple[str, ...]] = {
    "glb": ("model_glb", "rigged_character_glb", "animation_glb"),
    "fbx": ("fbx_file", "rigged_character_fbx", "animation_fbx"),
    "obj": ("model_obj",),
    "ply": ("gaussian_splat", "body_mesh_ply"),
    "exr": ("exr_file", "exr_frames_url"),
    "lottie": ("lottie_file",),
    "timestamps": ("words", "chunks", "timestamps"),
}
_RATE_FIELDS = ("fps", "frames_per_second", "frame_rate", "target_fps", "output_fps", "export_fps")
_RATES = (30, 48, 60, 120)
_UP_TO = re.compile(
    r"up to (\d+|three|four|five|six|seven|eight|nine|ten|fourteen|sixteen)"
    r" (?:reference |input )?(?:images|pictures|photos|inputs|references)"
)
_SPELLED: Mapping[str, int] = {
    "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10,
    "fourteen": 14, "sixteen": 16,
}  # fmt: skip


def features_of(
    card: ModelCard, kinds: set[str], heights: tuple[int, ...], sizes: tuple[int, ...]
) -> tuple[str, ...]:
    """Return the properties of *card*, sorted.

    *kinds* are the media it returns, *heights* and *sizes* places in `HEIGHTS` and `SIZES`.
    """
    fields = card.properties
    text = f"{card.endpoint_id} {card.summary} {card.title}".lower()
    found = {name for name, any_of in _FIELD_FEATURES.items() if any(f in fields for f in any_of)}
    found |= {
        name for name, any_of in _WORD_FEATURES.items() if any(word in text for word in any_of)
    }
    if makes_sound(card, kinds):
        found.add("sound")
    if any(f in fields for f in _LIST_REFERENCES) or "reference-to" in card.endpoint_id:
        found.add("reference images")
    references = _most_references(card, text)
    found |= {f"{count} references" for count in COUNTS if count <= references}
    if card.streaming or card.endpoint_id.endswith("/stream"):
        found.add("streaming")
    if card.realtime or "realtime" in card.endpoint_id:
        found.add("realtime")
    if card.license == "commercial":
        found.add("commercial")
    if "image" in kinds and _TEXT_WORDS.search(text):
        found.add("text in pictures")
    if kinds & {"audio", "text", "speech"} and any(f in fields for f in _LANGUAGE_FIELDS):
        found.add("language choice")
    found |= set(_of_choices(card))
    found |= _formats(card)
    if "video" in kinds:
        frames = _most_frames(card, text)
        found |= {f"{rate} fps" for rate in _RATES if rate <= frames}
    found |= {f"{HEIGHTS[place]}p" for place in heights} | {SIZES[place] for place in sizes}
    found |= {name for place, name in ((4, "4k"), (3, "2k")) if place in heights}
    return tuple(sorted(found))


def choices_of(schema: Mapping[str, Any]) -> list[object]:
    """Return the values that *schema* names, those of its branches too."""
    choices: list[object] = list(schema.get("enum") or ())
    for branch in schema.get("anyOf") or ():
        choices += branch.get("enum") or ()
    return choices


def _most_references(card: ModelCard, text: str) -> int:
    """Return the most pictures that *card* takes in one list, 0 where it is not told."""
    most = [0]
    for name in _LIST_REFERENCES:
        schema = card.properties.get(name, {})
        counts = [one.get("maxItems") for one in (schema, *(schema.get("anyOf") or ()))]
        most += [count for count in counts if isinstance(count, int)]
    if any(name in card.properties for name in _LIST_REFERENCES):
        most += [_SPELLED.get(word) or int(word) for word in _UP_TO.findall(text)]
    return max(most)


def _of_choices(card: ModelCard) -> Iterator[str]:
    """Yield the properties that lie in the choices of a field and not in its name."""
    if "transparent" in choices_of(card.properties.get("background", {})):
        yield "transparent"
    if "t-pose" in choices_of(card.properties.get("pose_mode", {})):
        yield "t-pose"
    if len(choices_of(card.properties.get("style", {}))) > 1:
        yield "style presets"
    for name in ("image_size", "video_size"):
        for branch in card.properties.get(name, {}).get("anyOf") or ():
            if "$ref" in branch or "width" in (branch.get("properties") or {}):
                yield "exact size"


def _formats(card: ModelCard) -> set[str]:
    """Return the formats of files, and what else outputs tell by their names."""
    outputs: Mapping[str, Any] = card.output_schema.get("properties") or {}
    found = {name for name, any_of in _OUTPUT_FORMATS.items() if any(o in outputs for o in any_of)}
    urls: Mapping[str, Any] = outputs.get("model_urls", {})
    words: set[str] = set(urls.get("properties", ()))
    for name in _FORMAT_FIELDS:
        schema = card.properties.get(name, {})
        for choice in (*choices_of(schema), *choices_of(schema.get("items") or {})):
            words |= set(re.findall(r"[a-z]+\d?", str(choice).lower().replace("splat", "ply")))
            words |= {"mp3"} if str(choice).startswith("mp3_") else set()
    return found | (words & _FORMATS)


def _most_frames(card: ModelCard, text: str) -> float:
    """Return the most frames a second that *card* can be asked for, 0 where it is not told."""
    rates = [float(rate) for rate in re.findall(r"(\d+) fps", text)]
    for name in _RATE_FIELDS:
        schema = card.properties.get(name, {})
        bounds = [one.get("maximum") for one in (schema, *(schema.get("anyOf") or ()))]
        rates += [float(most) for most in bounds if isinstance(most, int | float)]
        rates += [float(n) for c in choices_of(schema) for n in re.findall(r"\d+", str(c))]
    return max(rates, default=0.0)
