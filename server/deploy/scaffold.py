"""Begin an app: a template's files with the names and the machine that were asked for."""

import json
import keyword
import os
import re
import shlex
import shutil
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any
from uuid import uuid4

from catalog.errors import ActionableError
from server.deploy.machines import machines, nearest_machine
from tools.deploy_records import Scaffolded

SHELF = Path(__file__).parent / "templates"
SHARED = SHELF / "shared"
SUFFIX = ".tmpl"
NAME = re.compile(r"[a-z][a-z0-9-]{0,60}[a-z0-9]")
# What other people call a template.
OTHER_NAMES: Mapping[str, str] = {
    "diffusers": "text-to-image",
    "flux": "text-to-image",
    "sdxl": "text-to-image",
    "image": "text-to-image",
    "image-to-image": "image-edit",
    "inpainting": "image-edit",
    "text-to-video": "video",
    "image-to-video": "video",
    "text-to-speech": "tts",
    "whisper": "speech-to-text",
    "stt": "speech-to-text",
    "transcription": "speech-to-text",
    "upscale": "upscaler",
    "vllm": "llm",
    "llm-vllm": "llm",
    "chat": "llm",
    "router": "proxy",
    "stream": "streaming",
    "websocket": "realtime",
    "function": "cpu",
    "cpu-function": "cpu",
    "plain": "cpu",
    "docker": "container",
    "train": "training",
    "lora-training": "training",
    "worker": "batch",
    "batch-worker": "batch",
}


@dataclass(frozen=True, slots=True)
class Template:
    """One template: what it makes, its usual machine, and why each choice was made."""

    name: str
    title: str
    machine: str
    choices: tuple[str, ...]
    folder: Path


@cache
def templates() -> Mapping[str, Template]:
    """Return every template by name."""
    found: dict[str, Template] = {}
    for folder in sorted(SHELF.iterdir()):
        about = folder / "template.toml"
        if not about.is_file():
            continue
        said = tomllib.loads(about.read_text("utf-8"))
        found[folder.name] = Template(
            name=folder.name,
            title=said["title"],
            machine=said["machine"],
            choices=tuple(said["choices"]),
            folder=folder,
        )
    return found


def scaffold(template: str, folder: Path, *, name: str = "", machine: str = "") -> Scaffolded:
    """Write *template* into *folder*, which is new or empty; it blocks on the disk.

    All of it appears at once or nothing does, and nothing is ever written over.

    Raises:
        ActionableError: there is no such template or machine, the name is none, or something is in
            the way.
    """
    chosen = _chosen(template)
    app_name = _app_name(name or folder.name)
    asked = _machine(machine) if machine else chosen.machine
    if not folder.name.isprintable() or folder.name != folder.name.strip():
        raise ActionableError(f"{folder.name[:60]!r} is no name for a folder")
    if folder.is_symlink() or (folder.exists() and any(folder.iterdir())):
        raise ActionableError(
            f"{folder.name!r} is not empty, and nothing is written over",
            hint="name a new folder, or an empty one",
        )
    names = {
        "@APP_NAME@": app_name,
        "@CLASS_NAME@": _class_name(app_name),
        "@MACHINE@": asked,
        "@TITLE@": chosen.title,
        "@CHOICES@": "\n".join(f"- {line}" for line in _choices(chosen, asked)),
        "@FIELDS@": _fields(_request(chosen)),
        "@REQUEST@": json.dumps(_request(chosen), indent=2),
    }
    files = {
        path.name.removesuffix(SUFFIX): _filled(path.read_text("utf-8"), names)
        for path in sorted([*chosen.folder.glob(f"*{SUFFIX}"), *SHARED.glob(f"*{SUFFIX}")])
    }
    files["request.json"] = names["@REQUEST@"] + "\n"
    _write(folder, files)
    return Scaffolded(folder, tuple(sorted(files)), _choices(chosen, asked))


def _chosen(template: str) -> Template:
    wanted = template.strip().lower().replace("_", "-").replace(" ", "-")
    known = templates()
    found = known.get(wanted) or known.get(OTHER_NAMES.get(wanted, ""))
    if found is None:
        near = get_close_matches(wanted, [*known, *OTHER_NAMES], 1)
        meant = f"did you mean {OTHER_NAMES.get(near[0], near[0])}? " if near else ""
        raise ActionableError(
            f"there is no template {template[:60]!r}", hint=f"{meant}there are {', '.join(known)}"
        )
    return found


def _app_name(given: str) -> str:
    name = re.sub(r"[^a-z0-9]+", "-", given.strip().lower()).strip("-")
    if not NAME.fullmatch(name):
        raise ActionableError(
            f"{given[:60]!r} makes no name for an app",
            hint="letters, digits and dashes, beginning with a letter, such as hello-app",
        )
    return name


def _class_name(app_name: str) -> str:
    name = "".join(part.capitalize() for part in app_name.split("-"))
    return f"{name}App" if keyword.iskeyword(name) or not name.endswith("App") else name


def _machine(given: str) -> str:
    if given in machines():
        return given
    near = nearest_machine(given)
    raise ActionableError(
        f"there is no machine type {given[:40]!r}",
        hint=f"did you mean {near}? " if near else f"there are {', '.join(machines())}",
    )


def _choices(chosen: Template, machine: str) -> tuple[str, ...]:
    lines = [line.replace("@MACHINE@", machine) for line in chosen.choices]
    if machines()[machine].is_gpu:
        lines.append(
            "model, pins and machine are a beginning that falkit never ran on a GPU: try one call"
        )
    return tuple(lines)


def _request(chosen: Template) -> Mapping[str, Any]:
    return json.loads((chosen.folder / "request.json").read_text("utf-8"))


def _fields(request: Mapping[str, Any]) -> str:
    """Return *request* as the words of `falkit run`."""
    values = {
        name: value if isinstance(value, str) else json.dumps(value)
        for name, value in request.items()
    }
    return " ".join(shlex.quote(f"{name}={value}") for name, value in values.items())


def _filled(text: str, names: Mapping[str, str]) -> str:
    for token, value in names.items():
        text = text.replace(token, value)
    return text


def _write(folder: Path, files: Mapping[str, str]) -> None:
    aside = folder.with_name(f".{folder.name}-{uuid4().hex[:8]}")
    try:
        aside.mkdir(parents=True)
        for name, text in files.items():
            (aside / name).write_text(text, encoding="utf-8", newline="\n")
        if folder.exists():
            folder.rmdir()  # it was empty; if it is not any more, this fails
        os.rename(aside, folder)  # noqa: PTH104  # as one step
    except OSError as problem:
        reason = (problem.strerror or type(problem).__name__).lower()
        raise ActionableError(
            f"{folder.name!r} cannot be written: {reason}", hint="name another folder"
        ) from problem
    finally:
        shutil.rmtree(aside, ignore_errors=True)
