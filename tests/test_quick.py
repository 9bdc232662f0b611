"""What is answered at once over HTTP is answered as everything else is."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.types import Scope

from server.quick import LISTS, TOOLS, is_quick
from server.web import WebOptions
from tests.test_web import HEADERS, asked, on_port
from tools.inventory import TOOLS as ALL_TOOLS

LISTING = {**HEADERS, "content-type": "application/json"}
# The SDK takes this for a caller who reads streams, `is_quick` takes nobody's word for more.
STREAMING = "application/json, text/*"


def called(name: str, **arguments: Any) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the body and the headers of a call."""
    headers = {**LISTING, "mcp-method": "tools/call", "mcp-name": name}
    return asked("tools/call", name=name, arguments=arguments), headers


async def test_every_way_gives_the_same_answer(tmp_path: Path) -> None:
    requests = [
        (asked("tools/list"), LISTING),
        called("search_models", query="animate a photo: schnell & \u00fcberall"),
        called("search_models", query="how do I \ud83d pay?", limit=2),
        called("search_models", limit=0),
        called("search_models", quarry="a fox"),
        called("describe_model", endpoint_id="fal-ai/flux/schnell"),
        called("list_jobs"),
        called("spending", period="never"),
    ]
    async with on_port(tmp_path, WebOptions(port=0)) as base, httpx.AsyncClient() as http:
        for body, headers in requests:
            longer = {**body, "params": {**body["params"], "more": 1}}
            stream = {**headers, "accept": STREAMING}
            short, whole, whole_too = [
                await http.post(f"{base}/mcp", content=json.dumps(sent), headers=told)
                for sent, told in ((body, headers), (longer, headers), (body, stream))
            ]
            assert short.status_code == 200
            assert short.json() == whole.json() == whole_too.json(), body
            assert short.headers["content-type"] == whole_too.headers["content-type"]


ODD: tuple[tuple[dict[str, Any], int], ...] = (
    ({"id": True}, 400),
    ({"id": [1]}, 400),
    ({"jsonrpc": "1.0"}, 400),
    ({"params": []}, 400),
    ({"method": "tools/list"}, 400),  # the header says otherwise
    ({"more": 1}, 200),
)


async def test_what_is_out_of_the_ordinary_is_answered_by_the_sdk(tmp_path: Path) -> None:
    body, headers = called("search_models", query="a fox")
    async with on_port(tmp_path, WebOptions(port=0)) as base, httpx.AsyncClient() as http:
        for accept in (HEADERS["accept"], STREAMING):
            told = {**headers, "accept": accept}
            for changed, status in ODD:
                answer = await http.post(f"{base}/mcp", json={**body, **changed}, headers=told)
                assert answer.status_code == status, changed


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
    scope: Scope = {"type": "http", "method": "POST", "headers": told}
    assert is_quick(scope) == is_at_once


def test_quick_tools_only_read_what_is_here() -> None:
    known = {tool.name.encode(): tool for tool in ALL_TOOLS}
    assert all(known[name].reads_only and not known[name].open_world for name in TOOLS)
    assert not TOOLS & LISTS
