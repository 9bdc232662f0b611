"""What past runs cost becomes the range of the next, and shows where a price has drifted."""

from decimal import Decimal
from pathlib import Path

from catalog.history import PastRun, drift, with_history
from catalog.index import CatalogIndex
from catalog.pricing import estimate
from tests.house import connected, record
from tests.jobs_platform import FolderPlatform, intent, jobs_in, png

BY_COMPUTE = "fal-ai/esrgan"


def run(billed: str, low: str | None = None, high: str | None = None) -> PastRun:
    return PastRun(
        None if low is None else Decimal(low),
        None if high is None else Decimal(high or low or 0),
        Decimal(billed),
    )


def test_compute_seconds_become_a_range_after_three_runs_and_never_before() -> None:
    made = estimate(CatalogIndex.open().get(BY_COMPUTE), {})
    three = [run("0.002"), run("0.003"), run("0.001")]

    learned = with_history(made, three, runs=2)

    assert made.kind == "unknown"
    assert with_history(made, three[:2]) is made
    assert (learned.kind, learned.low, learned.high) == (
        "range",
        Decimal("0.002"),
        Decimal("0.009"),
    )
    assert "3 past runs here cost $0.001 to $0.003" in learned.formula
    assert learned.as_of == made.as_of


def test_a_price_has_drifted_when_the_newest_bills_all_lie_beyond_their_estimates() -> None:
    dearer = [run("0.14", "0.1", "0.1"), run("0.15", "0.1", "0.1"), run("0.12", "0.1", "0.1")]
    cheaper = [run("0.05", "0.1", "0.2")] * 3
    card = CatalogIndex.open().get("fal-ai/flux/dev")
    made = estimate(card, {"prompt": "a fox"})

    noted = with_history(made, dearer)

    assert drift(dearer) == Decimal("1.5")
    assert drift(cheaper) == Decimal("0.5")
    assert drift([run("0.1", "0.1", "0.1"), *dearer]) is None
    assert drift([run("0.105", "0.1", "0.1")] * 3) is None
    assert drift([dearer[0], cheaper[0], *dearer[1:]]) is None
    assert drift([run("9")] * 3) is None
    assert noted.assumptions[0] == (
        "past runs were billed 1.5 times their estimate: check the price"
    )
    assert (noted.low, noted.high) == (made.low, made.high)


async def test_only_finished_runs_of_the_same_account_and_model_teach(tmp_path: Path) -> None:
    platform = FolderPlatform(tmp_path / "platform")
    async with jobs_in(tmp_path, platform) as jobs:
        for prompt in ("one", "two", "refuse me"):
            await jobs.wait((await jobs.start(intent(prompt, "0.05"))).job_id, 10)
        past = await jobs.past_runs("fal-ai/flux/dev")
        other = await jobs.past_runs("fal-ai/flux/schnell")
    async with jobs_in(tmp_path, platform, key="somebody:secret") as jobs:
        foreign = await jobs.past_runs("fal-ai/flux/dev")

    assert [(one.high, one.billed) for one in past] == [(Decimal("0.05"), Decimal("0.025"))] * 2
    assert (other, foreign) == ((), ())


async def test_three_runs_by_compute_second_price_the_fourth(tmp_path: Path) -> None:
    picture = tmp_path / "fox.png"
    picture.write_bytes(png())
    asked = {"endpoint_id": BY_COMPUTE, "arguments": {"image_url": str(picture)}}
    kinds: list[str] = []
    costs: list[float] = []
    async with connected(tmp_path) as client:
        for _ in range(3):
            kinds.append(record(await client.call_tool("estimate_cost", asked))["kind"])
            made = record(await client.call_tool("generate", {**asked, "again": True}))
            assert made["state"] == "done"
            costs.append(made["cost"]["dollars"])
        quote = record(await client.call_tool("estimate_cost", asked))

    assert kinds == ["unknown"] * 3
    assert quote["kind"] == "range"
    assert quote["low"] == min(costs)
    assert "3 past runs here cost" in quote["formula"]
