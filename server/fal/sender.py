"""Send requests with the key: to the configured fal origins, past no redirect, and nowhere else."""

import math
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeVar

import anyio
import httpx
from httpx_sse import EventSource
from pydantic import SecretStr

from server.fal.bodies import PACKED, Bounded, TooLongError
from server.fal.origins import CDN_NAMES, backup_of, is_named_host, is_under, shown, socket_url
from server.fal.problems import (
    ConcurrencyError,
    FalError,
    LostAnswerError,
    NetworkError,
    NotSentError,
    PlatformError,
    Purpose,
    UnauthorisedError,
    asked_pause,
    is_doubtful,
    is_passing,
    problem,
    unreadable,
)
from server.fal.retry import RetryPolicy
from server.fal.wire import Answer, UnreadableAnswerError
from server.settings import Hosts

# Seconds. A stream of states may be silent while a model works; fal's own client gives up a silent
# one after 15 (its JavaScript) or never (its Python).
PLAIN_TIMEOUT = httpx.Timeout(60, connect=10, pool=10)
STREAM_TIMEOUT = httpx.Timeout(90, connect=10, pool=10)
WORK_TIMEOUT = httpx.Timeout(60, read=None, connect=10, pool=10)  # a direct run may take an hour
MOST_BYTES = 64 * 1024 * 1024  # of one JSON answer, or one event of a stream
# Seconds until an answer has begun, and again until it is whole, for those who send a byte now and
# then. A request that carries much may take longer, at the slowest pace that is still one. A direct
# run has no bound until its answer begins: only the caller knows how long a model may work.
ANSWER_SECONDS = 120.0
SLOWEST = 32 * 1024  # bytes a second

# The request provably never left: no connection was made, or none was free.
_NEVER_SENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
)
_TROUBLES: tuple[tuple[type[httpx.HTTPError], str], ...] = (
    (httpx.ConnectTimeout, "no connection within 10 seconds"),
    (httpx.ConnectError, "no connection could be made"),
    (httpx.ProxyError, "the proxy refused the connection"),
    (httpx.PoolTimeout, "no connection was free"),
    (httpx.UnsupportedProtocol, "the address cannot be used"),
    (httpx.TimeoutException, "no answer in time"),
    (httpx.DecodingError, "the answer cannot be decoded"),
    (httpx.HTTPError, "the connection broke"),
)

T = TypeVar("T")
Content = bytes | Callable[[], AsyncIterator[bytes]]


@dataclass(frozen=True, slots=True)
class Ask:
    """One request. *content* that streams is given as a function, so that it can be sent again.

    *bearer* takes the place of the key, for the file host only, as ``scheme token``. *subject* is
    what an error should name. *expects* are statuses of failure that the asker reads itself.
    *keyless* asks as anybody: no credential goes along, so it may go to any host.
    """

    method: str
    url: str
    subject: str
    params: Mapping[str, str] = field(default_factory=dict[str, str])
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    content: Content | None = None
    bearer: SecretStr | None = None
    expects: tuple[int, ...] = ()
    keyless: bool = False


class ClosedError(httpx.ConnectError):
    """What stands for the platform on this machine is closed; the text is ours, and told whole.

    *hint* is the next step.
    """

    hint = "move a damaged folder away, then try again; nothing was sent"


@dataclass(frozen=True, slots=True)
class Trouble:
    """No answer came. *sent* is False when the request provably never left.

    *hint* takes the place of the usual next step.
    """

    words: str
    sent: bool
    hint: str = ""


class Sender:
    """The only place that puts a credential on a request.

    Everything that comes back is freed of the credentials before anyone reads it, so that a host
    that echoes them cannot bring them into an error, a log or a result.
    """

    def __init__(
        self, http: httpx.AsyncClient, hosts: Hosts, key: SecretStr | None, policy: RetryPolicy
    ) -> None:
        self.hosts = hosts
        self.policy = policy
        self._http = http
        self._key = key
        bases = (hosts.run, hosts.queue, hosts.rest, hosts.api, hosts.ws, socket_url(hosts.run))
        self._key_bases = tuple(map(httpx.URL, bases))
        cdn = CDN_NAMES if hosts.cdn in CDN_NAMES else (hosts.cdn,)
        self._cdn_bases = tuple(map(httpx.URL, cdn))

    @property
    def has_key(self) -> bool:
        """There is a key to send."""
        return self._key is not None

    async def once(self, ask: Ask) -> Answer | Trouble:
        """Send *ask* once and return what came of it.

        A redirect is an answer like any other: it is not followed.

        Raises:
            UnauthorisedError: no key, or not one of fal's addresses; nothing was sent.
        """
        response = await self._dispatch(self._request(ask, PLAIN_TIMEOUT))
        return response if isinstance(response, Trouble) else await self._answer(response, ask)

    async def paid(self, ask: Ask, bounds: httpx.Timeout = PLAIN_TIMEOUT) -> Answer:
        """Send *ask*, which is paid for when it is accepted, and return its answer.

        Sent again only after failed connections and after 429, within the policy's bounds; any
        other answer, also one of failure, is returned.

        Raises:
            NotSentError: no connection was ever made; nothing was accepted.
            LostAnswerError: it may have been accepted; it must not be sent again.
            ConcurrencyError: it was turned away with 429 to the last.
        """
        return await self._answer(await self._accepted(ask, bounds), ask)

    @asynccontextmanager
    async def paid_stream(self, ask: Ask) -> AsyncGenerator["Stream | Answer"]:
        """Yield the answer to *ask*, which is paid for: while it comes, or whole when it failed.

        Sent as `paid` sends, and raises what it raises.
        """
        response = await self._accepted(ask, STREAM_TIMEOUT)
        if not response.is_success:
            yield await self._answer(response, ask)
            return
        try:
            yield Stream(response, self.secrets(ask.bearer), ask.subject)
        finally:
            await response.aclose()

    async def _accepted(self, ask: Ask, bounds: httpx.Timeout) -> httpx.Response:
        """Return the open answer to *ask*, which is paid for; see `paid`."""
        pauses = self.policy.pauses()
        while True:
            response = await self._dispatch(self._request(ask, bounds))
            pause = None
            failure: FalError
            if isinstance(response, Trouble):
                if response.sent:
                    raise LostAnswerError(f"{ask.subject}: {response.words}, after it was sent")
                failure = NotSentError(f"{ask.subject}: {response.words}")
                failure.hint = response.hint or failure.hint
            elif response.status_code == 429:
                answer = await self._answer(response, ask)
                failure, pause = _refusal(answer, ask, "submit")
            else:
                return response
            if not await pauses.again(pause):
                if isinstance(failure, ConcurrencyError) and pause:
                    failure.hint = f"try again in {pause:.0f} seconds"
                raise failure

    async def read(
        self, ask: Ask, understand: Callable[[Answer], T], purpose: Purpose = "other"
    ) -> T:
        """Send *ask*, which may be repeated, until *understand* can read the answer.

        It is shown answers of success and those that *ask* expects. What it finds unreadable is
        asked again, as is everything that may pass by itself. The caller bounds the total with a
        cancel scope.

        Raises:
            FalError: the answer is one of failure, cannot be read, or none came.
        """
        pauses = self.policy.pauses()
        doubts = 0
        while True:
            answer = await self.once(ask)
            failure: FalError
            pause = None
            if isinstance(answer, Trouble):
                failure = _unanswered(ask, answer)
            elif answer.ok or answer.flaw or answer.status in ask.expects:
                try:
                    return understand(answer)
                except UnreadableAnswerError as error:
                    why = str(error)
                failure = unreadable(why, ask.subject, purpose)
                if answer.flaw == "is too long":
                    failure.retry_helps = False
                    raise failure
            else:
                failure, pause = _refusal(answer, ask, purpose)
                doubts += not is_passing(answer)
                if doubts and (doubts >= self.policy.few or not is_doubtful(answer)):
                    raise failure
            if not await pauses.again(pause):
                raise failure

    @asynccontextmanager
    async def stream(self, ask: Ask) -> AsyncGenerator["Stream"]:
        """Yield the answer to *ask* while it comes, opened with a few tries.

        Raises:
            FalError: the answer is one of failure, or none came.
        """
        pauses = self.policy.pauses()
        while True:
            response = await self._dispatch(self._request(ask, STREAM_TIMEOUT))
            pause = None
            if isinstance(response, Trouble):
                failure: FalError = _unanswered(ask, response)
            elif response.is_success:
                break
            else:
                answer = await self._answer(response, ask)
                failure, pause = _refusal(answer, ask, "other")
                if not is_passing(answer):
                    raise failure
            if not await pauses.again(pause, tries=self.policy.few):
                raise failure
        try:
            yield Stream(response, self.secrets(ask.bearer), ask.subject)
        finally:
            await response.aclose()

    def is_cdn(self, url: str) -> bool:
        """Say whether *url* lies on the configured file host, under either of its names."""
        return is_under(url, self._cdn_bases)

    def may_take_files(self, url: str) -> bool:
        """Say whether a file may go to *url*, without a key: a configured host, or one over TLS."""
        return is_under(url, self._cdn_bases + self._key_bases) or is_named_host(url)

    def authorization(self, url: str, subject: str, bearer: SecretStr | None = None) -> str:
        """Return the credential for *url*: *bearer* on the file host, else the key.

        Raises:
            UnauthorisedError: no key, or *url* is none of the addresses that are given one.
        """
        if self._key is None:
            raise UnauthorisedError("no fal key is configured", hint="set FAL_KEY")
        if not is_under(url, self._cdn_bases if bearer else self._key_bases):
            raise UnauthorisedError(
                f"{subject}: a key is not sent to {shown(url)!r}",
                hint="only the configured fal addresses are given a key",
            )
        return bearer.get_secret_value() if bearer else f"Key {self._key.get_secret_value()}"

    def secrets(self, bearer: SecretStr | None = None) -> tuple[str, ...]:
        """Return what must not come back: the key, its secret half, the token of a request."""
        secrets: list[str] = []
        if self._key:
            key = self._key.get_secret_value()
            secrets += [key, key.partition(":")[2]]
        if bearer:
            secrets.append(bearer.get_secret_value().partition(" ")[2])
        return tuple(text for text in secrets if len(text) >= 8)

    async def _dispatch(self, request: httpx.Request) -> httpx.Response | Trouble:
        seconds = math.inf
        if request.extensions["timeout"]["read"] is not None:
            seconds = ANSWER_SECONDS + int(request.headers.get("content-length", "0")) / SLOWEST
        with anyio.move_on_after(seconds):
            return await self._tried(request)
        return Trouble("no answer in time", sent=True)

    async def _tried(self, request: httpx.Request) -> httpx.Response | Trouble:
        """Send *request*, under the second name of its host if the first cannot be connected to."""
        try:
            return await self._http.send(request, stream=True, follow_redirects=False)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            backup = backup_of(request)
            if backup is None:
                return _trouble(error)
        except httpx.HTTPError as error:
            return _trouble(error)
        try:
            return await self._http.send(backup, stream=True, follow_redirects=False)
        except httpx.HTTPError as error:
            return _trouble(error)

    def _request(self, ask: Ask, timeout: httpx.Timeout) -> httpx.Request:
        """Return *ask* with its credential, after looking where it goes."""
        headers = {"Accept": "application/json", "Accept-Encoding": PACKED, **ask.headers}
        if not ask.keyless:
            headers["Authorization"] = self.authorization(ask.url, ask.subject, ask.bearer)
        content = ask.content() if callable(ask.content) else ask.content
        return self._http.build_request(
            ask.method,
            ask.url,
            params=ask.params or None,
            headers=headers,
            content=content,
            timeout=timeout,
        )

    async def _answer(self, response: httpx.Response, ask: Ask) -> Answer:
        """Read *response* to its end, to the cap, or to where it breaks, and close it."""
        secrets = self.secrets(ask.bearer)
        body = bytearray()
        flaw = "broke off"
        response.stream = Bounded(response, MOST_BYTES)
        try:
            with anyio.move_on_after(ANSWER_SECONDS):
                async for chunk in response.aiter_raw():
                    body += chunk
                flaw = ""
        except TooLongError:
            flaw = "is too long"
        except httpx.HTTPError:
            pass
        finally:
            await response.aclose()
        headers = {name: scrubbed(value, secrets) for name, value in response.headers.items()}
        return Answer(response.status_code, headers, scrubbed_bytes(bytes(body), secrets), flaw)


class Stream:
    """The events of an answer that comes bit by bit, free of credentials."""

    def __init__(self, response: httpx.Response, secrets: tuple[str, ...], subject: str) -> None:
        response.stream = self._body = Bounded(response, MOST_BYTES)
        self._events = EventSource(response)
        self._secrets = secrets
        self._subject = subject

    @property
    def head(self) -> Answer:
        """Status and headers, which come before the first event."""
        response = self._events.response
        headers = {name: scrubbed(value, self._secrets) for name, value in response.headers.items()}
        return Answer(response.status_code, headers, b"")

    async def data(self) -> AsyncGenerator[str]:
        """Yield the data of each event; raises what `events` raises."""
        async with aclosing(self.events()) as events:
            async for _, data in events:
                yield data

    async def events(self) -> AsyncGenerator[tuple[str, str]]:
        """Yield name (mostly ``message``) and data of each event, to the stream's end.

        Raises:
            NetworkError: the stream broke.
            PlatformError: the answer is not a stream of events.
        """
        kind = self._events.response.headers.get("content-type", "")
        if "text/event-stream" not in kind:
            raise unreadable("the answer is not a stream of events", self._subject, "other")
        broken: Trouble | None = None
        events = self._events.aiter_sse()
        try:
            async with aclosing(events):
                async for event in events:
                    self._body.begin_anew()
                    if event.data:
                        yield event.event, scrubbed(event.data, self._secrets)
        except httpx.HTTPError as error:
            broken = _trouble(error)
        if broken:
            raise NetworkError(f"{self._subject}: {broken.words}", charged=None)


def redirected(answer: Answer, subject: str) -> PlatformError:
    """Return the error of a redirect, which is never followed with a key."""
    target = shown(answer.headers.get("location", ""))
    return PlatformError(
        f"{subject}: fal's address answered with a redirect to {target!r}",
        hint="a key follows no redirect; correct the FALKIT_…_URL setting of that host",
        retry_helps=False,
    )


def scrubbed(text: str, secrets: tuple[str, ...]) -> str:
    """Return *text* without *secrets*."""
    for secret in secrets:
        text = text.replace(secret, "***")
    return text


def scrubbed_bytes(body: bytes, secrets: tuple[str, ...]) -> bytes:
    """Return *body* without *secrets*."""
    for secret in secrets:
        if secret.encode() in body:
            body = body.replace(secret.encode(), b"***")
    return body


def _unanswered(ask: Ask, trouble: Trouble) -> NetworkError:
    failure = NetworkError(f"{ask.subject}: {trouble.words}", charged=None)
    failure.hint = trouble.hint or failure.hint
    return failure


def _refusal(answer: Answer, ask: Ask, purpose: Purpose) -> tuple[FalError, float | None]:
    """Return the error that *answer* means, and the pause in seconds it asks for."""
    if 300 <= answer.status < 400:
        return redirected(answer, ask.subject), None
    return problem(answer, ask.subject, purpose), asked_pause(answer)


def _trouble(error: httpx.HTTPError) -> Trouble:
    """Return what *error* means; a foreign text is not repeated, it may hold a header."""
    if isinstance(error, ClosedError):
        return Trouble(str(error), sent=False, hint=error.hint)
    words = next(words for kind, words in _TROUBLES if isinstance(error, kind))
    return Trouble(words, sent=not isinstance(error, _NEVER_SENT))
