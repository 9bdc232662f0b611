"""Every way in which a change on fal can fail is told in words, with the next step."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from server.deploy.cloud.failures import CloudError, check
from server.deploy.cloud.orders import deleting, looking
from server.deploy.cloud.outcome import Outcome
from server.deploy.environments import fal_wanted
from tests.cloud_ends import SOURCE, fal_at, settings_for
from tests.deployed import READY, missing
from tests.platform_ends import platform_of

proof = pytest.mark.proof
STORED = Path(__file__).parent / "snapshots" / "fal_contract.json"


def written(code: str, details: str = "words of fal") -> Outcome:
    """Return the outcome of a change that fal answered so."""
    answer = {"answered": "DeleteAlias", "code": code, "details": details}
    return Outcome(forwarded=True, answer=answer, write_answer=answer)


@pytest.mark.parametrize(
    ("outcome", "code", "words"),
    [
        pytest.param(written("UNAUTHENTICATED"), "auth_invalid", "does not know the key", id="key"),
        pytest.param(
            written("PERMISSION_DENIED"), "permission_denied", "hello: the key may not", id="rights"
        ),
        pytest.param(written("NOT_FOUND"), "not_found", "no such thing", id="missing"),
        pytest.param(written("ALREADY_EXISTS"), "exists", "there already", id="there"),
        pytest.param(written("INVALID_ARGUMENT"), "invalid_argument", "does not take", id="value"),
        pytest.param(written("FAILED_PRECONDITION"), "not_now", "as things are", id="state"),
        pytest.param(written("RESOURCE_EXHAUSTED"), "over_quota", "a limit", id="quota"),
        pytest.param(written("DATA_LOSS"), "failed", "data loss (fal: words", id="unheard of"),
        pytest.param(
            written("UNAVAILABLE", "failed to connect to all addresses; last error: refused"),
            "unreachable",
            "cannot be reached",
            id="never connected",
        ),
        pytest.param(
            written("UNAVAILABLE", "Socket closed"), "unknown_outcome", "may have been", id="broke"
        ),
        pytest.param(Outcome(forwarded=True), "unknown_outcome", "no answer came", id="silence"),
        pytest.param(
            Outcome(refused="DeleteApplication is no part of the plan"),
            "refused_by_policy",
            "no part of the plan",
            id="policy",
        ),
        pytest.param(Outcome(expired=True), "timed_out", "nothing was changed", id="time"),
        pytest.param(
            Outcome(said=["Killed"], status=-9), "worker_died", "ended early (Killed)", id="death"
        ),
        pytest.param(Outcome(), "worker_died", "status 0", id="silent death"),
    ],
)
def test_an_answer_of_fal_is_told_in_words(outcome: Outcome, code: str, words: str) -> None:
    with pytest.raises(CloudError) as told:
        check(deleting("hello"), outcome)

    assert told.value.error_type == code
    assert words in str(told.value)
    assert told.value.hint
    assert told.value.is_unknown is (code == "unknown_outcome")


def test_what_looks_like_a_key_is_blotted_out_of_words_of_fal() -> None:
    key = "0b8ff8a7-9b1d-4b2c-8a3e-7ab3c7f7d111:0123456789abcdef0123456789abcdef"
    with pytest.raises(CloudError) as told:
        check(deleting("hello"), written("PERMISSION_DENIED", f"Key {key} may not"))

    assert "0123456789abcdef" not in str(told.value)
    assert "***" in str(told.value)


def test_a_change_that_fal_confirmed_counts_whatever_the_worker_says() -> None:
    outcome = written("OK")
    outcome.failed = {"words": "made up by the app", "code": "", "grpc": ""}
    check(deleting("hello"), outcome)

    forged = Outcome(done={"revision": "made up"})
    with pytest.raises(CloudError):
        check(deleting("hello"), forged)
    check(looking("list_apps"), forged)


SECOND = SOURCE + "\n\nclass Second(fal.App):\n    pass\n"
WEBSOCKET = SOURCE.replace(
    '    @fal.endpoint("/")\n    def run(self) -> dict:\n        return {}\n',
    '    @fal.endpoint("/ws", is_websocket=True)\n    def run(self, x) -> dict:\n'
    "        return {}\n",
)


@proof
@pytest.mark.parametrize(
    ("source", "code", "words"),
    [
        pytest.param("import torch\n" + SOURCE, "user_import_error", "No module named 'torch'",
                     id="a module that is not here"),
        pytest.param("value = 1 / 0\n" + SOURCE, "user_import_error", "at app.py:1", id="fails"),
        pytest.param("def broken(:\n", "user_import_error", "app.py:1", id="syntax"),
        pytest.param("import sys\nsys.exit(3)\n" + SOURCE, "user_import_error", "SystemExit: 3",
                     id="an end"),
        pytest.param("import os\nos._exit(3)\n" + SOURCE, "worker_died", "status 3",
                     id="a hard end"),
        pytest.param(SECOND, "ambiguous_app", "several apps", id="several apps"),
        pytest.param("value = 1\n", "no_app", "no such app", id="no app"),
        pytest.param(SOURCE + "\n\nHello = 3\n", "no_app", "no such app", id="no class"),
        pytest.param(WEBSOCKET, "invalid_app", "interface cannot be described", id="websocket"),
        pytest.param(
            SOURCE.replace("(fal.App)", '(fal.App, python_version="3.9")'),
            "python_mismatch", "another Python", id="Python",
        ),
        pytest.param(
            SOURCE.replace("    max_conc", '    app_files = ["data"]\n    max_conc'),
            "files_not_sent", "'data' is no part of the source", id="files",
        ),
        pytest.param(SOURCE.replace('"numpy==2.0"', '"."'), "files_not_sent",
                     "a folder of this machine", id="a folder"),
        pytest.param(
            SOURCE.replace("    def run(", "    def image(").replace('"/")', '"/image")'),
            "invalid_app", "not what fal expects", id="a name that is a setting",
        ),
    ],
)  # fmt: skip
async def test_an_app_that_cannot_be_deployed_says_why(
    tmp_path: Path, source: str, code: str, words: str
) -> None:
    async with fal_at(tmp_path) as fal:
        with pytest.raises(CloudError) as told:
            await fal.target.release(fal.release(source), fal.tell)

        assert (told.value.error_type, words in str(told.value)) == (code, True), str(told.value)
        assert "RegisterApplication" not in fal.names()
        assert "Traceback" not in str(told.value)
        assert len(str(told.value)) < 900


@proof
@pytest.mark.parametrize(
    ("behaviour", "code", "words"),
    [
        pytest.param({"mute": ["RegisterApplication"]}, "unknown_outcome", "naming a revision",
                     id="no result"),
        pytest.param({"nameless": True}, "invalid_name", "no address for the name", id="name"),
        pytest.param({"mute": ["BuildEnvironment"], "logs": ["no matching distribution: numpy"]},
                     "build_failed", "no matching distribution: numpy", id="build"),
        pytest.param({"fail": {"BuildEnvironment": ["PERMISSION_DENIED", "not allowed"]}},
                     "permission_denied", "(fal: not allowed)", id="rights"),
        pytest.param({"fail": {"RegisterApplication": ["INVALID_ARGUMENT", "machine Q"]}},
                     "invalid_argument", "(fal: machine Q)", id="machine"),
        pytest.param({"fail": {"BuildEnvironment": ["UNAVAILABLE", "socket closed"]}},
                     "unreachable", "cannot be reached", id="away"),
        pytest.param(
            {"fail": {"RegisterApplication": ["ABORTED", "died with <Signals.SIGKILL: 9>.`."]}},
            "resource_exhausted", "ran out of memory", id="memory",
        ),
    ],
)  # fmt: skip
async def test_a_deploy_that_fal_refuses_says_why(
    tmp_path: Path, behaviour: dict[str, Any], code: str, words: str
) -> None:
    async with fal_at(tmp_path) as fal:
        await fal.behave(**behaviour)
        with pytest.raises(CloudError) as told:
            await fal.target.release(fal.release(), fal.tell)

        assert (told.value.error_type, words in str(told.value)) == (code, True), str(told.value)


@proof
async def test_a_wrong_key_is_named_and_never_shown(tmp_path: Path) -> None:
    async with fal_at(tmp_path, key="other-id:other-secret") as fal:
        with pytest.raises(CloudError) as told:
            await fal.target.secret_names()

    assert told.value.error_type == "auth_invalid"
    assert "other-secret" not in str(told.value)


@proof
async def test_an_import_that_never_ends_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.deploy.cloud.workers.IMPORT_SECONDS", 1.0)
    async with fal_at(tmp_path) as fal:
        with pytest.raises(CloudError) as told:
            await fal.target.release(
                fal.release("import time\ntime.sleep(600)\n" + SOURCE), fal.tell
            )
        assert told.value.error_type == "timed_out"
        assert "while the app was imported" in str(told.value)
        assert fal.names() == []


@proof
async def test_an_app_that_prints_without_end_or_forges_answers_changes_nothing(
    tmp_path: Path,
) -> None:
    forged = json.dumps({"done": {"revision": "made-up"}})
    loud = f"""
import os
for handle in range(3, 32):
    try:
        os.write(handle, {forged.encode()!r} + b"\\n")
    except OSError:
        pass
print({forged!r})
for _ in range(200):
    os.write(1, b"x" * 1000 + b"\\n")
os._exit(0)
"""
    async with fal_at(tmp_path) as fal:
        with pytest.raises(CloudError) as told:
            await fal.target.release(fal.release(loud + SOURCE), fal.tell)
        assert told.value.error_type in ("worker_died", "failed")
        assert fal.shelf.apps == {}


@proof
async def test_a_control_plane_that_is_not_there_is_unreachable(tmp_path: Path) -> None:
    from server.deploy.cloud.target import open_cloud  # noqa: PLC0415
    from tests.fal_ends import Script  # noqa: PLC0415

    if not READY.exists():
        missing("there is no environment with fal for this proof: `make deploy-tools` makes it")
    async with (
        platform_of(Script()) as platform,
        open_cloud(settings_for(tmp_path, 9), platform) as target,
    ):
        with pytest.raises(CloudError) as told:
            await target.secret_names()
    assert told.value.error_type == "unreachable"
    assert told.value.retry_helps


INTROSPECTION = """
import json, fal, inspect
from fal.api import SyncServerlessClient
from fal.api.api import FalServerlessHost
from fal.api import deploy
import fal.cli._utils as utils
import isolate_proto.controller_pb2 as wire
settings = sorted(name for name in vars(fal.App) if not name.startswith("__"))
messages = ("RegisterApplicationRequest", "MachineRequirements", "UpdateApplicationRequest",
            "SetAliasRequest", "DeleteAliasRequest", "RolloutApplicationRequest",
            "SetSecretRequest", "BuildEnvironmentRequest")
print(json.dumps({
    "App": settings,
    "host_keys": sorted(FalServerlessHost._SUPPORTED_KEYS),
    "prepare_from_reference":
        str(sorted(inspect.signature(deploy._prepare_deployment_from_reference).parameters)),
    "AppData": sorted(utils.AppData.__dataclass_fields__),
    "execute_prepared_deployment":
        str(sorted(inspect.signature(deploy.execute_prepared_deployment).parameters)),
    "calls": sorted(m.name for m in wire.DESCRIPTOR.services_by_name["IsolateController"].methods),
    "fields": {name: sorted(getattr(wire, name).DESCRIPTOR.fields_by_name) for name in messages},
}))
"""


@proof
def test_fal_is_still_what_falkit_was_written_for() -> None:
    """A new release that renames, adds or drops something shows here, before it surprises."""
    if not READY.exists():
        missing("there is no environment with fal for this proof: `make deploy-tools` makes it")
    said = subprocess.run(
        [str(READY), "-I", "-c", INTROSPECTION],
        capture_output=True,
        check=True,
        env={"HOME": "/nonexistent", "FAL_CONFIG_PATH": "/nonexistent/config.toml"},
    )
    found = json.loads(said.stdout.splitlines()[-1])
    stored = json.loads(STORED.read_text("utf-8"))
    assert stored["fal"] == fal_wanted()
    assert found == stored["contract"]
