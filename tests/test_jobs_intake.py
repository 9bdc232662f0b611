"""Media that callers name: found, checked, uploaded once, shown."""

import base64
import hashlib
import io
import os
import shutil
import zipfile
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest
from PIL import Image
from pydantic import SecretStr

from catalog.media import MediaKind
from server.fal.client import FalClient
from server.jobs import intake
from server.jobs.intake import FileClient, MediaDesk
from server.media.roots import Roots
from server.settings import Settings
from tests.emulated import emulated
from tests.made_media import glb, noise, picture, png_bytes, safetensors, sound, video
from tools.errors import MediaError, OutOfBoundsError, UnknownJobError
from tools.ports import Job, JobState, Output

JOB = "01k9x2m4q7a"


@dataclass(frozen=True)
class Stored:
    url: str
    expires: datetime | None


@dataclass(frozen=True)
class Fetched:
    bytes: int
    sha256: str
    media_type: str


@dataclass
class RecordingClient:
    """A platform that keeps what is sent and serves *files* by URL."""

    files: dict[str, bytes] = field(default_factory=dict[str, bytes])
    sent: list[tuple[bytes, str, str]] = field(default_factory=list[tuple[bytes, str, str]])
    fetched: list[str] = field(default_factory=list[str])
    expires: datetime | None = None
    while_sending: Path | None = None

    async def upload(self, path: Path, *, media_type: str, file_name: str) -> Stored:
        self.sent.append((path.read_bytes(), media_type, file_name))
        await anyio.lowlevel.checkpoint()
        if self.while_sending is not None:
            picture(self.while_sending, colour="lime")
        return Stored(f"https://v3.fal.media/files/{len(self.sent)}/{file_name}", self.expires)

    async def download(self, url: str, target: Path, *, max_bytes: int) -> Fetched:
        self.fetched.append(url)
        data = self.files[url]
        if len(data) > max_bytes:
            raise MediaError(f"{url} is larger than {max_bytes} bytes")
        target.write_bytes(data)
        return Fetched(len(data), hashlib.sha256(data).hexdigest(), "")


@dataclass
class Journal:
    jobs: dict[str, Job] = field(default_factory=dict[str, Job])

    async def find(self, job_id: str) -> Job:
        if job_id not in self.jobs:
            raise UnknownJobError(job_id)
        return self.jobs[job_id]

    def add(self, *outputs: Output, state: JobState = "done") -> None:
        self.jobs[JOB] = Job(
            JOB, state, "acme/model", "cloud", "me", "https://queue.fal.run", {}, datetime.now(UTC),
            outputs=outputs,
        )  # fmt: skip


@dataclass
class Desk:
    """A desk with everything around it."""

    folder: Path
    settings: Settings
    client: RecordingClient = field(default_factory=RecordingClient)
    journal: Journal = field(default_factory=Journal)

    @property
    def desk(self) -> MediaDesk:
        """A desk as a process that just started has it."""
        client: FileClient = self.client
        return MediaDesk(self.settings, Roots(self.settings), client, self.journal)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    folder = tmp_path.resolve() / "Projekt mit Umlaut ü"
    folder.mkdir()
    environ = {
        "FALKIT_HOME": str(tmp_path / "state"),
        "FALKIT_ROOTS": str(folder),
        "FAL_KEY": "someone:secret",
    }
    return Desk(folder, Settings.read(environ))


def identity(path: Path) -> str:
    return f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"


async def test_a_path_a_uri_and_inline_data_of_the_same_bytes_are_one_identity(desk: Desk) -> None:
    path = picture(desk.folder / "ein Bild.png")
    inline = f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}"
    here = desk.desk
    found = [
        await here.look(reference, "image")
        for reference in ("ein Bild.png", str(path), path.as_uri(), f" '{path}' ", inline)
    ]
    assert {given.identity for given in found} == {identity(path)}
    assert [given.path for given in found[:4]] == [path] * 4
    assert found[4].path is not None
    assert found[4].path.read_bytes() == path.read_bytes()
    assert found[4].path.suffix == ".png"
    assert found[4].path.stat().st_mode & 0o077 == 0
    facts = found[0].facts
    assert facts is not None
    assert (facts.kind, facts.width, facts.height) == ("image", 64, 48)


async def test_a_url_is_passed_on_and_not_fetched(desk: Desk) -> None:
    url = "https://example.com/a.png?x=1"
    given = await desk.desk.look(url, "image")
    assert (given.url, given.identity, given.facts, given.path) == (url, url, None, None)
    placed = await desk.desk.place(given)
    assert placed.url == url
    assert desk.client.sent == desk.client.fetched == []


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        ("http://example.com/a.png", "is not https"),
        ("https://192.168.0.1/a.png", "private address"),
        ("ftp://example.com/a.png", "ftp: is no source here"),
        ("blob:https://x.com/1", "blob: is no source here"),
        ("sandbox:/mnt/data/a.png", "sandbox: is no source here"),
        ("data:image/png;base64,@@@@", "holds no whole base64"),
        ("data:image/png;base64,", "is empty"),
        ("data:image/png", "is not a data URI"),
        ("data:text/html,<html></html>", "web page"),
        ("data:image/png,hello", "not media"),
        ("", "no media was named"),
        ("gone.png", "no file 'gone.png'"),
    ],
)
async def test_what_cannot_be_used_is_refused_in_plain_words(
    desk: Desk, reference: str, words: str
) -> None:
    with pytest.raises(MediaError) as refused:
        await desk.desk.look(reference)
    assert words in str(refused.value)
    assert refused.value.hint


async def test_a_path_outside_is_refused(desk: Desk, tmp_path: Path) -> None:
    outside = picture(tmp_path / "outside.png")
    with pytest.raises(OutOfBoundsError, match="FALKIT_ROOTS"):
        await desk.desk.look(str(outside))
    (desk.folder / "link.png").symlink_to(outside)
    with pytest.raises(OutOfBoundsError):
        await desk.desk.look("link.png")


async def test_what_is_not_media_is_refused_unless_such_a_file_is_wanted(
    desk: Desk,
) -> None:
    (desk.folder / "notes.png").write_text("password: hunter2")
    (desk.folder / "paper.pdf").write_bytes(b"%PDF-1.7")
    cases: list[tuple[str, MediaKind | None]] = [
        ("notes.png", None),
        ("notes.png", "image"),
        ("paper.pdf", None),
    ]
    for name, kind in cases:
        with pytest.raises(MediaError):
            await desk.desk.look(name, kind)
    assert (await desk.desk.look("notes.png", "text")).path
    assert (await desk.desk.look("paper.pdf", "file")).path
    safetensors(desk.folder / "lora.safetensors")
    assert (await desk.desk.look("lora.safetensors", "weights")).path


async def test_secrets_stay_even_where_any_file_is_wanted(desk: Desk) -> None:
    (desk.folder / ".env").write_text("FAL_KEY=a:b")
    (desk.folder / ".ssh").mkdir()
    (desk.folder / ".ssh" / "config").write_text("Host *")
    (desk.folder / "key.txt").write_text("-----BEGIN OPENSSH PRIVATE KEY-----\nabc")
    kinds: list[MediaKind] = ["file", "text"]
    for kind in kinds:
        for name in (".env", ".ssh/config"):
            with pytest.raises(OutOfBoundsError, match="is hidden"):
                await desk.desk.look(name, kind)
        with pytest.raises(MediaError, match="holds a private key"):
            await desk.desk.look("key.txt", kind)
    (desk.folder / ".shots").mkdir()
    picture(desk.folder / ".shots" / "a.png")
    assert (await desk.desk.look(".shots/a.png", "image")).path


async def test_another_kind_than_wanted_is_named(desk: Desk) -> None:
    sound(desk.folder / "a.mp3", codec="mp3")
    with pytest.raises(MediaError, match=r"'a.mp3' is audio \(audio/mpeg\); an image is"):
        await desk.desk.look("a.mp3", "image")


async def test_a_file_over_the_limit_is_refused_before_it_is_read(desk: Desk) -> None:
    path = desk.folder / "long.mp4"
    with path.open("wb") as file:
        file.truncate(1_400_000_000)
    with anyio.fail_after(1):
        with pytest.raises(MediaError, match=r"'long.mp4' has 1.4 GB, over the limit of 1 GB"):
            await desk.desk.look("long.mp4")


async def test_a_job_gives_its_first_fitting_output_and_is_the_parent(desk: Desk) -> None:
    image = picture(desk.folder / "a.png")
    clip = video(desk.folder / "a.mp4", sound=True)
    desk.journal.add(
        Output("text", text="a caption"),
        Output("image", url="https://v3.fal.media/a.png", path=str(image)),
        Output("video", path=str(clip)),
    )
    here = desk.desk
    cases: list[tuple[str, MediaKind | None, Path]] = [
        (JOB, "image", image),
        (JOB, "video", clip),
        (JOB, None, image),
        (JOB, "audio", clip),
        (f"{JOB}/3", None, clip),
        (JOB.upper(), "image", image),
        (JOB.replace("0", "O"), None, image),
    ]
    for reference, kind, path in cases:
        given = await here.look(reference, kind)
        assert (given.path, given.parent) == (path, JOB)
        assert given.identity == identity(path)
    text = await here.look(f"{JOB}/1")
    assert text.path is not None
    assert text.path.read_text() == "a caption"


async def test_a_job_that_cannot_serve_says_why(desk: Desk) -> None:
    clip = video(desk.folder / "a.mp4")
    here = desk.desk

    async def refusal(reference: str, kind: MediaKind | None = None) -> str:
        with pytest.raises(MediaError) as refused:
            await here.look(reference, kind)
        return str(refused.value)

    with pytest.raises(UnknownJobError, match=f"no job '{JOB}'"):
        await here.look(JOB)
    desk.journal.add(state="running")
    assert f"job {JOB} is running, not done yet (job_status" in await refusal(JOB)
    desk.journal.add(state="held")
    assert "falkit approve" in await refusal(JOB)
    desk.journal.add(state="failed")
    assert "is failed and made nothing" in await refusal(JOB)
    desk.journal.add(Output("video", path=str(clip)))
    assert "made a video; an image is wanted here" in await refusal(JOB, "image")
    assert "has 1 outputs, no number 2" in await refusal(f"{JOB}/2")
    assert "is a video (video/mp4); an image is wanted" in await refusal(f"{JOB}/1", "image")


async def test_a_job_whose_file_is_gone_gives_its_url_while_that_lives(desk: Desk) -> None:
    url = "https://v3.fal.media/files/a.png"
    gone = Output("image", url=url, path=str(desk.folder / "gone.png"))
    desk.journal.add(gone)
    given = await desk.desk.look(JOB, "image")
    assert (given.url, given.path, given.parent) == (url, None, JOB)
    desk.journal.add(replace(gone, expires=datetime.now(UTC) - timedelta(hours=1)))
    with pytest.raises(MediaError, match=r"cannot be had: '.*gone.png' is gone"):
        await desk.desk.look(JOB, "image")
    here = picture(desk.folder / "emulated.png")
    desk.journal.add(Output("image", url=here.as_uri()))
    assert (await desk.desk.look(JOB, "image")).path == here


async def test_a_file_wins_over_a_job_only_with_a_separator_or_an_ending(desk: Desk) -> None:
    made = picture(desk.folder / "made.png")
    desk.journal.add(Output("image", path=str(made)), Output("image", path=str(made)))
    shutil.copy(picture(desk.folder / "x.png", colour="lime"), desk.folder / JOB)
    assert (await desk.desk.look(JOB)).path == made
    assert (await desk.desk.look(f"./{JOB}")).path == desk.folder / JOB
    (desk.folder / JOB).unlink()
    (desk.folder / JOB).mkdir()
    assert (await desk.desk.look(f"{JOB}/2")).path == made
    other = desk.folder / JOB / "2"
    shutil.copy(desk.folder / "x.png", other)
    assert (await desk.desk.look(f"{JOB}/2")).path == other


async def test_a_folder_a_pattern_and_a_list_are_packed_where_an_archive_is_wanted(
    desk: Desk,
) -> None:
    photos = desk.folder / "photos"
    (photos / "more").mkdir(parents=True)
    for name in ("b.png", "a.png", "more/c.png"):
        picture(photos / name)
    (photos / "a.txt").write_text("a caption")
    (photos / ".DS_Store").write_text("junk")
    (photos / "a.png.json").write_text('{"job_id": "01k9x2m4q7a"}')
    given = await desk.desk.look("photos", "archive")
    assert given.facts is not None
    assert given.facts.media_type == "application/zip"
    assert given.path is not None
    with zipfile.ZipFile(given.path) as archive:
        assert archive.namelist() == ["a.png", "a.txt", "b.png", "more/c.png"]
        assert archive.read("more/c.png") == (photos / "more" / "c.png").read_bytes()
    pattern = await desk.desk.look("photos/*.png", "archive")
    assert pattern.path is not None
    with zipfile.ZipFile(pattern.path) as archive:
        assert archive.namelist() == ["a.png", "b.png"]
    listed = await desk.desk.look('["photos/a.png", "photos/more/c.png"]', "archive")
    assert listed.path is not None
    with zipfile.ZipFile(listed.path) as archive:
        assert archive.namelist() == ["a.png", "c.png"]


async def test_the_same_files_give_the_same_archive_whenever_they_were_written(desk: Desk) -> None:
    photos = desk.folder / "photos"
    photos.mkdir()
    for name in ("a.png", "b.png"):
        picture(photos / name)
    first = await desk.desk.look("photos", "archive")
    os.utime(photos / "a.png", (1, 1))
    shutil.copytree(photos, desk.folder / "copy")
    (desk.folder / "copy" / "b.png").chmod(0o600)
    second = await desk.desk.look("copy", "archive")
    assert second.identity == first.identity
    picture(photos / "a.png", colour="lime")
    assert (await desk.desk.look("photos", "archive")).identity != first.identity


async def test_a_folder_that_cannot_be_packed_says_why(desk: Desk, tmp_path: Path) -> None:
    photos = desk.folder / "photos"
    photos.mkdir()
    with pytest.raises(MediaError, match="holds no files to pack"):
        await desk.desk.look("photos", "archive")
    (photos / "tool.exe").write_bytes(b"MZ\x00\x01\x02")
    with pytest.raises(MediaError, match=r"'tool.exe' is neither media nor text"):
        await desk.desk.look("photos", "archive")
    (photos / "tool.exe").unlink()
    (photos / "id").write_text("-----BEGIN RSA PRIVATE KEY-----")
    with pytest.raises(MediaError, match="private key"):
        await desk.desk.look("photos", "archive")
    (photos / "id").unlink()
    (photos / "link.png").symlink_to(picture(tmp_path / "outside.png"))
    with pytest.raises(OutOfBoundsError):
        await desk.desk.look("photos", "archive")
    with pytest.raises(MediaError, match="is a folder"):
        await desk.desk.look("photos", "image")
    with pytest.raises(MediaError, match="is no list of paths"):
        await desk.desk.look("[1", "archive")


async def test_the_same_bytes_are_sent_once_while_the_copy_lives(
    desk: Desk,
) -> None:
    path = picture(desk.folder / "a.png")
    shutil.copy(path, desk.folder / "copy.png")
    here = desk.desk
    first = await here.place(await here.look("a.png"))
    assert not first.reused
    assert (first.bytes, first.media_type) == (path.stat().st_size, "image/png")
    assert f"sha256:{first.sha256}" == identity(path)
    again = await desk.desk.place(await desk.desk.look("copy.png"))
    assert (again.url, again.reused) == (first.url, True)
    assert desk.client.sent == [(path.read_bytes(), "image/png", "a.png")]
    assert desk.settings.home.joinpath("uploads.db").stat().st_mode & 0o077 == 0


async def test_two_at_once_send_the_same_bytes_once(desk: Desk) -> None:
    picture(desk.folder / "a.png")
    here = desk.desk
    given = await here.look("a.png")
    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            for _ in range(4):
                group.start_soon(here.place, given)
    assert len(desk.client.sent) == 1


@pytest.mark.parametrize(("minutes", "uploads"), [(5, 2), (120, 1)])
async def test_a_copy_that_is_about_to_go_is_sent_again(
    desk: Desk, minutes: int, uploads: int
) -> None:
    picture(desk.folder / "a.png")
    desk.client.expires = datetime.now(UTC) + timedelta(minutes=minutes)
    for _ in range(2):
        placed = await desk.desk.place(await desk.desk.look("a.png"))
        assert placed.expires == desk.client.expires
    assert len(desk.client.sent) == uploads


async def test_a_copy_of_no_stated_end_is_used_for_three_days(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture(desk.folder / "a.png")
    here = desk.desk
    given = await here.look("a.png")
    await here.place(given)
    monkeypatch.setattr(intake, "_now", lambda: datetime.now(UTC) + timedelta(days=2))
    assert (await here.place(given)).reused
    monkeypatch.setattr(intake, "_now", lambda: datetime.now(UTC) + timedelta(days=4))
    assert not (await here.place(given)).reused


async def test_another_account_or_file_host_has_no_copy(desk: Desk) -> None:
    picture(desk.folder / "a.png")
    await desk.desk.place(await desk.desk.look("a.png"))
    environ = {
        "FALKIT_HOME": str(desk.settings.home),
        "FALKIT_ROOTS": str(desk.folder),
        "FAL_KEY": "other:secret",
    }
    for more in ({}, {"FALKIT_CDN_URL": "https://cdn.example.com"}):
        desk.settings = Settings.read(environ | more)
        assert not (await desk.desk.place(await desk.desk.look("a.png"))).reused
    assert len(desk.client.sent) == 3


async def test_a_damaged_table_of_uploads_costs_one_upload_and_no_failure(desk: Desk) -> None:
    picture(desk.folder / "a.png")
    desk.settings.home.mkdir()
    (desk.settings.home / "uploads.db").write_bytes(b"this is no database" * 100)
    for _ in range(2):
        assert (await desk.desk.place(await desk.desk.look("a.png"))).url
    assert len(desk.client.sent) == 2


async def test_a_file_that_vanishes_before_it_is_sent_is_said_to(desk: Desk) -> None:
    path = picture(desk.folder / "a.png")
    here = desk.desk
    given = await here.look("a.png")
    path.unlink()
    with pytest.raises(MediaError, match=r"no file 'a.png' any more"):
        await here.place(given)
    assert desk.client.sent == []


async def test_a_file_that_changes_before_or_while_it_is_sent_is_refused(desk: Desk) -> None:
    path = picture(desk.folder / "a.png")
    here = desk.desk
    given = await here.look("a.png")
    picture(path, colour="lime")
    with pytest.raises(MediaError, match="changed after it was checked"):
        await here.place(given)
    assert desk.client.sent == []
    picture(path)
    desk.client.while_sending = path
    with pytest.raises(MediaError, match="changed after it was checked"):
        await here.place(given)
    desk.client.while_sending = None
    assert not (await here.place(await here.look("a.png"))).reused


async def test_a_file_that_was_only_touched_is_still_the_same(desk: Desk) -> None:
    path = picture(desk.folder / "a.png")
    here = desk.desk
    given = await here.look("a.png")
    os.utime(path, (1, 1))
    assert (await here.place(given)).url


async def test_outputs_are_previewed_small(desk: Desk) -> None:
    path = noise(desk.folder / "a.png", (1200, 800))
    here = desk.desk
    shown = await here.preview(Output("image", path=str(path)))
    assert shown is not None
    assert len(shown.data) <= 24_000
    assert max(shown.width, shown.height) <= 512
    assert await here.preview(Output("image", url=path.as_uri())) == shown
    assert await here.preview(Output("image", path=str(desk.folder / "gone.png"))) is None
    assert await here.preview(Output("image", url="https://v3.fal.media/a.png")) is None
    assert await here.preview(Output("text", text="hello")) is None


async def test_media_of_every_kind_is_viewed(desk: Desk) -> None:
    picture(desk.folder / "a.png")
    video(desk.folder / "a.mp4")
    sound(desk.folder / "a.wav")
    glb(desk.folder / "a.glb")
    here = desk.desk
    for name in ("a.png", "a.mp4", "a.wav", "a.glb"):
        view = await here.view(await here.look(name), frames=3, size=300)
        (shown,) = view.pictures
        with Image.open(io.BytesIO(shown.data)) as image:
            assert max(image.size) <= 310
    desk.journal.add(Output("text", text="a caption"))
    text = await here.view(await here.look(JOB), frames=3, size=300)
    assert text.text.endswith("a caption")


async def test_a_url_is_fetched_once_to_be_viewed(desk: Desk) -> None:
    url = "https://example.com/a"
    desk.client.files[url] = png_bytes(size=(90, 60))
    for _ in range(2):
        view = await desk.desk.view(await desk.desk.look(url), frames=1, size=300)
        assert view.text.startswith("image/png, 90x60")
    assert desk.client.fetched == [url]
    assert [path.suffix for path in (desk.settings.home / "cache").iterdir()] == [".png"]


async def test_a_fetched_page_is_said_to_be_one_and_leaves_no_part(desk: Desk) -> None:
    url = "https://example.com/a.png"
    desk.client.files[url] = b"<!doctype html><html>sign in</html>"
    with pytest.raises(MediaError, match="is a web page"):
        await desk.desk.view(await desk.desk.look(url), frames=1, size=300)
    assert not list((desk.settings.home / "cache").glob("*.part"))


async def test_a_folder_to_save_to_is_named_not_made(desk: Desk) -> None:
    here = desk.desk
    assert await here.folder("") is None
    assert await here.folder("out") == desk.folder / "out"
    assert not (desk.folder / "out").exists()
    with pytest.raises(OutOfBoundsError):
        await here.folder("/etc")
    (desk.folder / "out").write_text("x")
    with pytest.raises(MediaError, match="is a file"):
        await here.folder("out")


async def test_on_the_emulator_bytes_really_travel_there_and_back(tmp_path: Path) -> None:
    folder = tmp_path.resolve() / "work"
    folder.mkdir()
    path = picture(folder / "ein Bild ü.png", (320, 200))
    settings = Settings.read({"FALKIT_HOME": str(tmp_path / "state"), "FALKIT_ROOTS": str(folder)})
    with anyio.fail_after(20):
        async with emulated(settings.home / "emulator") as http:
            client = FalClient(http, settings.hosts, SecretStr("emulator:local"))
            desk = MediaDesk(settings, Roots(settings), client, Journal())
            placed = await desk.place(await desk.look(path.as_uri(), "image"))
            again = await desk.place(await desk.look(path.name, "image"))
            assert (again.url, again.reused) == (placed.url, True)
            assert placed.url.startswith(settings.hosts.cdn)
            view = await desk.view(await desk.look(placed.url, "image"), frames=1, size=300)
            assert view.text.startswith("image/png, 320x200")
    (cached,) = (settings.home / "cache").iterdir()
    assert cached.read_bytes() == path.read_bytes()
    assert (settings.home / "emulator" / "uploads.db").is_file()


async def test_what_was_made_is_looked_at_again_whatever_it_is(desk: Desk) -> None:
    """Results in the media folder may be text; other text on the machine stays where it is."""
    media = desk.settings.media_folder
    media.mkdir(parents=True)
    (media / "transcript.srt").write_text("1\n00:00:01,000 --> 00:00:02,000\nHallo\n")
    given = await desk.desk.look(str(media / "transcript.srt"))
    assert given.facts is not None
    assert given.facts.media_type == "application/x-subrip"
