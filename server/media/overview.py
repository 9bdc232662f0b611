"""Many files on one picture, each with a caption: what a batch made, at a glance."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.ports import Picture

OVERVIEW_PIXELS = 1600
OVERVIEW_BYTES = 600_000


@dataclass(frozen=True, slots=True)
class Tile:
    """One place of an overview: a file, or None where there is nothing to show, and its caption."""

    caption: str
    path: Path | None


def overview(tiles: Sequence[Tile], *, size: int = OVERVIEW_PIXELS) -> Picture:
    """Return *tiles* as one JPEG, in rows, *size* pixels on its longest side at most. Blocks.

    A video shows its middle, a sound its waveform, a mesh its sides. What does not open, or has
    nothing to look at, is an empty place with its caption. Equal files make equal bytes.
    """
    from server.media.tiles import arranged

    return arranged(tiles, size, OVERVIEW_BYTES)
