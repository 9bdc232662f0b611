"""What is said of a failure: once, and with the name that was meant."""

from pathlib import Path
from typing import Any

import pytest

from catalog.errors import UnknownModelError
from catalog.index import CatalogIndex
from tests.house import connected, words

WRONG: dict[str, Any] = {"endpoint_id": "fal-ai/flux/dev", "arguments": {"promt": "a"}}


async def test_that_nothing_was_sent_is_said_once_for_many_problems(tmp_path: Path) -> None:
    batch = {"endpoint_ids": ["fal-ai/flux/dev"], "inputs": [{"promt": "a"}, {"image_size": "x"}]}
    steps = {"steps": [{"name": "a", **WRONG}, {"name": "b", **WRONG}]}
    async with connected(tmp_path) as client:
        told = [
            words(await client.call_tool("run_batch", batch)),
            words(await client.call_tool("run_pipeline", steps)),
        ]

    for text in told:
        assert text.count("nothing was sent") == 1
        assert text.count("describe_model lists what fal-ai/flux/dev takes") == 2


@pytest.mark.parametrize(
    ("asked", "nearest"),
    [("local/my-badge", ("local/my_badge",)), ("local/soup", ())],
)
def test_a_misspelt_app_of_this_machine_names_those_that_there_are(
    asked: str, nearest: tuple[str, ...]
) -> None:
    catalog = CatalogIndex.open(local=lambda: ("local/my_badge", "local/other"))

    with pytest.raises(UnknownModelError, match="on this machine") as problem:
        catalog.get(asked)

    assert problem.value.nearest == nearest
    assert problem.value.hint == (
        "nearest: local/my_badge" if nearest else "app_status lists the apps that there are"
    )
