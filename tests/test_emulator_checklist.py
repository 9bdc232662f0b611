"""What any client of fal may count on: small promises of the wire that no other file of tests has.

One emulator on a loopback port serves them all, and a plain HTTP client asks.
"""

from collections.abc import Generator
from typing import Any

import anyio.from_thread
import httpx
import pytest

from tests.emulated import FLUX, KEY, SMALL, on_a_port

STUCK = {"x-emulator-fault": "stuck"}
NOBODY = "00000000-0000-4000-8000-000000000000"
TWO = ("fal-ai/flux/dev", "fal-ai/flux/schnell")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Generator[str]:
    with (
        anyio.from_thread.start_blocking_portal() as portal,
        portal.wrap_async_context_manager(on_a_port(tmp_path_factory.mktemp("fal"))) as port,
    ):
        yield f"http://127.0.0.1:{port}"


@pytest.fixture(scope="module")
def client(base: str) -> Generator[httpx.Client]:
    with httpx.Client(base_url=base, headers=KEY, timeout=20) as client:
        yield client


@pytest.fixture(scope="module")
def done(client: httpx.Client) -> str:
    """The id of a request that is over: its input did not fit."""
    told = client.post(f"/queue/{FLUX}", json={}).json()
    wait(client, told["status_url"], "COMPLETED")
    return told["request_id"]


def wait(client: httpx.Client, status_url: str, state: str) -> dict[str, Any]:
    """Return the status of a request once it is *state*; the stream of it does the waiting."""
    with client.stream("GET", f"{status_url}/stream?logs=1") as answer:
        for line in answer.iter_lines():
            if f'"status": "{state}"' in line:
                return client.get(status_url, params={"logs": "1"}).json()
    raise AssertionError(f"it never was {state}")


def test_addresses_bear_the_name_under_which_the_caller_reached_us(
    client: httpx.Client, base: str
) -> None:
    host = base.removeprefix("http://").replace("127.0.0.1", "localhost")
    told = client.post(f"/queue/{FLUX}", json={}, headers={"host": host}).json()
    for name in ("status_url", "response_url", "cancel_url"):
        assert told[name].startswith(f"http://{host}/queue/fal-ai/flux/requests/")


@pytest.mark.parametrize("app", ["fal-ai/flux", FLUX])
@pytest.mark.parametrize("end", ["", "/"])
def test_a_request_is_reached_by_alias_and_by_full_id_with_and_without_a_slash(
    client: httpx.Client, done: str, app: str, end: str
) -> None:
    url = f"/queue/{app}/requests/{done}"
    assert client.get(f"{url}/status{end}").json()["request_id"] == done
    assert done in client.get(f"{url}/status/stream{end}").text
    assert client.put(f"{url}/cancel{end}").json() == {"status": "ALREADY_COMPLETED"}
    assert client.get(f"{url}{end}").status_code == 422
    assert client.get(f"{url}/response{end}").status_code == 422


@pytest.mark.parametrize("namespace", ["workflows", "comfy"])
def test_behind_a_namespace_the_application_is_one_segment_further(
    client: httpx.Client, namespace: str
) -> None:
    lost = client.post(f"/queue/{namespace}/somebody/sketch", json={})
    assert (lost.status_code, lost.json()) == (404, {"detail": 'Application "sketch" not found'})
    status = client.get(f"/queue/{namespace}/somebody/sketch/requests/{NOBODY}/status")
    assert (status.status_code, status.json()) == (404, {"status": "NOT_FOUND"})


def test_logs_are_asked_for_in_the_words_of_every_client(client: httpx.Client) -> None:
    told = client.post(f"/queue/{FLUX}", json=SMALL, headers=STUCK).json()
    wait(client, told["status_url"], "IN_PROGRESS")
    said = {
        word: client.get(told["status_url"], params={"logs": word}).json()["logs"]
        for word in ("true", "1", "false", "0")
    }
    assert said == {"true": [], "1": [], "false": None, "0": None}
    assert client.put(told["cancel_url"]).status_code == 202


def test_a_refused_input_ends_with_the_code_and_the_headers_of_the_model(
    client: httpx.Client, done: str
) -> None:
    result = client.get(f"/queue/fal-ai/flux/requests/{done}")
    assert (result.status_code, result.json()["detail"][0]["loc"]) == (422, ["body", "prompt"])
    assert result.headers["x-fal-error-type"] == "missing"
    assert result.headers["x-fal-retryable"] == "false"
    assert "x-fal-needs-retry" not in result.headers


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/rest/.well-known/jwks.json", 200),
        ("GET", "/api/v1/models?limit=1", 200),
        ("GET", "/cdn/files/b/00000000/x", 404),
        ("GET", f"/fal/api/openapi/queue/openapi.json?endpoint_id={NOBODY}", 404),
        ("POST", "/rest/tokens/", 422),
        ("PATCH", "/rest/tokens/", 405),
        ("OPTIONS", f"/queue/{FLUX}", 405),
        ("GET", f"/run/{FLUX}", 405),
        ("GET", "/rest/nothing", 404),
    ],
)
def test_every_answer_of_every_host_is_json_under_an_id(
    client: httpx.Client, method: str, path: str, status: int
) -> None:
    answer = client.request(method, path)
    assert answer.status_code == status
    assert answer.headers["x-fal-request-id"]
    assert answer.headers["content-type"] == "application/json"
    told = answer.json()
    assert told is None or status == 200 or told["detail"]


def test_a_form_that_cannot_be_read_is_told_in_the_error_object(client: httpx.Client) -> None:
    for kind in ("multipart/form-data", "multipart/form-data; boundary=x"):
        answer = client.post(
            "/api/v1/serverless/files/file/local/a.txt",
            content=b"no form",
            headers={"content-type": kind},
        )
        assert (answer.status_code, answer.json()["error"]["type"]) == (400, "validation_error")


@pytest.mark.parametrize("longest", ["-1", "x", "1.5"])
def test_a_length_of_the_queue_that_is_none_is_refused(client: httpx.Client, longest: str) -> None:
    answer = client.post(f"/queue/{FLUX}", params={"fal_max_queue_length": longest}, json=SMALL)
    assert (answer.status_code, answer.json()["error_type"]) == (400, "bad_request")


def test_a_part_has_its_etag_in_header_and_body_and_parts_are_sorted_at_the_end(
    client: httpx.Client,
) -> None:
    told = client.post("/rest/storage/auth/token?storage_type=fal-cdn-v3", json={}).json()
    headers = {
        "authorization": f"{told['token_type']} {told['token']}",
        "content-type": "text/plain",
        "x-fal-file-name": "hello.txt",
    }
    begun = client.post(f"{told['base_url']}/files/upload/multipart", headers=headers).json()
    where = f"{begun['access_url']}/multipart/{begun['uploadId']}"
    parts: list[dict[str, Any]] = []
    for number, content in ((2, b"world"), (1, b"hello ")):
        put = client.put(f"{where}/{number}", content=content, headers=headers)
        assert put.json() == {"partNumber": number, "etag": put.headers["etag"]}
        parts.append(put.json())
    assert client.post(f"{where}/complete", json={"parts": parts}, headers=headers).is_success
    for asked, status, content in (
        ("bytes=0-", 206, b"hello world"),
        ("bytes=-5", 206, b"world"),
        ("bytes=11-", 416, b""),
    ):
        served = client.get(begun["access_url"], headers={"range": asked})
        assert (served.status_code, served.content) == (status, content)


@pytest.mark.parametrize(
    ("path", "expand"),
    [
        ("models", []),
        ("models/pricing", []),
        ("models/usage", ["summary"]),
        ("models/analytics", ["summary", "request_count"]),
        ("models/requests/by-endpoint", []),
    ],
)
def test_ids_may_be_repeated_or_joined_and_are_fifty_at_the_most(
    client: httpx.Client, path: str, expand: list[str]
) -> None:
    def asked(*ids: str) -> httpx.Response:
        return client.get(f"/api/v1/{path}", params={"endpoint_id": ids, "expand": expand})

    one_by_one, joined = asked(*TWO), asked(",".join(TWO))
    assert one_by_one.status_code == 200, one_by_one.text
    assert joined.json() == one_by_one.json()
    many = [f"somebody/{number}" for number in range(51)]
    for wrong in (asked(*many), asked(",".join(many))):
        assert (wrong.status_code, wrong.json()["error"]["type"]) == (400, "validation_error")
