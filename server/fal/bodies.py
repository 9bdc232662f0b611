"""Bodies of answers, unpacked here and not by the HTTP client, so that none outgrows a bound."""

import zlib
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator

import httpx

# What is asked for: one packing, which can be unpacked in pieces of a bounded size.
PACKED = "gzip"
PIECE = 1024 * 1024


async def unpacked(raw: AsyncIterable[bytes], packing: str) -> AsyncGenerator[bytes]:
    """Yield *raw*, packed as its ``Content-Encoding`` says, in pieces of at most a megabyte.

    An HTTP client unpacks a piece from the network at once, whatever comes of it: a thousand times
    as much with gzip, a million times with gzip in gzip.

    Raises:
        httpx.DecodingError: the packing is another than gzip or deflate, or the body breaks it.
    """
    kind = packing.strip().lower()
    if kind in ("", "identity"):
        async for chunk in raw:
            yield chunk
        return
    if kind not in ("gzip", "x-gzip", "deflate"):
        raise httpx.DecodingError("a packing that was not asked for")
    unpacker = zlib.decompressobj(zlib.MAX_WBITS | 32)  # both heads, told apart by themselves
    async for chunk in raw:
        waiting = chunk
        while waiting and not unpacker.eof:
            try:
                piece = unpacker.decompress(waiting, PIECE)
            except zlib.error:
                raise httpx.DecodingError("the packing is broken") from None
            waiting = unpacker.unconsumed_tail
            if piece:
                yield piece
    if not unpacker.eof:
        raise httpx.ReadError("the packed body broke off")


class TooLongError(httpx.ReadError):
    """A body grew beyond its bound."""


class Bounded(httpx.AsyncByteStream):
    """A body that is unpacked, and breaks when it grows beyond *most* bytes.

    `begin_anew` lets it grow as far once more: for events, each of which is bounded.
    """

    def __init__(self, response: httpx.Response, most: int) -> None:
        if not isinstance(response.stream, httpx.AsyncByteStream):
            raise TypeError("an asynchronous client has asynchronous bodies")
        self._stream = response.stream
        self._packing = response.headers.pop("content-encoding", "")
        self._most = most
        self._length = 0

    def begin_anew(self) -> None:
        """Forget how much has come."""
        self._length = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for piece in unpacked(self._stream, self._packing):
            self._length += len(piece)
            if self._length > self._most:
                raise TooLongError("the answer is too long")
            yield piece

    async def aclose(self) -> None:
        await self._stream.aclose()
