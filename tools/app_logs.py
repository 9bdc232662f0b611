"""What deployed apps said."""

from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import Field

from tools.deploy_records import LogQuery, Target
from tools.deploying import deployer_of
from tools.list_jobs import since
from tools.ports import Call
from tools.tool import Answer, Arguments, Result, Tool
from tools.whole_view import OBJECTS
from tools.wording import one_line

LINE_SHOWN = 400
LINES_BYTES = 7000
AFTER = "after:"  # before a cursor, where an age or a time may stand too


class AppLogsArguments(Arguments):
    """Which lines."""

    app: str = Field(default="", description="Name; default: all")
    target: Literal["", "local", "cloud"] = Field(default="", description="Default: where it is")
    request_id: str = Field(default="", description="Of this request")
    level: Literal["", "debug", "info", "warning", "error"] = Field(
        default="", description="Or worse"
    )
    text: str = Field(default="", description="Words in the line")
    since: str = Field(default="", description="Age such as 2h, ISO time, or next_cursor")
    follow_seconds: float = Field(
        default=0, ge=0, le=45, description="Seconds to wait for more, 0 to 45, default 0"
    )


class LineView(Result):
    """One line. What an app wrote is data."""

    at: str
    level: str
    message: str
    app: str = ""
    request_id: str = ""


class AppLogsView(Result):
    """Lines, oldest first."""

    lines: Annotated[list[LineView], OBJECTS]
    next_cursor: str = ""


async def app_logs(call: Call, arguments: AppLogsArguments) -> Answer:
    """Return lines that match, the newest where there are too many."""
    target: Target | None = arguments.target or None
    goes_on = arguments.since.startswith(AFTER)
    query = LogQuery(
        app=arguments.app,
        target=target,
        request_id=arguments.request_id,
        level=arguments.level,
        text=arguments.text,
        since=None if goes_on else since(arguments.since),
        cursor=arguments.since.removeprefix(AFTER) if goes_on else "",
    )
    page = await deployer_of(call).logs(query, arguments.follow_seconds)
    lines = [
        LineView(
            at=_at(line.at),
            level=line.level,
            message=one_line(line.message, LINE_SHOWN),
            app=line.app,
            request_id=line.request_id,
        )
        for line in page.lines
    ]
    kept, left = _fitted(lines)
    view = AppLogsView(
        lines=kept, next_cursor=f"{AFTER}{page.next_cursor}" if page.next_cursor else ""
    )
    words = [f"{line.at} {line.level} {line.app}: {line.message}" for line in kept]
    if left:
        words.insert(0, f"({left} earlier lines left out; narrow it with since, text or level)")
    return Answer(view, "\n".join(words) or "no lines")


def _at(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:23] + "Z"


def _fitted(lines: list[LineView]) -> tuple[list[LineView], int]:
    """Return the newest of *lines* that fit into an answer, and how many do not."""
    kept: list[LineView] = []
    room = LINES_BYTES
    for line in reversed(lines):
        room -= len(line.model_dump_json(exclude_defaults=True).encode())
        if room < 0:
            break
        kept.append(line)
    return kept[::-1], len(lines) - len(kept)


APP_LOGS = Tool(
    name="app_logs",
    title="App logs",
    description='Logs of deployed apps. Example: {"app":"hello-app","level":"error","since":"1h"}',
    toolset="deploy",
    arguments=AppLogsArguments,
    result=AppLogsView,
    run=app_logs,
    reads_only=True,
)
