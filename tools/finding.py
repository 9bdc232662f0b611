"""Find the card of a model that a caller names, asked of fal where the catalog lacks it."""

from catalog.card import ModelCard
from catalog.errors import ActionableError
from catalog.index import CatalogIndex
from tools.ports import Rooms


async def found(rooms: Rooms, endpoint_id: str) -> ModelCard:
    """Return the card of *endpoint_id*, in any form people paste.

    Raises:
        UnknownModelError: neither the catalog nor fal knows it; the nearest are named.
    """
    ask = rooms.ask_for
    card = rooms.catalog.find(endpoint_id) if ask is None else await ask(endpoint_id)
    if card is None:
        raise rooms.catalog.unknown(endpoint_id)
    return card


async def usable(rooms: Rooms, endpoint_id: str) -> ModelCard:
    """Return the card of *endpoint_id* if it can be run today.

    Raises:
        UnknownModelError: no such endpoint.
        ActionableError: it is retired; the successor is named.
    """
    return in_use(rooms.catalog, await found(rooms, endpoint_id))


def in_use(catalog: CatalogIndex, card: ModelCard) -> ModelCard:
    """Return *card* if it can be run today.

    Raises:
        ActionableError: it is retired; the successor is named.
    """
    if card.status == "deprecated" or card.seed_only:
        successor = catalog.successor(card)
        hint = (
            f"use {successor.endpoint_id}"
            if successor is not None and successor.endpoint_id != card.endpoint_id
            else f"search_models finds another for {card.category}"
        )
        raise ActionableError(f"{card.endpoint_id!r} is retired; nothing was sent", hint=hint)
    return card
