"""`Webhooks`: tell a caller's server how its request ended, again and again until it hears.

What is still to be told is rows under leases, as requests are: any process may tell it.
"""

import json
import logging
import sqlite3
import time
import uuid
from dataclasses import dataclass
from typing import Any

import anyio
import httpx
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from server.emulator.answers import json_answer
from server.emulator.fetching import FetchError, aim
from server.emulator.pace import Pace
from server.emulator.rows import Row, Rows
from server.emulator.shelf import with_base
from server.emulator.signing import SigningKeys
from server.emulator.store import Store
from server.emulator.telling import gateway_id, lifetime

log = logging.getLogger("falkit.emulator")

MOST_ATTEMPTS = 31
FIRST_GAP, GROWTH = 2.0, 1.2  # seconds; 31 attempts take about 40 minutes
LEAST_GAP = 0.02
FIRST_PATIENCE, PATIENCE = 15.0, 120.0  # seconds in which a receiver must answer
AT_ONCE = 8
LOOK_SECONDS = 5.0  # how often to look while a request that wants a webhook is under way elsewhere
PROBLEM_SECONDS = 1.0
USER = "emulator"  # whom a token without a key stands for

DUE = "SELECT * FROM webhooks WHERE state = 'due' AND due <= ? AND COALESCE(lease, 0) < ?"
NEXT = "SELECT MIN(MAX(due, COALESCE(lease, 0))) FROM webhooks WHERE state = 'due'"
AWAITED = """
    SELECT 1 FROM requests WHERE state != 'COMPLETED'
        AND json_extract(options, '$.webhook') IS NOT NULL LIMIT 1
"""


@dataclass(frozen=True, slots=True)
class Due:
    """A delivery that one process has taken on.

    *attempt* counts from 1, *patience* is how many seconds the receiver has.
    """

    request_id: str
    url: str
    attempt: int
    patience: float


class WebhookRows:
    """What is still to be delivered in one folder. Methods are for `Store.do`."""

    def __init__(self, store: Store, lease_seconds: float) -> None:
        self._store = store
        self.lease_seconds = lease_seconds

    def claim(self, owner: str) -> Due | None:
        """Lease the delivery that has been due the longest, or return None."""
        now = time.time()
        if not self._store.reading().execute(f"{DUE} LIMIT 1", (now, now)).fetchone():
            return None
        with self._store.writing() as db:
            row = db.execute(f"{DUE} ORDER BY due LIMIT 1", (now, now)).fetchone()
            if row is None:
                return None
            patience = PATIENCE if row["attempts"] else FIRST_PATIENCE
            db.execute(
                "UPDATE webhooks SET attempts = attempts + 1, owner = ?, lease = ?"
                " WHERE request_id = ?",
                (owner, now + self.lease_seconds, row["request_id"]),
            )
            return Due(row["request_id"], row["url"], row["attempts"] + 1, patience)

    def note(self, owner: str, due: Due, state: str, words: str, gap: float = 0.0) -> None:
        """Write down what came of a delivery, unless another process has it by now."""
        with self._store.writing() as db:
            db.execute(
                "UPDATE webhooks SET state = ?, last = ?, due = ?, lease = NULL, owner = NULL"
                " WHERE request_id = ? AND owner = ? AND attempts = ?",
                (state, words, time.time() + gap, due.request_id, owner, due.attempt),
            )

    def renew(self, owner: str) -> None:
        """Lengthen the leases of *owner*, who is still waiting for answers."""
        with self._store.writing() as db:
            db.execute(
                "UPDATE webhooks SET lease = ? WHERE owner = ?",
                (time.time() + self.lease_seconds, owner),
            )

    def release(self, owner: str) -> None:
        """Give back what *owner* has not brought to an end; another process may try at once."""
        with self._store.writing() as db:
            db.execute("UPDATE webhooks SET lease = NULL, owner = NULL WHERE owner = ?", (owner,))

    def next_look(self) -> float:
        """Return in how many seconds something may be due, infinity if nothing is awaited."""
        due = self._store.reading().execute(NEXT).fetchone()[0]
        if due is not None:
            return max(0.01, due - time.time())
        awaited = self._store.reading().execute(AWAITED).fetchone()
        return LOOK_SECONDS if awaited else float("inf")

    def listed(self) -> list[dict[str, Any]]:
        """Return what became of every webhook, oldest request first."""
        found = self._store.reading().execute(
            "SELECT request_id, url, state, attempts, last FROM webhooks ORDER BY rowid"
        )
        return [dict(row) for row in found]


class Webhooks:
    """The deliveries that this process makes.

    A delivery is acknowledged by any 2xx; a redirect is a failure for good; everything else is
    tried again with growing gaps, 31 times at the most and only while the result lives. Private
    addresses are never spoken to; *loopback* allows those of this machine.
    """

    def __init__(
        self, store: Store, rows: Rows, keys: SigningKeys, pace: Pace, *, loopback: bool
    ) -> None:
        self.owner = str(uuid.uuid4())
        self.rows = WebhookRows(store, rows.lease_seconds)
        self._store = store
        self._requests = rows
        self.keys = keys
        self._pace = pace
        self._loopback = loopback
        self._kicked = anyio.Event()
        self._held = 0  # deliveries on their way
        self._beating = False

    def routes(self) -> list[BaseRoute]:
        """Return where receivers find the keys, and where a person sees and turns things."""
        return [
            Route("/rest/.well-known/jwks.json", self.keys.on_jwks),
            Route("/_emulator/keys", self.keys.on_rotate, methods=["POST"]),
            Route("/_emulator/webhooks", self.on_list),
        ]

    def kick(self) -> None:
        """Look for deliveries now."""
        self._kicked.set()

    async def work(self) -> None:
        """Deliver until cancelled; then give back what is held."""
        places = anyio.Semaphore(AT_ONCE)
        try:
            async with (
                httpx.AsyncClient(trust_env=False, follow_redirects=False) as http,
                anyio.create_task_group() as tasks,
            ):
                while True:
                    self._kicked = anyio.Event()
                    try:
                        await places.acquire()
                        if due := await self._claimed(places):
                            tasks.start_soon(self._deliver, http, due, places)
                            self._held += 1
                            if not self._beating:
                                self._beating = True
                                tasks.start_soon(self._beat)
                            continue
                        seconds = await self._store.peek(self.rows.next_look)
                    except sqlite3.OperationalError as problem:
                        log.warning("the emulator's database cannot be written: %s", problem)
                        seconds = PROBLEM_SECONDS
                    with anyio.move_on_after(seconds):
                        await self._kicked.wait()
        finally:
            with anyio.CancelScope(shield=True):
                await self._store.do(self.rows.release, self.owner)

    async def on_list(self, _: Request) -> Response:
        """Say what became of every webhook."""
        return json_answer({"webhooks": await self._store.do(self.rows.listed)})

    async def _beat(self) -> None:
        """Renew the leases while anything is on its way."""
        while self._held:
            try:
                await self._store.do(self.rows.renew, self.owner)
            except sqlite3.OperationalError as problem:
                log.warning("leases of webhooks could not be renewed: %s", problem)
            await anyio.sleep(self.rows.lease_seconds / 3)
        self._beating = False

    async def _claimed(self, places: anyio.Semaphore) -> Due | None:
        """Return a delivery to make, or give the place for it back."""
        due = None
        try:
            due = await self._store.peek(self.rows.claim, self.owner)
        finally:
            if due is None:
                places.release()
        return due

    async def _deliver(self, http: httpx.AsyncClient, due: Due, places: anyio.Semaphore) -> None:
        try:
            row = await self._store.do(self._requests.find, due.request_id)
            if row is None or row.ended is None:
                return
            state, words = await self._attempt(http, due, row)
            gap = max(LEAST_GAP, self._gap(due.attempt))
            if state == "due" and not self._goes_on(due, row, gap):
                state = "failed"
            log.info("webhook of %s, attempt %d: %s", due.request_id, due.attempt, words)
            await self._store.do(self.rows.note, self.owner, due, state, words, gap)
        except sqlite3.OperationalError as problem:  # its lease ends, and it is tried again
            log.warning("a webhook could not be noted down: %s", problem)
        finally:
            self._held -= 1
            places.release()
            self.kick()

    def _gap(self, attempt: int) -> float:
        """Return the seconds until the attempt after *attempt*, on the emulator's clock."""
        speed = self._pace.speed
        return FIRST_GAP * GROWTH ** (attempt - 1) / speed if speed else 0.0

    def _goes_on(self, due: Due, row: Row, gap: float) -> bool:
        ends = (row.ended or 0.0) + lifetime(row)
        return due.attempt < MOST_ATTEMPTS and time.time() + gap < ends

    async def _attempt(self, http: httpx.AsyncClient, due: Due, row: Row) -> tuple[str, str]:
        """Return what became of one attempt, as a state and in words."""
        body = _body(row)
        user = str(row.options.get("user") or USER)
        skew = float(row.options.get("skew", 0.0))
        headers = dict(await self._store.do(self.keys.sign, due.request_id, user, body, skew))
        headers["content-type"] = "application/json"
        headers["user-agent"] = "falkit-emulator"
        try:
            with anyio.fail_after(due.patience):
                aimed = await aim(due.url, loopback=self._loopback)
                request = http.build_request(
                    "POST",
                    aimed.url,
                    headers={**headers, **aimed.headers},
                    content=body,
                    extensions=aimed.extensions,
                    timeout=due.patience,
                )
                answer = await http.send(request, stream=True)
                await answer.aclose()
        except FetchError as problem:
            return "dropped", str(problem)
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError, TimeoutError) as problem:
            return "due", str(problem) or type(problem).__name__
        words = f"the receiver answered {answer.status_code}"
        if answer.is_success:
            return "delivered", words
        return ("failed" if answer.has_redirect_location else "due"), words


def _body(row: Row) -> bytes:
    """Return what a delivery says of an ended request."""
    told: dict[str, Any] = {"request_id": row.request_id, "gateway_request_id": gateway_id(row)}
    output = with_base(row.output, f"{row.options.get('base', '')}/cdn")
    if row.status_code != 200:
        told |= {"status": "ERROR", "error": f"Invalid status code: {row.status_code}"}
        return json.dumps({**told, "payload": output}).encode()
    try:
        return json.dumps({**told, "status": "OK", "payload": output}, allow_nan=False).encode()
    except ValueError as problem:
        words = f"The output cannot be written as JSON: {problem}"
        return json.dumps(
            {**told, "status": "OK", "payload": None, "payload_error": words}
        ).encode()
