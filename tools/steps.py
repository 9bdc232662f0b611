"""The steps of a pipeline: what each refers to, whether it fits, and what it costs."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from pydantic import Field, ValidationError
from pydantic_core import ErrorDetails

from catalog.errors import ActionableError, among_others
from catalog.expected import expected, makes, most_outputs
from catalog.history import with_history
from catalog.limits import check_media
from catalog.media import MediaFacts, MediaKind
from catalog.pricing import Estimate, estimate
from catalog.schema import Checked, check, dotted, with_media
from tools.finding import usable
from tools.making import MediaPath, Order, Prepared, facts_of, unset
from tools.ports import Call, Job, Use
from tools.tool import Arguments

MOST_STEPS = 20
PROBLEM_SHOWN = 240
# What a text of an earlier step is taken to be at its longest, in characters, until it is there.
LONG_TEXT = 2000
_REFERENCE = re.compile(r"\$([A-Za-z][\w-]{0,39})(?:/([1-9]\d{0,2}))?")


class Step(Arguments):
    """One step: its name, its model, and arguments that may refer to earlier steps.

    In a continuation a name alone means the step as it was, with *again* also one that may be
    running already because the answer to its submit was lost.
    """

    name: str = Field(pattern=r"^[A-Za-z][\w-]{0,39}$")
    endpoint_id: str = ""
    arguments: dict[str, Any] = {}
    again: bool = False

    @property
    def spec(self) -> tuple[str, Mapping[str, Any]]:
        """What it makes: two steps of equal spec and name, made from the same, are one."""
        return self.endpoint_id, self.arguments

    @property
    def needs(self) -> frozenset[str]:
        """The names of the steps that its arguments refer to."""
        return frozenset(found[1] for _, found in references(self.arguments))


@dataclass(frozen=True, slots=True)
class Planned:
    """A step that fits, with the places that earlier steps will fill."""

    name: str
    prepared: Prepared
    uses: tuple[Use, ...]
    facts: Mapping[MediaPath, MediaFacts]


_RULES = {
    "string_pattern_mismatch": "up to 40 letters, digits, - and _, a letter first",
    "extra_forbidden": "is nothing that a step takes",
}


def _rule(error: ErrorDetails) -> str:
    return _RULES.get(error["type"], error["msg"].lower())


def read_steps(given: Sequence[Mapping[str, Any]], *, resumes: bool = False) -> list[Step]:
    """Return *given* as steps; one that *resumes* another may go without its model.

    Raises:
        ActionableError: one is no step, or two have one name; each problem is named.
    """
    steps: list[Step] = []
    problems: list[str] = []
    for number, one in enumerate(given, start=1):
        try:
            steps.append(Step.model_validate(one))
        except ValidationError as problem:
            for error in problem.errors(include_url=False)[:3]:
                where = ".".join(str(part) for part in error["loc"])
                problems.append(f"step {number}: {where[:60]}: {_rule(error)}")
    problems += [
        f"step {step.name!r}: endpoint_id: field required"
        for step in steps
        if not step.endpoint_id and (not resumes or step.arguments)
    ]
    names = [step.name for step in steps]
    problems += [
        f"two steps are called {name!r}" for name in dict.fromkeys(names) if names.count(name) > 1
    ]
    _raise(problems, "a step reads {name, endpoint_id, arguments}; nothing was sent")
    if len(steps) > MOST_STEPS:
        raise ActionableError(
            f"{len(steps)} steps", hint=f"a pipeline takes up to {MOST_STEPS}; nothing was sent"
        )
    return steps


async def plan(
    call: Call, steps: Sequence[Step], kept: Mapping[str, Job]
) -> tuple[list[Planned], list[str]]:
    """Return *steps* checked and priced one after the other, and what was repaired.

    *kept* are finished jobs of an earlier attempt by the names of their steps.

    Raises:
        ActionableError: some do not fit; each is named, and nothing was sent.
    """
    planned: dict[str, Planned] = {}
    problems: list[str] = []
    failed: set[str] = set()
    for step in steps:
        if step.needs & failed:
            failed.add(step.name)  # its own problem comes after those
            continue
        try:
            planned[step.name] = await _planned(call, step, planned, kept)
        except ActionableError as problem:
            failed.add(step.name)
            problems.append(f"step {step.name!r}: {among_others(problem)[:PROBLEM_SHOWN]}")
    _raise(problems, "nothing was sent")
    repairs = [
        f"{one.name}: {note}"
        for one in planned.values()
        for note in (
            *one.prepared.checked.repairs,
            *unset(one.prepared.order.card, one.prepared.checked.arguments),
        )
    ]
    return list(planned.values()), repairs


async def _planned(
    call: Call, step: Step, before: Mapping[str, Planned], kept: Mapping[str, Job]
) -> Planned:
    if unknown := sorted(step.needs - set(before) - set(kept)):
        there = ", ".join([*kept, *before]) or "none"
        raise ActionableError(f"${unknown[0]} is no earlier step", hint=f"there are: {there}")
    _check_written(step, [*before, *kept])
    card = await usable(call.rooms, step.endpoint_id)
    checked = check(card, step.arguments)
    uses = _uses(checked)
    done = {use.path: _kept_value(use, kept[use.step]) for use in uses if use.step in kept}
    if done:
        checked = check(card, with_media(checked.arguments, done))
        uses = tuple(use for use in uses if use.step not in kept)
    for use in uses:
        source = before[use.step].prepared.order.card
        most = most_outputs(source, before[use.step].prepared.checked.arguments)
        if most is not None and use.number > most:
            raise ActionableError(
                f"{dotted(use.path)}: ${use.step}/{use.number} cannot be: step {use.step!r} "
                f"({source.endpoint_id}) makes {most}",
                hint=f"${use.step} alone is its first fitting output",
            )
        if not makes(source, use.kind):
            made = ", ".join(source.media_out) or "text"
            raise ActionableError(
                f"{dotted(use.path)} takes {use.kind}, but step {use.step!r} "
                f"({source.endpoint_id}) makes {made}"
            )
    for one in checked.media:
        if one.value.strip() in {*before, *kept}:
            raise ActionableError(
                f"{dotted(one.path)}: {one.value.strip()!r} is the name of a step",
                hint=f'write "${one.value.strip()}" for what it makes',
            )
    open_paths = {use.path for use in uses}
    here = replace(checked, media=tuple(one for one in checked.media if one.path not in open_paths))
    given, facts = await facts_of(call.rooms, here)
    check_media(card, here.media, facts)
    facts |= {use.path: _to_come(before[use.step], use) for use in uses if use.kind != "text"}
    order = Order(card, step.arguments)
    past = await call.rooms.jobs.past_runs(card.endpoint_id)
    price = _price(order, checked, facts, [use.path for use in uses if use.kind == "text"])
    price = with_history(price, past)
    return Planned(step.name, Prepared(order, here, given, price), uses, facts)


def _check_written(step: Step, names: Sequence[str]) -> None:
    """Refuse what means an earlier step but would be sent, and paid, as it is written."""
    if not names:
        return
    called = "|".join(re.escape(name) for name in names)
    meant = re.compile(r"(?:\$\{?|\{\{\s*\$?)(" + called + r")(?![\w-])")
    for path, text in _texts(step.arguments):
        found = meant.search(text)
        if found is not None and _REFERENCE.fullmatch(text.strip()) is None:
            name = found[1]
            raise ActionableError(
                f"{dotted(path)}: {text[:80]!r} names step {name!r} inside other text",
                hint=f"a reference is the whole value: ${name}, or ${name}/2 for its second",
            )


def _texts(value: object, path: MediaPath = ()) -> Iterator[tuple[MediaPath, str]]:
    if isinstance(value, Mapping):
        for name, inner in cast("Mapping[str, object]", value).items():
            yield from _texts(inner, (*path, name))
    elif isinstance(value, list):
        for number, inner in enumerate(cast("list[object]", value)):
            yield from _texts(inner, (*path, number))
    elif isinstance(value, str):
        yield path, value


def _to_come(source: Planned, use: Use) -> MediaFacts:
    prepared = source.prepared
    return expected(prepared.order.card, prepared.checked.arguments, source.facts, use.kind)


def _price(
    order: Order,
    checked: Checked,
    facts: Mapping[MediaPath, MediaFacts],
    texts: Sequence[MediaPath],
) -> Estimate:
    """Return the price; texts that are still to come count from short to long."""
    least = estimate(order.card, checked.arguments, facts)
    if not texts:
        return least
    long = with_media(checked.arguments, dict.fromkeys(texts, "x" * LONG_TEXT))
    most = estimate(order.card, long, facts)
    return replace(most, low=least.low)


def _uses(checked: Checked) -> tuple[Use, ...]:
    """Return every reference in *checked*, with the kind of media that its place takes."""
    kinds = {use.path: use.kind for use in checked.media}
    return tuple(
        Use(path, found[1], int(found[2] or 0), cast("MediaKind", kinds.get(path, "text")))
        for path, found in references(checked.arguments)
    )


def _kept_value(use: Use, job: Job) -> str:
    """Return what stands for an output of a job that is done: its id, or its text."""
    if use.kind != "text":
        return f"{job.job_id}/{use.number}" if use.number else job.job_id
    texts = [output.text for output in job.outputs if output.text]
    if use.number:
        texts = [output.text for output in job.outputs[use.number - 1 : use.number]]
    if not texts or not texts[0]:
        raise ActionableError(f"step {use.step!r} (job {job.job_id}) made no text")
    return texts[0]


def references(value: object, path: MediaPath = ()) -> Iterator[tuple[MediaPath, re.Match[str]]]:
    """Yield every reference to a step in *value*, a whole text such as ``$name`` or ``$name/2``."""
    for where, text in _texts(value, path):
        if (found := _REFERENCE.fullmatch(text.strip())) is not None:
            yield where, found


def _raise(problems: Sequence[str], hint: str) -> None:
    if problems:
        raise ActionableError("; ".join(problems[:8]), hint=hint)
