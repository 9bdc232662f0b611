"""TLS: the released client led here by environment variables alone, and the certificate itself."""

import json
import os
import shlex
import ssl
import subprocess
import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Timer
from typing import Any

import httpx
import pytest
from cryptography import x509

from server.emulator.certificates import certificate_of
from tests.emulated import FLUX, SMALL

ROOT = Path(__file__).resolve().parents[1]
# A person's program, which knows nothing of an emulator.
PROGRAM = """
import asyncio, json, sys
import fal_client

FLUX, SMALL = json.loads(sys.argv[1])
STUCK = {"x-emulator-fault": "stuck"}

async def twin():
    output = await fal_client.subscribe_async(FLUX, SMALL)
    async with fal_client.realtime_async(FLUX, use_jwt=False) as connection:
        await connection.send(SMALL)
        return output["seed"] is not None and (await connection.recv())["images"][0]["url"]

handle = fal_client.submit(FLUX, SMALL)
kept = fal_client.submit(FLUX, SMALL, headers=STUCK)
fal_client.cancel(FLUX, kept.request_id)
with fal_client.realtime(FLUX, use_jwt=False) as connection:
    connection.send(SMALL)
    live = connection.recv()
print(json.dumps({
    "run": fal_client.run(FLUX, SMALL)["images"][0]["url"],
    "get": handle.get()["images"][0]["url"],
    "result": fal_client.result(FLUX, handle.request_id)["images"][0]["url"],
    "status_url": handle.status_url,
    "subscribe": fal_client.subscribe(FLUX, SMALL, with_logs=True)["images"][0]["url"],
    "cancelled": fal_client.status(FLUX, kept.request_id).error_type,
    "stream": len(list(fal_client.stream(FLUX, SMALL))),
    "realtime": live["images"][0]["url"],
    "twin": asyncio.run(twin()),
}))
"""


@contextmanager
def emulating(home: Path, *options: str) -> Generator[str]:
    """Yield what `falkit emulate` prints, while it serves."""
    command = [sys.executable, "-m", "falkit", "emulate", "--port", "0", "--speed", "0", *options]
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, "FALKIT_HOME": str(home)},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        alarm = Timer(60, process.kill)
        alarm.start()
        try:
            assert process.stdout is not None
            said = ""
            while line := process.stdout.readline():
                said += line
                if line == "});\n":
                    break
            yield said
        finally:
            alarm.cancel()
            process.terminate()
            ended = process.wait(20)
        assert ended == 0 or os.name == "nt"  # politely


def exported(said: str) -> Mapping[str, str]:
    """Return the variables that *said* asks for."""
    lines = [shlex.split(line)[1] for line in said.splitlines() if line.startswith("export ")]
    return dict(line.split("=", 1) for line in lines)


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> Generator[str]:
    with emulating(tmp_path_factory.mktemp("my home"), "--tls") as said:
        yield said


def test_the_released_client_works_by_environment_variables_alone(said: str) -> None:
    variables = exported(said)
    host, _, port = variables["FAL_RUN_HOST"].partition(":")
    assert host == "localhost"
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps([FLUX, SMALL])],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    assert told["cancelled"] == "client_cancelled"
    assert told["stream"] > 1
    assert told["status_url"].startswith(f"https://127.0.0.1:{port}/queue/fal-ai/flux/requests/")
    trusted = ssl.create_default_context(cafile=variables["SSL_CERT_FILE"])
    for name in ("run", "get", "result", "subscribe", "realtime", "twin"):
        assert told[name].startswith("https://"), name
        assert httpx.get(told[name], verify=trusted).content.startswith(b"\xff\xd8")


def test_without_trust_or_over_plain_http_nothing_is_served(said: str) -> None:
    host = exported(said)["FAL_RUN_HOST"]
    with pytest.raises(httpx.ConnectError, match="certificate verify failed"):
        httpx.get(f"https://{host}/_emulator/counts")
    with pytest.raises(httpx.TransportError):
        httpx.get(f"http://{host}/_emulator/counts")


def test_names_say_what_a_bare_path_means(said: str) -> None:
    variables = exported(said)
    trusted = ssl.create_default_context(cafile=variables["SSL_CERT_FILE"])
    port = variables["FAL_RUN_HOST"].partition(":")[2]
    key = {"authorization": "Key emulator:local"}
    with httpx.Client(verify=trusted, headers=key) as client:
        output = client.post(f"https://localhost:{port}/{FLUX}", json=SMALL).json()
        assert "images" in output
        told = client.post(f"https://127.0.0.1:{port}/{FLUX}", json=SMALL).json()
        assert told["status"] == "IN_QUEUE"
        same = client.post(
            f"https://127.0.0.1:{port}/{FLUX}",
            json=SMALL,
            headers={"host": f"queue.localhost:{port}"},
        ).json()
        assert same["status_url"].startswith(f"https://queue.localhost:{port}/queue/")
        rest = client.post(
            f"https://127.0.0.1:{port}/tokens/",
            json={"allowed_apps": ["flux"]},
            headers={"host": "rest.localhost"},
        )
        assert isinstance(rest.json(), str)
        status = f"https://localhost:{port}/fal-ai/flux/requests/{told['request_id']}/status"
        assert client.get(status).json()["request_id"] == told["request_id"]


def test_what_is_printed_over_plain_http_needs_no_trust(tmp_path: Path) -> None:
    with emulating(tmp_path) as said:
        assert exported(said) == {"FAL_KEY": "emulator:local"}
        assert "SSL_CERT_FILE" not in said
        base = said.partition('RUN_URL_FORMAT = "')[2].partition("/run/")[0]
        assert httpx.get(f"{base}/_emulator/counts").status_code == 200


def test_a_certificate_is_for_this_machine_alone_and_signs_nothing(tmp_path: Path) -> None:
    made = certificate_of(tmp_path)
    certificate = x509.load_pem_x509_certificate(made.public.read_bytes())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert {"localhost", "queue.localhost"} <= set(names.get_values_for_type(x509.DNSName))
    assert {str(one) for one in names.get_values_for_type(x509.IPAddress)} == {"127.0.0.1", "::1"}
    usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    assert not usage.key_cert_sign
    assert not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert b"PRIVATE" not in made.public.read_bytes()
    place = tmp_path / "tls"
    assert place.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in place.iterdir()} == {0o600}


def test_a_certificate_is_kept_until_it_nears_its_end_and_then_renewed(tmp_path: Path) -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    first = certificate_of(tmp_path, now)
    shown = first.public.read_bytes()
    assert first.ends - now == timedelta(days=90)
    assert certificate_of(tmp_path, now + timedelta(days=59)) == first
    assert first.public.read_bytes() == shown
    renewed = certificate_of(tmp_path, now + timedelta(days=61))
    assert renewed.ends == now + timedelta(days=151)
    assert renewed.public.read_bytes() != shown


@pytest.mark.parametrize("broken", [b"", b"nonsense", b"-----BEGIN CERTIFICATE-----\n"])
def test_a_broken_certificate_is_made_anew_and_a_lost_copy_restored(
    tmp_path: Path, broken: bytes
) -> None:
    made = certificate_of(tmp_path)
    made.with_key.write_bytes(broken)
    again = certificate_of(tmp_path)
    shown = again.public.read_bytes()
    again.public.unlink()
    assert certificate_of(tmp_path).public.read_bytes() == shown
    ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(again.with_key)
