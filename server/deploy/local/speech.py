"""`Speech`: hears what runners say, for the log of their app and for those of its requests."""

import logging
import re
import sqlite3
from collections import Counter, deque
from dataclasses import replace
from datetime import UTC, datetime
from typing import Literal

import anyio

from server.deploy.local.logs import LogBook
from server.emulator.hosted import House
from tools.deploy_records import LogLine

log = logging.getLogger("falkit.deploy")

REMEMBERED = 2_000
MOST_WORDS = 300  # of an exception
MOST_LINES = 10_000  # of one request in its own log
FURTHER = "It says much more, which stands in the log of the app alone"
_FORWARD = re.compile(r"Traceback \(most recent call last\):\n[ |]*File ")  # one that was logged
UPLOADING = "HTTP Request: POST http://localhost/v1/upload"  # httpx says so at level INFO


class Speech:
    """What apps of this process said. Lines of queue requests also go into the requests' logs."""

    def __init__(self, house: House, book: LogBook) -> None:
        self._house = house
        self._book = book
        self._lines: deque[tuple[str, float, str, str]] = deque()
        self._came = anyio.Event()
        self._heard: Counter[str] = Counter()
        self._ours: dict[str, str] = {}  # the requests of the queue that we carried out, in order,
        # each with the last exception that no code of the app caught

    def begin(self, request_id: str) -> None:
        """From now on a request of the queue is in a runner."""
        self._ours[request_id] = ""
        self._heard[request_id] = 0
        while len(self._ours) > REMEMBERED:
            oldest = next(iter(self._ours))
            del self._ours[oldest]
            self._heard.pop(oldest, None)

    def hear(self, line: LogLine) -> None:
        """Take in a line that a runner said; of uploads to falkit itself nobody needs to know."""
        is_ours = line.request_id in self._ours
        if is_ours:
            self._heard[line.request_id] += 1
            self._ours[line.request_id] = raised(line) or self._ours[line.request_id]
            self._wake()
        if UPLOADING in line.message:
            return
        self._book.write(line)
        if not is_ours or self._heard[line.request_id] > MOST_LINES:
            return
        if self._heard[line.request_id] == MOST_LINES:
            line = replace(line, message=FURTHER)
        level = "WARN" if line.level == "warning" else line.level.upper()
        self._lines.append((line.request_id, line.at.timestamp(), level, line.message))
        self._wake()

    def failure(self, request_id: str) -> str:
        """Return the exception that ended a request in its app, if one did, in one line."""
        return self._ours.get(request_id, "")

    def _wake(self) -> None:
        came, self._came = self._came, anyio.Event()
        came.set()

    def note(
        self, app: str, revision: str, level: Literal["info", "warning", "error"], words: str
    ) -> None:
        """Write a line of our own into the log of *app*."""
        self._book.write(LogLine(datetime.now(UTC), level, words, app, revision))

    async def settle(self, request_id: str, lines: int) -> None:
        """Return when so many lines of a request were heard, or after a moment."""
        if self._heard[request_id] >= lines:
            return
        with anyio.move_on_after(0.1):
            while self._heard[request_id] < lines:
                await self._came.wait()

    async def write_down(self) -> None:
        """Write the lines that were heard into the logs of their requests."""
        if not self._lines:
            return
        lines = list(self._lines)
        self._lines.clear()
        try:
            await self._house.store.do(self._house.rows.said, lines)
        except sqlite3.OperationalError as problem:  # they stand in the app's own log
            log.warning("lines of requests could not be written: %s", problem)
        for request_id in {line[0] for line in lines}:
            self._house.changes.tell(request_id)

    async def work(self) -> None:
        """Write lines down as they come, until cancelled."""
        while True:
            while not self._lines:
                await self._came.wait()
            await self.write_down()
            await anyio.sleep(0.05)


def raised(line: LogLine) -> str:
    """Return the exception that a traceback, innermost frame first, tells of; else nothing."""
    words, _, frames = line.message.partition('\n  File "')
    if line.level != "error" or not frames or _FORWARD.search(line.message):
        return ""
    return " ".join(words.split())[:MOST_WORDS]
