"""`Shelf`: the files of the emulator's CDN, on disk under their ids with a row each."""

import base64
import json
import os
import re
import secrets
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote, unquote, urlsplit

from server.emulator.acl import EVERYBODY, Access, Acl
from server.emulator.reading import read_json
from server.emulator.store import Store, count
from server.home import is_device

SETTINGS = "storage_settings"  # the account's own wishes, as JSON of the form of a lifecycle

# In stored outputs a file's URL begins with this word; readers get their own base in its place.
CDN = "emulator-cdn:"
# Bytes in stored outputs are base64 after this word; JSON tells it so, msgpack the bytes.
BYTES = "emulator-bytes:"
# A stored output that is no JSON at all: its media type and base64, as in a data URI.
RAW = "emulator-raw:"
ON_SHELF = re.compile(r"/cdn/files/b/([0-9a-f]{8})/[^/?#]+$")


@dataclass(frozen=True, slots=True)
class Lifecycle:
    """How long a file lives, in seconds (None: for good), who may read it, and whose it is."""

    seconds: float | None = None
    acl: Acl = EVERYBODY
    user: str = ""

    @classmethod
    def of(cls, header: str | None, user: str = "", settings: str | None = None) -> "Lifecycle":
        """Return what an ``X-Fal-Object-Lifecycle-Preference`` header asks for.

        What it leaves open is as the account's *settings* say. What cannot be read counts as not
        given; nothing and zero mean no expiry (documented in the released client's source).
        """
        wanted = {**_object(settings), **_object(header)}
        seconds = wanted.get("expiration_duration_seconds")
        return cls(
            float(seconds) if isinstance(seconds, int | float) and seconds > 0 else None,
            Acl.of(wanted.get("initial_acl")) or EVERYBODY,
            user,
        )


def _object(text: str | None) -> Mapping[str, Any]:
    """Return the object in *text*, an empty one where there is none."""
    try:
        given: Any = read_json(text or "null")
    except ValueError:
        return {}
    return cast("Mapping[str, Any]", given) if isinstance(given, dict) else {}


@dataclass(frozen=True, slots=True)
class Shelved:
    """One file of the CDN. *bytes* is None until its content has arrived.

    *rules* is JSON, *user* the id of its owner's key.
    """

    file_id: str
    name: str
    media_type: str
    bytes: int | None
    created: float
    expires: float | None
    access: Access
    rules: str | None = None
    user: str | None = None

    @property
    def url(self) -> str:
        """The address with `CDN` in the place of a base."""
        return f"{CDN}/files/b/{self.file_id}/{quote(self.name)}"

    @property
    def acl(self) -> Acl:
        """Who may read it."""
        return Acl.stored(self.access, self.rules)

    @property
    def is_expired(self) -> bool:
        return self.expires is not None and self.expires < time.time()

    def as_row(self) -> tuple[Any, ...]:
        """Return the columns of the table of files."""
        return (
            self.file_id, self.name, self.media_type, self.bytes, self.created, self.expires,
            self.access, self.rules, self.user,
        )  # fmt: skip


class Shelf:
    """The files of one folder. Its methods are synchronous: `Store.do` or a thread runs them."""

    def __init__(self, folder: Path, store: Store) -> None:
        self._folder = folder / "files"
        self._store = store
        self._folder.mkdir(mode=0o700, exist_ok=True)

    def place(self, name: str, media_type: str, lifecycle: Lifecycle) -> Shelved:
        """Return a new empty place; it is known to readers only once its row is written."""
        name = safe_name(name)
        while True:
            file_id = secrets.token_hex(4)
            try:
                (self._folder / file_id).mkdir(mode=0o700)
            except FileExistsError:
                continue
            break
        now = time.time()
        expires = None if lifecycle.seconds is None else now + lifecycle.seconds
        rules = json.dumps(lifecycle.acl.as_json()["rules"])
        default, user = lifecycle.acl.default, lifecycle.user or None
        return Shelved(file_id, name, media_type, None, now, expires, default, rules, user)

    def path(self, file: Shelved) -> Path:
        """Return where the content of *file* lies, or will."""
        return self._folder / file.file_id / file.name

    def move_in(self, made: Path, media_type: str, lifecycle: Lifecycle) -> Shelved:
        """Move a file that a runner made onto the shelf; its row is written by the caller."""
        file = self.place(made.name, media_type, lifecycle)
        target = self.path(file)
        shutil.move(made, target)
        target.chmod(0o600)
        return replace(file, bytes=target.stat().st_size)

    def announce(self, file: Shelved) -> None:
        """Write the row of an upload that was promised and whose content is still to come."""
        with self._store.writing() as db:
            db.execute("INSERT INTO files VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", file.as_row())

    def take_in(self, file: Shelved, arrived: Path, media_type: str) -> Shelved:
        """Make *arrived* the content of *file* and write its row."""
        size = arrived.stat().st_size
        os.replace(arrived, self.path(file))  # noqa: PTH105  # atomic, over an earlier content
        filled = replace(file, bytes=size, media_type=media_type or file.media_type)
        with self._store.writing() as db:
            db.execute(
                "INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", filled.as_row()
            )
            count(db, "uploads")
        return filled

    def find(self, file_id: str) -> Shelved | None:
        """Return the file of that id, expired or not, or None."""
        found = self._store.reading().execute("SELECT * FROM files WHERE id = ?", (file_id,))
        row = found.fetchone()
        return None if row is None else Shelved(*row)

    def restrict(self, file_id: str, acl: Acl) -> None:
        """Let *acl* decide from now on who may read the file of that id."""
        with self._store.writing() as db:
            db.execute(
                "UPDATE files SET access = ?, rules = ? WHERE id = ?",
                (acl.default, json.dumps(acl.as_json()["rules"]), file_id),
            )

    def lifecycle(self, header: str | None, user: str) -> Lifecycle:
        """Return what *header* asks for a new file of *user*, and else what the account wishes."""
        found = self._store.reading().execute("SELECT value FROM facts WHERE name = ?", (SETTINGS,))
        row = found.fetchone()
        return Lifecycle.of(header, user, None if row is None else row["value"])

    def discard(self, file: Shelved) -> None:
        """Take away the content of a place that never got its row."""
        shutil.rmtree(self._folder / file.file_id, ignore_errors=True)


def file_id_in(url: str) -> str | None:
    """Return the id of the file that *url* names on this kind of CDN, under whatever base."""
    found = ON_SHELF.search(urlsplit(url).path)
    return found.group(1) if found else None


def safe_name(name: str) -> str:
    """Return the last part of *name* as a file name that every system takes, never empty."""
    last = re.split(r"[\\/]", unquote(name))[-1]
    last = re.sub(r'[\x00-\x1f\x7f<>:"|?*%#]+', "_", last).strip(". ")
    stem, dot, suffix = last.rpartition(".")
    if len(last.encode()) > 120:
        last = f"{(stem or last)[:24]}{dot}{suffix[:10]}"
    if is_device(last):
        last = f"_{last}"
    return last or "upload.bin"


def raw_of(body: bytes, media_type: str) -> str:
    """Return what is stored of an output that is *body* itself."""
    kind = media_type.replace(" ", "").replace(",", "") or "application/octet-stream"
    return f"{RAW}{kind};base64,{base64.b64encode(body).decode()}"


def raw_in(value: Any) -> tuple[bytes, str] | None:  # noqa: ANN401  # JSON
    """Return body and media type of an output that `raw_of` stored, None of any other."""
    if not isinstance(value, str) or not value.startswith(RAW):
        return None
    kind, _, packed = value.removeprefix(RAW).rpartition(";base64,")
    return base64.b64decode(packed), kind


def with_bytes(value: Any) -> Any:  # noqa: ANN401  # JSON
    """Return *value* with the bytes themselves where a stored output has words for them."""
    if isinstance(value, str) and value.startswith(BYTES):
        return base64.b64decode(value.removeprefix(BYTES))
    if isinstance(value, list):
        return [with_bytes(item) for item in cast("list[Any]", value)]
    if isinstance(value, dict):
        return {key: with_bytes(item) for key, item in cast("dict[str, Any]", value).items()}
    return value


def with_base(value: Any, base: str) -> Any:  # noqa: ANN401  # JSON
    """Return *value* with every shelf address in it moved under *base*, such as ``http://h/cdn``."""
    if isinstance(value, str):
        if value.startswith(BYTES):
            return value.removeprefix(BYTES)
        if value.startswith(RAW):
            return f"data:{value.removeprefix(RAW)}"
        return base + value.removeprefix(CDN) if value.startswith(CDN) else value
    if isinstance(value, list):
        return [with_base(item, base) for item in cast("list[Any]", value)]
    if isinstance(value, dict):
        return {key: with_base(item, base) for key, item in cast("dict[str, Any]", value).items()}
    return value
