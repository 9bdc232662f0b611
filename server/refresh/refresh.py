"""`refresh`: ask fal for models and prices, politely, and put a new snapshot on the shelf."""

import hashlib
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from shutil import rmtree
from typing import Any, cast

import anyio

from catalog.current import current_snapshot, is_due
from catalog.errors import ActionableError
from catalog.fold import Difference, NotWholeError, Record, fold, missing
from server.fal.platform_calls import MOST_IDS, MOST_PAGES, Calls
from server.fal.platform_models import Models
from server.fal.problems import BadInputError, FalError, NotFoundError, UnauthorisedError
from server.fal.sender import Sender
from server.fal.wire import Answer, UnreadableAnswerError, listed, mapped
from server.refresh.account import account_mark, catalog_home
from server.refresh.asking import open_sender
from server.refresh.incoming import Entry, Incoming
from server.refresh.kept import Kept
from server.refresh.shelf import Shelf
from server.settings import Settings

log = logging.getLogger("falkit.refresh")

PAGE = 50
# Between two requests, in seconds: the platform states no limit, and nobody waits for this.
PAUSE = 0.2
# Documents asked for one by one in one refresh.
MOST_SINGLE = 200

Say = Callable[[str], None]


class RefreshError(ActionableError):
    """The catalog could not be brought up to date; the one in use stands."""


@dataclass(frozen=True, slots=True)
class Refreshed:
    """What came of a refresh. *folder* is the snapshot that counts now, *told* the difference;
    *notes* say what could not be asked for."""

    folder: Path
    told: Difference
    count: int
    notes: tuple[str, ...] = ()


def refuse_emulator(settings: Settings) -> None:
    """Raise unless there is a fal to ask.

    Raises:
        RefreshError: jobs run on the emulator, whose models are the catalog's own.
    """
    if settings.backend == "emulator":
        raise RefreshError(
            "the embedded emulator knows nothing newer than the catalog it was made from",
            hint="set FAL_KEY to ask fal",
        )


async def refresh(
    settings: Settings, sender: Sender, shelf: Shelf, say: Say, pause: float = PAUSE
) -> Refreshed:
    """Ask for every model and price, and let a new snapshot count; the caller holds the lease.

    What came before an interruption is kept and not asked for again, nor is what fal says is
    unchanged since the last refresh. Retries and ``Retry-After``
    are the sender's.

    Raises:
        RefreshError: what came is not whole, or cannot be kept.
        FalError: fal does not answer.
    """
    whose = account_mark(settings)
    kept = Kept(shelf.folder / "kept", Calls(sender))
    try:
        incoming = await anyio.to_thread.run_sync(Incoming.open, shelf.incoming, whose)
        await _list_models(kept, incoming, say, pause)
        gone = await anyio.to_thread.run_sync(_missing, shelf, incoming)
        await _ask_missing(kept, incoming, gone, pause)
        await _ask_schemas(kept, incoming, pause)
        notes = await _ask_prices(kept, incoming, say, pause)
        done = await anyio.to_thread.run_sync(_put, shelf, incoming)
        await anyio.to_thread.run_sync(kept.tidy)
        return replace(done, notes=notes)
    except NotWholeError as problem:
        await anyio.to_thread.run_sync(partial(rmtree, shelf.incoming, ignore_errors=True))
        await anyio.to_thread.run_sync(kept.forget)
        raise RefreshError(
            f"fal's list of models is not whole: {problem}", hint="the catalog in use stands"
        ) from None
    except OSError as problem:
        raise RefreshError(
            f"the new catalog cannot be kept: {(problem.strerror or str(problem)).lower()}",
            hint="the catalog in use stands; make room in FALKIT_HOME",
        ) from problem


async def _list_models(kept: Kept, incoming: Incoming, say: Say, pause: float) -> None:
    seen: set[str] = set()
    began_at = incoming.cursor
    for _ in range(MOST_PAGES):
        if incoming.listed:
            return
        cursor = incoming.cursor
        query = {"limit": PAGE, "expand": "openapi-3.0", "cursor": cursor}
        try:
            models, following = await kept.ask(kept.calls.request("GET", "/models", query), page)
        except BadInputError:
            if not began_at or cursor != began_at:
                raise
            incoming.models.clear()  # a cursor of an earlier try is no longer known
            incoming.cursor = began_at = ""
            continue
        if following and following in seen:
            raise NotWholeError("its pages begin again")
        seen.add(following)
        await anyio.to_thread.run_sync(incoming.add_page, models, following)
        say(f"{len(incoming.models)} models")
        await anyio.sleep(pause)
    raise NotWholeError(f"it has more than {MOST_PAGES} pages")


def page(answer: Answer) -> tuple[dict[str, Entry], str]:
    """Return the models of a page by id, and the cursor of the next, empty at the end.

    Raises:
        UnreadableAnswerError: it is no page, or says that more follows without saying where.
    """
    raw = mapped(answer.json())
    models: dict[str, Entry] = {}
    for entry in listed(raw, "models"):
        found = cast("dict[str, Any]", entry) if isinstance(entry, dict) else {}
        if not isinstance(found.get("endpoint_id"), str):
            raise UnreadableAnswerError("the answer holds a model without endpoint_id")
        models[found["endpoint_id"]] = found
    return models, _following(raw)


def _following(raw: Mapping[str, Any]) -> str:
    """Return the cursor of the page after *raw*, empty where it is the last.

    Raises:
        UnreadableAnswerError: it does not say.
    """
    cursor, more = raw.get("next_cursor"), raw.get("has_more")
    if more is False:
        return ""
    if isinstance(cursor, str) and cursor:
        return cursor
    if more or "next_cursor" not in raw:
        raise UnreadableAnswerError("the answer does not say what follows, or that nothing does")
    return ""


async def _ask_missing(kept: Kept, incoming: Incoming, names: Sequence[str], pause: float) -> None:
    """Ask by name for models in use that the list lacks, before they count as retired.

    Its cursors count pages: what is published meanwhile pushes others out of sight.
    """
    unknown: list[str] = []
    for start in range(0, len(names), MOST_IDS):
        group = names[start : start + MOST_IDS]
        if not await _named(kept, incoming, group, pause) and len(group) > 1:
            unknown += group
    for name in unknown[:MOST_SINGLE]:
        await _named(kept, incoming, [name], pause)


async def _named(kept: Kept, incoming: Incoming, ids: Sequence[str], pause: float) -> bool:
    """Take up the models of these *ids*; false where one is unknown, which fails them all."""
    query = {"endpoint_id": ids, "limit": PAGE, "expand": "openapi-3.0"}
    try:
        models, _ = await kept.ask(kept.calls.request("GET", "/models", query), page)
    except NotFoundError:
        return False
    finally:
        await anyio.sleep(pause)
    await anyio.to_thread.run_sync(incoming.add_page, models, "")
    return True


async def _ask_schemas(kept: Kept, incoming: Incoming, pause: float) -> None:
    """Ask for the documents that the list could not put in, each by itself, as far as they are."""
    bare = [name for name, model in incoming.models.items() if lacks_document(model)]
    for name in bare[:MOST_SINGLE]:
        try:
            document = await Models(kept.calls).openapi(name)
        except NotFoundError:
            continue
        except FalError as problem:
            log.info("schemas are not asked for one by one: %s", problem)
            return
        finally:
            await anyio.sleep(pause)
        found = {name: {**incoming.models[name], "openapi": document}}
        await anyio.to_thread.run_sync(incoming.add_page, found, "")


def lacks_document(model: Entry) -> bool:
    """Whether *model*, an entry of the list, comes without its schema."""
    document = model.get("openapi")
    return not isinstance(document, dict) or "paths" not in document


async def _ask_prices(kept: Kept, incoming: Incoming, say: Say, pause: float) -> tuple[str, ...]:
    left = [name for name in sorted(incoming.models) if name not in incoming.asked]
    for start in range(0, len(left), MOST_IDS):
        block = left[start : start + MOST_IDS]
        try:
            prices = await _prices(kept, block, pause)
        except UnauthorisedError as problem:
            return (f"prices stay as they were: {problem}",)
        await anyio.to_thread.run_sync(incoming.add_prices, block, prices)
        say(f"{len(incoming.prices)} prices")
        await anyio.sleep(pause)
    return ()


async def _prices(kept: Kept, ids: Sequence[str], pause: float) -> dict[str, Entry]:
    """Return the prices of *ids*; where one that is unknown fails them all, halves are asked."""
    found, cursor, seen = dict[str, Entry](), "", set[str]()
    try:
        while cursor not in seen:
            seen.add(cursor)
            query = {"endpoint_id": ids, "cursor": cursor}
            request = kept.calls.request("GET", "/models/pricing", query)
            prices, cursor = await kept.ask(request, priced)
            found |= prices
            if not cursor:
                return found
        raise UnreadableAnswerError("the pages of prices begin again")
    except NotFoundError:
        if len(ids) == 1:
            return {}
    await anyio.sleep(pause)
    middle = len(ids) // 2
    first = await _prices(kept, ids[:middle], pause)
    return {**first, **await _prices(kept, ids[middle:], pause)}


def priced(answer: Answer) -> tuple[dict[str, Entry], str]:
    """Return the prices of a page by endpoint id, and the cursor of the next, empty at the end.

    Raises:
        UnreadableAnswerError: it is no page.
    """
    raw, found = mapped(answer.json()), dict[str, Entry]()
    for entry in listed(raw, "prices"):
        price = cast("dict[str, Any]", entry) if isinstance(entry, dict) else {}
        if isinstance(price.get("endpoint_id"), str):
            found[price["endpoint_id"]] = price
    return found, _following(raw) if raw.get("has_more") else ""


def _missing(shelf: Shelf, incoming: Incoming) -> list[str]:
    """Return the models in use that did not come; what they were read from is not kept."""
    return missing(_records(current_snapshot(shelf.folder)), incoming.models)


def _put(shelf: Shelf, incoming: Incoming) -> Refreshed:
    current = current_snapshot(shelf.folder)
    known = _records(current)
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    records, told = fold(known, incoming.models, incoming.prices, today)
    about: dict[str, Any] = {"refreshed": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"}
    if _digest(records) != _digest(known):  # also dates: ages are shown
        try:
            current = shelf.put(records, told, about)
        except OSError:
            raise
        except Exception as problem:  # facts of fal that no rule here foresaw
            log.error("a new catalog could not be built", exc_info=problem)
            raise RefreshError(
                f"what fal says cannot be built into a catalog: {type(problem).__name__}",
                hint="the catalog in use stands",
            ) from problem
    incoming.forget()
    return Refreshed(current, told, len(records))


def _records(folder: Path) -> list[Record]:
    """Return the facts in *folder*; what the shipped snapshot says of itself stays in it."""
    text = (folder / "cards.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def _digest(records: Sequence[Mapping[str, Any]]) -> str:
    text = json.dumps(records, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


async def refresh_alone(
    settings: Settings, sender: Sender, say: Say, *, quietly: bool, pause: float = PAUSE
) -> Refreshed | None:
    """Refresh if no other process does; *quietly* only once a day. None where nothing was done.

    Raises:
        RefreshError: there is no fal to ask, or the home cannot be used.
        FalError: fal does not answer.
    """
    refuse_emulator(settings)
    shelf = Shelf(catalog_home(settings))
    try:
        await anyio.to_thread.run_sync(shelf.prepare)
        with shelf.lease() as mine:
            if not mine or (quietly and not is_due(shelf.folder)):
                return None
            shelf.note_attempt()
            done = await refresh(settings, sender, shelf, say, pause)
            shelf.note_end()
            return done
    except OSError as problem:
        raise RefreshError(
            f"falkit's home {str(settings.home)!r} cannot be used: {problem.strerror or problem}",
            hint="set FALKIT_HOME to a folder of your own",
        ) from problem


async def refresh_quietly(settings: Settings) -> None:
    """Refresh once a day, by one process; whatever fails is a line in the log.

    For a running server, which keeps the snapshot it began with.
    """
    try:
        async with open_sender(settings) as sender:
            done = await refresh_alone(settings, sender, lambda _: None, quietly=True)
    except Exception as problem:
        log.info("the catalog was not refreshed: %s", problem)
        return
    if done:
        log.info("the catalog was refreshed: %s models", done.count)
