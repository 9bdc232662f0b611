"""What a model sees of a file: previews, contact sheets, waveforms, meshes, text."""

import gzip
import io
import struct
import tarfile
import zipfile
from pathlib import Path
from typing import cast

import pytest
from PIL import Image, ImageDraw

from server.media.contact import layout
from server.media.mesh import read_mesh
from server.media.preview import preview
from server.media.sheet import sheet
from server.media.solid import MOST_DRAWN, merged
from tests.made_media import CUBE, SIDES, glb, noise, picture, safetensors, sound, video
from tools.ports import Picture, View


def opened(picture: Picture | None) -> Image.Image:
    assert picture is not None
    image = Image.open(io.BytesIO(picture.data))
    image.load()
    assert (image.format, image.size) == ("JPEG", (picture.width, picture.height))
    assert picture.media_type == "image/jpeg"
    return image


def only(view: View) -> Image.Image:
    (shown,) = view.pictures
    assert len(shown.data) <= 150_000
    return opened(shown)


def pixel(image: Image.Image, at: tuple[int, int]) -> tuple[int, ...]:
    found: object = image.getpixel(at)
    return cast("tuple[int, ...]", found if isinstance(found, tuple) else (found,))


def near(found: tuple[int, ...], wanted: tuple[int, int, int], by: int = 40) -> bool:
    return all(abs(one - other) <= by for one, other in zip(found, wanted, strict=True))


def test_a_preview_is_small_even_of_a_picture_that_compresses_badly(tmp_path: Path) -> None:
    shown = preview(noise(tmp_path / "a.png", (1500, 1000)))
    assert max(opened(shown).size) <= 512
    assert shown is not None
    assert len(shown.data) <= 24_000


def test_a_preview_never_enlarges_and_keeps_the_shape(tmp_path: Path) -> None:
    assert opened(preview(picture(tmp_path / "a.png", (40, 30)))).size == (40, 30)
    assert opened(preview(picture(tmp_path / "b.jpg", (2000, 500)))).size == (512, 128)


def test_transparent_parts_lie_on_a_checker_board(tmp_path: Path) -> None:
    image = Image.new("RGBA", (96, 96), (0, 0, 0, 0))
    ImageDraw.Draw(image).rectangle((48, 0, 95, 95), fill=(200, 0, 0, 255))
    image.save(tmp_path / "a.png")
    seen = opened(preview(tmp_path / "a.png"))
    assert near(pixel(seen, (6, 6)), (204, 204, 204))
    assert near(pixel(seen, (18, 6)), (255, 255, 255))
    assert near(pixel(seen, (80, 40)), (200, 0, 0))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "I;16", "CMYK", "F", "I"])
def test_pictures_of_every_kind_of_pixel_are_shown(tmp_path: Path, mode: str) -> None:
    path = tmp_path / ("a.tiff" if mode in ("CMYK", "F", "I") else "a.png")
    if mode == "I;16":
        Image.frombytes("I;16", (64, 64), struct.pack("<4096H", *range(0, 65536, 16))).save(path)
    else:
        Image.linear_gradient("L").convert(mode).save(path)
    seen = opened(preview(path)).convert("L")
    assert pixel(seen, (20, 2))[0] < 60
    assert pixel(seen, (20, seen.height - 3))[0] > 195


def test_a_video_is_previewed_by_its_middle_frame(tmp_path: Path) -> None:
    seen = opened(preview(video(tmp_path / "a.mp4")))
    assert seen.size == (160, 96)
    assert near(pixel(seen, (80, 45)), (255, 215, 0))
    assert near(pixel(seen, (15, 45)), (0, 100, 0))


def test_what_has_no_look_or_does_not_open_has_no_preview(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("no picture")
    (tmp_path / "b.png").write_bytes(b"\x89PNG\r\n\x1a\nrest")
    assert preview(tmp_path / "a.png") is None
    assert preview(tmp_path / "b.png") is None
    assert preview(tmp_path / "gone.png") is None
    assert preview(sound(tmp_path / "a.wav")) is None
    assert preview(glb(tmp_path / "a.glb")) is None


def test_a_picture_is_shown_scaled_down_with_its_facts(tmp_path: Path) -> None:
    view = sheet(picture(tmp_path / "a.png", (2048, 1024)), size=512)
    assert only(view).size == (512, 256)
    assert view.text.startswith("image/png, 2048x1024, ")
    assert "shown at 512x256" in view.text
    assert "nearly" not in view.text


@pytest.mark.parametrize(
    ("colour", "words"),
    [("black", "nearly black"), ("white", "nearly white"), ("#336699", "one even colour, #336699")],
)
def test_a_picture_that_shows_nothing_is_said_to(tmp_path: Path, colour: str, words: str) -> None:
    Image.new("RGB", (300, 200), colour).save(tmp_path / "a.png")
    assert words in sheet(tmp_path / "a.png").text


def test_a_fully_transparent_picture_is_said_to_be(tmp_path: Path) -> None:
    Image.new("RGBA", (30, 20), (10, 200, 30, 0)).save(tmp_path / "a.png")
    assert "entirely transparent" in sheet(tmp_path / "a.png").text


def test_a_video_becomes_a_sheet_of_frames_with_their_times(tmp_path: Path) -> None:
    view = sheet(video(tmp_path / "a.mp4", sound=True), frames=4, size=400)
    seen = only(view)
    assert max(seen.size) <= 400
    assert view.text.startswith("video/mp4, 160x96, 2.00 s, 12 fps, 24 frames, with sound")
    assert "frames at 0.25, 0.75, 1.25, 1.75 s" in view.text
    # The disc crosses from left to right: it stands elsewhere in each of the four frames.
    golden, below = (
        [column for column in range(seen.width) if _is_golden(seen, column, row)]
        for row in (seen.height // 4, seen.height * 3 // 4)
    )
    assert golden
    below = [
        column for column in range(seen.width) if _is_golden(seen, column, seen.height * 3 // 4)
    ]
    assert below
    assert min(golden) < min(below)


def _is_golden(seen: Image.Image, column: int, row: int) -> bool:
    return near(pixel(seen, (column, row)), (255, 215, 0), 60)


def test_a_tall_video_of_many_frames_fits_its_sheet(tmp_path: Path) -> None:
    view = sheet(video(tmp_path / "a.mp4", size=(96, 170), frames=48), frames=16, size=768)
    assert max(only(view).size) <= 768


@pytest.mark.parametrize("count", range(1, 17))
@pytest.mark.parametrize("aspect", [0.3, 9 / 16, 1.0, 16 / 9, 4.0])
def test_every_layout_fits(count: int, aspect: float) -> None:
    columns, longest = layout(count, aspect, 768)
    width = longest if aspect >= 1 else longest * aspect
    height = width / aspect
    rows = -(-count // columns)
    assert columns * (width + 4) + 4 <= 770
    assert rows * (height + 4) + 4 <= 770


def test_a_video_of_one_frame_or_of_black_says_so(tmp_path: Path) -> None:
    assert "the only one" in sheet(video(tmp_path / "one.mp4", frames=1)).text
    black = sheet(video(tmp_path / "black.mp4", colour="black"))
    assert "Every frame is nearly black: probably blocked or failed" in black.text


def test_a_video_without_index_is_still_shown(tmp_path: Path) -> None:
    view = sheet(video(tmp_path / "a.webm", codec="libvpx"), frames=3)
    assert view.text.count(".") >= 3
    assert max(only(view).size) <= 1024


def test_a_sound_becomes_a_waveform_with_its_loudness(tmp_path: Path) -> None:
    view = sheet(sound(tmp_path / "a.wav", level=0.5), size=600)
    assert "44.1 kHz mono; loudness -9.0 dBFS RMS, peak -6.0 dBFS" in view.text
    seen = only(view)
    assert seen.width == 600
    middle = max(64, 600 // 4) // 2
    assert near(pixel(seen, (300, middle + 10)), (150, 200, 255), 60)
    assert near(pixel(seen, (307, 4)), (20, 22, 28), 60)


def test_silence_and_gaps_are_said(tmp_path: Path) -> None:
    assert "it is silent" in sheet(sound(tmp_path / "a.wav", level=0.0)).text
    path = sound(tmp_path / "b.wav", seconds=4)
    data = bytearray(path.read_bytes())
    half = len(data) // 2
    data[half:] = bytes(len(data) - half)
    path.write_bytes(data)
    assert "silent from 2.0 to 4.0 s" in sheet(path).text


def test_a_compressed_sound_is_measured_too(tmp_path: Path) -> None:
    view = sheet(sound(tmp_path / "a.mp3", codec="mp3", level=0.25))
    assert "loudness -15." in view.text


def test_a_mesh_is_drawn_from_four_sides_in_its_colour(tmp_path: Path) -> None:
    view = sheet(glb(tmp_path / "a.glb"), size=400)
    assert "12 triangles, 8 vertices, 2 wide x 2 high x 2 deep" in view.text
    seen = only(view)
    assert seen.size == (400, 400)
    for corner in ((100, 110), (300, 110), (100, 310), (300, 310)):
        red, green, _ = pixel(seen, corner)
        assert red > green + 60
    assert near(pixel(seen, (190, 190)), (236, 238, 242))


def test_meshes_of_other_formats_are_drawn(tmp_path: Path) -> None:
    points = [f"v {x} {y} {z}" for x, y, z in CUBE]
    faces = [f"f {a + 1}/1 {b + 1}/1 {c + 1}/1" for a, b, c in SIDES]
    (tmp_path / "a.obj").write_text("\n".join([*points, *faces]))
    triangles = b"".join(
        struct.pack("<12fH", 0, 0, 0, *(value for at in side for value in CUBE[at]), 0)
        for side in SIDES
    )
    (tmp_path / "a.stl").write_bytes(bytes(80) + struct.pack("<I", len(SIDES)) + triangles)
    head = (
        "ply\nformat {} 1.0\nelement vertex 8\n"
        "property float x\nproperty float y\nproperty float z\n"
        "property uchar red\nproperty uchar green\nproperty uchar blue\n"
        "element face 12\nproperty list uchar int vertex_indices\nend_header\n"
    )
    body = [*(f"{x} {y} {z} 0 200 0" for x, y, z in CUBE), *(f"3 {a} {b} {c}" for a, b, c in SIDES)]
    (tmp_path / "a.ply").write_text(head.format("ascii") + "\n".join(body))
    binary = b"".join(struct.pack("<3f3B", *point, 0, 200, 0) for point in CUBE)
    binary += b"".join(struct.pack("<B3i", 3, *side) for side in SIDES)
    (tmp_path / "b.ply").write_bytes(head.format("binary_little_endian").encode() + binary)
    for path in sorted(tmp_path.iterdir()):
        view = sheet(path, size=200)
        assert "12 triangles, 8 vertices, 2 wide x 2 high x 2 deep" in view.text, path.name
        only(view)
    seen = only(sheet(tmp_path / "b.ply", size=200))
    red, green, _ = pixel(seen, (50, 55))
    assert green > red + 60


def test_a_mesh_of_many_triangles_is_merged_and_keeps_its_shape(tmp_path: Path) -> None:
    side = 160
    points = [(x / side, (x * y % 7) / 900, y / side) for x in range(side) for y in range(side)]
    triangles = [
        (at, at + 1, at + side)
        for at in range(side * (side - 1))
        if at % side != side - 1
        for _ in (0,)
    ]
    path = glb(tmp_path / "a.glb", points, triangles)
    mesh = read_mesh(path, "model/gltf-binary")
    assert mesh.triangle_count > MOST_DRAWN
    smaller = merged(mesh)
    assert 0 < smaller.triangle_count < mesh.triangle_count
    assert smaller.extent == pytest.approx(mesh.extent, abs=0.02)
    only(sheet(path, size=300))


def test_a_mesh_that_cannot_be_drawn_is_described(tmp_path: Path) -> None:
    packed = glb(tmp_path / "a.glb", extensionsRequired=["KHR_draco_mesh_compression"])
    view = sheet(packed)
    assert not view.pictures
    assert "compressed (KHR_draco_mesh_compression)" in view.text
    elsewhere = glb(tmp_path / "b.glb", buffers=[{"uri": "../secret.bin", "byteLength": 300}])
    assert "other files, which are not read" in sheet(elsewhere).text
    broken = glb(tmp_path / "c.glb", triangles=[(0, 1, 99)])
    assert "damaged mesh" in sheet(broken).text


def test_a_text_is_shown_to_its_first_2000_characters(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("ä" * 5000)
    view = sheet(tmp_path / "a.txt")
    assert view.text.count("ä") == 2000
    assert "the rest is in the file" in view.text
    assert not view.pictures
    (tmp_path / "b.txt").write_text("short")
    assert sheet(tmp_path / "b.txt").text == "text/plain, 5 bytes:\nshort"


def test_archives_and_weights_list_what_is_in_them(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for number in range(50):
            archive.writestr(f"{number}.png", "x")
    assert "50 files: 0.png, 1.png" in sheet(tmp_path / "a.zip").text
    assert "and 10 more" in sheet(tmp_path / "a.zip").text
    with tarfile.open(tmp_path / "a.tgz", "w:gz") as archive:
        archive.add(picture(tmp_path / "a.png"), "inner.png")
    assert "1 file: inner.png" in sheet(tmp_path / "a.tgz").text
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        archive.add(tmp_path / "a.png", "inner.png")
    assert "1 file: inner.png" in sheet(tmp_path / "a.tar").text
    (tmp_path / "lone.gz").write_bytes(gzip.compress(b"no archive inside" * 100))
    assert "cannot be listed here" in sheet(tmp_path / "lone.gz").text
    assert "1 tensors: w" in sheet(safetensors(tmp_path / "a.safetensors")).text


def test_an_archive_that_unpacks_to_very_much_is_not_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.media.sheet.MOST_UNPACKED", 1_000_000)
    with tarfile.open(tmp_path / "a.tgz", "w:gz") as archive:
        entry = tarfile.TarInfo("zeros")
        entry.size = 5_000_000
        archive.addfile(entry, io.BytesIO(bytes(entry.size)))
    assert "cannot be listed here" in sheet(tmp_path / "a.tgz").text


def test_a_drawing_in_svg_is_shown_as_its_text(tmp_path: Path) -> None:
    (tmp_path / "a.svg").write_text('<svg width="4" height="3"><circle r="1"/></svg>')
    view = sheet(tmp_path / "a.svg")
    assert not view.pictures
    assert "cannot be drawn here" in view.text
    assert '<circle r="1"/>' in view.text
