"""`VoidKeys`: a key that was deleted, or whose secret is wrong, opens none of the hosts."""

import hmac

from starlette.types import ASGIApp, Receive, Scope, Send

from server.emulator.answers import KEY, VOID_KEY
from server.emulator.platform_api.callers import digest
from server.emulator.store import Store

AUTHORIZATION = b"authorization"
TOLD = "SELECT 1 FROM sqlite_master WHERE name = 'api_keys'"


class VoidKeys:
    """Marks requests that come with a void key; whoever needs a key then answers 401."""

    def __init__(self, app: ASGIApp, store: Store) -> None:
        self._app = app
        self._store = store
        self._told = False  # there is a table of keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket"):
            given = next((value for name, value in scope["headers"] if name == AUTHORIZATION), b"")
            found = KEY.match(given.decode("latin-1"))
            if found and await self._store.peek(self._is_void, found[1], found[2]):
                scope[VOID_KEY] = True
        await self._app(scope, receive, send)

    def _is_void(self, key_id: str, secret: str) -> bool:
        db = self._store.reading()
        # The platform API makes its tables when it is first asked; before that no key is void.
        self._told = self._told or db.execute(TOLD).fetchone() is not None
        if not self._told:
            return False
        found = db.execute("SELECT secret, deleted FROM api_keys WHERE id = ?", (key_id,))
        row = found.fetchone()
        if row is None:
            return False
        wrong = row["secret"] and not hmac.compare_digest(row["secret"], digest(secret))
        return bool(wrong or row["deleted"])
