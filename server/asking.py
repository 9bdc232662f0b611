"""Ask the person through the host whether a held job may run, and understand the answer.

A host that declares the question need not draw it: *cancel* means that nobody answered, *decline*
means no. The answer marks the job's row, as `falkit approve` does; no argument of a tool can.
"""

import json
from collections.abc import Mapping
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Any, Literal, Protocol, cast

import anyio
from mcp.server.mcpserver import Context
from mcp.shared.exceptions import MCPError
from mcp.types import (
    ElicitRequest,
    ElicitRequestFormParams,
    ElicitResult,
    InputRequiredResult,
)
from pydantic import BaseModel, Field

from tools.job_view import change_words
from tools.ports import Job

MODERN = "2026-07-28"
KEY = "approve"
# With what the call itself did before, the answer comes before the host's clock (promise 10).
ANSWERED_WITHIN = 35.0
MOST_SHOWN = 2500

# What a plan says of itself to whoever carries it out, and in which words a person reads the rest.
_ONLY_FOR_US = ("seal", "sha256", "unasked")
_CHANGE_NAMES: Mapping[str, str] = {"callers": "callable", "plan_id": "plan"}

ONCE, TODAY, NO = "run it once", "run this model unasked until midnight", "no"
Verdict = Literal["once", "today", "no", "nobody"]
_VERDICTS: Mapping[str, Verdict] = {ONCE: "once", TODAY: "today", NO: "no"}


class Approve(Protocol):
    """Marks a held job approved; with *today* its endpoints until midnight."""

    async def __call__(self, job_id: str, *, today: bool = False) -> Job: ...


class Approval(BaseModel):
    """What a person is asked for."""

    answer: Literal["run it once", "run this model unasked until midnight", "no"] = Field(
        title="Run it?", default=NO
    )


def can_ask(ctx: Context[Any, Any]) -> bool:
    """Return whether the host says that it can put a question to the person."""
    declared = ctx.client_capabilities
    elicitation = declared.elicitation if declared else None
    if elicitation is None or (elicitation.form is None and elicitation.url is not None):
        return False
    return ctx.protocol_version == MODERN or ctx.session.can_send_request


def question(job: Job) -> str:
    """Return what the person is asked about a held *job*: price, model, arguments."""
    told = described(job)
    if len(told) > MOST_SHOWN:
        told = f"{told[:MOST_SHOWN]}\n… `falkit approve {job.job_id}` in a terminal shows all"
    asked = "Carry it out?" if job.kind == "deploy" else f"Run it for {price_of(job)}?"
    return f"{told}\n{asked}"


def put_off(job: Job) -> InputRequiredResult:
    """Return the answer of the newer era: the call comes again with what the person said."""
    schema = Approval.model_json_schema()
    asked = {"type": "object", "properties": schema["properties"], "required": ["answer"]}
    form = ElicitRequestFormParams.model_validate(
        {"message": question(job), "requestedSchema": asked}
    )
    return InputRequiredResult(
        request_state=job.job_id, input_requests={KEY: ElicitRequest(params=form)}
    )


def answered(ctx: Context[Any, Any]) -> tuple[str, Verdict] | None:
    """Return which job a repeated call is about, and what the person said of it."""
    if not ctx.request_state or not ctx.input_responses or KEY not in ctx.input_responses:
        return None
    given = ctx.input_responses[KEY]
    if not isinstance(given, ElicitResult):
        return ctx.request_state, "nobody"
    return ctx.request_state, verdict_of(given.action, given.content)


async def ask(ctx: Context[Any, Any], job: Job) -> Verdict:
    """Return what the person says in the older era, within `ANSWERED_WITHIN`."""
    with anyio.move_on_after(ANSWERED_WITHIN):
        try:
            found = await ctx.elicit(question(job), Approval)
        except (MCPError, ValueError):  # it cannot after all, or answered what was not asked
            return "nobody"
        if found.action == "accept":
            return _VERDICTS[found.data.answer]
        return "no" if found.action == "decline" else "nobody"
    return "nobody"


class Waiting:
    """The questions of the older era that wait for an answer; a server that leaves ends them.

    Such a question lives in its connection, so its answer could not find the next server.
    """

    def __init__(self) -> None:
        self._open: set[anyio.CancelScope] = set()
        self._leaving = False

    async def ask(self, ctx: Context[Any, Any], job: Job) -> Verdict:
        """Return what the person says, *nobody* where the server leaves before."""
        verdict: Verdict = "nobody"
        with anyio.CancelScope() as scope:
            self._open.add(scope)
            try:
                verdict = verdict if self._leaving else await ask(ctx, job)
            finally:
                self._open.discard(scope)
        return verdict

    def end(self) -> None:
        """Let whoever waits for a person be answered now: the job stays held."""
        self._leaving = True
        for scope in self._open:
            scope.cancel()


def verdict_of(action: str, content: object) -> Verdict:
    """Return what an answer to the question means."""
    if action == "accept" and isinstance(content, dict):
        return _VERDICTS.get(str(cast("dict[str, object]", content).get("answer")), "nobody")
    return "no" if action == "decline" else "nobody"


def described(job: Job) -> str:
    """Return what *job* would run and cost, whole: it is what the person says yes to.

    What steers a terminal or turns letters round stands there as an escape, so that no argument can
    look like another one.
    """
    asked_by = " ".join(job.asked_by.split()) or "not said"
    if job.kind == "deploy":
        return _spelled_out(_change(job, asked_by))
    arguments = json.dumps(dict(job.arguments), indent=2, ensure_ascii=False)
    return _spelled_out(
        f"job       {job.job_id}\nmodel     {job.endpoint_id}\nbackend   {job.backend}\n"
        f"price     {price_of(job)}\nasked by  {asked_by}\narguments {arguments}\n{job.note}"
    )


def _change(job: Job, asked_by: str) -> str:
    """Return the change to an app that *job* carries out: everything that its plan says of it."""
    said = dict(job.arguments)
    rows = [("job", job.job_id), ("change", change_words(said)), ("asked by", asked_by)]
    rows += [("", line) for line in _listed(said.pop("changes", ()))]
    rows += [("risk", line) for line in _listed(said.pop("risks", ()))]
    for name in ("action", "app", "target", *_ONLY_FOR_US):
        said.pop(name, None)
    rows += [(_CHANGE_NAMES.get(name, name), str(value)) for name, value in said.items()]
    lines = [f"{name:<9} {' '.join(value.split())}".rstrip() for name, value in rows]
    return "\n".join([*lines, job.note])


def _listed(value: object) -> list[str]:
    return [str(one) for one in cast("list[object]", value)] if isinstance(value, list) else []


def price_of(job: Job) -> str:
    """Return what *job* would cost, as a person reads it: never less than what it may cost."""
    if job.kind == "deploy" and job.arguments.get("target") == "local":
        return "nothing; it runs on this machine"
    if job.kind == "deploy":
        return "nothing by itself; what runs then is billed"
    if job.estimate_high is None:
        return "an unknown price"
    high = _rounded(job.estimate_high, ROUND_CEILING)
    if job.estimate_low in (None, job.estimate_high):
        return high
    return f"{_rounded(job.estimate_low, ROUND_FLOOR)} to {high}"


def _rounded(dollars: Decimal, way: str) -> str:
    """Return *dollars* to the cent, below ten cents to two digits that count."""
    digits = 2 if dollars >= Decimal("0.1") or not dollars else 1 - dollars.adjusted()
    exact = dollars.quantize(Decimal(1).scaleb(-digits), way)
    cents = exact.quantize(Decimal("0.01"), ROUND_FLOOR)
    return f"${cents if cents == exact else exact.normalize():f}"


def _spelled_out(text: str) -> str:
    """Return *text* with every character that has no look of its own as its escape."""
    return "".join(
        letter if letter == "\n" or letter.isprintable() else f"\\u{ord(letter):04x}"
        for letter in text
    )
