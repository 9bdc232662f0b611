"""The linter answers on whatever it is given: apps of many shapes, broken ones, no source."""

import ast
import random
import time
import warnings
from collections.abc import Iterator, Mapping

import pytest

from server.deploy.lint import LintResult, apply_edits, lint, patch_of, read_text
from tests.lint_apps import APPS
from tests.lint_cases import CASES, app
from tests.lint_made import ENDPOINT

DEEP = 3_000


def parses(text: str) -> bool:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def holds(files: Mapping[str, str], entry: str = "app.py") -> LintResult:
    """Lint, and hold the answer against what is promised of every answer."""
    result = lint(files, entry=entry)
    for item in result.findings:
        assert item.message
        assert item.line >= 0
        assert item.column >= 0
        assert len(item.message) < 600
        assert (
            item.line
            <= files.get(item.file, "").count("\n") + files.get(item.file, "").count("\r") + 1
        )
    after = apply_edits(files, result.edits)
    assert all(
        parses(text.removeprefix("\ufeff")) for path, text in after.items() if path.endswith(".py")
    )
    assert bool(patch_of(files, result.edits)) == bool(after)
    return result


@pytest.mark.parametrize("name", APPS)
def test_apps_of_many_shapes_have_the_errors_that_they_have(name: str) -> None:
    files, entry, errors = APPS[name]
    result = holds(files, entry)
    found = tuple(item.code for item in result.findings if item.severity == "error")
    assert found == errors, [item for item in result.findings if item.severity == "error"]


def test_an_old_app_is_mended_as_far_as_that_is_mechanical() -> None:
    files, entry, _ = APPS["old"]
    result = holds(files, entry)
    again = holds({**files, **apply_edits(files, result.edits)}, entry)
    left = {item.code for item in again.findings if item.severity == "error"}
    assert left == {"FAL002", "FAL040", "FAL020", "FAL075"}


@pytest.mark.parametrize(
    "text",
    [
        "", "\n", "\ufeff", "\ufeff" + app(), "\0", "\x0c" + app(), app().replace("\n", "\r\n"),
        app().replace("\n", "\r"), "\t" * 50, "'" * 3, "(" * DEEP, "-" * DEEP + "1",
        "x = " + "[" * 90 + "]" * 90, "a" + ".a" * DEEP, "x = " + "1 + " * DEEP + "1",
        "x = " + "not " * DEEP + "x", "f" + "()" * DEEP, "\ud800", "class A(A): pass",
        "import fal\nclass A(B, fal.App): pass\nclass B(A): pass",
        "import fal\nA = B\nB = A\nclass C(fal.App):\n    requirements = A + B\n",
        "import fal\nA0 = [1]\n" + "".join(f"A{n + 1} = A{n} + A{n}\n" for n in range(59))
        + "class C(fal.App):\n    requirements = A59\n",
        app("keep_alive = " + "9" * 5_000), app("keep_alive = 0x" + "f" * 9_000),
        app("keep_alive = 1e999"), app("requirements = ['a' 'b', None, 3, b'x', ...]"),
        app("machine_type = {}"), app("regions = 'us-east'"), app("secrets = None"),
        app("requirements = [[], [[]], ['']]"), app("requirements = {'a': 1}"),
        app(methods="@fal.endpoint(1)\ndef a(): ...\n@fal.endpoint('/x')\ndef b(*a, **k): ..."),
        app(methods="@fal.endpoint('/')\n@staticmethod\ndef a(x=1, /, y=2, *, z) -> 3: pass"),
        app(name="Ünïcode"), app(head="from . import x\nfrom .. import y\nfrom .app import *"),
        app(head="import app"), "lambda: (yield)", app(head="match 1:\n    case _: pass"),
        app(head="# coding: latin-1"), app("x: 'int'"), "\\", "# noqa: FAL003",
    ],
)  # fmt: skip
def test_whatever_the_text_is_there_is_an_answer(text: str) -> None:
    holds({"app.py": text})


def test_a_huge_file_is_refused_in_words_and_a_long_one_is_read() -> None:
    result = holds({"app.py": app(head="x = 1\n" * 400_000)})
    assert [item.code for item in result.findings] == ["FAL001"]
    assert "characters" in result.findings[0].message
    assert holds({"app.py": app(head="x = 1\n" * 3_000)}).class_name == "MyApp"


@pytest.mark.parametrize(
    "files",
    [
        {}, {"other.py": app()}, {"pyproject.toml": ""}, {"pyproject.toml": "tool = 3"},
        {"pyproject.toml": "[tool.fal]\napps = 3"}, {"pyproject.toml": "[tool.fal.apps]\na = 1"},
        {"pyproject.toml": "[tool.fal.apps.a]"}, {"pyproject.toml": "[tool.fal.apps.a]\nref = 3"},
        {"pyproject.toml": "[tool.fal.apps.a]\nref = 'app.py::X'\n[tool.fal.apps.b]"},
        {"app.py": "import a", "a/__init__.py": "from .b import *", "a/b.py": "from . import b"},
        {"app.py": "import app\nfrom app import A", "pyproject.toml": "fal = '\\ud800'"},
    ],
)  # fmt: skip
def test_whatever_the_folder_holds_there_is_an_answer(files: dict[str, str]) -> None:
    for entry in ("app.py", "pyproject.toml", "", "gone.py"):
        holds(files, entry)


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"x = 1\n", "x = 1\n"),
        (b"\xef\xbb\xbfx = 1\n", "x = 1\n"),
        (b"# coding: latin-1\nx = '\xe4'\n", "# coding: latin-1\nx = 'ä'\n"),
        ("x = 'ä'".encode("utf-16"), "x = 'ä'"),
        (b"x = '\xff'", "x = '\ufffd'"),
        (b"# coding: no-such-thing\n", "# coding: no-such-thing\n"),
        (b"", ""),
    ],
)
def test_bytes_become_text_by_their_mark_or_comment_and_never_fail(raw: bytes, text: str) -> None:
    assert read_text(raw) == text
    holds({"app.py": read_text(raw)})


def mutated(seed: int) -> str:
    """Return a valid app after a few accidents."""
    dice = random.Random(seed)  # noqa: S311  # accidents, not secrets
    sources = [files["app.py"] for files, _, _ in APPS.values() if "app.py" in files]
    sources += [case.fires for case in CASES if isinstance(case.fires, str)]
    text = dice.choice(sources)
    for _ in range(dice.randint(1, 3)):
        text = dice.choices(ACCIDENTS, WEIGHTS)[0](text, dice)
    return text


def _lose_line(text: str, dice: random.Random) -> str:
    lines = text.split("\n")
    del lines[dice.randrange(len(lines))]
    return "\n".join(lines)


def _swap_lines(text: str, dice: random.Random) -> str:
    lines = text.split("\n")
    one, other = dice.randrange(len(lines)), dice.randrange(len(lines))
    lines[one], lines[other] = lines[other], lines[one]
    return "\n".join(lines)


def _repeat(text: str, dice: random.Random) -> str:
    start = dice.randrange(len(text) + 1)
    part = text[start : start + dice.randint(1, 80)]
    return text[:start] + part + text[start:]


def _cut(text: str, dice: random.Random) -> str:
    start = dice.randrange(len(text) + 1)
    return text[:start] + text[start + dice.randint(1, 30) :]


def _noise(text: str, dice: random.Random) -> str:
    start = dice.randrange(len(text) + 1)
    return (
        text[:start]
        + dice.choice(["(", ")", "*", "None", "'", '"', ":", "é", "\t", "~", "="])
        + text[start:]
    )


def _other_word(text: str, dice: random.Random) -> str:
    words = ["fal", "self", '"/"', "Input", "requirements", "machine_type", "def", "=", "60", "["]
    return text.replace(dice.choice(words), dice.choice([*words, "None", "()", "1.5", "x"]), 2)


ACCIDENTS = (_lose_line, _swap_lines, _repeat, _cut, _noise, _other_word)


WEIGHTS = (4, 2, 1, 1, 1, 6)


def seeds(count: int) -> Iterator[int]:
    yield from range(count)


def test_apps_after_an_accident_are_answered() -> None:
    read = [holds({"app.py": mutated(seed)}) for seed in seeds(60)]
    assert sum(bool(result.class_name) for result in read) > 12


@pytest.mark.proof
def test_many_apps_after_an_accident_are_answered() -> None:
    for seed in seeds(4_000):
        holds({"app.py": mutated(seed + 1_000)})


@pytest.mark.proof
@pytest.mark.parametrize(
    "text",
    [
        app(methods=ENDPOINT + "def a(self):\n" + "    fal.upload_file('a')\n" * 10_000),
        app(head="y = 'a'  # noqa: FAL060\n" * 10_000),
        app() + "".join(f"class A{n}(fal.App):\n    keep_alive=1\n" for n in range(5_000)),
        app("requirements = [" + "'é', " * 50_000 + "]"),
        app("\n".join(f"a{n} = B + B" for n in range(10_000)), head=f"B = [{'1,' * 5_000}]"),
        app(
            head="import torch\n" * 5_000,
            methods=ENDPOINT + "".join(f"def f{n}(s):\n    torch.x()\n" for n in range(2_000)),
        ),
        app(methods="".join(f"@fal.endpoint('/x')\ndef f{n}(s, a): ...\n" for n in range(5_000))),
        app(methods=ENDPOINT + "def setup(s):\n" + "    P.from_pretrained('a/b')\n" * 10_000),
    ],
    ids=["mends", "comments", "apps", "line", "values", "imports", "endpoints", "loads"],
)
def test_large_files_of_one_thing_take_seconds_and_not_minutes(text: str) -> None:
    began = time.process_time()
    holds({"app.py": text})
    assert time.process_time() - began < 10
