"""What came home is looked at: what is black, silent or short is said, and where it is from."""

import base64
import hashlib
import io
import json
import struct
import zlib
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from server.fal.wire import Downloaded, Result
from server.media.noticing import noticed
from server.media.probe import probe
from server.media.provenance import inscribed, packet
from tests.house import connected, record, words
from tests.jobs_platform import FolderPlatform, intent, jobs_in
from tests.made_media import glb, picture, sound, video
from tools.job_view import JobView, job_words
from tools.ports import Job

FACTS = {"prompt": 'a "red" fox & <friends> 🦊', "model": "fal-ai/flux/dev", "seed": "7"}


class Studio(FolderPlatform):
    """A platform whose model answers with files at hand, by their names."""

    def __init__(self, folder: Path, *files: Path, **answer: Any) -> None:
        super().__init__(folder, runs=0)
        self.files = {path.name: path for path in files}
        self.answer = answer

    async def result(self, endpoint_id: str, request_id: str) -> Result:
        shown = [{"url": f"https://files.test/{name}"} for name in self.files]
        self.output = {"files": shown, **self.answer}
        return await super().result(endpoint_id, request_id)

    async def download(self, url: str, target: Path, *, max_bytes: int | None = None) -> Downloaded:
        data = self.files[url.rpartition("/")[2]].read_bytes()
        target.write_bytes(data)
        return Downloaded(len(data), hashlib.sha256(data).hexdigest(), "")


async def brought(home: Path, *files: Path, provenance: str = "on", **answer: Any) -> Job:
    """Return the job whose model answered with *files*, when they are home."""
    studio = Studio(home / "platform", *files, **answer)
    async with jobs_in(home / "home", studio, provenance=provenance) as jobs:
        return await jobs.wait((await jobs.start(intent())).job_id, 10)


def black(path: Path, size: tuple[int, int] = (64, 48)) -> Path:
    Image.new("RGB", size).save(path)
    return path


async def test_a_black_picture_is_saved_and_said_to_be_black(tmp_path: Path) -> None:
    job = await brought(
        tmp_path,
        black(tmp_path / "black.png"),
        picture(tmp_path / "fox.png"),
        has_nsfw_concepts=[True, False],
        seed=41,
    )

    assert job.saved
    assert [output.remark for output in job.outputs] == [
        "nearly black; the model's safety check flagged it",
        "",
    ]
    view = JobView.of(job)
    assert view.outputs[0].remark == "nearly black; the model's safety check flagged it"
    assert "NOTE: nearly black" in job_words(view)
    assert view.seed == 41
    assert "seed 41" in job_words(view)


async def test_a_film_of_black_frames_and_a_silent_sound_are_said_to_be_so(tmp_path: Path) -> None:
    job = await brought(
        tmp_path,
        video(tmp_path / "black.mp4", colour="black"),
        video(tmp_path / "disc.mp4"),
        sound(tmp_path / "silence.wav", level=0.0),
        sound(tmp_path / "tone.wav"),
        video(tmp_path / "with-sound.mp4", sound=True),
    )

    assert [output.remark for output in job.outputs] == [
        "every frame looked at (5) is nearly black",
        "",
        "it is silent",
        "",
        "",
    ]
    assert [output.has_sound for output in job.outputs] == [False, False, None, None, True]


async def test_less_than_the_platform_told_of_is_said(tmp_path: Path) -> None:
    path = picture(tmp_path / "fox.png")
    size = path.stat().st_size

    class Boasting(Studio):
        async def result(self, endpoint_id: str, request_id: str) -> Result:
            made = await super().result(endpoint_id, request_id)
            made.output["files"][0]["file_size"] = size + 1000
            return made

    async with jobs_in(tmp_path / "home", Boasting(tmp_path / "platform", path)) as jobs:
        job = await jobs.wait((await jobs.start(intent())).job_id, 10)

    assert (
        job.outputs[0].remark == f"{size:,} bytes came of {size + 1000:,} that the platform told of"
    )


async def test_the_same_mesh_under_two_names_is_one_output(tmp_path: Path) -> None:
    mesh = glb(tmp_path / "model.glb")
    twin = tmp_path / "twin.glb"
    twin.write_bytes(mesh.read_bytes())
    first, second = picture(tmp_path / "a.png"), tmp_path / "b.png"
    second.write_bytes(first.read_bytes())
    job = await brought(tmp_path, mesh, twin, first, second)

    assert [output.kind for output in job.outputs] == ["3d", "image", "image"]
    media = tmp_path / "home" / "media"
    assert len(list(media.glob("*.glb"))) == 1
    assert len(list(media.glob("*.glb.json"))) == 1
    assert not list(media.glob(".falkit-*"))


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp", "b.webp", "a.mp4", "a.mov"])
def test_where_a_file_is_from_is_written_into_it_and_nothing_else_changes(
    tmp_path: Path, name: str
) -> None:
    path, marked = tmp_path / name, tmp_path / f"marked-{name}"
    if name.startswith("a.m"):
        video(path)
    else:
        picture(path) if name != "b.webp" else Image.new("RGBA", (30, 20), "#80ff0080").save(
            path, lossless=True
        )
    before = probe(path)

    assert inscribed(path, before.media_type, FACTS, marked)

    after = probe(marked)
    assert (after.width, after.height, after.seconds, after.media_type) == (
        before.width, before.height, before.seconds, before.media_type,
    )  # fmt: skip
    assert packet(FACTS) in marked.read_bytes()
    if before.kind == "image":
        with Image.open(marked) as new, Image.open(path) as old:
            assert new.convert("RGBA").tobytes() == old.convert("RGBA").tobytes()
            assert b"fal-ai/flux/dev" in new.info.get("xmp", b"") or name == "a.png"
    else:
        assert marked.read_bytes().startswith(path.read_bytes())
    again = tmp_path / "again"
    assert not inscribed(marked, before.media_type, FACTS, again)
    assert not again.exists()


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp"])
def test_a_packet_that_is_there_keeps_what_it_says(tmp_path: Path, name: str) -> None:
    path, marked = tmp_path / name, tmp_path / f"marked-{name}"
    theirs = packet({"prompt": "theirs"}).replace(b"falkit", b"theirs")
    if name == "a.png":
        info = PngInfo()
        info.add_itxt("XML:com.adobe.xmp", theirs.decode())
        Image.new("RGB", (40, 30), "tomato").save(path, pnginfo=info)
    else:
        Image.new("RGB", (40, 30), "tomato").save(path, xmp=theirs)
    media_type = probe(path).media_type

    assert inscribed(path, media_type, FACTS, marked)

    with Image.open(marked) as new, Image.open(path) as old:
        assert new.tobytes() == old.tobytes()
        said = str(new.info.get("xmp") or new.info["XML:com.adobe.xmp"])
    assert "theirs:prompt" in said
    assert "fal-ai/flux/dev" in said
    assert said.count("<dc:description>") == said.count("</rdf:RDF>") == 1
    root = ElementTree.fromstring(marked.read_bytes().partition(b"?>\n")[2].partition(b"<?xp")[0])  # noqa: S314  # ours
    assert root.tag.endswith("xmpmeta")


def test_what_is_signed_or_odd_stays_as_it_came(tmp_path: Path) -> None:
    plain = picture(tmp_path / "a.png").read_bytes()
    body = b"caBX" + b"signed"
    chunk = struct.pack(">I", 6) + body + struct.pack(">I", zlib.crc32(body))
    odd = {
        "image/png": [plain[:33] + chunk + plain[33:], plain + b"behind the end", plain[:40]],
        "image/jpeg": [b"\xff\xd8\xff\xeb\0\4ab\xff\xda", b"\xff\xd8", b""],
        "image/webp": [b"RIFF\0\0\0\0WEBPVP8 ", b""],
        "video/mp4": [b"\0\0\0\0mdat", b"\0\0\0\x08mfra", b"\0\0\0\x10uuid12345678"],
        "audio/mpeg": [b"ID3"],
    }
    for media_type, files in odd.items():
        for data in files:
            path = tmp_path / "odd"
            path.write_bytes(data)
            assert not inscribed(path, media_type, FACTS, tmp_path / "never")
    assert not (tmp_path / "never").exists()


async def test_the_note_beside_a_file_keeps_the_hash_of_what_fal_delivered(tmp_path: Path) -> None:
    source = picture(tmp_path / "fox.png")
    marked = await brought(tmp_path / "on", source, seed=3)
    plain = await brought(tmp_path / "off", source, provenance="off")

    data = source.read_bytes()
    delivered = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    for job in (marked, plain):
        path = Path(job.outputs[0].path)
        note = json.loads(path.with_name(f"{path.name}.json").read_text())
        assert note["delivered"] == delivered
        assert note["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
        assert job.outputs[0].bytes == path.stat().st_size
    assert Path(plain.outputs[0].path).read_bytes() == data
    text = Image.open(io.BytesIO(Path(marked.outputs[0].path).read_bytes()))
    text.load()
    told = str(text.info["XML:com.adobe.xmp"])
    assert 'falkit:prompt="a red fox"' in told
    assert f'falkit:request="{marked.request_id}"' in told
    assert 'falkit:seed="3"' in told
    assert str(tmp_path) not in told


async def test_a_file_larger_than_the_disk_is_not_begun(tmp_path: Path) -> None:
    platform = FolderPlatform(tmp_path / "platform", runs=0)
    platform.output = {"video": {"url": "https://files.test/a.mp4", "file_size": 2**50}}
    async with jobs_in(tmp_path, platform) as jobs:
        job = await jobs.wait((await jobs.start(intent())).job_id, 10)
    assert (job.state, job.saved) == ("done", False)
    assert job.outputs[0].problem == (
        f"not saved: the disk of {str(tmp_path / 'media')!r} is full; free some space"
    )
    assert not [kind for kind, _ in platform.looks if kind == "download"]


async def test_inline_data_becomes_a_file_and_leaves_no_trace_of_itself(tmp_path: Path) -> None:
    data = picture(tmp_path / "fox.png").read_bytes()
    uri = f"data:image/png;base64,{base64.b64encode(data).decode()}"
    platform = FolderPlatform(tmp_path / "platform", runs=0)
    platform.output = {"images": [{"url": uri}]}
    async with jobs_in(tmp_path, platform, key="me:secret") as jobs:
        job = await jobs.wait((await jobs.start(intent())).job_id, 10)
    (output,) = job.outputs
    assert Path(output.path).read_bytes() == data
    assert (output.url, output.media_type, output.width) == ("", "image/png", 64)
    note = Path(f"{output.path}.json").read_text()
    assert len(note) < 4000


def test_a_look_never_fails(tmp_path: Path) -> None:
    path = picture(tmp_path / "a.png")
    facts = probe(path)
    path.write_bytes(path.read_bytes()[:50])
    assert noticed(path, facts) == ""
    path.unlink()
    assert noticed(path, facts) == ""


async def test_over_the_protocol_a_job_tells_its_seed(tmp_path: Path) -> None:
    async with connected(tmp_path) as client:
        answer = await client.call_tool(
            "generate",
            {
                "endpoint_id": "fal-ai/flux/schnell",
                "prompt": "a fox",
                "arguments": {"seed": 11, "image_size": {"width": 64, "height": 64}},
            },
        )
    made = record(answer)
    assert made["seed"] == 11
    assert "seed 11" in words(answer)
    told = Path(made["outputs"][0]["path"]).read_bytes()
    assert b'falkit:seed="11"' in told
    assert b"algorithmicMedia" in told  # what the emulator says of itself stays


async def test_over_the_protocol_a_flagged_picture_is_said_to_be_flagged(tmp_path: Path) -> None:
    async with connected(tmp_path) as client:
        answer = await client.call_tool(
            "generate",
            {
                "endpoint_id": "fal-ai/flux/schnell",
                "prompt": "nsfw",
                "arguments": {"image_size": {"width": 256, "height": 256}},
            },
        )
    assert "the model's safety check flagged it" in record(answer)["outputs"][0]["remark"]
    assert "NOTE: " in words(answer)
