"""Where the kernel's groups for an app are made, read from trees as systems have them."""

from pathlib import Path

import pytest

from server.deploy.groups import Group, excess, parents
from server.deploy.processes import harmless

SESSION = "0::/user.slice/user-1000.slice/user@1000.service/app.slice/app-terminal.scope\n"
FIRST = "9:name=systemd:/\n8:pids:/jobs\n4:memory:/jobs/one\n1:cpu,cpuacct:/\n0::/\n"


def test_in_a_user_s_session_a_group_stands_beside_the_terminal_s(tmp_path: Path) -> None:
    slice_of_apps = tmp_path / "user.slice/user-1000.slice/user@1000.service/app.slice"
    slice_of_apps.mkdir(parents=True)
    (slice_of_apps / "cgroup.subtree_control").write_text("cpu memory pids")

    assert parents(tmp_path, SESSION, 1 << 30, 64) == [
        (slice_of_apps, {"memory.max": 1 << 30, "memory.swap.max": 0, "pids.max": 64})
    ]


def test_where_groups_bound_no_memory_there_is_none(tmp_path: Path) -> None:
    slice_of_apps = tmp_path / "user.slice/user-1000.slice/user@1000.service/app.slice"
    slice_of_apps.mkdir(parents=True)
    (slice_of_apps / "cgroup.subtree_control").write_text("pids")

    with pytest.raises(PermissionError):
        parents(tmp_path, SESSION, 1 << 30, 64)
    with pytest.raises(FileNotFoundError):
        parents(tmp_path, "0::/elsewhere\n", 1 << 30, 64)
    with pytest.raises(OSError):  # noqa: PT011  # of a kernel without any
        parents(tmp_path, "", 1 << 30, 64)


def test_groups_of_the_first_version_are_two(tmp_path: Path) -> None:
    assert parents(tmp_path, FIRST, 1 << 30, 64) == [
        (tmp_path / "memory" / "jobs" / "one", {"memory.limit_in_bytes": 1 << 30}),
        (tmp_path / "pids" / "jobs", {"pids.max": 64}),
    ]


@pytest.mark.parametrize("file", ["memory.events", "memory.oom_control"])
def test_a_group_tells_whether_memory_ended_something(tmp_path: Path, file: str) -> None:
    group = Group((tmp_path,))
    (tmp_path / file).write_text("low 0\noom_kill 0\n")
    before = group.killed_for_memory()
    (tmp_path / file).write_text("low 0\noom 4\noom_kill 2\n")

    assert (before, group.killed_for_memory()) == (False, True)


def test_a_process_that_is_gone_uses_too_much_of_nothing() -> None:
    assert excess(2**22 + 1, 1 << 20, 4) == ""


def test_what_an_app_says_steers_no_terminal() -> None:
    said = (
        "\x1b[1;31mred\x1b[0m\tand\x1b]0;title\x07 \x1b]8;;https://x\x1b\\link\x07\u202e\x00\nnext"
    )

    assert harmless(said) == "red\tand link\nnext"
