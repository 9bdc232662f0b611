"""What tools say to a model, in the words of the command line."""

import json
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, cast

from server.cli.letters import quoted

# Tools whose names are no words of English: what they do here.
VERBS: Mapping[str, str] = {
    "search_models": "search",
    "describe_model": "show",
    "estimate_cost": "price",
    "write_code": "code",
    "job_status": "job",
    "view_media": "view",
    "list_jobs": "jobs",
    "cancel_job": "cancel",
    "scaffold_app": "app new",
    "check_app": "app check",
    "app_status": "app status",
    "app_logs": "app logs",
}
# As a bare word this is also what a change to an app is called among jobs.
CALLED: Mapping[str, str] = {"deploy_apply": "app apply"}
_NAMED = re.compile(rf"`?\b({'|'.join(VERBS)}|(?:{'|'.join(CALLED)})(?= \{{))\b`?")
_ARGUMENTS = (
    (re.compile(r"\bdeploy_plan set_secret\b"), "`falkit app secret NAME`"),
    (re.compile(r"\bdeploy_plan\b(?! [{`])"), "`falkit app deploy`"),
    (
        re.compile(r"`falkit show` lists what ([\w./-]+) takes"),
        r"`falkit show \1` lists what it takes",
    ),
    (re.compile(r"\bagain=true\b"), "--again"),
    (re.compile(r"\b(media|for)_(in|out|work)\b"), r"--\1-\2"),
    (re.compile(r"\bcursor=(?=\S)"), "--cursor "),
    (re.compile(r"\bmax_dollars\b"), "--max-dollars"),
    (re.compile(r"\bsave_to\b"), "--save-to"),
    (re.compile(r"\breset_scale\b"), "--reset-scale"),
)


_INSTANT = re.compile(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?(?:[+-]\d\d:\d\d|Z)")


# What in a record other people, models or apps wrote: lists of it, and its name in each entry.
_NOT_OURS = (("outputs", "text"), ("jobs", "prompt"), ("lines", "message"))
_HELD = "\ue001"  # of private use, in no text


def not_ours(record: Mapping[str, Any]) -> list[str]:
    """Return the texts in *record* that must be read as they were written."""
    found: list[str] = []
    for name, field in _NOT_OURS:
        entries: Any = record.get(name)
        if isinstance(entries, list):
            found += [
                str(each[field])
                for each in cast("list[dict[str, Any]]", entries)
                if each.get(field)
            ]
    return found


def told_person(text: str, record: Mapping[str, Any]) -> str:
    """Return *text* as `for_person` does, but for what in *record* is not ours."""
    held: list[str] = []
    for each in sorted(not_ours(record), key=len, reverse=True):
        for shown in (each.replace("\n", "\n   "), " ".join(each.split())):  # as answers have it
            if shown in text and for_person(shown) != shown:
                text = text.replace(shown, f"{_HELD}{len(held)}{_HELD}")
                held.append(shown)
    text = for_person(text)
    for number, shown in reversed([*enumerate(held)]):
        text = text.replace(f"{_HELD}{number}{_HELD}", shown)
    return text


def for_person(text: str) -> str:
    """Return *text* with tools and their arguments as a person types them, and times as clocks here
    show them.

    A call such as ``job_status {"job_id":"01k"}`` becomes ``falkit job 01k`` in backticks. It is
    for words of ours, not for code or for what somebody must read exactly.
    """
    told: list[str] = []
    place = 0
    while found := _NAMED.search(text, place):
        told += text[place : found.start()], f"`falkit {VERBS.get(found[1]) or CALLED[found[1]]}"
        words, place = _call(text, found.end())
        told.append(f"{words}`")
    plain = "".join([*told, text[place:]])
    for name, typed in _ARGUMENTS:
        plain = name.sub(typed, plain)
    return _INSTANT.sub(_here, plain)


def _here(found: re.Match[str]) -> str:
    return f"{datetime.fromisoformat(found[0]).astimezone():%Y-%m-%d %H:%M}"


def _call(text: str, start: int) -> tuple[str, int]:
    """Return the first argument of the JSON object that follows at *start*, if one does, and where
    it ends."""
    if text[start : start + 2] != " {":
        return "", start
    try:
        given: Any
        given, end = json.JSONDecoder().raw_decode(text, start + 1)
    except ValueError:
        return "", start
    first = next(iter(cast("Mapping[str, object]", given).values()), "")
    return (f" {quoted(first)}" if isinstance(first, str) and first else ""), end
