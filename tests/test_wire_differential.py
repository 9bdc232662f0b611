"""For the same call our client and the released fal-client send the same, but for a short list."""

import gc
import hashlib
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import fal_client
import fal_client.client
import httpx
import pytest
from pydantic import SecretStr
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket

from server.emulator.serve import serve
from server.fal.client import FalClient
from server.fal.options import CallOptions, Lifecycle
from server.fal.realtime import Realtime
from server.fal.sender import Sender
from server.fal.uploads import Uploads
from server.settings import Hosts
from tests.fal_ends import KEY, WORK, Clock

MODEL = "fal-ai/flux/dev"
FLOW = "workflows/me/flow/deep"
INPUT: Mapping[str, Any] = {"prompt": "a fox é", "seed": 7}
DATA = bytes(range(256)) * 10
PART = 1000
# Headers that say something to the platform; who sends, and how it packs bytes, is left out.
MATTER = ("authorization", "content-type", "accept")


@dataclass(frozen=True)
class Sent:
    """One request in the form in which two are compared."""

    line: str
    query: tuple[tuple[str, str], ...]
    headers: Mapping[str, str]
    body: Any

    def facts(self) -> dict[str, Any]:
        """Return all that is compared, by name."""
        headers = {f"header {name}": value for name, value in self.headers.items()}
        query = {f"query {name}": value for name, value in self.query}
        return {"body": self.body, **headers, **query}


@dataclass
class Recorder:
    """A server that answers every call well, and keeps what was sent."""

    base: str = ""
    has_tokens: bool = True
    sent: list[Sent] = field(default_factory=list[Sent])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            socket = WebSocket(scope, receive, send)
            self._keep(socket, "WEBSOCKET", b"")
            await socket.accept()
            await socket.close()
            return
        request = Request(scope, receive)
        body = await request.body()
        self._keep(request, request.method, body)
        await self._answer(request)(scope, receive, send)

    def _keep(self, asked: Request | WebSocket, method: str, body: bytes) -> None:
        headers = {
            name: value
            for name, value in asked.headers.items()
            if name in MATTER or name.startswith("x-")
        }
        for name, value in headers.items():
            if value.startswith("{"):
                headers[name] = json.loads(value)
        told: Any = hashlib.sha256(body).hexdigest() if len(body) > 100 else body
        if headers.get("content-type") == "application/json" and body:
            told = json.loads(body)
            if "parts" in told:  # in whatever order they arrived
                told["parts"].sort(key=str)
        query = tuple(sorted(asked.query_params.multi_items()))
        self.sent.append(Sent(f"{method} {asked.url.path}", query, headers, told))

    def _answer(self, request: Request) -> Response:
        last = request.url.path.rstrip("/").rpartition("/")[2]
        here = f"{self.base}/queue/{MODEL.rpartition('/')[0]}/requests/{WORK}"
        urls = {
            "response_url": here,
            "status_url": f"{here}/status",
            "cancel_url": f"{here}/cancel",
        }
        match last:
            case "tokens":
                return JSONResponse("a-token")
            case "initiate":
                url = f"{self.base}/cdn/signed"
                return JSONResponse({"upload_url": url, "file_url": f"{self.base}/cdn/x.png"})
            case "token":
                return self._token()
            case "upload":
                return JSONResponse({"access_url": f"{self.base}/cdn/files/b/0/x.png"})
            case "multipart":
                url = f"{self.base}/cdn/files/b/0/x.png"
                return JSONResponse({"access_url": url, "uploadId": "u1"})
            case "stream" if "/requests/" not in request.url.path:
                return Response(b'data: {"a": 1}\n\n', media_type="text/event-stream")
            case "status":
                done = {"status": "COMPLETED", "request_id": WORK, "logs": None, "metrics": None}
                return JSONResponse({**done, **urls})
            case "cancel":
                return JSONResponse({"status": "CANCELLATION_REQUESTED"}, 202)
            case _ if request.method == "PUT":
                return Response(headers={"etag": f'"tag-{last}"'})
            case _:
                answer = {"request_id": WORK, "status": "IN_QUEUE", "queue_position": 0, **urls}
                return JSONResponse(answer, 200, {"x-fal-request-id": WORK})

    def _token(self) -> Response:
        if not self.has_tokens:
            return JSONResponse({"detail": "no tokens today"}, 404)
        end = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
        base = f"{self.base}/cdn"
        return JSONResponse(
            {"token": "t", "token_type": "Bearer", "base_url": base, "expires_at": end}
        )


@dataclass(frozen=True)
class Sides:
    """Both clients, pointed at one recorder."""

    ours: FalClient
    sockets: Realtime
    uploads: Uploads
    theirs: fal_client.AsyncClient
    file: Path


Act = Callable[[Sides], Awaitable[object]]


@dataclass(frozen=True)
class Call:
    """The same wish, said to either client."""

    name: str
    ours: Act
    theirs: Act


async def _in_realtime(opened: Any) -> None:
    async with opened:
        pass


async def _streamed_ours(sides: Sides) -> None:
    async with sides.ours.stream(MODEL, INPUT) as events:
        async for _ in events:
            pass


async def _streamed_theirs(sides: Sides) -> None:
    async for _ in sides.theirs.stream(MODEL, dict(INPUT)):
        pass


def submit(name: str, options: CallOptions, **theirs: Any) -> Call:
    """Return a submit with an option, as each client says it."""
    return Call(
        f"submit: {name}",
        lambda sides: sides.ours.submit(MODEL, INPUT, options=options),
        lambda sides: sides.theirs.submit(MODEL, dict(INPUT), **theirs),
    )


ASKED = Lifecycle(3600, "forbid", (("user_1", "allow"),))
ASKED_OF_THEM = fal_client.StorageSettings(
    expires_in="1h",
    initial_acl=fal_client.StorageACL(
        default="forbid", rules=[fal_client.StorageACLRule("user_1", "allow")]
    ),
)
PREFERENCE = json.dumps(json.loads(ASKED.as_header()))

CALLS: Sequence[Call] = (
    submit("plain", CallOptions()),
    Call(
        "submit: an id with a namespace",
        lambda sides: sides.ours.submit(FLOW, INPUT),
        lambda sides: sides.theirs.submit(FLOW, dict(INPUT)),
    ),
    Call(
        "submit: webhook",
        lambda sides: sides.ours.submit(MODEL, INPUT, webhook_url="https://a.test/?b=c&d=é"),
        lambda sides: sides.theirs.submit(
            MODEL, dict(INPUT), webhook_url="https://a.test/?b=c&d=é"
        ),
    ),
    submit("low priority", CallOptions(priority="low"), priority="low"),
    submit("normal priority", CallOptions(priority="normal"), priority="normal"),
    submit("start timeout", CallOptions(start_seconds=30), start_timeout=30),
    submit("hint", CallOptions(hint="lora-7"), hint="lora-7"),
    submit("tags", CallOptions(tags={"a": "b"}), headers={"X-Fal-Tags": "a=b"}),
    submit("no retry", CallOptions(retries=False), headers={"X-Fal-No-Retry": "1"}),
    submit("store-io", CallOptions(keeps_payloads=False), headers={"X-Fal-Store-IO": "0"}),
    submit(
        "no fallback",
        CallOptions(fallback=False),
        headers={"x-app-fal-disable-fallback": "true"},
    ),
    submit(
        "retry config",
        CallOptions(attempts={"timeout": 2}),
        headers={"X-Fal-Retry-Config": '{"timeout": {"retries": 2}}'},
    ),
    submit(
        "lifecycle",
        CallOptions(lifecycle=ASKED),
        headers={"X-Fal-Object-Lifecycle-Preference": PREFERENCE},
    ),
    Call(
        "submit: longest queue",
        lambda sides: sides.ours.submit(MODEL, INPUT, options=CallOptions(longest_queue=3)),
        lambda sides: sides.theirs.submit(f"{MODEL}?fal_max_queue_length=3", dict(INPUT)),
    ),
    Call(
        "status with logs",
        lambda sides: sides.ours.status(MODEL, WORK, logs=True),
        lambda sides: sides.theirs.status(MODEL, WORK, with_logs=True),
    ),
    Call(
        "status without logs",
        lambda sides: sides.ours.status(FLOW, WORK, logs=False),
        lambda sides: sides.theirs.status(FLOW, WORK),
    ),
    Call(
        "result",
        lambda sides: sides.ours.result(MODEL, WORK),
        lambda sides: sides.theirs.result(MODEL, WORK),
    ),
    Call(
        "cancel",
        lambda sides: sides.ours.cancel(MODEL, WORK),
        lambda sides: sides.theirs.cancel(MODEL, WORK),
    ),
    Call(
        "run",
        lambda sides: sides.ours.run(
            MODEL, INPUT, options=CallOptions(hint="lora-7", start_seconds=2.5)
        ),
        lambda sides: sides.theirs.run(MODEL, dict(INPUT), hint="lora-7", start_timeout=2.5),
    ),
    Call("stream", _streamed_ours, _streamed_theirs),
    Call(
        "upload",
        lambda sides: sides.ours.upload(sides.file, media_type="image/png", file_name="x.png"),
        lambda sides: sides.theirs.upload_file(sides.file),  # pyright: ignore[reportUnknownMemberType]  # PathLike
    ),
    Call(
        "upload with a lifecycle",
        lambda sides: sides.ours.upload(
            sides.file, media_type="image/png", file_name="x.png", lifecycle=ASKED
        ),
        lambda sides: sides.theirs.upload_file(sides.file, lifecycle=ASKED_OF_THEM),  # pyright: ignore[reportUnknownMemberType]  # PathLike
    ),
    Call(
        "upload in parts",
        lambda sides: sides.uploads.upload(sides.file, "image/png", "x.png", ASKED),
        lambda sides: sides.theirs.upload_file(sides.file, lifecycle=ASKED_OF_THEM),  # pyright: ignore[reportUnknownMemberType]  # PathLike
    ),
    Call(
        "upload without a token",
        lambda sides: sides.ours.upload(
            sides.file, media_type="image/png", file_name="x.png", lifecycle=ASKED
        ),
        lambda sides: sides.theirs.upload_file(sides.file, lifecycle=ASKED_OF_THEM),  # pyright: ignore[reportUnknownMemberType]  # PathLike
    ),
    Call(
        "realtime",
        lambda sides: _in_realtime(sides.sockets.connect(MODEL, max_buffering=4)),
        lambda sides: _in_realtime(sides.theirs.realtime(MODEL, max_buffering=4)),
    ),
    Call(
        "realtime with the key",
        lambda sides: _in_realtime(sides.sockets.connect(FLOW, token_seconds=None)),
        lambda sides: _in_realtime(sides.theirs.realtime(FLOW, use_jwt=False)),
    ),
    Call(
        "realtime of an id that names it",
        lambda sides: _in_realtime(sides.sockets.connect(f"{MODEL}/realtime")),
        lambda sides: _in_realtime(sides.theirs.realtime(f"{MODEL}/realtime")),
    ),
    Call(
        "raw socket",
        lambda sides: _in_realtime(sides.sockets.raw(MODEL, "chat", token_seconds=60)),
        lambda sides: _in_realtime(
            sides.theirs.ws_connect(MODEL, path="chat", token_expiration=60)
        ),
    ),
)


@dataclass(frozen=True)
class Row:
    """Why a fact differs, and in which calls; None: wherever it is sent at all."""

    calls: tuple[str, ...] | None
    why: str


# What is compared, how we say it, how fal-client says it.
Difference = tuple[str, str, str]
APP = "/queue/fal-ai/flux/requests"

DIFFERENCES: Mapping[Difference, Row] = {
    ("header accept", "application/json", "*/*"): Row(
        None, "every answer that we read is JSON, and we say so"
    ),
    ("query logs", "1", "true"): Row(
        ("status with logs",), "fal's JavaScript client and SDK say 1, its Python client true"
    ),
    ("query logs", "0", "false"): Row(("status without logs",), "as above"),
    ("header authorization", "", f"Key {KEY}"): Row(
        ("upload without a token",), "a signed address outside fal is shown no key"
    ),
    ("only theirs", "", f"GET {APP}/{WORK}/status"): Row(
        ("result",), "we follow a request to its end before we read its result; no second look"
    ),
    ("only theirs", "", f"WEBSOCKET /run/{MODEL}/realtime/realtime"): Row(
        ("realtime of an id that names it",), "fal-client doubles the step; the JavaScript one not"
    ),
    ("only ours", f"WEBSOCKET /run/{MODEL}/realtime", ""): Row(
        ("realtime of an id that names it",), "as above"
    ),
}


def compared(ours: Sequence[Sent], theirs: Sequence[Sent]) -> set[Difference]:
    """Return every difference between the requests of two sides to one call.

    Parts of a file go side by side, so requests are paired by their lines and not by their order.
    """
    found: set[Difference] = set()
    left, right = list(ours), list(theirs)
    for mine in ours:
        other = next((one for one in right if one.line == mine.line), None)
        if other is None:
            continue
        left.remove(mine)
        right.remove(other)
        said, told = mine.facts(), other.facts()
        for fact in said.keys() | told.keys():
            if said.get(fact) != told.get(fact):
                found.add((fact, str(said.get(fact, "")), str(told.get(fact, ""))))
    found |= {("only ours", one.line, "") for one in left}
    found |= {("only theirs", "", one.line) for one in right}
    return found


@asynccontextmanager
async def recording(patch: pytest.MonkeyPatch) -> AsyncGenerator[Recorder]:
    """Yield a listening recorder, to which the released client is pointed."""
    recorder = Recorder()
    async with anyio.create_task_group() as tasks:
        port = await tasks.start(serve, recorder, 0)
        recorder.base = base = f"http://127.0.0.1:{port}"
        for name, value in {
            "RUN_URL_FORMAT": f"{base}/run/",
            "QUEUE_URL_FORMAT": f"{base}/queue/",
            "REALTIME_URL_FORMAT": f"ws://127.0.0.1:{port}/run/",
            "REST_URL": f"{base}/rest",
            "CDN_URL": f"{base}/cdn",
            "MULTIPART_CHUNK_SIZE": PART,
        }.items():
            patch.setattr(fal_client.client, name, value)
        yield recorder
        tasks.cancel_scope.cancel()


@asynccontextmanager
async def sides_of(recorder: Recorder, file: Path) -> AsyncGenerator[Sides]:
    """Yield both clients, new, so that neither has a token yet."""
    hosts, policy, key = Hosts.under(recorder.base), Clock().policy(), SecretStr(KEY)
    theirs = fal_client.AsyncClient(key=KEY)
    async with httpx.AsyncClient(trust_env=False, verify=False) as http:  # noqa: S501  # plain HTTP
        yield Sides(
            FalClient(http, hosts, key, policy=policy),
            Realtime(http, hosts, key, policy=policy),
            Uploads(Sender(http, hosts, key, policy), threshold=PART, part_bytes=PART),
            theirs,
            file,
        )
    await (await theirs._client).aclose()  # pyright: ignore[reportPrivateUsage]  # it has no way to be closed


# The client never closes what it sends with; it is closed and collected here.
@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
async def test_a_call_is_the_same_on_the_wire_but_for_what_is_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: dict[Difference, set[str]] = {}
    file = tmp_path / "x.png"
    file.write_bytes(DATA)
    with anyio.fail_after(30):
        async with recording(monkeypatch) as recorder:
            for call in CALLS:
                threshold = PART if "parts" in call.name else 10**9
                monkeypatch.setattr(fal_client.client, "MULTIPART_THRESHOLD", threshold)
                recorder.has_tokens = "without a token" not in call.name
                async with sides_of(recorder, file) as both:
                    await call.ours(both)
                    ours, recorder.sent = recorder.sent, []
                    await call.theirs(both)
                    theirs, recorder.sent = recorder.sent, []
                assert ours, call.name
                for difference in compared(ours, theirs):
                    found.setdefault(difference, set()).add(call.name)
    gc.collect()
    assert found.keys() == DIFFERENCES.keys()
    for difference, row in DIFFERENCES.items():
        assert row.calls is None or found[difference] == set(row.calls), difference


def test_the_comparison_sees_what_differs() -> None:
    one = Sent("POST /x", (("a", "1"),), {"x-fal-tags": "a=b"}, {"seed": 7})
    other = Sent("POST /x", (("a", "2"),), {}, {"seed": 8})

    assert compared([one, one], [other]) == {
        ("query a", "1", "2"),
        ("header x-fal-tags", "a=b", ""),
        ("body", "{'seed': 7}", "{'seed': 8}"),
        ("only ours", "POST /x", ""),
    }
