"""Questions to a person that outlive the server, and what hosts said of themselves."""

import json
import stat
import sys
from pathlib import Path
from typing import Any

import pytest

from server.asking import NO, ONCE
from server.introduced import Introductions, introduced_in
from server.sealing import FILE, NEW_AFTER, OLD_AFTER, Ring
from tests.asker import asking

CALL = {"endpoint_id": "fal-ai/flux/schnell", "prompt": "waves"}


def said(question: dict[str, Any], answer: str) -> dict[str, Any]:
    """Return what a client sends along when the person has said *answer*."""
    (key,) = question["inputRequests"]
    return {
        "requestState": question["requestState"],
        "inputResponses": {key: {"action": "accept", "content": {"answer": answer}}},
    }


async def test_a_question_that_is_open_outlives_a_restart_and_counts_once(tmp_path: Path) -> None:
    async with asking(tmp_path, asks=True) as ask:
        ask.has_person = True
        question = await ask.call("generate", CALL, tasks=False)
        assert question["resultType"] == "input_required"
        assert question["requestState"].startswith("v1.")
    if sys.platform != "win32":
        assert stat.S_IMODE((tmp_path / "house" / FILE).stat().st_mode) == 0o600
    async with asking(tmp_path, asks=True) as ask:
        ask.has_person = True
        done = await ask.call("generate", CALL, tasks=False, **said(question, ONCE))
        job = done["structuredContent"]
        assert job["state"] == "done"
        late = await ask.call("generate", CALL, tasks=False, **said(question, NO))
        assert late["structuredContent"]["job_id"] == job["job_id"]
        assert "it was decided before" in json.dumps(late)


@pytest.mark.proof
async def test_an_answer_that_can_no_longer_be_opened_lets_the_person_be_asked_anew(
    tmp_path: Path,
) -> None:
    async with asking(tmp_path, asks=True) as ask:
        ask.has_person = True
        question = await ask.call("generate", CALL, tasks=False)
        forged = {**said(question, ONCE), "requestState": "v1.AAAA"}
        again = await ask.call("generate", CALL, tasks=False, **forged)
        assert again["resultType"] == "input_required"
        # of another call, it opens nothing either, and asks about that call
        other = await ask.call(
            "generate", {**CALL, "prompt": "a wood"}, tasks=False, **said(question, ONCE)
        )
        (asked,) = other["inputRequests"].values()
        assert "a wood" in asked["params"]["message"]
    (tmp_path / "house" / FILE).write_text("[[1, 2")  # and with the secrets gone
    async with asking(tmp_path, asks=True) as ask:
        ask.has_person = True
        again = await ask.call("generate", CALL, tasks=False, **said(question, ONCE))
        assert again["resultType"] == "input_required"
        done = await ask.call("generate", CALL, tasks=False, **said(again, ONCE))
        assert done["structuredContent"]["state"] == "done"


@pytest.mark.proof
async def test_an_answer_after_its_time_is_asked_for_anew_only_while_the_job_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.sealing.ANSWERED_WITHIN", 1e-6)
    async with asking(tmp_path, asks=True) as ask:
        ask.has_person = True
        question = await ask.call("generate", CALL, tasks=False)
        again = await ask.call("generate", CALL, tasks=False, **said(question, ONCE))
        assert again["resultType"] == "input_required"
        jobs = (await ask.call("list_jobs", {}))["structuredContent"]["jobs"]
        (held,) = jobs
        await ask.call("cancel_job", {"job_id": held["job_id"]})
        late = await ask.call("generate", CALL, tasks=False, **said(question, ONCE))
        job = late["structuredContent"]
        assert (job["job_id"], job["state"]) == (held["job_id"], "cancelled")
        assert "it was decided before" in json.dumps(late)
        assert len((await ask.call("list_jobs", {}))["structuredContent"]["jobs"]) == 1


@pytest.mark.proof
async def test_a_question_of_a_task_outlives_a_restart(tmp_path: Path) -> None:
    async with asking(tmp_path, asks=True) as ask:
        job = (await ask.call("generate", CALL))["structuredContent"]
        ask.has_person = True
        (key,) = (await ask.task(job["job_id"]))["inputRequests"]
    async with asking(tmp_path, asks=True) as ask:
        ask.has_person = True
        yes = {key: {"action": "accept", "content": {"answer": ONCE}}}
        await ask("tasks/update", job["job_id"], taskId=job["job_id"], inputResponses=yes)
        await ask.until(job["job_id"], "completed")


def test_secrets_turn_each_day_and_yesterdays_still_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1_800_000_000.0
    monkeypatch.setattr("server.sealing.time.time", lambda: now)
    ring, other = Ring(tmp_path), Ring(tmp_path)
    (first,) = ring.secrets()
    key = ring.key_of("job")
    assert list(other.secrets()) == [first]
    now += NEW_AFTER + 1
    second, kept = ring.secrets()
    assert (kept, second != first) == (first, True)
    assert list(other.secrets()) == [second, first]
    assert key in other.keys_of("job")
    now += OLD_AFTER
    assert first not in ring.secrets()
    assert key not in Ring(tmp_path).keys_of("job")


def test_what_hosts_declare_is_kept_small_and_told_by_doctor(tmp_path: Path) -> None:
    heard = Introductions(tmp_path)
    heard.hear(
        "initialize",
        {
            "protocolVersion": "2025-06-18",
            "clientInfo": {"name": "gemini\x1b[2J", "version": "0.61.0", "token": "secret"},
            "capabilities": {"roots": {"listChanged": True}, "secret": "abc"},
        },
    )
    meta = "io.modelcontextprotocol/"
    heard.hear(
        "tools/list",
        {
            "_meta": {
                f"{meta}protocolVersion": "2026-07-28",
                f"{meta}clientInfo": {"name": "Claude Code", "version": "2" * 999},
                f"{meta}clientCapabilities": {
                    "elicitation": {},
                    "extensions": {f"{meta}tasks": {}, f"{meta}ui": {}},
                },
            }
        },
    )
    odd: tuple[Any, ...] = (None, [], {"clientInfo": "me"}, {"_meta": []})
    for params in odd:
        heard.hear("initialize", params)
    heard.hear("tools/call", {"clientInfo": {"name": "nobody"}})
    now, before = introduced_in(tmp_path)
    assert (now.name, now.declared) == ("Claude Code", ("elicitation", "tasks", "apps"))
    assert (before.name, before.protocol, before.declared) == (
        "gemini[2J",
        "2025-06-18",
        ("roots",),
    )
    text = (tmp_path / "hosts.json").read_text()
    assert "secret" not in text
    assert len(text) < 1000
    (tmp_path / "hosts.json").write_text('[{"name": 1}]')
    assert introduced_in(tmp_path) == []
