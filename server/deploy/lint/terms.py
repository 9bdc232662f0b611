"""What an app's source says of its requests and of its health, as far as it is literal."""

import ast
from collections.abc import Mapping
from typing import TypeGuard, cast

from server.deploy.lint.app import App
from server.deploy.lint.module import Module
from server.deploy.lint.values import value_of

# In the order in which fal tells them (fal 1.83, `ApplicationHealthCheckConfig`, `RetryConfig`).
_HEALTH = ("start_period_seconds", "timeout_seconds", "failure_threshold", "call_regularly")
_RETRIES = ("timeout", "server_error", "connection_error")


def retries_of(app: App) -> tuple[str, ...]:
    """Return how often is tried again, such as ``server_error=3``, by condition."""
    setting = app.settings.get("retry_config")
    if setting is None:
        return ()
    value = setting.value
    if isinstance(value, dict):
        told = cast("dict[object, object]", value)
        return _entries({str(name): _retries(held) for name, held in told.items()})
    module, node = setting.module, setting.node
    call: ast.expr | None = getattr(node, "value", None)
    if module is None or not _is_call(call, module, "RetryConfig"):
        return ()
    said = _keywords(app, module, call)
    return _entries({name: _count(said.get(name)) for name in _RETRIES})


def health_of(app: App) -> tuple[str, ...]:
    """Return how the app is asked whether it is well, such as ``path=/health``."""
    for endpoint in app.endpoints:
        module, check = endpoint.method.module, endpoint.option("health_check")
        if isinstance(endpoint.path, str) and _is_call(check, module, "HealthCheck"):
            return _asked(endpoint.path, _keywords(app, module, check))
    return ()


def _asked(path: str, said: Mapping[str, object]) -> tuple[str, ...]:
    method = said.get("method")
    return _entries(
        {
            "path": path,
            **{name: said[name] for name in _HEALTH if isinstance(said.get(name), int)},
            "method": method if isinstance(method, str) else "POST",
        }
    )


def _is_call(node: ast.expr | None, module: Module, name: str) -> TypeGuard[ast.Call]:
    return isinstance(node, ast.Call) and module.origin(node.func).endswith(name)


def _keywords(app: App, module: Module, call: ast.Call) -> Mapping[str, object]:
    return {
        keyword.arg: value_of(module, keyword.value, app.class_names)
        for keyword in call.keywords
        if keyword.arg
    }


def _retries(held: object) -> int | None:
    if isinstance(held, dict):
        return _count(cast("dict[object, object]", held).get("retries"))
    return _count(held)


def _count(held: object) -> int | None:
    return held if isinstance(held, int) and not isinstance(held, bool) else None


def _entries(told: Mapping[str, object]) -> tuple[str, ...]:
    return tuple(f"{name}={held}" for name, held in told.items() if held is not None)
