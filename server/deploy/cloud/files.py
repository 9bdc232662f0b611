"""Files beside an app's source: those of the confirmed copy are sent to fal, by falkit itself."""

import hashlib
import json
import os
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anyio.to_thread import run_sync

from server.fal.problems import PlatformError
from server.fal.sender import Ask, Sender
from server.fal.wire import Answer, UnreadableAnswerError, mapped
from tools.errors import BackendError

PART_BYTES = 10 << 20
MOST_BYTES = 1 << 30  # of one file (`fal` 1.83)
THERE = 409


@dataclass(frozen=True, slots=True)
class SentFile:
    """A file as fal knows it: *digest* stands for content and *mode* (`fal.file_sync`, 1.83)."""

    digest: str
    relative: str
    path: Path
    size: int
    mtime: float
    mode: int

    def metadata(self) -> dict[str, str]:
        """Return what is told of it beside its bytes."""
        return {
            "size": str(self.size),
            "mtime": str(self.mtime),
            "mode": str(self.mode),
            "hash": self.digest,
        }


def files_in(folder: Path) -> list[SentFile]:
    """Return every file below *folder*; it blocks on the disk.

    Raises:
        BackendError: one cannot be read, or is larger than 1 GB.
    """
    found: list[SentFile] = []
    for here, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            path = Path(here) / name
            if path.is_file() and not path.is_symlink():
                found.append(_known(path, path.relative_to(folder).as_posix()))
    return found


def _known(path: Path, relative: str) -> SentFile:
    try:
        facts = path.stat()
        if facts.st_size > MOST_BYTES:
            raise BackendError(f"{relative!r} is larger than 1 GB", hint="keep it under /data")
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256")
    except OSError as problem:
        raise BackendError(f"{relative!r} cannot be read", hint="see its rights") from problem
    digest.update(str(facts.st_mode).encode())
    return SentFile(
        digest.hexdigest(), relative, path, facts.st_size, facts.st_mtime, facts.st_mode
    )


async def send_files(sender: Sender, files: Sequence[SentFile]) -> int:
    """Send those of *files* that fal has not yet, and return how many those were.

    Repeated sends do no harm: a file is kept under its digest.

    Raises:
        BackendError: fal does not take them.
    """
    by_digest = {file.digest: file for file in files}
    base = f"{sender.hosts.rest}/files"
    body = {"hashes": sorted(by_digest)}

    def understand(answer: Answer) -> list[str]:
        listed = answer.json()
        if not isinstance(listed, list):
            raise UnreadableAnswerError("the answer is no list of files")
        return [str(digest) for digest in listed]  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]

    ask = _posted(f"{base}/missing_hashes", body, "files that fal has not")
    missing = [digest for digest in await sender.read(ask, understand) if digest in by_digest]
    for digest in missing:
        await _send(sender, by_digest[digest], f"{base}/app/multipart/{digest}")
    return len(missing)


async def _send(sender: Sender, file: SentFile, place: str) -> None:
    """Send one file in parts of 10 MB, one after the other."""
    subject = f"file {file.relative[:80]!r}"
    begun = await sender.read(
        _posted(f"{place}/initiate", file.metadata(), subject, expects=(THERE,)), _upload_id
    )
    if not begun:
        return
    parts: list[dict[str, Any]] = []
    for number in range(1, max(1, -(-file.size // PART_BYTES)) + 1):
        chunk = await run_sync(_chunk, file.path, number)
        ask = _part(f"{place}/{begun}/{number}", chunk, subject)
        told = await sender.read(ask, lambda answer: mapped(answer.json()))
        parts.append({"part_number": told.get("part_number", number), "etag": told.get("etag")})
    if (await run_sync(_known, file.path, file.relative)).digest != file.digest:
        raise PlatformError(f"{subject} changed while it was sent", hint="plan it again")
    body = {"parts": parts, "metadata": file.metadata()}
    done = _posted(f"{place}/{begun}/complete", body, subject, expects=(THERE,))
    await sender.read(done, lambda answer: answer.status)


def _upload_id(answer: Answer) -> str:
    """Return the id of the upload, nothing where fal has the file by now."""
    if answer.status == THERE:
        return ""
    found = mapped(answer.json()).get("upload_id")
    if not isinstance(found, str) or not found.replace("-", "").replace("_", "").isalnum():
        raise UnreadableAnswerError("the answer holds no upload_id")
    return found


def _chunk(path: Path, number: int) -> bytes:
    with path.open("rb") as file:
        file.seek((number - 1) * PART_BYTES)
        return file.read(PART_BYTES)


def _posted(
    url: str, body: Mapping[str, Any], subject: str, *, expects: tuple[int, ...] = ()
) -> Ask:
    return Ask(
        "POST",
        url,
        subject,
        headers={"Content-Type": "application/json"},
        content=json.dumps(body).encode(),
        expects=expects,
    )


def _part(url: str, chunk: bytes, subject: str) -> Ask:
    boundary = secrets.token_hex(16)
    head = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="file_upload"; filename="chunk"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    )
    return Ask(
        "PUT",
        url,
        subject,
        headers={"Content-Type": f"multipart/form-data; boundary={boundary}"},
        content=head.encode() + chunk + f"\r\n--{boundary}--\r\n".encode(),
    )
