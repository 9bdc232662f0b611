"""Files of apps: handed over through fal's own toolkit, and read back, also without network."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import anyio
import httpx
import pytest

from server.deploy.isolation import FilesHost
from server.deploy.runner import RunnerSpec
from server.deploy.uploads import Place, Uploads, files_app, serving_socket
from tests.deployed import Hosted, hosted, needs_namespaces

PORT = 8443

KITCHEN = """
from fal.toolkit import File, Image, download_file

class Kitchen(fal.App):
    @fal.endpoint("/")
    def run(self, i: In) -> dict:
        if i.text:
            return {"size": list(Image(url=i.text).to_pil().size)}
        from PIL import Image as Pictures
        made = Image.from_pil(Pictures.new("RGB", (12, 8), "red"), "png")
        note = File.from_bytes(b"hello", "text/plain", "note.txt")
        return {"picture": made.url, "note": note.url}

    @fal.endpoint("/reserved")
    def reserved(self, i: In) -> dict:
        later = File.reserve("text/plain", file_name="later.txt")
        later.complete(b"bytes that came later")
        return {"url": later.url}
"""


class Shelf:
    """Keeps what is handed over in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.kept: list[tuple[str, str, int]] = []

    async def place(self, name: str, media_type: str, app: str) -> Place:
        part = f"{uuid4().hex}/{name}"
        return Place(f"http://127.0.0.1:{PORT}/files/{part}", self.folder / part)

    async def keep(self, place: Place, media_type: str, size: int) -> None:
        self.kept.append((place.path.name, media_type, size))

    async def find(self, path: str) -> Path | None:
        found = (self.folder / path.removeprefix("/files/")).resolve()
        return found if found.is_relative_to(self.folder) else None


@asynccontextmanager
async def kitchen(folder: Path, sockets: Path) -> AsyncGenerator[tuple[Hosted, Shelf]]:
    shelf = Shelf(folder / "shelf")
    async with (
        serving_socket(Uploads(shelf).app(), sockets / "up.sock") as uploads,
        serving_socket(files_app(shelf.find), sockets / "files.sock") as files,
    ):

        def change(spec: RunnerSpec) -> RunnerSpec:
            return replace(spec, uploads=uploads, files=FilesHost("127.0.0.1", PORT, files))

        async with hosted(folder, KITCHEN, change=change) as app:
            await app.runner.ready()
            yield app, shelf


@pytest.fixture
def namespaces() -> None:
    needs_namespaces()


@pytest.fixture
def sockets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("s")


@pytest.mark.proof
@pytest.mark.usefixtures("namespaces")
async def test_a_picture_of_an_app_without_network_is_handed_over_and_read_back(
    tmp_path: Path, sockets: Path
) -> None:
    with anyio.fail_after(20):
        async with kitchen(tmp_path, sockets) as (app, shelf):
            made = (await app.call()).json()
            again = await app.call(text=made["picture"])
            data = await app.call(text="data:image/gif;base64,R0lGODlhAQABAAAAACw=")
            outside = await app.call(text="https://192.0.2.1/picture.png")
            beside = await app.call(text=f"http://127.0.0.1:{PORT + 1}/files/x")

    assert again.json() == {"size": [12, 8]}, app.said()
    assert data.status_code in (200, 422, 500)  # a data URI needs no network at all
    assert outside.status_code == beside.status_code == 500
    assert "non-routable" in app.said()  # still refused: another port of the same host
    assert [(kind, size > 0) for _, kind, size in shelf.kept] == [
        ("image/png", True),
        ("text/plain", True),
    ]
    assert await shelf.find("/files/../../etc/passwd") is None


@pytest.mark.proof
async def test_a_reserved_address_holds_the_bytes_that_come_later(
    tmp_path: Path, sockets: Path
) -> None:
    with anyio.fail_after(20):
        async with kitchen(tmp_path, sockets) as (app, shelf):
            url = (await app.call("/reserved")).json()["url"]
            found = await shelf.find(url.removeprefix(f"http://127.0.0.1:{PORT}"))

    assert found is not None
    assert found.read_bytes() == b"bytes that came later"


async def test_the_uploader_refuses_what_is_too_large_or_of_another_size_than_told(
    tmp_path: Path,
) -> None:
    shelf = Shelf(tmp_path)
    transport = httpx.ASGITransport(Uploads(shelf, largest=10).app())
    async with httpx.AsyncClient(transport=transport, base_url="http://uploads") as http:
        large = await http.post("/v1/uploads", content=b"x" * 11)
        opened = (await http.post("/v1/upload-sessions")).json()
        session = f"/v1/upload-sessions/{opened['upload_id']}"
        await http.put(f"{session}/body", content=b"12345")
        wrong = await http.post(f"{session}/finish", json={"size_bytes": 4})
        dropped = await http.delete(session)
        gone = await http.put(f"{session}/body", content=b"12345")
        named = await http.post(
            "/v1/uploads", content=b"x", headers={"x-fal-file-name": "../../.bashrc"}
        )

    assert (large.status_code, wrong.status_code, dropped.status_code) == (413, 422, 202)
    assert gone.status_code == 404
    assert named.status_code == 202
    assert [name for name, _, _ in shelf.kept] == ["bashrc"]
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["bashrc"]
