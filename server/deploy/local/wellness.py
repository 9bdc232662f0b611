"""Ask a runner by its app's own health check whether it is well."""

import time
from collections.abc import Callable

import anyio
import httpx

from server.deploy.local.lines import Line
from server.deploy.local.terms import Health

AGAIN_SECONDS = 0.25  # between two tries of an app that has only just started


async def ailment(line: Line, health: Health) -> str:
    """Return what is wrong with an app in words, empty where it is well."""
    headers = {"content-type": "application/json"}
    try:
        with anyio.fail_after(health.timeout):
            answer = await line.ask(health.method, health.path, headers)
    except TimeoutError:
        return f"did not answer within {health.timeout:g} seconds"
    except httpx.HTTPError as problem:
        return f"could not be made: {str(problem) or type(problem).__name__}"
    if not 200 <= answer.status_code < 300:
        return f"answered {answer.status_code}: {answer.text[:200]}"
    return ""


async def soon_well(line: Line, health: Health, seconds: float) -> str:
    """Return an empty text once an app is well, else what was wrong with it after *seconds*."""
    ends = time.monotonic() + seconds
    while True:
        words = await ailment(line, health)
        if not words or time.monotonic() > ends:
            return words
        await anyio.sleep(AGAIN_SECONDS)


async def unwell(line: Line, health: Health, every: float, is_over: Callable[[], bool]) -> str:
    """Return why an app is to be replaced, once it is so; or nothing, once *is_over*.

    It is asked *every* so many seconds. Its start is when this is called.
    """
    began, failures = time.monotonic(), 0
    while not is_over():
        await anyio.sleep(every)
        if is_over():
            break
        words = await ailment(line, health)
        failures = failures + 1 if words else 0
        if failures >= health.failures and time.monotonic() - began >= health.start:
            return f"unhealthy, so its runner is replaced: {failures} health checks {words}"
    return ""
