"""`output_in`: what a model's answer holds, whether it is JSON, text or the bytes of a file."""

import base64
import re
from typing import Any

from server.fal.wire import Answer, UnreadableAnswerError

OCTETS = "application/octet-stream"


def output_in(answer: Answer) -> Any:  # noqa: ANN401  # JSON of any shape
    """Return the output that *answer*, one of success, holds, as JSON.

    Apps may answer with any body and say of what type it is (`fastapi.Response`). Plain text is a
    string. Other bytes are a file, as models write theirs: an object with a ``url``, a data URI
    here, its ``content_type`` and ``file_size``. A page of HTML is an output only where the answer
    names its request, since proxies answer with such pages too.

    Raises:
        UnreadableAnswerError: the body is not whole, empty, or not what its type says.
    """
    kind = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
    if answer.flaw or not kind or "json" in kind:
        return answer.json()
    if kind.startswith("text/"):
        try:
            return answer.json()
        except UnreadableAnswerError:
            if kind == "text/html" and not answer.request_id:
                raise
    if not answer.body:
        raise UnreadableAnswerError("the answer is empty")
    if kind == "text/plain":
        try:
            return answer.body.decode()
        except UnicodeDecodeError:
            pass  # a file of some other letters
    return _file(kind if re.fullmatch(r"[\w.+-]+/[\w.+-]+", kind) else OCTETS, answer.body)


def _file(kind: str, body: bytes) -> dict[str, Any]:
    url = f"data:{kind};base64,{base64.b64encode(body).decode('ascii')}"
    return {"file": {"url": url, "content_type": kind, "file_size": len(body)}}
