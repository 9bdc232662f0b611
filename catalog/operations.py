"""What can be done to media, and by which models."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from catalog.errors import ActionableError
from catalog.nearest import nearest_name

Need = Literal["needed", "possible", "unused"]


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


def operation_meant(text: str) -> str | None:
    """Return the name of the operation that *text* is, None where it is none."""
    plain = "_".join(text.lower().replace("-", " ").split())
    plain = _OTHER_NAMES.get(plain, plain)
    return plain if plain in OPERATIONS else None


def operation_named(name: str) -> Operation:
    """Return the operation of that name; ``colorize`` and blanks for underscores serve too.

    Raises:
        ActionableError: there is none; the nearest is named.
    """
    if (known := operation_meant(name)) is not None:
        return OPERATIONS[known]
    near = nearest_name(name.strip().lower().replace(" ", "_"), OPERATIONS.keys())
    nearest = f"nearest: {near}; " if near else "words of a change are for instruct; "
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
