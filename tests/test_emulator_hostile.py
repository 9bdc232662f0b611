"""What no honest client sends: each is answered in fal's shapes, and nothing breaks."""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import anyio
import pytest

from catalog.index import CatalogIndex
from server.emulator.fitting import fit
from server.emulator.reading import MOST_BYTES
from tests.emulated import FLUX, emulated, over, submitted


def one_of(cases: Sequence[object]) -> list[object]:
    """Return *cases* of which the first is tried in every run, the others as proofs."""
    return [cases[0], *(pytest.param(case, marks=pytest.mark.proof) for case in cases[1:])]


MANY = "[" * 100_000
BODIES = [
    "{",
    MANY,
    '{"a":' * 200 + "1" + "}" * 200,
    '{"prompt": NaN}',
    '{"seed": 1e999}',
    '{"seed": ' + "9" * 5000 + "}",
    '{"prompt": "\\ud800"}',
    '{"\\ud800": 1}',
    b"\xff\xfe\x00",
]
DOORS = [
    ("POST", f"/queue/{FLUX}"),
    ("POST", f"/run/{FLUX}"),
    ("POST", "/rest/storage/auth/token"),
    ("POST", "/rest/storage/upload/initiate"),
    ("POST", "/rest/tokens/"),
    ("POST", "/api/v1/models/pricing/estimate"),
    ("POST", "/_emulator/faults"),
    ("POST", "/_emulator/clock"),
]


@pytest.mark.parametrize("door", one_of(DOORS))
async def test_a_body_that_cannot_be_worked_with_is_a_400_at_every_door(
    tmp_path: Path, door: tuple[str, str]
) -> None:
    with anyio.fail_after(20):
        async with emulated(tmp_path) as client:
            for body in BODIES:
                answer = await client.request(*door, content=body)
                assert answer.status_code == 400, (body[:40], answer.text)
                assert "detail" in answer.json() or answer.json()["error"]["type"]


@pytest.mark.parametrize("door", one_of(DOORS))
async def test_a_body_that_is_too_large_is_refused_before_it_is_held(
    tmp_path: Path, door: tuple[str, str]
) -> None:
    taken = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal taken
        while True:
            taken += 1 << 20
            yield b" " * (1 << 20)

    with anyio.fail_after(20):
        async with emulated(tmp_path) as client:
            said = {"content-length": str(100 * 2**20)}
            answer = await client.request(*door, content=b"{}", headers=said)
            assert answer.status_code == 413
            answer = await client.request(*door, content=endless())
            assert answer.status_code == 413
            assert taken <= MOST_BYTES + 4 * 2**20


SIZES: list[Any] = [1e9, -1, 0, 10**299, "NaN", "1e999", "9" * 1000, True, None, [], {}, "a"]


@pytest.mark.proof
async def test_absurd_numbers_are_refused_at_their_field(tmp_path: Path) -> None:
    card = CatalogIndex.open().get(FLUX)
    with anyio.fail_after(60):
        async with emulated(tmp_path) as client:
            told = [
                await submitted(
                    client, body={"prompt": "x", "image_size": {"width": w, "height": 64}}
                )
                for w in SIZES
            ]
            told += [
                await submitted(client, body={"prompt": "x", name: value, "image_size": "square"})
                for name in ("num_images", "guidance_scale", "seed")
                for value in (1e300, -1e300, "inf", "9" * 400, [1], {"a": 1})
                if fit(card, {"prompt": "x", name: value})[1]
            ]
            for one in told:
                status = await over(client, one["status_url"])
                result = await client.get(one["response_url"])
                assert result.status_code in (200, 422), (status, result.text)
                if result.status_code == 422:
                    assert result.json()["detail"][0]["loc"][0] == "body"


NAMES = [
    "../../../etc/passwd",
    "..",
    "/etc/passwd",
    "a/../../b",
    "C:\\x",
    "%2e%2e%2fx",
    "",
    "\x01",
    "x" * 4000,
    ".part-1",
]


@pytest.mark.proof
async def test_no_name_of_a_file_leads_out_of_its_place(tmp_path: Path) -> None:
    with anyio.fail_after(20):
        async with emulated(tmp_path / "state") as client:
            token = (await client.post("/rest/storage/auth/token", json={})).json()["token"]
            for name in NAMES:
                body = {"file_name": name, "content_type": "text/plain"}
                promised = await client.post("/rest/storage/upload/initiate", json=body)
                assert promised.status_code == 200, promised.text
                put = await client.put(promised.json()["upload_url"], content=b"inside")
                assert put.status_code == 200
                assert (await client.get(promised.json()["file_url"])).content == b"inside"
                headers = {"authorization": f"Bearer {token}", "x-fal-file-name": name[:200]}
                if name.isprintable():
                    whole = await client.post("/cdn/files/upload", content=b"in", headers=headers)
                    assert (await client.get(whole.json()["access_url"])).content == b"in"
        outside = [path.name for path in tmp_path.iterdir()]
        assert outside == ["state"]
        deep = {
            path.relative_to(tmp_path / "state/files").parts
            for path in (tmp_path / "state/files").rglob("*")
            if path.is_file()
        }
        assert all(len(parts) == 2 for parts in deep)


PATHS = [
    "/cdn/files/b/00000000/x",
    "/cdn/files/b/..%2f..%2femulator.db/x",
    "/cdn/files/b/a%00b/c",
    "/queue/..%2f..",
    "/queue/" + "a" * 8000,
    "/queue/%00/requests/%00/status",
    "/run/",
    "/queue/",
    "/api/v1/models?limit=99999999999999999999999",
    "/api/v1/models?cursor=%ff",
    "/fal/api/openapi/queue/openapi.json?endpoint_id=%00",
]


@pytest.mark.parametrize("path", one_of(PATHS))
async def test_no_path_ends_in_a_mistake_of_the_platform(tmp_path: Path, path: str) -> None:
    with anyio.fail_after(10):
        async with emulated(tmp_path) as client:
            for method in ("GET", "POST", "PUT", "DELETE"):
                answer = await client.request(method, path, content=b"{}")
                assert 400 <= answer.status_code < 500, (method, answer.text)


HEADERS: list[dict[str, str]] = [
    {"x-fal-request-timeout": "nan"},
    {"x-fal-request-timeout": "1e300"},
    {"x-fal-retry-config": '{"timeout": {"retries": 1e400}}'},
    {"x-fal-retry-config": MANY[:4000]},
    {"x-fal-object-lifecycle-preference": '{"expiration_duration_seconds": ' + "9" * 400 + "}"},
    {"x-fal-object-lifecycle-preference": '{"initial_acl": {"rules": [1, null, {"user": []}]}}'},
    {"x-fal-tags": "a=" + "b" * 5000},
    {"x-fal-queue-priority": "highest"},
]


@pytest.mark.parametrize("headers", one_of(HEADERS))
async def test_no_header_breaks_a_request(tmp_path: Path, headers: dict[str, str]) -> None:
    with anyio.fail_after(20):
        async with emulated(tmp_path) as client:
            body = {"prompt": "x", "image_size": {"width": 64, "height": 64}}
            answer = await client.post(f"/run/{FLUX}", json=body, headers=headers)
            assert answer.status_code in (200, 400), answer.text
