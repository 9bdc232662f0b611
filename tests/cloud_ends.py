"""fal as a cloud target meets it: the double of its control plane, and its platform API beside."""

import json
import subprocess
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import IO, Any

import anyio
import anyio.to_thread
import httpx
from pydantic import SecretStr
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from server.deploy.cloud.target import CloudTarget, open_cloud
from server.deploy.targets import Release
from server.fal.platform import PlatformClient
from server.fal.sender import Sender
from server.settings import Settings
from tests.deployed import READY, missing, told
from tests.fal_ends import HOSTS, Clock
from tests.platform_ends import refusal
from tools.deploy_records import AppSettings

KEY = "key-id:key-secret"
PLAN = "plan-0123456789"
SOURCE = """
import fal


class Hello(fal.App):
    app_name = "hello"
    machine_type = "S"
    max_concurrency = 2
    requirements = ["numpy==2.0"]

    @fal.endpoint("/")
    def run(self) -> dict:
        return {}
"""
SETTINGS = AppSettings(keep_alive=60, max_concurrency=2, requirements=("numpy==2.0",))


@dataclass
class Shelf:
    """The platform API's view of apps that the double holds, one revision after the other.

    *behind* is how many more looks a revision takes to answer, *fails* what becomes of it then.
    """

    apps: dict[str, list[dict[str, Any]]] = field(default_factory=dict[str, "list[dict[str, Any]]"])
    records: dict[str, dict[str, Any]] = field(default_factory=dict[str, "dict[str, Any]"])
    behind: int = 0
    fails: bool = False
    down: bool = False
    listed: bool = True
    files: dict[str, bytes] = field(default_factory=dict[str, bytes])  # by digest, once complete
    parts: dict[str, list[bytes]] = field(default_factory=dict[str, "list[bytes]"])

    def register(self, told: dict[str, Any], revision: str) -> None:
        row: dict[str, Any] = {
            "revision_id": revision,
            "created_at": "2026-11-24T12:00:00Z",
            "message": told["message"] or "",
            "annotations": told["annotations"] or {},
            "status": "deployed",
        }
        self.apps.setdefault(told["name"], []).insert(0, row)
        self.records[told["name"]] = told
        self.point(told["name"], revision)

    def point(self, name: str, revision: str) -> None:
        for row in self.apps[name]:
            row["is_current"] = row["revision_id"] == revision

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        path = request.url.path
        answer = await self._keep(request) if "/rest/files/" in path else self._answer(path)
        await answer(scope, receive, send)

    async def _keep(self, request: Request) -> JSONResponse:
        """Take files as fal's support host does for its own package."""
        if self.down:
            return JSONResponse({"detail": "no room"}, 403)
        assert request.headers["authorization"] == f"Key {KEY}"
        *_, digest, last = request.url.path.split("/")
        if last == "missing_hashes":
            asked = (await request.json())["hashes"]
            return JSONResponse([one for one in asked if one not in self.files])
        if last == "initiate":
            assert (await request.json())["hash"] == digest
            self.parts[digest] = []
            return JSONResponse({"upload_id": "upload-1"})
        if last == "complete":
            digest = request.url.path.split("/")[-3]
            told = await request.json()
            whole = b"".join(self.parts[digest])
            mode = told["metadata"]["mode"].encode()
            assert sha256(whole + mode).hexdigest() == digest
            assert [part["part_number"] for part in told["parts"]] == list(
                range(1, len(self.parts[digest]) + 1)
            )
            self.files[digest] = whole
            return JSONResponse({"etag": "whole"})
        digest = request.url.path.split("/")[-3]
        async with request.form() as form:
            given = form["file_upload"]
            assert isinstance(given, UploadFile)
            self.parts[digest].append(await given.read())
        return JSONResponse({"part_number": int(last), "etag": f"part-{last}"})

    def _answer(self, path: str) -> JSONResponse:
        if self.down:
            return refusal(403, "forbidden", "not today")
        if path.endswith("/serverless/apps"):
            if not self.listed:
                return refusal(404, "not_found", "no such list")
            return JSONResponse({"apps": [self._app(name) for name in self.apps]})
        if path.endswith("/revisions"):
            name = path.split("/")[-2]
            rows = [dict(row) for row in self.apps[name]]
            if self.behind:
                self.behind -= 1
                rows[0] |= {"is_current": False, "status": "rolling"}
            elif self.fails:
                rows[0] |= {"is_current": False, "status": "failed"}
            return JSONResponse({"revisions": rows, "next_cursor": None, "has_more": False})
        return refusal(404, "not_found", "nothing here")

    def _app(self, name: str) -> dict[str, Any]:
        told = {key: value for key, value in self.records[name].items() if key != "annotations"}
        return {"endpoint_id": f"me/{name}", "owner": "me", **told}


@dataclass
class Fal:
    """A running double. *calls* are what came to it, *told* what was told of progress."""

    process: subprocess.Popen[bytes]
    port: int
    target: CloudTarget
    shelf: Shelf
    folder: Path
    calls: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    told: list[str] = field(default_factory=list[str])
    came: anyio.Event = field(default_factory=anyio.Event)

    async def behave(self, **behaviour: Any) -> None:
        """Change how the double behaves, and wait until it does."""
        pipe = _pipe(self.process.stdin)
        pipe.write(json.dumps(behaviour).encode() + b"\n")
        pipe.flush()
        await self.hear("behaves")

    async def hear(self, word: str) -> None:
        """Wait until the double tells a record with *word* once more."""
        count = sum(word in record for record in self.calls)
        with anyio.fail_after(20):
            while sum(word in record for record in self.calls) == count:
                self.came = anyio.Event()
                await self.came.wait()

    def names(self) -> list[str]:
        """Return the names of the calls, in their order."""
        return [record["call"] for record in self.calls if "call" in record]

    def request(self, name: str) -> dict[str, Any]:
        """Return the last request of that name."""
        return [one["request"] for one in self.calls if one.get("call") == name][-1]

    async def tell(self, share: float, words: str) -> None:
        self.told.append(words)

    def release(
        self, source: str = SOURCE, *, plan: str = PLAN, class_name: str = "", **changes: Any
    ) -> Release:
        """Return a release of *source*, written into a folder of its own; changes to settings."""
        made = release_in(self.folder, source, plan)
        return replace(made, class_name=class_name, settings=replace(SETTINGS, **changes))

    def _take(self, record: dict[str, Any]) -> None:
        self.calls.append(record)
        if "registered" in record:
            self.shelf.register(record["registered"], record["revision"])
        if record.get("call") == "SetAlias":
            self.shelf.point(record["request"]["alias"], record["request"]["revision"])
        if record.get("call") == "DeleteAlias":
            self.shelf.apps.pop(record["request"]["alias"], None)
        self.came.set()

    async def listen(self) -> None:
        pipe = _pipe(self.process.stdout)
        while line := await anyio.to_thread.run_sync(pipe.readline, abandon_on_cancel=True):
            self._take(json.loads(line))


def release_in(folder: Path, source: str = SOURCE, plan: str = PLAN) -> Release:
    """Return a release of *source*, written below *folder*."""
    place = folder / f"source-{sha256(source.encode()).hexdigest()[:12]}"
    place.mkdir(exist_ok=True)
    (place / "app.py").write_text(source, "utf-8")
    return Release(
        name="hello",
        folder=place,
        file="app.py",
        class_name="",
        settings=SETTINGS,
        source_hash="a" * 64,
        message=f"first [{plan}]",
    )


def settings_for(folder: Path, port: int, key: str = KEY, **more: str) -> Settings:
    """Return settings of a house whose control plane is the double."""
    return Settings.read(
        {
            "FALKIT_HOME": str(folder / "home"),
            "FALKIT_DEPLOY": "cloud",
            "FALKIT_DEPLOY_TOOLS": str(READY),
            "FALKIT_GRPC_URL": f"http://127.0.0.1:{port}",
            "FAL_KEY": key,
            **more,
        }
    )


@asynccontextmanager
async def fal_at(folder: Path, *, key: str = KEY) -> AsyncGenerator[Fal]:
    """Yield a target, and what it meets."""
    if not READY.exists():
        missing("there is no environment with fal for this proof: `make deploy-tools` makes it")
    process = subprocess.Popen(
        [str(READY), str(Path(__file__).with_name("control_plane.py"))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    shelf = Shelf()
    port = int(json.loads(_pipe(process.stdout).readline())["port"])
    try:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(shelf)) as http:
            sender = Sender(http, HOSTS, SecretStr(key), Clock().policy())
            settings = settings_for(folder, port, key)
            async with (
                open_cloud(settings, PlatformClient(sender), pause=0.01) as target,
                anyio.create_task_group() as tasks,
            ):
                fal = Fal(process, port, target, shelf, folder)
                tasks.start_soon(fal.listen)
                yield fal
                _pipe(process.stdin).close()
                process.wait(10)
    finally:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            _pipe(pipe).close()


async def released_to(folder: Path, port: int) -> None:
    """Release the app to a double that somebody else has started; for a process of its own."""
    async with httpx.AsyncClient(transport=httpx.ASGITransport(Shelf())) as http:
        sender = Sender(http, HOSTS, SecretStr(KEY), Clock().policy())
        async with open_cloud(settings_for(folder, port), PlatformClient(sender)) as target:
            await target.release(release_in(folder), told)


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    assert pipe is not None
    return pipe


def audit(folder: Path) -> Sequence[dict[str, Any]]:
    """Return what was written down of calls."""
    text = (folder / "home" / "deploy" / "audit.jsonl").read_text("utf-8")
    return [json.loads(line) for line in text.splitlines()]
