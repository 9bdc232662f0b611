"""What the platform says: bodies, headers and refusals in fal's shapes."""

import re
import uuid
from collections.abc import Mapping
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, HTTPConnection, Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.emulator.reading import MOST_BYTES, TooLargeError, bounded_body, read_json

KEY = re.compile(r"Key ([^\s:]+):(\S+)\Z")
VOID_KEY = "emulator.void_key"  # stands in the scope of a request whose key was deleted
EVERY_METHOD = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
RETRYABLE = frozenset({429, 502, 503, 504})

API_TYPES: Mapping[int, str] = {
    400: "validation_error",
    401: "authorization_error",
    403: "authorization_error",
    404: "not_found",
    405: "validation_error",
    409: "validation_error",
    413: "validation_error",
    422: "validation_error",
    429: "rate_limited",
    500: "server_error",
    501: "not_implemented",
    503: "server_error",
}


class Refusal(Exception):  # noqa: N818  # it is an answer, not an error
    """An answer other than the one that was hoped for, from any host but the platform API.

    The body is ``{"detail": …}``, with the ``error_type`` of platform failures where one is given.
    """

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        error_type: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.error_type = error_type
        self.headers = dict(headers or {})


class ApiRefusal(Exception):  # noqa: N818  # it is an answer, not an error
    """The platform API's error object, its type chosen by the status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


def json_answer(
    body: Any,  # noqa: ANN401  # JSON
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return a JSON answer."""
    return JSONResponse(body, status, dict(headers or {}))


def failure_headers(
    status: int,
    error_type: str | None,
    *,
    user_timeout: bool = False,
    needs_retry: bool = False,
) -> dict[str, str]:
    """Return the headers that tell a client of what type a failure is and whether to try again.

    Older pages call the hint ``X-Fal-Retryable``, newer ones ``X-Fal-Needs-Retry``: both are sent.
    """
    headers = {"x-fal-error-type": error_type} if error_type else {}
    if user_timeout:
        headers["x-fal-request-timeout-type"] = "user"
    retry = (needs_retry or status in RETRYABLE) and not user_timeout
    headers["x-fal-retryable"] = "true" if retry else "false"
    if retry:
        headers["x-fal-needs-retry"] = "1"
    return headers


def refusal_answer(_: Request, refusal: Exception) -> Response:
    """Return the answer that *refusal* stands for."""
    assert isinstance(refusal, Refusal)  # noqa: S101  # registered for this class alone
    headers = dict(refusal.headers)
    if refusal.error_type:
        headers = {**failure_headers(refusal.status, refusal.error_type), **headers}
    return json_answer(refusal_body(refusal), refusal.status, headers)


def refusal_body(refusal: Refusal) -> dict[str, str]:
    """Return the body of the answer that *refusal* stands for."""
    body = {"detail": refusal.detail}
    return {**body, "error_type": refusal.error_type} if refusal.error_type else body


def api_refusal_answer(_: Request, refusal: Exception) -> Response:
    """Return the platform API's error object for *refusal*."""
    assert isinstance(refusal, ApiRefusal)  # noqa: S101  # registered for this class alone
    request_id = str(uuid.uuid4())
    error = {
        "type": API_TYPES[refusal.status],
        "message": refusal.message,
        "request_id": request_id,
    }
    return json_answer({"error": error}, refusal.status, {"x-fal-request-id": request_id})


def http_answer(request: Request, problem: Exception) -> Response:
    """Return in the shape of its host what the router or a form says, such as a wrong method."""
    assert isinstance(problem, HTTPException)  # noqa: S101  # registered for this class alone
    if request.url.path.startswith("/api/"):
        return api_refusal_answer(request, ApiRefusal(problem.status_code, problem.detail))
    return json_answer({"detail": problem.detail}, problem.status_code, problem.headers)


def mistake_answer(request: Request, _: Exception) -> Response:
    """Return what the platform says of a mistake of its own."""
    if request.url.path.startswith("/api/"):
        return api_refusal_answer(request, ApiRefusal(500, "Internal server error"))
    body = {"detail": "Internal server error", "error_type": "internal_error"}
    return json_answer(body, 500, failure_headers(500, "internal_error"))


def base_of(request: HTTPConnection) -> str:
    """Return scheme and host under which the caller reached us, such as ``http://127.0.0.1:80``."""
    scheme = {"ws": "http", "wss": "https"}.get(request.url.scheme, request.url.scheme)
    return f"{scheme}://{request.headers.get('host', request.url.netloc)}"


def has_key(request: HTTPConnection) -> bool:
    """Return whether the request carries a well-formed key that was not made void."""
    if request.scope.get(VOID_KEY):
        return False
    return KEY.match(request.headers.get("authorization", "")) is not None


def user_of(request: HTTPConnection) -> str:
    """Return the id of the caller's key, empty where there is none: it stands for the account."""
    found = KEY.match(request.headers.get("authorization", ""))
    return found[1] if found and has_key(request) else ""


async def json_body(request: Request) -> Any:  # noqa: ANN401  # JSON
    """Return the body as JSON; an empty one is an empty object.

    Raises:
        Refusal: 400, the body is not JSON; 413, it is too large; 499, its sender is gone.
    """
    try:
        raw = await bounded_body(request)
        return read_json(raw) if raw.strip() else {}
    except TooLargeError:
        words = f"Request body is larger than {MOST_BYTES} bytes"
        raise Refusal(413, words, error_type="bad_request") from None
    except ClientDisconnect:
        words = "Client disconnected"
        raise Refusal(499, words, error_type="client_disconnected") from None
    except ValueError:
        raise Refusal(400, "Request body is not valid JSON", error_type="bad_request") from None


class Stamp:
    """Puts a request id on every answer that has none: clients look for it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def stamped(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = list(message.get("headers", ()))
                if not any(name.lower() == b"x-fal-request-id" for name, _ in headers):
                    headers.append((b"x-fal-request-id", str(uuid.uuid4()).encode()))
                message = {**message, "headers": headers}
            await send(message)

        await self._app(scope, receive, stamped)
