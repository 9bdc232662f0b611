"""What is told of an app on this machine: its own words, and that a deploy would change nothing."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from catalog.describe import example_arguments, inputs_table
from server.deploy.differing import answers_already, opening
from server.deploy.local.cards import card_of
from tools.deploy_records import AppSettings, DeployedApp, Revision

NOW = datetime(2026, 11, 24, tzinfo=UTC)
SHA = "ab" * 32
ENTRY = "app.py:Hello"
RUNS = DeployedApp(
    "local", "hello", "local/hello", "r2", "private", AppSettings(), "idle",
    revisions=(
        Revision("r2", NOW, "live", "", SHA, entry=ENTRY),
        Revision("r1", NOW, "old", "", "cd" * 32),
    ),
)  # fmt: skip


def document(fields: dict[str, Any]) -> dict[str, Any]:
    body = {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Input"}}}}
    answer: dict[str, Any] = {
        "content": {"application/json": {"schema": {"type": "object", "properties": {}}}}
    }
    return {
        "paths": {"/": {"post": {"requestBody": body, "responses": {"200": answer}}}},
        "components": {"schemas": {"Input": {"type": "object", "properties": fields}}},
    }


def test_inputs_of_an_app_mean_what_it_says_and_not_what_fals_models_mean() -> None:
    fields = {
        "text": {"type": "string", "description": "Text to\n look at."},
        "prompt": {"type": "string"},
    }
    card = card_of("hello", "/", document(fields), NOW)
    assert card is not None
    assert card.category == "json"
    assert {row.name: row.meaning for row in inputs_table(card)} == {
        "text": "Text to look at.",
        "prompt": "",
    }


def test_an_app_that_needs_no_input_has_an_example_that_it_takes() -> None:
    steps = {"steps": {"type": "integer", "default": 5, "minimum": 1.0, "maximum": 100.0}}
    card, bare = card_of("hello", "/", document(steps), NOW), card_of("hi", "/", document({}), NOW)
    assert card is not None
    assert bare is not None
    assert (example_arguments(card), example_arguments(bare)) == ({"steps": 5}, {})
    assert "1-100" in str(inputs_table(card)[0])


def test_an_app_that_answers_with_the_same_source_is_not_changed_by_it() -> None:
    assert answers_already(RUNS, SHA, ENTRY, network=False)
    on_fal = replace(
        RUNS, target="cloud", revisions=(replace(RUNS.revisions[0], source_hash=SHA[:32]),)
    )
    assert answers_already(on_fal, SHA, ENTRY, network=True)  # runners of fal have it anyway
    nothing = ["nothing: hello answers with this source already (r2)"]
    assert opening(RUNS, SHA, ENTRY, unchanged=True) == nothing


@pytest.mark.parametrize("entry", ["app.py:Other", "other.py:Hello"])
def test_another_entry_into_the_same_source_is_a_change_and_named(entry: str) -> None:
    assert not answers_already(RUNS, SHA, entry, network=False)
    assert opening(RUNS, SHA, entry, unchanged=False) == [
        "new revision of hello, now r2",
        f"entry: app.py:Hello → {entry}; the source is the same",
    ]


@pytest.mark.parametrize(
    ("running", "network"),
    [
        pytest.param(None, False, id="a new app"),
        pytest.param(replace(RUNS, revision="r1"), False, id="another revision answers"),
        pytest.param(replace(RUNS, health="does not start"), False, id="it is not well"),
        pytest.param(RUNS, True, id="it shall reach others"),
        pytest.param(replace(RUNS, revisions=()), False, id="its source is not known"),
    ],
)
def test_all_else_is_a_change(running: DeployedApp | None, network: bool) -> None:
    assert not answers_already(running, SHA, ENTRY, network=network)
