"""Rules on secrets and on code that runs what it should not."""

import ast
import re
from collections.abc import Iterator

from server.deploy.lint.app import App
from server.deploy.lint.module import Module, Unit
from server.deploy.lint.reading import (
    HUB_LOADERS,
    calls,
    code,
    first,
    keyword,
    repo_of,
)
from server.deploy.lint.rule import Breach, Patch, Rule
from server.deploy.lint.values import is_strings, value_of

_CREDENTIALS = (
    (re.compile(r"\bhf_[A-Za-z0-9]{20,}"), "Hugging Face token"),
    (re.compile(r"\bsk-[A-Za-z0-9_-]{20,}"), "key in OpenAI's style"),
    (re.compile(r"\bAKIA[0-9A-Z]{16}\b"), "AWS key id"),
    (re.compile(r"\bgh[pousr]_[A-Za-z0-9]{30,}"), "GitHub token"),
    (re.compile(r"\bgithub_pat_[A-Za-z0-9_]{30,}"), "GitHub token"),
    (re.compile(r"\bxox[abpr]-[A-Za-z0-9-]{20,}"), "Slack token"),
    (re.compile(r"\bAIza[A-Za-z0-9_-]{35}\b"), "Google key"),
    (
        re.compile(
            r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}:[0-9a-f]{32}\b"
        ),
        "fal key",
    ),
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY"), "private key"),
)
_ANY = re.compile("|".join(pattern.pattern for pattern, _ in _CREDENTIALS))
# Names of the environment that are no secrets of the account.
_NO_SECRET = re.compile(
    r"FAL_|CUDA|TORCH|PYTORCH|HF_HUB_|HF_HOME|HF_XET|TRANSFORMERS_|NCCL|OMP_|MKL_|TOKENIZERS_|VLLM_"
    r"|PYTHON|XDG_|LD_|LC_|TMPDIR$|PATH$|HOME$|USER$|PORT$|HOST|LANG$|DEBUG$|LOG_LEVEL$|IS_ISOLATE|TZ$"
    r"|(?:RANK|LOCAL_RANK|WORLD_SIZE|MASTER_ADDR|MASTER_PORT)$"
)


def _credentials(module: Module) -> Iterator[Breach]:
    for unit in module.units:
        for node in unit.of(ast.Constant):
            if not isinstance(node.value, str) or len(node.value) < 20:
                continue
            for pattern, kind in _CREDENTIALS if _ANY.search(node.value) else ():
                if found := pattern.search(node.value):
                    yield Breach(
                        module.place(node),
                        f"a {kind} stands in the source: {found[0][:4]}…",
                        "revoke it; `fal secrets set NAME=...`, then os.environ['NAME'] in setup()",
                    )
                    break


def _unlisted(app: App) -> Iterator[Breach]:
    setting = app.settings.get("secrets")
    if setting is None or not is_strings(setting.value):
        return
    given = set(setting.value)
    wanted: dict[str, None] = {}
    for module, unit in code(app):
        if unit is module.at_import:
            continue
        for name, is_read in _environment(module, unit):
            if not is_read:
                given.add(name)
            elif not _NO_SECRET.match(name):
                wanted[name] = None
    missing = [name for name in wanted if name not in given]
    for position, name in enumerate(missing):
        patches: tuple[Patch, ...] = ()
        written = setting.place.text.content[setting.place.start : setting.place.end]
        if (
            position == 0
            and setting.how != "toml"
            and written.startswith("[")
            and "#" not in written
        ):
            inside = written[1:-1].strip()
            names = ", ".join(f'"{other}"' for other in missing)
            joint = "" if not inside else (" " if inside.endswith(",") else ", ")
            end = setting.place.start + len(written[:-1].rstrip())
            patches = ((end, end, f"{joint}{names}"),)
        message = f"{name} is read from the environment and is not among secrets = [...]"
        yield Breach(setting.place, message, f'add "{name}"', patches)


def _environment(module: Module, unit: Unit) -> Iterator[tuple[str, bool]]:
    """Yield names of environment variables with whether they are read (or else set)."""
    for call, last in calls(unit):
        if last in ("getenv", "get", "setdefault", "pop"):
            origin = module.origin(call.func, unit)
            if origin in ("os.getenv", "os.environ.get", "os.environ.setdefault", "os.environ.pop"):
                value = value_of(module, first(call, "key"))
                if isinstance(value, str):
                    yield value, last in ("getenv", "get")
    for node in unit.of(ast.Subscript):
        if module.origin(node.value, unit) == "os.environ":
            value = value_of(module, node.slice)
            if isinstance(value, str):
                yield value, isinstance(node.ctx, ast.Load)


def _evaluation(module: Module) -> Iterator[Breach]:
    for unit in module.units:
        for call, last in calls(unit):
            if last in ("eval", "exec") and isinstance(call.func, ast.Name):
                message = f"{last}() runs whatever text it is given"
                yield Breach(
                    module.place(call), message, "ast.literal_eval or json.loads read data"
                )
            elif value_of(module, keyword(call, "shell")) is True:
                message = f"{last}(shell=True) lets a shell read the words of a command"
                yield Breach(module.place(call), message, "a list of arguments, without a shell")
            elif last == "system" and module.origin(call.func, unit) == "os.system":
                message = "os.system() lets a shell read the words of a command"
                yield Breach(module.place(call), message, "subprocess.run([...])")


def _remote_code(module: Module) -> Iterator[Breach]:
    for unit in module.units:
        for call in unit.of(ast.Call):
            node = keyword(call, "trust_remote_code")
            if node is not None and value_of(module, node) is True:
                if isinstance(value_of(module, keyword(call, "revision")), str):
                    continue
                message = (
                    "trust_remote_code=True runs code of the model's repository, whatever it is"
                )
                yield Breach(module.place(node), message, 'pin it: revision="<commit>"')


def _floating(app: App) -> Iterator[Breach]:
    for module, unit in code(app):
        for call, last in calls(unit):
            if last in HUB_LOADERS:
                name = repo_of(module, unit, call, app)
                if name and keyword(call, "revision") is None:
                    message = (
                        f"{last}({name!r}) loads whatever is newest: tomorrow's model may differ"
                    )
                    yield Breach(module.place(call), message, 'revision="<commit>"')
            elif last == "clone_repository" and not keyword(call, "commit_hash"):
                message = "clone_repository() without commit_hash takes whatever is newest"
                yield Breach(module.place(call), message, 'commit_hash="<commit>"')
        for node in unit.of(ast.Constant):
            if isinstance(node.value, str) and "git clone" in node.value:
                yield from _clone(module, node, node.value)
        for node in unit.of(ast.List):
            words = value_of(module, node)
            if is_strings(words) and list(words[:2]) == ["git", "clone"]:
                yield from _clone(module, node, " ".join(words))


def _clone(module: Module, node: ast.AST, words: str) -> Iterator[Breach]:
    for line in re.split(r"\n|&&|;", words):
        is_held = re.search(r"--branch|(?:^|\s)-b\s", line) or re.search(
            r"git\s+(?:-C\s+\S+\s+)?(?:checkout|reset)\b|git\s+fetch\b", words
        )
        if "git clone" in line and not is_held:
            short = " ".join(line.split())[:80]
            yield Breach(
                module.place(node), f"`{short}` takes whatever is newest", "check out a commit"
            )
            return


RULES = (
    Rule(
        "FAL041", "warning", "environment variable that is not among the secrets",
        "An explicit secrets list is the whole list: other names are missing on the runner.",
        "Secrets", "source", _unlisted, mends=True,
    ),
    Rule(
        "FAL044", "warning", "model or repository without a revision",
        "A rebuilt runner may load other weights or other code than the one before.",
        "Download Model Weights", "judgement", _floating,
    ),
)  # fmt: skip
MODULE_RULES = (
    Rule(
        "FAL040", "error", "credential in the source",
        "A deploy sends the file's text, and every copy of it holds the key.", "Secrets",
        "documentation", _credentials,
    ),
    Rule(
        "FAL042", "warning", "eval, exec or a shell",
        "What a caller sends may end up as code.", "Core Concepts", "judgement", _evaluation,
    ),
    Rule(
        "FAL043", "warning", "remote code without a pin",
        "Whoever owns the model's repository runs code in the app, with its secrets.",
        "Download Model Weights", "judgement", _remote_code,
    ),
)  # fmt: skip
