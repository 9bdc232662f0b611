"""Numbers and instants of a size that people, sums and files can bear."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, TypeGuard

MOST_NUMBER = 10**15


def amount(given: Decimal) -> Decimal:
    """Return *given* if people and sums can bear it: 10^15 at most, below 10^-18 nothing.

    ``1E+999999`` is a short text, and a megabyte as soon as somebody writes it out.

    Raises:
        ValueError: it is no number, too great, or has too many digits.
    """
    if not given.is_finite():
        raise ValueError("not a number")
    if not given or given.adjusted() < -18:
        return Decimal(0)
    if given.adjusted() > 15 or len(given.as_tuple().digits) > 60:
        raise ValueError("too great a number")
    return given


def in_utc(moment: datetime) -> datetime:
    """Return *moment* with a zone, UTC where none is given.

    Raises:
        ValueError: it is so far away that reckoning with it fails.
    """
    if not 1900 <= moment.year <= 9000:
        raise ValueError("not an instant of this age")
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def is_number(raw: Any) -> TypeGuard[int | float]:  # noqa: ANN401
    """Say whether *raw* is a number of sane size; compared, since an endless integer overflows."""
    is_number = isinstance(raw, int | float) and not isinstance(raw, bool)
    return is_number and -MOST_NUMBER <= raw <= MOST_NUMBER  # never true of NaN


def whole(raw: Any) -> int | None:  # noqa: ANN401
    """Return *raw* as a count, None where it is none of sane size."""
    return int(raw) if is_number(raw) and raw >= 0 else None
