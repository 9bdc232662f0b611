"""Several models are laid side by side: dollars, limits and media, small enough to read at once."""

import json
from pathlib import Path

import pytest
from inline_snapshot import snapshot

from catalog.index import CatalogIndex
from catalog.sides import limits_words
from tests.house import connected, record, words

CATALOG = CatalogIndex.open()


@pytest.mark.parametrize(
    ("endpoint_id", "said"),
    [
        ("fal-ai/veo3.1", "text to video; 4-8 s; 720p, 1080p, 4k"),
        ("fal-ai/flux/dev", "text to image; up to 4 at once"),
        ("fal-ai/kling-video/v3/pro/image-to-video", "image to video; 3-15 s"),
        ("fal-ai/elevenlabs/music", "text to audio; 3-600 s"),
        ("fal-ai/whisper", "audio to text"),
    ],
)
def test_what_a_model_takes_and_allows_fits_a_line(endpoint_id: str, said: str) -> None:
    assert limits_words(CATALOG.get(endpoint_id)) == said


async def test_the_same_work_is_priced_side_by_side_with_limits(tmp_path: Path) -> None:
    wanted = {
        "endpoint_ids": ["fal-ai/veo3.1", "fal-ai/veo3.1/fast"],
        "arguments": {"prompt": "rain", "duration": "8s"},
    }
    async with connected(tmp_path) as client:
        answer = await client.call_tool("estimate_cost", wanted)
        one = record(await client.call_tool("estimate_cost", {"endpoint_id": "fal-ai/veo3.1"}))
    assert "limits" not in one
    assert words(answer).splitlines() == snapshot(
        [
            "fal-ai/veo3.1: $3.2 (8 s x $0.4/s (720p|1080p, with sound)); text to video; 4-8 s; "
            "720p, 1080p, 4k; prices of 2026-08-20",
            "fal-ai/veo3.1/fast: $1.2 (8 s x $0.15/s (720p|1080p, with sound)); text to video; "
            "4-8 s; 720p, 1080p, 4k; prices of 2026-08-20",
        ]
    )


async def test_eight_models_fit_two_kilobytes_whatever_they_are(tmp_path: Path) -> None:
    most_said = sorted(CATALOG.of_category("image-to-video"), key=len)[-40:]
    async with connected(tmp_path) as client:
        for start in range(0, 40, 8):
            answer = await client.call_tool(
                "estimate_cost",
                {"endpoint_ids": most_said[start : start + 8], "arguments": {"prompt": "rain"}},
            )
            shown = record(answer)
            assert len(shown["estimates"]) == 8
            assert len(json.dumps(shown["estimates"]).encode()) <= 2048
            assert len(words(answer).encode()) <= 2048
