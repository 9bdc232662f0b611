"""Where a model takes what an operation brings."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from catalog.card import ModelCard
from catalog.errors import ActionableError
from catalog.operations import Need, Operation, operation_named

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
            if what == "references" and self.operation.drawn_from == "audio":
                hint = "give references, the recording that is to be heard"
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
