"""The catalog is brought up to what fal says: whole or not at all, and told."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import anyio
import httpx
import pytest
from pydantic import SecretStr
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from catalog.current import current_snapshot, hold, is_due
from catalog.fold import Difference, Record, cleaned, fold, unit_of
from catalog.index import SNAPSHOT, CatalogIndex
from catalog.live_schema import live_schema
from catalog.rules import findings
from catalog.search import SearchRequest, search
from server.cli.catalog import snapshot_for
from server.emulator.openapi import document
from server.fal.problems import FalError
from server.fal.sender import Sender
from server.refresh.account import catalog_home
from server.refresh.refresh import Refreshed, RefreshError, refresh_alone, refresh_quietly
from server.refresh.shelf import Shelf
from server.rooms import open_rooms
from server.settings import Settings
from tests.emulated import on_a_port
from tests.fal_ends import HOSTS, KEY, Clock
from tests.platform_ends import refusal

FLUX = "fal-ai/flux/dev"
NEW = "acme/dream/v2"
CARDS = CatalogIndex.open()
SHIPPED = [json.loads(line) for line in (SNAPSHOT / "cards.jsonl").read_text("utf-8").splitlines()]
KNOWN: list[Record] = [
    r
    for r in SHIPPED
    if r["id"].startswith(("fal-ai/flux/", "fal-ai/veo3")) and not r.get("replaced_by")
]


def entry(endpoint_id: str, **facts: Any) -> dict[str, Any]:
    """Return a model as the platform lists it, with the schema of the card or of FLUX."""
    card = CARDS.find(endpoint_id) or CARDS.get(FLUX)
    status = "deprecated" if card.status == "deprecated" else "active"
    metadata = {"display_name": "Dream 2", "category": "text-to-image", "status": status, **facts}
    return {"endpoint_id": endpoint_id, "metadata": metadata, "openapi": document(card)}


@dataclass
class Platform:
    """A platform of few models, three to a page, whose answers a test may spoil."""

    models: dict[str, dict[str, Any]] = field(
        default_factory=lambda: {r["id"]: entry(r["id"]) for r in KNOWN}
    )
    prices: dict[str, float] = field(default_factory=lambda: {FLUX: 0.025})
    spoil: Callable[[str, int], Response | None] = lambda path, number: None
    asked: list[str] = field(default_factory=list[str])
    pushed_out: set[str] = field(default_factory=set[str])  # of the list's pages, not by name

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        self.asked.append(request.url.path.rpartition("/")[2])
        answer = self.spoil(self.asked[-1], len(self.asked)) or self.answer(request)
        await answer(scope, receive, send)

    def answer(self, request: Request) -> Response:
        if request.url.path.endswith("/openapi.json"):
            return JSONResponse(document(CARDS.get(request.query_params["endpoint_id"])))
        if request.url.path.endswith("/pricing"):
            ids = request.query_params.getlist("endpoint_id")
            if unknown := [name for name in ids if name not in self.prices]:
                return refusal(404, "not_found", f"no {unknown[0]}")
            prices = [
                {"endpoint_id": i, "unit_price": self.prices[i], "unit": "megapixels"} for i in ids
            ]
            return JSONResponse({"prices": prices, "has_more": False, "next_cursor": None})
        if ids := request.query_params.getlist("endpoint_id"):
            if unknown := [name for name in ids if name not in self.models]:
                return refusal(404, "not_found", f"no {unknown[0]}")
            found = [self.models[name] for name in ids]
            return JSONResponse({"models": found, "has_more": False, "next_cursor": None})
        at = int(request.query_params.get("cursor", "0"))
        shown = [model for name, model in self.models.items() if name not in self.pushed_out]
        page = shown[at : at + 3]
        more = at + 3 < len(shown)
        told = {"has_more": more, "next_cursor": str(at + 3) if more else None}
        return JSONResponse({"models": page, **told})


@dataclass
class Tagged(Platform):
    """A platform that marks its answers, and sends none that the asker has."""

    spared: list[str] = field(default_factory=list[str])

    def answer(self, request: Request) -> Response:
        made = super().answer(request)
        if made.status_code != 200:
            return made
        tag = f'"{hashlib.sha256(bytes(made.body)).hexdigest()[:16]}"'
        if request.headers.get("if-none-match") == tag:
            self.spared.append(request.url.path)
            return Response(status_code=304, headers={"etag": tag})
        made.headers["etag"] = tag
        return made


def settings_in(home: Path, **more: str) -> Settings:
    return Settings.read({"FALKIT_HOME": str(home), "FAL_KEY": KEY, **more})


@cache
def template() -> TemporaryDirectory[str]:
    """Return a home whose snapshot in use holds few models; it goes when the tests end."""
    folder = TemporaryDirectory()
    Shelf(Path(folder.name)).put(KNOWN, Difference(), {})
    return folder


def small(home: Path) -> Shelf:
    """Return a shelf whose snapshot in use holds few models."""
    folder = catalog_home(settings_in(home))
    shutil.copytree(template().name, folder)
    return Shelf(folder)


@pytest.fixture(scope="module", autouse=True)
def _tidy() -> Generator[None]:  # pyright: ignore[reportUnusedFunction]  # pytest uses it
    yield
    template().cleanup()
    template.cache_clear()


async def refreshed(home: Path, platform: Platform, quietly: bool = False) -> Refreshed | None:
    transport = httpx.ASGITransport(platform)
    async with httpx.AsyncClient(transport=transport) as http:
        sender = Sender(http, HOSTS, SecretStr(KEY), Clock().policy())
        with anyio.fail_after(20):
            return await refresh_alone(
                settings_in(home), sender, lambda _: None, quietly=quietly, pause=0
            )


async def test_new_changed_retired_and_repriced_models_are_told_and_own_words_stay(
    tmp_path: Path,
) -> None:
    shelf = small(tmp_path)
    platform = Platform(prices={FLUX: 0.05, NEW: 0.5})
    del platform.models["fal-ai/flux/schnell"]
    platform.models[FLUX]["metadata"] |= {"description": "BUY NOW", "display_name": "Best!"}
    given = platform.models[FLUX]["openapi"]["components"]["schemas"]["FluxDevInput"]
    given["properties"]["mood"] = {"type": "string", "title": "Mood", "enum": ["calm", "wild"]}
    platform.models[NEW] = entry(NEW, description="Dreams\x1b[31m\nin colour", private=True)

    done = await refreshed(tmp_path, platform)

    assert done is not None
    assert done.told.new == [NEW]
    assert done.told.retired == ["fal-ai/flux/schnell"]
    assert done.told.repriced == {FLUX: "$0.025 → $0.05 per megapixels"}
    index = CatalogIndex.open(current_snapshot(shelf.folder))
    assert index.folder == done.folder
    flux, before = index.get(FLUX), CARDS.get(FLUX)
    assert (flux.title, flux.summary) == (before.title, before.summary)
    assert flux.price is not None
    assert (flux.price["amount"], flux.price["unit"]) == (0.05, "megapixel")
    assert done.told.changed == {FLUX: ["mood"]}
    assert flux.properties == {
        **before.properties,
        "mood": {"type": "string", "enum": ["calm", "wild"]},
    }
    assert index.get("fal-ai/flux/schnell").status == "deprecated"
    assert index.get(NEW).summary == "Dreams [31m in colour"
    assert NEW in [hit.endpoint_id for hit in search(index, SearchRequest("acme dream")).hits]
    assert list(findings(done.folder)) == []
    assert "1 new: acme/dream/v2" in (done.folder / "difference.txt").read_text("utf-8")


@pytest.mark.proof
async def test_what_fal_says_is_unchanged_is_not_sent_again(tmp_path: Path) -> None:
    shelf = small(tmp_path)
    platform = Tagged()
    first = await refreshed(tmp_path, platform)
    assert first is not None
    assert platform.spared == []
    again = await refreshed(tmp_path, platform)
    assert again is not None
    assert again.told.is_empty
    pages = [path for path in platform.spared if path.endswith("/models")]
    assert len(pages) == -(-len(KNOWN) // 3)
    platform.models[NEW] = entry(NEW)
    platform.spared.clear()
    third = await refreshed(tmp_path, platform)
    assert third is not None
    assert third.told.new == [NEW]
    assert platform.spared
    for page in (shelf.folder / "kept").iterdir():
        page.write_bytes(b"damaged")
    assert await refreshed(tmp_path, platform) is not None


@pytest.mark.proof
async def test_an_interrupted_refresh_goes_on_where_it_was(tmp_path: Path) -> None:
    shelf = small(tmp_path)
    before = current_snapshot(shelf.folder)
    platform = Platform(spoil=lambda _, number: Response(status_code=403) if number == 4 else None)
    with pytest.raises(FalError):
        await refreshed(tmp_path, platform)
    assert current_snapshot(shelf.folder) == before
    with (shelf.incoming / "models.jsonl").open("a") as pages:
        pages.write('{"models": {"torn')  # as a kill or a full disk leaves it

    platform.asked.clear()
    platform.spoil = lambda _, __: None
    assert await refreshed(tmp_path, platform) is not None

    assert platform.asked.count("models") == -(-len(KNOWN) // 3) - 3
    assert current_snapshot(shelf.folder) != before
    assert not shelf.incoming.exists()


@pytest.mark.proof
async def test_a_schema_that_the_list_lacks_is_asked_for_by_itself(tmp_path: Path) -> None:
    shelf = small(tmp_path)
    names_only: list[Record] = [{**r, "input": {}} if r["id"] == FLUX else r for r in KNOWN]
    shelf.put(names_only, Difference(), {})
    platform = Platform()
    platform.models[FLUX]["openapi"] = {"error": {"code": "expansion_failed", "message": "no"}}
    done = await refreshed(tmp_path, platform)
    assert done is not None
    assert platform.asked.count("openapi.json") == 1
    got = CatalogIndex.open(done.folder).get(FLUX)
    assert set(got.properties) == set(CARDS.get(FLUX).properties)


async def test_a_model_that_the_pages_skip_is_asked_for_by_name_before_it_counts_as_retired(
    tmp_path: Path,
) -> None:
    small(tmp_path)
    platform = Platform(pushed_out={FLUX})
    del platform.models["fal-ai/flux/schnell"]
    done = await refreshed(tmp_path, platform)
    assert done is not None
    assert done.told.retired == ["fal-ai/flux/schnell"]
    assert CatalogIndex.open(done.folder).get(FLUX).status == "active"


@pytest.mark.parametrize(
    "spoilt",
    [
        pytest.param(Response('{"models": [', media_type="application/json"), id="bad JSON"),
        pytest.param(JSONResponse({"models": [{}]}), id="a model without id"),
        pytest.param(JSONResponse({"models": [], "has_more": True}), id="more, and not where"),
        pytest.param(JSONResponse({"models": [], "has_more": False}), id="an early end"),
        pytest.param(JSONResponse({"models": [{"endpoint_id": FLUX}]}), id="no word of an end"),
        pytest.param(JSONResponse({"models": [], "next_cursor": "0"}), id="pages begin again"),
        pytest.param(Response(status_code=500), id="a failure"),
    ],
)
async def test_a_broken_or_partial_answer_leaves_the_catalog_as_it_was(
    tmp_path: Path, spoilt: Response
) -> None:
    shelf = small(tmp_path)
    before = current_snapshot(shelf.folder)
    platform = Platform(spoil=lambda _, number: spoilt if number >= 2 else None)
    with pytest.raises((FalError, RefreshError)):
        await refreshed(tmp_path, platform)
    assert current_snapshot(shelf.folder) == before
    assert CatalogIndex.open(before).get(FLUX).endpoint_id == FLUX


@pytest.mark.proof
async def test_a_refresh_is_polite_and_asks_around_an_id_without_a_price(tmp_path: Path) -> None:
    small(tmp_path)

    def busy_once(_: str, number: int) -> Response | None:
        return refusal(429, "rate_limited", "slow", **{"Retry-After": "3"}) if number == 1 else None

    platform = Platform(spoil=busy_once)
    done = await refreshed(tmp_path, platform)
    assert done is not None
    card = CatalogIndex.open(done.folder).get(FLUX)
    assert card.price is not None
    assert card.price["api"]["amount"] == 0.025
    assert platform.asked.count("pricing") > 1


@pytest.mark.proof
async def test_a_key_that_may_not_see_prices_keeps_the_old_ones_and_says_so(tmp_path: Path) -> None:
    small(tmp_path)
    platform = Platform(
        spoil=lambda path, _: (
            refusal(403, "authorization_error", "no") if path == "pricing" else None
        )
    )
    done = await refreshed(tmp_path, platform)
    assert done is not None
    assert done.notes[0].startswith("prices stay as they were")
    assert CatalogIndex.open(done.folder).get(FLUX).price == CARDS.get(FLUX).price


async def test_a_second_refresh_on_one_day_finds_nothing_and_a_quiet_one_does_not_ask(
    tmp_path: Path,
) -> None:
    shelf = small(tmp_path)
    platform = Platform()
    first = await refreshed(tmp_path, platform)
    platform.asked.clear()
    os.utime(shelf.folder / "looked", (time.time() - 80_000, time.time() - 80_000))
    assert await refreshed(tmp_path, platform, quietly=True) is None
    assert platform.asked == []
    second = await refreshed(tmp_path, platform)
    assert first is not None
    assert second is not None
    assert second.told.is_empty
    assert second.folder == first.folder


async def test_a_quiet_refresh_that_was_interrupted_or_for_another_release_is_tried_again_soon(
    tmp_path: Path,
) -> None:
    shelf = small(tmp_path)
    looked = shelf.folder / "looked"
    failing = Platform(spoil=lambda _, __: Response(status_code=403))
    with pytest.raises(FalError):
        await refreshed(tmp_path, failing, quietly=True)
    assert not is_due(shelf.folder)
    os.utime(looked, (time.time() - 4000, time.time() - 4000))
    assert is_due(shelf.folder)
    shelf.note_end()
    for ahead in (-90_000, 90_000):  # a day ago, and on a clock that went ahead
        os.utime(looked, (time.time() + ahead, time.time() + ahead))
        assert is_due(shelf.folder)
    os.utime(looked, (time.time() - 4000, time.time() - 4000))
    looked.write_text("1.2.3.4")
    os.utime(looked, (time.time() - 4000, time.time() - 4000))
    assert is_due(shelf.folder)


def test_a_refresh_that_makes_the_home_makes_it_for_its_owner_only(tmp_path: Path) -> None:
    shelf = Shelf(catalog_home(settings_in(tmp_path / "home")))
    shelf.prepare()
    made = [shelf.folder, *shelf.folder.parents][:3]
    assert [path.stat().st_mode & 0o777 for path in made] == [0o700] * 3


def test_what_one_account_sees_another_does_not_find_in_its_catalog(tmp_path: Path) -> None:
    small(tmp_path)
    assert snapshot_for(settings_in(tmp_path)) != SNAPSHOT
    assert snapshot_for(settings_in(tmp_path, FAL_KEY=f"other-{KEY}")) == SNAPSHOT
    assert snapshot_for(settings_in(tmp_path, FALKIT_API_URL="https://eu.fal.test")) == SNAPSHOT


@pytest.mark.proof
async def test_only_one_process_refreshes(tmp_path: Path) -> None:
    shelf = small(tmp_path)
    program = (
        "import sys; from pathlib import Path; from server.refresh.shelf import Shelf\n"
        "with Shelf(Path(sys.argv[1])).lease() as mine: print(mine, flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(shelf.folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "True\n"
        platform = Platform()
        assert await refreshed(tmp_path, platform) is None
        assert platform.asked == []
        other.kill()  # its lease ends with it
    assert await refreshed(tmp_path, Platform()) is not None


def test_a_snapshot_that_is_read_is_kept_and_removed_afterwards(tmp_path: Path) -> None:
    shelf = small(tmp_path)
    old = current_snapshot(shelf.folder)
    held = hold(old)
    assert held is not None
    shelf.put(KNOWN[:5], Difference(), {})
    assert len(CatalogIndex.open(old).ids) == len(KNOWN)
    os.close(held)
    shelf.prune()
    assert not old.exists()
    assert len(CatalogIndex.open(current_snapshot(shelf.folder)).ids) == 5


@pytest.mark.parametrize(
    "damage", ["half", "cut", "lost", "unlisted", "gone", "pointer", "version"]
)
def test_a_damaged_snapshot_gives_way_to_the_shipped_one(tmp_path: Path, damage: str) -> None:
    shelf = small(tmp_path)
    folder = current_snapshot(shelf.folder)
    match damage:
        case "half":
            (folder / "search.bin").write_bytes(b"")
        case "cut":
            os.truncate(folder / "cards.jsonl", 1000)
        case "lost":
            (folder / "tongues.json").unlink()
        case "unlisted":
            (folder / "sizes.tsv").write_bytes(b"\xff cards")
        case "gone":
            folder.rename(folder.with_name("elsewhere"))
        case "pointer":
            (shelf.folder / "current").write_bytes(b"\xff\xfe ../..")
        case _:
            (shelf.folder / "current").write_text(f"1.2.3 {folder.name}\n")
    assert current_snapshot(shelf.folder) == SNAPSHOT


def test_a_list_that_lacks_many_models_is_not_believed() -> None:
    with pytest.raises(ValueError, match="missing"):
        fold(KNOWN, {FLUX: entry(FLUX)}, {}, "2026-11-24")


def test_live_facts_that_cannot_be_used_leave_the_card_as_it_was() -> None:
    models = {r["id"]: entry(r["id"]) for r in KNOWN}
    models[FLUX]["openapi"] = {"paths": {"/x": {"post": 7}}}
    models["../up"] = entry("../up")
    prices: dict[str, dict[str, Any]] = {
        FLUX: {"endpoint_id": FLUX, "unit_price": float("nan"), "unit": "images"}
    }
    records, told = fold(KNOWN, models, prices, "2026-11-24")
    flux = next(r for r in records if r["id"] == FLUX)
    before = next(r for r in KNOWN if r["id"] == FLUX)
    assert (flux["input"], flux["price"]) == (before["input"], before["price"])
    assert told.left == ["../up"]
    for odd in ({"currency": "EUR"}, {"unit_price": True}, {"unit_price": "$0.03"}):
        prices[FLUX] = {"endpoint_id": FLUX, "unit_price": 0.03, "unit": "megapixels"} | odd
        records, _ = fold(KNOWN, models, prices, "2026-11-24")
        assert next(r for r in records if r["id"] == FLUX)["price"] == before["price"]
    prices[FLUX] = {"endpoint_id": FLUX, "unit_price": "0.03", "unit": "megapixels"}
    assert fold(KNOWN, models, prices, "2026-11-24")[1].repriced.keys() == {FLUX}


def test_the_embedded_emulator_is_not_asked(tmp_path: Path) -> None:
    environ = {"PATH": os.environ["PATH"], "FALKIT_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-m", "falkit", "catalog", "refresh"],
        capture_output=True,
        text=True,
        env=environ,
        timeout=60,
    )
    assert done.returncode == 1
    assert "set FAL_KEY to ask fal" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_foreign_text_becomes_one_short_line_and_units_our_words() -> None:
    assert cleaned("a\u202eb\n\tc", 10) == "a b c"
    assert cleaned("many words in a row", 12) == "many words…"
    assert unit_of("5 seconds") == ("second", 5)
    assert unit_of("bananas") == ("unit", 1)


def test_every_shipped_card_keeps_the_rules() -> None:
    assert list(findings(SNAPSHOT)) == []


def test_a_card_that_breaks_rules_is_found(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    bad = {**KNOWN[0], "summary": "x" * 200, "replaced_by": "no/where"}
    bad["input"] = {"properties": {"n": {"type": "integer", "default": 9, "maximum": 4}}}
    folder = shelf.put([bad, *KNOWN[1:]], Difference(), {})
    found = list(findings(folder))
    assert len(found) >= 3
    assert any("its successor 'no/where' does not exist" in line for line in found)
    assert any("default 9 is outside" in line for line in found)
    (folder / "search.bin").unlink()
    assert [line for line in findings(folder) if "search.bin: no such file" in line]


@pytest.mark.proof
async def test_everything_the_emulator_lists_is_refreshed_from_the_command_line(
    tmp_path: Path,
) -> None:
    async with on_a_port(tmp_path / "far") as port:
        base = f"http://127.0.0.1:{port}"
        environ = {
            "PATH": os.environ["PATH"],
            "FALKIT_HOME": str(tmp_path / "near"),
            "FALKIT_BACKEND": "cloud",
            "FAL_KEY": "emulator:local",
            "FALKIT_API_URL": f"{base}/api/v1",
            "FALKIT_MODELS_URL": f"{base}/fal",
        }
        command = [sys.executable, "-m", "falkit", "catalog"]
        with anyio.fail_after(120):
            done = await anyio.run_process([*command, "refresh"], env=environ, check=False)
            assert done.returncode == 0, done.stderr
            assert b"1791 models; nothing became different" in done.stdout
            checked = await anyio.run_process([*command, "check"], env=environ, check=False)
            assert checked.returncode == 0, checked.stdout
            shown = await anyio.run_process(command, env=environ)
            told = json.loads(shown.stdout)
            assert (told["days"] <= 0, told["source"].startswith("refreshed")) == (True, True)


@pytest.mark.proof
async def test_a_disk_without_room_leaves_the_catalog_as_it_was_and_no_remains(
    tmp_path: Path,
) -> None:
    resource = pytest.importorskip("resource")
    shelf = small(tmp_path)
    before = current_snapshot(shelf.folder)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))
    try:
        with pytest.raises(RefreshError, match="cannot be kept"):
            await refreshed(tmp_path, Platform())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert current_snapshot(shelf.folder) == before
    assert list(shelf.folder.glob("making-*")) == []
    assert await refreshed(tmp_path, Platform()) is not None


async def test_a_quiet_refresh_that_fails_is_only_a_line_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "falkit.refresh")
    (tmp_path / "catalog").write_text("a file where the folder should be")
    with anyio.fail_after(10):
        await refresh_quietly(settings_in(tmp_path, FALKIT_API_URL="http://127.0.0.1:9/v1"))
    assert "the catalog was not refreshed" in caplog.text
    assert KEY not in caplog.text


async def test_a_server_opens_the_refreshed_catalog_and_the_emulator_the_shipped_one(
    tmp_path: Path,
) -> None:
    shelf = small(tmp_path)
    async with open_rooms(settings_in(tmp_path, FALKIT_CATALOG_REFRESH="off")) as rooms:
        assert rooms.catalog.folder == current_snapshot(shelf.folder)
        shelf.put(KNOWN[:5], Difference(), {})
        assert len(rooms.catalog.ids) == len(KNOWN)
    shelf.prune()
    assert len(list(shelf.folder.glob("2*Z-*"))) == 1
    async with open_rooms(settings_in(tmp_path, FALKIT_BACKEND="emulator")) as rooms:
        assert rooms.catalog.folder == SNAPSHOT


def document_of(fields: dict[str, Any], **schemas: Any) -> dict[str, Any]:
    """Return an OpenAPI document whose one model takes *fields*."""
    taken = {"type": "object", "properties": fields}
    body = {"content": {"application/json": {"schema": taken}}}
    return {
        "paths": {"/a": {"post": {"requestBody": body}}},
        "components": {"schemas": schemas},
    }


def test_a_schema_that_unfolds_without_end_or_fills_pages_is_not_taken_over() -> None:
    again = {"type": "object", "properties": {f"f{n}": {"$ref": "#/x/Again"} for n in range(9)}}
    assert live_schema(document_of({"a": {"$ref": "#/x/Again"}}, Again=again)) is None
    odd = live_schema(
        document_of(
            {
                "k\x1b[2J\nkey": {"type": "string"},
                "prompt": {"type": "string", "default": "x" * 100_000, "maxLength": 9},
            }
        )
    )
    assert odd is not None
    assert odd.input["properties"] == {"prompt": {"type": "string", "maxLength": 9}}


def test_rules_that_have_not_their_form_are_left_out_of_a_schema() -> None:
    odd = live_schema(
        document_of(
            {
                "a": {"type": ["text", 5], "enum": [{"b": 1}], "maxLength": "9", "default": 7},
                "b": {"type": "number", "minimum": "0", "maximum": float("nan"), "multipleOf": 0},
                "c": {"type": "array", "items": [], "anyOf": [], "minItems": True},
                "d": {"$ref": "#/x/Nowhere", "default": "\ud800"},
                "e": {"type": "integer", "default": "many", "x-fal": {"max_width": "wide"}},
                "f": {"type": "number", "minimum": 0, "exclusiveMinimum": True, "default": 1},
            }
        )
    )
    assert odd is not None
    assert odd.input["properties"] == {
        "a": {"default": 7},
        "b": {"type": "number"},
        "c": {"type": "array", "items": {}},
        "d": {},
        "e": {"type": "integer"},
        "f": {"type": "number", "exclusiveMinimum": 0, "default": 1},
    }
