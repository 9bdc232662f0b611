"""The help of `falkit run`: its options, and the fields of the model's card."""

import os

import typer

from catalog.describe import inputs_table
from catalog.pricing import price_words
from server.cli.folding import folded
from server.cli.live import can_live
from server.live import LiveKind
from server.rooms import open_catalog
from server.settings import Settings
from tools.describe_model import row_words

LIVE: tuple[LiveKind, ...] = ("stream", "realtime")


def run_help(context: typer.Context, endpoint_id: str) -> str:
    """Return the usage of `falkit run`, and with an *endpoint_id* what its model takes.

    Raises:
        UnknownModelError: no such model.
    """
    usage = context.get_help()
    if not endpoint_id:
        return usage
    card = open_catalog(Settings.read(os.environ))[0].get(endpoint_id)
    rows = folded("\n".join(f"  {row_words(row)}" for row in inputs_table(card)))
    ways = [way for way in LIVE if can_live(card, way)]
    live = "".join(f"It can be called with --{way}.\n" for way in ways)
    return (
        f"{usage}\n{card.endpoint_id}: {card.summary}\n{price_words(card)}\n{live}"
        f"Fields (* is required), as field=value or --field value:\n{rows}"
    )
