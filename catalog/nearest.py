"""The nearest right name or value to a wrong one, by meaning before spelling."""

import math
import re
from collections.abc import Collection, Sequence
from difflib import get_close_matches

# Words that mean the same input on different models; a wrong name is first sought in its group.
# Groups are ours, from the input names of the shipped cards and from what callers get wrong.
_GROUPS: tuple[tuple[str, ...], ...] = (
    (
        "prompt", "text", "text_prompt", "instruction", "edit_instruction", "description",
        "caption", "message", "query", "text_input", "input_text", "gen_text", "script", "lyrics",
        "transcript", "lyrics_prompt", "edit_prompt", "instructions", "input", "content",
    ),
    ("negative_prompt", "negative", "avoid", "exclude", "neg_prompt", "unwanted", "neg"),
    (
        "image_url", "image", "image_urls", "images", "input_image", "input_image_url",
        "input_image_urls", "start_image_url", "first_frame_url", "first_image_url", "init_image",
        "img", "picture", "photo", "source_image", "image_path", "start_frame", "first_frame",
        "init_image_url", "img_url", "start_image", "source_image_url", "image_data_url",
        "reference_image_url", "reference_image_urls", "human_image_url", "base_image_url",
        "media", "file", "media_url", "input_images", "src",
    ),
    (
        "reference_image_urls", "reference_image_url", "reference_images", "references",
        "reference", "image_urls", "ref_image", "ref_images", "style_image_url",
        "image_style_references", "style_reference", "elements", "input_images",
    ),
    (
        "end_image_url", "tail_image_url", "last_frame_url", "last_image_url", "end_image",
        "last_frame", "end_frame", "tail_image", "end_frame_url", "final_frame", "last_image",
    ),
    (
        "video_url", "video", "video_urls", "videos", "input_video", "input_video_url",
        "source_video", "clip", "movie", "reference_video_urls", "reference_video_url",
        "video_path", "media", "file",
    ),
    (
        "audio_url", "audio", "audio_urls", "sound_url", "audio_file", "input_audio", "music_url",
        "speech", "voice_url", "reference_audio_url", "audio_path", "sound_file", "song",
        "reference_audio_urls", "ref_audio_url", "media", "file", "music",
    ),
    (
        "mask_url", "mask", "mask_image_url", "mask_image", "mask_video_url", "masks",
        "mask_path", "inpaint_mask", "mask_image_urls",
    ),
    (
        "model_url", "mesh", "mesh_url", "model_mesh", "glb", "glb_url", "input_model_url",
        "model_file_url", "3d_model",
    ),
    (
        "image_size", "size", "video_size", "resolution", "dimensions", "output_size",
        "target_resolution", "width", "height", "image_resolution", "video_resolution", "canvas",
        "canvas_size", "aspect_ratio", "quality", "res",
    ),
    (
        "aspect_ratio", "ratio", "aspect", "ar", "image_aspect_ratio", "video_aspect_ratio",
        "proportions", "orientation", "image_size", "video_size", "width", "resolution",
    ),
    (
        "num_inference_steps", "steps", "inference_steps", "num_steps", "number_of_steps",
        "sampling_steps", "sample_steps", "step", "iterations", "training_steps", "max_train_steps",
    ),
    (
        "num_images", "n", "count", "number_of_images", "num_samples", "num_outputs", "samples",
        "batch_size", "number", "quantity", "images_count", "max_images", "num_videos", "num_songs",
        "number_of_outputs", "variations",
    ),
    (
        "guidance_scale", "cfg", "cfg_scale", "guidance", "scale", "cfg_strength", "text_cfg_scale",
        "prompt_strength", "guidance_strength",
    ),
    (
        "generate_audio", "audio", "generate_audio_switch", "sound", "with_audio", "enable_audio",
        "has_audio", "add_audio", "audio_enabled", "original_sound_switch", "keep_original_sound",
        "with_sound", "generate_sound",
    ),
    (
        "duration", "seconds", "length", "video_length", "num_seconds", "seconds_total", "time",
        "duration_seconds", "audio_length", "music_length_ms", "video_duration", "total_seconds",
        "length_seconds", "num_frames", "max_duration", "duration_ms", "audio_duration",
    ),
    (
        "fps", "frames_per_second", "frame_rate", "framerate", "target_fps", "video_fps",
        "output_fps",
    ),
    ("num_frames", "frames", "number_of_frames", "frame_count", "n_frames", "duration"),
    ("seed", "random_seed", "noise_seed", "rng_seed"),
    (
        "output_format", "format", "image_format", "file_format", "response_format", "extension",
        "file_type", "audio_format", "video_format", "output_type", "geometry_file_format", "ext",
    ),
    ("loras", "lora", "lora_url", "lora_path", "lora_weights", "lora_scale", "adapters", "path"),
    (
        "voice", "voice_id", "speaker", "voice_name", "speaker_id", "custom_voice_id", "narrator",
        "voice_setting", "speaker_name",
    ),
    ("speed", "rate", "speaking_rate", "voice_speed", "tempo", "voice_setting"),
    (
        "language", "language_code", "lang", "locale", "language_boost", "target_language",
        "source_language",
    ),
    (
        "upscale_factor", "scale", "factor", "upscaling_factor", "upscale", "scale_factor",
        "target_resolution", "zoom", "upscale_ratio", "magnification",
    ),
    (
        "strength", "denoise", "denoising_strength", "image_strength", "prompt_strength",
        "creativity",
    ),
    ("style", "style_id", "style_name", "preset", "style_preset", "styles", "style_type"),
    (
        "enable_safety_checker", "safety_checker", "safety", "nsfw", "safety_tolerance",
        "safe_mode", "disable_safety_checker", "enable_output_safety_checker", "moderation", "safe",
    ),
    (
        "enable_prompt_expansion", "expand_prompt", "prompt_optimizer", "enhance_prompt",
        "magic_prompt", "prompt_expansion", "prompt_upsampling", "prompt_enhancement",
        "prompt_extend", "upsample_prompt",
    ),
    ("system_prompt", "system", "system_message", "system_instruction"),
    ("max_tokens", "max_new_tokens", "max_output_tokens", "max_completion_tokens"),
    ("trigger_phrase", "trigger_word", "trigger", "instance_prompt"),
    (
        "training_data_url", "images_data_url", "image_data_url", "dataset", "training_data",
        "data_url", "dataset_url", "training_images", "zip_url", "archive", "images", "videos",
    ),
    ("model", "model_id", "model_name", "version", "variant", "engine"),
    ("camera_fixed", "fixed_camera", "static_camera", "camera"),
    ("background_color", "background", "bg_color", "bgcolor"),
    ("acceleration", "speed", "fast", "turbo_mode", "rendering_speed"),
    ("scheduler", "sampler", "sampling_method", "solver"),
    ("loop", "looping", "seamless", "loops"),
    # Fields of objects inside lists and sizes.
    ("path", "url", "lora_url", "lora_path", "weights", "file_url", "repo", "model"),
    ("scale", "weight", "strength", "lora_scale", "multiplier"),
    ("audio_url", "audio_urls", "sound"),
    ("width", "w"),
    ("height", "h"),
)  # fmt: skip
# Groups that mean a piece of media, by the name that leads them.
_MEDIA_LEADS: dict[str, str] = {
    "image_url": "image", "reference_image_urls": "image", "end_image_url": "image",
    "video_url": "video", "audio_url": "audio", "mask_url": "mask", "model_url": "3D model",
}  # fmt: skip
# Words for a choice that the card calls otherwise.
_MEANT: dict[str, tuple[str, ...]] = {
    "hd": ("high",), "best": ("high", "quality"), "max": ("high", "quality"),
    "highest": ("high", "quality"), "normal": ("standard", "medium", "balanced"),
    "standard": ("medium", "balanced", "normal"), "draft": ("low", "turbo", "fast"),
    "fastest": ("turbo", "fast", "low"), "jpg": ("jpeg",), "jpeg": ("jpg",),
}  # fmt: skip

_LONGEST = 64
_WORDS = re.compile(r"[^a-z0-9]+")
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def _plain(name: str) -> str:
    return _WORDS.sub("_", _HUMP.sub("_", name).lower()).strip("_")


def nearest_name(name: str, names: Collection[str], *, sure: bool = False) -> str:
    """Return the one of *names* that *name* most likely stands for, or an empty text.

    Another way of writing comes first (``imageUrl``), then another word for the same thing
    (``size`` for ``image_size``), then a slip of the pen, but for *sure* a small one alone.
    """
    if len(name) > _LONGEST:
        return ""
    plain = _plain(name)
    by_plain = {_plain(known): known for known in names}
    if plain in by_plain:
        return by_plain[plain]
    # A slip in a long word is surer than a meaning (`imge_size` is no image).
    if slips := get_close_matches(plain, by_plain, n=1, cutoff=0.84):
        return by_plain[slips[0]]
    for group in _GROUPS:
        if plain in group:
            for word in group:
                if word in by_plain:
                    return by_plain[word]
    if sure or media_meant(name):
        return ""  # it takes none, and a name that looks alike means something else
    if slips := get_close_matches(plain, by_plain, n=1, cutoff=0.6):
        return by_plain[slips[0]]
    parts = set(plain.split("_"))
    kin = [known for known in by_plain if parts & set(known.split("_"))]
    return by_plain[min(kin, key=len)] if kin and plain else ""


def same_name(one: str, other: str) -> bool:
    """Tell whether two names differ only in how they are written, as ``imageUrl`` does."""
    return _plain(one) == _plain(other)


def is_meant(name: str, lead: str) -> bool:
    """Tell whether an input called *name* would mean what *lead* does, a name as cards have it."""
    plain = _plain(name) if len(name) <= _LONGEST else ""
    return any(group[0] == lead and plain in group for group in _GROUPS)


def media_meant(name: str) -> str:
    """Return the kind of media that an input called *name* would take, empty where it is none."""
    plain = _plain(name) if len(name) <= _LONGEST else ""
    for group in _GROUPS:
        if plain in group and (kind := _MEDIA_LEADS.get(group[0])):
            return kind
    return ""


_QUANTITY = re.compile(r"\s*([+-]?\d+(?:\.\d+)?)\s*([a-z]*)\s*\Z", re.IGNORECASE)
_RATIO = re.compile(r"\s*(\d+(?:\.\d+)?)\s*[:x\u00d7*/]\s*(\d+(?:\.\d+)?)\s*\Z", re.IGNORECASE)
_UNITS = {"sec": "s", "secs": "s", "second": "s", "seconds": "s", "px": "p", "pixels": "p"}
# Short names of picture sizes, as their height in pixels (1K and 2K differ between models).
_HEIGHTS = {"sd": 480.0, "hd": 720.0, "fhd": 1080.0, "qhd": 1440.0, "uhd": 2160.0}
# What fal's named image sizes measure (platform documentation, 2026).
PRESETS: dict[str, tuple[int, int]] = {
    "square_hd": (1024, 1024),
    "square": (512, 512),
    "portrait_4_3": (768, 1024),
    "portrait_16_9": (576, 1024),
    "landscape_4_3": (1024, 768),
    "landscape_16_9": (1024, 576),
}


def quantity_of(value: object) -> tuple[float, str] | None:
    """Return number and lower-case unit of *value* (``5``, ``"8s"``, ``"1080p"``), or None."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return (float(value), "") if abs(value) < 1e15 else None
    if isinstance(value, str) and len(value) <= _LONGEST and (found := _QUANTITY.match(value)):
        unit = found[2].lower()
        number = float(found[1])
        return (number, _UNITS.get(unit, unit)) if abs(number) < 1e15 else None
    return None


def pair_of(value: object) -> tuple[float, float] | None:
    """Return the two numbers of a size or ratio (``"16:9"``, ``"1024x768"``, a preset), or None."""
    if not isinstance(value, str) or len(value) > _LONGEST:
        return None
    if value in PRESETS:
        return PRESETS[value]
    found = _RATIO.match(value)
    if not found or float(found[2]) == 0 or float(found[1]) == 0:
        return None
    return float(found[1]), float(found[2])


def _measure(value: object) -> tuple[str, float] | None:
    """Return on which scale *value* can be compared, and where it stands on it."""
    if (pair := pair_of(value)) is not None:
        return "shape", math.log(pair[0] / pair[1])
    if isinstance(value, str) and value.lower() in _HEIGHTS:
        return "height", _HEIGHTS[value.lower()]
    quantity = quantity_of(value)
    if quantity is None:
        return None
    number, unit = quantity
    if unit == "k":
        return "height", number * 540
    if unit == "p":
        return "height", number
    return "number", number


def nearest_value(value: object, choices: Sequence[object]) -> object | None:
    """Return the nearest of *choices* to *value*, by size where it has one, else by spelling."""
    place = _measure(value)
    if place is not None:
        scale, where = place
        rivals = [(choice, _measure(choice)) for choice in choices]
        near = [
            (abs(at[1] - where), index)
            for index, (_, at) in enumerate(rivals)
            if at is not None and (at[0] == scale or {at[0], scale} == {"height", "number"})
        ]
        if near:
            return choices[min(near)[1]]
    if isinstance(value, str) and len(value) <= _LONGEST:
        words = {str(choice).lower(): choice for choice in choices}
        for word in _MEANT.get(value.lower(), ()):
            if word in words:
                return words[word]
        if found := get_close_matches(value.lower(), words, n=1, cutoff=0.5):
            return words[found[0]]
        inside = [
            word for word in words if value and (value.lower() in word or word in value.lower())
        ]
        if inside:
            return words[min(inside, key=len)]
    return None
