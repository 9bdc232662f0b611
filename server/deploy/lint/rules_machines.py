"""Rules on machine types, regions and who may call."""

import ast
from collections.abc import Iterator
from difflib import get_close_matches

from server.deploy.lint.app import App
from server.deploy.lint.known import AUTH_MODES, BOUNDS, REGIONS
from server.deploy.lint.reading import removal, string_patch, wants_gpu
from server.deploy.lint.rule import Breach, Patch, Rule
from server.deploy.lint.sizes import model_gigabytes
from server.deploy.lint.text import Place
from server.deploy.lint.values import UNKNOWN, is_strings, shown
from server.deploy.machines import Machine, dead_names, documented, machines, nearest_machine


def chosen(app: App) -> list[Machine]:
    """Return the machines that the app names and that are known, in its order."""
    known = machines()
    names = [item.value for item in app.machines if isinstance(item.value, str)]
    return [known[name] for name in names if name in known]


def _types(app: App) -> Iterator[Breach]:
    for item in app.machines:
        name = item.value
        if name is UNKNOWN or name is None:
            continue
        if not isinstance(name, str):
            yield Breach(item.place, f"machine_type {shown(name)} is no name", 'such as "GPU-H100"')
        elif name in dead_names():
            stands = dead_names()[name]
            message = f"machine type {name!r} is not offered"
            yield Breach(item.place, message, f"use {stands!r}", string_patch(item.place, stands))
        elif name not in machines():
            near = nearest_machine(name)
            offered = ", ".join(machine.name for machine in documented())
            message = f"machine type {name[:60]!r} is unknown; fal says so only after the build"
            fix = f"did you mean {near!r}?" if near else f"one of {offered}"
            yield Breach(item.place, message, fix, string_patch(item.place, near) if near else ())
        elif where := machines()[name].undocumented:
            message = f"machine type {name!r} is not in fal's table of machine types: {where}"
            yield Breach(item.place, message, "a documented type", severity="warning")


def _cuda_without_gpu(app: App) -> Iterator[Breach]:
    types = chosen(app)
    if not types or any(machine.is_gpu for machine in types):
        return
    if len(types) == len(app.machines) and (sign := wants_gpu(app)):
        names = ", ".join(machine.name for machine in types)
        message = f"{sign} speaks of a GPU, and machine type {names!r} has none"
        yield Breach(app.place_of("machine_type"), message, 'machine_type = "GPU-..."')


def _idle_gpu(app: App) -> Iterator[Breach]:
    types = [machine for machine in chosen(app) if machine.is_gpu]
    if not types or app.has_image or app.is_wma or wants_gpu(app):
        return
    if any(item.value is UNKNOWN for item in app.requirements):
        return
    message = f"machine type {types[0].name!r} has a GPU, and nothing in the source uses one"
    yield Breach(app.place_of("machine_type"), message, "a CPU type costs far less")


def _count_without_gpu(app: App) -> Iterator[Breach]:
    setting = app.settings.get("num_gpus")
    types = chosen(app)
    if setting is None or setting.value is None or not types or len(types) < len(app.machines):
        return
    if any(machine.is_gpu for machine in types):
        return
    patches: tuple[Patch, ...] = ()
    if setting.how == "attribute" and setting.module and isinstance(setting.node, ast.stmt):
        patches = removal(setting.module.place(setting.node))
    message = f"num_gpus = {shown(setting.value)} has no effect on machine type {types[0].name!r}"
    yield Breach(setting.place, message, "drop it, or take a GPU type", patches)


def _numbers(app: App) -> Iterator[Breach]:
    for name, (least, most) in BOUNDS.items():
        setting = app.settings.get(name)
        if setting is None or setting.value is UNKNOWN or setting.value is None:
            continue
        value = setting.value
        bounds = f"from {least} to {most:,}" if most else f"of at least {least}"
        if isinstance(value, int) and not isinstance(value, bool) and _within(value, least, most):
            continue
        message = f"{name} = {shown(value)} is no whole number {bounds}"
        patches: tuple[Patch, ...] = ()
        whole = _whole(value)
        if whole is not None and _within(whole, least, most):
            patches = _literal(setting.place, str(whole))
        yield Breach(setting.place, message, f"a whole number {bounds}", patches)


def _within(value: int, least: int, most: int | None) -> bool:
    return least <= value and (most is None or value <= most)


def _whole(value: object) -> int | None:
    """Return the whole number that a float or a string of digits means."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e9:
        return int(value)
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 10:
        return int(value)
    return None


def _literal(place: Place, text: str) -> tuple[Patch, ...]:
    written = place.text.content[place.start : place.end]
    is_plain = written.replace(".", "").replace('"', "").replace("'", "").isdigit()
    return ((place.start, place.end, text),) if is_plain else ()


def _regions(app: App) -> Iterator[Breach]:
    setting = app.settings.get("regions")
    if setting is None or setting.value in (None, UNKNOWN):
        return
    if not is_strings(setting.value):
        message = f"regions = {shown(setting.value)} is no list of names"
        yield Breach(setting.place, message, f"regions = [{', '.join(map(repr, REGIONS[:2]))}]")
        return
    for item in setting.items:
        if item.value not in REGIONS:
            close = get_close_matches(str(item.value), REGIONS, 1, 0.7)
            patches = string_patch(item.place, close[0]) if close else ()
            fix = f"did you mean {close[0]!r}?" if close else f"one of {', '.join(REGIONS)}"
            yield Breach(item.place, f"region {shown(item.value)} does not exist", fix, patches)


def _auth(app: App) -> Iterator[Breach]:
    setting = app.settings.get("app_auth")
    if setting is None or setting.value in (None, UNKNOWN) or setting.value in AUTH_MODES:
        return
    close = get_close_matches(str(setting.value).lower(), AUTH_MODES, 1, 0.6)
    patches = string_patch(setting.place, close[0]) if close else ()
    message = f"app_auth {shown(setting.value)} does not exist"
    yield Breach(setting.place, message, f"one of {', '.join(AUTH_MODES)}", patches)


def _public(app: App) -> Iterator[Breach]:
    if app.value("app_auth") == "public":
        message = "app_auth 'public': anybody may call the app without a key, and you pay for it"
        yield Breach(app.place_of("app_auth"), message, "'private' or 'shared'")


def _too_large(app: App) -> Iterator[Breach]:
    need = model_gigabytes(app)
    types = [machine for machine in chosen(app) if machine.is_gpu]
    if need is None or not types or need.is_reduced:
        return
    count = app.number("num_gpus") or 1
    smallest = min(types, key=lambda machine: machine.vram_gb)
    room = smallest.vram_gb * count
    if need.gigabytes <= room:
        return
    fitting = [machine for machine in documented() if machine.vram_gb >= need.gigabytes * 1.1]
    fix = f"{fitting[0].name} has {fitting[0].vram_gb:g} GB" if fitting else "more GPUs (num_gpus)"
    message = (
        f"{need.name!r} holds about {need.gigabytes:g} GB of weights, and {smallest.name}"
        f"{f' times {count}' if count > 1 else ''} has {room:g} GB of memory"
    )
    yield Breach(app.place_of("machine_type"), message, fix)


RULES = (
    Rule(
        "FAL030", "error", "machine type that is not offered",
        "fal checks the name after the environment was built, with an obscure error.",
        "Machine Types", "documentation", _types, mends=True,
    ),
    Rule(
        "FAL031", "warning", "GPU code on a CPU machine",
        "It fails at the first call, or runs a hundred times slower.", "Machine Types",
        "judgement", _cuda_without_gpu,
    ),
    Rule(
        "FAL032", "info", "GPU machine that nothing uses",
        "A GPU is paid for by the second, used or not.", "Optimizing Costs", "documentation",
        _idle_gpu,
    ),
    Rule(
        "FAL033", "warning", "num_gpus on a CPU machine", "It has no effect.", "Machine Types",
        "source", _count_without_gpu, mends=True,
    ),
    Rule(
        "FAL034", "error", "number out of range",
        "The deploy fails, or the setting does something else than was meant.",
        "Scaling Parameter Reference", "source", _numbers, mends=True,
    ),
    Rule(
        "FAL035", "error", "unknown region", "No machine is ever found.",
        "pyproject.toml reference", "source", _regions, mends=True,
    ),
    Rule(
        "FAL036", "error", "unknown auth mode", "The deploy fails.", "Deploy to Production",
        "source", _auth, mends=True,
    ),
    Rule(
        "FAL037", "warning", "app that anybody may call",
        "Nobody is asked for a key, and the owner pays for every call.", "Deploy to Production",
        "documentation", _public,
    ),
    Rule(
        "FAL039", "warning", "weights larger than the GPU's memory",
        "Loading ends in CUDA out of memory.", "Machine Types", "judgement", _too_large,
    ),
)  # fmt: skip
