"""The ledger beside fal's own bill: differences are told, and that a key may not read it."""

import sqlite3
from contextlib import closing
from dataclasses import asdict
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from catalog.errors import ActionableError
from server.cli.spending import show_spending
from server.emulator.platform_api.callers import tell
from server.jobs.reconciling import reconciled, words
from server.settings import Hosts, Settings
from tests.emulated import on_a_port
from tests.house import connected, environment, record
from tools.money_records import Charge, LedgerEntry
from tools.spending import SpendingArguments

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


def entry(job_id: str, dollars: str | None, request_id: str = "") -> LedgerEntry:
    amount = None if dollars is None else Decimal(dollars)
    return LedgerEntry(
        NOW, job_id, "fal-ai/flux/dev", "cloud", "done", "billed", amount, (), request_id or job_id
    )


def charge(request_id: str, dollars: str, endpoint_id: str = "fal-ai/flux/dev") -> Charge:
    return Charge(request_id, endpoint_id, NOW, Decimal(dollars))


def test_differences_are_told_largest_first_and_what_is_on_one_side_only() -> None:
    entries = [
        entry("equal", "0.025"),
        entry("dearer", "0.10"),
        entry("unknown", None),
        entry("late", "0.30"),
    ]
    charges = [
        charge("equal", "0.0250"),
        charge("dearer", "0.04"),
        charge("dearer", "0.08"),
        charge("unknown", "1.50"),
        charge("elsewhere", "2", "fal-ai/veo3"),
    ]
    assert words(reconciled(entries, charges)) == [
        "1 job as fal's bill has it; $0.425 here, $1.645 billed for the jobs of this journal",
        "unknown fal-ai/flux/dev: unknown here, $1.50 billed",
        "dearer fal-ai/flux/dev: $0.10 here, $0.12 billed",
        "1 job of $0.30 not on the bill: it lags behind, or nothing was charged",
        "fal-ai/veo3: $2.00 billed for 1 request that this journal does not know",
    ]


async def test_a_person_compares_the_ledger_with_the_bill_where_the_key_may_read_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = Settings.read(environment(tmp_path))
    small = {"image_size": {"width": 64, "height": 64}}
    wanted = {"endpoint_id": "fal-ai/flux/schnell", "prompt": "a fox", "arguments": small}
    async with connected(tmp_path) as client:
        made = record(await client.call_tool("generate", wanted))

    await show_spending(settings, SpendingArguments(period="all"), "bill")
    told = capsys.readouterr().out
    assert told.startswith("1 job as fal's bill has it")
    assert told.endswith("fal tells of the last 90 days only\n")

    with closing(sqlite3.connect(settings.home / "journal.db")) as journal, journal:
        journal.execute("UPDATE jobs SET amount = amount * 2")
    await show_spending(settings, SpendingArguments(period="today"), "bill")
    told = capsys.readouterr().out
    assert "0 jobs as fal's bill has it" in told
    assert f"{made['job_id']} fal-ai/flux/schnell: $0.006 here, $0.003 billed" in told

    with closing(sqlite3.connect(settings.home / "emulator" / "emulator.db")) as state, state:
        tell(state, "emulator", "AGENT", [])
    with pytest.raises(ActionableError, match="this key may not read fal's bill") as refused:
        await show_spending(settings, SpendingArguments(), "bill")
    assert "admin key" in str(refused.value)


@pytest.mark.proof
async def test_the_tool_says_where_the_bill_differs_and_is_silent_where_it_may_not_read(
    tmp_path: Path,
) -> None:
    async with on_a_port(tmp_path / "fal") as port:
        hosts = {f"FALKIT_{name.upper()}_URL": url for name, url in _hosts(port).items()}
        cloud = {"FALKIT_BACKEND": "cloud", "FAL_KEY": "me:secret", **hosts}
        async with connected(tmp_path, **cloud) as client:
            small = {"image_size": {"width": 64, "height": 64}}
            call = {"endpoint_id": "fal-ai/flux/schnell", "prompt": "a fox", "arguments": small}
            made = record(await client.call_tool("generate", call))
            agreed = record(await client.call_tool("spending", {}))
            with closing(sqlite3.connect(tmp_path / "house" / "journal.db")) as journal, journal:
                journal.execute("UPDATE jobs SET amount = amount * 2")
            differs = record(await client.call_tool("spending", {"period": "today"}))
            with closing(sqlite3.connect(tmp_path / "fal" / "emulator.db")) as state, state:
                tell(state, "me", "AGENT", [])
            unread = record(await client.call_tool("spending", {}))

    assert made["state"] == "done"
    assert agreed.get("notes", []) == unread.get("notes", []) == []
    assert differs["notes"] == [
        f"fal billed $0.003 for {made['job_id']} (fal-ai/flux/schnell), the ledger has $0.006",
        "`falkit spending --reconcile` has all of it",
    ]


def _hosts(port: int) -> dict[str, str]:
    return asdict(Hosts.under(f"http://127.0.0.1:{port}"))
