"""A program run at a terminal of its own, as a person would see it."""

import os
import select
import struct
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

if sys.platform != "win32":
    import pty
    import termios
    from fcntl import ioctl

WITHIN = 60.0


def typed(
    argv: Sequence[str],
    folder: Path,
    env: Mapping[str, str],
    *,
    answer: str = "",
    columns: int = 200,
    interrupt_at: str = "",
    presses: int = 1,
) -> tuple[str, int]:
    """Return what `falkit` *argv* shows on a terminal of *columns*, and its exit code.

    *answer* is typed at the first question that ends in a colon and a blank; where *interrupt_at*
    is shown, Ctrl-C is pressed as many times as *presses* says.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FAL")}
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(folder)
        program = [sys.executable, "-m", "falkit", *argv]
        os.execve(  # noqa: S606  # that is what a child of a terminal is for
            sys.executable, program, {**kept, "TERM": "xterm", **env}
        )
    ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    shown = b""
    until = time.monotonic() + WITHIN
    try:
        while time.monotonic() < until:
            if not select.select([terminal], [], [], 1.0)[0]:
                continue
            try:
                some = os.read(terminal, 65536)
            except OSError:  # the other end is closed
                break
            if not some:
                break
            shown += some
            if answer and shown.rstrip(b" ").endswith(b":") and b"Type yes" in shown:
                os.write(terminal, answer.encode() + b"\n")
                answer = ""
            if interrupt_at and interrupt_at.encode() in shown:
                for _ in range(presses):
                    os.write(terminal, b"\x03")
                    time.sleep(0.02)  # as fast as a finger; the signals must not be one
                interrupt_at = ""
    finally:
        os.close(terminal)
    _, status = os.waitpid(child, 0)
    return shown.decode("utf-8", "replace"), os.waitstatus_to_exitcode(status)
