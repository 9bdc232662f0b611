"""A person's yes at a terminal."""

import sys
from dataclasses import replace

import anyio
from anyio.to_thread import run_sync

from server.asking import described
from tools.ports import Job

# How a question ends, so that nobody has to guess the word.
ASKED = "Type yes (or y), anything else is a no: "


def read_before(job: Job) -> str:
    """Return what a person reads of the held *job* before the question, which is the yes."""
    return described(replace(job, note=job.note.partition(": a person")[0]))


def is_person_here() -> bool:
    """Return whether somebody reads what is shown and can answer."""
    return sys.stdin.isatty() and sys.stdout.isatty()


async def says_yes(question: str) -> bool:
    """Show *question* with the words that answer it, and return whether the person says yes.

    An end of input is a no. Cancelled, as by Ctrl-C, it does not wait for the answer any more.
    """
    print(f"{question}\n{ASKED}", end="", flush=True)
    if sys.platform == "win32":  # consoles cannot be watched there
        said = await run_sync(sys.stdin.readline, abandon_on_cancel=True)
    else:
        await anyio.wait_readable(sys.stdin)  # a thread in `readline` would outlive a Ctrl-C
        said = sys.stdin.readline()
    if not said.endswith("\n"):
        print()
    return said.strip().lower() in ("y", "yes")
