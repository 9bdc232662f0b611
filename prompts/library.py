"""The prompts: Markdown texts with named gaps, read when someone asks for them.

A text begins with lines ``key: value`` up to a line ``---``: title, description, for a prompt the
tools that it leads through, and one line for each gap, whose name carries a star when it must be
filled. A gap's line may end in what it can be: ``[photo | icon]``, or ``[@image]`` for what a
running server knows.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from catalog.errors import ActionableError

TEXTS = Path(__file__).parent / "texts"
NAMES = (
    "text_to_image",
    "image_to_video",
    "edit_with_words",
    "product_photos",
    "consistent_character",
    "restore_an_old_photo",
    "talking_portrait",
    "narration_with_sound",
    "storyboard_to_film",
    "choose_a_model",
    "compare_models",
    "batch_under_a_budget",
    "fix_a_failing_call",
    "write_client_code",
    "train_a_style",
    "deploy_a_model",
    "make_an_app_cheaper",
)
GAP = re.compile(r"\{(\w+)\}")
CHOICES = re.compile(r"\s*\[([^\]]+)\]$")
MOST_CHARACTERS = 4000


@dataclass(frozen=True, slots=True)
class Gap:
    """A named place in a prompt's text that the person fills."""

    name: str
    description: str
    required: bool
    choices: tuple[str, ...] = ()
    """Values to offer; any other may be given. One that begins with @ names what a server knows."""


@dataclass(frozen=True, slots=True)
class PromptText:
    """A way to begin: its text leads a model through the right tools in the right order."""

    name: str
    title: str
    description: str
    gaps: tuple[Gap, ...]
    text: str
    tools: tuple[str, ...] = ()

    @property
    def gist(self) -> str:
        """The first paragraph after the heading, on one line."""
        paragraphs = self.text.split("\n\n")
        first = paragraphs[1] if self.text.startswith("# ") and paragraphs[1:] else paragraphs[0]
        return " ".join(first.split())

    def filled(self, values: Mapping[str, object]) -> str:
        """Return the text with *values* in its gaps; an optional gap left out reads "not said".

        Raises:
            ActionableError: a required gap is empty, or there is no gap of that name.
        """
        names = [gap.name for gap in self.gaps]
        for name in values:
            if name not in names:
                raise ActionableError(
                    f"{self.name} has no gap {name[:60]!r}", hint=f"it takes {', '.join(names)}"
                )
        for gap in self.gaps:
            if gap.required and not str(values.get(gap.name, "")).strip():
                raise ActionableError(f"{gap.name} is missing", hint=gap.description)

        def value(match: re.Match[str]) -> str:
            given = str(values.get(match[1], "")).strip()
            return given[:MOST_CHARACTERS] or "not said"

        return GAP.sub(value, self.text)


def read(name: str, folder: Path = TEXTS) -> PromptText:
    """Return the text called *name* from its file in *folder*."""
    head, _, body = (folder / f"{name}.md").read_text("utf-8").partition("\n---\n")
    lines = [line.partition(": ") for line in head.splitlines() if line.strip()]
    title, description, *rest = lines
    tools = rest.pop(0)[2] if rest and rest[0][0] == "tools" else ""
    return PromptText(
        name=name,
        title=title[2].strip(),
        description=description[2].strip(),
        gaps=tuple(_gap(key.strip(), about.strip()) for key, _, about in rest),
        text=body.strip() + "\n",
        tools=tuple(tool.strip() for tool in tools.split(",") if tool.strip()),
    )


def _gap(key: str, about: str) -> Gap:
    found = CHOICES.search(about)
    choices = tuple(one.strip() for one in found[1].split("|")) if found else ()
    return Gap(key.rstrip("*"), CHOICES.sub("", about), key.endswith("*"), choices)


class Library(Mapping[str, PromptText]):
    """The texts of a folder by name, in their order; each is read when it is first asked for."""

    def __init__(self, names: tuple[str, ...], folder: Path = TEXTS) -> None:
        self._names = names
        self._folder = folder
        self._read: dict[str, PromptText] = {}

    def __getitem__(self, name: str) -> PromptText:
        if name not in self._names:
            raise KeyError(name)
        if name not in self._read:
            self._read[name] = read(name, self._folder)
        return self._read[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


PROMPTS = Library(NAMES)


def offered(tools: Collection[str]) -> dict[str, PromptText]:
    """Return the prompts, by name and in their order, that need none but these *tools*."""
    return {name: one for name, one in PROMPTS.items() if set(one.tools) <= set(tools)}
