"""How much memory the models need that an app's source names."""

import re
from dataclasses import dataclass

from server.deploy.lint.app import App
from server.deploy.lint.reading import calls, code, loader_of, once, repo_of
from server.deploy.weights import known_gigabytes

# Signs that less than all of the weights lies on the GPU at once.
_REDUCED = re.compile(
    r"offload|device_map|quantiz|load_in_(?:4|8)bit|BitsAndBytes|float8|fp8|int4|int8|nf4|gguf",
    re.IGNORECASE,
)
_VLLM = frozenset({"vllm.LLM", "vllm.AsyncEngineArgs", "vllm.EngineArgs"})


@dataclass(frozen=True, slots=True)
class ModelSize:
    """The largest model, its *name* and the *gigabytes* of its weights.

    *is_reduced* tells that the source speaks of offloading or smaller numbers.
    """

    name: str
    gigabytes: float
    is_reduced: bool


@once
def model_gigabytes(app: App) -> ModelSize | None:
    """Return the weights that the app loads, an estimate from names; None where none is known."""
    found: dict[str, float] = {}
    for module, unit in code(app):
        for call, last in calls(unit):
            is_vllm = last in ("LLM", "AsyncEngineArgs", "EngineArgs")
            if is_vllm and module.origin(call.func, unit) not in _VLLM:
                continue
            if not is_vllm and not loader_of(module, unit, call, last):
                continue
            name = repo_of(module, unit, call, app)
            size = known_gigabytes(name) if name else None
            if size is not None:
                found[name] = size
    if not found:
        return None
    largest = max(found, key=lambda name: found[name])
    reduced = any(_REDUCED.search(module.text.content) for module in app.project.modules)
    return ModelSize(largest, round(found[largest], 1), reduced)
