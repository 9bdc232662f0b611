"""Python environments for apps: one with exactly pinned `fal`, one for each set of requirements."""

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import anyio
from anyio.abc import ByteReceiveStream, Process

from server.deploy.pythons import installer_environment, interpreter, own_minor, uv
from server.deploy.targets import Tell
from tools.errors import BackendError, NotConfiguredError

CONSTRAINTS = Path(__file__).with_name("tools-constraints.txt")

# Packages that bring gigabytes, or are of no use without a GPU.
_LARGE = re.compile(
    r"torch|torchvision|torchaudio|vllm|sglang|tensorflow|jax|jaxlib|xformers|flash-attn"
    r"|tensorrt|bitsandbytes|deepspeed|triton|accelerate|peft|timm|lightning"
    r"|pytorch-lightning|ultralytics|sentence-transformers|openai-whisper|faster-whisper"
    r"|whisperx|onnxruntime-gpu|cupy|kornia|audiocraft|nemo-toolkit|insightface"
    r"|paddlepaddle-gpu|auto-gptq|autoawq|exllamav2|tts"
    r"|(nvidia|cupy)-.+"
)
_OPTIONS = re.compile(r"--(extra-index-url|index-url|find-links)[ =]\S+|--pre")
_NAMED = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)\s*(\[[^\]]*\])?")


@dataclass(frozen=True, slots=True)
class ToolEnvironment:
    """A Python that has `fal`.

    *site* is the folder of its packages; *base* the folders that hold the interpreter itself and
    its standard library; *minor* such as ``3.11``.
    """

    python: Path
    site: Path
    fal_version: str
    minor: str = ""
    base: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class AppEnvironment:
    """The Python that an app runs with; *key* names its requirements, empty where it has none.

    *folder* holds the environment, to be read by the app.
    """

    python: Path
    key: str
    folder: Path


@dataclass(frozen=True, slots=True)
class Allowed:
    """What requirements may do: be built from *source* (code runs then), be GPU-sized (*large*)."""

    source: bool = False
    large: bool = False

    @classmethod
    def of(cls, words: Sequence[str]) -> "Allowed":
        """Return what a person's words of FALKIT_DEPLOY_INSTALL allow."""
        return cls(source="source" in words, large="large" in words)


def fal_wanted() -> str:
    """Return the version of `fal` that falkit is written for."""
    found = re.search(r"^fal==(\S+)", CONSTRAINTS.read_text("utf-8"), re.MULTILINE)
    assert found is not None  # noqa: S101  # the file is ours
    return found[1]


async def tool_environment(
    home: Path, tell: Tell, *, given: Path | None = None, minor: str = ""
) -> ToolEnvironment:
    """Return the Python that has `fal`: *given*, or the one in *home*, made when it is missing.

    Where a Python *minor* is wished and can be had, it is one of that version.

    Making it takes seconds to a minute and asks a package index; it is done once for a falkit home,
    by one process, while others wait. *home* is falkit's home.

    Raises:
        NotConfiguredError: *given* is no Python that has a `fal` that falkit can use.
        BackendError: it cannot be made; the words hold the installer's failing lines.
    """
    if given is not None:
        known = await _known(given)
        if minor in ("", known.minor):
            return known
    python = await interpreter(minor or own_minor())
    if python is None:
        return await tool_environment(home, tell, given=given)
    shelf, wanted = _tool_shelf(home, minor)

    async def make(folder: Path) -> None:
        await tell(0.0, f"making an environment with fal {fal_wanted()}, once")
        await _make_venv(python, folder, pip=uv() is None)
        arguments = ["--constraint", str(CONSTRAINTS), f"fal=={fal_wanted()}"]
        await _install(_python_in(folder), _python_in(folder), arguments, tell)

    return await _known(_python_in(await _shelved(shelf, wanted, make, tell)))


async def ready_tool_environment(
    home: Path, *, given: Path | None = None
) -> ToolEnvironment | None:
    """Return what `tool_environment` would, or None where it would have to be made first.

    Raises:
        NotConfiguredError: *given* is no Python that has a `fal` that falkit can use.
    """
    if given is not None:
        return await _known(given)
    shelf, wanted = _tool_shelf(home)
    folder = _marked(shelf / f"{wanted}.json")
    return None if folder is None else await _known(_python_in(folder))


def _tool_shelf(home: Path, minor: str = "") -> tuple[Path, str]:
    """Return where tool environments lie in *home*, and the key of the one that is wanted."""
    version = (minor or own_minor()).encode()
    key = hashlib.sha256(CONSTRAINTS.read_bytes() + version).hexdigest()[:16]
    return home / "deploy" / "tools", key


async def app_environment(
    home: Path,
    tool: ToolEnvironment,
    requirements: Sequence[str],
    tell: Tell,
    *,
    allowed: Allowed | None = None,
) -> AppEnvironment:
    """Return the Python for an app with these requirements, made when it is missing.

    Without requirements it is the tool's own. `fal` is not installed beside the requirements: the
    runner looks for it in the tool's folder last, so what the app pins wins.

    Raises:
        BackendError: a requirement is refused here, or cannot be installed.
    """
    wanted = [line for line in (given.strip() for given in requirements) if line]
    if not wanted:
        return AppEnvironment(tool.python, "", tool.python.parent.parent)
    permitted = allowed or Allowed()
    _refuse(wanted, permitted)
    key = hashlib.sha256(json.dumps([tool.minor, wanted]).encode()).hexdigest()[:16]
    shelf = home / "deploy" / "envs"

    async def make(folder: Path) -> None:
        await tell(0.0, f"installing {len(wanted)} requirements, once")
        await _make_venv(tool.python, folder, pip=False)
        listed = folder / "requirements.txt"
        listed.write_text("\n".join(wanted) + "\n", "utf-8")
        binary = [] if permitted.source else ["--only-binary", ":all:"]
        await _install(tool.python, _python_in(folder), [*binary, "-r", str(listed)], tell)

    folder = await _shelved(shelf, key, make, tell)
    return AppEnvironment(_python_in(folder), key, folder)


def _refuse(requirements: Sequence[str], allowed: Allowed) -> None:
    """Refuse what this machine should not install.

    Raises:
        BackendError: with the requirement and what to do.
    """
    for line in requirements:
        shown = repr(line[:80])
        if "\n" in line or (line.startswith("-") and not _OPTIONS.fullmatch(line)):
            raise BackendError(
                f"requirement {shown} is an option that falkit does not pass on",
                hint="packages, --index-url, --extra-index-url, --find-links and --pre are known",
            )
        if line.startswith("-"):
            continue
        if " --" in line:
            raise BackendError(f"requirement {shown} holds an option", hint="name the package only")
        named = _NAMED.match(line)
        is_source = re.match(r"(git|hg|svn|bzr)\+", line) or (
            "@" in line and not line.split("#")[0].strip().endswith(".whl")
        )
        if re.match(r"[./~]|file:", line):  # read from falkit's working folder, not from the app's
            raise BackendError(
                f"requirement {shown} is a folder or file of this machine, which is not installed",
                hint="name a released version, or put the module beside the app's",
            )
        if is_source and not allowed.source:
            raise BackendError(
                f"requirement {shown} would be built from source, which runs its code here",
                hint="name a released version; FALKIT_DEPLOY_INSTALL=source builds it all the same",
            )
        name = re.sub(r"[-_.]+", "-", named[1]).lower() if named else ""
        if _LARGE.fullmatch(name) and not allowed.large:
            raise BackendError(
                f"requirement {shown} is sized for a GPU and is not installed on this machine",
                hint="deploy it to the cloud; FALKIT_DEPLOY_INSTALL=large installs it all the same",
            )


def _python_in(folder: Path) -> Path:
    return folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")


# Says of itself what it is; run with -I, so that nothing but its own site is on the path.
_ASK = """
import json, os, sys, sysconfig
from importlib.metadata import version, PackageNotFoundError
try: fal = version("fal")
except PackageNotFoundError: fal = ""
base = {sys.base_prefix, sys.base_exec_prefix, os.path.dirname(os.path.realpath(sys.executable)),
        sysconfig.get_path("stdlib")}
print(json.dumps({"fal": fal, "minor": "%d.%d" % sys.version_info[:2],
    "site": sysconfig.get_path("purelib"), "base": sorted(base), "prefix": sys.prefix}))
"""
_asked: dict[tuple[Path, int], ToolEnvironment] = {}


async def _known(python: Path) -> ToolEnvironment:
    """Return what *python* says of itself.

    Raises:
        NotConfiguredError: it is no Python, or has not the `fal` that is needed.
    """
    try:
        key = (python, (await anyio.Path(python).stat()).st_mtime_ns)
        if key not in _asked:
            said = await anyio.run_process(
                [str(python), "-I", "-c", _ASK], env=installer_environment()
            )
            facts = cast("dict[str, Any]", json.loads(said.stdout))
            base = tuple(Path(str(folder)) for folder in facts["base"])
            _asked[key] = ToolEnvironment(
                python, Path(facts["site"]), facts["fal"], facts["minor"], base
            )
    except (OSError, subprocess.CalledProcessError, ValueError, KeyError) as problem:
        raise NotConfiguredError(
            f"'{python}' is no Python that runs",
            hint="FALKIT_DEPLOY_TOOLS names an interpreter; without it falkit makes one",
        ) from problem
    known = _asked[key]
    if known.fal_version.split(".")[:2] != fal_wanted().split(".")[:2]:
        has = f"fal {known.fal_version}" if known.fal_version else "no fal"
        raise NotConfiguredError(
            f"'{python}' has {has}; falkit runs apps with fal {fal_wanted()}",
            hint=f"install fal=={fal_wanted()} there, or unset FALKIT_DEPLOY_TOOLS",
        )
    return known


async def _make_venv(python: Path | str, folder: Path, *, pip: bool) -> None:
    """Make an empty environment; with *pip* it can install into itself."""
    if (found := uv()) is not None:
        command = [found, "venv", "--quiet", "--python", str(python), str(folder)]
    else:
        command = [str(python), "-m", "venv", *([] if pip else ["--without-pip"]), str(folder)]
    code, lines = await _run(command)
    if code:
        raise BackendError(
            f"no Python environment could be made: {condensed(lines)}",
            hint="install `uv`, or the package of your system that brings Python's venv",
        )


async def _install(runs: Path, into: Path, arguments: Sequence[str], tell: Tell) -> None:
    """Install into the environment of *into*, by `uv` or by the `pip` of *runs*."""
    if (found := uv()) is not None:
        command = [found, "pip", "install", "--compile-bytecode", "--python", str(into), *arguments]
    else:
        command = [str(runs), "-I", "-m", "pip", "--disable-pip-version-check", "--no-input"]
        command += [*([] if runs == into else ["--python", str(into)]), "install"]
        command += ["--progress-bar", "off", *arguments]
    code, lines = await _run(command, tell)
    if code:
        raise BackendError(
            f"requirements could not be installed: {condensed(lines)}",
            hint=_next_step(lines),
            retry_helps=any("connection" in line.lower() for line in lines),
        )


def condensed(lines: Sequence[str]) -> str:
    """Return the lines of an installer's output that say why it failed, at most 600 characters."""
    wanted: list[str] = []
    goes_on = False  # uv breaks its sentences into indented lines
    for line in lines:
        if re.match(r"\s*(ERROR|error:|cause:|hint:|\u00d7|\u2570|The conflict)", line):
            bare = line.strip(" \u00d7\u2570\u2500\u25b6\u2502\u251c")
            wanted.append(re.sub(r"^(ERROR|error|cause):\s*", "", bare))
            goes_on = "\u2570" in line
        elif re.search(r"(depends on|requested) ", line):
            wanted.append(line.strip())
        elif goes_on and line.startswith("      "):
            wanted[-1] += f" {line.strip()}"
    wanted = wanted or [line.strip() for line in lines[-3:]]
    unique = list(dict.fromkeys(line for line in wanted if line))
    return "; ".join(unique)[:600] or "the installer said nothing"


def _next_step(lines: Sequence[str]) -> str:
    said = "\n".join(lines)
    if re.search(r"No matching distribution|not found in the|no versions? of", said):
        return "check the name and version; only packages with a ready wheel are installed"
    if re.search(r"conflict|No solution|incompatible|unsatisfiable", said, re.IGNORECASE):
        return "loosen one of the pins that exclude each other"
    if re.search(r"connection|resolve|timed out|dns", said, re.IGNORECASE):
        return "the package index cannot be reached; check the network and try again"
    return "mend the requirements and try again"


async def _run(command: Sequence[str], tell: Tell | None = None) -> tuple[int, list[str]]:
    """Run an installer to its end and return its status and lines, telling them as they come."""
    lines: list[str] = []
    async with await anyio.open_process(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=installer_environment(),
        start_new_session=True,
        creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),  # on Windows
    ) as process:
        assert process.stdout is not None  # noqa: S101  # asked for above
        try:
            async for line in _lines(process.stdout):
                lines.append(line)
                if tell is not None and re.match(
                    r"(Collecting|Downloading|Installing|Resolved|Prepared|Installed)", line.strip()
                ):
                    await tell(0.5, line.strip()[:160])
            return await process.wait(), lines
        except BaseException:
            with anyio.CancelScope(shield=True):
                await _gone(process)
            raise


async def _gone(process: Process) -> None:
    """Kill a whole group: `pip` installs into another environment by a process of its own."""
    for _ in range(100):
        try:
            process.kill() if sys.platform == "win32" else os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            return
        with anyio.move_on_after(0.02):
            await process.wait()


async def _lines(stream: ByteReceiveStream) -> AsyncGenerator[str]:
    rest = b""
    async for chunk in stream:
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            yield line.decode("utf-8", "replace").rstrip("\r")
    if rest:
        yield rest.decode("utf-8", "replace")


async def _shelved(shelf: Path, key: str, make: Any, tell: Tell) -> Path:  # noqa: ANN401
    """Return the folder that a mark names for *key*, made by *make* when there is no mark.

    Environments cannot be moved once made, so each is made where it stays, under a name of its
    own; the mark, put in place at the end, is what makes it exist. What was interrupted has no mark
    and is cleared away by the next who makes it.
    """
    await anyio.Path(shelf).mkdir(parents=True, exist_ok=True, mode=0o700)
    mark = shelf / f"{key}.json"
    if (found := _marked(mark)) is not None:
        return found
    async with _locked(shelf / f"{key}.lock", tell):
        if (found := _marked(mark)) is not None:
            return found
        await anyio.to_thread.run_sync(_clear, shelf, key)
        folder = shelf / f"{key}-{uuid4().hex[:8]}"
        try:
            await make(folder)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        aside = mark.with_suffix(f".{os.getpid()}.part")
        aside.write_text(json.dumps({"folder": folder.name}), "utf-8")
        aside.replace(mark)
        return folder


def _clear(shelf: Path, key: str) -> None:
    for left in shelf.glob(f"{key}-*"):
        shutil.rmtree(left, ignore_errors=True)


def _marked(mark: Path) -> Path | None:
    try:
        folder = mark.parent / str(json.loads(mark.read_text("utf-8"))["folder"])
    except (OSError, ValueError, KeyError):
        return None
    return folder if _python_in(folder).exists() else None


@asynccontextmanager
async def _locked(path: Path, tell: Tell) -> AsyncGenerator[None]:
    """Hold *path* alone among processes; it is let go when this one ends, however it ends."""
    handle = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        told = False
        while not _taken(handle):
            if not told:
                await tell(0.0, "another falkit is making this environment; waiting for it")
                told = True
            await anyio.sleep(0.1)
        yield
    finally:
        os.close(handle)


def _taken(handle: int) -> bool:
    try:
        if sys.platform == "win32":
            import msvcrt  # noqa: PLC0415

            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl  # noqa: PLC0415

            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
