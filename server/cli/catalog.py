"""`falkit catalog`: which snapshot is used and how old it is, bring it up to date, check it."""

import sys
from datetime import UTC, date, datetime
from pathlib import Path

from catalog.current import current_snapshot
from catalog.fold import difference_words
from catalog.index import SNAPSHOT, CatalogIndex
from catalog.rules import findings
from server.cli.speaking import print_json
from server.refresh.account import catalog_home
from server.refresh.asking import open_sender
from server.refresh.refresh import RefreshError, refresh_alone, refuse_emulator
from server.refresh.shelf import noted_of
from server.settings import Settings


def show_catalog(settings: Settings, *, as_json: bool = False) -> None:
    """Print the snapshot that a server with these settings would use, and its age.

    It is JSON where nobody reads along.
    """
    folder = snapshot_for(settings)
    index = CatalogIndex.open(folder)
    source = "shipped with falkit"
    if folder != SNAPSHOT:
        source = f"refreshed {noted_of(folder).get('refreshed', 'at an unknown time')}"
    days = (datetime.now(UTC).date() - date.fromisoformat(index.as_of)).days
    difference = folder / "difference.txt"
    lines = difference.read_text(encoding="utf-8").splitlines() if difference.exists() else []
    if as_json or not sys.stdout.isatty():
        told = {"models": len(index.ids), "as_of": index.as_of, "days": days, "source": source}
        print_json(told | {"folder": str(folder), "changes": lines})
        return
    age = "today" if days <= 0 else f"{days} day{'' if days == 1 else 's'} old"
    print(f"{len(index.ids)} models as of {index.as_of} ({age}), {source}")
    print(f"in {folder}")
    for line in lines:
        print(line if len(line) < 300 else f"{line[:299]}…")


def snapshot_for(settings: Settings) -> Path:
    """Return the snapshot that counts; the emulator keeps to the one it was made from."""
    if settings.backend == "emulator":
        return SNAPSHOT
    return current_snapshot(catalog_home(settings))


async def refresh_catalog(settings: Settings) -> None:
    """Ask fal for everything, and print what became different.

    Raises:
        RefreshError: jobs run on the emulator, another process refreshes, or what came is broken.
        FalError: fal does not answer.
    """
    refuse_emulator(settings)

    def say(words: str) -> None:
        if sys.stderr.isatty():
            print(f"\r{words}   ", end="", file=sys.stderr, flush=True)

    async with open_sender(settings) as sender:
        done = await refresh_alone(settings, sender, say, quietly=False)
    if done is None:
        raise RefreshError(
            "another process refreshes the catalog at this moment", hint="try again in a minute"
        )
    if sys.stderr.isatty():
        print(file=sys.stderr)
    for note in done.notes:
        print(note)
    print(f"{done.count} models; {difference_words(done.told)}")
    print("servers that run keep what they began with; the next start uses the new catalog")


def check_catalog(settings: Settings, folder: Path | None) -> bool:
    """Print each rule that a card breaks, and return whether there is none."""
    chosen = folder or snapshot_for(settings)
    count = 0
    for line in findings(chosen):
        print(line)
        count += 1
    cards = "" if count else f"{len(CatalogIndex.open(chosen).ids)} cards, "
    print(f"{cards}{count} finding{'' if count == 1 else 's'} in {chosen}")
    return count == 0
