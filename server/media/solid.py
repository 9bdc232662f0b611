"""A mesh drawn from four sides, flat shaded, far triangles first.

Imports Pillow; import this module late.
"""

import math

from PIL import Image, ImageDraw

from server.media.mesh import Colour, Mesh, Point, Triangle
from server.media.pixels import encoded, lettering, resized
from tools.ports import Picture

# More triangles than this are merged before they are drawn.
MOST_DRAWN = 24_000
_CELLS = 110
_SIDES = (("front", 0.0), ("right", math.pi / 2), ("back", math.pi), ("left", -math.pi / 2))
_TILT = math.radians(18)
_LIGHT = (0.35, 0.65, 0.67)
_BACKGROUND = (236, 238, 242)
_GREY: Colour = (176, 176, 182)
_OVERSAMPLING = 2


def four_sides(mesh: Mesh, *, size: int, max_bytes: int) -> Picture:
    """Return front, right, back, left of *mesh*, a little from above, on *size* x *size* pixels."""
    drawn = merged(mesh) if mesh.triangle_count > MOST_DRAWN else mesh
    tile = size // 2
    sheet = Image.new("RGB", (tile * 2, tile * 2), _BACKGROUND)
    write = ImageDraw.Draw(sheet)
    letters = max(10, tile // 24)
    low, high = drawn.bounds
    middle = [(a + b) / 2 for a, b in zip(low, high, strict=True)]
    views = [[_seen(point, middle, turn) for point in drawn.points] for _, turn in _SIDES]
    reach = max(max(abs(x), abs(y)) for view in views for x, y, _ in view) or 1.0
    for number, (name, _) in enumerate(_SIDES):
        corner = (number % 2 * tile, number // 2 * tile)
        sheet.paste(_side(drawn, views[number], reach, tile), corner)
        write.text((corner[0] + 6, corner[1] + 4), name, fill=(40, 40, 48), font=lettering(letters))
    write.line((tile, 0, tile, tile * 2), fill=(200, 202, 208))
    write.line((0, tile, tile * 2, tile), fill=(200, 202, 208))
    return encoded(sheet, max_bytes=max_bytes)


def _side(mesh: Mesh, points: list[Point], reach: float, tile: int) -> Image.Image:
    """Return *mesh* with its *points* as seen, *reach* of them to each edge of the picture."""
    side = tile * _OVERSAMPLING
    picture = Image.new("RGB", (side, side), _BACKGROUND)
    draw = ImageDraw.Draw(picture)
    scale = side * 0.44 / reach
    order = sorted(
        range(len(mesh.triangles)),
        key=lambda index: sum(points[corner][2] for corner in mesh.triangles[index]),
    )
    for index in order:
        a, b, c = (points[corner] for corner in mesh.triangles[index])
        colour = mesh.colours[index] if mesh.colours else _GREY
        outline = [(side / 2 + x * scale, side / 2 - y * scale) for x, y, _ in (a, b, c)]
        draw.polygon(outline, fill=_lit(a, b, c, colour))
    return resized(picture, (tile, tile))


def _seen(point: Point, middle: list[float], turn: float) -> Point:
    """Return *point* as seen after walking *turn* radians around, looking down a little."""
    x, y, z = (value - centre for value, centre in zip(point, middle, strict=True))
    x, z = x * math.cos(turn) - z * math.sin(turn), x * math.sin(turn) + z * math.cos(turn)
    y, z = y * math.cos(_TILT) - z * math.sin(_TILT), y * math.sin(_TILT) + z * math.cos(_TILT)
    return x, y, z


def _lit(a: Point, b: Point, c: Point, colour: Colour) -> Colour:
    """Return *colour* in the light that falls on a triangle, the same on both of its faces."""
    ux, uy, uz = b[0] - a[0], b[1] - a[1], b[2] - a[2]
    vx, vy, vz = c[0] - a[0], c[1] - a[1], c[2] - a[2]
    nx, ny, nz = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
    length = math.sqrt(nx * nx + ny * ny + nz * nz) or 1.0
    if nz < 0:
        length = -length
    light = 0.3 + 0.7 * max(0.0, (nx * _LIGHT[0] + ny * _LIGHT[1] + nz * _LIGHT[2]) / length)
    return int(colour[0] * light), int(colour[1] * light), int(colour[2] * light)


def merged(mesh: Mesh) -> Mesh:
    """Return *mesh* with points of one small cell made one, and triangles that vanish left out."""
    low, _ = mesh.bounds
    cell = max(mesh.extent) / _CELLS or 1.0
    places: dict[Triangle, int] = {}
    points: list[Point] = []
    cells: list[int] = []
    for point in mesh.points:
        across, up, towards = (
            int((at - start) / cell) for at, start in zip(point, low, strict=True)
        )
        key = (across, up, towards)
        place = places.setdefault(key, len(points))
        if place == len(points):
            points.append(point)
        cells.append(place)
    kept: dict[Triangle, int] = {}
    for index, (a, b, c) in enumerate(mesh.triangles):
        triangle = (cells[a], cells[b], cells[c])
        if len(set(triangle)) == 3:
            kept.setdefault(triangle, index)
    colours = [mesh.colours[index] for index in kept.values()] if mesh.colours else []
    return Mesh(points, list(kept) or mesh.triangles[:1], colours or mesh.colours[:1])
