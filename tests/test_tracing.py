"""Spans of messages: for whoever set up what takes them, and for nobody else."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.house import environment

# A process that looks for its calls in a tracer of its own, set up before falkit is imported.
TRACED = """
import asyncio
import sys
from contextlib import contextmanager
from pathlib import Path

from opentelemetry.trace import INVALID_SPAN, NoOpTracer, TracerProvider, set_tracer_provider


class Telling(NoOpTracer):
    @contextmanager
    def start_as_current_span(self, name, *args, **more):
        print(name)
        yield INVALID_SPAN


class Provider(TracerProvider):
    def get_tracer(self, *args, **more):
        return Telling()


if sys.argv[2:]:
    set_tracer_provider(Provider())

from tests.house import connected


async def main():
    async with connected(Path(sys.argv[1])) as client:
        server = client.server._lowlevel_server
        print([type(one).__name__ for one in server.middleware])
        await client.call_tool("search_models", {"query": "a photo"})


asyncio.run(main())
"""


@pytest.mark.proof
@pytest.mark.parametrize("traced", [True, False], ids=["traced", "not traced"])
def test_calls_are_traced_where_somebody_set_up_what_takes_the_spans(
    tmp_path: Path, traced: bool
) -> None:
    command = [sys.executable, "-c", TRACED, str(tmp_path), *(["traced"] if traced else [])]
    told = subprocess.run(
        command, capture_output=True, text=True, check=True, timeout=60, env=environment(tmp_path)
    ).stdout
    assert ("OpenTelemetryMiddleware" in told) == traced
    assert ("tools/call search_models" in told) == traced
