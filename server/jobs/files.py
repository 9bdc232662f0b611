"""Files that come home: named so that a person knows them, placed whole or not at all."""

import contextlib
import errno
import hashlib
import json
import os
import re
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

from catalog.card import TEXT_FIELDS
from catalog.media import MediaFacts
from server.media.signs import extension_for
from tools.errors import MediaError
from tools.ports import Job

PART = ".falkit-"
# How file systems say that they know no hard links; EINVAL is Windows on FAT or a network drive.
_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EMLINK, errno.ENOSYS, errno.EINVAL)
_SLUG = 40
_LONGEST_NOTE = 2000
# What a double click would run: made by a model, it is kept as a text to read.
_RUNS = re.compile(
    r"\.(app|bat|cmd|com|command|desktop|exe|hta|html?|jar|jse?|lnk|msi|ps1|py|reg|scr|sh|url|vbe|vbs"
    r"|wsf|xhtml)"
)


def name_of(job: Job, number: int, extension: str) -> str:
    """Return the file name of the *number*th output (from 1) of *job*: date, words, id, number.

    The date is local; the words are the prompt's or the model's, in plain ASCII.
    """
    day = job.created.astimezone().date().isoformat()
    return f"{day}-{_slug(job)}-{job.job_id}-{number}{extension}"


def part_of(folder: Path, job_id: str, number: int, holder: str) -> Path:
    """Return where the *number*th output lies while it is on its way; leftovers are removed.

    A leftover is what a process that died had begun.
    """
    for old in folder.glob(f"{PART}{job_id}-{number}-*.part"):
        with contextlib.suppress(OSError):
            old.unlink()
    return folder / f"{PART}{job_id}-{number}-{holder}.part"


def extension_of(facts: MediaFacts, media_type: str, url: str) -> str:
    """Return a file ending with its dot: of the bytes, else of the URL, else of the stated type."""
    ending = _ending(url)
    if facts.kind not in ("file", "text"):
        return _spelled(extension_for(facts.media_type), ending)
    if ending:
        return ending
    shown = extension_for(facts.media_type)
    says_more = shown == ".bin" or (shown == ".txt" and media_type.startswith("text/"))
    stated = extension_for(media_type) if says_more else ".bin"
    return shown if stated == ".bin" else _harmless(stated)


def place(part: Path, target: Path, sha256: str) -> Path:
    """Move *part* to *target* and return where it is; it is there whole or not at all. Blocks.

    A file that is there is never overwritten: one of equal bytes is taken as it is (a process died
    right after it placed it), beside another one a number is added.
    """
    _sync(part)
    for candidate in _candidates(target):
        try:
            os.link(part, candidate)
        except FileExistsError:
            if hash_of(candidate) == sha256:
                part.unlink()
                return candidate
            continue
        except OSError as problem:
            if problem.errno not in _NO_LINKS:
                raise
            if candidate.exists():  # no hard links here, as on many removable disks
                continue
            part.replace(candidate)
        else:
            part.unlink()
        _sync_folder(candidate.parent)
        return candidate
    raise MediaError(f"there are too many files named {target.name!r}", hint="move some away")


def write_sidecar(part: Path, target: Path, about: Mapping[str, Any]) -> None:
    """Write what is known of the file *target* beside it, as ``<file>.json``. Blocks.

    It is written to *part* first, and is there whole or not at all. A file of that name that is not
    ours stays as it is.
    """
    sidecar = target.with_name(f"{target.name}.json")
    if sidecar.exists():
        try:
            there: object = json.loads(sidecar.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return
        if not isinstance(there, dict):
            return
        if cast("dict[str, object]", there).get("job_id") != about["job_id"]:
            return
    words = json.dumps(shortened(about), ensure_ascii=False, indent=2) + "\n"
    part.write_text(words, encoding="utf-8")
    _sync(part)
    part.replace(sidecar)


def shortened(value: Any) -> Any:  # noqa: ANN401  # JSON in, JSON out
    """Return *value* with texts that nobody reads in a note, such as data URIs, cut."""
    if isinstance(value, Mapping):
        entry = cast("Mapping[str, Any]", value)
        return {name: shortened(inner) for name, inner in entry.items()}
    if isinstance(value, list | tuple):
        return [shortened(inner) for inner in cast("list[Any]", value)]
    if isinstance(value, str) and len(value) > _LONGEST_NOTE:
        return f"{value[:200]}… ({len(value)} characters)"
    return value


def hash_of(path: Path) -> str:
    """Return the SHA-256 of *path* in hex. Blocks."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _slug(job: Job) -> str:
    texts = (job.arguments.get(name) for name in TEXT_FIELDS)
    words = next((text for text in texts if isinstance(text, str) and text.strip()), "")
    return _plain(words) or _plain(job.endpoint_id.partition("/")[2]) or job.kind or "output"


def _plain(words: str) -> str:
    letters = (
        unicodedata.normalize("NFKD", words[:200].casefold()).encode("ascii", "ignore").decode()
    )
    slug = re.sub(r"[^a-z0-9]+", "-", letters).strip("-")
    if len(slug) > _SLUG:
        slug = slug[: _SLUG + 1].rpartition("-")[0] or slug[:_SLUG]
    return slug


def _ending(url: str) -> str:
    if url.startswith("data:"):
        return ""
    match = re.search(r"\.[A-Za-z0-9]{1,11}$", urlsplit(url).path)
    ending = match.group().lower() if match else ""
    return _harmless(ending)


def _harmless(ending: str) -> str:
    """Return an ending that no machine takes for a program."""
    return f"{ending}.txt" if _RUNS.fullmatch(ending) else ending


def _spelled(shown: str, ending: str) -> str:
    """Return the ending the bytes show, unless it is unknown and the URL has one."""
    return ending if shown == ".bin" and ending else shown


def _candidates(target: Path) -> list[Path]:
    again = [target.with_stem(f"{target.stem}-again{number}") for number in range(1, 10)]
    return [target, *again]


def _sync(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":  # folders cannot be opened there
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError:
        pass  # some file systems know no such thing
    finally:
        os.close(handle)
