"""The shipped cards: found by any form of their id, read one at a time, rebuilt byte for byte."""

import filecmp
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from catalog.build import build
from catalog.errors import UnknownModelError
from catalog.index import MOST_PARSED, SNAPSHOT, CatalogIndex
from catalog.pasted import plain_id


@pytest.fixture(scope="module")
def index() -> CatalogIndex:
    return CatalogIndex.open()


def test_the_catalog_holds_every_shipped_card_in_order(index: CatalogIndex) -> None:
    cards = list(index.cards())
    assert [card.endpoint_id for card in cards] == list(index.ids)
    assert list(index.ids) == sorted(set(index.ids))
    assert len(cards) == 1791
    for place in (0, 1, 700, 1789, 1790):
        assert index.get(index.ids[place]) == cards[place]


@pytest.mark.parametrize(
    "written",
    [
        "fal-ai/flux/dev",
        "  fal-ai/flux/dev\n",
        "/fal-ai/flux/dev/",
        "FAL-AI/Flux/DEV",
        "https://fal.ai/models/fal-ai/flux/dev",
        "https://fal.ai/models/fal-ai/flux/dev/api",
        "https://fal.ai/models/fal-ai/flux/dev/playground?x=1",
        "fal.ai/models/fal-ai/flux/dev",
        "https://fal.run/fal-ai/flux/dev",
        "https://queue.fal.run/fal-ai/flux/dev",
        "`fal-ai/flux/dev`",
    ],
)
def test_an_id_is_found_in_every_form_people_paste(index: CatalogIndex, written: str) -> None:
    assert index.get(written).endpoint_id == "fal-ai/flux/dev"


def test_ids_that_differ_in_case_alone_stay_apart(index: CatalogIndex) -> None:
    assert index.get("fal-ai/wan/v2.2-a14B/image-to-video").status == "deprecated"
    assert index.get("fal-ai/wan/v2.2-a14b/image-to-video").status == "active"


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("fal-ai/flux/dve", "fal-ai/flux/dev"),
        ("fal-ai/seedance-2.0/text-to-video", "bytedance/seedance-2.0/text-to-video"),
        (
            "kling-ai/kling-video/v2.6/pro/image-to-video",
            "fal-ai/kling-video/v2.6/pro/image-to-video",
        ),
        ("fal-ai/kling-video/pro/image-to-video", "fal-ai/kling-video/v3/pro/image-to-video"),
        ("fal-ai/gpt-image-2/text-to-image", "openai/gpt-image-2"),
        ("flux schnell", "fal-ai/flux/schnell"),
        ("fal-ai/nanobanana-pro", "fal-ai/nano-banana-pro"),
        ("fal-ai/veo-3.1", "fal-ai/veo3.1"),
    ],
)
def test_a_misremembered_id_names_the_right_one(
    index: CatalogIndex, wrong: str, right: str
) -> None:
    with pytest.raises(UnknownModelError) as caught:
        index.get(wrong)
    assert right in caught.value.nearest
    assert len(caught.value.nearest) <= 3
    assert right in str(caught.value)


@pytest.mark.parametrize("nothing", ["", "   ", "/", "zzzz qqqq xxxx", "\x00\x01", "日本語"])
def test_an_id_like_nothing_has_no_nearest(index: CatalogIndex, nothing: str) -> None:
    assert index.find(nothing) is None
    assert index.nearest(nothing) == ()


def test_an_endless_id_is_refused_without_being_repeated(index: CatalogIndex) -> None:
    with pytest.raises(UnknownModelError) as caught:
        index.get("fal-ai/flux/" + "x" * 100_000)
    assert len(str(caught.value)) < 400


def test_a_replaced_card_leads_to_the_end_of_its_chain(index: CatalogIndex) -> None:
    old = index.get("fal-ai/whisper-large-v3")
    successor = index.successor(old)
    assert old.replaced_by == "fal-ai/whisper"
    assert successor is not None
    assert successor.endpoint_id == "fal-ai/wizper"


def test_a_retired_card_without_successor_is_followed_by_the_newest_of_its_kind(
    index: CatalogIndex,
) -> None:
    old = index.get("fal-ai/kling-video/v1/pro/image-to-video")
    assert old.status == "deprecated"
    assert old.replaced_by is None
    successor = index.successor(old)
    assert successor is not None
    assert successor.status == "active"
    assert (successor.family, successor.category) == (old.family, old.category)


def test_no_chain_of_successors_is_endless_and_current_cards_have_none(
    index: CatalogIndex,
) -> None:
    for card in index.cards():
        successor = index.successor(card)
        if card.status == "active" and not card.replaced_by:
            assert successor is None
        elif successor is not None:
            assert successor.endpoint_id != card.endpoint_id


def test_a_category_lists_what_is_in_use_first(index: CatalogIndex) -> None:
    for category in index.categories:
        cards = [index.get(endpoint_id) for endpoint_id in index.of_category(category)]
        assert cards
        assert {card.category for card in cards} == {category}
        states = [(card.seed_only, card.status != "active") for card in cards]
        assert states == sorted(states)
    assert index.of_category("text-to-image")[0] == "fal-ai/flux/schnell"
    assert index.of_category("no-such-category") == ()


def test_the_day_of_the_list_is_told(index: CatalogIndex) -> None:
    assert index.as_of == "2026-09-01"


def test_only_a_few_parsed_cards_are_kept() -> None:
    index = CatalogIndex.open()
    for endpoint_id in index.ids[: MOST_PARSED + 20]:
        index.get(endpoint_id)
    first, last = index.ids[0], index.ids[MOST_PARSED + 19]
    assert index.get(last) is index.get(last)
    kept = index.get(last)
    for endpoint_id in index.ids[: MOST_PARSED + 19]:
        index.get(endpoint_id)
    assert index.get(last) is not kept
    assert index.get(first).endpoint_id == first


def test_opening_reads_nothing(tmp_path: Path) -> None:
    index = CatalogIndex.open(tmp_path / "not-there")
    assert index.folder == tmp_path / "not-there"


def test_a_folder_that_may_not_be_written_serves_as_well(tmp_path: Path) -> None:
    folder = tmp_path / "snapshot"
    shutil.copytree(SNAPSHOT, folder)
    for path in folder.iterdir():
        path.chmod(0o444)
    folder.chmod(0o555)
    try:
        assert CatalogIndex.open(folder).get("fal-ai/veo3.1").category == "text-to-video"
    finally:
        folder.chmod(0o755)


def test_an_upgrade_under_a_running_server_changes_no_card(tmp_path: Path) -> None:
    folder = tmp_path / "snapshot"
    shutil.copytree(SNAPSHOT, folder)
    index = CatalogIndex.open(folder)
    first, last = index.ids[0], index.ids[-1]
    assert index.get(first).endpoint_id == first
    (folder / "cards.jsonl").unlink()
    (folder / "cards.jsonl").write_text("{}\n", encoding="utf-8")
    assert index.get(last).endpoint_id == last


def test_every_table_is_rebuilt_from_the_shipped_facts_byte_for_byte(tmp_path: Path) -> None:
    build(SNAPSHOT / "cards.jsonl", tmp_path)
    made = sorted(path.name for path in tmp_path.iterdir())
    assert made == [
        "cards.jsonl",
        "facets.json",
        "ids.txt",
        "offsets.bin",
        "search.bin",
        "search.json",
        "shown.tsv",
        "tongues.json",
    ]
    same, different, missing = filecmp.cmpfiles(SNAPSHOT, tmp_path, made, shallow=False)
    assert (sorted(same), different, missing) == (made, [], [])


def test_the_snapshot_is_small_and_says_where_its_facts_come_from() -> None:
    assert sum(path.stat().st_size for path in SNAPSHOT.iterdir()) < 9_250_000
    assert "2026-09-01" in (SNAPSHOT / "PROVENANCE.md").read_text(encoding="utf-8")


def test_opening_and_searching_import_nothing_heavy() -> None:
    program = (
        "import sys, json; import catalog.index, catalog.search;"
        "print(json.dumps(sorted(sys.modules)))"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    modules = set(json.loads(run.stdout))
    heavy = {"jsonschema", "pydantic", "difflib", "sqlite3", "asyncio", "httpx", "http", "ssl"}
    assert not modules & heavy


def test_what_people_paste_around_an_id_is_taken_off() -> None:
    assert plain_id("https://fal.ai/models/openai/gpt-image-2/llms.txt") == "openai/gpt-image-2"
    assert plain_id("") == ""


@pytest.mark.parametrize(
    "pasted",
    [
        "https://fal.ai/models/fal-ai/flux/dev/playground",
        "https://fal.ai/models/fal-ai/flux/dev/api?platform=python#about",
        "https://fal.ai/explore/models/fal-ai%2Fflux%2Fdev?share=1",
        "https://fal.ai/api/openapi/queue/openapi.json?endpoint_id=fal-ai/flux/dev",
        "https://queue.fal.run:443/fal-ai/flux/dev",
        "wss://ws.fal.run/fal-ai/flux/dev/",
        "[FLUX dev](https://fal.ai/models/fal-ai/flux/dev)",
        "(FAL-AI/flux/Dev)",
        "models/fal-ai/flux/dev.",
    ],
)
def test_the_address_of_a_page_or_a_call_leads_to_its_card(
    index: CatalogIndex, pasted: str
) -> None:
    assert index.get(pasted).endpoint_id == "fal-ai/flux/dev"


@pytest.mark.parametrize(
    ("pasted", "told"),
    [
        (
            "fal-ai/flux/dev?y=1",
            "'fal-ai/flux/dev?y=1' has a query, which no request takes along; nothing was sent "
            "(use fal-ai/flux/dev; inputs go into arguments, a webhook into webhook_url)",
        ),
        (
            "https://queue.fal.run/fal-ai/flux/dev?fal_webhook=https://a.example/x",
            "'https://queue.fal.run/fal-ai/flux/dev?fal_webhook=https://a.example/x' has a query, "
            "which no request takes along; nothing was sent "
            "(use fal-ai/flux/dev; inputs go into arguments, a webhook into webhook_url)",
        ),
        (
            "https://queue.fal.run/fal-ai/flux/requests/764c-b745/status",
            "'https://queue.fal.run/fal-ai/flux/requests/764c-b745/status' is the address of a "
            "request, not a model; nothing was sent (use fal-ai/flux/dev, "
            "fal-ai/flux/dev/image-to-image, fal-ai/flux/dev/inpainting; list_jobs shows the jobs)",
        ),
        (
            "https://fal.ai@evil.example/fal-ai/flux/dev",
            "no model 'https://fal.ai@evil.example/fal-ai/flux/dev' in the catalog "
            "(nearest: fal-ai/flux/dev, fal-ai/flux/dev/image-to-image, fal-ai/flux/dev/redux)",
        ),
    ],
)
def test_what_would_be_lost_on_the_way_is_refused_with_the_right_id(
    index: CatalogIndex, pasted: str, told: str
) -> None:
    with pytest.raises(UnknownModelError) as raised:
        index.get(pasted)
    assert str(raised.value) == told
