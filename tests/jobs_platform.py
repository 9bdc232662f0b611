"""A small platform in a folder, for tests: it remembers what was sent, also across processes."""

import base64
import hashlib
import json
import struct
import time
import uuid
import zlib
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import anyio

from catalog.index import CatalogIndex
from server.fal.options import PLAIN, CallOptions
from server.fal.problems import (
    BadInputError,
    CancelledOnPlatformError,
    NetworkError,
    NotFoundError,
    UnauthorisedError,
)
from server.fal.wire import Downloaded, LogLine, PastRequest, Result, Status, Submission
from server.jobs.backend import Backend
from server.jobs.pace import Pace
from server.jobs.service import JournalJobs, open_jobs
from server.settings import Settings
from tools.ports import Intent


class FolderPlatform:
    """Requests are files in *folder*; they wait and run for the given seconds.

    Faults are plain attributes: errors that the next calls raise, outputs that models return.
    """

    def __init__(self, folder: Path, *, waits: float = 0.0, runs: float = 0.05) -> None:
        self.folder = folder
        self.waits = waits
        self.runs = runs
        self.submit_problem: BaseException | None = None
        self.loses_answers = False
        self.answers_after = 0.0
        self.has_history = False
        self.fixed_id = ""
        self.stream_problems = 0
        self.open_streams = 0
        self.result_problems: list[Exception] = []
        self.download_problem: Exception | None = None
        self.file = png()
        self.output: Any = None
        self.looks: list[tuple[str, float]] = []
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def requests(self) -> list[dict[str, Any]]:
        """What was sent, oldest first."""
        found = [json.loads(path.read_text("utf-8")) for path in self.folder.glob("*.request")]
        return sorted(found, key=lambda request: request["at"])

    async def submit(
        self,
        endpoint_id: str,
        arguments: Mapping[str, Any],
        *,
        webhook_url: str = "",
        options: CallOptions = PLAIN,
    ) -> Submission:
        self.looks.append(("submit", time.monotonic()))
        await anyio.sleep(self.answers_after)
        if self.submit_problem is not None and not self.loses_answers:
            raise self.submit_problem
        request_id = self.fixed_id or str(uuid.uuid4())
        request = {
            "request_id": request_id,
            "endpoint_id": endpoint_id,
            "arguments": dict(arguments),
            "webhook_url": webhook_url,
            "tags": dict(options.tags),
            "at": time.time(),
        }
        (self.folder / f"{request_id}.request").write_text(json.dumps(request), "utf-8")
        if self.submit_problem is not None:
            raise self.submit_problem
        return Submission(request_id, 1)

    async def status(self, endpoint_id: str, request_id: str, *, logs: bool = True) -> Status:
        self.looks.append(("status", time.monotonic()))
        return self._status(request_id)

    @asynccontextmanager
    async def watch(
        self, endpoint_id: str, request_id: str, *, logs: bool = True
    ) -> AsyncGenerator[AsyncIterator[Status]]:
        self.looks.append(("watch", time.monotonic()))
        self.open_streams += 1
        try:
            yield self._states(request_id)
        finally:
            self.open_streams -= 1

    async def result(self, endpoint_id: str, request_id: str) -> Result:
        self.looks.append(("result", time.monotonic()))
        if self.result_problems:
            raise self.result_problems.pop(0)
        if self._cancelled(request_id).exists():
            raise CancelledOnPlatformError("the request was cancelled")
        arguments = self._request(request_id)["arguments"]
        if arguments.get("prompt") == "refuse me":
            raise BadInputError(
                "prompt: refused", error_type="value_error", field="prompt", charged=False
            )
        file = {"url": f"https://files.test/{request_id}.png", "content_type": "image/png"}
        output = self.output if self.output is not None else {"images": [file], "seed": 7}
        return Result(output, Decimal(1), request_id)

    async def cancel(
        self, endpoint_id: str, request_id: str
    ) -> Literal["requested", "already_completed", "not_found"]:
        self.looks.append(("cancel", time.monotonic()))
        if self._status(request_id).state == "completed":
            return "already_completed"
        self._cancelled(request_id).touch()
        return "requested"

    async def past_requests(self, endpoint_id: str, since: datetime) -> tuple[PastRequest, ...]:
        self.looks.append(("history", time.monotonic()))
        if not self.has_history:
            raise UnauthorisedError("the key may not read requests")
        return tuple(
            PastRequest(
                request["request_id"],
                request["endpoint_id"],
                datetime.fromtimestamp(request["at"], UTC),
                request["arguments"],
            )
            for request in self.requests
            if request["endpoint_id"] == endpoint_id and request["at"] >= since.timestamp()
        )

    async def download(self, url: str, target: Path, *, max_bytes: int | None = None) -> Downloaded:
        self.looks.append(("download", time.monotonic()))
        if self.download_problem is not None:
            raise self.download_problem
        data = self.file
        if url.startswith("data:"):
            data = base64.b64decode(url.partition("base64,")[2])
        await anyio.Path(target).write_bytes(data)
        return Downloaded(len(data), hashlib.sha256(data).hexdigest(), "image/png")

    async def _states(self, request_id: str) -> AsyncIterator[Status]:
        while True:
            if self.stream_problems > 0:
                self.stream_problems -= 1
                raise NetworkError("the stream broke")
            status = self._status(request_id)
            yield status
            if status.state == "completed":
                return
            await anyio.sleep(0.01)

    def _status(self, request_id: str) -> Status:
        sent = self._request(request_id)["at"]
        age = time.time() - sent
        if self._cancelled(request_id).exists():
            ran = self._cancelled(request_id).stat().st_mtime - sent - self.waits
            return Status(
                "completed",
                error="cancelled",
                error_type="client_cancelled",
                inference_seconds=ran if ran > 0 else None,
            )
        if age < self.waits:
            return Status("queued", queue_position=1)
        lines = (LogLine("2026-01-01T00:00:00Z", "INFO", "step 40%|####      |"),)
        if age < self.waits + self.runs:
            return Status("running", logs=lines)
        return Status("completed", logs=lines, inference_seconds=self.runs)

    def _request(self, request_id: str) -> dict[str, Any]:
        try:
            return json.loads((self.folder / f"{request_id}.request").read_text("utf-8"))
        except FileNotFoundError:
            raise NotFoundError("no such request") from None

    def _cancelled(self, request_id: str) -> Path:
        return self.folder / f"{request_id}.cancelled"


def png(width: int = 4, height: int = 3) -> bytes:
    """Return a small picture that opens."""

    def chunk(name: bytes, data: bytes) -> bytes:
        checked = name + data
        return struct.pack(">I", len(data)) + checked + struct.pack(">I", zlib.crc32(checked))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = b"".join(b"\0" + bytes([200, 80, 20]) * width for _ in range(height))
    body = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def settings_in(home: Path, **environ: str) -> Settings:
    """Return settings for *home* on the emulator; *environ* adds variables without ``FALKIT_``."""
    given = {f"FALKIT_{name.upper()}": value for name, value in environ.items()}
    if key := given.pop("FALKIT_KEY", ""):
        given |= {"FALKIT_BACKEND": "cloud", "FAL_KEY": key}
    usual = {"FALKIT_BACKEND": "emulator", "FALKIT_PROVENANCE": "off"}  # files as they came
    return Settings.read({**usual, **given, "FALKIT_HOME": str(home)})


def intent(prompt: str = "a red fox", dollars: str | None = "0.05", **more: Any) -> Intent:
    """Return what a caller wants: a picture of *prompt* for that many dollars."""
    arguments = {"prompt": prompt}
    price = None if dollars is None else Decimal(dollars)
    return Intent(
        endpoint_id="fal-ai/flux/dev",
        arguments=arguments,
        identity=arguments,
        low=price,
        high=price,
        **more,
    )


FAST = Pace(
    heartbeat=0.1, poll_gap=0.05, poll_first=0.05, keep_again=0.1, progress=0.2, gone_after=0.0
)


@asynccontextmanager
async def jobs_in(
    home: Path, platform: FolderPlatform, pace: Pace = FAST, **environ: str
) -> AsyncGenerator[JournalJobs]:
    """Yield the jobs of *home*, as one more process would open them."""
    settings = settings_in(home, **environ)
    with anyio.fail_after(20):
        async with open_jobs(settings, platform, CatalogIndex.open(), pace) as jobs:
            yield jobs


_holds: type[Backend] = FolderPlatform
