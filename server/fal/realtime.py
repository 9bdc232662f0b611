"""Realtime: models behind a WebSocket, with short-lived tokens, and HTTP over a WebSocket."""

import errno
import json
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Literal, cast
from urllib.parse import urlencode

import anyio
import httpx
from pydantic import SecretStr
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, ConnectionClosedOK, InvalidStatus
from websockets.exceptions import WebSocketException as SocketError

from catalog.endpoint import EndpointId
from server.fal import wire
from server.fal.direct import encoded, output_of
from server.fal.origins import socket_url
from server.fal.packing import packed, unpacked
from server.fal.problems import (
    BadInputError,
    FalError,
    LostAnswerError,
    NetworkError,
    NotSentError,
    PlatformError,
    UnauthorisedError,
    asked_pause,
    problem,
)
from server.fal.retry import RetryPolicy
from server.fal.sender import MOST_BYTES, Ask, Sender, redirected, scrubbed, scrubbed_bytes
from server.fal.wire import Answer, Result, UnreadableAnswerError
from server.settings import EMULATOR_BASE, Hosts

# Seconds; fal's Python client 1.0.3 opens and names tokens so.
OPEN_SECONDS = 90
TOKEN_SECONDS = 120
CLOSE_SECONDS = 2
MOST_BUFFERED = 60

# The library writes addresses, and with them tokens, into its log when that listens to everything.
_quiet = logging.getLogger("falkit.fal.sockets")
_quiet.setLevel(logging.WARNING)

# Errors of a connection that was there already; every other one came before anything was sent.
_SENT = (errno.ECONNRESET, errno.EPIPE, errno.ECONNABORTED)
_PAID = "inputs that were sent may be charged; sending them again is paid for again"


class Realtime:
    """fal's WebSockets, over sockets of their own; *http* fetches the tokens.

    Inputs are paid for when they are accepted, so none is ever sent twice, and a connection is
    opened again only when it never stood or was turned away with 429. The key goes to the
    configured addresses alone, and no redirect is followed.
    """

    def __init__(
        self,
        http: httpx.AsyncClient,
        hosts: Hosts,
        key: SecretStr | None,
        *,
        policy: RetryPolicy | None = None,
    ) -> None:
        self._hosts = hosts
        self._policy = policy or RetryPolicy()
        self._sender = Sender(http, hosts, key, self._policy)
        self._proxy: Literal[True] | None = True if http.trust_env else None

    async def token(
        self, endpoint_id: str, seconds: int = TOKEN_SECONDS, *, by_path: bool = False
    ) -> SecretStr:
        """Return a token with which a browser may open this app's realtime for *seconds*.

        It names the app by its alias, as released clients ask, or *by_path* by its full id, as
        newer documents show.

        Raises:
            FalError: none was given.
        """
        parsed = EndpointId.parse(endpoint_id)
        if by_path:
            step, body = "realtime", {"allowed_apps": [str(parsed)], "duration": seconds}
        else:
            step, body = "", {"allowed_apps": [parsed.alias], "token_expiration": seconds}
        ask = Ask(
            "POST",
            f"{self._hosts.rest}/tokens/{step}",
            subject=f"a token for {parsed}",
            headers={"Content-Type": "application/json"},
            content=wire.encoded(body),
        )
        return await self._sender.read(ask, lambda answer: SecretStr(wire.app_token(answer.json())))

    @asynccontextmanager
    async def connect(
        self,
        endpoint_id: str,
        *,
        max_buffering: int | None = None,
        token_seconds: int | None = TOKEN_SECONDS,
    ) -> AsyncGenerator["Conversation"]:
        """Open a model's realtime and yield the conversation.

        *max_buffering* (1 to 60) is how many inputs may wait on the platform. With *token_seconds*
        None the key itself is shown at the handshake, else a token that lives so long.

        Raises:
            NotSentError: it never stood.
            FalError: it was refused.
        """
        parsed = EndpointId.parse(endpoint_id)
        path = str(parsed)
        if parsed.path.rpartition("/")[2] != "realtime":
            path = f"{path}/realtime"
        query: dict[str, str] = {}
        if max_buffering is not None:
            if not 1 <= max_buffering <= MOST_BUFFERED:
                raise BadInputError(
                    f"max_buffering: {max_buffering} is not 1 to {MOST_BUFFERED}",
                    hint="correct the option; nothing was sent",
                    field="max_buffering",
                )
            query["max_buffering"] = str(max_buffering)
        async with self._opened(
            f"{socket_url(self._hosts.run)}/{path}", endpoint_id, query, token_seconds
        ) as socket:
            yield Conversation(socket, endpoint_id, self._sender.secrets())

    @asynccontextmanager
    async def raw(
        self, endpoint_id: str, path: str = "", *, token_seconds: int | None = TOKEN_SECONDS
    ) -> AsyncGenerator["Socket"]:
        """Open the WebSocket that an app has under *path* and yield it as it is.

        Raises what `connect` raises.
        """
        below = f"/{path.strip('/')}" if path.strip("/") else ""
        url = f"{socket_url(self._hosts.run)}/{EndpointId.parse(endpoint_id)}{below}"
        async with self._opened(url, endpoint_id, {}, token_seconds) as socket:
            yield Socket(socket, endpoint_id)

    @asynccontextmanager
    async def calls(self, endpoint_id: str) -> AsyncGenerator["Calls"]:
        """Open HTTP over WebSocket: one connection for one direct run after another.

        Raises what `connect` raises.
        """
        url = f"{self._hosts.ws}/{EndpointId.parse(endpoint_id)}"
        async with self._opened(url, endpoint_id, {}, None) as socket:
            yield Calls(socket, endpoint_id, self._sender.secrets())

    @asynccontextmanager
    async def _opened(
        self, url: str, subject: str, query: Mapping[str, str], token_seconds: int | None
    ) -> AsyncGenerator[ClientConnection]:
        if self._hosts.run.startswith(EMULATOR_BASE):
            raise NotSentError(
                f"{subject}: the emulator inside this process has no sockets",
                hint="run `falkit emulate` and set the addresses that it prints",
                retry_helps=False,
            )
        key = self._sender.authorization(url, subject)
        socket = await self._open(url, subject, query, token_seconds, key)
        try:
            yield socket
        finally:
            # Closing is a conversation too: it gets its time, and then the connection is cut.
            with anyio.CancelScope(shield=True), anyio.move_on_after(CLOSE_SECONDS):
                await socket.close()
            socket.transport.abort()

    async def _open(
        self,
        url: str,
        subject: str,
        query: Mapping[str, str],
        token_seconds: int | None,
        key: str,
    ) -> ClientConnection:
        pauses = self._policy.pauses()
        while True:
            asked, headers = dict(query), {"Authorization": key}
            if token_seconds is not None:
                headers = {}
                token = await self.token(subject, token_seconds)
                asked = {"fal_jwt_token": token.get_secret_value(), **query}
            pause = None
            try:
                return await _Straight(
                    f"{url}?{urlencode(asked)}" if asked else url,
                    additional_headers=headers,
                    open_timeout=OPEN_SECONDS,
                    close_timeout=CLOSE_SECONDS,
                    max_size=MOST_BYTES,
                    proxy=self._proxy,
                    logger=_quiet,
                )
            except InvalidStatus as refused:
                answer = self._answer(refused)
                failure = _refusal(answer, subject)
                pause = asked_pause(answer)
                if answer.status != 429:
                    raise failure from None
            except (OSError, SocketError) as error:
                failure = _unopened(error, subject)
                if not isinstance(failure, NotSentError):
                    raise failure from None
            if not await pauses.again(pause):
                raise failure

    def _answer(self, refused: InvalidStatus) -> Answer:
        response, secrets = refused.response, self._sender.secrets()
        headers = {
            name.lower(): scrubbed(value, secrets) for name, value in response.headers.raw_items()
        }
        return Answer(response.status_code, headers, scrubbed_bytes(bytes(response.body), secrets))


class _Straight(connect):
    """A connection that follows no redirect, since it may carry a key."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


class Socket:
    """A WebSocket without any meaning put on its messages."""

    def __init__(self, socket: ClientConnection, subject: str) -> None:
        self._socket = socket
        self._subject = subject

    async def send(self, message: str | bytes) -> None:
        """Send one text or binary message, which may be paid for, once.

        Raises:
            NotSentError: the connection was closed before.
            LostAnswerError: it broke meanwhile; the message may have arrived.
        """
        if self._socket.close_code is not None:
            raise NotSentError(
                f"{self._subject}: the connection is closed",
                hint="open a new one; nothing was sent",
            )
        try:
            await self._socket.send(message)
        except ConnectionClosed:
            raise LostAnswerError(f"{self._subject}: the connection broke on sending") from None

    async def receive(self) -> str | bytes | None:
        """Return the next message, None when the other side has closed in order.

        Raises:
            NetworkError: the connection broke.
        """
        try:
            return await self._socket.recv()
        except ConnectionClosedOK:
            return None
        except ConnectionClosed:
            raise NetworkError(
                f"{self._subject}: the connection broke",
                hint=_PAID,
                charged=None,
                retry_helps=False,
            ) from None


class Conversation:
    """Inputs and outputs of one realtime model, as msgpack maps; iterating gives each output."""

    def __init__(self, socket: ClientConnection, subject: str, secrets: tuple[str, ...]) -> None:
        self._socket = Socket(socket, subject)
        self._subject = subject
        self._secrets = secrets

    async def send(self, arguments: Mapping[str, Any]) -> None:
        """Send one input, which is paid for, once; bytes may be in it.

        Raises:
            BadInputError: it cannot be packed; nothing was sent.
            NotSentError, LostAnswerError: as `Socket.send`.
        """
        try:
            message = packed(arguments)
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            raise BadInputError(
                f"{self._subject}: the input cannot be packed: {str(error)[:120]}",
                hint="use text, numbers, bytes, lists and objects; nothing was sent",
            ) from None
        await self._socket.send(message)

    async def receive(self) -> Any:  # noqa: ANN401  # the JSON border
        """Return the next output, None when the platform has ended the conversation.

        It ends it, too, when no input came for a while. Notes of the platform to its clients are
        passed over. A text that is no JSON comes as ``{"type": "text", "payload": …}``.

        Raises:
            FalError: the model or the platform failed, or the connection broke.
        """
        while True:
            message = await self._socket.receive()
            if message is None:
                return None
            try:
                said: object = unpacked(message)
            except ValueError:
                raise _failed(f"{self._subject}: a message is not msgpack") from None
            if isinstance(message, bytes) or not isinstance(said, dict):
                return said
            word = cast("dict[str, Any]", said)
            if word.get("type") == "x-fal-message":
                continue
            if word.get("type") == "x-fal-error" and word.get("error") == "TIMEOUT":
                return None
            if failure := _failure(word, self._subject, self._secrets):
                raise failure
            return word

    async def __aiter__(self) -> AsyncIterator[Any]:
        while (output := await self.receive()) is not None:
            yield output


class Calls:
    """Direct runs over one WebSocket, one after another."""

    def __init__(self, socket: ClientConnection, subject: str, secrets: tuple[str, ...]) -> None:
        self._socket = Socket(socket, subject)
        self._subject = subject
        self._secrets = secrets
        self._turn = anyio.Lock()

    async def run(self, arguments: Mapping[str, Any]) -> Result:
        """Run the model once, which is paid for, and return its output.

        Raises:
            LostAnswerError: the work may be done and charged, but its output is lost.
            FalError: as `FalClient.run`.
        """
        sent = encoded(self._subject, arguments).decode()
        async with self._turn:
            await self._socket.send(sent)
            try:
                answer = await self._answer()
            except (NetworkError, UnreadableAnswerError) as error:
                why = error.message if isinstance(error, NetworkError) else str(error)
                raise LostAnswerError(f"{why}, after the input was sent") from None
        return output_of(answer, self._subject)

    async def _answer(self) -> Answer:
        """Return the answer that the frames up to ``end`` make.

        Raises:
            NetworkError: the connection broke, or was closed.
            UnreadableAnswerError: the frames are not an answer.
        """
        start = _frame(await self._next())
        if start is None or start.get("type") != "start":
            raise UnreadableAnswerError(f"{self._subject}: the answer has no start")
        request_id, status = start.get("request_id"), start.get("status")
        if not isinstance(status, int):
            raise UnreadableAnswerError(f"{self._subject}: the answer has no status")
        body = bytearray()
        while True:
            message = await self._next()
            end = _frame(message)
            if end and end.get("type") == "end" and end.get("request_id") == request_id:
                break
            body += message.encode() if isinstance(message, str) else message
            if len(body) > MOST_BYTES:
                return Answer(status, {}, b"", "is too long")
        headers = _headers(start.get("headers"), self._secrets)
        headers.setdefault("x-fal-request-id", str(request_id))
        return Answer(status, headers, scrubbed_bytes(bytes(body), self._secrets))

    async def _next(self) -> str | bytes:
        message = await self._socket.receive()
        if message is None:
            raise NetworkError(f"{self._subject}: the connection was closed", charged=None)
        return message


def _frame(message: str | bytes) -> dict[str, Any] | None:
    """Return what a text frame says of the answer, None when it is a part of the body."""
    if isinstance(message, bytes):
        return None
    try:
        return wire.mapped(json.loads(message))
    except (ValueError, RecursionError):
        return None


def _headers(given: object, secrets: tuple[str, ...]) -> dict[str, str]:
    if not isinstance(given, dict):
        return {}
    entries = cast("dict[object, object]", given)
    return {str(name).lower(): scrubbed(str(value), secrets) for name, value in entries.items()}


def _failure(said: Mapping[str, Any], subject: str, secrets: tuple[str, ...]) -> FalError | None:
    """Return the error that a text message means, None when it means none."""
    code = wire.plain(said.get("error"), 80)
    if said.get("type") == "x-fal-error":
        reason = scrubbed(wire.plain(said.get("reason")) or code, secrets)
        return _failed(f"{subject}: {reason}", code)
    if said.get("status") == "error" and code:
        return UnauthorisedError(f"{subject}: {scrubbed(code, secrets)}")
    return None


def _failed(words: str, code: str = "") -> PlatformError:
    return PlatformError(words, hint=_PAID, error_type=code, charged=None, retry_helps=False)


def _refusal(answer: Answer, subject: str) -> FalError:
    if 300 <= answer.status < 400:
        return redirected(answer, subject)
    return problem(answer, subject, "submit")


def _unopened(error: Exception, subject: str) -> FalError:
    """Return what a connection that did not open means; *error*'s own text may hold its address."""
    if isinstance(error, TimeoutError):
        return NetworkError(f"{subject}: no connection within {OPEN_SECONDS} seconds")
    if isinstance(error, OSError) and error.errno not in _SENT:
        return NotSentError(f"{subject}: no connection could be made")
    return NetworkError(f"{subject}: the connection broke while it was opened")
