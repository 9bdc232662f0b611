"""What jobs that ended cost: ranges where a price says nothing, and prices that have drifted."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from catalog.pricing import Estimate, tidy
from catalog.span import plain

# So many runs must have ended before they say anything, and so many of the newest are looked at.
LEAST_RUNS = 3
MOST_RUNS = 20
# What no run so far has cost, the next one may: a machine that was slower, a larger picture.
_MORE = Decimal("1.5")
# How far a bill may lie beyond its estimate before the two count as different.
_TOLERANCE = Decimal("0.1")


@dataclass(frozen=True, slots=True)
class PastRun:
    """What one run that ended well was to cost, and what the platform's units came to, in dollars.

    *low* and *high* are None where no estimate was made.
    """

    low: Decimal | None
    high: Decimal | None
    billed: Decimal


def with_history(made: Estimate, past: Sequence[PastRun], runs: int = 1) -> Estimate:
    """Return *made* for *runs* runs as *past* runs of the same endpoint and account, newest first,
    teach it.

    An unknown price becomes the range of what at least three runs cost. A known one whose bills
    were all above, or all below, what was estimated stays and says so: widened, it would hold the
    next bills, and the drift would be forgotten.
    """
    past = past[:MOST_RUNS]
    if len(past) < LEAST_RUNS:
        return made
    if made.kind == "unknown":
        return _ranged(made, [run.billed for run in past], runs)
    factor = drift(past)
    if factor is None:
        return made
    return replace(made, assumptions=(drift_words(factor), *made.assumptions))


def drift(past: Sequence[PastRun]) -> Decimal | None:
    """Return how many times their estimate the newest runs were billed, None where they agree.

    Three or more in a row must lie on the same side, each by more than a tenth.
    """
    above: list[Decimal] = []
    below: list[Decimal] = []
    for run in past[:MOST_RUNS]:
        if not run.low or not run.high:
            continue
        if run.billed > run.high * (1 + _TOLERANCE) and not below:
            above.append(run.billed / run.high)
        elif run.billed < run.low * (1 - _TOLERANCE) and not above:
            below.append(run.billed / run.low)
        else:
            break
    if len(above) >= LEAST_RUNS:
        return max(above)
    return min(below) if len(below) >= LEAST_RUNS else None


def drift_words(factor: Decimal) -> str:
    """Return in short words that bills are *factor* times what was estimated."""
    return f"past runs were billed {plain(round(factor, 2))} times their estimate: check the price"


def _ranged(made: Estimate, billed: Sequence[Decimal], runs: int) -> Estimate:
    least, most = min(billed), max(billed)
    seen = f"${plain(least)}" if least == most else f"${plain(least)} to ${plain(most)}"
    return replace(
        made,
        kind="range",
        low=tidy(least * runs),
        high=tidy(most * _MORE * runs),
        formula=f"{made.formula.partition('; ')[0]}; {len(billed)} past runs here cost {seen}",
        assumptions=(f"at most {plain(_MORE)} times the dearest run so far", *made.assumptions),
    )
