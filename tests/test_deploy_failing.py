"""An app whose own code fails: what its caller is told, and its log."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio
import pytest

from server.deploy.child import app_class
from server.deploy.cloud.logs import line_of
from server.deploy.local.speech import raised
from server.deploy.local.target import open_local
from server.fal.platform_app_records import LogItem
from server.fal.problems import PlatformError
from server.jobs.settling import error_of
from server.rooms import open_annexe, open_catalog
from server.settings import Settings
from tests.house import connected, environment, record, words
from tests.local_apps import release_of, tools
from tests.local_kitchen import KITCHEN
from tools.deploy_records import LogLine
from tools.errors import BackendError
from tools.ports import Intent

INNERMOST_FIRST = (
    "KeyError: 'the_thing'\n"
    '  File "/home/app/app.py", line 9, in count\n    raise KeyError("the_thing")\n'
    "Traceback (most recent call last):"
)


def said(*written: str, usual: str = "info") -> list[tuple[str, str]]:
    """Return level and first words of the lines that *written* became."""
    told: list[tuple[str, str]] = []
    graded = app_class.Graded(lambda text, level: told.append((level, text)), usual)
    stream = app_class.Lines(None, graded)
    for text in written:
        stream.write(text)
    return told


def test_lines_of_a_traceback_are_errors_on_either_stream_and_those_around_it_are_not() -> None:
    printed = (
        "before\nTraceback (most recent call last):\n"
        '  File "app.py", line 1, in x\n    boom()\nValueError: no\nafter\n'
    )

    assert [level for level, _ in said(printed)] == ["info", *["error"] * 4, "info"]
    assert [level for level, _ in said(printed, usual="warning")][::5] == ["warning", "warning"]


def test_a_failure_that_fal_prints_in_one_very_long_line_is_one_error() -> None:
    frames = '  File "app.py", line 1, in deep\n' * 5_000
    printed = json.dumps({"traceback": f"KeyError: 1\n{frames}"})

    told = said(printed, "\n", "on it goes\n")  # as `print` writes it

    assert [level for level, _ in told] == ["error", "info"]
    assert told[0][1].startswith('KeyError: 1\n  File "app.py"')
    assert len(told[0][1]) == app_class.LINE_CHARACTERS


def test_what_an_app_raised_is_read_of_fals_tracebacks_and_of_no_logged_one() -> None:
    def line(message: str) -> LogLine:
        return LogLine(datetime.now(UTC), "error", message, "kitchen")

    assert raised(line(INNERMOST_FIRST)) == "KeyError: 'the_thing'"
    logged = 'not so bad\nTraceback (most recent call last):\n  File "a.py", line 1\nKeyError: 1'
    assert raised(line(logged)) == ""
    assert raised(line("it went wrong")) == ""
    long = INNERMOST_FIRST.replace(
        "KeyError: 'the_thing'", "ValidationError: 2 errors:\n\n  words: no"
    )
    assert raised(line(long)) == "ValidationError: 2 errors: words: no"


def test_a_failure_in_the_log_of_an_app_on_fal_is_an_error_and_reads_as_a_traceback() -> None:
    item = LogItem(
        timestamp=datetime.now(UTC),
        level="INFO",
        message='{"traceback": "KeyError: 1\\n  File \\"app.py\\", line 9\\n"}',
        app="acme/kitchen",
        revision="r1",
        labels={},
    )

    line = line_of(item)

    assert (line.level, line.message) == ("error", 'KeyError: 1\n  File "app.py", line 9')


@pytest.mark.parametrize(
    ("said", "message"),
    [
        pytest.param("KeyError: 'x'", "the app's own code failed: KeyError: 'x'", id="queue"),
        pytest.param("", "the app's own code failed", id="nothing more is known"),
    ],
)
def test_an_error_in_an_apps_own_code_says_so_and_points_to_its_log(
    said: str, message: str
) -> None:
    problem = PlatformError(
        "local/kitchen/boom: Internal Server Error", error_type="internal_error"
    )

    error = error_of(problem, "local/kitchen/boom", said)

    assert error.message == f"local/kitchen/boom: {message}"
    assert error.hint.startswith('app_logs {"app":"kitchen"} shows')
    assert not error.retry_helps
    elsewhere = error_of(problem, "fal-ai/boom", said)
    assert elsewhere.hint == "try again in a minute"


@pytest.mark.proof
async def test_an_app_that_never_came_up_has_left_its_log_and_is_found_by_a_like_name(
    tmp_path: Path,
) -> None:
    async def told(share: float, what: str) -> None:
        del share, what

    more: dict[str, Any] = {"FALKIT_DEPLOY": "local", "FALKIT_DEPLOY_TOOLS": str(tools())}
    settings = Settings.read(environment(tmp_path, **more))
    source = KITCHEN.replace('print("setup: loading")', 'raise OSError("no weights")')
    async with open_local(settings) as target:
        with pytest.raises(BackendError, match="OSError: no weights") as problem:
            await target.release(await release_of(tmp_path, source), told)
    with anyio.fail_after(60):
        async with connected(tmp_path, **more) as client:
            lines = record(await client.call_tool("app_logs", {"app": "kitchen"}))["lines"]
            async with open_local(settings) as target:
                await target.release(await release_of(tmp_path), told)
            near = words(await client.call_tool("app_status", {"app": "kitchn"}))

    assert str(problem.value).count("mend what") == 1
    assert "OSError: no weights" in lines[-1]["message"]
    assert near == "no app 'kitchn' is deployed (nearest: kitchen)"


@pytest.mark.proof
async def test_a_live_call_of_an_app_that_fails_points_to_its_log(tmp_path: Path) -> None:
    more: dict[str, Any] = {"FALKIT_DEPLOY": "local", "FALKIT_DEPLOY_TOOLS": str(tools())}
    settings = Settings.read(environment(tmp_path, **more))
    changed = {"async def events()": "raise KeyError('early')\n\n        async def events()"}

    async def told(*_: object) -> None: ...

    async with open_local(settings) as target:
        await target.release(await release_of(tmp_path, changed=changed), told)
    with anyio.fail_after(60):
        async with open_annexe(settings, open_catalog(settings)[0]) as rooms:
            intent = Intent(
                "local/kitchen", {"prompt": "x"}, {"prompt": "x"}, Decimal(0), Decimal(0)
            )
            with pytest.raises(PlatformError, match="the app's own code failed") as problem:
                await rooms.live(intent, "stream", told)

    assert 'app_logs {"app":"kitchen"}' in problem.value.hint


@pytest.mark.proof
async def test_a_caller_of_an_app_is_told_the_exception_that_nothing_in_it_caught(
    tmp_path: Path,
) -> None:
    async def told(share: float, what: str) -> None:
        del share, what

    more: dict[str, Any] = {"FALKIT_DEPLOY": "local", "FALKIT_DEPLOY_TOOLS": str(tools())}
    async with open_local(Settings.read(environment(tmp_path, **more))) as target:
        await target.release(await release_of(tmp_path), told)
    with anyio.fail_after(60):
        async with connected(tmp_path, **more) as client:
            given = {"endpoint_id": "local/kitchen/boom", "prompt": "x", "wait_seconds": 30}
            failed = words(await client.call_tool("generate", given))
            unknown = await client.call_tool("describe_model", {"endpoint_id": "local/kitchen/bom"})
            lines = record(await client.call_tool("app_logs", {"app": "kitchen", "level": "error"}))

    assert "the app's own code failed: RuntimeError: kaboom (app_logs" in failed
    assert "again in a minute" not in failed
    assert "| an app on this machine\n" in failed
    assert "local/kitchen/boom" in words(unknown).partition("nearest: ")[2]
    assert lines["lines"][-1]["message"].startswith("RuntimeError: kaboom")
