"""A person's own prices of machines, such as an account's rates, in the place of published ones."""

import json
import tomllib
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, cast

from server.deploy.machines import machines, nearest_machine
from tools.deploy_records import HourlyPrice
from tools.errors import NotConfiguredError

Prices = Mapping[str, HourlyPrice]
NO_PRICES: Prices = {}
HIGHEST = 1000  # dollars an hour; more is a slip of the pen
LARGEST_FILE = 64 * 1024
OWN = "your own price"


def read_prices(path: Path | None) -> Prices:
    """Return the prices in *path* by machine type, nothing where no file is named; it blocks.

    The file is TOML or JSON: machine types, each with the dollars that one GPU of it (or one
    machine without a GPU) costs an hour. What it does not name keeps its published price.

    Raises:
        NotConfiguredError: the file cannot be read, names no machine of fal, or holds no price.
    """
    if path is None:
        return NO_PRICES
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise NotConfiguredError("FALKIT_DEPLOY_PRICES names a file of more than 64 KB")
        text = path.read_text(encoding="utf-8")
        as_of = datetime.fromtimestamp(path.stat().st_mtime, UTC).date().isoformat()
        given: object = (
            tomllib.loads(text, parse_float=Decimal)
            if path.suffix.lower() == ".toml"
            else json.loads(text, parse_float=Decimal)
        )
    except OSError as problem:
        reason = (problem.strerror or type(problem).__name__).lower()
        raise NotConfiguredError(f"FALKIT_DEPLOY_PRICES cannot be read: {reason}") from problem
    except (ValueError, RecursionError) as problem:
        raise NotConfiguredError(
            f"FALKIT_DEPLOY_PRICES is no JSON or TOML: {str(problem)[:80]}", hint="GPU-H100 = 1.89"
        ) from problem
    if not isinstance(given, dict):
        raise NotConfiguredError(
            "FALKIT_DEPLOY_PRICES holds no table of machines", hint='{"GPU-H100": 1.89}'
        )
    named = cast("dict[str, Any]", given)
    source = f"{OWN} in {path.name}"
    return {
        _machine(name): HourlyPrice(None, _dollars(name, value), source, as_of)
        for name, value in named.items()
    }


def _machine(name: str) -> str:
    if name in machines():
        return name
    near = nearest_machine(name)
    raise NotConfiguredError(
        f"FALKIT_DEPLOY_PRICES: fal has no machine {name[:40]!r}",
        hint=f"did you mean {near}?" if near else "types are such as S, GPU-H100",
    )


def _dollars(name: str, value: Any) -> Decimal:  # noqa: ANN401  # JSON or TOML
    try:
        amount = Decimal(value) if isinstance(value, int | str | Decimal) else None
    except InvalidOperation:
        amount = None
    is_price = amount is not None and amount.is_finite() and 0 <= amount <= HIGHEST
    if isinstance(value, bool) or amount is None or not is_price:
        raise NotConfiguredError(
            f"FALKIT_DEPLOY_PRICES: {name} must be dollars an hour, 0 to {HIGHEST}",
            hint=f"{name} = 1.89",
        )
    return amount
