"""Kill falkit at its labelled points, again and again, and hold the promises (`make torture`).

``python -m tests.torture [--kills 200] [--seed 1]`` prints a line per kill that broke a promise and
a summary by point; the exit code is 1 when one did. With ``--processes 3 [--seconds 120]`` so many
falkits share a journal under load instead, and each is killed at an instant of chance.
"""

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.crowd import REPOSITORY, crowd
from tests.house import environment
from tests.promises import unkept

WORKS = ("picture", "batch", "pipeline")


def run(home: Path, work: str, die_at: int) -> dict[str, Any]:
    """Run a falkit on *home* that dies at point *die_at*, and return the last thing it said."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FAL")}
    done = subprocess.run(
        [sys.executable, "-m", "tests.dying", work, str(die_at)],
        cwd=REPOSITORY,
        env={**kept, **environment(home)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    lines = done.stdout.splitlines()
    if not lines:
        raise AssertionError(f"{work} at {die_at} said nothing:\n{done.stderr[-2000:]}")
    return json.loads(lines[-1])


def killed(work: str, points: Sequence[int]) -> tuple[list[str], list[str]]:
    """Kill a falkit at each of *points* in turn, on one home; return where, and what broke."""
    labels: list[str] = []
    with tempfile.TemporaryDirectory(prefix="falkit torture ") as folder:
        home = Path(folder)
        for number, at in enumerate(points):
            said = run(home, work if number == 0 else "settle", at)
            if "died" not in said:
                break
            labels.append(f"{work}: {said['died']}")
        run(home, "settle", 0)
        return labels, unkept(home)


def main() -> int:
    """Kill as often as asked, and print what broke."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=120)
    given = parser.parse_args()
    if given.processes:
        return together(given.processes, given.seconds, given.seed)
    return at_points(given.kills, given.seed)


def together(processes: int, seconds: float, seed: int) -> int:
    """Kill several falkits on one journal; a home in which a promise broke is kept and named."""
    home = Path(tempfile.mkdtemp(prefix="falkit torture "))
    told = crowd(home, processes, seconds, seed)
    for line in told.broken:
        print(f"BROKEN {line}")
    print(f"processes: {_counts(told.ends)}")
    print(f"refused: {_counts(told.refused) or 'nothing'}")
    print(f"jobs: {_counts(told.states)}; requests: {told.requests}")
    print(f"{told.ends.total()} lives, {len(told.broken)} broken promises")
    if told.broken:
        print(f"to look into: {home}")
        return 1
    shutil.rmtree(home)
    return 0


def _counts(counted: Counter[str]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counted.most_common())


def at_points(kills: int, seed: int) -> int:
    """Kill one falkit at every point in turn, then at pairs and triples of them by chance."""
    chance = random.Random(seed)  # noqa: S311  # chance, not secrets
    counts: Counter[str] = Counter()
    failures = 0
    lengths: dict[str, int] = {}
    for work in WORKS:
        with tempfile.TemporaryDirectory(prefix="falkit torture ") as folder:
            lengths[work] = run(Path(folder), work, 0)["passed"]
    print(f"points passed by a life without death: {lengths}", flush=True)
    plans = [(work, [at]) for work in WORKS for at in range(1, lengths[work] + 1)]
    chance.shuffle(plans)
    while counts.total() < kills:
        work = chance.choice(WORKS)
        several = [chance.randint(1, lengths[work]), *(chance.randint(1, 12) for _ in range(2))]
        work, points = plans.pop() if plans else (work, several)
        labels, told = killed(work, points)
        counts.update(labels)
        if counts.total() // 20 > (counts.total() - len(labels)) // 20:
            print(f"{counts.total()} kills so far", flush=True)
        failures += bool(told)
        for line in told:
            print(f"BROKEN {work} {points} {labels}: {line}", flush=True)
    for label, count in sorted(counts.items()):
        print(f"{count:4} {label}")
    print(f"{counts.total()} kills, {failures} lives that broke a promise")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
