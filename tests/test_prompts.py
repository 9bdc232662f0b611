"""Prompts and guides hold together: gaps, tools, sizes, names, and ways to reach them."""

import json
import re
from pathlib import Path
from typing import get_args

import pytest
from mcp import Client, MCPError
from mcp.types import PromptReference

from catalog.build_lexicon import rows
from catalog.operations import OPERATIONS
from docs.tables import README
from prompts.guides import GUIDES, NAMES
from prompts.library import PROMPTS, PromptText, offered
from server.app import build_server
from server.deploy.scaffold import templates
from server.rooms import open_rooms
from server.settings import Settings
from tests.house import connected, environment, record, words
from tools.inventory import TOOLS, chosen_tools
from tools.ports import JobState

DEPLOYING = {
    "scaffold_app", "check_app", "deploy_plan", "deploy_apply", "app_status", "app_logs",
}  # fmt: skip
KNOWN = {tool.name for tool in TOOLS} | DEPLOYING
MOST_GUIDE, MOST_GIST, MOST_PROMPT = 6000, 300, 2500


@pytest.mark.parametrize("prompt", PROMPTS.values(), ids=lambda prompt: prompt.name)
def test_a_prompt_is_short_and_names_its_tools_in_order_and_each_gap(prompt: PromptText) -> None:
    spoken = re.findall(r"`(\w+)", prompt.text)
    assert tuple(dict.fromkeys(name for name in spoken if name in KNOWN)) == prompt.tools
    assert set(re.findall(r"\{(\w+)\}", prompt.text)) == {gap.name for gap in prompt.gaps}
    assert len(prompt.text) <= MOST_PROMPT
    assert all("[" not in gap.description for gap in prompt.gaps)


def test_only_prompts_whose_tools_are_offered_are_listed() -> None:
    whole = offered(KNOWN)
    assert list(whole) == list(PROMPTS)
    looking = offered({tool.name for tool in chosen_tools(read_only=True)})
    assert list(looking) == ["choose_a_model", "write_client_code"]
    without = offered(KNOWN - {"deploy_apply"})
    assert {"deploy_a_model", "make_an_app_cheaper"}.isdisjoint(without)


async def test_a_prompt_whose_tools_are_not_offered_is_not_given_either(tmp_path: Path) -> None:
    async with open_rooms(Settings.read(environment(tmp_path))) as rooms:
        server = build_server(rooms, chosen_tools(read_only=True), rooms.approve)
        async with Client(server) as client:
            listed = (await client.list_prompts()).prompts
            assert [prompt.name for prompt in listed] == ["choose_a_model", "write_client_code"]
            with pytest.raises(MCPError, match="unknown prompt 'text_to_image'"):
                await client.get_prompt("text_to_image", {"subject": "a fox"})


async def test_gaps_complete_from_their_choices_and_from_what_was_made(tmp_path: Path) -> None:
    async with connected(tmp_path) as client:

        async def complete(prompt: str, gap: str, begun: str = "") -> list[str]:
            of = PromptReference(type="ref/prompt", name=prompt)
            return (await client.complete(of, {"name": gap, "value": begun})).completion.values

        assert await complete("text_to_image", "use", "po") == ["poster", "social post"]
        assert await complete("image_to_video", "seconds", "1") == ["10", "12", "15"]
        assert await complete("edit_with_words", "change", "a") == []
        assert await complete("choose_a_model", "category", "text-to-im") == ["text-to-image"]
        assert await complete("deploy_a_model", "template", "str") == ["streaming"]
        assert "fal-ai/flux/schnell" in await complete("compare_models", "models", "schnell")
        made = {"endpoint_id": "fal-ai/flux/schnell", "prompt": "a cup"}
        job = record(await client.call_tool("generate", made))["job_id"]
        assert await complete("image_to_video", "image") == [job]
        assert await complete("talking_portrait", "words") == []
        assert await complete("fix_a_failing_call", "job", job[:3]) == [job]


def test_the_templates_that_complete_are_those_that_there_are() -> None:
    choices = next(gap.choices for gap in PROMPTS["deploy_a_model"].gaps if gap.name == "template")
    assert set(choices) == set(templates())


def test_the_search_knows_the_same_guides_as_the_library() -> None:
    assert [name for name, _ in rows("guides.tsv", 2)] == list(NAMES) == list(GUIDES)


@pytest.mark.parametrize("guide", GUIDES.values(), ids=lambda guide: guide.name)
def test_a_guide_is_short_and_speaks_of_tools_settings_and_states_that_exist(
    guide: PromptText,
) -> None:
    assert guide.text.startswith("# ")
    assert len(guide.text.encode()) <= MOST_GUIDE
    assert 100 <= len(guide.gist) <= MOST_GIST
    readme = README.read_text("utf-8")
    for setting in re.findall(r"FALKIT_\w+", guide.text):
        assert f"`{setting}`" in readme, setting
    for prompt in re.findall(r"prompt (\w+_\w+)", guide.text):
        assert prompt in PROMPTS
    if guide.name == "editing":
        table = re.findall(r"^\| [^|]+ \| (\w+) \| [^|]+ \|$", guide.text, re.MULTILINE)
        assert set(table) == set(OPERATIONS)
    if guide.name == "long-jobs":
        assert set(get_args(JobState)) == set(re.findall(r"`(\w+)`", states(guide.text)))


def states(text: str) -> str:
    """Return the first column of the table of states."""
    return "\n".join(row.split("|")[1] for row in text.splitlines() if row.startswith("| `"))


async def test_a_how_to_question_is_answered_and_the_whole_guide_is_a_query_away(
    tmp_path: Path,
) -> None:
    async with connected(tmp_path) as client:
        asked = await client.call_tool("search_models", {"query": "why did my call fail with 429"})
        more = re.search(r'search_models (\{"query":"[^"]+"\})', words(asked))
        assert more
        whole = await client.call_tool("search_models", json.loads(more[1]))
        names = await client.call_tool("search_models", {"query": "guides"})
        unsure = await client.call_tool("search_models", {"query": "how do I tie my shoes"})
        sought = await client.call_tool("search_models", {"query": "erase with a mask"})
        hung = await client.call_tool(
            "search_models", {"query": "how do I cancel a job that hangs"}
        )
        strange = await client.call_tool("search_models", {"query": "a picture as by midjourney"})
        page = (await client.read_resource("falkit://guides/failures")).contents[0].model_dump()
    for answer in (asked, whole):
        assert record(answer)["guides"][0] == "failures"
        assert record(answer)["guide"] in words(answer)
    assert len(json.dumps(record(asked))) <= 2000
    assert len(record(asked)["models"]) <= 5
    assert words(whole) == record(whole)["guide"] == page["text"]
    assert record(hung)["guides"][0] == "long-jobs"
    assert record(hung)["models"] == []
    assert "next_cursor" not in record(hung)
    assert record(strange)["models"][0]["why"].startswith("fal has no midjourney; text to image")
    assert "fal has no midjourney" in words(strange)
    assert record(names)["guides"] == list(GUIDES)
    assert record(unsure)["guides"] == list(GUIDES)
    assert "keys-and-safety" in words(unsure)
    assert "guide" not in record(sought)
    assert record(sought)["guides"] == ["editing"]


async def test_a_query_that_only_begins_like_a_guide_is_a_search(tmp_path: Path) -> None:
    async with connected(tmp_path) as client:
        found = record(
            await client.call_tool("search_models", {"query": "guide dog in a park, photo"})
        )
    assert found["models"]
