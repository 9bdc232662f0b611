"""The Pythons of this machine: which there is of a version, and what brings one that is not."""

import os
import re
import shutil
import subprocess
import sys

import anyio

# What an installer may see of the person's environment: where things are, no secrets.
_PASSED = re.compile(
    r"(PATH|HOME|USER|LANG|LC_\w+|TZ|TMPDIR|TEMP|TMP|PIP_\w+|UV_\w+|XDG_\w+|SSL_CERT_\w+"
    r"|REQUESTS_CA_BUNDLE|(HTTPS?|ALL|NO)_PROXY|SYSTEMROOT|APPDATA|LOCALAPPDATA|USERPROFILE|PATHEXT|COMSPEC)",
    re.IGNORECASE,
)
LOOK_SECONDS = 10.0


def minor_of(version: str) -> str:
    """Return the minor version that an app wants, such as ``3.12``; empty where it says none."""
    found = re.match(r"3\.\d{1,2}(?![\d])", version.strip())
    return found[0] if found else ""


def own_minor() -> str:
    """Return the minor version of the Python that falkit runs with."""
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def uv() -> str | None:
    """Return where `uv` is, None where it is not."""
    return shutil.which("uv")


def installer_environment() -> dict[str, str]:
    """Return what an installer sees of this process's environment."""
    return {name: value for name, value in os.environ.items() if _PASSED.fullmatch(name)}


async def interpreter(minor: str) -> str | None:
    """Return what a Python of that version is made from: its path, or its version where `uv` is.

    `uv` finds one or brings one. None where there is neither.
    """
    if minor == own_minor():
        return sys.executable
    if uv() is not None:
        return minor
    name = f"py -{minor}" if sys.platform == "win32" else f"python{minor}"
    found = shutil.which(name.partition(" ")[0])
    if found is None:
        return None
    command = [found, *name.split()[1:], "-I", "-c", _ASK]
    with anyio.move_on_after(LOOK_SECONDS):
        try:
            said = await anyio.run_process(command, env=installer_environment())
        except (OSError, subprocess.CalledProcessError):  # a shim of what is not installed
            return None
        version, _, path = said.stdout.decode("utf-8", "replace").strip().partition(" ")
        return path if version == minor else None
    return None


_ASK = "import sys; print('%d.%d' % sys.version_info[:2], sys.executable)"


async def unlike(version: str, minor: str) -> str:
    """Return how an app that wants *version* fares beside a Python *minor*, empty where alike."""
    wanted = minor_of(version)
    if wanted in ("", minor):
        return ""
    if await interpreter(wanted) is None:
        return (
            f"python_version {wanted}: this machine has no such Python and no uv to bring one; "
            f"here it runs with {minor}"
        )
    return f"python_version {wanted}: here it runs in an environment of its own, made on first use"
