"""From what a host gives to a tool's arguments, and from its answer to the words a host reads."""

import base64
import difflib
import json
import logging
import re
import secrets
from collections.abc import Mapping, Sequence
from typing import Any, Literal, cast, get_args, get_origin

from mcp.types import CallToolResult, ContentBlock, ImageContent, ResourceLink, TextContent
from pydantic import ValidationError

from catalog.errors import ActionableError
from tools.errors import BackendError
from tools.job_view import CHARGED
from tools.ports import Call
from tools.tool import Answer, AnyTool, Arguments
from tools.wording import readable

log = logging.getLogger("falkit.calls")

# Promise 6: no ordinary result exceeds 10 KB of text.
TEXT_BYTES = 10_000
VALUE_SHOWN = 60
# What others call one of the words that an argument of ours takes: fal's states, and the like.
OTHER_WORDS = {
    "completed": "done",
    "finished": "done",
    "succeeded": "done",
    "ok": "done",
    "error": "failed",
    "canceled": "cancelled",
    "in_progress": "running",
    "in_queue": "queued",
    "pending": "queued",
    "waiting": "held",
    "any": "",
    "endpoint": "model",
    "models": "model",
    "daily": "day",
    "days": "day",
    "tags": "tag",
    "all": "full",
    "long": "full",
    "complete": "full",
    "short": "concise",
    "brief": "concise",
}
# Dollars as people write them: $1, $1,000.50.
_AMOUNT = re.compile(r"\$?\s?([1-9]\d{0,2}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?)\Z")
LINKS_SINCE = "2025-06-18"
# What other tools call an argument of ours; spelling alone would not lead there.
OTHER_NAMES = {
    "model": "endpoint_id",
    "model_id": "endpoint_id",
    "model_name": "endpoint_id",
    "endpoint": "endpoint_id",
    "input": "arguments",
    "inputs": "arguments",
    "params": "arguments",
    "parameters": "arguments",
    "image": "media",
    "image_url": "media",
    "file": "media",
    "budget": "max_dollars",
    "max_price": "max_dollars",
    "timeout": "wait_seconds",
    "output_dir": "save_to",
    "id": "job_id",
    "request_id": "job_id",
}


async def answer(tool: AnyTool, given: Mapping[str, object], call: Call) -> CallToolResult:
    """Return what a host shows of *tool*'s answer to *given*; every failure becomes words here.

    A failure that the caller can mend names the value, the rule and the next step. One of ours is
    logged under an incident number, and the number is all that is told.
    """
    try:
        arguments = taken(tool, given)
    except ValidationError as problem:
        return refusal(explain(problem))
    try:
        return shown(await tool.run(call, arguments))
    except BackendError as problem:
        return refusal(f"{problem}; {CHARGED[problem.charged]}")
    except ActionableError as problem:
        return refusal(str(problem))
    except Exception as problem:
        return fault(tool.name, problem)


def taken(tool: AnyTool, given: Mapping[str, object]) -> Arguments:
    """Return *given*, of which *tool* knows all names, as it takes them.

    A list or an object may come as its JSON text, as some hosts send it, a number as text, and the
    one entry of a list without it.

    Raises:
        ValidationError: a value is wrong, or one is missing.
    """
    fields = tool.arguments.model_fields
    plain: dict[str, object] = {}
    for name, value in given.items():
        wanted = fields[name].annotation
        if isinstance(value, str) and wanted is not str:
            value = _unpacked(_AMOUNT.sub(_bare, value.strip()) if wanted is float else value)
        if get_origin(wanted) is list and isinstance(value, str | dict):
            entry = cast("object", value)
            value = [entry] if entry else []  # one where several may stand, or none
        if wanted is str and isinstance(value, int | float) and not isinstance(value, bool):
            value = str(value)
        if get_origin(wanted) is Literal and isinstance(value, str):
            value = _chosen(value, get_args(wanted))
        # pydantic would take true for 1; as a word it is none of the numbers.
        is_switch = isinstance(value, bool) and (wanted is int or wanted is float)
        plain[name] = json.dumps(value) if is_switch else value
    return tool.arguments.model_validate(plain)


def _chosen(word: str, choices: Sequence[object]) -> str:
    """Return the one of *choices* that *word* is another word for, else *word*."""
    plain = word.strip().lower()
    for choice in (plain, OTHER_WORDS.get(plain.replace(" ", "_"))):
        if choice in choices and choice is not None:
            return choice
    return word


def _bare(amount: re.Match[str]) -> str:
    """Return *amount*, money as people write it, in digits alone."""
    return amount[1].replace(",", "")


def _unpacked(text: str) -> object:
    """Return what is packed in *text* as JSON, itself where that is nothing, a text or a number."""
    try:
        value: object = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return text if isinstance(value, str | int | float) else value


def shown(told: Answer) -> CallToolResult:
    """Return *told* as content and structured content, each enough alone.

    Whatever a model, a file or a platform wrote leaves here without what cannot be seen.
    """
    content: list[ContentBlock] = [TextContent(type="text", text=_cut(readable(told.text)))]
    content += [
        ResourceLink(
            uri=link.uri,
            name=readable(link.name),
            mime_type=link.media_type or None,
            size=link.bytes,
        )
        for link in told.links
    ]
    content += [
        ImageContent(
            type="image",
            data=base64.b64encode(picture.data).decode(),
            mime_type=picture.media_type,
        )
        for picture in told.pictures
    ]
    structured = (
        _readable(told.result.model_dump(mode="json", exclude_defaults=True, exclude_none=True))
        if told.result is not None
        else None
    )
    return CallToolResult(content=content, structured_content=structured, is_error=told.is_error)


def as_spoken(result: CallToolResult, version: str | None) -> CallToolResult:
    """Return *result* as the protocol of *version* has it: the first ones know no links."""
    if version is None or version >= LINKS_SINCE:
        return result
    kept = [block for block in result.content if not isinstance(block, ResourceLink)]
    return result.model_copy(update={"content": kept})


def fault(name: str, problem: Exception) -> CallToolResult:
    """Log *problem*, one of ours, under an incident number, and return the number in words."""
    incident = secrets.token_hex(3)
    log.error("incident %s in %s", incident, name, exc_info=problem)
    return failure(
        f"{name} failed through a fault of falkit, incident {incident}; "
        "the details are in the server's log, and list_jobs shows whether a job was made"
    )


def refusal(words: str) -> CallToolResult:
    """Return *words* as a tool's error on one line, so that what they quote forges none."""
    return failure(" ".join(words.splitlines()))


def failure(words: str) -> CallToolResult:
    """Return *words* as a tool's error."""
    return CallToolResult(
        content=[TextContent(type="text", text=_cut(readable(words)))], is_error=True
    )


def _readable(node: Any) -> Any:  # noqa: ANN401  # any JSON
    if isinstance(node, str):  # most are plain, and there are many: no call for those
        return node if node.isascii() and node.isprintable() else readable(node)
    if isinstance(node, dict):
        entries = cast("dict[str, Any]", node)
        return {_readable(name): _readable(value) for name, value in entries.items()}
    return [_readable(each) for each in cast("list[Any]", node)] if isinstance(node, list) else node


def _cut(text: str) -> str:
    """Return *text* within `TEXT_BYTES`, saying what was cut."""
    encoded = text.encode("utf-8", "replace")
    if len(encoded) <= TEXT_BYTES:
        return text
    kept = encoded[: TEXT_BYTES - 60].decode("utf-8", "ignore")
    return f"{kept}\n… {len(encoded) - len(kept.encode()):,} bytes cut"


def sound(node: Any) -> Any:  # noqa: ANN401  # any JSON
    """Return *node* with a mark in place of each half of a surrogate pair.

    JSON can spell one, but neither the journal nor the wire could say it again.
    """
    if isinstance(node, str):
        return node if node.isascii() else node.encode("utf-8", "replace").decode()
    if isinstance(node, dict):
        entries = cast("dict[str, Any]", node)
        return {sound(name): sound(value) for name, value in entries.items()}
    return [sound(each) for each in cast("list[Any]", node)] if isinstance(node, list) else node


def unknown_names(tool: AnyTool, arguments: Mapping[str, object]) -> str:
    """Return a sentence on arguments that *tool* does not take, or nothing.

    An argument of the model itself belongs into ``arguments``; that is said where it applies.
    """
    known = list(tool.arguments.model_fields)
    strangers = [name for name in arguments if name not in known]
    if not strangers:
        return ""
    name = strangers[0]
    plain = (
        name[:80].lower().replace("-", "_")
    )  # a long one is near to nothing, and slow to compare
    other = plain if plain in known else OTHER_NAMES.get(plain)
    near = [other] if other in known else []
    near = near or difflib.get_close_matches(plain, known, 1, 0.75)
    if near:
        advice = f"did you mean {near[0]!r}?"
    elif "arguments" in known:
        advice = "an input of the model goes into 'arguments'"
    else:
        advice = f"it takes {', '.join(known)}"
    return f"{tool.name} has no argument {name[:80]!r} ({advice})"


def explain(problem: ValidationError) -> str:
    """Return what is wrong with a tool's arguments: the name, the value, the rule."""
    told: dict[str, str] = {}  # of what fits none of several types, the first says enough
    for error in problem.errors(include_url=False)[:12]:
        name = ".".join(map(str, filter(_is_named, error["loc"]))) or "arguments"
        if error["type"] == "missing":
            told.setdefault(name, f"{name} is missing")
        else:
            words = f"{name} is {_shown(error['input'])}: {_plain(error['msg'])}"
            told.setdefault(name, words)
    return "; ".join(list(told.values())[:6]) + " (nothing was sent)"


def _is_named(part: str | int) -> bool:
    """Say whether *part* of a place is a name or number, not a type that was tried there."""
    return isinstance(part, int) or not (part == "str" or "[" in part)


def _shown(value: Any) -> str:  # noqa: ANN401  # any JSON
    text = repr(value)
    if len(text) <= VALUE_SHOWN:
        return text
    return f"{text[:VALUE_SHOWN]}… ({len(text):,} characters)"


def _plain(message: str) -> str:
    words = message.removeprefix("Input should be ").removeprefix("Value error, ")
    return f"it should be {words}" if words != message else message[:1].lower() + message[1:]
