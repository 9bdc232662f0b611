"""Ctrl-C at a command: the first leaves in order, the second leaves at once."""

import os
import signal
import threading
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn, TypeVar, TypeVarTuple

import anyio

INTERRUPTED = "interrupted; jobs run on: `falkit jobs` lists them, `falkit keep` brings them home"
LEFT = 130  # the exit code, as shells have it

Given = TypeVarTuple("Given")
Told = TypeVar("Told")


def run(main: Callable[[*Given], Awaitable[Told]], *given: *Given) -> Told:
    """Return what *main* returns on a new event loop, which a second Ctrl-C does not wait for."""

    async def heeding() -> Told:
        with leaving_at_the_second():
            return await main(*given)

    return anyio.run(heeding)


@contextmanager
def leaving_at_the_second() -> Generator[None]:
    """Have the first Ctrl-C do what it does, and the second end the process where it stands.

    Nothing is lost with it: whatever counts is written before it happens, since a process may be
    killed at any time. Left to itself, the event loop breaks off in its own middle instead and
    tells of that in tracebacks. Once pressed, this holds to the end of the process.
    """
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield
        return
    pressed = False

    def heard(number: int, frame: FrameType | None) -> None:
        nonlocal pressed
        if pressed:
            _leave()
        pressed = True
        before(number, frame)

    signal.signal(signal.SIGINT, heard)
    try:
        yield
    finally:
        if not pressed:
            signal.signal(signal.SIGINT, before)


def _leave() -> NoReturn:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a third must not break off these words
    is_dumb = os.environ.get("TERM") == "dumb" or not os.isatty(2)
    shown = "" if is_dumb else "\x1b[?25h"  # a line of progress hides the cursor
    with suppress(OSError):
        # Not by `print`: the first may have been caught in the middle of one.
        os.write(2, f"{shown}\nfalkit: {INTERRUPTED}\n".encode())
    os._exit(LEFT)
