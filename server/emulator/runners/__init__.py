"""What actually draws, sings and moves: `run` turns one task into the output of its model."""

from collections.abc import Callable
from typing import Any

from server.emulator.work import Task

Report = Callable[[float, str], None]


def run(task: Task, report: Report) -> dict[str, Any]:
    """Return the output of *task*, shaped by the card's output schema, `Made` where files stand.

    Synchronous and busy: it belongs in a worker process. *report* hears the share that is done
    (0 to 1) and a line for the log. The same task gives the same bytes.

    Raises:
        RunnerError: the arguments or the given media are such that the model would refuse them.
        UnknownModelError: the catalog holds no such endpoint.
    """
    from catalog.index import CatalogIndex
    from server.emulator.runners.outputs import output

    return output(task, CatalogIndex.open().get(task.endpoint_id), report)
