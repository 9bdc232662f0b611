"""What a server over HTTP says of itself, and what it does not take."""

from pathlib import Path

import anyio
import httpx
import pytest
from mcp.server import MCPServer
from starlette.types import Message, Scope

from server.cli.web import serving_http
from server.rooms import open_rooms
from server.settings import Settings
from server.web import Endpoint, WebOptions, web_app
from tests.house import environment
from tools.inventory import TOOLS


async def test_a_call_beyond_the_most_is_put_off_and_the_others_go_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("server.web.MOST_CALLS", 1)
    endpoint = Endpoint(lambda _: MCPServer("one"), WebOptions())
    headers = {"host": "127.0.0.1", "content-type": "application/json", "accept": "*/*"}
    scope: Scope = {
        "type": "http",
        "method": "POST",
        "path": "/mcp",
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }
    told: list[Message] = []
    arrived, go_on = anyio.Event(), anyio.Event()

    async def slow() -> Message:
        arrived.set()
        await go_on.wait()
        return {"type": "http.disconnect"}

    async def hear(message: Message) -> None:
        told.append(message)

    async def ignore(_: Message) -> None:
        return

    async with endpoint.open(), anyio.create_task_group() as tasks:
        with anyio.fail_after(10):
            tasks.start_soon(endpoint, scope, slow, ignore)
            await arrived.wait()
            await endpoint(scope, slow, hear)
            go_on.set()
    assert told[0]["status"] == 503
    assert (b"retry-after", b"1") in told[0]["headers"]


async def test_a_body_that_never_ends_or_breaks_off_gives_its_place_back(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("server.web.MOST_CALLS", 1)
    monkeypatch.setattr("server.web.BODY_SECONDS", 0.05)
    endpoint = Endpoint(lambda _: MCPServer("one"), WebOptions())
    scope: Scope = {"type": "http", "method": "POST", "query_string": b"", "headers": []}
    told: list[Message] = []
    begun = False

    async def slow() -> Message:
        nonlocal begun
        if begun:
            await anyio.sleep_forever()
        begun = True
        return {"type": "http.request", "body": b"{", "more_body": True}

    async def leaves() -> Message:
        return {"type": "http.disconnect"}

    async def hear(message: Message) -> None:
        told.append(message)

    async with endpoint.open():
        with anyio.fail_after(10):
            await endpoint(scope, slow, hear)
            assert [one.get("status") for one in told] == [408, None]
            await endpoint(scope, leaves, hear)
    assert len(told) == 2
    assert caplog.records == []


async def test_it_is_ready_while_its_journal_can_be_read(tmp_path: Path) -> None:
    async def asked(home: Path) -> httpx.Response:
        async with open_rooms(Settings.read(environment(home))) as rooms:
            transport = httpx.ASGITransport(web_app(rooms, TOOLS, WebOptions()))
            async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as http:
                assert (await http.get("/healthz")).json() == {"status": "ok"}
                return await http.get("/readyz")

    ready = await asked(tmp_path)
    assert (ready.status_code, ready.json()["status"]) == (200, "ready")
    broken = tmp_path / "broken"
    (broken / "house").mkdir(parents=True)
    (broken / "house" / "journal.db").write_bytes(b"no database" * 999)
    late = await asked(broken)
    assert late.status_code == 503
    assert str(tmp_path) not in late.text


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "is empty"),
        ("${TOKEN}", "placeholder"),
        ("short", "16 characters"),
        (None, "cannot be read"),
    ],
)
def test_a_token_file_that_holds_no_token_keeps_the_server_from_starting(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    text: str | None,
    word: str,
) -> None:
    file = tmp_path / "token"
    if text is not None:
        file.write_text(text)
    monkeypatch.delenv("FALKIT_HTTP_TOKEN", raising=False)
    monkeypatch.setenv("FALKIT_HTTP_TOKEN_FILE", str(file))
    settings = Settings.read(environment(tmp_path))
    with pytest.raises(SystemExit) as left:
        serving_http(settings, TOOLS, WebOptions())()
    assert (left.value.code, word in capsys.readouterr().err) == (2, True)
