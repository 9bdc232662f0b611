"""What the rules suppose of fal is so in the fal that apps are deployed with."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from server.deploy.lint import known, lint
from server.deploy.lint.rules_names import derived_name
from tests.deployed import READY, missing
from tests.lint_made import ENDPOINT, GPU, TWO, app

pytestmark = pytest.mark.proof

NAMES = ["SDXL", "TextToImage2", "MyGoodApp", "snake_case", "lower", "ABC1Def", "ONNXModel"]
ASK = """
import json, sys
import fal, fal.app, fal.toolkit, fal.wma, fal.sdk
from fal.api import FalServerlessHost as Host
from fal.app import _to_fal_app_name
from fal.cli._utils import VALID_REGIONS
names = json.loads(sys.argv[1])
print(json.dumps({
    "attributes": [n for n in dir(fal.App) if not n.startswith("__")],
    "wma": sorted(set(dir(fal.wma.App)) - set(dir(fal.App))),
    "keys": sorted(Host._SUPPORTED_KEYS | Host._GATEWAY_KEYS | Host._VIRTUALENV_KEYS),
    "fal": dir(fal), "toolkit": dir(fal.toolkit), "regions": sorted(VALID_REGIONS),
    "names": [_to_fal_app_name(n) for n in names],
}))
"""
WRAP = """
import json, runpy, sys
try:
    import fal
    found = runpy.run_path(sys.argv[1])
    apps = [v for v in found.values() if isinstance(v, type) and issubclass(v, fal.App)]
    app = [v for v in apps if v is not fal.App][0]
    wrapped = fal.wrap_app(app)
    app(_allow_init=True).openapi()
    host = wrapped.options.host
    print(json.dumps({"name": wrapped.app_name, "host": {k: repr(v) for k, v in host.items()},
                      "environment": repr(wrapped.options.environment)}))
except BaseException as problem:
    print(json.dumps({"error": f"{type(problem).__name__}: {problem}"}))
"""


def ran(program: str, argument: str) -> dict[str, Any]:
    if not READY.exists():
        missing("there is no environment with fal for this proof: `make deploy-tools` makes it")
    environment = {key: value for key, value in os.environ.items() if not key.startswith("FAL")}
    done = subprocess.run(
        [str(READY), "-I", "-c", program, argument],
        capture_output=True, text=True, check=True, timeout=60, env=environment,
    )  # fmt: skip
    return json.loads(done.stdout.splitlines()[-1])


def deployed(source: str, folder: Path) -> dict[str, Any]:
    """Return what fal makes of the source where it would be deployed, with nothing sent."""
    path = folder / "app.py"
    path.write_text(source, "utf-8")
    return ran(WRAP, str(path))


def test_the_names_that_the_rules_know_are_those_of_fal() -> None:
    told = ran(ASK, json.dumps(NAMES))
    attributes = set(told["attributes"])
    own = {"keep_alive", "resolver", "_scheduler", "_scheduler_options"}  # through host_kwargs
    assert known.SETTINGS - own <= attributes
    settable = {name for name in attributes if not name.startswith("_")}
    assert settable <= known.RESERVED | known.HOOKS
    assert set(told["wma"]) >= known.WMA_SETTINGS
    refused = {"machine_type", "num_gpus", "regions", "requirements"}
    passed_on = {"metadata", "serve", "exposed_port"}
    assert set(told["keys"]) - refused - passed_on <= known.KEYWORDS
    assert known.KEYWORDS - set(told["keys"]) == {"name", "kind"}
    public = {name for name in told["fal"] if not name.startswith("_")}
    assert public - {"annotations"} <= known.FAL_NAMES
    assert {name for name in told["toolkit"] if not name.startswith("_")} - {
        "annotations"
    } <= known.TOOLKIT_NAMES
    assert tuple(sorted(known.REGIONS)) == tuple(told["regions"])
    assert [derived_name(name) for name in NAMES] == told["names"]


@pytest.mark.parametrize(
    ("code", "source", "says"),
    [
        ("FAL010", app(head="import torch"), "No module named 'torch'"),
        ("FAL020", app(keywords=", machine_type='M'"), "multiple values"),
        ("FAL020", app(keywords=", app_auth='public'"), "Unrecognised option 'app_auth'"),
        ("FAL020", app(keywords=", volumes={}"), "Unrecognised option 'volumes'"),
        ("FAL022", app(methods="def __init__(self): ...\n" + ENDPOINT), "should not override"),
        ("FAL024", app(methods=ENDPOINT.replace("def run", "def secrets")), ""),
        ("FAL025", app("app_files_context_dir = '.'"), "app_files_context_dir"),
        ("FAL002", app("x = fal.Volume('a')"), "Volume"),
        ("FAL002", app(head="from fal.toolkit import optimize"), "optimize"),
        ("FAL070", app(methods="def setup(self): ..."), "OpenAPI"),
    ],
)
def test_what_a_rule_calls_an_error_stops_a_deploy(
    code: str, source: str, says: str, tmp_path: Path
) -> None:
    assert code in {item.code for item in lint({"app.py": source}, entry="app.py").findings}
    told = deployed(source, tmp_path)
    assert says in told.get("error", "" if not says else "no error")


@pytest.mark.parametrize(
    "source",
    [
        app(methods=ENDPOINT.replace('"/"', '"run"')),
        app("python_version = '3.11'\nkeep_alive = 9"),
        app(methods=TWO),
        app(name="SDXL"),
    ],
)
def test_what_a_rule_lets_pass_or_only_warns_of_goes_through(source: str, tmp_path: Path) -> None:
    assert "error" not in deployed(source, tmp_path)


def test_an_ignored_setting_is_ignored_and_its_mend_counts(tmp_path: Path) -> None:
    source = app("max_concurency = 7\nkeep_alive = '30'")
    files = {"app.py": source}
    assert "7" not in deployed(source, tmp_path)["host"].values()
    from_mends = lint(files, entry="app.py")
    assert {edit.code for edit in from_mends.edits} == {"FAL020", "FAL034"}


def test_the_settings_that_are_read_are_those_that_fal_sends(tmp_path: Path) -> None:
    source = app(
        GPU + "max_concurrency = LIMIT * 2\nnum_gpus = 2\nrequest_timeout = 90",
        head="LIMIT = 2", keywords=', keep_alive=45, name="shop"',
    )  # fmt: skip
    said = lint({"app.py": source}, entry="app.py")
    told = deployed(source, tmp_path)
    assert told["name"] == said.app == "shop"
    for name in ("max_concurrency", "num_gpus", "request_timeout", "keep_alive"):
        assert told["host"][name] == str(getattr(said.settings, name))
    assert said.settings.requirements[0] in told["environment"]
