"""Triangles and their colours out of GLB and glTF files."""

import base64
import io
import json
import math
import struct
from array import array
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

from server.media.mesh import MOST_TRIANGLES, Colour, Mesh, Point, Triangle, too_many
from tools.errors import MediaError

_NUMBERS = {
    5120: ("b", 127),
    5121: ("B", 255),
    5122: ("h", 32767),
    5123: ("H", 65535),
    5125: ("I", 1),
    5126: ("f", 1),
}
_WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4}
_PACKED = ("KHR_draco_mesh_compression", "EXT_meshopt_compression")
_TEXTURE_PIXELS = 256
_GREY: Colour = (176, 176, 182)
_MOST_DEPTH = 200

# Column-major, as glTF writes them.
Matrix = Sequence[float]
_IDENTITY: Matrix = (1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1)


def read_gltf(path: Path) -> Mesh:
    """Return the triangles of the scene, nodes placed, coloured by material, vertex or texture.

    Raises:
        MediaError: its shapes are compressed, or lie in other files (which are not read).
        ValueError, KeyError, IndexError, TypeError: it is damaged.
    """
    return _Scene(path).mesh()


class _Scene:
    """One glTF document with its bytes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        data = path.read_bytes()
        self.binary = b""
        if data.startswith(b"glTF"):
            chunks = dict(_chunks(data))
            self.document = cast("dict[str, Any]", json.loads(chunks[b"JSON"]))
            self.binary = chunks.get(b"BIN\x00", b"")
        else:
            self.document = cast("dict[str, Any]", json.loads(data))
        packed = [name for name in self.document.get("extensionsRequired", []) if name in _PACKED]
        if packed:
            raise MediaError(f"its shapes are compressed ({packed[0]}) and cannot be drawn here")
        self.result = Mesh()
        self.textures: dict[int, _Texture | None] = {}

    def mesh(self) -> Mesh:
        """Return all triangles of the scene."""
        nodes = self.document.get("nodes", [])
        scenes = self.document.get("scenes", [])
        roots = (
            scenes[self.document.get("scene", 0)].get("nodes", []) if scenes else range(len(nodes))
        )
        for root in roots:
            self._node(root, _IDENTITY, 0)
        if not self.result.triangles and not nodes:
            for mesh in self.document.get("meshes", []):
                self._mesh(mesh, _IDENTITY)
        return self.result

    def _node(self, index: int, above: Matrix, depth: int) -> None:
        if depth > _MOST_DEPTH:
            raise ValueError("nodes lie in each other")
        node = self.document["nodes"][index]
        placed = _times(above, node["matrix"] if "matrix" in node else _placement(node))
        if "mesh" in node:
            self._mesh(self.document["meshes"][node["mesh"]], placed)
        for child in node.get("children", []):
            self._node(child, placed, depth + 1)

    def _mesh(self, mesh: dict[str, Any], placed: Matrix) -> None:
        for primitive in mesh.get("primitives", []):
            attributes = primitive["attributes"]
            if "POSITION" not in attributes:
                continue
            flat = self._numbers(attributes["POSITION"])
            points = [
                _moved(placed, flat[at], flat[at + 1], flat[at + 2])
                for at in range(0, len(flat), 3)
            ]
            order: Sequence[int] = (
                [int(value) for value in self._numbers(primitive["indices"])]
                if "indices" in primitive
                else range(len(points))
            )
            triangles = _triangles(order, primitive.get("mode", 4))
            if len(self.result.triangles) + len(triangles) > MOST_TRIANGLES:
                raise too_many(self.path)
            self.result.colours += self._colours(primitive, triangles)
            first = len(self.result.points)
            self.result.points += points
            self.result.triangles += [(a + first, b + first, c + first) for a, b, c in triangles]

    def _colours(self, primitive: dict[str, Any], triangles: list[Triangle]) -> list[Colour]:
        """Return a colour for each triangle: of its corner, of the texture there, or plain."""
        material: dict[str, Any] = {}
        if "material" in primitive:
            material = self.document["materials"][primitive["material"]]
        surface: dict[str, Any] = material.get("pbrMetallicRoughness", {})
        factor = [float(value) for value in surface.get("baseColorFactor", (1, 1, 1, 1))][:3]
        attributes = primitive["attributes"]
        if "COLOR_0" in attributes:
            width = _WIDTHS[self.document["accessors"][attributes["COLOR_0"]]["type"]]
            values = self._numbers(attributes["COLOR_0"])
            return [
                _shown([values[a * width + part] * factor[part] for part in range(3)])
                for a, _, _ in triangles
            ]
        texture = None
        if "baseColorTexture" in surface and "TEXCOORD_0" in attributes:
            texture = self._texture(surface["baseColorTexture"]["index"])
        if texture is not None:
            places = self._numbers(attributes["TEXCOORD_0"])
            return [
                texture.at(
                    (places[2 * a] + places[2 * b] + places[2 * c]) / 3,
                    (places[2 * a + 1] + places[2 * b + 1] + places[2 * c + 1]) / 3,
                )
                for a, b, c in triangles
            ]
        plain = _shown(factor) if "baseColorFactor" in surface else _GREY
        return [plain] * len(triangles)

    def _texture(self, index: int) -> "_Texture | None":
        if index not in self.textures:
            try:
                image = self.document["images"][self.document["textures"][index]["source"]]
                data = (
                    self._view(image["bufferView"])
                    if "bufferView" in image
                    else _inline(image["uri"])
                )
                self.textures[index] = _Texture(data)
            except (MediaError, KeyError, ValueError, OSError):  # the shape alone says enough
                self.textures[index] = None
        return self.textures[index]

    def _view(self, index: int) -> bytes:
        view = self.document["bufferViews"][index]
        start = view.get("byteOffset", 0)
        return self._buffer(view["buffer"])[start : start + view["byteLength"]]

    def _buffer(self, index: int) -> bytes:
        buffer = self.document["buffers"][index]
        return _inline(buffer["uri"]) if "uri" in buffer else self.binary

    def _numbers(self, index: int) -> Sequence[float]:
        """Return the values of an accessor in a row; normalised whole numbers become 0 to 1."""
        accessor = self.document["accessors"][index]
        code, full = _NUMBERS[accessor["componentType"]]
        width, count = _WIDTHS[accessor["type"]], accessor["count"]
        step = struct.calcsize(code) * width
        if "bufferView" not in accessor:
            return [0.0] * (count * width)
        stride = self.document["bufferViews"][accessor["bufferView"]].get("byteStride", step)
        start = accessor.get("byteOffset", 0)
        data = self._view(accessor["bufferView"])
        if count < 0 or start + stride * (count - 1) + step > len(data):
            raise ValueError("an accessor reaches beyond its buffer")
        if stride != step:
            data = b"".join(
                data[at : at + step] for at in range(start, start + stride * count, stride)
            )
            start = 0
        values: array[float] = array(code)
        values.frombytes(data[start : start + step * count])
        if full != 1 and accessor.get("normalized"):
            return [value / full for value in values]
        return values


class _Texture:
    """A picture on a surface, looked up by place."""

    def __init__(self, data: bytes) -> None:
        from PIL import Image

        from server.media.pixels import resized

        with Image.open(io.BytesIO(data)) as opened:
            if opened.width * opened.height > 70_000_000:
                raise ValueError("too large")
            side = (_TEXTURE_PIXELS, _TEXTURE_PIXELS)
            self.pixels = resized(opened.convert("RGB"), side).tobytes()

    def at(self, u: float, v: float) -> Colour:
        """Return the colour at *u*, *v*, each repeating from 0 to 1, from the upper left."""
        column = int(u % 1 * _TEXTURE_PIXELS) % _TEXTURE_PIXELS
        row = int(v % 1 * _TEXTURE_PIXELS) % _TEXTURE_PIXELS
        at = 3 * (row * _TEXTURE_PIXELS + column)
        return self.pixels[at], self.pixels[at + 1], self.pixels[at + 2]


def _chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    found: list[tuple[bytes, bytes]] = []
    at = 12
    while at + 8 <= len(data):
        length = int.from_bytes(data[at : at + 4], "little")
        found.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + length]))
        at += 8 + length
    return found


def _inline(uri: str) -> bytes:
    head, comma, body = uri.partition(",")
    if not head.startswith("data:") or not comma:
        raise MediaError("it keeps its shapes in other files, which are not read")
    return base64.b64decode(body)


def _triangles(order: Sequence[int], mode: int) -> list[Triangle]:
    """Return the triangles of a primitive: 4 lists them, 5 is a strip, 6 a fan, others none."""
    match mode:
        case 4:
            return list(zip(order[::3], order[1::3], order[2::3], strict=False))
        case 5:
            return list(zip(order, order[1:], order[2:], strict=False))
        case 6:
            return [(order[0], b, c) for b, c in pairwise(order[1:])]
        case _:
            return []


def _placement(node: dict[str, Any]) -> Matrix:
    """Return the matrix of a node's translation, rotation (a quaternion) and scale."""
    tx, ty, tz = node.get("translation", (0, 0, 0))
    x, y, z, w = node.get("rotation", (0, 0, 0, 1))
    sx, sy, sz = node.get("scale", (1, 1, 1))
    return (
        (1 - 2 * (y * y + z * z)) * sx, 2 * (x * y + z * w) * sx, 2 * (x * z - y * w) * sx, 0,
        2 * (x * y - z * w) * sy, (1 - 2 * (x * x + z * z)) * sy, 2 * (y * z + x * w) * sy, 0,
        2 * (x * z + y * w) * sz, 2 * (y * z - x * w) * sz, (1 - 2 * (x * x + y * y)) * sz, 0,
        tx, ty, tz, 1,
    )  # fmt: skip


def _times(left: Matrix, right: Matrix) -> Matrix:
    return [
        sum(left[row + 4 * inner] * right[inner + 4 * column] for inner in range(4))
        for column in range(4)
        for row in range(4)
    ]


def _moved(matrix: Matrix, x: float, y: float, z: float) -> Point:
    return (
        matrix[0] * x + matrix[4] * y + matrix[8] * z + matrix[12],
        matrix[1] * x + matrix[5] * y + matrix[9] * z + matrix[13],
        matrix[2] * x + matrix[6] * y + matrix[10] * z + matrix[14],
    )


def _shown(linear: Sequence[float]) -> Colour:
    """Return linear light of 0 to 1 as screen colour."""
    red, green, blue = (
        round(255 * math.pow(max(0.0, min(1.0, value)), 1 / 2.2)) for value in linear
    )
    return red, green, blue
