"""Code that calls an endpoint with given arguments: Python, TypeScript, curl."""

import json
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast, get_args

from catalog.card import ModelCard
from catalog.code_uploads import MARK_IN_JSON, marked, uploads_in, visible, with_uploads
from catalog.endpoint import EndpointId
from catalog.errors import ActionableError

Language = Literal["python", "typescript", "curl"]
Style = Literal["run", "queue", "stream", "realtime", "webhook", "proxy"]
LANGUAGES: tuple[str, ...] = get_args(Language)
STYLES: tuple[str, ...] = get_args(Style)

_OTHER_NAMES: Mapping[str, str] = {
    "py": "python", "python3": "python", "ts": "typescript", "js": "typescript",
    "javascript": "typescript", "node": "typescript", "nodejs": "typescript", "bash": "curl",
    "shell": "curl", "sh": "curl", "http": "curl", "rest": "curl", "submit": "queue",
    "subscribe": "queue", "async": "queue", "sync": "run", "websocket": "realtime",
    "browser": "proxy", "sse": "stream", "streaming": "stream",
} | {name: name for name in (*LANGUAGES, *STYLES)}  # fmt: skip
# Linux takes 131,072 bytes in one argument of a program; a letter may be four.
LONGEST_WORD = 30_000
_ROW = 70
WEBHOOK = "https://example.com/fal"
# Names of the released clients and their calls: fal-client 1.0.3, @fal-ai/client 1.10.1,
# @fal-ai/server-proxy 1.2.1.
INSTALL: Mapping[str, str] = {
    "python": "pip install fal-client",
    "typescript": "npm install @fal-ai/client",
    "curl": "",
}


@dataclass(frozen=True, slots=True)
class Code:
    """A program, how to install what it needs, and what to know of it."""

    code: str
    install: str
    notes: tuple[str, ...]


def code_for(card: ModelCard, arguments: Mapping[str, Any], language: str, style: str) -> Code:
    """Return a program that calls *card* with *arguments*.

    An `Upload` among them is a local file, which the program uploads before the call. Without a
    *style* it is queue, unless the id itself is a stream's or a connection's: queue waits longest
    and loses nothing, and who wants to see a result grow says so.

    Raises:
        ActionableError: no such language or style, or the two do not go together.
    """
    language = _OTHER_NAMES.get(language.strip().lower(), language)
    style = _OTHER_NAMES.get(style.strip().lower(), style) or _usual_style(card, language)
    writer = _WRITERS.get((language, style))
    if language not in LANGUAGES or style not in STYLES:
        what, given, known = (
            ("language", language, LANGUAGES)
            if language not in LANGUAGES
            else ("style", style, STYLES)
        )
        raise ActionableError(f"no {what} {given[:40]!r}", hint=f"there are {', '.join(known)}")
    if writer is None:
        fitting = [other for tongue, other in _WRITERS if tongue == language]
        raise ActionableError(
            f"no {style} code in {language}", hint=f"{language} has {', '.join(fitting)}"
        )
    notes = [KEY_NOTE if style != "proxy" else PROXY_NOTE]
    if style == "run":
        notes.append("run waits with the connection open; for anything over a minute use queue")
    if style == "queue" and card.streaming and language != "curl":
        notes.append("style stream shows a result as it grows")
    if style == "stream" and not (card.streaming or card.endpoint_id.endswith("/stream")):
        notes.append(f"{card.endpoint_id} is not listed as streaming: it may send one event only")
    if style == "realtime" and not card.realtime:
        notes.append(f"{card.endpoint_id} is not listed as realtime: it may refuse")
    if style == "webhook":
        notes.append(WEBHOOK_NOTE)
    code = writer(card.endpoint_id, arguments)
    if uploads := uploads_in(arguments):
        code = with_uploads(code, uploads, language, browser=style == "proxy")
        notes.append(PICKED_NOTE if style == "proxy" else UPLOAD_NOTE)
    return Code(code, _install(language, style), tuple(notes))


def _usual_style(card: ModelCard, language: str) -> str:
    last = card.endpoint_id.rpartition("/")[2]
    return last if last in ("stream", "realtime") and (language, last) in _WRITERS else "queue"


KEY_NOTE = "set FAL_KEY in the environment; never put the key into code or a browser"
PROXY_NOTE = (
    "the browser calls your own server, which alone holds FAL_KEY; let only your own signed-in "
    "users reach that route, or anybody spends your money"
)
UPLOAD_NOTE = "the program uploads the local files first; run it where their paths lead to them"
PICKED_NOTE = "a browser uploads what the person picks in an <input type=file multiple>"
WEBHOOK_NOTE = (
    "fal posts {request_id, status, payload} there; verify X-Fal-Webhook-Signature, expect repeats"
)


def _install(language: str, style: str) -> str:
    if style == "proxy":
        return "npm install @fal-ai/client @fal-ai/server-proxy"
    return INSTALL[language]


def _python(value: object, indent: int = 0) -> str:
    """Return *value*, JSON or uploads in it, as Python code that begins *indent* blanks deep."""
    if isinstance(value, str):
        return visible(json.dumps(value, ensure_ascii=False))
    if isinstance(value, Mapping):
        entries = cast("Mapping[str, object]", value).items()
        parts = [f"{_python(key)}: {_python(inner, indent + 4)}" for key, inner in entries]
        ends = "{}"
    elif isinstance(value, list | tuple):
        parts = [_python(inner, indent + 4) for inner in cast("list[object]", value)]
        ends = "[]"
    else:
        return repr(value)
    row = ", ".join(parts)
    if len(row) + indent < _ROW and "\n" not in row:
        return f"{ends[0]}{row}{ends[1]}"
    pad = " " * (indent + 4)
    return "\n".join([ends[0], *(f"{pad}{part}," for part in parts), f"{' ' * indent}{ends[1]}"])


def _json(arguments: Mapping[str, Any], indent: int | None = 2) -> str:
    return visible(json.dumps(arguments, indent=indent, ensure_ascii=False, default=marked))


def _bare(endpoint_id: str, path: str) -> str:
    """Return *endpoint_id* without the *path* that fal's Python client adds, also a second time."""
    return endpoint_id.removesuffix(path)


def _python_run(endpoint_id: str, arguments: Mapping[str, Any]) -> str:
    return f"""\
import fal_client

arguments = {_python(arguments)}
result = fal_client.run("{endpoint_id}", arguments=arguments)
print(result)
"""


def _python_queue(endpoint_id: str, arguments: Mapping[str, Any]) -> str:
    return f"""\
import fal_client

arguments = {_python(arguments)}
handle = fal_client.submit("{endpoint_id}", arguments=arguments)
print("request", handle.request_id)  # keep it: with it the result can be fetched later

for event in handle.iter_events(with_logs=True, interval=1.0):
    if isinstance(event, fal_client.Queued):
        print("place in the queue", event.position)
    elif isinstance(event, fal_client.InProgress):
        for line in event.logs or []:
            print(line["message"])

result = handle.get()
print(result)
"""


def _python_stream(endpoint_id: str, arguments: Mapping[str, Any]) -> str:
    return f"""\
import fal_client

arguments = {_python(arguments)}
for event in fal_client.stream("{_bare(endpoint_id, "/stream")}", arguments=arguments):
    print(event)
"""


def _python_realtime(endpoint_id: str, arguments: Mapping[str, Any]) -> str:
    return f"""\
import fal_client

arguments = {_python(arguments)}
with fal_client.realtime("{_bare(endpoint_id, "/realtime")}") as connection:
    connection.send(arguments)
    print(connection.recv())
"""


def _python_webhook(endpoint_id: str, arguments: Mapping[str, Any]) -> str:
    return f"""\
import fal_client

arguments = {_python(arguments)}
handle = fal_client.submit(
    "{endpoint_id}", arguments=arguments, webhook_url="{WEBHOOK}"
)
print("request", handle.request_id)
"""


_TS_HEAD = 'import { fal } from "@fal-ai/client";\n'


def _ts_run(endpoint_id: str, arguments: Mapping[str, Any]) -> str:
    return f"""\
{_TS_HEAD}
const input = {_json(arguments)};
const result = await fal.run("{endpoint_id}", {{ input }});
console.log(result.data, result.requestId);
"""


def _ts_queue(endpoint_id: str, arguments: Mapping[str, Any]) -> str:
    return f"""\
{_TS_HEAD}
const input = {_json(arguments)};
const result = await fal.subscribe("{endpoint_id}", {{
  input,
  logs: true,
  onEnqueue: (requestId) => console.log("request", requestId),
  onQueueUpdate: (update) => console.log(update.status),
}});
console.log(result.data, result.requestId);
"""


def _ts_stream(endpoint_id: str, arguments: Mapping[str, Any]) -> str:
    return f"""\
{_TS_HEAD}
const input = {_json(arguments)};
const stream = await fal.stream("{endpoint_id}", {{ input }});
for await (const event of stream) {{
  console.log(event);
}}
console.log(await stream.done());
"""


def _ts_realtime(endpoint_id: str, arguments: Mapping[str, Any]) -> str:
    return f"""\
{_TS_HEAD}
const input = {_json(arguments)};
const connection = fal.realtime.connect("{endpoint_id}", {{
  onResult: (result) => {{
    console.log(result);
    connection.close();
  }},
  onError: (error) => {{
    console.error(error);
    connection.close();
  }},
}});
connection.send(input);
"""


def _ts_webhook(endpoint_id: str, arguments: Mapping[str, Any]) -> str:
    return f"""\
{_TS_HEAD}
const input = {_json(arguments)};
const {{ request_id }} = await fal.queue.submit("{endpoint_id}", {{
  input,
  webhookUrl: "{WEBHOOK}",
}});
console.log("request", request_id);
"""


def _ts_proxy(endpoint_id: str, arguments: Mapping[str, Any]) -> str:
    return f"""\
// app/api/fal/proxy/route.ts, on your server (Next.js)
import {{ createRouteHandler }} from "@fal-ai/server-proxy/nextjs";
export const {{ GET, POST, PUT }} = createRouteHandler({{
  allowedEndpoints: ["{endpoint_id}"],
}});

// in the browser
import {{ fal }} from "@fal-ai/client";
fal.config({{ proxyUrl: "/api/fal/proxy" }});

const input = {_json(arguments)};
const result = await fal.subscribe("{endpoint_id}", {{ input }});
console.log(result.data);
"""


def _curl(url: str, arguments: Mapping[str, Any], flags: str = "") -> str:
    body = _json(arguments, None)
    data = f"-d {shlex.quote(body)}"
    if len(body) > LONGEST_WORD and MARK_IN_JSON not in body:
        data = f"--data-binary @- <<'JSON'\n{body}\nJSON\n"
    return f"""\
curl -sS --fail-with-body {flags}-X POST {shlex.quote(url)} \\
  -H "Authorization: Key $FAL_KEY" -H "Content-Type: application/json" \\
  {data}"""


def _curl_run(endpoint_id: str, arguments: Mapping[str, Any]) -> str:
    return _curl(f"https://fal.run/{endpoint_id}", arguments) + "\n"


def _curl_queue(endpoint_id: str, arguments: Mapping[str, Any]) -> str:
    app = EndpointId.parse(endpoint_id).app
    ask = 'curl -sS --fail-with-body -H "Authorization: Key $FAL_KEY"'
    request = f"https://queue.fal.run/{app}/requests/$REQUEST_ID"
    return f"""\
set -e
ANSWER=$({_curl(f"https://queue.fal.run/{endpoint_id}", arguments)})
REQUEST_ID=$(printf '%s' "$ANSWER" | sed -n 's/.*"request_id": *"\\([^"]*\\)".*/\\1/p')
echo "request $REQUEST_ID"  # keep it: with it the result can be fetched later

while STATUS=$({ask} \\
  "{request}/status"); [ "${{STATUS#*COMPLETED}}" = "$STATUS" ]; do sleep 1; done
{ask} "{request}"
"""


def _curl_stream(endpoint_id: str, arguments: Mapping[str, Any]) -> str:
    url = f"https://fal.run/{_bare(endpoint_id, '/stream')}/stream"
    return _curl(url, arguments, "-N ") + "\n"


def _curl_webhook(endpoint_id: str, arguments: Mapping[str, Any]) -> str:
    hook = "https%3A%2F%2Fexample.com%2Ffal"
    return _curl(f"https://queue.fal.run/{endpoint_id}?fal_webhook={hook}", arguments) + "\n"


_WRITERS: Mapping[tuple[str, str], Callable[[str, Mapping[str, Any]], str]] = {
    ("python", "run"): _python_run,
    ("python", "queue"): _python_queue,
    ("python", "stream"): _python_stream,
    ("python", "realtime"): _python_realtime,
    ("python", "webhook"): _python_webhook,
    ("typescript", "run"): _ts_run,
    ("typescript", "queue"): _ts_queue,
    ("typescript", "stream"): _ts_stream,
    ("typescript", "realtime"): _ts_realtime,
    ("typescript", "webhook"): _ts_webhook,
    ("typescript", "proxy"): _ts_proxy,
    ("curl", "run"): _curl_run,
    ("curl", "queue"): _curl_queue,
    ("curl", "stream"): _curl_stream,
    ("curl", "webhook"): _curl_webhook,
}
