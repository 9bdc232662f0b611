"""`OnDemand`: ask fal for a model of which the catalog knows nothing, or too little."""

import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any

import anyio

from catalog.card import ModelCard
from catalog.current import DAY
from catalog.endpoint import EndpointId
from catalog.errors import ActionableError
from catalog.fetched import FetchedCards
from catalog.index import LOCAL, CatalogIndex
from catalog.pasted import misread, plain_id
from server.home import make_private_folder

log = logging.getLogger("falkit.refresh")

# A caller waits for the answer, in seconds; what is known stands when it does not come.
ANSWERED_WITHIN = 6.0
# What fal did not know, or could not say, is not asked again for so long, in seconds.
NOT_AGAIN_FOR = 600.0
MOST_KEPT = 1000
# After a question that nothing answered none is put for so long, in seconds.
SILENT_FOR = 60.0

Record = dict[str, Any]
# Returns what fal says of one model, folded into what is known of it; None where it knows none.
AskFal = Callable[[str, Record | None], Awaitable[Record | None]]


class OnDemand:
    """Finds cards, and asks fal where the catalog does not know enough: never the emulator.

    One question at a time, each once in ten minutes; a card that came is kept for a day. Where
    nothing answers, nobody waits again for a minute.
    """

    def __init__(self, catalog: CatalogIndex, fetched: FetchedCards, ask: AskFal) -> None:
        self._catalog = catalog
        self._fetched = fetched
        self._ask = ask
        self._asked: dict[str, float] = {}
        self._silent_until = 0.0
        self._turn = anyio.Lock()

    async def __call__(self, endpoint_id: str) -> ModelCard | None:
        """Return the card of *endpoint_id*, asked of fal if need be; None where nobody knows it."""
        card = self._catalog.find(endpoint_id)
        if not self._wants(card, endpoint_id):
            return card
        wanted = card.endpoint_id if card is not None else plain_id(endpoint_id)
        async with self._turn:
            now = time.monotonic()
            if now < self._silent_until:
                return self._catalog.find(endpoint_id)
            if now - self._asked.get(wanted, -NOT_AGAIN_FOR) >= NOT_AGAIN_FOR:
                await self._fetch(wanted)
                if len(self._asked) >= MOST_KEPT:
                    self._asked.clear()
                self._asked[wanted] = time.monotonic()
        return self._catalog.find(endpoint_id)

    def _wants(self, card: ModelCard | None, endpoint_id: str) -> bool:
        """Tell whether fal may know more of it than the catalog."""
        if card is None:
            bare = plain_id(endpoint_id)
            return not bare.startswith(LOCAL) and misread(bare) is None and _is_id(bare)
        held = self._catalog.held(card.endpoint_id)
        if card.endpoint_id.startswith(LOCAL) or (held is not None and held.is_current):
            return False
        age = self._fetched.age(card.endpoint_id)
        return age is None or age > DAY

    async def _fetch(self, endpoint_id: str) -> None:
        known = self._catalog.record(endpoint_id)
        try:
            with anyio.fail_after(ANSWERED_WITHIN):
                record = await self._ask(endpoint_id, known)
            if record is not None:
                await anyio.to_thread.run_sync(self._keep, record)
            else:
                await anyio.to_thread.run_sync(self._fetched.forget, endpoint_id)
        except TimeoutError:
            log.info("fal was asked for %s in vain: no answer", endpoint_id)
            self._silent_until = time.monotonic() + SILENT_FOR
        except (ActionableError, OSError) as problem:
            log.info("fal was asked for %s in vain: %s", endpoint_id, problem)

    def _keep(self, record: Record) -> None:
        make_private_folder(self._fetched.folder)
        self._fetched.put(record)


def _is_id(text: str) -> bool:
    try:
        EndpointId.parse(text)
    except ActionableError:
        return False
    return True
