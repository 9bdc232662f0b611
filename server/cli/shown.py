"""What tools answer, as a person reads it: what belongs together aligned, times as clocks here."""

import json
from collections.abc import Callable
from datetime import datetime

from server.cli.letters import quoted
from tools.app_logs import AppLogsView
from tools.describe_model import ModelDescription
from tools.list_jobs import JobList, JobRow
from tools.search_models import FoundModels, ModelHit
from tools.spending import SpendingView, SpentRow, money
from tools.tool import Answer
from tools.wording import one_line

Words = Callable[[Answer], str]
WIDEST = 48  # characters of a column


def models_found(answer: Answer) -> str:
    """Return models with their prices in a column, and below each what it does."""
    found = answer.result
    if not isinstance(found, FoundModels):
        return answer.text
    wide = _widest([model.endpoint_id for model in found.models])
    return _instead(answer.text, {hit.endpoint_id: _model(hit, wide) for hit in found.models})


def _model(hit: ModelHit, wide: int) -> str:
    does = "; ".join(part for part in (hit.summary, hit.why) if part)
    return f"{hit.endpoint_id:<{wide}}  {hit.price}\n    {does}"


def jobs_listed(answer: Answer) -> str:
    """Return jobs in columns, and below each its prompt and its files."""
    listed = answer.result
    if not isinstance(listed, JobList):
        return answer.text
    prices = {row.job_id: _dollars(row.dollars) for row in listed.jobs}
    wide = _widest([row.state for row in listed.jobs])
    dear = _widest(list(prices.values()))
    told = {row.job_id: _job(row, wide, f"{prices[row.job_id]:>{dear}}") for row in listed.jobs}
    held = next((row.job_id for row in listed.jobs if row.state == "held"), "")
    more = f"\nwhat is held waits for you: `falkit approve {held}` or `falkit cancel {held}`"
    return _instead(answer.text, told) + (more if held else "")


def _job(row: JobRow, wide: int, price: str) -> str:
    when = f"{datetime.fromisoformat(row.created).astimezone():%Y-%m-%d %H:%M}"
    model = "" if row.endpoint_id == "deploy_apply" else row.endpoint_id
    lines = ["  ".join((row.job_id, f"{row.state:<{wide}}", when, price, model)).rstrip()]
    tags = "".join(f"  #{tag}" for tag in row.tags)
    if row.prompt or tags:
        lines.append(f"{one_line(row.prompt, len(row.prompt))}{tags}".strip())
    if row.parents:
        lines.append(f"from {', '.join(row.parents)}")
    lines += row.files
    if row.more_files:
        lines.append(f"{row.more_files} more files")
    if row.note:
        lines.append(row.note)
    return "\n    ".join(lines)


def sums(answer: Answer) -> str:
    """Return what was spent in columns: of what, dollars, jobs."""
    view = answer.result
    if not isinstance(view, SpendingView):
        return answer.text
    wide = _widest([row.name for row in view.rows])
    dear = _widest([money(row.spent) for row in view.rows])
    told = [_sum(row, wide, dear) for row in view.rows]
    return "\n".join([answer.text.partition("\n")[0], *told, *view.notes])


def _sum(row: SpentRow, wide: int, dear: int) -> str:
    jobs = "1 job" if row.jobs == 1 else f"{row.jobs} jobs"
    reserved = f", {money(row.reserved)} set aside" if row.reserved else ""
    return f"  {row.name:<{wide}}  {money(row.spent):>{dear}}  {jobs}{reserved}"


def model_described(answer: Answer) -> str:
    """Return a model with its example as the command that a person would type."""
    model = answer.result
    if not isinstance(model, ModelDescription):
        return answer.text
    lines = [
        f"example: {example_command(model)}" if line.startswith("example: {") else line
        for line in answer.text.split("\n")
    ]
    return "\n".join(lines)


def example_command(model: ModelDescription) -> str:
    """Return the command that runs the example of *model*."""
    given = dict(model.example)
    words = ["falkit", "run", model.endpoint_id]
    if isinstance(prompt := given.get("prompt"), str) and "=" not in prompt:
        words.append(prompt)
        given.pop("prompt")
    for name, value in given.items():
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        words.append(f"{name}={text}")
    return " ".join(map(quoted, words))


def log_lines(answer: Answer) -> str:
    """Return what apps said, by the clock here; empty where they said nothing."""
    view = answer.result
    if not isinstance(view, AppLogsView):
        return answer.text
    first = answer.text.partition("\n")[0]
    left_out = [first] if first.startswith("(") else []
    told = [
        f"{datetime.fromisoformat(line.at).astimezone():%Y-%m-%d %H:%M:%S} "
        f"{line.level} {line.app}: {line.message}"
        for line in view.lines
    ]
    return "\n".join([*left_out, *told])


def _instead(text: str, told: dict[str, str]) -> str:
    """Return *text* with each line of cells that begins with a key of *told* as told there."""
    return "\n".join(told.get(line.partition(" | ")[0], line) for line in text.split("\n"))


def _dollars(amount: float | None) -> str:
    return "" if amount is None else f"${amount:g}"


def _widest(cells: list[str]) -> int:
    return min(max(map(len, cells), default=0), WIDEST)
