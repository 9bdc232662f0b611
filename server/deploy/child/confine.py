"""Confine this process as the first argument says, then become the command that it names."""

import json
import os
import resource
import sys
from typing import Any


def limit(limits: dict[str, int]) -> None:
    """Set the limits of this process; the system's own, where lower, stay."""
    for name, value in limits.items():
        which = getattr(resource, f"RLIMIT_{name}", None)
        if which is None:
            continue
        _, hard = resource.getrlimit(which)
        cap = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(which, (cap, cap))


def main() -> None:
    """Arrange what was asked and run the command in this process."""
    asked: dict[str, Any] = json.loads(sys.argv[1])
    limit(asked["limits"])
    os.execv(asked["command"][0], asked["command"])  # noqa: S606


if __name__ == "__main__":
    main()
