"""Triangles out of mesh files: GLB and glTF, OBJ, STL, PLY."""

import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice, pairwise
from pathlib import Path

from tools.errors import MediaError

Point = tuple[float, float, float]
Triangle = tuple[int, int, int]
Colour = tuple[int, int, int]

# Bounds of what is read to be drawn; larger meshes are described without a drawing.
MOST_BYTES = 300_000_000
MOST_TRIANGLES = 1_500_000


@dataclass(slots=True)
class Mesh:
    """Triangles in a space with x to the right, y up and z towards the viewer.

    *triangles* are positions in *points*; *colours* has one entry for each triangle, or none.
    """

    points: list[Point] = field(default_factory=list[Point])
    triangles: list[Triangle] = field(default_factory=list[Triangle])
    colours: list[Colour] = field(default_factory=list[Colour])

    @property
    def triangle_count(self) -> int:
        return len(self.triangles)

    @property
    def vertex_count(self) -> int:
        return len(self.points)

    @property
    def bounds(self) -> tuple[Point, Point]:
        """The lowest and highest corner of the box around all points."""
        across = list(zip(*self.points, strict=True))
        low = (min(across[0]), min(across[1]), min(across[2]))
        high = (max(across[0]), max(across[1]), max(across[2]))
        return low, high

    @property
    def extent(self) -> Point:
        """Width, depth and height in the file's own units."""
        low, high = self.bounds
        return high[0] - low[0], high[2] - low[2], high[1] - low[1]


def read_mesh(path: Path, media_type: str) -> Mesh:
    """Return the triangles of the mesh at *path*. Blocks.

    Raises:
        MediaError: the format cannot be read here, or the file is damaged or too large to draw.
    """
    if path.stat().st_size > MOST_BYTES:
        raise MediaError(f"{path.name!r} is too large to draw", hint="open it in a 3D viewer")
    try:
        match media_type:
            case "model/gltf-binary" | "model/gltf+json":
                from server.media.gltf import read_gltf

                mesh = read_gltf(path)
            case "model/obj":
                mesh = _obj(path)
            case "model/stl":
                mesh = _stl(path)
            case "model/ply":
                mesh = _ply(path)
            case _:
                raise MediaError(f"{media_type} cannot be drawn here", hint="export it as GLB")
    except (
        ValueError,
        IndexError,
        KeyError,
        TypeError,
        struct.error,
        StopIteration,
        RecursionError,
    ):
        raise MediaError(f"{path.name!r} is a damaged mesh", hint="export it again") from None
    if not mesh.triangles:
        raise MediaError(f"{path.name!r} holds no triangles", hint="export it as triangles")
    if max(max(triangle) for triangle in mesh.triangles) >= len(mesh.points):
        raise MediaError(f"{path.name!r} is a damaged mesh", hint="export it again")
    return mesh


def too_many(path: Path) -> MediaError:
    """Return the refusal of a mesh that has more triangles than are drawn."""
    return MediaError(
        f"{path.name!r} has over {MOST_TRIANGLES:,} triangles, too many to draw",
        hint="open it in a 3D viewer",
    )


def _fan(corners: list[int]) -> Iterator[Triangle]:
    """Yield the triangles of a convex polygon."""
    for second, third in pairwise(corners[1:]):
        yield corners[0], second, third


def _obj(path: Path) -> Mesh:
    mesh = Mesh()
    with path.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            words = line.split()
            if not words:
                continue
            if words[0] == "v":
                mesh.points.append((float(words[1]), float(words[2]), float(words[3])))
            elif words[0] == "f":
                corners = [int(word.partition("/")[0]) for word in words[1:]]
                at = len(mesh.points)
                mesh.triangles += _fan(
                    [corner - 1 if corner > 0 else at + corner for corner in corners]
                )
                if len(mesh.triangles) > MOST_TRIANGLES:
                    raise too_many(path)
    return mesh


def _stl(path: Path) -> Mesh:
    """Read an STL, whose z points up by custom."""
    data = path.read_bytes()
    count = int.from_bytes(data[80:84], "little")
    corners: Iterator[Point]
    if len(data) == 84 + 50 * count:
        if count > MOST_TRIANGLES:
            raise too_many(path)
        corners = (
            (numbers[at], numbers[at + 1], numbers[at + 2])
            for numbers in struct.iter_unpack("<12fH", data[84:])
            for at in (3, 6, 9)
        )
    else:
        found = re.finditer(rb"vertex\s+(\S+)\s+(\S+)\s+(\S+)", data)
        corners = (
            (float(match[1]), float(match[2]), float(match[3]))
            for match in islice(found, 3 * MOST_TRIANGLES)
        )
    return _welded((x, z, -y) for x, y, z in corners)


def _welded(corners: Iterator[Point]) -> Mesh:
    """Return a mesh of *corners*, three to a triangle, equal ones stored once."""
    mesh = Mesh()
    places: dict[Point, int] = {}
    order = [places.setdefault(corner, len(places)) for corner in corners]
    mesh.points = list(places)
    mesh.triangles = list(zip(order[::3], order[1::3], order[2::3], strict=True))
    return mesh


_PLY_NUMBERS = {
    "char": "b", "int8": "b", "uchar": "B", "uint8": "B", "short": "h", "int16": "h",
    "ushort": "H", "uint16": "H", "int": "i", "int32": "i", "uint": "I", "uint32": "I",
    "float": "f", "float32": "f", "double": "d", "float64": "d",
}  # fmt: skip


@dataclass(slots=True)
class _Element:
    """One element of a PLY header; its properties are (name, number, number of a list's length)."""

    name: str
    count: int
    properties: list[tuple[str, str, str]] = field(default_factory=list[tuple[str, str, str]])


def _ply(path: Path) -> Mesh:
    data = path.read_bytes()
    end = data.index(b"end_header") + len("end_header")
    start = data.index(b"\n", end) + 1
    header = data[:end].decode("ascii", errors="replace").split("\n")
    form = ""
    elements: list[_Element] = []
    for line in header:
        match line.split():
            case ["format", form, _]:
                pass
            case ["element", name, count]:
                elements.append(_Element(name, int(count)))
            case ["property", "list", length, number, name]:
                elements[-1].properties.append((name, _PLY_NUMBERS[number], _PLY_NUMBERS[length]))
            case ["property", number, name]:
                elements[-1].properties.append((name, _PLY_NUMBERS[number], ""))
            case _:
                pass
    if form == "ascii":
        words = iter(data[start:].split())
        return _ply_mesh(path, elements, lambda number: float(next(words)))
    order = "<" if form == "binary_little_endian" else ">"
    at = start

    def take(number: str) -> float:
        nonlocal at
        (value,) = struct.unpack_from(order + number, data, at)
        at += struct.calcsize(order + number)
        return value

    return _ply_mesh(path, elements, take)


def _ply_mesh(path: Path, elements: list[_Element], take: Callable[[str], float]) -> Mesh:
    mesh = Mesh()
    colours: list[Colour] = []
    for element in elements:
        for _ in range(element.count):
            values: dict[str, float] = {}
            corners: list[int] = []
            for name, number, length in element.properties:
                if length:
                    corners = [int(take(number)) for _ in range(int(take(length)))]
                else:
                    values[name] = take(number)
            if element.name == "vertex":
                mesh.points.append((values["x"], values["y"], values["z"]))
                if "red" in values:
                    colours.append((int(values["red"]), int(values["green"]), int(values["blue"])))
            elif element.name == "face":
                mesh.triangles += _fan(corners)
                if len(mesh.triangles) > MOST_TRIANGLES:
                    raise too_many(path)
    if colours and len(colours) == len(mesh.points):
        mesh.colours = [colours[triangle[0]] for triangle in mesh.triangles]
    return mesh
