"""Keys and what they may, idempotency, workflows, machines, files, and the API itself."""

import json
import sqlite3
from pathlib import Path
from typing import Any

import anyio
import httpx

from tests.emulated import FLUX, SMALL, emulated, over, submitted

API = "/api/v1"
ADMIN = (
    ("GET", "models/usage"),
    ("GET", "models/billing-events"),
    ("DELETE", "models/requests/00000000-0000-4000-8000-000000000000/payloads"),
    ("GET", "serverless/usage"),
    ("GET", "compute/instances"),
    ("POST", "compute/instances"),
    ("GET", "compute/instances/x"),
    ("DELETE", "compute/instances/x"),
    ("GET", "keys"),
    ("POST", "keys"),
    ("DELETE", "keys/x"),
    ("GET", "account/billing"),
    ("GET", "account/focus?source=estimate"),
    ("GET", "organization/billing-events"),
    ("GET", "organization/focus?source=estimate"),
    ("GET", "organization/teams"),
    ("GET", "organization/usage"),
)
PLAIN = (
    f"models/pricing?endpoint_id={FLUX}",
    f"models/analytics?endpoint_id={FLUX}",
    f"models/requests/by-endpoint?endpoint_id={FLUX}",
    "models/requests/search",
    "workflows",
    "assets",
    "assets/collections",
    "assets/characters",
    "assets/tags",
    "storage/settings",
    "serverless/apps",
    "serverless/files/list",
    "serverless/metrics",
    "account/model-access-controls",
)
WORKFLOW: dict[str, Any] = {
    "name": "fox-to-film",
    "title": "A fox, then a film",
    "contents": {
        "name": "fox-to-film",
        "version": "1",
        "nodes": {"a": {"type": "run", "app": FLUX, "input": {"prompt": "$input.prompt"}}},
        "output": {"image": "$a.images.0.url"},
        "schema": {"input": {"prompt": {"type": "string"}}, "output": {}},
        "metadata": {"description": "moving", "tags": ["fox"]},
    },
}


async def told(client: httpx.AsyncClient, **words: Any) -> None:
    answer = await client.post("/_emulator/api-keys", json={"key_id": "emulator", **words})
    assert answer.status_code == 200, answer.text


async def test_a_plain_key_is_refused_what_needs_an_admin_key(tmp_path: Path) -> None:
    with anyio.fail_after(20):
        async with emulated(tmp_path) as client:
            await told(client, preset="API")
            for method, path in ADMIN:
                refused = await client.request(method, f"{API}/{path}")
                assert refused.status_code == 403, (path, refused.text)
                error = refused.json()["error"]
                assert error["type"] == "authorization_error"
                assert error["message"].startswith("Missing permission ")
                nobody = await client.request(
                    method, f"{API}/{path}", headers={"authorization": ""}
                )
                assert nobody.status_code == 401
            await told(client, preset="FULL")
            for method, path in ADMIN:
                allowed = await client.request(method, f"{API}/{path}")
                assert allowed.status_code not in (401, 403), path


async def test_a_plain_key_reaches_everything_else(tmp_path: Path) -> None:
    with anyio.fail_after(10):
        async with emulated(tmp_path) as client:
            await told(client, preset="API")
            for path in PLAIN:
                answer = await client.get(f"{API}/{path}")
                assert answer.status_code == 200, (path, answer.text)
                answer = await client.get(f"{API}/{path}", headers={"authorization": ""})
                assert answer.status_code == 401, path


async def test_a_key_may_have_single_permissions_and_a_refusal_names_the_missing_one(
    tmp_path: Path,
) -> None:
    with anyio.fail_after(10):
        async with emulated(tmp_path) as client:
            await told(client, permissions=["assets:read"])
            assert (await client.get(f"{API}/assets")).status_code == 200
            refused = await client.get(
                f"{API}/models/requests/by-endpoint", params={"endpoint_id": FLUX}
            )
            words = refused.json()["error"]["message"]
            assert words == "Missing permission models:requests:read"
            await client.delete("/_emulator/api-keys")
            assert (await client.get(f"{API}/workflows")).status_code == 200
            odd = await client.post("/_emulator/api-keys", json={"key_id": "x", "preset": "GOD"})
            assert odd.status_code == 400


async def test_a_key_is_made_used_and_made_void(tmp_path: Path) -> None:
    with anyio.fail_after(10):
        async with emulated(tmp_path) as client:
            made = await client.post(f"{API}/keys", json={"alias": "ci"})
            assert made.status_code == 201
            key = made.json()
            assert key["key"] == f"{key['key_id']}:{key['key_secret']}"
            (listed,) = (await client.get(f"{API}/keys?expand=creator_info")).json()["keys"]
            assert listed == {
                "key_id": key["key_id"],
                "alias": "ci",
                "scope": "API",
                "created_at": listed["created_at"],
                "creator_nickname": "emulator",
                "creator_email": "emulator@emulator.invalid",
            }

            as_ci = {"authorization": f"Key {key['key']}"}
            assert (await client.get(f"{API}/assets", headers=as_ci)).status_code == 200
            assert (await client.get(f"{API}/keys", headers=as_ci)).status_code == 403
            wrong = {"authorization": f"Key {key['key_id']}:another"}
            assert (await client.get(f"{API}/assets", headers=wrong)).status_code == 401

            for _ in range(2):  # that it is void already is no failure
                gone = await client.delete(f"{API}/keys/{key['key_id']}")
                assert (gone.status_code, gone.content) == (204, b"")
            assert (await client.get(f"{API}/keys")).json()["keys"] == []
            assert (await client.get(f"{API}/assets", headers=as_ci)).status_code == 401
            assert (await client.post(f"{API}/keys", json={"alias": ""})).status_code == 400


async def test_a_key_that_was_made_void_opens_no_host(tmp_path: Path) -> None:
    with anyio.fail_after(10):
        async with emulated(tmp_path) as client:
            key = (await client.post(f"{API}/keys", json={"alias": "ci"})).json()
            headers = {"authorization": f"Key {key['key']}"}
            wrong = {"authorization": f"Key {key['key_id']}:another"}
            places = (
                "/queue/fal-ai/flux/dev",
                "/run/fal-ai/flux/dev",
                "/run/fal-ai/flux/dev/stream",
                "/rest/tokens/",
                "/rest/storage/auth/token",
                "/rest/storage/upload/initiate",
            )

            async def statuses(given: dict[str, str]) -> set[int]:
                body = {"prompt": 3, "allowed_apps": ["flux"]}
                answers = [await client.post(url, json=body, headers=given) for url in places]
                return {answer.status_code for answer in answers}

            assert 401 not in await statuses(headers)
            assert await statuses(wrong) == {401}
            await client.delete(f"{API}/keys/{key['key_id']}")
            assert await statuses(headers) == {401}


async def test_an_idempotency_key_gives_the_same_answer_and_does_nothing_again(
    tmp_path: Path,
) -> None:
    with anyio.fail_after(10):
        async with emulated(tmp_path) as client:
            body = {"name": "foxes"}
            answers = [
                (await client.post(f"{API}/assets/collections", json=body, headers=headers))
                for headers in (
                    {"idempotency-key": "one"},
                    {"idempotency-key": "one"},
                    {"idempotency-key": "two"},
                    {"idempotency-key": "one", "authorization": "Key other:secret"},
                )
            ]
            listed = (await client.get(f"{API}/assets/collections")).json()["collections"]

    assert [answer.status_code for answer in answers] == [201] * 4
    ids = [answer.json()["collection"]["id"] for answer in answers]
    assert ids[0] == ids[1]
    assert len(set(ids)) == 3
    assert len(listed) == 3
    assert answers[0].content == answers[1].content


async def test_two_at_once_with_one_idempotency_key_do_it_once(tmp_path: Path) -> None:
    machine = {"instance_type": "gpu_1x_h100_sxm5", "ssh_key": "ssh-ed25519 AAAA"}
    found: list[str] = []
    with anyio.fail_after(20):
        async with emulated(tmp_path) as one, emulated(tmp_path) as other:

            async def rent(client: httpx.AsyncClient) -> None:
                headers = {"idempotency-key": "same"}
                url = f"{API}/compute/instances"
                answer = await client.post(url, json=machine, headers=headers)
                found.append(answer.json()["id"])

            async with anyio.create_task_group() as tasks:
                for client in (one, other) * 4:
                    tasks.start_soon(rent, client)
            listed = (await one.get(f"{API}/compute/instances")).json()["instances"]

    assert len(found) == 8
    assert len(set(found)) == 1
    assert len(listed) == 1


async def test_a_refusal_is_not_kept_under_an_idempotency_key(tmp_path: Path) -> None:
    headers = {"idempotency-key": "one"}
    with anyio.fail_after(10):
        async with emulated(tmp_path) as client:
            url = f"{API}/assets/tags"
            bad = await client.post(url, json={"name": ""}, headers=headers)
            good = await client.post(url, json={"name": "fox"}, headers=headers)
    assert (bad.status_code, good.status_code) == (400, 201)


async def test_a_machine_is_rented_and_given_back(tmp_path: Path) -> None:
    url = f"{API}/compute/instances"
    with anyio.fail_after(10):
        async with emulated(tmp_path, speed=1) as client:
            large = {
                "instance_type": "gpu_8x_h100_sxm5",
                "ssh_key": "ssh-ed25519 AAAA",
                "sector": "sector_2",
            }
            made = await client.post(url, json=large)
            assert made.status_code == 201
            assert made.json()["status"] == "pending"
            assert "ip" not in made.json()
            await client.post("/_emulator/clock", json={"speed": 0})
            ready = (await client.get(f"{url}/{made.json()['id']}")).json()
            assert ready == {
                "id": made.json()["id"],
                "instance_type": "gpu_8x_h100_sxm5",
                "region": "other",
                "sector": "sector_2",
                "ip": "192.0.2.1",
                "status": "ready",
                "creator_user_nickname": "emulator",
            }
            assert (await client.delete(f"{url}/{ready['id']}")).status_code == 204
            assert (await client.delete(f"{url}/{ready['id']}")).status_code == 404
            assert (await client.get(f"{url}/{ready['id']}")).status_code == 404
            small = {**large, "instance_type": "gpu_1x_h100_sxm5"}
            assert (await client.post(url, json=small)).status_code == 400


async def test_a_workflow_is_kept_as_it_is_given(tmp_path: Path) -> None:
    url = f"{API}/workflows"
    with anyio.fail_after(10):
        async with emulated(tmp_path) as client:
            made = await client.post(url, json=WORKFLOW)
            assert made.status_code == 201
            one = (await client.get(f"{url}/emulator/fox-to-film")).json()
            assert one == made.json()
            assert one["workflow"]["contents"] == WORKFLOW["contents"]
            assert one["workflow"]["is_public"] is False
            assert (await client.post(url, json=WORKFLOW)).status_code == 400
            assert (await client.get(f"{url}/emulator/none")).status_code == 404
            await client.post(url, json={**WORKFLOW, "name": "other", "title": "Hares"})

            page = (await client.get(url, params={"search": "film fox"})).json()
            assert page["total"] == 1
            assert page["workflows"] == [
                {
                    "name": "fox-to-film",
                    "title": "A fox, then a film",
                    "user_nickname": "emulator",
                    "created_at": one["workflow"]["created_at"],
                    "description": "moving",
                    "tags": ["fox"],
                    "endpoint_ids": [FLUX],
                }
            ]
            used = (await client.get(url, params={"used_endpoint_ids": FLUX})).json()
            assert (used["total"], used["has_more"]) == (2, False)
            none = (await client.get(url, params={"used_endpoint_ids": "a/b"})).json()
            assert none["workflows"] == []
            first = (await client.get(url, params={"limit": 1})).json()
            assert first["has_more"]

            for odd in ({"name": "with space"}, {"title": ""}, {"contents": {"name": "x"}}):
                assert (await client.post(url, json={**WORKFLOW, **odd})).status_code == 400
            assert (await client.post(url, content=b"{")).status_code == 400


async def test_rules_of_a_file_decide_who_reads_it_and_a_signature_opens_it(
    tmp_path: Path,
) -> None:
    with anyio.fail_after(20):
        async with emulated(tmp_path) as client:
            url = await _made(client)
            acl = f"{API}/storage/files/acl"
            before = (await client.get(acl, params={"url": url})).json()
            assert before == {"default": "allow", "rules": []}
            rules = [
                {"user": "emulator", "decision": "allow"},
                {"user": "nobody-knows", "decision": "allow"},
            ]
            changed = await client.put(
                acl, params={"url": url}, json={"default": "forbid", "rules": rules}
            )
            assert changed.json() == {"default": "forbid", "rules": rules[:1]}
            assert (await client.get(acl, params={"url": url})).json() == changed.json()
            public = {"authorization": ""}
            assert (await client.get(url, headers=public)).status_code == 403

            sign = f"{API}/storage/files/sign"
            signed = await client.post(sign, params={"url": url}, json={"expiration_seconds": 60})
            opened = await client.get(signed.json()["signed_url"], headers=public)
            assert (opened.status_code, opened.headers["content-type"]) == (200, "image/jpeg")

            for seconds in (0, 604_801, 1.5):
                body = {"expiration_seconds": seconds}
                answer = await client.post(sign, params={"url": url}, json=body)
                assert answer.status_code == 400
            for odd, status in ((f"{url}?a=b", 400), ("not a url", 400), (f"{url}x", 200)):
                answer = await client.get(acl, params={"url": odd})
                assert answer.status_code == status, odd
            elsewhere = await client.get(acl, params={"url": "https://example.com/a.png"})
            assert elsewhere.status_code == 404
            assert (await client.get(acl)).status_code == 400
            stranger = await client.get(
                acl, params={"url": url}, headers={"authorization": "Key another:secret"}
            )
            assert stranger.status_code == 403


async def _made(client: httpx.AsyncClient) -> str:
    """Return the address of a picture that was just drawn."""
    asked = await submitted(client, FLUX, SMALL)
    await over(client, asked["status_url"])
    return (await client.get(asked["response_url"])).json()["images"][0]["url"]


async def test_settings_are_replaced_whole_and_hold_for_new_files(tmp_path: Path) -> None:
    url = f"{API}/storage/settings"
    with anyio.fail_after(20):
        async with emulated(tmp_path) as client:
            never = {"expiration_duration_seconds": None, "initial_acl": None}
            assert (await client.get(url)).json() == never
            acl = {"default": "hide"}
            saved = await client.put(
                url, json={"expiration_duration_seconds": 600, "initial_acl": acl}
            )
            assert saved.json() == {
                "expiration_duration_seconds": 600,
                "initial_acl": {"default": "hide", "rules": []},
            }
            hidden = await client.get(await _made(client), headers={"authorization": ""})
            assert hidden.status_code == 404
            reset = await client.put(url, json={})
            assert reset.json() == never
            shown = await client.get(await _made(client), headers={"authorization": ""})
            assert shown.status_code == 200
            odd = await client.put(url, json={"expiration_duration_seconds": 0})
            assert odd.status_code == 400


async def test_the_api_names_the_sources_of_webhooks_without_a_key(tmp_path: Path) -> None:
    with anyio.fail_after(10):
        async with emulated(tmp_path) as client:
            answer = await client.get(f"{API}/meta", headers={"authorization": ""})
            assert answer.json() == {"webhook_ip_ranges": ["127.0.0.1/32", "::1/128"]}


async def test_a_wrong_method_is_not_found_and_carries_the_error_object(tmp_path: Path) -> None:
    with anyio.fail_after(10):
        async with emulated(tmp_path) as client:
            answer = await client.delete(f"{API}/models")
            assert answer.status_code == 404
            assert answer.json()["error"]["type"] == "not_found"


async def test_a_mistake_of_the_platforms_own_carries_the_error_object(tmp_path: Path) -> None:
    with anyio.fail_after(10):
        async with emulated(tmp_path) as client:
            await client.get(f"{API}/keys")
            with sqlite3.connect(tmp_path / "emulator.db") as db:
                db.execute("DROP TABLE workflows")
            async with client.stream("GET", f"{API}/workflows") as answer:
                assert answer.status_code == 500
                body = json.loads(await answer.aread())
    assert body["error"]["type"] == "server_error"
