"""What goes to fal is what a person confirmed; whoever deploys never sees the key."""

from pathlib import Path
from typing import Any

import pytest

from server.deploy.cloud.failures import CloudError
from tests.cloud_ends import SETTINGS, SOURCE, audit, fal_at
from tests.deployed import needs_namespaces

pytestmark = pytest.mark.proof


def with_line(line: str, source: str = SOURCE) -> str:
    """Return the app with one more line in its class."""
    return source.replace("    max_concurrency = 2\n", f"    max_concurrency = 2\n    {line}\n")


def with_head(code: str) -> str:
    """Return the app with code before its class."""
    return f"{code}\n{SOURCE}"


# An app that changes, before it is sent, what `fal` sends of it.
TWISTED = """
import fal.sdk
_real = fal.sdk.FalServerlessConnection.register

def _twisted(self, *given, **named):
    {twist}
    return _real(self, *given, **named)

fal.sdk.FalServerlessConnection.register = _twisted
"""


@pytest.mark.parametrize(
    ("source", "words"),
    [
        pytest.param(
            SOURCE.replace('"S"', '"GPU-H100"'), "machine 'GPU-H100' instead of 'S'", id="machine"
        ),
        pytest.param(
            SOURCE.replace('"S"', '["S", "GPU-H100"]'), "machine 'S', 'GPU-H100'", id="fallback"
        ),
        pytest.param(with_line("num_gpus = 8"), "num_gpus 8 instead of none", id="GPUs"),
        pytest.param(
            SOURCE.replace("concurrency = 2", "concurrency = 50"),
            "max_concurrency 50 instead of 2",
            id="most runners",
        ),
        pytest.param(
            SOURCE.replace("    max_concurrency = 2\n", ""),
            "max_concurrency none instead of 2",
            id="no cap",
        ),
        pytest.param(with_line("min_concurrency = 3"), "min_concurrency 3", id="idle runners"),
        pytest.param(
            with_line("concurrency_buffer_perc = 100"),
            "concurrency_buffer_perc 100 instead of none",
            id="buffer",
        ),
        pytest.param(with_line("keep_alive = 3600"), "keep_alive 3600 instead of 60", id="keep"),
        pytest.param(
            with_line('secrets = ["HF_TOKEN", "OTHER"]'),
            "secrets 'HF_TOKEN', 'OTHER' instead of none",
            id="secrets",
        ),
        pytest.param(
            SOURCE.replace('"numpy==2.0"', '"numpy==2.0", "evil-package"'),
            "requirement 'evil-package' was not confirmed",
            id="requirement",
        ),
        pytest.param(
            SOURCE.replace('"numpy==2.0"', '"httpx @ https://evil.test/httpx.whl"'),
            "was not confirmed",
            id="a requirement that only looks like fal's own",
        ),
        pytest.param(
            with_line('regions = ["us-east"]'), "regions 'us-east' instead of", id="region"
        ),
        pytest.param(
            with_line('_scheduler = "kubernetes"'), "scheduler 'kubernetes'", id="scheduler"
        ),
        pytest.param(
            with_head(TWISTED.format(twist='named["application_name"] = "other"')),
            "name 'other' instead of 'hello'",
            id="name",
        ),
        pytest.param(
            with_head(TWISTED.format(twist='named["auth_mode"] = "public"')),
            "auth 'public' instead of 'private'",
            id="auth",
        ),
        pytest.param(
            with_head(TWISTED.format(twist='named["source_code"] = "pass"')),
            "its source is not the confirmed one",
            id="source",
        ),
        pytest.param(
            with_head(TWISTED.format(twist='named["scale"] = True')),
            "reset_scale True instead of False",
            id="scale",
        ),
        pytest.param(
            with_head(TWISTED.format(twist='named["attach_to_deployment"] = False')),
            "attached False instead of True",
            id="detached",
        ),
        pytest.param(
            with_head(TWISTED.format(twist='named["metadata"] = {}')),
            "does not carry the plan's id",
            id="mark",
        ),
        pytest.param(
            with_head(TWISTED.format(twist='named["environment_name"] = "staging"')),
            "was not confirmed",
            id="environment",
        ),
        pytest.param(
            with_head(TWISTED.format(twist='self.delete_alias("production")')),
            "DeleteAlias is no part of the plan",
            id="another call",
        ),
        pytest.param(
            with_head(
                TWISTED.format(
                    twist="fal.sdk.isolate_proto.IsolateControllerStub(fal.sdk.grpc.secure_channel("
                    "self.hostname, fal.sdk.grpc.local_channel_credentials())"
                    ").ListAliases(fal.sdk.isolate_proto.ListAliasesRequest())"
                )
            ),
            "it comes from somebody else",
            id="without the token",
        ),
        pytest.param(
            with_head(TWISTED.format(twist='self.create_user_key(fal.sdk.KeyPreset.FULL, "mine")')),
            "CreateUserKey is no part of the plan",
            id="a key",
        ),
    ],
)
async def test_what_was_not_confirmed_does_not_reach_fal(
    tmp_path: Path, source: str, words: str
) -> None:
    async with fal_at(tmp_path) as fal:
        with pytest.raises(CloudError) as refused:
            await fal.target.release(fal.release(source), fal.tell)

        assert words in str(refused.value)
        assert refused.value.error_type == "refused_by_policy"
        assert set(fal.names()) <= {"BuildEnvironment"}
        noted = [line for line in audit(tmp_path) if line.get("decision") == "refused"]
        assert len(noted) == 1
        assert words in noted[0]["why"]


async def test_a_second_registration_of_the_same_plan_is_refused(tmp_path: Path) -> None:
    twice = with_head(TWISTED.format(twist="list(_real(self, *given, **named))"))
    async with fal_at(tmp_path) as fal:
        await fal.target.release(fal.release(twice), fal.tell)

        assert fal.names().count("RegisterApplication") == 1
        assert any("sent once" in str(line.get("why")) for line in audit(tmp_path))


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"machine_types": ("S", "GPU-H100"), "num_gpus": 2}, id="GPUs"),
        pytest.param({"secrets": ("HF_TOKEN",)}, id="secrets"),
        pytest.param({"auth": "public"}, id="public"),
        pytest.param({"concurrency_buffer_perc": 25}, id="a buffer in per cent"),
        pytest.param({"regions": ("us-east",), "min_concurrency": 1}, id="regions"),
    ],
)
async def test_what_was_confirmed_passes(tmp_path: Path, changes: dict[str, Any]) -> None:
    lines = {
        "num_gpus": "num_gpus = 2",
        "concurrency_buffer_perc": "concurrency_buffer_perc = 25",
        "secrets": 'secrets = ["HF_TOKEN"]',
        "regions": 'regions = ["us-east"]',
        "min_concurrency": "min_concurrency = 1",
    }
    source = SOURCE
    for name in changes:
        source = with_line(lines[name], source) if name in lines else source
    if "machine_types" in changes:
        source = source.replace('"S"', '["S", "GPU-H100"]')
    async with fal_at(tmp_path) as fal:
        await fal.target.release(fal.release(source, **changes), fal.tell)
        assert fal.names()[-1] == "RegisterApplication"
        auth = fal.request("RegisterApplication")["auth_mode"]
        assert auth == str(changes.get("auth", SETTINGS.auth)).upper()


LOOKS_FOR_THE_KEY = """
import gc, os, pathlib

def _found(needle):
    places = {}
    places["environ"] = repr(dict(os.environ))
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        for name in ("environ", "cmdline"):
            try:
                places[f"{process}/{name}"] = (process / name).read_bytes().decode("latin-1")
            except OSError:
                pass
    for top in (os.environ["HOME"], os.getcwd(), str(pathlib.Path(os.environ["HOME"]).parent)):
        for folder, folders, files in os.walk(top):
            folders[:] = [one for one in folders if one != "root"]  # the system, seen once more
            for file in files:
                try:
                    places[f"{folder}/{file}"] = open(f"{folder}/{file}", errors="replace").read()
                except OSError:
                    pass
    for thing in gc.get_objects():
        if isinstance(thing, dict):
            places[f"memory {id(thing)}"] = repr([v for v in thing.values() if type(v) is str])
    return [place for place, text in places.items() if needle in text]

seen = _found("ereh-yek-on"[::-1])
real = _found("terces-yek"[::-1])
pids = [one.name for one in pathlib.Path("/proc").glob("[0-9]*")]
def _memory(pid, needle):
    for line in open(f"/proc/{pid}/maps"):
        span, rights, *_ = line.split()
        if not rights.startswith("r") or "[v" in line:
            continue
        low, high = (int(part, 16) for part in span.split("-"))
        with open(f"/proc/{pid}/mem", "rb", 0) as memory:
            memory.seek(low)
            try:
                if needle in memory.read(min(high - low, 64 << 20)):
                    return True
            except (OSError, OverflowError, ValueError):
                continue
    return False

for pid in pids:
    if int(pid) == os.getpid():
        continue
    try:
        if _memory(pid, "terces-yek"[::-1].encode()):
            real.append(f"memory of {pid}")
    except OSError:
        pass
raise RuntimeError(f"key at {real}; dummy at {len(seen)} places; network {_network()}")
"""
NETWORK = """
import socket

def _network():
    try:
        socket.create_connection(("192.0.2.1", 80), timeout=2).close()
    except TimeoutError:
        return "may try"
    except OSError as problem:
        return "none"
    return "there"
"""


async def test_an_app_that_looks_everywhere_finds_no_key_and_no_network(tmp_path: Path) -> None:
    needs_namespaces()
    async with fal_at(tmp_path) as fal:
        with pytest.raises(CloudError) as said:
            await fal.target.release(fal.release(with_head(NETWORK + LOOKS_FOR_THE_KEY)), fal.tell)

    assert said.value.error_type == "user_import_error"
    assert "key at []" in str(said.value)
    assert "dummy at 0 places" not in str(said.value)  # the search finds what is there
    assert "network none" in str(said.value)
