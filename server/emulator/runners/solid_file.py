"""Solids as files: GLB, OBJ, STL, PLY and USDZ, each with a note that it is a local preview."""

import io
import json
import struct
import zipfile
from collections.abc import Callable, Sequence
from typing import Any

from PIL import Image, ImageDraw

from server.emulator.runners.canvas import gradient
from server.emulator.runners.label import stamped
from server.emulator.runners.palette import shade
from server.emulator.runners.request import Request
from server.emulator.runners.solids import Part, Solid, Vector
from server.emulator.runners.words import Colour
from server.emulator.work import Made

NOTE = "Local preview made by falkit's embedded platform; not the output of the named model."
# Everything in an archive carries this date, so that the same task gives the same bytes.
_DATE = (2026, 1, 1, 0, 0, 0)


def keep_solid(solid: Solid, request: Request, form: str, *, moves: bool = False) -> Made:
    """Write *solid* as *form*, one of `FORMS`, and return it."""
    write, media_type = _FORMS[form]
    path = request.new_file("model", f".{form}")
    note = f"{NOTE} Model: {request.task.endpoint_id}. Seed: {request.seed}."
    path.write_bytes(glb(solid, note, moves=moves) if form == "glb" else write(solid, note))
    return Made(path, media_type)


def glb(solid: Solid, note: str, *, moves: bool = False) -> bytes:
    """Return *solid* as binary glTF 2.0; with *moves* it turns once around in four seconds.

    After the specification of the Khronos Group, version 2.0, section 4.4 (GLB).
    """
    blob = bytearray()
    document: dict[str, Any] = {
        "asset": {
            "version": "2.0",
            "generator": "falkit local preview",
            "copyright": note,
            "extras": {"local_preview": True, "note": note},
        },
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0, "name": "local preview"}],
        "meshes": [{"primitives": []}],
        "materials": [],
        "accessors": [],
        "bufferViews": [],
    }
    for place, part in enumerate(solid.parts):
        document["meshes"][0]["primitives"].append(_primitive(document, blob, part, place))
        document["materials"].append(_material(part))
    if solid.picture is not None:
        _dress(document, blob, solid.picture)
    if moves:
        _animate(document, blob)
    document["buffers"] = [{"byteLength": len(blob)}]
    text = json.dumps(document, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 4)
    blob += bytes(-len(blob) % 4)
    chunks = struct.pack("<II", len(text), 0x4E4F534A) + text
    chunks += struct.pack("<II", len(blob), 0x004E4942) + bytes(blob)
    return struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks


def _view(document: dict[str, Any], blob: bytearray, data: bytes, target: int = 0) -> int:
    blob += bytes(-len(blob) % 4)
    view = {"buffer": 0, "byteOffset": len(blob), "byteLength": len(data)}
    document["bufferViews"].append({**view, "target": target} if target else view)
    blob += data
    return len(document["bufferViews"]) - 1


def _accessor(
    document: dict[str, Any], blob: bytearray, rows: Sequence[Sequence[float]], target: int = 34_962
) -> int:
    width = len(rows[0])
    data = b"".join(struct.pack(f"<{width}f", *row) for row in rows)
    document["accessors"].append(
        {
            "bufferView": _view(document, blob, data, target),
            "componentType": 5126,
            "count": len(rows),
            "type": {1: "SCALAR", 2: "VEC2", 3: "VEC3", 4: "VEC4"}[width],
            "min": [
                struct.unpack("<f", struct.pack("<f", min(row[i] for row in rows)))[0]
                for i in range(width)
            ],
            "max": [
                struct.unpack("<f", struct.pack("<f", max(row[i] for row in rows)))[0]
                for i in range(width)
            ],
        }
    )
    return len(document["accessors"]) - 1


def _primitive(document: dict[str, Any], blob: bytearray, part: Part, place: int) -> dict[str, Any]:
    attributes = {
        "POSITION": _accessor(document, blob, part.points),
        "NORMAL": _accessor(document, blob, [_unit(normal) for normal in part.normals]),
    }
    if part.spots:
        attributes["TEXCOORD_0"] = _accessor(document, blob, part.spots)
    data = struct.pack(f"<{len(part.triangles)}I", *part.triangles)
    document["accessors"].append(
        {
            "bufferView": _view(document, blob, data, 34_963),
            "componentType": 5125,
            "count": len(part.triangles),
            "type": "SCALAR",
        }
    )
    indices = len(document["accessors"]) - 1
    return {"attributes": attributes, "indices": indices, "material": place}


def _unit(vector: Vector) -> Vector:
    length = sum(value * value for value in vector) ** 0.5
    return (
        (vector[0] / length, vector[1] / length, vector[2] / length) if length else (0.0, 1.0, 0.0)
    )


def _material(part: Part) -> dict[str, Any]:
    # Colour factors are linear light, colours here are as screens show them.
    linear = [round((value / 255) ** 2.2, 5) for value in part.colour]
    surface: dict[str, Any] = {
        "baseColorFactor": [*linear, 1.0],
        "metallicFactor": 0.0,
        "roughnessFactor": 0.7,
    }
    if part.spots:
        surface["baseColorTexture"] = {"index": 0}
    return {"pbrMetallicRoughness": surface, "doubleSided": True}


def _dress(document: dict[str, Any], blob: bytearray, picture: Image.Image) -> None:
    held = io.BytesIO()
    stamped(picture.copy()).save(held, "JPEG", quality=88)
    view = _view(document, blob, held.getvalue())
    document["images"] = [{"bufferView": view, "mimeType": "image/jpeg"}]
    document["textures"] = [{"source": 0}]


def _animate(document: dict[str, Any], blob: bytearray) -> None:
    times = [(float(step),) for step in range(5)]
    half = 0.70710678
    turns = [
        (0.0, 0.0, 0.0, 1.0),
        (0.0, half, 0.0, half),
        (0.0, 1.0, 0.0, 0.0),
        (0.0, half, 0.0, -half),
        (0.0, 0.0, 0.0, -1.0),
    ]
    sampler = {
        "input": _accessor(document, blob, times, 0),
        "output": _accessor(document, blob, turns, 0),
    }
    channel = {"sampler": 0, "target": {"node": 0, "path": "rotation"}}
    document["animations"] = [{"name": "turn", "samplers": [sampler], "channels": [channel]}]


def _obj(solid: Solid, note: str) -> bytes:
    lines = [f"# {note}", "o local_preview"]
    start = 1
    for place, part in enumerate(solid.parts):
        lines += [f"v {x:.5f} {y:.5f} {z:.5f}" for x, y, z in part.points]
        lines += [f"vn {x:.4f} {y:.4f} {z:.4f}" for x, y, z in part.normals]
        lines.append(f"usemtl part_{place}")
        lines += [
            "f "
            + " ".join(
                f"{start + corner}//{start + corner}" for corner in part.triangles[at : at + 3]
            )
            for at in range(0, len(part.triangles), 3)
        ]
        start += len(part.points)
    return ("\n".join(lines) + "\n").encode()


def _mtl(solid: Solid, note: str) -> bytes:
    lines = [f"# {note}"]
    for place, part in enumerate(solid.parts):
        shares = " ".join(f"{value / 255:.3f}" for value in part.colour)
        lines += [f"newmtl part_{place}", f"Kd {shares}", "illum 1"]
    return ("\n".join(lines) + "\n").encode()


def _stl(solid: Solid, note: str) -> bytes:
    data = bytearray(note.encode()[:80].ljust(80))
    data += struct.pack("<I", solid.triangle_count)
    for part in solid.parts:
        for at in range(0, len(part.triangles), 3):
            corners = [part.points[corner] for corner in part.triangles[at : at + 3]]
            normal = _unit(part.normals[part.triangles[at]])
            data += struct.pack("<12fH", *normal, *corners[0], *corners[1], *corners[2], 0)
    return bytes(data)


def _ply(solid: Solid, note: str) -> bytes:
    count = sum(len(part.points) for part in solid.parts)
    lines = [
        *("ply", "format ascii 1.0", f"comment {note}", f"element vertex {count}"),
        *(f"property float {axis}" for axis in "xyz"),
        *(f"property uchar {ink}" for ink in ("red", "green", "blue")),
        f"element face {solid.triangle_count}",
        "property list uchar int vertex_indices",
        "end_header",
    ]
    faces: list[str] = []
    start = 0
    for part in solid.parts:
        ink = " ".join(str(value) for value in part.colour)
        lines += [f"{x:.5f} {y:.5f} {z:.5f} {ink}" for x, y, z in part.points]
        for at in range(0, len(part.triangles), 3):
            corners = part.triangles[at : at + 3]
            faces.append(f"3 {start + corners[0]} {start + corners[1]} {start + corners[2]}")
        start += len(part.points)
    return ("\n".join([*lines, *faces]) + "\n").encode()


def _usdz(solid: Solid, note: str) -> bytes:
    """An archive without compression whose file begins at a multiple of 64 bytes (USDZ, 1.3)."""
    text = [
        f'#usda 1.0\n(\n doc = "{note}"\n upAxis = "Y"\n defaultPrim = "preview"\n)\n',
        'def Xform "preview"\n{\n',
    ]
    for place, part in enumerate(solid.parts):
        points = ", ".join(f"({x:.5f}, {y:.5f}, {z:.5f})" for x, y, z in part.points)
        colour = ", ".join(f"{(value / 255) ** 2.2:.4f}" for value in part.colour)
        counts = ", ".join(["3"] * (len(part.triangles) // 3))
        corners = ", ".join(str(corner) for corner in part.triangles)
        text.append(
            f' def Mesh "part_{place}"\n {{\n  int[] faceVertexCounts = [{counts}]\n'
            f"  int[] faceVertexIndices = [{corners}]\n  point3f[] points = [{points}]\n"
            f"  color3f[] primvars:displayColor = [({colour})]\n"
            '  uniform token subdivisionScheme = "none"\n }\n'
        )
    text.append("}\n")
    info = zipfile.ZipInfo("preview.usda", _DATE)
    info.extra = struct.pack("<HH", 0x1986, 18) + bytes(18)  # 30 + 12 + 22 bytes before the data
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(info, "".join(text))
    return held.getvalue()


_FORMS: dict[str, tuple[Callable[[Solid, str], bytes], str]] = {
    "glb": (glb, "model/gltf-binary"),
    "obj": (_obj, "text/plain"),
    "mtl": (_mtl, "text/plain"),
    "stl": (_stl, "model/stl"),
    "ply": (_ply, "application/octet-stream"),
    "usdz": (_usdz, "model/vnd.usdz+zip"),
}
FORMS = tuple(_FORMS)


def rendered(solid: Solid, size: tuple[int, int]) -> Image.Image:
    """*solid* seen from the front left and a little above, on a soft ground (RGB, labelled)."""
    width, height = size[0] * 2, size[1] * 2
    sheet = gradient((width, height), [(0.0, (214, 222, 232)), (1.0, (150, 162, 178))])
    pen = ImageDraw.Draw(sheet)
    scale = min(width, height) * 0.36
    faces: list[tuple[float, list[tuple[float, float]], Colour]] = []
    for part in solid.parts:
        points = [_seen(point) for point in part.points]
        for at in range(0, len(part.triangles), 3):
            corners = part.triangles[at : at + 3]
            seen = [points[corner] for corner in corners]
            light = _seen(part.normals[corners[0]])
            bright = (0.6 * light[1] + 0.55 * light[2] - 0.35 * light[0]) * 0.6 - 0.3
            ink = shade(_ink(solid, part, corners[0]), max(-0.6, min(0.35, bright)))
            place = [(width / 2 + x * scale, height * 0.86 - y * scale) for x, y, _ in seen]
            faces.append((sum(z for _, _, z in seen), place, ink))
    for _, place, ink in sorted(faces, key=lambda face: face[0]):
        pen.polygon(place, fill=ink)
    return stamped(sheet.reduce(2))


def _seen(point: Vector) -> Vector:
    x, y, z = point
    across, deep = x * 0.86 - z * 0.5, x * 0.5 + z * 0.86
    return across, y * 0.95 - deep * 0.28, y * 0.28 + deep * 0.95


def _ink(solid: Solid, part: Part, corner: int) -> Colour:
    if solid.picture is None or not part.spots:
        return part.colour
    u, v = part.spots[corner]
    at = (round(u * (solid.picture.width - 1)), round(v * (solid.picture.height - 1)))
    value = solid.picture.getpixel(at)
    return (
        (int(value[0]), int(value[1]), int(value[2])) if isinstance(value, tuple) else part.colour
    )
