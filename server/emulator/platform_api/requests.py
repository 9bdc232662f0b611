"""`Requests`: the account's history, its search, and the end of stored payloads."""

import json
import sqlite3
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.responses import Response
from starlette.routing import BaseRoute

from server.emulator.answers import ApiRefusal, base_of, json_answer
from server.emulator.history import ORDERS, STATUS_RULES, Wanted, listed
from server.emulator.platform_api.alike import likeness, words_in
from server.emulator.platform_api.asked import DAY, Asked, listing, need_uri, need_uuid
from server.emulator.platform_api.door import Door, Reply
from server.emulator.shelf import Shelf, Shelved, file_id_in, with_base
from server.emulator.telling import instant

LONGEST = 90 * DAY
MOST_LOOKED_AT = 5000  # requests that one search reads, newest first
LEAST_ALIKE = 0.15


@dataclass(frozen=True, slots=True)
class Requests:
    """The operations on requests of the past."""

    door: Door
    shelf: Shelf

    def routes(self) -> list[BaseRoute]:
        """Return the routes of this family."""
        reads = "models:requests:read"
        return [
            self.door.route("GET", "/models/requests/by-endpoint", self.by_endpoint, reads),
            self.door.route("GET", "/models/requests/search", self.search, reads),
            self.door.route(
                "DELETE",
                "/models/requests/{request_id}/payloads",
                self.delete_payloads,
                "models:payloads:write",
            ),
        ]

    async def by_endpoint(self, asked: Asked) -> Response:
        """List the account's requests to the given endpoints, with payloads where asked."""
        return await history(self.door, asked, asked.ids(required=True), ("payloads",))

    async def search(self, asked: Asked) -> Response:
        """Search the account's requests by words or by a file that they took or made.

        Words are compared with those of the input. A file is found under its own address alone.
        """
        given = {name: asked.text(name) for name in ("query", "image_url", "video_url")}
        given = {name: text for name, text in given.items() if text}
        if len(given) > 1:
            raise ApiRefusal(400, f"{', '.join(given)}: only one of them may be given")
        for name in set(given) - {"query"}:
            need_uri(given[name], name)
        neither = asked.flag("exclude_api_requests")
        if neither and asked.flag("only_api_requests"):
            raise ApiRefusal(400, "exclude_api_requests and only_api_requests: only one may be set")
        ids = asked.ids() or asked.ids("endpoint")
        least = asked.number("min_similarity", 0, 1, LEAST_ALIKE if given else 0)
        page = asked.page()
        if neither:  # all that ever comes in here comes in over the API
            return listing("results", page, [])
        found = await self.door.do(self._found, ids, asked.cdn)
        if given:
            ((name, text),) = given.items()
            found = _ranked(found, name, text, least)
        return listing("results", page, found)

    def _found(self, endpoint_ids: Sequence[str], cdn: str) -> list[dict[str, Any]]:
        """Return the requests to *endpoint_ids* (none: to all), newest first."""
        rule = f"WHERE endpoint_id IN ({', '.join('?' * len(endpoint_ids))})"
        found = self.door.store.reading().execute(
            f"SELECT * FROM requests {rule if endpoint_ids else ''}"  # noqa: S608  # marks only
            " ORDER BY created DESC, id LIMIT ?",
            (*endpoint_ids, MOST_LOOKED_AT),
        )
        return [_result(row, cdn) for row in found.fetchall()]

    async def delete_payloads(self, asked: Asked) -> Response:
        """Forget input and output of a request that is over, and delete the files it made."""
        request_id = need_uuid(asked.path("request_id"), "request_id")
        deleted: list[Shelved] = []

        def work(db: sqlite3.Connection) -> Reply:
            row = db.execute("SELECT * FROM requests WHERE id = ?", (request_id,)).fetchone()
            if row is None:
                raise ApiRefusal(404, f"Request {request_id} not found")
            if row["state"] != "COMPLETED":
                raise ApiRefusal(400, f"Request {request_id} is still in progress")
            files = [file for url in made_urls(row["output"]) if (file := self._file(url))]
            options = {**json.loads(row["options"]), "store_io": False, "deleted": True}
            db.execute(
                "UPDATE requests SET input = 'null', output = 'null', options = ? WHERE id = ?",
                (json.dumps(options), request_id),
            )
            for file in files:
                db.execute("DELETE FROM files WHERE id = ?", (file.file_id,))
            db.execute("UPDATE assets SET url = NULL WHERE request_id = ?", (request_id,))
            deleted.extend(files)
            links = [with_base(file.url, asked.cdn) for file in files]
            return Reply(
                {"cdn_delete_results": [{"link": link, "exception": None} for link in links]}
            )

        told = await self.door.change(asked, work)
        for file in deleted:
            await self.door.do(self.shelf.discard, file)
        return told

    def _file(self, url: str) -> Shelved | None:
        file_id = kept_id(url)
        return self.shelf.find(file_id) if file_id else None


async def history(
    door: Door,
    asked: Asked,
    endpoint_ids: Sequence[str],
    expansions: Sequence[str],
    *,
    runners: bool = False,
) -> Response:
    """List requests to *endpoint_ids* as the query chooses them, with *runners* where asked."""
    expand = asked.many("expand", expansions)
    request_id = asked.uuid("request_id")
    page = asked.page()
    now = time.time()
    # A request that came in at this very moment is listed too.
    start, end = asked.window(now + 1, LONGEST + 1 if request_id else DAY + 1)
    wanted = Wanted(
        endpoint_ids=endpoint_ids,
        start=start,
        end=end,
        status=asked.word("status", tuple(STATUS_RULES)),
        request_id=request_id,
        sort_by=asked.word("sort_by", tuple(ORDERS), "ended_at"),
        payloads="payloads" in expand,
        limit=page.limit,
        offset=page.offset,
    )
    items, more = await door.do(listed, door.store, wanted, base_of(asked.request))
    if "billing" in expand:
        units = await door.do(_units, door, [item["request_id"] for item in items])
        items = [{**item, "billable_units": units[item["request_id"]]} for item in items]
    if runners:
        items = [{**item, "runner_id": runner_of(item)} for item in items]
    told = page.told(page.offset + page.limit + more)
    return json_answer({"items": items, **told})


def _units(door: Door, request_ids: Sequence[str]) -> Mapping[str, float | None]:
    marks = ", ".join("?" * len(request_ids))
    found = door.store.reading().execute(
        f"SELECT id, units FROM requests WHERE id IN ({marks})",  # noqa: S608  # marks only
        request_ids,
    )
    return {row["id"]: row["units"] for row in found.fetchall()}


def runner_of(item: Mapping[str, Any]) -> str | None:
    """Return an id for the runner of a request, None where it has not ended yet.

    The emulator draws each request by itself, so each has a runner of its own.
    """
    if item["ended_at"] is None:
        return None
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"runner:{item['request_id']}"))


def kept_id(url: str) -> str | None:
    """Return the id of the file that *url*, stored or as told to a caller, names on the shelf."""
    return file_id_in(with_base(url, "http://emulator.invalid/cdn"))


def made_urls(output: str | None) -> list[str]:
    """Return every address in a stored output (JSON) that lies on the emulator's own shelf."""
    found: dict[str, None] = {}

    def look(value: Any) -> None:  # noqa: ANN401  # JSON
        if isinstance(value, str) and kept_id(value):
            found[value] = None
        for inner in children(value):
            look(inner)

    look(json.loads(output or "null"))
    return list(found)


def children(value: Any) -> list[Any]:  # noqa: ANN401  # JSON
    """Return what lies directly inside a list or an object, nothing of anything else."""
    if isinstance(value, dict):
        return list(value.values())  # pyright: ignore[reportUnknownArgumentType, reportUnknownMemberType]  # JSON
    return list(value) if isinstance(value, list) else []  # pyright: ignore[reportUnknownArgumentType]  # JSON


def _result(row: Any, cdn: str) -> dict[str, Any]:  # noqa: ANN401  # a row
    started, ended = row["started"] or row["created"], row["ended"]
    result: dict[str, Any] = {
        "request_id": row["id"],
        "endpoint_id": row["endpoint_id"],
        "started_at": instant(started),
        "sent_at": instant(row["created"]),
        "ended_at": None if ended is None else instant(ended),
        "status_code": row["status_code"],
        "duration": None if ended is None else round(max(0.0, ended - started), 3),
    }
    if json.loads(row["options"]).get("store_io", True):
        result["json_input"] = json.loads(row["input"])
        result["json_output"] = with_base(json.loads(row["output"] or "null"), cdn)
    return result


def _ranked(
    found: Sequence[dict[str, Any]], name: str, text: str, least: float
) -> list[dict[str, Any]]:
    """Return those of *found* that are at least so alike, the most alike first."""
    scored = [
        {**result, "similarity": round(_similarity(result, name, text), 4)} for result in found
    ]
    near = [result for result in scored if result["similarity"] >= max(least, 1e-9)]
    return sorted(near, key=lambda result: -float(result["similarity"]))


def _similarity(result: Mapping[str, Any], name: str, text: str) -> float:
    payloads = [result.get("json_input"), result.get("json_output")]
    if name == "query":
        return likeness(text, " ".join(words_in(payloads[0])))
    wanted = kept_id(text)
    for value in strings_in(payloads):
        if value == text or (wanted and kept_id(value) == wanted):
            return 1.0
    return 0.0


def strings_in(value: Any) -> list[str]:  # noqa: ANN401  # JSON
    """Return every text in *value*, however deep."""
    if isinstance(value, str):
        return [value]
    return [text for inner in children(value) for text in strings_in(inner)]
