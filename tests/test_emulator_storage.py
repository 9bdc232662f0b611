import base64
from datetime import datetime
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from tests.emulated import BASE, FLUX, SMALL, emulated, over, submitted

# A red picture of two by two pixels.
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAIAAAACCAIAAAD91JpzAAAAFUlEQVR4nGP8z8DAwMDAxAADCBYAHQoCAwJ1Nq0A"
    "AAAASUVORK5CYII="
)
EDIT = "fal-ai/flux/dev/image-to-image"


async def token(client: httpx.AsyncClient) -> dict[str, str]:
    answer = await client.post("/rest/storage/auth/token?storage_type=fal-cdn-v3", json={})
    assert answer.status_code == 200
    return {"authorization": f"{answer.json()['token_type']} {answer.json()['token']}"}


async def uploaded(
    client: httpx.AsyncClient, content: bytes, name: str = "a.png", **headers: str
) -> str:
    answer = await client.post(
        "/cdn/files/upload",
        content=content,
        headers={
            "content-type": "image/png",
            "x-fal-file-name": name,
            **await token(client),
            **headers,
        },
    )
    assert answer.status_code == 200, answer.text
    return answer.json()["access_url"]


async def test_a_token_has_an_end_that_python_reads_and_a_base_that_points_back(
    tmp_path: Path,
) -> None:
    with anyio.fail_after(10):
        async with emulated(tmp_path) as client:
            told = (await client.post("/rest/storage/auth/token", json={})).json()
            assert set(told) == {"token", "token_type", "base_url", "expires_at"}
            assert told["base_url"] == f"{BASE}/cdn"
            assert datetime.fromisoformat(told["expires_at"]).utcoffset() is not None
            assert told["expires_at"].endswith("+00:00")


async def test_an_upload_is_served_as_it_came_in_whole_and_in_parts(tmp_path: Path) -> None:
    with anyio.fail_after(10):
        async with emulated(tmp_path) as client:
            url = await uploaded(client, PNG, "../../my picture.png")
            assert url.startswith(f"{BASE}/cdn/files/b/")
            assert url.endswith("/my%20picture.png")
            whole = await client.get(url, headers={"authorization": ""})
            assert whole.content == PNG
            assert whole.headers["content-type"] == "image/png"
            assert whole.headers["content-length"] == str(len(PNG))
            part = await client.get(url, headers={"range": "bytes=2-5"})
            assert (part.status_code, part.content) == (206, PNG[2:6])
            head = await client.head(url)
            assert (head.status_code, head.content) == (200, b"")
            assert head.headers["content-length"] == str(len(PNG))
            assert (await client.get("/_emulator/counts")).json()["uploads"] == 1


async def test_uploads_need_a_token_of_this_platform(tmp_path: Path) -> None:
    with anyio.fail_after(10):
        async with emulated(tmp_path) as client:
            for given in ("", "Bearer abc", "Bearer WyJjZG4iLCA5ZTldn.00", "Key a:b"):
                answer = await client.post(
                    "/cdn/files/upload", content=PNG, headers={"authorization": given}
                )
                assert answer.status_code == 401, given
            assert (await client.get("/_emulator/counts")).json()["uploads"] == 0


@pytest.mark.parametrize("storage", ["gcs", "fal-cdn-v3"])
async def test_an_initiated_upload_is_put_without_a_key_and_read_at_the_promised_address(
    tmp_path: Path, storage: str
) -> None:
    with anyio.fail_after(10):
        async with emulated(tmp_path) as client:
            told = (
                await client.post(
                    f"/rest/storage/upload/initiate?storage_type={storage}",
                    json={"file_name": "b.png", "content_type": "image/png"},
                )
            ).json()
            assert set(told) == {"upload_url", "file_url"}
            assert (await client.get(told["file_url"])).status_code == 404
            no_key = {"authorization": "", "content-type": "image/png"}
            forged = told["upload_url"][:-1] + ("0" if told["upload_url"][-1] != "0" else "1")
            assert (await client.put(forged, content=PNG, headers=no_key)).status_code == 403
            put = await client.put(told["upload_url"], content=PNG, headers=no_key)
            assert put.status_code == 200
            assert "etag" in put.headers
            assert (await client.get(told["file_url"])).content == PNG


@pytest.mark.parametrize(("access", "status"), [("allow", 200), ("forbid", 403), ("hide", 404)])
async def test_an_access_rule_given_with_the_upload_decides_who_reads(
    tmp_path: Path, access: str, status: int
) -> None:
    lifecycle = f'{{"initial_acl": {{"default": "{access}"}}}}'
    with anyio.fail_after(10):
        async with emulated(tmp_path) as client:
            url = await uploaded(client, PNG, **{"x-fal-object-lifecycle-preference": lifecycle})
            assert (await client.get(url)).status_code == status


async def test_a_file_whose_lifetime_is_over_is_gone(tmp_path: Path) -> None:
    lifecycle = '{"expiration_duration_seconds": 0.001}'
    with anyio.fail_after(10):
        async with emulated(tmp_path) as client:
            url = await uploaded(client, PNG, **{"x-fal-object-lifecycle-preference": lifecycle})
            while (await client.get(url)).status_code != 404:
                continue


async def test_realtime_tokens_come_in_both_shapes(tmp_path: Path) -> None:
    with anyio.fail_after(10):
        async with emulated(tmp_path) as client:
            body = {"allowed_apps": ["flux"], "token_expiration": 120}
            assert isinstance((await client.post("/rest/tokens/", json=body)).json(), str)
            newer = await client.post("/rest/tokens/realtime", json={"allowed_apps": ["a/b"]})
            assert set(newer.json()) == {"token"}
            refused = await client.post("/rest/tokens/", json=body, headers={"authorization": ""})
            assert refused.status_code == 401


async def test_a_model_reads_uploads_under_any_base_and_data_uris(tmp_path: Path) -> None:
    with anyio.fail_after(20):
        async with emulated(tmp_path) as client:
            url = (await uploaded(client, PNG)).replace(BASE, "http://127.0.0.1:4242")
            inline = f"data:image/png;base64,{base64.b64encode(PNG).decode()}"
            for given in (url, inline):
                answer = await client.post(
                    f"/run/{EDIT}", json={"prompt": "blue", "image_url": given}
                )
                assert answer.status_code == 200, answer.text
                assert (await client.get(answer.json()["images"][0]["url"])).status_code == 200


@pytest.mark.parametrize(
    "given",
    [
        f"{BASE}/cdn/files/b/00000000/none.png",
        "http://127.0.0.1:9/none.png",
        "http://169.254.169.254/latest/meta-data",
        "http://[::1]/none.png",
        "data:image/png;base64,???",
        "not an address",
    ],
    ids=["not on the shelf", "loopback", "link-local", "IPv6 loopback", "bad data", "no URL"],
)
async def test_a_file_that_cannot_be_had_is_refused_with_its_place(
    tmp_path: Path, given: str
) -> None:
    with anyio.fail_after(20):
        async with emulated(tmp_path) as client:
            answer = await client.post(f"/run/{EDIT}", json={"prompt": "x", "image_url": given})
            assert answer.status_code == 422
            (detail,) = answer.json()["detail"]
            assert detail["loc"] == ["body", "image_url"]
            assert detail["type"] == "file_download_error"
            assert detail["url"] == "https://docs.fal.ai/errors/#file_download_error"
            assert answer.headers["x-fal-billable-units"] == "0"


async def test_outputs_live_as_long_as_the_request_asked(tmp_path: Path) -> None:
    lifecycle = {"x-fal-object-lifecycle-preference": '{"expiration_duration_seconds": 0.001}'}
    with anyio.fail_after(20):
        async with emulated(tmp_path) as client:
            told = await submitted(client, **lifecycle)
            await over(client, told["status_url"])
            output = (await client.get(told["response_url"])).json()
            while (await client.get(output["images"][0]["url"])).status_code != 404:
                continue


async def test_the_folder_belongs_to_its_owner_alone_and_keeps_no_scratch(tmp_path: Path) -> None:
    folder = tmp_path / "emulator"
    with anyio.fail_after(20):
        async with emulated(folder) as client:
            await uploaded(client, PNG)
            assert (await client.post(f"/run/{FLUX}", json=SMALL)).status_code == 200
            open_now = [path for path in folder.rglob("*") if path.is_file()]
            assert {path.stat().st_mode & 0o777 for path in open_now} == {0o600}
    assert folder.stat().st_mode & 0o777 == 0o700
    assert list((folder / "work").iterdir()) == []
    folders = [path for path in folder.rglob("*") if path.is_dir()]
    assert {path.stat().st_mode & 0o777 for path in folders} == {0o700}


async def test_parts_are_put_together_by_number_for_a_client_without_a_key(tmp_path: Path) -> None:
    no_key = {"authorization": ""}
    with anyio.fail_after(10):
        async with emulated(tmp_path) as client:
            told = (
                await client.post(
                    "/rest/storage/upload/initiate-multipart?storage_type=fal-cdn-v3",
                    json={"file_name": "c.png", "content_type": "image/png"},
                )
            ).json()
            path, _, query = told["upload_url"].partition("?")
            parts: list[dict[str, Any]] = []
            for number, content in ((2, PNG[40:]), (1, PNG[:40])):
                put = await client.put(f"{path}/{number}?{query}", content=content, headers=no_key)
                assert put.headers["etag"] == put.json()["etag"]
                parts.append(put.json())
            wrong = [parts[0], {**parts[1], "etag": "other"}]
            complete = f"{path}/complete?{query}"
            refused = await client.post(complete, json={"parts": wrong}, headers=no_key)
            assert refused.status_code == 400
            done = await client.post(complete, json={"parts": parts}, headers=no_key)
            assert done.status_code == 200
            served = await client.get(told["file_url"])
            assert (served.content, served.headers["content-type"]) == (PNG, "image/png")
            assert len(list((tmp_path / "files").rglob("*"))) == 2
