"""What a file is, decided by its bytes."""

import io
import random
import struct
import subprocess
import sys
import tarfile
import zipfile
import zlib
from pathlib import Path

import av
import pytest
from PIL import Image

from server.media.preview import preview
from server.media.probe import fits, probe, require
from server.media.sheet import sheet
from server.media.signs import extension_for, kind_of, media_type_of
from tests.made_media import glb, index_first, picture, safetensors, sound, video
from tools.errors import MediaError

SVG = '<?xml version="1.0"?><!-- a --><svg width="30px" height="20" viewBox="0 0 3 2"><rect/></svg>'
OBJ = "# cube\nv 0 0 0\nv 1 0 0\nv 0 1 0\nf 1/1/1 2/2/2 3/3/3\n"
PLY = "ply\nformat ascii 1.0\nelement vertex 0\nend_header\n"
STL = "solid x\nfacet normal 0 0 1\nouter loop\nvertex 0 0 0\nvertex 1 0 0\nvertex 0 1 0\nendloop\n"


@pytest.mark.parametrize(
    ("ending", "media_type"),
    [
        ("png", "image/png"),
        ("jpg", "image/jpeg"),
        ("webp", "image/webp"),
        ("gif", "image/gif"),
        ("bmp", "image/bmp"),
        ("tiff", "image/tiff"),
        ("avif", "image/avif"),
    ],
)
def test_a_picture_is_known_by_its_bytes_under_any_name(
    tmp_path: Path, ending: str, media_type: str
) -> None:
    path = picture(tmp_path / f"a.{ending}").rename(tmp_path / "Müll mit Abstand.txt")
    facts = probe(path)
    assert (facts.kind, facts.media_type, facts.width, facts.height) == (
        "image",
        media_type,
        64,
        48,
    )
    assert facts.bytes == path.stat().st_size


@pytest.mark.parametrize(
    ("name", "codec", "media_type"),
    [
        ("a.mp4", "libx264", "video/mp4"),
        ("a.mov", "libx264", "video/quicktime"),
        ("a.webm", "libvpx", "video/webm"),
        ("a.mkv", "libx264", "video/x-matroska"),
        ("a.avi", "mpeg4", "video/x-msvideo"),
    ],
)
def test_a_video_tells_its_length_size_rate_and_silence(
    tmp_path: Path, name: str, codec: str, media_type: str
) -> None:
    facts = probe(video(tmp_path / name, codec=codec))
    assert (facts.kind, facts.media_type, facts.has_audio) == ("video", media_type, False)
    assert (facts.width, facts.height, facts.fps, facts.frames) == (160, 96, 12, 24)
    assert facts.seconds == pytest.approx(2.0, abs=0.1)


def test_a_video_with_sound_lasts_as_long_as_its_picture(tmp_path: Path) -> None:
    facts = probe(video(tmp_path / "a.mp4", sound=True))
    assert (facts.has_audio, facts.seconds) == (True, 2.0)


@pytest.mark.parametrize(
    ("name", "codec", "media_type"),
    [
        ("a.wav", "pcm_s16le", "audio/wav"),
        ("a.mp3", "mp3", "audio/mpeg"),
        ("a.flac", "flac", "audio/flac"),
        ("a.ogg", "libopus", "audio/ogg"),
        ("a.m4a", "aac", "audio/mp4"),
        ("a.mp4", "aac", "audio/mp4"),
        ("a.webm", "libopus", "audio/webm"),
        ("a.aac", "aac", "audio/aac"),
    ],
)
def test_a_sound_is_audio_whatever_container_it_lies_in(
    tmp_path: Path, name: str, codec: str, media_type: str
) -> None:
    rate = 48000 if codec == "libopus" else 44100
    facts = probe(sound(tmp_path / name, codec=codec, rate=rate))
    assert (facts.kind, facts.media_type, facts.has_audio) == ("audio", media_type, True)
    assert facts.seconds == pytest.approx(2.0, abs=0.15)


@pytest.mark.parametrize(
    ("content", "kind", "media_type"),
    [
        (SVG, "image", "image/svg+xml"),
        (OBJ, "3d", "model/obj"),
        (PLY, "3d", "model/ply"),
        (STL, "3d", "model/stl"),
        ('{"asset":{"version":"2.0"},"scenes":[]}', "3d", "model/gltf+json"),
        ('{"a": [1, 2]}', "text", "application/json"),
        ("1\n00:00:01,000 --> 00:00:02,000\nHallo\n", "text", "application/x-subrip"),
        ("WEBVTT\n\n00:01.000 --> 00:02.000\nHallo\n", "text", "text/vtt"),
        ("Grüße an alle\n", "text", "text/plain"),
        ("{ not json", "text", "text/plain"),
    ],
)
def test_text_formats_are_told_apart_by_what_stands_in_them(
    tmp_path: Path, content: str, kind: str, media_type: str
) -> None:
    path = tmp_path / "x.png"
    path.write_text(content, encoding="utf-8")
    facts = probe(path)
    assert (facts.kind, facts.media_type) == (kind, media_type)


def test_an_svg_tells_the_size_it_states(tmp_path: Path) -> None:
    path = tmp_path / "x.svg"
    path.write_text(SVG)
    facts = probe(path)
    assert (facts.width, facts.height) == (30, 20)


def test_meshes_archives_weights_and_documents_are_told_apart(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a.txt", "a")
    with zipfile.ZipFile(tmp_path / "a.pt", "w") as archive:
        archive.writestr("archive/data.pkl", "a")
    with zipfile.ZipFile(tmp_path / "a.docx", "w") as archive:
        archive.writestr("[Content_Types].xml", "a")
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        archive.add(tmp_path / "a.zip", "a.zip")
    with tarfile.open(tmp_path / "a.tgz", "w:gz") as archive:
        archive.add(tmp_path / "a.zip", "a.zip")
    (tmp_path / "a.pdf").write_bytes(b"%PDF-1.7\n...")
    (tmp_path / "a.xyz").write_bytes(bytes(range(256)))
    (tmp_path / "a.stl").write_bytes(bytes(80) + struct.pack("<I", 1) + bytes(50))
    glb(tmp_path / "a.glb")
    safetensors(tmp_path / "a.safetensors")
    assert {
        path.name: (probe(path).kind, probe(path).media_type) for path in tmp_path.iterdir()
    } == {
        "a.zip": ("archive", "application/zip"),
        "a.pt": ("weights", "application/x-pytorch"),
        "a.docx": ("file", "application/octet-stream"),
        "a.tar": ("archive", "application/x-tar"),
        "a.tgz": ("archive", "application/gzip"),
        "a.pdf": ("file", "application/pdf"),
        "a.xyz": ("file", "application/octet-stream"),
        "a.stl": ("3d", "model/stl"),
        "a.glb": ("3d", "model/gltf-binary"),
        "a.safetensors": ("weights", "application/x-safetensors"),
    }


def test_an_empty_file_and_a_web_page_are_no_media(tmp_path: Path) -> None:
    empty = tmp_path / "empty.png"
    empty.write_bytes(b"")
    page = tmp_path / "page.mp4"
    page.write_text("<!-- hi -->\n<!DOCTYPE html><html><body>403</body></html>")
    with pytest.raises(MediaError, match=r"'empty.png' is empty"):
        probe(empty)
    with pytest.raises(MediaError, match=r"'page.mp4' is a web page"):
        probe(page)
    with pytest.raises(MediaError, match=r"there is no file 'gone.png'"):
        probe(tmp_path / "gone.png")


def _cut(path: Path, part: float) -> Path:
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * part)])
    return path


@pytest.mark.parametrize("ending", ["png", "jpg", "webp", "gif", "tiff"])
def test_a_picture_that_is_cut_off_is_noticed(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a.{ending}"
    Image.effect_noise((200, 200), 90).convert("RGB").save(path)
    with pytest.raises(MediaError, match=r"cut off|does not open"):
        probe(_cut(path, 0.5))


@pytest.mark.parametrize(
    ("name", "codec"), [("a.mp4", "libx264"), ("a.webm", "libvpx"), ("a.avi", "mpeg4")]
)
@pytest.mark.parametrize("part", [0.3, 0.9])
def test_a_video_that_is_cut_off_is_noticed(
    tmp_path: Path, name: str, codec: str, part: float
) -> None:
    with pytest.raises(MediaError, match=r"cut off|does not open"):
        probe(_cut(video(tmp_path / name, codec=codec), part))


def test_a_video_whose_index_comes_first_is_noticed_when_cut(tmp_path: Path) -> None:
    fast = index_first(video(tmp_path / "plain.mp4"), tmp_path / "fast.mp4")
    assert probe(fast).seconds == pytest.approx(2.0)
    with pytest.raises(MediaError, match=r"cut off: [\d,]+ bytes are missing"):
        probe(_cut(fast, 0.9))


@pytest.mark.parametrize(
    ("name", "codec"),
    [("a.wav", "pcm_s16le"), ("a.flac", "flac"), ("a.mp3", "mp3"), ("a.m4a", "aac")],
)
def test_a_sound_that_is_cut_off_is_noticed(tmp_path: Path, name: str, codec: str) -> None:
    path = sound(tmp_path / name, codec=codec, seconds=6)
    with pytest.raises(MediaError, match=r"cut off|does not open"):
        probe(_cut(path, 0.5))


def test_a_mesh_archive_or_weights_that_are_cut_off_are_noticed(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a.txt", "a" * 1000)
    for path in (_cut(glb(tmp_path / "a.glb"), 0.9), _cut(tmp_path / "a.zip", 0.9)):
        with pytest.raises(MediaError, match=r"cut off"):
            probe(path)
    with pytest.raises(MediaError, match=r"cut off: 4 bytes"):
        probe(safetensors(tmp_path / "a.safetensors", cut=4))


def _bomb(path: Path, width: int, height: int) -> Path:
    """Write a PNG that claims a size far beyond its bytes."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = zlib.compress(bytes(1000))
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")
    )
    return path


@pytest.mark.parametrize("side", [9_600, 14_000, 60_000])
def test_a_picture_that_would_fill_the_memory_is_refused(tmp_path: Path, side: int) -> None:
    with pytest.raises(MediaError, match=r"too large to open"):
        probe(_bomb(tmp_path / "bomb.png", side, side))


def test_a_bomb_is_an_error_where_warnings_are_not(tmp_path: Path) -> None:
    path = _bomb(tmp_path / "bomb.png", 9_600, 9_600)
    program = "import sys, pathlib, server.media.probe as it; it.probe(pathlib.Path(sys.argv[1]))"
    done = subprocess.run(
        [sys.executable, "-c", program, path],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert "too large to open" in done.stderr
    assert "Warning" not in done.stderr


def test_a_turned_photo_and_a_turned_video_are_measured_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (80, 40), "teal").save(tmp_path / "a.jpg", exif=exif)
    facts = probe(tmp_path / "a.jpg")
    assert (facts.width, facts.height) == (40, 80)
    clip = video(tmp_path / "a.mp4")
    data = clip.read_bytes()
    upright = struct.pack(">9i", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
    turned = struct.pack(">9i", 0, 0x10000, 0, -0x10000, 0, 0, 0, 0, 0x40000000)
    track = data.index(b"tkhd")
    at = data.index(upright, track)
    clip.write_bytes(data[:at] + turned + data[at + 36 :])
    facts = probe(clip)
    assert (facts.width, facts.height) == (96, 160)


def test_cover_art_does_not_make_a_song_a_video(tmp_path: Path) -> None:
    bare = sound(tmp_path / "bare.mp3", codec="mp3")
    cover = io.BytesIO()
    Image.new("RGB", (64, 64), "plum").save(cover, "JPEG")
    art = b"\x00image/jpeg\x00\x03\x00" + cover.getvalue()
    frame = b"APIC" + struct.pack(">I", len(art)) + b"\x00\x00" + art
    size = bytes((len(frame) >> shift) & 0x7F for shift in (21, 14, 7, 0))
    song = tmp_path / "song.mp3"
    song.write_bytes(b"ID3\x03\x00\x00" + size + frame + bare.read_bytes()[45:])
    with av.open(str(song)) as container:
        assert len(container.streams.video) == 1
    facts = probe(song)
    assert (facts.kind, facts.width) == ("audio", None)


def test_a_moving_gif_tells_frames_and_seconds_and_serves_as_video(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (20, 10), colour) for colour in ("red", "green", "blue")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:], duration=200)
    facts = probe(tmp_path / "a.gif")
    assert (facts.kind, facts.frames, facts.seconds, facts.fps) == ("image", 3, 0.6, 5.0)
    assert fits(facts, "video")
    assert not fits(probe(picture(tmp_path / "still.gif")), "video")


def test_a_playlist_that_names_other_files_is_text_and_never_followed(tmp_path: Path) -> None:
    secret = video(tmp_path / "secret.mp4")
    lists = {
        "a.mp4": f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{secret}\n#EXT-X-ENDLIST\n",
        "b.mp4": f"ffconcat version 1.0\nfile '{secret}'\n",
    }
    for name, content in lists.items():
        (tmp_path / name).write_text(content)
        assert probe(tmp_path / name).kind == "text"


def test_something_else_than_wanted_is_refused_with_what_it_is(tmp_path: Path) -> None:
    song = probe(sound(tmp_path / "a.mp3", codec="mp3"))
    with pytest.raises(MediaError) as refused:
        require(song, "image", "a.mp3")
    assert str(refused.value) == (
        "'a.mp3' is audio (audio/mpeg); an image is wanted here (give a PNG, JPEG or WebP picture)"
    )
    clip = probe(video(tmp_path / "a.mp4", sound=True))
    require(clip, "audio", "a.mp4")
    with pytest.raises(MediaError, match=r"is a video"):
        require(probe(video(tmp_path / "mute.mp4")), "audio", "mute.mp4")
    (tmp_path / "lora.bin").write_bytes(bytes(range(256)))
    require(probe(tmp_path / "lora.bin"), "weights", "lora.bin")
    with pytest.raises(MediaError, match=r"not media"):
        require(probe(tmp_path / "lora.bin"), None, "lora.bin")


def _damaged(data: bytes, chance: random.Random) -> bytes:
    """Return *data* with bytes changed, cut off or put in."""
    changed = bytearray(data)
    for _ in range(chance.choice((1, 2, 8))):
        at = chance.randrange(min(len(changed), chance.choice((400, len(data)))) or 1)
        match chance.randrange(4):
            case 0:
                del changed[at:]
            case 1:
                changed[at:at] = chance.randbytes(4)
            case _:
                changed[at : at + 1] = chance.randbytes(1)
    return bytes(changed)


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow, of odd tags in TIFF
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_damage_of_any_sort_is_an_error_in_plain_words_or_none(tmp_path: Path) -> None:
    endings = ("png", "jpg", "webp", "gif", "tiff", "bmp", "avif")
    made = [picture(tmp_path / f"a.{ending}") for ending in endings]
    made += [video(tmp_path / "a.mp4", frames=4, sound=True), glb(tmp_path / "a.glb")]
    made += [video(tmp_path / "a.webm", frames=4, codec="libvpx")]
    made += [sound(tmp_path / f"a.{codec}", codec=codec, seconds=0.2) for codec in ("mp3", "flac")]
    made += [sound(tmp_path / "a.wav", seconds=0.2), safetensors(tmp_path / "a.safetensors")]
    chance = random.Random(7)  # noqa: S311  # the same damage each time
    opened = 0
    hints: list[str] = []
    for path in made:
        data = path.read_bytes()
        for _ in range(25):
            path.write_bytes(_damaged(data, chance))
            preview(path)
            try:
                sheet(path)
                opened += 1
            except MediaError as problem:
                hints.append(problem.hint)
    assert all(hints)
    assert 25 < opened < 300


def test_types_have_endings_and_kinds() -> None:
    assert extension_for("image/jpeg; charset=binary") == ".jpg"
    assert extension_for("audio/mpeg") == ".mp3"
    assert extension_for("application/never-heard-of") == ".bin"
    assert kind_of("model/gltf-binary") == "3d"
    assert kind_of("application/pdf") == "file"


def test_text_in_other_encodings_is_still_text(tmp_path: Path) -> None:
    (tmp_path / "utf16.txt").write_bytes("Grüße".encode("utf-16"))
    (tmp_path / "latin.txt").write_bytes("Grüße an alle zusammen".encode("cp1252"))
    assert media_type_of(tmp_path / "utf16.txt") == "text/plain"
    assert media_type_of(tmp_path / "latin.txt") == "text/plain"


def test_importing_the_probe_brings_no_picture_or_video_library() -> None:
    program = (
        "import sys, server.media.probe, server.media.preview, server.media.sheet, "
        "server.media.roots; print(sorted({'PIL', 'av'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=True
    )
    assert done.stdout.strip() == "[]"


def zip_that_says(path: Path, *, unpacked: int, contents: int = 0) -> Path:
    """Write a small ZIP whose table claims so many bytes of its one file, or of itself."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.png", b"a" * 100)
    data = bytearray(path.read_bytes())
    entry, end = data.rfind(b"PK\1\2"), data.rfind(b"PK\5\6")
    data[entry + 24 : entry + 28] = unpacked.to_bytes(4, "little")
    if contents:
        data[end + 12 : end + 16] = contents.to_bytes(4, "little")
    path.write_bytes(data)
    return path


def test_an_archive_that_would_fill_a_disk_is_refused_in_words(tmp_path: Path) -> None:
    bomb = zip_that_says(tmp_path / "bomb.zip", unpacked=4_000_000_000)
    with pytest.raises(MediaError, match=r"'bomb.zip' has 0.0 MB and would unpack to 4.0 GB"):
        probe(bomb)
    with zipfile.ZipFile(tmp_path / "captions.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("captions.txt", "a fox in the snow\n" * 100_000)
    assert probe(tmp_path / "captions.zip").kind == "archive"


def test_an_archive_with_an_endless_table_of_contents_is_not_read(tmp_path: Path) -> None:
    endless = zip_that_says(tmp_path / "endless.zip", unpacked=100, contents=900_000_000)
    with pytest.raises(MediaError, match=r"the table of contents of 'endless.zip' alone has 900"):
        probe(endless)


@pytest.mark.proof
def test_a_real_bomb_of_a_hundred_thousand_names_is_refused_at_once(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "many.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(150_000):
            archive.writestr(zipfile.ZipInfo(f"{number:030}.png"), b"")
    with (
        zipfile.ZipFile(tmp_path / "deep.zip", "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("zeros", "w") as file,
    ):
        for _ in range(250):
            file.write(bytes(1_000_000))
    with pytest.raises(MediaError, match="the table of contents"):
        probe(tmp_path / "many.zip")
    with pytest.raises(MediaError, match=r"would unpack to 0.2 GB|would unpack to 0.3 GB"):
        probe(tmp_path / "deep.zip")
