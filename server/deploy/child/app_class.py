"""What the two programs beside it share: loading an app, and saying in words why that failed."""

import importlib.util
import json
import linecache
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

MODULE = "fal_user_app"
LINE_CHARACTERS = 16_000
ENVELOPE = '{"traceback": '  # how fal's own server tells of a failure, in one line
ENVELOPE_CHARACTERS = 1_000_000


class Teller:
    """The way out to falkit: one JSON object a line, on a copy of what was standard output.

    Made, descriptor 1 leads where descriptor 2 does, so that nothing else lands between the lines.
    """

    def __init__(self) -> None:
        self._way = os.dup(1)
        os.set_inheritable(self._way, False)
        os.dup2(2, 1)
        self._lock = threading.Lock()

    def __call__(self, **record: Any) -> None:  # noqa: ANN401
        line = json.dumps({"t": time.time(), **record}, default=str).encode() + b"\n"
        with self._lock:
            view = memoryview(line)
            while view:
                view = view[os.write(self._way, view) :]


class Lines:
    """Stands for `sys.stdout` or `sys.stderr`: whole lines are told, each with its request."""

    def __init__(self, raw: Any, tell: Callable[[str], None]) -> None:  # noqa: ANN401
        self._raw = raw
        self._tell = tell
        self._parts = threading.local()

    def write(self, text: str) -> int:
        """Take *text*; lines end at a line feed or a carriage return."""
        held = getattr(self._parts, "held", "") + text.replace("\r", "\n")
        *whole, rest = held.split("\n")
        while len(rest) > _most(rest):
            most = _most(rest)
            whole.append(rest[:most])
            rest = rest[most:]
        self._parts.held = rest
        for line in whole:
            if line:
                self._tell(line[: _most(line)])
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def end(self) -> None:
        """Tell what waits for the end of its line."""
        if rest := getattr(self._parts, "held", ""):
            self._parts.held = ""
            self._tell(rest)

    def flush(self) -> None:
        self._raw.flush()

    def isatty(self) -> bool:
        return False

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        return getattr(self._raw, name)


def _most(line: str) -> int:
    return ENVELOPE_CHARACTERS if line.startswith(ENVELOPE) else LINE_CHARACTERS


class Graded:
    """Takes the lines of one stream, of level *usual*; those of a traceback are errors."""

    def __init__(self, say: Callable[[str, str], None], usual: str) -> None:
        self._say = say
        self._usual = usual
        self._parts = threading.local()

    def __call__(self, line: str) -> None:
        if line.startswith(ENVELOPE):  # innermost frame first
            with suppress(ValueError):
                text = str(json.loads(line)["traceback"]).rstrip()
                self._say(text[:LINE_CHARACTERS], "error")
                return
        is_inside = getattr(self._parts, "is_inside", False)
        begins = line.lstrip(" |+-").startswith("Traceback (most recent call last):")
        self._say(line[:LINE_CHARACTERS], "error" if begins or is_inside else self._usual)
        # Its frames are indented; the first line that is not names the exception, and is the last.
        self._parts.is_inside = begins or (is_inside and line.startswith(" "))


def loaded_class(folder: Path, file: str, class_name: str) -> Any:  # noqa: ANN401
    """Import *file* of *folder* as a module of its own and return the `fal.App` in it.

    Raises:
        LookupError: there is no such class, or several and none was named.
    """
    base = import_module("fal").App
    path = folder / file
    sys.path.insert(0, str(path.parent))
    spec = importlib.util.spec_from_file_location(MODULE, path)
    if spec is None or spec.loader is None:
        raise LookupError(f"{file} is no Python module")
    module = importlib.util.module_from_spec(spec)
    sys.modules[MODULE] = module
    spec.loader.exec_module(module)
    found = {
        name: thing
        for name, thing in vars(module).items()
        if isinstance(thing, type) and issubclass(thing, base) and thing.__module__ == MODULE
    }
    if class_name:
        if class_name not in found:
            names = ", ".join(sorted(found)) or "none"
            raise LookupError(f"{file} has no fal.App named {class_name} (it has: {names})")
        return found[class_name]
    classes = set(found.values())
    if len(classes) != 1:
        names = ", ".join(sorted(found))
        told = f"has several fal.App classes ({names}); name one" if found else "has no fal.App"
        raise LookupError(f"{file} {told}")
    return classes.pop()


def words_of(problem: BaseException, folder: Path) -> str:
    """Return what went wrong and the lines of the app where it did, in at most 1,000 characters."""
    root = problem
    while (
        cause := root.__cause__ or (root.__context__ if _is_wrapping(root) else None)
    ) is not None:
        root = cause
    if isinstance(root, SyntaxError) and root.filename:
        where = _short(root.filename, folder)
        code = (root.text or "").strip()
        return f"{type(root).__name__}: {root.msg}, at {where}:{root.lineno}: {code}"[:1000]
    said = str(root).strip() or "no words"
    words = (
        said
        if isinstance(root, LookupError) and type(root) is LookupError
        else (f"{type(root).__name__}: {said}")
    )
    frames = [
        f"{_short(frame.filename, folder)}:{frame.lineno} in {frame.name}: {_code(frame)}"
        for frame in traceback.extract_tb(root.__traceback__)
        if frame.filename.startswith(str(folder))
    ]
    at = "; at " + "; ".join(frames[-3:]) if frames else ""
    if isinstance(root, ModuleNotFoundError) and root.name:
        at += f"; add {root.name.split('.')[0]} to requirements, and import it inside a method"
    return f"{words[:600]}{at}"[:1000]


def _is_wrapping(problem: BaseException) -> bool:
    return str(problem).startswith("Failed to generate OpenAPI")


def _code(frame: traceback.FrameSummary) -> str:
    return linecache.getline(frame.filename, frame.lineno or 0).strip()[:160]


def _short(name: str, folder: Path) -> str:
    return os.path.relpath(name, folder) if name.startswith(str(folder)) else Path(name).name
