"""Import an app in a process of its own and tell what it is: routes, settings, OpenAPI."""

import dataclasses
import importlib.util
import json
import logging
import os
import platform
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, cast

_KEPT = (bool, int, float, str, type(None))


def beside(name: str) -> ModuleType:
    """Return the module of that name in this folder, out of reach of what the app calls so."""
    path = Path(__file__).with_name(f"{name}.py")
    spec = importlib.util.spec_from_file_location(f"_falkit_{name}", path)
    if spec is None or spec.loader is None:
        raise ImportError(path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def described(cls: Any) -> dict[str, Any]:  # noqa: ANN401
    """Return what *cls*, a `fal.App`, is: plain JSON."""
    app = cls(_allow_init=True)
    health = cls.get_health_check_config()
    return {
        "class_name": cls.__name__,
        "app_name": cls.app_name or "",
        "auth": cls.app_auth,
        "machine_type": cls.machine_type,
        "requirements": cls.requirements,
        "settings": {name: _plain(value) for name, value in cls.host_kwargs.items()},
        "num_gpus": cls.num_gpus,
        "image": cls.image is not None,
        "health": health.path if health is not None else "",
        "python_version": platform.python_version(),
        "routes": [
            {
                "path": signature.path,
                "is_websocket": bool(signature.is_websocket),
                "realtime": signature.realtime_mode,
                "is_health": signature.health_check is not None,
            }
            for signature in app.collect_routes()
        ],
        "openapi": app.openapi(),
    }


def _plain(value: Any) -> Any:  # noqa: ANN401
    if isinstance(value, _KEPT):
        return value
    if isinstance(value, list | tuple):
        return [_plain(one) for one in cast("list[Any]", value)]
    if isinstance(value, dict):
        return {str(name): _plain(one) for name, one in cast("dict[Any, Any]", value).items()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)
        }
    return None


def main() -> int:
    """Answer with one line: what the app is, or why it could not be imported."""
    asked = json.loads(sys.argv[1])
    shared = beside("app_class")
    tell = shared.Teller()
    folder = Path(asked["folder"])

    def say(line: str) -> None:
        tell(said=line)

    sys.stdout, sys.stderr = shared.Lines(sys.stdout, say), shared.Lines(sys.stderr, say)
    logging.disable(logging.CRITICAL)
    if asked["site"] not in sys.path:
        sys.path.append(asked["site"])
    try:
        tell(app=described(shared.loaded_class(folder, asked["file"], asked["class_name"])))
    except BaseException as problem:
        tell(failed=shared.words_of(problem, folder))
        return 1
    return 0


if __name__ == "__main__":
    # Threads and exit handlers of the app must not keep the answer from being the end.
    os._exit(main())
