"""The host's own question about a held job, in both eras."""

from pathlib import Path
from typing import Any

import pytest
from mcp.client import ClientRequestContext
from mcp.types import ElicitRequestParams, ElicitResult

from server.asking import NO, ONCE, TODAY
from tests.house import Era, connected, pictures, record, words

ASKING = {"FALKIT_ASK_ON_EMULATOR": "on", "FALKIT_APPROVE_ABOVE": "0"}
SMALL = {"image_size": {"width": 64, "height": 64}}
CALL = {"endpoint_id": "fal-ai/flux/schnell", "prompt": "a red door", "arguments": SMALL}


class Person:
    """Answers every question with *answer*, and remembers what was asked."""

    def __init__(self, answer: str | None, action: str = "accept") -> None:
        self.asked: list[str] = []
        self._answer = answer
        self._action = action

    async def __call__(
        self, context: ClientRequestContext, params: ElicitRequestParams
    ) -> ElicitResult:
        self.asked.append(params.message)
        content: Any = {"answer": self._answer} if self._answer else None
        return ElicitResult.model_validate({"action": self._action, "content": content})


@pytest.mark.parametrize("era", ["auto", "legacy"])
async def test_a_yes_to_the_hosts_question_runs_the_frozen_call(tmp_path: Path, era: Era) -> None:
    person = Person(ONCE)
    async with connected(tmp_path, era, person, **ASKING) as client:
        made = await client.call_tool("generate", CALL)
        assert record(made)["state"] == "done"
        assert len(pictures(made)) == 1
        [asked] = person.asked
        for told in ("a red door", "fal-ai/flux/schnell", "$0.003", record(made)["job_id"]):
            assert told in asked
        again = await client.call_tool("generate", CALL)  # single use: the next is asked anew
        assert record(again)["job_id"] != record(made)["job_id"]
        assert len(person.asked) == 2


@pytest.mark.parametrize("era", ["auto", "legacy"])
async def test_a_no_drops_the_job_and_says_so(tmp_path: Path, era: Era) -> None:
    for person in (Person(NO), Person(None, "decline")):
        async with connected(tmp_path, era, person, **ASKING) as client:
            refused = await client.call_tool("generate", CALL)
            assert record(refused)["state"] == "cancelled"
            assert "the person said no" in words(refused)


@pytest.mark.parametrize("era", ["auto", "legacy"])
async def test_nobody_at_the_host_leaves_the_job_held_with_the_way_out(
    tmp_path: Path, era: Era
) -> None:
    for person in (Person(None, "cancel"), Person("something else"), None):
        async with connected(tmp_path, era, person, **ASKING) as client:
            held = await client.call_tool("generate", CALL)
            assert record(held)["state"] == "held"
            assert f"falkit approve {record(held)['job_id']}" in words(held)


async def test_a_yes_for_the_day_is_not_asked_again(tmp_path: Path) -> None:
    person = Person(TODAY)
    async with connected(tmp_path, "auto", person, **ASKING) as client:
        first = record(await client.call_tool("generate", CALL))
        second = record(await client.call_tool("generate", CALL | {"prompt": "a blue door"}))
        assert (first["state"], second["state"]) == ("done", "done")
        assert len(person.asked) == 1


async def test_a_whole_batch_is_one_question(tmp_path: Path) -> None:
    person = Person(ONCE)
    async with connected(tmp_path, "auto", person, **ASKING) as client:
        batch = await client.call_tool(
            "run_batch",
            {
                "endpoint_ids": ["fal-ai/flux/schnell"],
                "inputs": [{"prompt": "a red door"}, {"prompt": "a blue door"}],
            },
        )
        assert record(batch)["state"] == "done", words(batch)
        assert [item["state"] for item in record(batch)["items"]] == ["done", "done"]
        assert len(person.asked) == 1
