"""Who reads a file of the CDN, for how long, and what is taken away when its time is over."""

import gc
import json
import os
import sqlite3
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import anyio
import fal_client
import fal_client.client
import httpx
import pytest

from catalog.index import CatalogIndex
from server.emulator.acl import Acl
from server.emulator.platform import open_emulator
from server.emulator.serve import serve
from tests.emulated import BASE, FLUX, SMALL, emulated, over, submitted

EDIT = "fal-ai/flux/dev/image-to-image"
NOBODY = {"authorization": ""}


def key(user: str) -> dict[str, str]:
    return {"authorization": f"Key {user}:secret"}


async def token(client: httpx.AsyncClient, user: str = "emulator") -> dict[str, str]:
    answer = await client.post("/rest/storage/auth/token", json={}, headers=key(user))
    return {"authorization": f"Bearer {answer.json()['token']}"}


async def uploaded(client: httpx.AsyncClient, acl: Any, *, user: str = "emulator") -> str:
    """Upload three bytes for *user* under the rules of *acl* and return their address."""
    headers = {
        "x-fal-file-name": "a.txt",
        "content-type": "text/plain",
        "x-fal-object-lifecycle": json.dumps({"initial_acl": acl}),
        **await token(client, user),
    }
    answer = await client.post("/cdn/files/upload", content=b"abc", headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.json()["access_url"]


async def status(client: httpx.AsyncClient, url: str, headers: dict[str, str]) -> int:
    return (await client.get(url, headers=headers)).status_code


async def test_rules_decide_for_single_users_the_default_for_all_others_and_never_for_the_owner(
    tmp_path: Path,
) -> None:
    rules = [
        {"user": "ann", "decision": "allow"},
        {"user": "ben", "decision": "forbid"},
        {"user": "", "decision": "allow"},
        {"user": "cid", "decision": "whatever"},
    ]
    with anyio.fail_after(10):
        async with emulated(tmp_path) as client:
            url = await uploaded(client, {"default": "hide", "rules": rules}, user="owner")
            for user, expected in (("owner", 200), ("ann", 200), ("ben", 403), ("cid", 404)):
                assert await status(client, url, await token(client, user)) == expected, user
            assert await status(client, url, NOBODY) == 404
            open_one = await uploaded(client, {"default": "allow", "rules": rules}, user="owner")
            assert await status(client, open_one, NOBODY) == 200
            assert await status(client, open_one, await token(client, "ben")) == 403


def test_of_several_identities_the_most_permissive_wins() -> None:
    acl = Acl("forbid", (("ann", "allow"), ("ben", "hide")))
    assert acl.decide(("ben", "ann"), None) == "allow"
    assert acl.decide(("cid", "ben"), None) == "hide"
    assert acl.decide(("cid",), "dan") == "forbid"
    assert acl.decide(("dan", "cid"), "dan") == "allow"


async def test_only_an_open_file_may_be_kept_by_caches(tmp_path: Path) -> None:
    with anyio.fail_after(10):
        async with emulated(tmp_path) as client:
            shut = await uploaded(client, {"default": "forbid"})
            answer = await client.get(shut, headers=await token(client))
            assert answer.headers["cache-control"] == "private, no-store"


async def test_a_signed_address_is_good_for_anyone_until_it_ends(tmp_path: Path) -> None:
    with anyio.fail_after(10):
        async with emulated(tmp_path) as client:
            url = await uploaded(client, {"default": "forbid"})
            other = await uploaded(client, {"default": "hide"})
            owner = await token(client)
            signed = await client.post(f"{url}/sign", json={"scope": ["read"]}, headers=owner)
            assert signed.headers["content-type"].startswith("text/plain")
            assert (await client.get(signed.text, headers=NOBODY)).content == b"abc"
            part = await client.get(signed.text, headers={**NOBODY, "range": "bytes=1-1"})
            assert (part.status_code, part.content) == (206, b"b")
            elsewhere = other + signed.text.removeprefix(url)
            assert await status(client, elsewhere, NOBODY) == 404
            forged = signed.text[:-1] + ("0" if signed.text[-1] != "0" else "1")
            assert await status(client, forged, NOBODY) == 403
            soon = await client.post(f"{url}/sign", json={"duration": 1}, headers=owner)
            assert await status(client, soon.text, NOBODY) == 200
            while await status(client, soon.text, NOBODY) != 403:
                await anyio.sleep(0.05)


async def test_only_the_owner_signs_and_not_for_longer_than_a_week(tmp_path: Path) -> None:
    with anyio.fail_after(10):
        async with emulated(tmp_path) as client:
            url = await uploaded(client, {"default": "forbid"})
            hidden = await uploaded(client, {"default": "hide"})
            for body in ({"duration": 0}, {"duration": 604_801}, {"duration": "x"}):
                assert (await client.post(f"{url}/sign", json=body)).status_code == 400
            written = await client.post(f"{url}/sign", json={"scope": ["write"]})
            assert written.status_code == 400
            assert (await client.post(f"{url}/sign", json={})).status_code == 200
            for headers, at, expected in (
                (NOBODY, url, 401),
                (key("ann"), url, 403),
                (await token(client, "ann"), hidden, 404),
            ):
                answer = await client.post(f"{at}/sign", json={}, headers=headers)
                assert answer.status_code == expected


async def test_rules_are_read_and_changed_by_the_owner(tmp_path: Path) -> None:
    with anyio.fail_after(10):
        async with emulated(tmp_path) as client:
            url = await uploaded(client, {"default": "allow"})
            path, params = "/rest/storage/files/acl", {"url": url}
            assert (await client.get(path, params=params)).json() == {
                "default": "allow",
                "rules": [],
            }
            wanted = {"default": "hide", "rules": [{"user": "ann", "decision": "allow"}]}
            assert (await client.put(path, params=params, json=wanted)).json() == wanted
            assert (await client.get(path, params=params)).json() == wanted
            assert await status(client, url, NOBODY) == 404
            assert await status(client, url, await token(client, "ann")) == 200
            strange = await client.put(path, params=params, json=wanted, headers=key("ben"))
            assert strange.status_code == 404
            lost = {"url": f"{BASE}/cdn/files/b/00000000/a.txt"}
            assert (await client.get(path, params=lost)).status_code == 404


async def test_outputs_obey_the_rules_that_came_with_their_request(tmp_path: Path) -> None:
    lifecycle = json.dumps({"initial_acl": {"default": "forbid"}})
    with anyio.fail_after(20):
        async with emulated(tmp_path) as client:
            told = await submitted(client, **{"x-fal-object-lifecycle-preference": lifecycle})
            await over(client, told["status_url"])
            url = (await client.get(told["response_url"])).json()["images"][0]["url"]
            assert await status(client, url, NOBODY) == 403
            assert await status(client, url, await token(client)) == 200
            assert await status(client, url, await token(client, "ann")) == 403


async def test_a_model_reads_what_anyone_may_read(tmp_path: Path) -> None:
    with anyio.fail_after(20):
        async with emulated(tmp_path) as client:
            picture = (await client.post(f"/run/{FLUX}", json=SMALL)).json()["images"][0]["url"]
            body = {"prompt": "blue", "image_url": picture}
            assert (await client.post(f"/run/{EDIT}", json=body)).status_code == 200
            path, params = "/rest/storage/files/acl", {"url": picture}
            shut = await client.put(path, params=params, json={"default": "forbid"})
            assert shut.status_code == 200
            refused = await client.post(f"/run/{EDIT}", json=body)
            assert refused.json()["detail"][0]["type"] == "file_download_error"
            signed = (await client.post(f"{picture}/sign", json={})).text
            answer = await client.post(f"/run/{EDIT}", json={**body, "image_url": signed})
            assert answer.status_code == 200


@asynccontextmanager
async def pointed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[None]:
    """Serve an emulator and lead the released client's uploads to it."""
    async with (
        open_emulator(folder, CatalogIndex.open(), speed=0) as app,
        anyio.create_task_group() as tasks,
    ):
        base = f"http://127.0.0.1:{await tasks.start(serve, app, 0)}"
        monkeypatch.setattr(fal_client.client, "REST_URL", f"{base}/rest")
        monkeypatch.setattr(fal_client.client, "CDN_URL", f"{base}/cdn")
        yield
        tasks.cancel_scope.cancel()


@pytest.mark.filterwarnings(
    "ignore:unclosed:ResourceWarning"
)  # it never closes what it uploads with
@pytest.mark.parametrize(
    "way", ["whole", "in parts", "by the support host"], ids=lambda way: str(way)
)
async def test_rules_and_lifetimes_that_the_released_client_asks_for_hold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    settings = fal_client.StorageSettings(
        expires_in="1h",
        initial_acl=fal_client.StorageACL(
            default="hide", rules=[fal_client.StorageACLRule(user="ann", decision="forbid")]
        ),
    )
    if way == "in parts":
        monkeypatch.setattr(fal_client.client, "MULTIPART_THRESHOLD", 2)
        monkeypatch.setattr(fal_client.client, "MULTIPART_CHUNK_SIZE", 1)
    with anyio.fail_after(20):
        async with pointed(tmp_path, monkeypatch), httpx.AsyncClient() as http:
            client = fal_client.AsyncClient(key="emulator:local")
            url = await client.upload(
                b"abc",
                "text/plain",
                repository="fal" if way == "by the support host" else "fal_v3",
                lifecycle=settings,
            )
            base = url.partition("/cdn/")[0]
            answer = await http.post(f"{base}/rest/storage/auth/token", headers=key("ann"))
            ann = {"authorization": f"Bearer {answer.json()['token']}"}
            answer = await http.post(f"{base}/rest/storage/auth/token", headers=key("emulator"))
            owner = {"authorization": f"Bearer {answer.json()['token']}"}
            assert (await http.get(url)).status_code == 404
            assert (await http.get(url, headers=ann)).status_code == 403
            assert (await http.get(url, headers=owner)).content == b"abc"
            for seconds, expected in ((3500, 200), (200, 404)):
                change(tmp_path, "UPDATE files SET expires = expires - ?", seconds)
                assert (await http.get(url, headers=owner)).status_code == expected
            await (await client._client).aclose()  # pyright: ignore[reportPrivateUsage]  # no other way
            gc.collect()


def change(folder: Path, statement: str, *given: object) -> None:
    """Change rows in the store of *folder*, such as to turn the time forward for them."""
    with closing(sqlite3.connect(folder / "emulator.db")) as db, db:
        db.execute(statement, given)


async def test_opening_takes_away_what_has_expired_and_what_was_never_sent(tmp_path: Path) -> None:
    files = tmp_path / "files"
    with anyio.fail_after(20):
        async with emulated(tmp_path) as client:
            kept, gone = [await uploaded(client, {"default": "allow"}) for _ in range(2)]
            told = await client.post("/rest/storage/upload/initiate", json={"file_name": "b.txt"})
            promised = told.json()["file_url"]
        names = {
            name: url.split("/")[-2]
            for name, url in {"kept": kept, "gone": gone, "promised": promised}.items()
        }
        assert {path.name for path in files.iterdir()} == set(names.values())
        change(tmp_path, "UPDATE files SET expires = 1 WHERE id = ?", names["gone"])
        change(tmp_path, "UPDATE files SET created = 1 WHERE id = ?", names["promised"])
        change(tmp_path, "UPDATE facts SET value = '1' WHERE name = 'pruned'")
        for lost, seconds in (("0badcafe", 7200), ("0badbeef", 0)):
            (files / lost).mkdir()
            os.utime(files / lost, (time.time() - seconds, time.time() - seconds))
        async with emulated(tmp_path) as client:
            assert {path.name for path in files.iterdir()} == {names["kept"], "0badbeef"}
            assert await status(client, kept, NOBODY) == 200
            assert await status(client, gone, NOBODY) == 404


@pytest.mark.parametrize(
    ("headers", "days", "kept"),
    [({}, 29, True), ({}, 31, False), ({"x-fal-store-io": "0"}, 2, False)],
    ids=["within the month", "after it", "not to be stored at all"],
)
async def test_inputs_and_outputs_live_for_a_month_unless_they_are_not_stored(
    tmp_path: Path, headers: dict[str, str], days: int, kept: bool
) -> None:
    with anyio.fail_after(20):
        async with emulated(tmp_path) as client:
            told = await submitted(client, body={}, **headers)
            await over(client, told["status_url"])
        change(tmp_path, "UPDATE requests SET ended = ended - ?", days * 86_400)
        change(tmp_path, "UPDATE facts SET value = '1' WHERE name = 'pruned'")
        async with emulated(tmp_path) as client:
            answer = await client.get(told["response_url"])
            assert answer.status_code == (422 if kept else 404)
            assert (await client.get(told["status_url"])).status_code == 200


async def test_a_folder_of_an_earlier_version_is_brought_up_to_date(tmp_path: Path) -> None:
    with anyio.fail_after(20):
        async with emulated(tmp_path) as client:
            url = await uploaded(client, {"default": "allow"})
            told = await submitted(client, body={})
            await over(client, told["status_url"])
        for statement in (
            "DROP TABLE parts",
            "DROP TABLE webhooks",
            "ALTER TABLE requests DROP COLUMN attempts",
            "ALTER TABLE files DROP COLUMN rules",
            "ALTER TABLE files DROP COLUMN user",
            "PRAGMA user_version = 1",
        ):
            change(tmp_path, statement)
        async with emulated(tmp_path) as client:
            assert await status(client, url, NOBODY) == 200
            assert (await client.get(told["response_url"])).status_code == 422
            assert (await client.post(f"/run/{FLUX}", json=SMALL)).status_code == 200
            assert await uploaded(client, {"default": "allow"})


@pytest.mark.parametrize(("size", "seconds"), [(10, 3600), (11_000, 360)])
async def test_a_result_without_payload_storage_lives_an_hour_a_large_one_six_minutes(
    tmp_path: Path, size: int, seconds: int
) -> None:
    with anyio.fail_after(20):
        async with emulated(tmp_path) as client:
            body = {"num_images": "x" * size, "prompt": "x"}
            told = await submitted(client, body=body, **{"x-fal-store-io": "0"})
            await over(client, told["status_url"])
            change(tmp_path, "UPDATE requests SET ended = ended - ?", seconds - 30)
            assert (await client.get(told["response_url"])).status_code == 422
            change(tmp_path, "UPDATE requests SET ended = ended - 60")
            assert (await client.get(told["response_url"])).status_code == 404


async def test_the_wishes_of_the_account_hold_where_an_upload_says_nothing(tmp_path: Path) -> None:
    with anyio.fail_after(20):
        async with emulated(tmp_path) as client:
            wishes = json.dumps({"initial_acl": {"default": "forbid"}})
            change(tmp_path, "INSERT INTO facts VALUES ('storage_settings', ?)", wishes)
            headers = await token(client)
            answer = await client.post("/cdn/files/upload", content=b"abc", headers=headers)
            assert await status(client, answer.json()["access_url"], NOBODY) == 403
            own = await uploaded(client, {"default": "allow"})
            assert await status(client, own, NOBODY) == 200
