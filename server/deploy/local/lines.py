"""`Line`: one process's way to a runner, kept open between the calls of the queue."""

from collections.abc import Mapping

import httpx

from server.deploy.local.calls import Door

MOST_URLS = 64


class Line:
    """Sends calls through a door and returns whole answers.

    It keeps no cookies, so that nothing goes from one caller to the next, and follows nowhere.
    Whoever calls bounds the time.
    """

    def __init__(self, door: Door) -> None:
        self._base = door.address or "http://runner"
        self._headers = door.headers
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
            await answer.aread()
        finally:
            await answer.aclose()
        return answer

    async def aclose(self) -> None:
        """Close every connection."""
        await self._transport.aclose()
