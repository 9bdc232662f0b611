"""`Line`: one process's way to a runner, kept open between the calls of the queue."""

from collections.abc import Mapping

import httpx

from server.deploy.local.calls import Door

MOST_URLS = 64
MOST_BYTES = 128 << 20  # of an answer that is held whole


class AnswerTooLargeError(Exception):
    """An app's answer is larger than what is held of one."""


async def bounded(answer: httpx.Response) -> bytes:
    """Return the body of *answer* as it came, which is not to be encoded.

    Raises:
        AnswerTooLargeError: it has more than `MOST_BYTES`; an app may answer without end.
        httpx.HTTPError: the connection broke.
    """
    body = bytearray()
    async for piece in answer.aiter_raw():
        body += piece
        if len(body) > MOST_BYTES:
            words = f"The app's answer is larger than {MOST_BYTES >> 20} MB; hand it over as a file"
            raise AnswerTooLargeError(words)
    return bytes(body)


class Line:
    """Sends calls through a door and returns whole answers.

    It keeps no cookies, so that nothing goes from one caller to the next, and follows nowhere.
    Whoever calls bounds the time.
    """

    def __init__(self, door: Door) -> None:
        self._base = door.address or "http://runner"
        self._headers = {**door.headers, "accept-encoding": "identity"}
        self._transport = door.transport()
        self._urls: dict[str, httpx.URL] = {}

    async def post(self, path: str, content: bytes, headers: Mapping[str, str]) -> httpx.Response:
        """Return the answer to a POST, its body read.

        Raises:
            httpx.HTTPError: the connection broke.
        """
        return await self._sent("POST", path, content, headers)

    async def get(self, path: str) -> httpx.Response:
        """Return the answer to a GET, its body read.

        Raises:
            httpx.HTTPError: the connection broke.
        """
        return await self._sent("GET", path, b"", {})

    async def ask(self, method: str, path: str, headers: Mapping[str, str]) -> httpx.Response:
        """Return the answer to a request with an empty object, its body read.

        Raises:
            httpx.HTTPError: the connection broke.
        """
        return await self._sent(method, path, b"{}" if method == "POST" else b"", headers)

    async def _sent(
        self, method: str, path: str, content: bytes, headers: Mapping[str, str]
    ) -> httpx.Response:
        url = self._urls.get(path)
        if url is None:
            if len(self._urls) >= MOST_URLS:
                self._urls.clear()
            url = self._urls[path] = httpx.URL(f"{self._base}{path}")
        asked = httpx.Request(method, url, headers={**self._headers, **headers}, content=content)
        answer = await self._transport.handle_async_request(asked)
        try:
            return httpx.Response(
                answer.status_code, headers=answer.headers, content=await bounded(answer)
            )
        finally:
            await answer.aclose()

    async def aclose(self) -> None:
        """Close every connection."""
        await self._transport.aclose()
