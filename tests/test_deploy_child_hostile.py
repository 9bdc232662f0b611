"""Apps that mean harm, or have bad luck, are held by what is promised of their isolation."""

import errno
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import cast

import anyio
import httpx
import pytest

from server.deploy.isolation import is_cut_off
from server.deploy.runner import RunnerSpec
from tests.deployed import HEAD, READY, hosted, needs_namespaces

pytestmark = pytest.mark.proof
both = pytest.mark.parametrize("born", [False, True], ids=["started", "born"])

PROBE = """
import socket, subprocess

class Probe(fal.App):
    @fal.endpoint("/")
    def run(self, i: In) -> dict:
        found = {}
        exec(i.text, globals(), found)
        return {"found": found.get("found")}
"""


@pytest.fixture(autouse=True)
def namespaces() -> None:
    needs_namespaces()


async def found(folder: Path, code: str, born: bool, *, network: bool = False) -> object:
    """Return what *code* finds, run by an app in a runner."""
    async with hosted(
        folder, PROBE, change=lambda spec: replace(spec, network=network), born=born
    ) as app:
        await app.runner.ready()
        answer = await app.call(text=code)
        return answer.json().get("found", answer.text)


@both
async def test_an_app_sees_nothing_of_the_environment_but_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, born: bool
) -> None:
    monkeypatch.setenv("FAL_KEY", "real:secret")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "real")

    with anyio.fail_after(20):
        seen = await found(tmp_path, "found = sorted(os.environ)", born)
        of_others = await found(
            tmp_path,
            "found = [open(f'/proc/{p}/environ').read() for p in os.listdir('/proc')"
            " if p.isdigit() and p != str(os.getpid())]",
            born,
        )

    assert seen == snapshot_of_environment()
    assert isinstance(of_others, list)
    assert "real" not in str(cast("list[str]", of_others)[0])


def snapshot_of_environment() -> list[str]:
    """Name all that an app without secrets sees, fal's own additions among it."""
    return sorted(
        [
            *("FAL_APP_NAME", "FAL_CONFIG_PATH", "FAL_RUNNER_STATE", "HOME", "IS_ISOLATE_AGENT"),
            *("LANG", "PATH", "PYTHONNOUSERSITE", "PYTHONUNBUFFERED", "TMPDIR"),
        ]
    )


@both
async def test_an_app_reads_neither_the_person_nor_falkit_and_writes_its_own_folders_only(
    tmp_path: Path, born: bool
) -> None:
    (tmp_path / "falkit-home").mkdir()
    (tmp_path / "falkit-home" / "journal.db").write_text("secret")
    code = f"""
def tries(*ways):
    for way in ways:
        try: way(); yield "yes"
        except OSError as problem: yield type(problem).__name__

found = list(tries(
    lambda: open({str(tmp_path / "falkit-home" / "journal.db")!r}),
    lambda: os.listdir({str(Path.home())!r} + "/.ssh"),
    lambda: open("/etc/shadow"),
    lambda: os.listdir("/home"),
    lambda: open("/usr/evil", "w"),
    lambda: open("/evil", "w"),
    lambda: open(__file__, "a"),
    lambda: open(os.path.join(os.path.dirname(fal.__file__), "evil"), "w"),
    lambda: open("/proc/sys/kernel/hostname", "w"),
    lambda: os.mkdir("/dev/evil"),
    lambda: open("/data/weights", "w"),
    lambda: open("/tmp/scratch", "w"),
    lambda: open(os.path.expanduser("~/kept"), "w"),
))
"""
    with anyio.fail_after(20):
        answers = await found(tmp_path, code, born)

    assert answers == [
        *["FileNotFoundError"] * 4,
        *["OSError"] * 4,
        "OSError",
        "OSError",
        *["yes"] * 3,
    ]
    assert (tmp_path / "home-of-app" / "data" / "weights").exists()
    assert (tmp_path / "home-of-app" / "kept").exists()
    assert not Path("/tmp/scratch").exists()  # noqa: S108  # the app had one of its own


@both
async def test_an_app_without_network_reaches_nobody_and_with_it_the_world(
    tmp_path: Path, born: bool
) -> None:
    async def answer(stream: anyio.abc.SocketStream) -> None:
        await stream.aclose()

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=0)
    port = listener.listeners[0].extra(anyio.abc.SocketAttribute.local_port)  # noqa: S610
    code = f"""
def reach(family, address):
    with socket.socket(family) as way:
        way.settimeout(2)
        return way.connect_ex(address)

found = [reach(socket.AF_INET, ("127.0.0.1", {port})), reach(socket.AF_INET, ("192.0.2.1", 80))]
"""
    alone: object = None
    with_network: object = None
    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(listener.serve, answer)
            alone = await found(tmp_path, code, born)
            with_network = await found(tmp_path, code, born, network=True)
            tasks.cancel_scope.cancel()
        await listener.aclose()

    assert alone == [errno.ECONNREFUSED, errno.ENETUNREACH]
    assert str(with_network).startswith("[0, ")
    assert await is_cut_off(READY)


@both
async def test_a_fork_bomb_stays_within_its_bounds_and_goes_with_its_runner(
    tmp_path: Path, born: bool
) -> None:
    code = """
import signal
found = 0
try:
    while found < 5000:
        if not os.fork():
            signal.pause()
        found += 1
except OSError:
    pass
"""
    with anyio.fail_after(20):
        async with hosted(tmp_path, PROBE, born=born) as app:
            await app.runner.ready()
            count = (await app.call(text=code)).json()["found"]
            inside = descendants(app.runner.pid)
            await app.runner.stop(grace=1)

    assert 50 < count < 260
    assert len(inside) > 50
    assert not [pid for pid in inside if is_alive(pid)]


def descendants(pid: int) -> list[int]:
    """Return the processes below *pid*."""
    below: list[int] = []
    with suppress(OSError):  # it may end meanwhile
        for task in Path(f"/proc/{pid}/task").iterdir():
            below += [int(child) for child in (task / "children").read_text().split()]
    return [*below, *(one for child in below for one in descendants(child))]


async def test_a_memory_hog_ends_alone_and_the_reason_says_memory(tmp_path: Path) -> None:
    code = "found = len([bytearray(os.urandom(1) * (32 << 20)) for _ in range(100)])"
    with anyio.fail_after(30):
        async with hosted(
            tmp_path, PROBE, change=lambda spec: replace(spec, memory_bytes=512 << 20)
        ) as app:
            await app.runner.ready()
            with anyio.move_on_after(20):
                try:
                    answer = await app.call(text=code)
                    assert answer.status_code == 500  # a MemoryError, where no group bounds it
                    assert "MemoryError" in app.said()
                    return
                except Exception:
                    await app.runner.ended()

    assert app.runner.reason == "it used more than its 512 MB of memory"


async def test_an_app_that_prints_without_end_slows_itself_only(tmp_path: Path) -> None:
    source = HEAD + PROBE + "\nwhile True: print('x' * 1000)\n"
    with anyio.fail_after(20):
        async with hosted(tmp_path, source, change=_briefly) as app:
            longest = 0.0
            for _ in range(20):
                began = anyio.current_time()
                await anyio.sleep(0.05)
                longest = max(longest, anyio.current_time() - began - 0.05)

    assert longest < 0.5
    assert len(app.lines) < 20_000


def _briefly(spec: RunnerSpec) -> RunnerSpec:
    return replace(spec, startup_seconds=5.0)


@both
async def test_an_app_cannot_gain_rights_nor_undo_its_view(tmp_path: Path, born: bool) -> None:
    code = """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
status = open("/proc/self/status").read()
found = {
    "remount": libc.mount(b"none", b"/", None, 32 | 4096, None),
    "umount": libc.umount2(b"/data", 2),
    "mount": libc.mount(b"tmpfs", b"/tmp", b"tmpfs", 0, None),
    "capabilities": [line.split()[1] for line in status.splitlines() if line.startswith("CapEff")],
    "no new": [line.split()[1] for line in status.splitlines() if line.startswith("NoNewPrivs")],
    "processes": len([name for name in os.listdir("/proc") if name.isdigit()]),
}
"""
    with anyio.fail_after(20):
        seen = await found(tmp_path, code, born)

    assert seen == {
        "remount": -1,
        "umount": -1,
        "mount": -1,
        "capabilities": ["0000000000000000"],
        "no new": ["1"],
        "processes": 2,
    }


@both
async def test_falkit_s_own_death_takes_every_process_of_an_app_along(
    tmp_path: Path, born: bool
) -> None:
    program = f"""
import anyio, sys
from pathlib import Path
from typing import cast
from tests.deployed import hosted
from tests.test_deploy_child_hostile import PROBE
async def main():
    async with hosted(Path({str(tmp_path)!r}), PROBE, born={born}) as app:
        await app.runner.ready()
        await app.call(text="found = subprocess.Popen(['sleep', '1000'], start_new_session=True)")
        print(app.runner.pid, flush=True)
        await anyio.sleep(100)
anyio.run(main)
"""
    with anyio.fail_after(30):
        async with await anyio.open_process(
            [sys.executable, "-c", program], cwd=Path(__file__).parent.parent
        ) as falkit:
            assert falkit.stdout is not None
            pid = int(await falkit.stdout.receive())
            below = [pid, *descendants(pid)]
            falkit.kill()
            await falkit.wait()
            while [one for one in below if is_alive(one)]:
                await anyio.sleep(0.02)

    assert len(below) >= 4


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize("rung", ["namespaces", "limits"])
async def test_a_machine_that_can_do_less_says_so_and_still_ends_what_takes_too_much(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rung: str
) -> None:
    monkeypatch.setattr("server.deploy.isolation.rung_of", lambda python: (rung, ()))  # pyright: ignore[reportUnknownLambdaType, reportUnknownArgumentType]
    monkeypatch.setattr("server.deploy.isolation.made_group", lambda memory, processes: None)  # pyright: ignore[reportUnknownLambdaType, reportUnknownArgumentType]
    bomb = "import signal\nwhile True:\n    if not os.fork(): signal.pause()\n"
    with anyio.fail_after(30):
        async with hosted(tmp_path, PROBE, change=lambda spec: replace(spec, processes=60)) as app:
            await app.runner.ready()
            assert (await app.call(text="found = 'soup'")).json() == {"found": "soup"}
            inside = [0]
            async with anyio.create_task_group() as tasks:

                async def call() -> None:
                    with suppress(httpx.HTTPError):
                        await app.call(text=bomb)

                tasks.start_soon(call)
                while len(inside) < 60:
                    await anyio.sleep(0.001)
                    inside = descendants(app.runner.pid)
                await app.runner.ended()

    assert app.runner.reason == "it had more than 60 processes"
    assert any("memory and processes in all" in words for words in app.runner.not_applied)
    assert any("network" in words for words in app.runner.not_applied) == (rung == "limits")
    assert not [pid for pid in inside if is_alive(pid)]
