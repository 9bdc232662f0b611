"""What can be done to media, by which models, and where each model takes what."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from catalog.card import ModelCard
from catalog.errors import ActionableError
from catalog.nearest import nearest_name

Need = Literal["needed", "possible", "unused"]

# Fields that hold the media to change, best first, and words of fields that hold something else.
_MEDIA_FIELDS = (
    "image_url", "video_url", "input_image_url", "content_image_url", "image_urls",
    "input_image_urls", "audio_url",
)  # fmt: skip
_OTHER_MEDIA = ("mask", "reference", "ref_", "style_", "end_", "control", "garment", "background")
_REFERENCE_FIELDS = (
    "reference_image_urls", "style_image_url", "style_reference_image_url", "reference_image_url",
    "ref_image_url", "ref_image_urls", "reference_images", "image_urls",
)  # fmt: skip
_WORDS = ("object_name", "object_to_remove", "style_prompt")


@dataclass(frozen=True, slots=True)
class Operation:
    """One thing that can be done to media.

    *endpoints* names models for each kind of media, best first; *masked* those for a call that
    brings a mask, where they differ. *usual_words* is the instruction when the caller gives none.
    *fills* are values for required inputs of dedicated models, by endpoint. *drawn_from* is the
    kind of media that references are.
    """

    name: str
    does: str
    endpoints: Mapping[str, tuple[str, ...]]
    instruction: Need = "possible"
    mask: Need = "unused"
    references: Need = "unused"
    usual_words: str = ""
    masked: tuple[str, ...] = ()
    drawn_from: str = "image"
    fills: Mapping[str, Mapping[str, Any]] = field(default_factory=dict[str, Mapping[str, Any]])

    def models(self, kind: str = "image", *, mask: bool = False) -> tuple[str, ...]:
        """Return the models for media of *kind*, best first.

        Raises:
            ActionableError: nothing does this to that kind of media.
        """
        found = self.masked if mask and self.masked else self.endpoints.get(kind, ())
        if not found:
            raise ActionableError(
                f"{self.name} does not work on {kind}",
                hint=f"it works on {' and '.join(self.endpoints)}",
            )
        return found


_GENERAL = (
    "fal-ai/nano-banana-2/edit",
    "fal-ai/bytedance/seedream/v4.5/edit",
    "fal-ai/flux-2-pro/edit",
    "fal-ai/nano-banana-pro/edit",
)

OPERATIONS: Mapping[str, Operation] = {
    operation.name: operation
    for operation in (
        Operation(
            "instruct",
            "change a picture or video as the words say",
            {
                "image": (*_GENERAL, "fal-ai/flux-pro/kontext"),
                "video": (
                    "fal-ai/kling-video/o3/pro/video-to-video/edit",
                    "google/gemini-omni-flash/edit",
                ),
            },
            instruction="needed",
            references="possible",
        ),
        Operation(
            "inpaint",
            "repaint what a mask marks (white is repainted)",
            {
                "image": (
                    "fal-ai/flux-pro/v1/fill",
                    "fal-ai/qwen-image-edit/inpaint",
                    "bria/genfill/v2",
                )
            },
            instruction="needed",
            mask="needed",
        ),
        Operation(
            "outpaint",
            "extend a picture beyond its edges",
            {"image": ("fal-ai/image-apps-v2/outpaint", "fal-ai/flux-2-pro/outpaint")},
            fills={
                "fal-ai/flux-2-pro/outpaint": {
                    f"expand_{side}": 256 for side in ("top", "bottom", "left", "right")
                }
            },
        ),
        Operation(
            "reframe",
            "show it in another shape, such as 9:16, with what was beside it invented",
            {
                "image": ("fal-ai/image-editing/reframe",),
                "video": ("fal-ai/ltx-2.3/reframe", "fal-ai/wan-vace-14b/reframe"),
            },
        ),
        Operation(
            "upscale",
            "enlarge and sharpen",
            {
                "image": (
                    "fal-ai/seedvr/upscale/image",
                    "fal-ai/recraft/upscale/crisp",
                    "fal-ai/clarity-upscaler",
                ),
                "video": ("fal-ai/seedvr/upscale/video", "topaz/upscale/video/precision"),
            },
            instruction="possible",
        ),
        Operation(
            "remove_background",
            "cut out the subject",
            {
                "image": (
                    "fal-ai/bria/background/remove",
                    "pixelcut/background-removal",
                    "fal-ai/birefnet/v2",
                ),
                "video": ("bria/video/background-removal/v3", "veed/video-background-removal/fast"),
            },
            instruction="unused",
        ),
        Operation(
            "replace_background",
            "put the subject before another background",
            {"image": ("fal-ai/bria/background/replace", *_GENERAL[:2])},
            instruction="needed",
            references="possible",
        ),
        Operation(
            "erase",
            "remove what a mask marks or the words name",
            {
                "image": ("fal-ai/object-removal", "fal-ai/finegrain-eraser"),
                "video": ("bria/video/erase/prompt",),
            },
            masked=(
                "fal-ai/bria/eraser",
                "fal-ai/object-removal/mask",
                "fal-ai/finegrain-eraser/mask",
            ),
            mask="possible",
        ),
        Operation(
            "restyle",
            "redraw in another style",
            {
                "image": ("fal-ai/nano-banana-2/edit", "fal-ai/image-editing/style-transfer"),
                "video": ("decart/lucy-restyle",),
            },
            instruction="needed",
            references="possible",
        ),
        Operation(
            "combine",
            "make one picture from several",
            {"image": _GENERAL},
            instruction="needed",
            references="needed",
        ),
        Operation(
            "relight",
            "change the light",
            {"image": ("fal-ai/nano-banana-2/edit", "fal-ai/iclight-v2", "fal-ai/control-light")},
            instruction="needed",
        ),
        Operation(
            "colourise",
            "colour a black and white picture, or restore an old one",
            {"image": ("fal-ai/nano-banana-2/edit", "bria/fibo-edit/colorize")},
            usual_words="Colourise this photograph with natural colours and change nothing else",
            fills={"bria/fibo-edit/colorize": {"color": "contemporary color"}},
        ),
        Operation(
            "extend",
            "continue a video or a sound beyond its end",
            {
                "video": (
                    "fal-ai/ltx-2.3/extend-video",
                    "fal-ai/veo3.1/fast/extend-video",
                    "fal-ai/pixverse/v6/extend",
                ),
                "audio": ("mirelo-ai/sfx1.6/extend-audio",),
            },
            usual_words="Continue naturally",
        ),
        Operation(
            "lip_sync",
            "move the lips of a video or portrait to a sound, given in references",
            {
                "video": ("fal-ai/sync-lipsync/v2", "veed/lipsync/v2", "fal-ai/latentsync"),
                "image": (
                    "fal-ai/bytedance/omnihuman/v1.5",
                    "fal-ai/sync-lipsync/v3/image-to-video",
                ),
            },
            references="needed",
            drawn_from="audio",
        ),
        Operation(
            "add_sound",
            "give a video sound that fits",
            {"video": ("fal-ai/mmaudio-v2", "mirelo-ai/sfx1.6/video-to-video")},
            usual_words="Natural sound that fits what is seen",
        ),
        Operation(
            "separate",
            "part a song into voice and instruments, or take out what the words name",
            {"audio": ("fal-ai/demucs", "fal-ai/sam-audio/separate")},
        ),
        Operation(
            "clean",
            "take noise out of a recording",
            {"audio": ("fal-ai/deepfilternet3", "fal-ai/elevenlabs/audio-isolation")},
            instruction="unused",
        ),
        Operation(
            "change_voice",
            "speak a recording in another voice: one of the model's, or that of a reference",
            {
                "audio": (
                    "fal-ai/elevenlabs/voice-changer",
                    "fal-ai/chatterbox/speech-to-speech",
                )
            },
            instruction="unused",
            references="possible",
            drawn_from="audio",
        ),
    )
}


@dataclass(frozen=True, slots=True)
class Fitting:
    """Where a card takes what an operation brings; empty names mean that it takes none.

    *media_list* and *references_list* tell whether those fields hold lists; where *references* is
    the same field as *media*, the media to change comes first. *missing* are required inputs that
    the caller's own arguments must bring.
    """

    operation: Operation
    endpoint_id: str
    media: str
    media_list: bool
    kind: str
    mask: str = ""
    references: str = ""
    references_list: bool = False
    instruction: str = ""
    shape: str = ""
    fills: Mapping[str, Any] = field(default_factory=dict[str, Any])
    missing: tuple[str, ...] = ()

    def arguments(
        self, media: str, instruction: str = "", mask: str = "", references: Sequence[str] = ()
    ) -> dict[str, Any]:
        """Return the card's arguments for one edit.

        Raises:
            ActionableError: something is given that the card does not take, or needed and missing.
        """
        arguments: dict[str, Any] = dict(self.fills)
        if self.shape and (ratio := _ratio(instruction)):
            arguments[self.shape] = ratio
            instruction = instruction if self.instruction else ""
        words = instruction or (self.operation.usual_words if self.instruction else "")
        self._settle("instruction", words, self.operation.instruction, self.instruction)
        self._settle("mask", mask, self.operation.mask, self.mask)
        self._settle("references", list(references), self.operation.references, self.references)
        if self.operation.name == "erase" and not (mask or words):
            raise ActionableError("erase needs a mask or words", hint="say or mark what to remove")
        arguments[self.media] = [media] if self.media_list else media
        if references and self.references == self.media:
            arguments[self.media] = [media, *references]
        elif references and not self.references_list and len(references) > 1:
            raise ActionableError(
                f"{self.endpoint_id} takes one reference, {len(references)} were given",
                hint=f"give one, or use {self.operation.models(self.kind)[0]}",
            )
        elif references:
            arguments[self.references] = list(references) if self.references_list else references[0]
        if mask:
            arguments[self.mask] = mask
        if words:
            arguments[self.instruction] = words
        return arguments

    def _settle(self, what: str, given: object, need: Need, held: str) -> None:
        if given and not held:
            raise ActionableError(
                f"{self.endpoint_id} takes no {what}",
                hint=f"leave it out, or choose another model for {self.operation.name}",
            )
        if need == "needed" and not given:
            needed, hint = _NEEDED[what]
            raise ActionableError(f"{self.operation.name} needs {needed}", hint=hint)


_NEEDED = {
    "mask": (
        "a mask",
        "give mask, a picture of the same size, white where to change; instruct needs none",
    ),
    "instruction": ("an instruction", "give instruction, the change in plain words"),
    "references": ("references", "give references, the other pictures to use"),
}


_SHAPES = {
    "9:16": ("vertical", "portrait", "upright", "tiktok", "reel", "story", "shorts", "phone"),
    "16:9": ("landscape", "horizontal", "widescreen", "wide", "youtube", "tv"),
    "1:1": ("square",),
}


def _ratio(words: str) -> str:
    """Return the aspect ratio that *words* name, such as ``9:16`` or "vertical", or nothing."""
    if told := re.search(r"\b(\d{1,2})\s?[:x]\s?(\d{1,2})\b", words):
        return f"{told[1]}:{told[2]}"
    said = re.findall(r"[a-z]+", words.lower())
    return next((ratio for ratio, names in _SHAPES.items() if {*names} & {*said}), "")


def operation_named(name: str) -> Operation:
    """Return the operation of that name; ``colorize`` and blanks for underscores serve too.

    Raises:
        ActionableError: there is none; the nearest is named.
    """
    plain = name.strip().lower().replace(" ", "_").replace("-", "_")
    plain = _OTHER_NAMES.get(plain, plain)
    if plain in OPERATIONS:
        return OPERATIONS[plain]
    near = nearest_name(plain, OPERATIONS.keys())
    nearest = f"nearest: {near}; " if near else ""
    raise ActionableError(
        f"no operation {name[:40]!r}", hint=f"{nearest}there are {', '.join(OPERATIONS)}"
    )


_OTHER_NAMES = {
    "colorize": "colourise",
    "colorise": "colourise",
    "colourize": "colourise",
    "edit": "instruct",
    "fill": "inpaint",
    "expand": "outpaint",
    "enlarge": "upscale",
    "enhance": "upscale",
    "cutout": "remove_background",
    "remove": "erase",
    "remove_object": "erase",
    "style": "restyle",
    "style_transfer": "restyle",
    "compose": "combine",
    "merge": "combine",
    "background_removal": "remove_background",
    "change_background": "replace_background",
    "aspect_ratio": "reframe",
    "resize": "reframe",
    "crop": "reframe",
    "lengthen": "extend",
    "continue": "extend",
    "lipsync": "lip_sync",
    "talk": "lip_sync",
    "sound": "add_sound",
    "add_audio": "add_sound",
    "foley": "add_sound",
    "stems": "separate",
    "split": "separate",
    "denoise": "clean",
    "clean_audio": "clean",
    "voice": "change_voice",
    "voice_change": "change_voice",
}


def fit(card: ModelCard, operation: Operation | str) -> Fitting:
    """Return which inputs of *card* take the media, mask, references and words of *operation*.

    Raises:
        ActionableError: the card takes no media, no mask where one is needed, or no words.
    """
    wanted = operation_named(operation) if isinstance(operation, str) else operation
    media = _media_field(card)
    if not media:
        raise ActionableError(
            f"{card.endpoint_id} takes no media to {wanted.name}",
            hint=f"one that does: {next(iter(wanted.endpoints.values()))[0]}",
        )
    kind = card.media_in[media]
    mask = next((name for name in card.media_in if "mask" in name), "")
    references = _reference_field(card, media, wanted.drawn_from)
    words = _instruction_field(card)
    _must(card, wanted, "mask", mask, wanted.mask == "needed")
    _must(card, wanted, "references", references, wanted.references == "needed")
    _must(card, wanted, "instruction", words, wanted.instruction == "needed")
    if wanted.name == "erase":
        _must(card, wanted, "mask or words", mask or words, True)
    fills = {**wanted.fills.get(card.endpoint_id, {})}
    covered = {media, mask, words, *fills}
    if wanted.references == "needed":
        covered.add(references)
    missing = tuple(
        name
        for name in card.required
        if name not in covered and "default" not in card.properties[name]
    )
    return Fitting(
        operation=wanted,
        endpoint_id=card.endpoint_id,
        media=media,
        media_list=_is_list(card, media),
        kind=kind,
        mask=mask,
        references=references,
        references_list=bool(references) and _is_list(card, references),
        instruction=words,
        shape="aspect_ratio" if "aspect_ratio" in card.properties else "",
        fills=fills,
        missing=missing,
    )


def _must(card: ModelCard, operation: Operation, what: str, held: str, needed: bool) -> None:
    if needed and not held:
        models = operation.masked or next(iter(operation.endpoints.values()))
        raise ActionableError(
            f"{card.endpoint_id} takes no {what}, which {operation.name} needs",
            hint=f"models that do: {', '.join(models[:3])}",
        )


def _is_list(card: ModelCard, name: str) -> bool:
    return card.properties[name].get("type") == "array"


def _media_field(card: ModelCard) -> str:
    """Return the input that takes the media to change."""
    own = [
        name
        for name, kind in card.media_in.items()
        if kind in ("image", "video", "audio") and not any(word in name for word in _OTHER_MEDIA)
    ]
    required = [name for name in own if name in card.required]
    kind = card.category.split("-to-")[0]
    suited = [name for name in required or own if card.media_in[name] == kind]
    ranked = sorted(
        suited or required or own,
        key=lambda name: _MEDIA_FIELDS.index(name) if name in _MEDIA_FIELDS else len(_MEDIA_FIELDS),
    )
    return ranked[0] if ranked else ""


def _reference_field(card: ModelCard, media: str, kind: str) -> str:
    """Return the input that takes further media of *kind*."""
    if kind != "image":
        held = [name for name, taken in card.media_in.items() if taken == kind and name != media]
        return held[0] if held else ""
    if _is_list(card, media):
        return media
    return next(
        (
            name
            for name in _REFERENCE_FIELDS
            if card.media_in.get(name) == "image" and name != media
        ),
        "",
    )


def _instruction_field(card: ModelCard) -> str:
    if card.text_field:
        return card.text_field
    return next((name for name in _WORDS if name in card.properties), "")
