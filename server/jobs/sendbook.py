"""`SendBook`: which submits were begun and answered, beside the journal in case that loses it."""

import logging
import os
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

log = logging.getLogger("falkit.jobs.sendbook")

NAME = "submits.log"
# Some 500 submits; as many again are kept in the file before. Only the last ones ever matter: those
# whose mark in the journal a damaged disk, or whose answer a locked one, has taken away.
FULL = 96 * 1024


@dataclass(frozen=True, slots=True)
class Entry:
    """A submit to *endpoint_id* was begun at *sent* (milliseconds since 1970) by *account*, and
    accepted as *request_id*, if it is known that it was.

    *call* is its fingerprint. *over*: it has ended, and its files are home.
    """

    sent: int
    request_id: str = ""
    account: str = ""
    endpoint_id: str = ""
    call: str = ""
    over: bool = False


class SendBook:
    """A file of short lines in *folder* that all processes of a home append to.

    What the journal says counts. The book is asked where the journal says that a job was never
    sent, or not as what. Every method blocks; one that cannot write says so in the log.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME

    def sent(self, job_id: str, at: int, account: str, endpoint_id: str, call: str) -> None:
        """Write down that a submit is about to be sent, as the journal already has it."""
        self._append(f"sent {job_id} {at} {account} {endpoint_id} {call}\n")

    def back(self, job_id: str) -> None:
        """Write down that it provably never arrived, before the journal takes its mark away."""
        self._append(f"back {job_id}\n")

    def took(self, job_id: str, request_id: str, *, durable: bool = False) -> bool:
        """Write down which request it became, and say whether it stands there."""
        return self._append(f"took {job_id} {request_id}\n", durable=durable)

    def over(self, job_id: str) -> None:
        """Write down that it has ended and is home, after the journal has it."""
        self._append(f"over {job_id}\n")

    def entry(self, job_id: str) -> Entry | None:
        """Return what the book says of a job that was sent and did not come back, else None."""
        text = self._text()
        return _entries(text).get(job_id) if job_id in text else None

    def entries(self) -> dict[str, Entry]:
        """Return what the book says of each job that was sent and did not come back."""
        return _entries(self._text())

    def turn(self) -> None:
        """Begin a new file when this one is full; for who holds the journal, one at a time."""
        with suppress(OSError):
            if self.path.stat().st_size > FULL:
                self.path.replace(self._before)

    @property
    def _before(self) -> Path:
        return self.path.with_name(f"{NAME}.old")

    def _text(self) -> str:
        text = ""
        for path in (self._before, self.path):
            with suppress(OSError):
                text += path.read_text("ascii", "replace")
        return text

    def _append(self, line: str, *, durable: bool = False) -> bool:
        try:
            handle = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                whole = os.write(handle, line.encode("ascii", "replace")) == len(line)
                if durable:
                    os.fsync(handle)
            finally:
                os.close(handle)
        except OSError as problem:
            log.info("%s cannot be written: %s", self.path, problem.strerror)
            return False
        return whole


def _entries(text: str) -> dict[str, Entry]:
    known: dict[str, Entry] = {}
    for line in text.splitlines():
        match line.split():
            case ["sent", job_id, at, account, endpoint_id, call] if at.isdecimal():
                known[job_id] = Entry(int(at), "", account, endpoint_id, call)
            case ["took", job_id, request_id] if job_id in known:
                known[job_id] = replace(known[job_id], request_id=request_id)
            case ["over", job_id] if job_id in known:
                known[job_id] = replace(known[job_id], over=True)
            case ["back", job_id]:
                known.pop(job_id, None)
            case _:
                continue  # a line that a full or broken disk cut
    return known
