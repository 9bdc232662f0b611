"""A server in a process of its own, and what it costs."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

HELLO = {
    "protocolVersion": "2025-06-18",
    "capabilities": {},
    "clientInfo": {"name": "benchmark", "version": "0"},
}


def private() -> dict[str, str]:
    """Return this environment on the emulator, without what a person has set for fal or falkit.

    Byte code may be written: else every start would measure the compiler.
    """
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("FAL_", "FALKIT_")) and name != "PYTHONDONTWRITEBYTECODE"
    }
    return {**kept, "FALKIT_BACKEND": "emulator"}


class Peer:
    """A started server that is asked one thing at a time, and killed at the end."""

    def __init__(self, command: Sequence[str], env: Mapping[str, str], cwd: Path) -> None:
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env, cwd=cwd
        )
        self._asked = 0

    def ask(self, method: str, **params: object) -> tuple[dict[str, Any], float]:
        """Return the result and the seconds until its line was here.

        Raises:
            RuntimeError: the server answered with an error, or not at all.
        """
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        self._asked += 1
        message = {"jsonrpc": "2.0", "id": self._asked, "method": method, "params": params}
        began = time.perf_counter()
        stdin.write(json.dumps(message).encode() + b"\n")
        stdin.flush()
        while line := stdout.readline():
            seconds = time.perf_counter() - began
            answer: dict[str, Any] = json.loads(line)
            if answer.get("id") == self._asked:
                if "result" not in answer:
                    raise RuntimeError(line.decode())
                return answer["result"], seconds
        raise RuntimeError(f"no answer to {method}")

    def call(self, tool: str, **arguments: object) -> tuple[dict[str, Any], float]:
        """Return the result of calling *tool* and the seconds it took, as `ask` does."""
        result, seconds = self.ask("tools/call", name=tool, arguments=arguments)
        if result.get("isError"):
            raise RuntimeError(f"{tool}: {result['content']}")
        return result, seconds

    def hello(self) -> dict[str, Any]:
        """Shake hands and return what the server says of itself."""
        return self.ask("initialize", **HELLO)[0]

    def memory(self) -> float:
        """Return the resident memory in MiB."""
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith("VmRSS"))
        return int(line.split()[1]) / 1024

    def kill(self) -> float:
        """End the process at once and return the seconds of CPU it has used, all threads."""
        os.kill(
            self._process.pid, signal.SIGKILL
        )  # `Popen.kill` may reap, and lose what we ask for
        _, status, usage = os.wait4(self._process.pid, 0)
        self._process.returncode = os.waitstatus_to_exitcode(status)
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()
        return usage.ru_utime + usage.ru_stime

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.returncode is None:
            self.kill()
