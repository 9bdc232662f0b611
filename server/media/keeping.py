"""Files that falkit keeps under the hash of their bytes: inline data, packed folders."""

import base64
import binascii
import hashlib
import os
import re
import secrets
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import unquote_to_bytes

from server.media.roots import MOST_FILES, shown
from server.media.signs import decoded, extension_for, kind_of, media_type_of
from tools.errors import MediaError

MOST_INLINE = 50_000_000
MOST_PACKED = 1_000_000_000
_BLOCK = 1 << 20
_NEVER_PACKED = {"thumbs.db", "desktop.ini", "__macosx"}
_DATA_URI = re.compile(r"^data:(?P<type>[^,;]*)(?P<rest>(?:;[^,;]*)*),", re.IGNORECASE)
_PRIVATE_KEY = re.compile(r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY")
# The first day that a ZIP can state, in UTC or any other zone.
_NO_TIME = (1980, 1, 1, 0, 0, 0)


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of the bytes of *path* in hex, reading it in blocks. Blocks.

    Raises:
        OSError: it cannot be read.
    """
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def private_folder(path: Path) -> Path:
    """Return *path* as a folder that only its owner may enter, made if need be."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


def kept_data(uri: str, folder: Path) -> Path:
    """Return the file in *folder* that holds the bytes of the data URI *uri*. Blocks.

    The same bytes give the same file. What is stated in the URI about their type plays no part.

    Raises:
        MediaError: it is malformed, empty, or over 50 MB.
    """
    head = _DATA_URI.match(uri)
    if head is None:
        raise MediaError(
            f"{shown(uri[:60])} is not a data URI",
            hint="it reads data:image/png;base64,… and is whole",
        )
    body = uri[head.end() :]
    if len(body) > MOST_INLINE * 4 // 3:
        raise MediaError(
            f"a data URI of {len(uri):,} characters is too long",
            hint="save it as a file and give its path",
        )
    if "base64" in head["rest"].lower().split(";"):
        plain = re.sub(r"\s+", "", body.replace("%2B", "+").replace("%2F", "/").replace("%3D", "="))
        plain = plain.replace("-", "+").replace("_", "/").rstrip("=")
        try:
            data = base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
        except (binascii.Error, ValueError):
            raise MediaError(
                f"the data URI {shown(uri[:60])} holds no whole base64",
                hint="it may have been cut; save the bytes as a file and give its path",
            ) from None
    else:
        data = unquote_to_bytes(body)
    if not data:
        raise MediaError(
            f"the data URI {shown(uri[:60])} is empty", hint="give the bytes after the comma"
        )
    return _kept(folder, hashlib.sha256(data).hexdigest(), lambda path: path.write_bytes(data))


def kept_text(text: str, folder: Path) -> Path:
    """Return the file in *folder* that holds *text* in UTF-8. Blocks."""
    data = text.encode("utf-8", errors="replace")
    digest = hashlib.sha256(data).hexdigest()
    return _kept(folder, digest, lambda path: path.write_bytes(data))


def _kept(folder: Path, digest: str, write: Callable[[Path], object]) -> Path:
    """Return the file named by *digest*, written whole or not at all, by whoever comes first."""
    private_folder(folder)
    known = next(folder.glob(f"{digest[:40]}.*"), None)
    if known is not None and known.suffix != ".part" and sha256_of(known) == digest:
        return known
    part = folder / f"{digest[:40]}.{secrets.token_hex(4)}.part"
    try:
        write(part)
        part.chmod(0o600)
        target = folder / f"{digest[:40]}{extension_for(media_type_of(part))}"
        os.replace(part, target)  # noqa: PTH105  # atomic also where the target exists
    except OSError as problem:
        part.unlink(missing_ok=True)
        raise MediaError(
            f"nothing can be kept in {folder}: {problem.strerror}", hint="free some space"
        ) from None
    return target


def members(folder: Path, check: Callable[[Path], Path]) -> list[tuple[str, Path]]:
    """Return what of *folder* goes into an archive as (name, path), sorted; nothing hidden.

    *check* resolves each path and refuses those out of bounds; linked folders are left out.

    Raises:
        OutOfBoundsError: a link leads out of bounds.
        MediaError: there is nothing in it, or too much.
    """
    found: list[tuple[str, Path]] = []
    for here, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not _is_junk(name))
        for name in files:
            if _is_junk(name):
                continue
            path = Path(here, name)
            target = check(path)
            if target.is_file() and not _is_our_note(target):
                found.append((path.relative_to(folder).as_posix(), target))
            if len(found) > MOST_FILES:
                raise MediaError(
                    f"{shown(folder)} holds over {MOST_FILES:,} files", hint="split it"
                )
    if not found:
        raise MediaError(
            f"the folder {shown(folder)} holds no files to pack", hint="check the path"
        )
    return sorted(found)


def flat(paths: Sequence[Path]) -> list[tuple[str, Path]]:
    """Return *paths* with their names in one archive: their own, numbered where two agree."""
    found: dict[str, Path] = {}
    for path in sorted(set(paths)):
        name, number = path.name, 2
        while name in found:
            name, number = f"{path.stem}-{number}{path.suffix}", number + 1
        found[name] = path
    return sorted(found.items())


def kept_archive(entries: Sequence[tuple[str, Path]], folder: Path) -> Path:
    """Return the ZIP in *folder* that holds *entries*; the same files give the same bytes. Blocks.

    Raises:
        MediaError: one of them is not media or text, or all together are over 1 GB.
    """
    total = 0
    for name, path in entries:
        total += path.stat().st_size
        if total > MOST_PACKED:
            raise MediaError("the files are over 1 GB together", hint="give fewer or smaller ones")
        _check_member(name, path)
    private_folder(folder)
    part = folder / f"{secrets.token_hex(8)}.part"
    try:
        with zipfile.ZipFile(part, "w", zipfile.ZIP_STORED) as archive:
            for name, path in entries:
                entry = zipfile.ZipInfo(name, _NO_TIME)
                entry.external_attr = 0o100644 << 16
                entry.create_system = 3  # the same on every system
                with archive.open(entry, "w") as target, path.open("rb") as source:
                    while block := source.read(_BLOCK):
                        target.write(block)
        part.chmod(0o600)
        target_path = folder / f"{sha256_of(part)[:40]}.zip"
        os.replace(part, target_path)  # noqa: PTH105  # atomic also where the target exists
    except OSError as problem:
        raise MediaError(
            f"the files cannot be packed: {problem.strerror}", hint="free some space"
        ) from None
    finally:
        part.unlink(missing_ok=True)
    return target_path


def refuse_secrets(path: Path) -> None:
    """Refuse a file of text that holds a private key.

    Raises:
        MediaError: it does.
    """
    with path.open("rb") as file:
        head = file.read(65_536)
    if _PRIVATE_KEY.search(decoded(head, whole=False) or ""):
        raise MediaError(
            f"{path.name!r} holds a private key and is not sent anywhere", hint="give another file"
        )


def _check_member(name: str, path: Path) -> None:
    kind = kind_of(media_type_of(path)) if path.stat().st_size else "text"
    if kind == "file":
        raise MediaError(
            f"{name!r} is neither media nor text, and is not packed",
            hint="take it out of the folder",
        )
    if kind == "text":
        refuse_secrets(path)


def _is_our_note(path: Path) -> bool:
    """Return whether *path* is the note that falkit writes beside a result."""
    if path.suffix != ".json" or not path.with_suffix("").is_file():
        return False
    with path.open("rb") as file:
        return b'"job_id"' in file.read(4096)


def _is_junk(name: str) -> bool:
    return name.startswith(".") or name.lower() in _NEVER_PACKED
