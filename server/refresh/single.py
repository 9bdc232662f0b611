"""Ask fal for one model: its entry in the list, its schema, its price."""

from datetime import UTC, datetime

from catalog.fold import Record, fold_one
from server.fal.platform_calls import Calls
from server.fal.platform_models import Models
from server.fal.problems import NotFoundError, UnauthorisedError
from server.fal.retry import RetryPolicy
from server.fal.sender import Sender
from server.refresh.asking import open_sender
from server.refresh.incoming import Entry
from server.refresh.refresh import lacks_document, page, priced
from server.settings import Settings

# Somebody waits for it.
_SOON = RetryPolicy(tries=2, few=2, longest=1.0, patience=1.5)


async def ask_fal(settings: Settings, endpoint_id: str, known: Record | None) -> Record | None:
    """Return the record of *endpoint_id* with what fal says now; None where fal knows no such.

    *known* is the catalog's own record, whose title, summary and category stay.

    Raises:
        FalError: fal does not answer.
    """
    async with open_sender(settings, _SOON) as sender:
        entry = await _entry(sender, endpoint_id)
        if entry is None:
            return None
        price = await _price(sender, endpoint_id)
    return fold_one(known, endpoint_id, entry, price, f"{datetime.now(UTC):%Y-%m-%d}")


async def _entry(sender: Sender, endpoint_id: str) -> Entry | None:
    """Return the list's entry with its schema. Models that are not listed have a schema alone."""
    calls = Calls(sender)
    query = {"endpoint_id": [endpoint_id], "expand": "openapi-3.0", "limit": 1}
    try:
        models, _ = await calls.ask(calls.request("GET", "/models", query), page)
    except NotFoundError:
        models = {}
    entry = models.get(endpoint_id)
    if entry is not None and not lacks_document(entry):
        return entry
    try:
        document = await Models(calls).openapi(endpoint_id)
    except NotFoundError:
        return entry
    return {"endpoint_id": endpoint_id, **(entry or {}), "openapi": document}


async def _price(sender: Sender, endpoint_id: str) -> Entry | None:
    calls = Calls(sender)
    request = calls.request("GET", "/models/pricing", {"endpoint_id": [endpoint_id]})
    try:
        prices, _ = await calls.ask(request, priced)
        return prices.get(endpoint_id)
    except (NotFoundError, UnauthorisedError):
        return None
