"""The prompts: Markdown texts with named gaps, read when someone asks for them.

A text begins with lines ``key: value`` up to a line ``---``: title, description, and one line for
each gap, whose name carries a star when it must be filled.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from catalog.errors import ActionableError

TEXTS = Path(__file__).parent / "texts"
NAMES = ("text_to_image", "image_to_video", "choose_a_model")
GAP = re.compile(r"\{(\w+)\}")
MOST_CHARACTERS = 4000


@dataclass(frozen=True, slots=True)
class Gap:
    """A named place in a prompt's text that the person fills."""

    name: str
    description: str
    required: bool


@dataclass(frozen=True, slots=True)
class PromptText:
    """A way to begin: its text leads a model through the right tools in the right order."""

    name: str
    title: str
    description: str
    gaps: tuple[Gap, ...]
    text: str

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
    title, description, *gaps = lines
    return PromptText(
        name=name,
        title=title[2].strip(),
        description=description[2].strip(),
        gaps=tuple(
            Gap(key.strip().rstrip("*"), about.strip(), key.strip().endswith("*"))
            for key, _, about in gaps
        ),
        text=body.strip() + "\n",
    )


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
