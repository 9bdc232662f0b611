"""A model that the catalog does not hold is asked of fal, once, and used like any other."""

import os
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

from catalog.errors import ActionableError, UnknownModelError
from catalog.fetched import FetchedCards
from catalog.fold import Difference, fold_one
from catalog.index import SNAPSHOT, CatalogIndex
from server.emulator.openapi import document
from server.fal.problems import NetworkError
from server.refresh import single
from server.refresh.account import catalog_home
from server.refresh.on_demand import OnDemand
from server.refresh.shelf import Shelf
from server.rooms import open_rooms
from server.settings import Settings
from tests.emulated import on_a_port
from tests.fal_ends import KEY
from tools.describe_model import DESCRIBE_MODEL, DescribeArguments, ModelDescription
from tools.estimate_cost import ESTIMATE_COST, EstimateArguments, Quotes
from tools.finding import usable
from tools.generate import GENERATE, GenerateArguments
from tools.job_view import JobView
from tools.ports import Call, Rooms

CARDS = CatalogIndex.open()
FLUX, OTHER = "fal-ai/flux/dev", "fal-ai/flux/schnell"


def settings_at(port: int, home: Path, **more: str) -> Settings:
    """Return settings of a house whose fal is an emulator on *port*."""
    base = f"http://127.0.0.1:{port}"
    hosts = {name: f"{base}/{name.lower()}" for name in ("RUN", "QUEUE", "REST", "CDN")}
    own = {f"FALKIT_{name}_URL": url for name, url in hosts.items()}
    own |= {"FALKIT_API_URL": f"{base}/api/v1", "FALKIT_MODELS_URL": f"{base}/fal"}
    return Settings.read(
        {"FALKIT_HOME": str(home), "FAL_KEY": KEY, "FALKIT_BACKEND": "cloud", **own, **more}
    )


def only(settings: Settings, *endpoint_ids: str) -> None:
    """Let the snapshot of these *settings* hold these models alone."""
    records = [CARDS.record(endpoint_id) or {} for endpoint_id in endpoint_ids]
    shelf = Shelf(catalog_home(settings))
    shelf.prepare()
    shelf.put(records, Difference(), {})


class Fal:
    """A fal that knows *models*, and remembers what it was asked for."""

    def __init__(self, *models: str, problem: Exception | None = None) -> None:
        self.models = models
        self.problem = problem
        self.asked: list[str] = []

    async def __call__(
        self, endpoint_id: str, known: dict[str, Any] | None
    ) -> dict[str, Any] | None:
        self.asked.append(endpoint_id)
        if self.problem is not None:
            raise self.problem
        if endpoint_id not in self.models:
            return None
        return {**(known or {}), **(CARDS.record(FLUX) or {}), "id": endpoint_id}


def demand(home: Path, fal: Fal) -> tuple[CatalogIndex, OnDemand]:
    """Return a catalog over what is kept in *home*, and what asks *fal* for it."""
    fetched = FetchedCards(home / "fetched")
    catalog = CatalogIndex.open(SNAPSHOT, beside=fetched.find)
    return catalog, OnDemand(catalog, fetched, fal)


async def test_a_model_that_fal_alone_knows_is_described_priced_and_run(tmp_path: Path) -> None:
    with anyio.fail_after(30):
        async with on_a_port(tmp_path / "far") as port:
            settings = settings_at(port, tmp_path / "near")
            only(settings, FLUX)
            async with open_rooms(settings) as rooms:
                assert rooms.catalog.find(OTHER) is None
                call = Call(rooms)
                page = f"https://fal.ai/models/{OTHER}/playground"
                told = await DESCRIBE_MODEL.run(call, DescribeArguments(endpoint_id=page))
                assert isinstance(told.result, ModelDescription)
                assert told.result.endpoint_id == OTHER
                assert "prompt*" in told.result.inputs[0]
                assert "fal's own schema of" in told.result.note
                asked = {"prompt": "a fox", "image_size": {"width": 64, "height": 64}}
                quote = await ESTIMATE_COST.run(
                    call, EstimateArguments(endpoint_id=OTHER, arguments=asked)
                )
                assert isinstance(quote.result, Quotes)
                assert quote.result.high
                made = await GENERATE.run(
                    call, GenerateArguments(endpoint_id=OTHER, arguments=asked)
                )
                assert isinstance(made.result, JobView)
                assert made.result.state == "done"
    # Another process reads it without asking, and so do jobs that outlive this one.
    async with open_rooms(settings_at(port, tmp_path / "near")) as rooms:
        assert rooms.catalog.get(OTHER).is_current


async def test_what_fal_does_not_know_is_asked_once_and_the_nearest_are_named(
    tmp_path: Path,
) -> None:
    fal = Fal()
    catalog, ask = demand(tmp_path, fal)
    rooms = Rooms(catalog, None, None, "cloud", ask_for=ask)  # type: ignore[arg-type]  # not used
    for _ in range(3):
        with pytest.raises(UnknownModelError, match="nearest: fal-ai/flux/dev"):
            await usable(rooms, "fal-ai/flux/dve")
    assert fal.asked == ["fal-ai/flux/dve"]


@pytest.mark.parametrize("name", ["fal-ai/flux/dev?y=1", "local/app", "a fox", "../../etc", FLUX])
async def test_what_is_no_id_and_what_the_catalog_knows_is_never_asked(
    tmp_path: Path, name: str
) -> None:
    fal = Fal(name)
    catalog, ask = demand(tmp_path, fal)
    assert await ask(name) is catalog.find(name)
    assert fal.asked == []


async def test_a_retired_card_and_one_without_inputs_are_asked_and_what_fal_says_wins(
    tmp_path: Path,
) -> None:
    retired = next(card for card in CARDS.cards() if card.status == "deprecated")
    empty = next(c for c in CARDS.cards() if c.completeness == "none" and c.status == "active")
    fal = Fal(retired.endpoint_id, empty.endpoint_id)
    catalog, ask = demand(tmp_path, fal)
    for endpoint_id in (retired.endpoint_id, empty.endpoint_id):
        found = await ask(endpoint_id)
        assert found is not None
        assert found.is_current
        assert catalog.get(endpoint_id) == found
        assert await ask(endpoint_id) == found
    assert fal.asked == [retired.endpoint_id, empty.endpoint_id]
    # A process that comes later asks only when a day has gone by.
    catalog, ask = demand(tmp_path, later := Fal())
    assert await ask(empty.endpoint_id) == found
    assert later.asked == []


async def test_a_fal_that_does_not_answer_leaves_what_is_known(tmp_path: Path) -> None:
    empty = next(c for c in CARDS.cards() if c.completeness == "none" and c.status == "active")
    fal = Fal(problem=NetworkError("fal cannot be reached"))
    catalog, ask = demand(tmp_path, fal)
    assert await ask(empty.endpoint_id) == catalog.held(empty.endpoint_id)
    assert await ask("acme/dream") is None
    assert len(fal.asked) == 2


async def test_a_model_that_fal_knows_no_more_is_forgotten(tmp_path: Path) -> None:
    _, ask = demand(tmp_path, Fal("acme/dream"))
    assert await ask("acme/dream") is not None
    kept = next((tmp_path / "fetched").iterdir())
    os.utime(kept, (0, 0))  # long ago
    catalog, ask = demand(tmp_path, later := Fal())
    assert await ask("acme/dream") is None
    assert later.asked == ["acme/dream"]
    assert catalog.find("acme/dream") is None


async def test_where_nothing_answers_nobody_waits_again_at_once(tmp_path: Path) -> None:
    fal = Fal(problem=TimeoutError())
    _, ask = demand(tmp_path, fal)
    assert [await ask(f"acme/dream-{number}") for number in range(8)] == [None] * 8
    assert fal.asked == ["acme/dream-0"]


async def test_a_damaged_or_foreign_file_counts_as_none(tmp_path: Path) -> None:
    fetched = FetchedCards(tmp_path / "a")
    fetched.put({**(CARDS.record(FLUX) or {}), "id": "acme/dream"})
    assert fetched.find("acme/dream") is not None
    assert FetchedCards(tmp_path / "b").find("acme/dream") is None
    next(fetched.folder.iterdir()).write_text('{"id": "acme/ot', encoding="utf-8")
    assert FetchedCards(fetched.folder).find("acme/dream") is None


def test_a_model_without_an_entry_in_the_list_is_known_by_its_schema_alone() -> None:
    live = {"endpoint_id": "me/own/run", "openapi": document(CARDS.get(FLUX))}
    made = fold_one(None, "me/own/run", live, None, "2026-11-24")
    assert made is not None
    assert (made["title"], made["category"], made["price"]) == ("own/run", "unknown", None)
    assert "prompt" in made["input"]["properties"]


async def test_the_emulator_and_a_house_that_shall_not_ask_have_nobody_to_ask(
    tmp_path: Path,
) -> None:
    for more in ({"FALKIT_BACKEND": "emulator"}, {"FALKIT_CATALOG_REFRESH": "off"}):
        async with open_rooms(settings_at(9, tmp_path, **more)) as rooms:
            assert rooms.ask_for is None
            with pytest.raises(ActionableError, match="no model 'acme/dream'"):
                await DESCRIBE_MODEL.run(Call(rooms), DescribeArguments(endpoint_id="acme/dream"))


async def test_a_house_without_a_way_to_fal_answers_soon(tmp_path: Path) -> None:
    ask = partial(single.ask_fal, settings_at(9, tmp_path))
    with anyio.fail_after(5), pytest.raises(ActionableError):
        await ask("acme/dream", None)
