"""What is answered at once over HTTP is answered as everything else is."""

from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.types import Scope

from server.quick import LISTS, TOOLS, is_quick
from server.web import WebOptions
from tests.test_web import HEADERS, asked, on_port
from tools.inventory import TOOLS as ALL_TOOLS

# The SDK takes this for a caller who reads streams, `is_quick` takes nobody's word for more.
STREAMING = "application/json, text/*"


def called(name: str, **arguments: Any) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the body and the headers of a call."""
    headers = {**HEADERS, "mcp-method": "tools/call", "mcp-name": name}
    return asked("tools/call", name=name, arguments=arguments), headers


async def test_an_answer_at_once_is_the_one_that_might_have_been_a_stream(tmp_path: Path) -> None:
    requests = [
        (asked("tools/list"), HEADERS),
        called("search_models", query="animate a photo"),
        called("search_models", limit=0),
        called("list_jobs"),
        called("spending", period="never"),
    ]
    async with on_port(tmp_path, WebOptions(port=0)) as base, httpx.AsyncClient() as http:
        for body, headers in requests:
            quick = await http.post(f"{base}/mcp", json=body, headers=headers)
            whole = await http.post(
                f"{base}/mcp", json=body, headers={**headers, "accept": STREAMING}
            )
            assert quick.status_code == 200
            assert quick.content == whole.content, body
            assert quick.headers["content-type"] == whole.headers["content-type"]


async def test_a_call_under_the_name_of_a_quick_one_is_refused(tmp_path: Path) -> None:
    body, _ = called("generate", endpoint_id="fal-ai/flux/schnell", prompt="a boat")
    _, headers = called("search_models")
    async with on_port(tmp_path, WebOptions(port=0)) as base, httpx.AsyncClient() as http:
        refused = await http.post(f"{base}/mcp", json=body, headers=headers)
        assert refused.status_code == 400
        assert "result" not in refused.json()
        huge = {**body, "more": "x" * (17 * 2**20)}
        assert (await http.post(f"{base}/mcp", json=huge, headers=headers)).status_code == 413


@pytest.mark.parametrize(
    ("changed", "is_at_once"),
    [
        pytest.param({}, True, id="a search"),
        pytest.param({"mcp-name": "generate"}, False, id="a tool that waits"),
        pytest.param({"mcp-method": "subscriptions/listen"}, False, id="a stream"),
        pytest.param({"mcp-method": "tools/list"}, True, id="a list"),
        pytest.param({"mcp-protocol-version": "2025-06-18"}, False, id="the older era"),
        pytest.param({"accept": "application/json"}, False, id="who reads no stream"),
    ],
)
def test_only_what_waits_for_nothing_is_answered_at_once(
    changed: dict[str, str], is_at_once: bool
) -> None:
    _, headers = called("search_models")
    told = [(k.encode(), v.encode()) for k, v in {**headers, **changed}.items()]
    scope: Scope = {"type": "http", "headers": told}
    assert is_quick(scope) == is_at_once


def test_quick_tools_only_read_what_is_here() -> None:
    known = {tool.name.encode(): tool for tool in ALL_TOOLS}
    assert all(known[name].reads_only and not known[name].open_world for name in TOOLS)
    assert not TOOLS & LISTS
