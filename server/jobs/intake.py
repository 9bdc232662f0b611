"""`MediaDesk`: where media that callers name comes in, and where pixels for models go out."""

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar, cast

import anyio
import anyio.to_thread

from catalog.errors import ActionableError
from catalog.media import MediaFacts, MediaKind
from server.jobs.chosen import chosen
from server.jobs.ids import spoken
from server.media.addresses import public_url
from server.media.copies import Copies, Copy
from server.media.keeping import (
    flat,
    kept_archive,
    kept_data,
    kept_text,
    members,
    private_folder,
    refuse_secrets,
    sha256_of,
)
from server.media.preview import preview
from server.media.probe import probe, require
from server.media.roots import Roots, inside, is_pattern, shown
from server.media.sheet import sheet
from server.media.signs import extension_for, media_type_of
from server.settings import Settings
from tools.errors import MediaError, OutOfBoundsError
from tools.ports import GivenMedia, Job, Output, Picture, Placed, View

MOST_BYTES = 1_000_000_000
MOST_VIEWED = 200_000_000
MOST_CACHED = 1_000_000_000
FETCHED_WITHIN = 40.0  # seconds; hosts end a call after 60
_MOST_KNOWN = 512

_SCHEME = re.compile(
    r"^(data|file|https?|blob|cid|sandbox|[a-z][a-z0-9+.-]+(?=://)):", re.IGNORECASE
)
_JOB = re.compile(r"^([0-9A-Za-z]{11})(?:/(\d{1,3}))?$")
_MADE = re.compile(r"-([0-9a-hjkmnp-tv-z]{11})-\d{1,3}(?:-again\d)?\.[a-z0-9.]+$")  # as kept
_JOB_ID = re.compile(r"^[0-9a-hjkmnp-tv-z]{11}$")  # after `spoken`: Crockford's base 32

T = TypeVar("T")


class PlacedFile(Protocol):
    """What an upload answers."""

    @property
    def url(self) -> str: ...
    @property
    def expires(self) -> datetime | None: ...


class FetchedFile(Protocol):
    """What a download answers: a length, a SHA-256 in hex, the media type its host stated."""

    @property
    def bytes(self) -> int: ...
    @property
    def sha256(self) -> str: ...
    @property
    def media_type(self) -> str: ...


class FileClient(Protocol):
    """What the desk needs of the platform: bytes there, bytes back."""

    async def upload(self, path: Path, *, media_type: str, file_name: str) -> PlacedFile: ...
    async def download(self, url: str, target: Path, *, max_bytes: int) -> FetchedFile: ...


class JobFinder(Protocol):
    """What the desk needs of the journal."""

    async def find(self, job_id: str) -> Job: ...


@dataclass(frozen=True, slots=True)
class _Seen:
    """What was found out about a file, as long as its *stamp* stays the same."""

    stamp: tuple[int, ...]
    identity: str
    facts: MediaFacts


class MediaDesk:
    """Find, check and upload what callers name, and draw what models see.

    The home of falkit holds what passes through: ``inline`` (data URIs), ``packed`` (folders as
    archives), ``cache`` (URLs that were viewed) and the table of uploads. Files are read in worker
    threads, at most three at a time.
    """

    def __init__(
        self, settings: Settings, roots: Roots, client: FileClient, jobs: JobFinder
    ) -> None:
        self._settings = settings
        self._roots = roots
        self._client = client
        self._jobs = jobs
        emulated = settings.backend == "emulator"
        # A wiped emulator has lost its copies, so the table goes with them.
        table = settings.home / "emulator" if emulated else settings.home
        self._copies = Copies(
            table / "uploads.db", origin=settings.hosts.cdn, account=_account(settings)
        )
        self._seen: dict[Path, _Seen] = {}
        self._sending: dict[str, anyio.Lock] = {}
        self._threads = anyio.CapacityLimiter(3)

    async def look(self, reference: str, kind: MediaKind | None = None) -> GivenMedia:
        """Find what *reference* names and check that it serves as *kind* (None: as any media).

        A path, ``file:`` or https URL, data URI, ``JOB`` (its first fitting output) or ``JOB/2``.
        Where an archive is wanted, a folder, a pattern such as ``photos/*.png`` or a JSON list of
        paths is packed into one. Files are opened and hashed, URLs not fetched. Nothing is sent.

        Raises:
            OutOfBoundsError: the path lies outside the allowed folders.
            UnknownJobError: it reads like a job, and there is none of that id.
            MediaError: there is nothing there, it does not open, or it is something else.
        """
        given = reference.strip().strip("`\"'")
        if not given:
            raise MediaError("no media was named", hint="give a path, an https URL or a job id")
        scheme = _SCHEME.match(given)
        word = scheme[1].lower() if scheme else ""
        if word == "data":
            path = await self._work(kept_data, given, self._settings.home / "inline")
            return await self._of_path(f"{given[:40]}…", path, kind, named="the inline data")
        if word in ("http", "https"):
            url = public_url(given, self._settings.hosts)
            return GivenMedia(reference, identity=url, facts=None, url=url)
        if word and word != "file":
            raise MediaError(
                f"{shown(given[:80])} cannot be read: {word}: is no source here",
                hint="give a path, a file: or https URL, a data URI or a job id",
            )
        if (job := _job_named(given)) and not await self._is_file(given):
            return await self._of_job(reference, *job, kind)
        if kind == "archive" and (packed := await self._work(self._packed, given)) is not None:
            return await self._of_path(reference, packed, kind, named=given)
        return await self._of_caller(reference, given, kind)

    async def place(self, given: GivenMedia) -> Placed:
        """Return a URL under which the backend can read *given*; the same bytes are sent once.

        A copy that still lives is used again, also one that another process made.

        Raises:
            MediaError: the file is gone, or is not what was looked at any more; nothing is used.
            BackendError: the upload failed.
        """
        if given.path is None:
            return Placed(given.url, bytes=0, sha256="", media_type="")
        seen = await self._still(given, given.path)
        sha256 = seen.identity.removeprefix("sha256:")
        media_type = seen.facts.media_type
        placed = Placed("", bytes=seen.facts.bytes or 0, sha256=sha256, media_type=media_type)
        lock = self._sending.setdefault(sha256, anyio.Lock())
        try:
            async with lock:
                copy = await self._work(self._copies.find, sha256, media_type, _now())
                if copy is not None:
                    return replace(placed, url=copy.url, expires=copy.expires, reused=True)
                sent = await self._client.upload(
                    given.path, media_type=media_type, file_name=given.path.name
                )
                await self._still(given, given.path)
                copy = Copy(sent.url, sent.expires)
                await self._work(self._copies.remember, sha256, media_type, copy, _now())
        finally:
            if not lock.statistics().tasks_waiting:
                self._sending.pop(sha256, None)
        return replace(placed, url=sent.url, expires=sent.expires)

    async def preview(self, output: Output) -> Picture | None:
        """Return a small picture of *output*, at most 512 pixels and 24 KB; None without a look."""
        path = self._local(output)
        return await self._work(preview, path) if path is not None else None

    async def view(self, given: GivenMedia, *, frames: int, size: int) -> View:
        """Return what a model should see of *given*; a URL is fetched first, up to 200 MB.

        Raises:
            MediaError: it does not open.
            BackendError: the URL cannot be fetched.
        """
        path = given.path if given.path is not None else await self._fetched(given.url)
        return await self._work(partial(sheet, path, frames=frames, size=size))

    async def folder(self, save_to: str) -> Path | None:
        """Return the folder that *save_to* names, None for the default; it is not made here.

        Raises:
            OutOfBoundsError: it lies outside the allowed folders.
            MediaError: a file stands in its place.
        """
        given = save_to.strip()
        return await self._work(self._roots.folder, given) if given else None

    async def _of_caller(self, reference: str, given: str, kind: MediaKind | None) -> GivenMedia:
        """Return the file that a caller named by path; secrets and hidden text stay home."""
        path = await self._work(self._roots.check, given)
        own = inside(path, self._settings.media_folder)
        found = await self._of_path(
            reference, path, "file" if own and kind is None else kind, named=path.name
        )
        if found.facts is not None and found.facts.kind in ("text", "file") and not own:
            await self._work(refuse_secrets, path)
            self._refuse_hidden(path, given)
        return replace(found, parent=await self._maker(path))

    async def _maker(self, path: Path) -> str:
        """Return the job that made the file at *path*, which its name tells; else nothing."""
        named = _MADE.search(path.name)
        if named is None:
            return ""
        try:
            job = await self._jobs.find(named[1])
        except ActionableError:
            return ""
        own = job.job_id == named[1] and any(
            Path(output.path).name == path.name for output in job.outputs if output.path
        )
        return job.job_id if own else ""

    async def _of_path(
        self, reference: str, path: Path, kind: MediaKind | None, *, named: str
    ) -> GivenMedia:
        seen = await self._work(self._examined, path)
        require(seen.facts, kind, named if len(named) <= 120 else f"{named[:120]}…")
        return GivenMedia(reference, seen.identity, seen.facts, path=path)

    async def _of_job(
        self, reference: str, job_id: str, number: int | None, kind: MediaKind | None
    ) -> GivenMedia:
        """Return output *number* (from 1) of a job, or its first that serves as *kind*."""
        job = await self._jobs.find(job_id)
        output = chosen(job, number, kind)
        path = self._local(output)
        if path is None and output.text and not output.url:
            path = await self._work(kept_text, output.text, self._settings.home / "inline")
        if path is not None:
            found = await self._of_path(reference, path, kind or "file", named=reference)
            return replace(found, parent=job.job_id)
        if not output.url.startswith("http") or (output.expires and output.expires <= _now()):
            where = f"{shown(output.path)} is gone" if output.path else "its file was never saved"
            raise MediaError(
                f"the output of job {job.job_id} cannot be had: {where}",
                hint="run the job again, or name another file",
            )
        return GivenMedia(reference, output.url, None, url=output.url, parent=job.job_id)

    def _packed(self, given: str) -> Path | None:
        """Return the archive of a folder, a pattern or a JSON list; None for an ordinary file."""
        packed = self._settings.home / "packed"
        if given.startswith("["):
            return kept_archive(flat([self._roots.check(path) for path in _listed(given)]), packed)
        try:
            path = self._roots.locate(given)
        except OutOfBoundsError:
            raise
        except MediaError:
            if not is_pattern(given):
                raise
            return kept_archive(flat(self._roots.matching(given)), packed)
        if path.is_dir():
            return kept_archive(members(path, self._roots.locate), packed)
        return None

    def _examined(self, path: Path) -> _Seen:
        """Return what *path* is and the hash of its bytes, from memory while it is unchanged."""
        try:
            stamp = _stamp(path)
            known = self._seen.get(path)
            if known is not None and known.stamp == stamp:
                return known
            if stamp[0] > MOST_BYTES:
                raise MediaError(
                    f"{path.name!r} has {stamp[0] / 1e9:.1f} GB, over the limit of 1 GB",
                    hint="make it smaller, or give an https URL",
                )
            facts = probe(path)
            seen = _Seen(stamp, f"sha256:{sha256_of(path)}", facts)
            if _stamp(path) != stamp:
                raise MediaError(f"{path.name!r} is being written", hint="try when it is finished")
        except FileNotFoundError:
            raise MediaError(
                f"there is no file {path.name!r} any more", hint="check the path"
            ) from None
        except OSError as problem:
            raise MediaError(f"{path.name!r} cannot be read: {problem.strerror}") from None
        if len(self._seen) >= _MOST_KNOWN:
            self._seen.pop(next(iter(self._seen)))
        self._seen[path] = seen
        return seen

    async def _still(self, given: GivenMedia, path: Path) -> _Seen:
        """Return what *path* is, provided it is what *given* was."""
        seen = await self._work(self._examined, path)
        if seen.identity != given.identity:
            raise MediaError(
                f"{path.name!r} changed after it was checked; nothing was started with it",
                hint="call again when it is finished",
            )
        return seen

    async def _fetched(self, url: str) -> Path:
        """Return the file that holds what lies at *url*, fetched once."""
        folder = private_folder(self._settings.home / "cache")
        name = hashlib.sha256(url.encode()).hexdigest()[:40]
        known = next((path for path in folder.glob(f"{name}.*") if path.suffix != ".part"), None)
        if known is not None:
            return known
        part = folder / f"{name}.{datetime.now(UTC):%H%M%S%f}.part"
        try:
            with anyio.move_on_after(FETCHED_WITHIN):
                await self._client.download(url, part, max_bytes=MOST_VIEWED)
                return await self._work(_cached, part, name)
            raise MediaError(
                f"{shown(url)} did not arrive within {FETCHED_WITHIN:.0f} seconds",
                hint="try again, or download it and give its path",
            )
        finally:
            part.unlink(missing_ok=True)

    async def _is_file(self, given: str) -> bool:
        """Return whether a reference that reads like a job is a file; a bare word never is one."""
        if "/" not in given:
            return False
        try:
            return (await self._work(self._roots.locate, given)).is_file()
        except MediaError:
            return False

    def _refuse_hidden(self, path: Path, given: str) -> None:
        root = next(folder for folder in self._roots.allowed if inside(path, folder))
        parts = path.relative_to(root).parts if path.is_relative_to(root) else path.parts
        if any(part.startswith(".") for part in parts):
            raise OutOfBoundsError(
                f"{shown(given)} is hidden, and hidden files that are not media stay here",
                hint="copy it to a name without a leading dot if it is meant to be sent",
            )

    def _local(self, output: Output) -> Path | None:
        """Return the file of *output* on this machine, if it is there."""
        path = Path(output.path) if output.path else None
        if path is None and output.url.startswith("file:///"):
            path = self._roots.named(output.url)
        return path if path is not None and path.is_file() else None

    async def _work(self, task: Callable[..., T], *arguments: object) -> T:
        """Return the result of *task*, which blocks, from a worker thread."""
        return await anyio.to_thread.run_sync(partial(task, *arguments), limiter=self._threads)


def _job_named(given: str) -> tuple[str, int | None] | None:
    """Return the job id and output number that *given* reads like, or None."""
    match = _JOB.match(given)
    if match is None or not _JOB_ID.match(spoken(match[1])):
        return None
    return spoken(match[1]), int(match[2]) if match[2] else None


def _listed(given: str) -> list[str]:
    """Return the paths of a JSON list."""
    try:
        paths: object = json.loads(given)
    except (ValueError, RecursionError):
        paths = None
    if not isinstance(paths, list) or not paths:
        raise MediaError(f"{shown(given)} is no list of paths", hint='write ["a.png","b.png"]')
    entries = cast("list[object]", paths)
    if not all(isinstance(path, str) for path in entries):
        raise MediaError(f"{shown(given)} holds more than paths", hint='write ["a.png","b.png"]')
    return cast("list[str]", entries)


def _stamp(path: Path) -> tuple[int, ...]:
    """Return what changes when a file does: its length, times and place."""
    found = path.stat()
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino


def _cached(part: Path, name: str) -> Path:
    """Give a fetched file its name, and drop the oldest of the cache when it is over its size."""
    path = part.with_name(f"{name}{extension_for(media_type_of(part))}")
    part.chmod(0o600)
    part.replace(path)
    held = sorted(part.parent.iterdir(), key=lambda entry: entry.stat().st_mtime)
    total = sum(entry.stat().st_size for entry in held)
    for entry in held:
        if total <= MOST_CACHED or entry == path:
            break
        total -= entry.stat().st_size
        entry.unlink(missing_ok=True)
    return path


def _account(settings: Settings) -> str:
    """Return a hash of the key's id, or the backend's name where no key is used."""
    if settings.key is None or settings.backend == "emulator":
        return settings.backend
    key_id = settings.key.get_secret_value().partition(":")[0]
    return hashlib.sha256(key_id.encode()).hexdigest()[:16]


def _now() -> datetime:
    return datetime.now(UTC)
