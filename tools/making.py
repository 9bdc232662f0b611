"""The way from a caller's words to a job: model, arguments, media, price, start, wait."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

from pydantic import Field, FiniteFloat

from catalog.asked_beside import asked_beside
from catalog.card import ModelCard
from catalog.errors import ActionableError
from catalog.granting import granted
from catalog.history import with_history
from catalog.limits import check_media
from catalog.media import MediaFacts, MediaKind
from catalog.pricing import Estimate, estimate, tidy
from catalog.schema import Checked, MediaUse, check, with_media
from catalog.search_text import plain
from tools.errors import OverBudgetError
from tools.job_view import job_answer
from tools.ports import Call, GivenMedia, Intent, Rooms
from tools.tool import Answer, Arguments

# Dollars below which nobody needs to know how sure a price is.
_WORTH_SAYING = Decimal("0.1")

MediaPath = tuple[str | int, ...]

# Hosts end a call after 60 seconds, so all of it fits 50: uploads begin in the first 15 and take 20
# each, the submit is waited for 15, and the wait takes what is left.
UPLOADS_BEGIN_WITHIN = 15.0
ANSWERED_WITHIN = 50.0


class MakeArguments(Arguments):
    """What every tool that makes something takes."""

    wait_seconds: float = Field(
        default=30, ge=0, le=45, description="Seconds to wait, 0 to 45, default 30"
    )
    max_dollars: FiniteFloat = Field(
        default=0, ge=0, description="Refuse above these dollars; 0: no limit"
    )
    save_to: str = Field(default="", description="Folder for the files, default media")
    tags: list[str] = Field(default=[], max_length=10, description="Up to 10 words to find it by")
    again: bool = Field(default=False, description="Make another though the same call still runs")
    webhook_url: str = Field(default="", description="URL that fal calls at the end")


@dataclass(frozen=True, slots=True)
class Order:
    """A model and the arguments for it, not yet checked.

    *notes* are told to the caller: what was chosen and why. *most* are the dollars that its words
    allow, None where they name no limit.
    """

    card: ModelCard
    arguments: Mapping[str, object]
    prompt: str = ""
    notes: tuple[str, ...] = ()
    parents: tuple[str, ...] = field(default=())
    most: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Prepared:
    """An order whose arguments and media fit, and its price."""

    order: Order
    checked: Checked
    given: Mapping[MediaPath, GivenMedia]
    price: Estimate


async def make(call: Call, order: Order, arguments: MakeArguments) -> Answer:
    """Check, price and start *order*, wait for it as long as the caller allows, and show it.

    Raises:
        ActionableError: something does not fit; nothing was sent, nothing charged.
    """
    begun = time.monotonic()
    folder = await call.rooms.media.folder(arguments.save_to)
    webhook_url = _checked_webhook(arguments.webhook_url)
    prepared = await prepare(call.rooms, order)
    most = _most(order, arguments, prepared.price)
    check_cap(prepared.price.high, most)
    intent = replace(
        await intent_of(call, prepared, begun),
        max_dollars=most,
        tags=tuple(dict.fromkeys(tag.strip()[:40] for tag in arguments.tags if tag.strip())),
        again=arguments.again,
        webhook_url=webhook_url,
        save_to=folder,
    )
    try:
        started = await call.rooms.jobs.start(intent)
    except OverBudgetError as problem:
        problem.hint += _uploaded(prepared.given)
        raise
    left = max(0.0, begun + ANSWERED_WITHIN - time.monotonic())
    seconds = min(arguments.wait_seconds, left)
    job = await call.rooms.jobs.wait(started.job_id, seconds, call.progress)
    notes = (*order.notes, *prepared.checked.repairs, *_wide(prepared.price))
    if started.repeated:
        notes = (*notes, "this call was made before: here is that job; again=true makes another")
    if job.is_settled:
        await call.rooms.jobs.deliver(job.job_id)
    return await job_answer(call.rooms.media, job, notes, preview=call.rooms.previews)


async def prepare(rooms: Rooms, order: Order) -> Prepared:
    """Return *order* checked and priced; nothing is sent.

    Raises:
        ActionableError: something does not fit.
    """
    checked = check(order.card, order.arguments, prompt=order.prompt)
    given, facts = await facts_of(rooms, checked)
    check_media(order.card, checked.media, facts)
    past = await rooms.jobs.past_runs(order.card.endpoint_id)
    price = with_history(estimate(order.card, checked.arguments, facts), past)
    return Prepared(order, checked, given, price)


async def intent_of(call: Call, prepared: Prepared, begun: float) -> Intent:
    """Return what is to be run, with its files uploaded; *begun* is when the call came.

    Raises:
        ActionableError: the uploads take too long for one call.
        BackendError: an upload failed.
    """
    checked, given = prepared.checked, prepared.given
    urls = await _placed(call, checked.media, given, begun)
    return Intent(
        endpoint_id=prepared.order.card.endpoint_id,
        arguments=with_media(checked.arguments, urls),
        identity=with_media(
            checked.arguments, {path: media.identity for path, media in given.items()}
        ),
        low=prepared.price.low,
        high=prepared.price.high,
        parents=_parents(prepared.order, given),
        asked_by=call.asked_by,
    )


def _most(order: Order, arguments: MakeArguments, price: Estimate) -> Decimal | None:
    """Return the dollars that caller and words allow, None where neither names a limit.

    Raises:
        OverBudgetError: words name one, and the *price* with the media given is not known.
    """
    if order.most is not None and price.high is None:
        raise OverBudgetError(
            f"what this costs is not known, and the words allow ${tidy(order.most):f}",
            hint="leave the limit out, or name another model; nothing was sent",
        )
    named = Decimal(str(arguments.max_dollars)) if arguments.max_dollars else None
    return min((one for one in (named, order.most) if one is not None), default=None)


def check_cap(high: Decimal | None, most: Decimal | None) -> None:
    """Refuse a price over the caller's cap here already, before a file leaves the machine.

    Raises:
        OverBudgetError: *high* is over *most*.
    """
    if most is not None and high is not None and high > most:
        raise OverBudgetError(
            f"this costs up to ${tidy(high):f}, over max_dollars ${tidy(most):f}",
            hint="make it smaller or cheaper, or raise max_dollars; nothing was sent",
        )


async def facts_of(
    rooms: Rooms, checked: Checked
) -> tuple[dict[MediaPath, GivenMedia], dict[MediaPath, MediaFacts]]:
    """Return the media named in *checked* by path, and what is known of each; nothing is sent.

    Raises:
        MediaError: one of them is missing, out of bounds or of the wrong kind; the argument is
            named.
    """
    given: dict[MediaPath, GivenMedia] = {}
    for use in checked.media:
        try:
            given[use.path] = await rooms.media.look(use.value, cast("MediaKind", use.kind))
        except ActionableError as problem:
            problem.message = f"{_spelled(use.path)}: {problem.message}"
            raise
    facts = {path: media.facts for path, media in given.items() if media.facts is not None}
    return given, facts


async def _placed(
    call: Call, uses: Sequence[MediaUse], given: Mapping[MediaPath, GivenMedia], begun: float
) -> dict[MediaPath, str]:
    urls: dict[MediaPath, str] = {}
    for use in uses:
        media = given[use.path]
        if media.path is not None:
            if time.monotonic() - begun > UPLOADS_BEGIN_WITHIN:
                raise ActionableError(
                    f"the uploads take long: {len(urls)} of {len(uses)} are done; nothing was "
                    "started with them",
                    hint="they are kept: make the same call again",
                )
            await call.progress(0.0, f"uploading {Path(media.path).name}"[:200])
        urls[use.path] = (await call.rooms.media.place(media)).url
    return urls


def _wide(price: Estimate) -> tuple[str, ...]:
    """Return why a price may be twice what it is at its least, so that a caller can narrow it."""
    if price.low is None or price.high is None or price.high < max(2 * price.low, _WORTH_SAYING):
        return ()
    why = f": {price.assumptions[0]}" if price.assumptions else ""
    return (f"priced at its most, ${tidy(price.high):f}, could be ${tidy(price.low):f}{why}",)


def _parents(order: Order, given: Mapping[MediaPath, GivenMedia]) -> tuple[str, ...]:
    used = [media.parent for media in given.values() if media.parent]
    return tuple(dict.fromkeys([*order.parents, *used]))


def _uploaded(given: Mapping[MediaPath, GivenMedia]) -> str:
    """Return what to add where a price is refused after files were uploaded for it."""
    count = len({media.identity for media in given.values() if media.path is not None})
    if not count:
        return ""
    return f"; {count} {'file lies' if count == 1 else 'files lie'} uploaded for the next call"


def _checked_webhook(url: str) -> str:
    """Return *url*; what is plainly no https address is refused before an upload."""
    if url and not url.lower().startswith("https://"):
        raise ActionableError(
            f"webhook_url {url[:80]!r} is not an https address",
            hint="fal calls public https addresses only; leave it empty and use job_status",
        )
    return url


def _spelled(path: MediaPath) -> str:
    words = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return words.lstrip(".")


def merged(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    """Return *first* with the values of *second* on top; a None removes one."""
    both = {**first, **second}
    return {name: value for name, value in both.items() if value is not None}


def unset(card: ModelCard, arguments: Mapping[str, Any], prompt: str = "") -> tuple[str, ...]:
    """Return what the main text says of a run on *card* and *arguments* leave at another default.

    Whoever names a model sets its inputs: none is set for the words, but that it is not is said.
    """
    held = prompt or arguments.get(card.text_field or "prompt")
    asked = asked_beside(plain(held)) if isinstance(held, str) else None
    if not asked:
        return ()
    told = [
        f'"{name}":{json.dumps(value)}'
        for name, value in granted(card, asked, arguments).fields.items()
        if card.properties[name].get("default") != value
    ]
    words = f"the prompt speaks of what arguments decide; not set here: {', '.join(told)}"
    return (words,) if told else ()
