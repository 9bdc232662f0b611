"""Putting files on the CDN: one token, streamed from disk, in parts when large."""

import json
import tracemalloc
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio
import httpx
import pytest
from pydantic import SecretStr
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from server.fal.options import Lifecycle
from server.fal.problems import PlatformError, TooLargeError, UnauthorisedError
from server.fal.sender import Sender
from server.fal.uploads import THRESHOLD, Uploads, ascii_name
from server.fal.wire import Uploaded
from tests.fal_ends import HIDDEN, HOSTS, KEY, Clock, client_of
from tools.errors import MediaError

FILES = f"{HOSTS.cdn}/files/b/0"
PIXELS = bytes(range(250)) * 10


class Cdn:
    """A support host and a file host that keep what they are given.

    *trouble* maps a path's last segment to answers that come first.
    """

    def __init__(
        self,
        *,
        lives: timedelta = timedelta(hours=1),
        base: str = FILES,
        elsewhere: str = "https://storage.example.com/signed",
    ) -> None:
        self.lives = lives
        self.base = base
        self.elsewhere = elsewhere
        self.trouble: dict[str, list[Response]] = {}
        self.tokens = 0
        self.requests: list[Request] = []
        self.files: list[bytes] = []
        self.parts: dict[int, bytes] = {}
        self.at_once = 0
        self.most_at_once = 0
        self.listed: list[dict[str, object]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        self.requests.append(request)
        last = request.url.path.rpartition("/")[2]
        body = await request.body()
        answer = self.trouble[last].pop(0) if self.trouble.get(last) else None
        await (answer or await self._answer(request, last, body))(scope, receive, send)

    async def _answer(self, request: Request, last: str, body: bytes) -> Response:
        if last == "token":
            self.tokens += 1
            for _ in range(20):  # time in which others would ask too
                await anyio.lowlevel.checkpoint()
            end = (datetime.now(UTC) + self.lives).isoformat()
            return JSONResponse(
                {"token": f"token-{self.tokens}", "token_type": "Bearer", "expires_at": end}
            )
        if last == "initiate":
            return JSONResponse({"upload_url": self.elsewhere, "file_url": f"{self.base}/y.png"})
        if last == "signed":
            self.files.append(body)
            return Response()
        if last == "upload":
            self.files.append(body)
            return JSONResponse({"access_url": f"{self.base}/x.png"})
        if last == "multipart":
            return JSONResponse({"access_url": f"{self.base}/x.bin", "uploadId": "u-1"})
        if last == "complete":
            self.listed = json.loads(body)["parts"]
            return JSONResponse({})
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await anyio.lowlevel.checkpoint()
        self.at_once -= 1
        self.parts[int(last)] = body
        return Response(headers={"ETag": f'"tag-{last}"'})

    def headers(self, last: str) -> list[dict[str, str]]:
        """Return the headers of each request whose path ends in *last*."""
        return [
            dict(one.headers.items())
            for one in self.requests
            if one.url.path.rpartition("/")[2] == last
        ]


@asynccontextmanager
async def uploads_to(cdn: Cdn, threshold: int = THRESHOLD) -> AsyncGenerator[Uploads]:
    """Yield uploads to *cdn*, in parts of 1,000 bytes above *threshold*."""
    async with httpx.AsyncClient(transport=httpx.ASGITransport(cdn)) as http:
        sender = Sender(http, HOSTS, SecretStr(KEY), Clock().policy())
        yield Uploads(sender, threshold=threshold, part_bytes=1000)


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "été.png"
    path.write_bytes(PIXELS)
    return path


async def test_a_file_goes_up_in_one_request_with_its_type_and_name(picture: Path) -> None:
    cdn = Cdn()

    async with client_of(cdn) as client:
        uploaded = await client.upload(picture, media_type="image/png", file_name="été é.png")

    assert uploaded == Uploaded(f"{FILES}/x.png")
    assert cdn.files == [PIXELS]
    token, upload = cdn.requests
    assert str(token.url) == f"{HOSTS.rest}/storage/auth/token?storage_type=fal-cdn-v3"
    assert token.headers["authorization"] == f"Key {KEY}"
    assert upload.headers["authorization"] == "Bearer token-1"
    assert upload.headers["content-type"] == "image/png"
    assert upload.headers["content-length"] == "2500"
    assert upload.headers["x-fal-file-name"] == "ete e.png"


async def test_an_empty_file_goes_up_too(tmp_path: Path) -> None:
    (tmp_path / "none").touch()
    cdn = Cdn()

    async with client_of(cdn) as client:
        await client.upload(tmp_path / "none", media_type="nonsense\r\nX: y", file_name="")

    assert cdn.files == [b""]
    assert cdn.requests[1].headers["content-type"] == "application/octet-stream"
    assert cdn.requests[1].headers["x-fal-file-name"] == "file"


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ("x.png", "x.png"),
        ("../../etc/passwd", "passwd"),
        ("C:\\me\\x.png", "x.png"),
        ("фото.jpeg", "file.jpeg"),
        ('a"b\r\nX-Evil: 1.png', "a_b_X-Evil_ 1.png"),
        ("n" * 300 + ".tar.gz", "n" * 100 + ".gz"),
        ("", "file"),
        ("...", "file."),
    ],
)
def test_a_name_is_made_fit_for_a_header(given: str, sent: str) -> None:
    assert ascii_name(given) == sent


async def test_one_token_serves_many_uploads_until_five_minutes_before_its_end(
    picture: Path,
) -> None:
    for lives, tokens in ((timedelta(minutes=6), 1), (timedelta(minutes=4), 2)):
        cdn = Cdn(lives=lives)
        async with uploads_to(cdn) as uploads:
            await uploads.upload(picture, "image/png", "x")
            await uploads.upload(picture, "image/png", "x")
        assert cdn.tokens == tokens


async def test_uploads_at_the_same_time_fetch_one_token(picture: Path) -> None:
    cdn = Cdn()

    async with uploads_to(cdn) as uploads, anyio.create_task_group() as group:
        for _ in range(5):
            group.start_soon(uploads.upload, picture, "image/png", "x")

    assert (cdn.tokens, len(cdn.files)) == (1, 5)


async def test_a_refused_token_is_fetched_anew_once(picture: Path) -> None:
    refused = JSONResponse({"detail": "A CDN token is needed"}, 401)
    cdn = Cdn()
    cdn.trouble["upload"] = [refused]
    async with uploads_to(cdn) as uploads:
        await uploads.upload(picture, "image/png", "x")
    assert [one["authorization"] for one in cdn.headers("upload")] == [
        "Bearer token-1",
        "Bearer token-2",
    ]

    cdn = Cdn()
    cdn.trouble["upload"] = [refused] * 3
    async with uploads_to(cdn) as uploads:
        with pytest.raises(UnauthorisedError):
            await uploads.upload(picture, "image/png", "x")
    assert cdn.tokens == 2


async def test_an_upload_that_fails_in_passing_is_sent_again_whole(picture: Path) -> None:
    cdn = Cdn()
    cdn.trouble["token"] = [Response(status_code=503)]
    cdn.trouble["upload"] = [Response(status_code=502), JSONResponse({"detail": "busy"}, 429)]

    async with uploads_to(cdn) as uploads:
        await uploads.upload(picture, "image/png", "x")

    assert cdn.files == [PIXELS]


async def test_a_file_that_fal_finds_too_large_is_told(picture: Path) -> None:
    cdn = Cdn()
    cdn.trouble["upload"] = [Response(status_code=413)]

    async with uploads_to(cdn) as uploads:
        with pytest.raises(TooLargeError, match=r"été\.png: it is too large \(HTTP 413\)"):
            await uploads.upload(picture, "image/png", "x")


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param({}, id="nothing"),
        pytest.param({"token": "a b", "expires_at": "2099-01-01T00:00:00Z"}, id="no token"),
        pytest.param({"token": "abc", "expires_at": "soon"}, id="no end"),
    ],
)
async def test_an_unreadable_token_says_what_is_missing(
    picture: Path, answer: dict[str, str]
) -> None:
    cdn = Cdn()
    cdn.trouble["token"] = [JSONResponse(answer)] * 9
    cdn.trouble["initiate"] = [JSONResponse({"detail": "neither"}, 404)]

    async with uploads_to(cdn) as uploads:
        with pytest.raises(PlatformError, match="the upload token: the answer holds no"):
            await uploads.upload(picture, "image/png", "x")


async def test_an_answer_without_an_address_is_a_failure(picture: Path) -> None:
    cdn = Cdn(base="javascript:alert(1)")

    async with uploads_to(cdn) as uploads:
        with pytest.raises(PlatformError, match="gave no address"):
            await uploads.upload(picture, "image/png", "x")


async def test_a_large_file_goes_up_in_ordered_parts_at_most_four_at_a_time(
    tmp_path: Path,
) -> None:
    big = tmp_path / "big.bin"
    big.write_bytes(b"".join(bytes([number]) * 1000 for number in range(12)) + b"end")
    cdn = Cdn()

    async with uploads_to(cdn, threshold=5000) as uploads:
        uploaded = await uploads.upload(big, "model/gltf-binary", "big.bin")

    assert uploaded == Uploaded(f"{FILES}/x.bin")
    assert cdn.files == []
    assert b"".join(cdn.parts[number] for number in sorted(cdn.parts)) == big.read_bytes()
    assert cdn.listed == [
        {"partNumber": number, "etag": f'"tag-{number}"'} for number in range(1, 14)
    ]
    assert 2 <= cdn.most_at_once <= 4
    begun, part = cdn.headers("multipart")[0], cdn.headers("3")[0]
    assert (begun["x-fal-file-name"], begun["content-type"]) == ("big.bin", "model/gltf-binary")
    assert part["accept-encoding"] == "identity"
    assert cdn.requests[-2].url.path.startswith("/cdn/files/b/0/x.bin/multipart/u-1/")


async def test_a_file_at_the_threshold_still_goes_up_in_one(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"x" * 5000)
    cdn = Cdn()

    async with uploads_to(cdn, threshold=5000) as uploads:
        await uploads.upload(tmp_path / "x", "a/b", "x")

    assert len(cdn.files) == 1


async def test_a_part_that_fails_in_passing_is_sent_again_alone(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"x" * 3000)
    cdn = Cdn()
    cdn.trouble["2"] = [Response(status_code=500), Response(b"no tag")]
    cdn.trouble["complete"] = [Response(status_code=504)]

    async with uploads_to(cdn, threshold=2000) as uploads:
        await uploads.upload(tmp_path / "x", "a/b", "x")

    assert [len(cdn.headers(last)) for last in ("1", "2", "3", "complete")] == [1, 3, 1, 2]


async def test_a_part_that_is_refused_ends_the_upload(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"x" * 9000)
    cdn = Cdn()
    cdn.trouble["2"] = [Response(status_code=413)]

    async with uploads_to(cdn, threshold=2000) as uploads:
        with pytest.raises(TooLargeError):
            await uploads.upload(tmp_path / "x", "a/b", "x")

    assert cdn.headers("complete") == []


async def test_a_missing_file_says_so_before_anything_is_sent(tmp_path: Path) -> None:
    cdn = Cdn()

    async with uploads_to(cdn) as uploads:
        with pytest.raises(MediaError, match=r"'x\.png' cannot be read: no such file"):
            await uploads.upload(tmp_path / "x.png", "image/png", "x")

    assert cdn.requests == []


@pytest.mark.parametrize("threshold", [THRESHOLD, 1000])
@pytest.mark.parametrize("length", [2000, 3000])
async def test_a_file_that_changes_on_its_way_is_not_called_uploaded(
    picture: Path, length: int, threshold: int
) -> None:
    class Changing(Cdn):
        async def _answer(self, request: Request, last: str, body: bytes) -> Response:
            if last == "token":
                await anyio.Path(picture).write_bytes(b"x" * length)
            return await super()._answer(request, last, body)

    cdn = Changing()
    async with uploads_to(cdn, threshold) as uploads:
        with pytest.raises(MediaError, match="changed while it was sent"):
            await uploads.upload(picture, "image/png", "x")

    assert cdn.files == []
    assert cdn.headers("complete") == []


async def test_a_file_is_never_in_memory_whole(tmp_path: Path) -> None:
    with (tmp_path / "x").open("wb") as file:
        file.truncate(32 * 1024 * 1024)

    async def swallows(scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        length = 0
        async for chunk in request.stream():
            length += len(chunk)
        until = {"expires_at": "2099-01-01T00:00:00Z"}
        answer = {"token": "abc", **until, "access_url": f"{FILES}/{length}"}
        await JSONResponse(answer)(scope, receive, send)

    async with client_of(swallows) as client:
        tracemalloc.start()
        uploaded = await client.upload(tmp_path / "x", media_type="a/b", file_name="x")
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()

    assert uploaded.url == f"{FILES}/{32 * 1024 * 1024}"
    assert peak < 8 * 1024 * 1024


@pytest.mark.parametrize("threshold", [THRESHOLD, 1000], ids=["whole", "in parts"])
async def test_a_lifetime_is_asked_for_under_both_names_and_stands_in_the_result(
    picture: Path, threshold: int
) -> None:
    cdn = Cdn()
    async with uploads_to(cdn, threshold) as uploads:
        asked = Lifecycle(3600, "hide", (("user_1", "allow"),))
        uploaded = await uploads.upload(picture, "image/png", "a.png", asked)

    (headers,) = cdn.headers("upload" if threshold == THRESHOLD else "multipart")
    for name in ("x-fal-object-lifecycle", "x-fal-object-lifecycle-preference"):
        assert json.loads(headers[name]) == {
            "expiration_duration_seconds": 3600,
            "initial_acl": {
                "default": "hide",
                "rules": [{"user": "user_1", "decision": "allow"}],
            },
        }
    assert uploaded.expires is not None
    left = uploaded.expires - datetime.now(UTC)
    assert timedelta(minutes=59) < left <= timedelta(hours=1)


async def test_no_lifetime_is_asked_for_where_none_is_wanted(picture: Path) -> None:
    cdn = Cdn()
    async with uploads_to(cdn) as uploads:
        uploaded = await uploads.upload(picture, "image/png", "a.png", Lifecycle())

    assert uploaded.expires is None
    assert not [name for name in cdn.headers("upload")[0] if "lifecycle" in name]


async def test_without_a_token_a_file_goes_where_the_support_host_says_and_no_key_with_it(
    picture: Path,
) -> None:
    cdn = Cdn()
    cdn.trouble["token"] = [Response(status_code=503)] * 99

    async with uploads_to(cdn) as uploads:
        uploaded = await uploads.upload(picture, "image/png", "x.png", Lifecycle(60))

    assert uploaded.url == f"{FILES}/y.png"
    assert cdn.files == [PIXELS]
    (begun,), (put,) = cdn.headers("initiate"), cdn.headers("signed")
    assert begun["authorization"] == f"Key {KEY}"
    assert json.loads(begun["x-fal-object-lifecycle"]) == {"expiration_duration_seconds": 60}
    assert put["host"] == "storage.example.com"
    assert put["content-length"] == "2500"
    assert "authorization" not in put
    assert HIDDEN not in str(put)


@pytest.mark.parametrize(
    "elsewhere",
    [
        "http://storage.example.com/signed",
        "https://10.0.0.1/signed",
        "https://localhost/signed",
        "https://[::1]/signed",
        "https://user:pw@storage.example.com/signed",
    ],
)
async def test_a_file_goes_to_no_unsafe_place(picture: Path, elsewhere: str) -> None:
    cdn = Cdn(elsewhere=elsewhere)
    cdn.trouble["token"] = [Response(status_code=503)] * 99

    async with uploads_to(cdn) as uploads:
        with pytest.raises(PlatformError, match="the upload token"):
            await uploads.upload(picture, "image/png", "x.png")

    assert cdn.files == []


async def test_a_refused_key_is_not_tried_at_another_door(picture: Path) -> None:
    cdn = Cdn()
    cdn.trouble["token"] = [JSONResponse({"detail": "no"}, 403)] * 99

    async with uploads_to(cdn) as uploads:
        with pytest.raises(UnauthorisedError):
            await uploads.upload(picture, "image/png", "x.png")

    assert cdn.headers("initiate") == []
