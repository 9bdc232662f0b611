"""Every model that a person is likely to know by name is found by it, described and priced."""

import pytest

from catalog.card import ModelCard
from catalog.index import CatalogIndex
from catalog.search import SearchRequest, search
from tests.house import connected, record, words

CATALOG = CatalogIndex.open()
# Well-known names under which people ask, also of endpoints that fal has since renamed.
NAMED = [
    f"fal-ai/{path}"
    for path in (
        "elevenlabs/tts", "f5-tts", "fast-sdxl", "flux-2-pro", "flux-2/edit", "flux-2/lora",
        "flux-controlnet", "flux-ip-adapter", "flux-kontext-lora/inpaint", "flux-lora",
        "flux-pro/kontext", "flux/dev", "flux/dev/inpainting", "flux/schnell", "gpt-image-1.5",
        "ideogram", "kling-video/v2.6/pro", "kling-video/v2.6/pro/image-to-video",
        "kling-video/v2.6/pro/text-to-video", "kokoro/american-english", "lcm-sd15-i2i",
        "ltx-2-pro", "luma-dream-machine", "minimax-video/image-to-video",
        "minimax-video/text-to-video", "recraft-v3", "runway-gen3/turbo",
        "runway-gen3/turbo/text-to-video", "sora-pro", "sora-pro/text-to-video",
        "sora/text-to-video", "veo3.1/image-to-video", "veo3.1/text-to-video",
        "veo3/text-to-video", "whisper-large-v3", "whisper-turbo",
    )
]  # fmt: skip


def chain(card: ModelCard) -> set[str]:
    """Return the ids of *card* and of everything that came after it."""
    ids = {card.endpoint_id}
    current: ModelCard | None = card
    while current is not None and current.replaced_by and current.replaced_by not in ids:
        ids.add(current.replaced_by)
        current = CATALOG.find(current.replaced_by)
    if successor := CATALOG.successor(card):
        ids.add(successor.endpoint_id)
    return ids


@pytest.mark.parametrize("endpoint_id", NAMED)
def test_a_well_known_model_is_among_the_first_three_for_its_name(endpoint_id: str) -> None:
    card = CATALOG.get(endpoint_id)
    path = endpoint_id.removeprefix("fal-ai/").replace("/", " ").replace("-", " ")
    for query in (card.title, card.full_title, endpoint_id, path):
        found = {hit.endpoint_id for hit in search(CATALOG, SearchRequest(query, limit=3)).hits}
        assert found & chain(card), f"{query}: {found}"


@pytest.mark.parametrize("endpoint_id", NAMED)
def test_a_renamed_model_leads_to_its_successor_and_a_price(endpoint_id: str) -> None:
    card = CATALOG.get(endpoint_id)
    successor = CATALOG.successor(card)
    current = card if successor is None else successor
    assert (successor is None) == (card.status == "active")
    assert current.status != "deprecated"
    assert not current.seed_only
    assert (current.price or card.price) is not None


async def test_where_a_price_is_gone_that_of_the_successor_is_told(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    async with connected(tmp_path_factory.mktemp("house")) as client:
        answer = await client.call_tool("describe_model", {"endpoint_id": "fal-ai/ideogram"})
    described = record(answer)
    assert described["successor"] == "fal-ai/ideogram/v3"
    assert described["price"].startswith("price not known; fal-ai/ideogram/v3: $0.03/image")
    assert "successor: fal-ai/ideogram/v3" in words(answer)
