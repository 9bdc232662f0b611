"""`Roots`: which files of this machine may be read, and which folders written to."""

import glob
import os
import re
import stat
import tempfile
import unicodedata
from collections.abc import Iterable
from dataclasses import replace
from difflib import get_close_matches
from itertools import islice
from pathlib import Path, PurePath
from urllib.parse import unquote

from server.settings import Settings
from tools.errors import MediaError, OutOfBoundsError

MOST_FILES = 10_000
_MOST_PATH, _MOST_NAME = 4096, 255
_SHOWN = 160

# A working folder that is one of these, or in one, says where a host was started, not where a
# person works.
_SYSTEM = (
    "bin", "boot", "dev", "etc", "lib", "lib32", "lib64", "proc", "run", "sbin", "sys", "usr",
    "System", "Library", "Applications",
    "Windows", "Program Files", "Program Files (x86)", "ProgramData",
)  # fmt: skip
_SYSTEM_ITSELF = (
    "home",
    "Users",
    "mnt",
    "media",
    "opt",
    "private",
    "root",
    "srv",
    "var",
    "Volumes",
)
_OWN_FOLDERS = ("Downloads", "Desktop", "Pictures", "Movies", "Videos")
# Folders under the home of falkit that hold what callers gave, beside the media folder.
GIVEN_FOLDERS = ("uploads", "inline")

_DRIVE = re.compile(r"^[A-Za-z]:[\\/]")
_MAGIC = re.compile(r"[*?]|\[[^\]]+\]")


class Roots:
    """The folders that files may be read from and saved to.

    `FALKIT_ROOTS` with the media folder, or by default the working folder (unless it is the root,
    the home or a system folder), the media folder, the temporary folder, Downloads, Desktop,
    Pictures and Movies. Links are resolved before anything is compared. The home of falkit
    (journal, emulator) is closed even inside a root, its media folder and what callers uploaded
    excepted. Every method blocks on the file system.
    """

    def __init__(
        self, settings: Settings, working: Path | None = None, *, person: Path | None = None
    ) -> None:
        """Read the folders once; *working* and *person* (the home) default to this process's."""
        person = person or _home()
        media = _resolved(settings.media_folder)
        if settings.roots is not None:
            folders = [*map(_resolved, settings.roots), media]
        else:
            work = _resolved(working or _working())
            usual = [media, _resolved(Path(tempfile.gettempdir()))]
            usual += [_resolved(person / name) for name in _OWN_FOLDERS] if person else []
            folders = usual if _is_no_workplace(work, person) else [work, *usual]
        self.allowed = tuple(dict.fromkeys(folders))
        self._taken = settings.paths
        self._person = person
        self._home = _resolved(settings.home)
        given = [self._home / name for name in GIVEN_FOLDERS]
        self._open_inside = [
            folder
            for folder in (media, *given)
            if folder != self._home and inside(folder, self._home)
        ]

    @property
    def first(self) -> Path:
        """The folder that relative paths are taken from."""
        return self.allowed[0]

    def check(self, given: str | Path) -> Path:
        """Return the resolved path of the ordinary file at *given*, a path or ``file:`` URI.

        Raises:
            OutOfBoundsError: it lies outside the allowed folders.
            MediaError: there is no such file, or it is a folder, a device or a pipe.
        """
        path = self.locate(given)
        if path.is_dir():
            raise MediaError(
                f"{shown(given)} is a folder",
                hint="name a file in it; a folder serves only where an archive is wanted",
            )
        return path

    def locate(self, given: str | Path) -> Path:
        """Return the resolved path of the file or folder that *given* names.

        Raises:
            OutOfBoundsError: it lies outside the allowed folders, or no paths are taken here.
            MediaError: there is nothing of that name, or it is a device or a pipe.
        """
        self._refuse_away()
        path = self._bounded(_resolved(self.named(given)), given)
        try:
            mode = path.stat().st_mode
        except (FileNotFoundError, NotADirectoryError):
            path = self._bounded(_resolved(self._spelled_otherwise(path, given)), given)
            mode = path.stat().st_mode
        except PermissionError:
            raise MediaError(
                f"{shown(given)} may not be read by this account", hint="change its permissions"
            ) from None
        except OSError as problem:
            raise MediaError(f"{shown(given)} cannot be read: {problem.strerror}") from None
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
            raise MediaError(
                f"{shown(given)} is a device or a pipe, not a file", hint="name an ordinary file"
            )
        return path

    def matching(self, pattern: str) -> list[Path]:
        """Return the resolved paths of the ordinary files that *pattern* matches, sorted.

        Raises:
            OutOfBoundsError: one of them lies outside the allowed folders.
            MediaError: none matches, more than `MOST_FILES`, or it leads upward or through every
                folder below.
        """
        self._refuse_away()
        named = self.named(pattern)
        plain = takewhile_plain(named.parts)
        if {"..", "**"} & set(named.parts[len(plain) :]):
            raise MediaError(
                f"{shown(pattern)} leads upward or through every folder below",
                hint="name one folder, such as photos/*.png",
            )
        still = Path(*plain)
        self._bounded(_resolved(still), pattern)
        found = sorted(islice(glob.iglob(str(named), recursive=True), MOST_FILES + 1))  # noqa: PTH207  # whole patterns
        if len(found) > MOST_FILES:
            raise MediaError(
                f"{shown(pattern)} matches over {MOST_FILES:,} files", hint="narrow it"
            )
        paths = [self.locate(Path(name)) for name in found]
        files = [path for path in paths if path.is_file()]
        if not files:
            raise MediaError(f"{shown(pattern)} matches no file", hint="check folder and ending")
        return files

    def folder(self, given: str) -> Path:
        """Return the resolved path of the folder that *given* names; it need not exist.

        Raises:
            OutOfBoundsError: it lies outside the allowed folders.
            MediaError: a file stands in its place.
        """
        self._refuse_away()
        path = self._bounded(_resolved(self.named(given)), given)
        standing = next((above for above in (path, *path.parents) if above.exists()), None)
        if standing is not None and not standing.is_dir():
            raise MediaError(
                f"{shown(given)} cannot be a folder: {self._short(standing)} is a file",
                hint="name another folder",
            )
        return path

    def named(self, given: str | Path) -> Path:
        """Return *given*, a path or URI that may begin with ``~``, as an absolute path.

        Raises:
            MediaError: it cannot be a path on this machine.
        """
        text = _decoded(str(given)) if isinstance(given, str) else str(given)
        try:
            longest = max((len(os.fsencode(part)) for part in PurePath(text).parts), default=0)
        except UnicodeEncodeError:  # half a letter, from a broken escape
            longest = 0
        is_here = text != "" and PurePath(text) == PurePath()  # ``.``, the working folder
        if "\x00" in text or not (longest or is_here):
            raise MediaError(f"{shown(given)} is not a path", hint="give the path of a file")
        if len(text) > _MOST_PATH or longest > _MOST_NAME:
            raise MediaError(
                f"{shown(given)} is too long for a path ({len(text):,} characters)",
                hint="give the path of a file; inline bytes as a data: URI",
            )
        if os.name != "nt" and _DRIVE.match(text):
            raise MediaError(
                f"{shown(given)} is a Windows path, and falkit does not run on Windows here",
                hint="give the path as this machine sees it",
            )
        if text.startswith("~"):
            try:
                path = self._expanded(text)
            except RuntimeError:
                raise MediaError(
                    f"{shown(given)} names no known home", hint="give a full path"
                ) from None
        else:
            path = Path(text)
        return path if path.is_absolute() else self.first / path

    def _refuse_away(self) -> None:
        if not self._taken:
            raise OutOfBoundsError(
                "this falkit is reached over HTTP and takes no paths of its machine",
                hint="give an https URL, a data: URI, or a job id such as JOB/2",
            )

    def _expanded(self, text: str) -> Path:
        if self._person is not None and re.match(r"^~(?:[\\/]|$)", text):
            return self._person / text[2:]
        return Path(text).expanduser()

    def _bounded(self, path: Path, given: str | Path) -> Path:
        """Return *path*, resolved before, if it may be used; else do not tell whether it exists."""
        if inside(path, self._home) and not any(inside(path, open_) for open_ in self._open_inside):
            raise OutOfBoundsError(
                f"{shown(given)} lies in falkit's own home, which is closed",
                hint="results are in the media folder",
            )
        if any(inside(path, folder) for folder in self.allowed):
            return path
        folders = ", ".join(self._short(folder) for folder in self.allowed[:4])
        more = f" and {len(self.allowed) - 4} more" if len(self.allowed) > 4 else ""
        raise OutOfBoundsError(
            f"{shown(given)} lies outside the allowed folders: {folders}{more}",
            hint="move it into one of them, or add its folder to FALKIT_ROOTS",
        )

    def _spelled_otherwise(self, path: Path, given: str | Path) -> Path:
        """Return the one file whose name only differs in how its letters or blanks are encoded.

        Umlauts are stored in two ways, and macOS puts narrow blanks into the names of screenshots.
        """
        try:
            names = [entry.name for entry in islice(os.scandir(path.parent), MOST_FILES)]
        except OSError:
            raise MediaError(
                f"there is no file {shown(given)}",
                hint=f"folder {self._short(path.parent)} is missing",
            ) from None
        same = [name for name in names if _letters(name) == _letters(path.name)]
        if len(same) == 1:
            return path.with_name(same[0])
        near = get_close_matches(path.name, names, n=3, cutoff=0.6)
        hint = f"nearest: {', '.join(near)}" if near else f"looked in {self._short(path.parent)}"
        raise MediaError(f"there is no file {shown(given)}", hint=hint)

    def _short(self, path: Path) -> str:
        if self._person is not None and path.is_relative_to(self._person):
            return f"~/{path.relative_to(self._person).as_posix()}"
        return str(path)


def inside(path: Path, folder: Path) -> bool:
    """Return whether *path* is *folder* or lies in it, however case and umlauts are spelled."""
    if path.is_relative_to(folder):
        return True
    try:
        wanted = folder.stat()
    except OSError:
        return False
    for above in (path, *path.parents):
        try:
            if os.path.samestat(above.stat(), wanted):
                return True
        except OSError:
            continue
    return False


def is_pattern(given: str) -> bool:
    """Return whether *given* names several files with ``*``, ``?`` or ``[…]``."""
    return _MAGIC.search(given) is not None


def takewhile_plain(parts: Iterable[str]) -> list[str]:
    """Return the leading *parts* of a path that hold no pattern."""
    plain: list[str] = []
    for part in parts:
        if is_pattern(part):
            break
        plain.append(part)
    return plain


def shown(given: str | Path) -> str:
    """Return *given* in quotes, cut when it is long."""
    text = str(given)
    return repr(text) if len(text) <= _SHOWN else f"{text[:_SHOWN]!r}…"


def _decoded(given: str) -> str:
    """Return the path that a ``file:`` URI names; other text as it is."""
    if given[:5].lower() != "file:":
        return given
    rest = given[5:]
    if rest.startswith("//"):
        host, slash, path = rest[2:].partition("/")
        if _DRIVE.match(f"{host}/") and not path.startswith("/"):  # file://C:/x, which is common
            host, slash, path = "", "", f"{host}/{path}"
        if host.lower() not in ("", "localhost", "127.0.0.1"):
            if os.name != "nt":
                raise MediaError(
                    f"{shown(given)} names a file on another machine ({host[:60]!r})",
                    hint="copy it to this machine",
                )
            return f"\\\\{host}\\{unquote(path)}"
        rest = slash + path
    path = unquote(rest, errors="surrogateescape")
    if _DRIVE.match(path[1:]):
        return path[1:]
    return path


def _letters(name: str) -> str:
    return unicodedata.normalize("NFKC", name)


def is_workplace(folder: Path) -> bool:
    """Return whether *folder* may hold work of its own: not the root, the home, the system's."""
    return not _is_no_workplace(_resolved(folder), _home())


def at_shell(settings: Settings) -> Settings:
    """Return *settings* for a person at a shell: paths are those of the shell's own folder.

    Where a host was started says nothing of where a person works; where a person typed does, be it
    the home or the root. `FALKIT_ROOTS` decides as ever.
    """
    person, work = _home(), _resolved(_working())
    if settings.roots is not None or not _is_no_workplace(work, person):
        return settings
    own = [person / name for name in _OWN_FOLDERS] if person else []
    return replace(settings, roots=(work, Path(tempfile.gettempdir()), *own))


def _resolved(path: Path) -> Path:
    try:
        return path.resolve()
    except (OSError, RuntimeError):  # a link that leads to itself
        raise MediaError(
            f"{shown(path)} is a link that leads nowhere", hint="name a file"
        ) from None


def _working() -> Path:
    try:
        return Path.cwd()
    except OSError:  # it was deleted under us
        return Path(os.path.abspath(os.sep))  # noqa: PTH100  # the root, which counts as none


def _home() -> Path | None:
    try:
        return Path.home().resolve()
    except (OSError, RuntimeError):
        return None


def _is_no_workplace(folder: Path, person: Path | None) -> bool:
    """Return whether *folder* is the root, the home or above it, or belongs to the system."""
    root = Path(folder.anchor)
    if folder == root or (person is not None and person.is_relative_to(folder)):
        return True
    if any(folder.is_relative_to(root / name) for name in _SYSTEM):
        return True
    return any(folder == root / name for name in _SYSTEM_ITSELF)
