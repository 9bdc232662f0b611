"""How long runs on cards can be, and how many seconds are billed of each."""

from array import array
from bisect import bisect_left
from collections.abc import Sequence

# Lengths in whole seconds are kept as fractions.
_SAME = 0.01
# Lengths for which what is billed is kept: a search asks for one on hundreds of cards.
_MOST_KEPT = 32

# What can be made lasts so long, and is billed as so many seconds of the card's usual price.
Points = Sequence[tuple[float, float]]


class Spans:
    """Lengths by card: *numbers* are those of spans, 0 for none that is known.

    *starts* tells where the points of each span begin, two numbers a point, shortest first, and
    *steps* whether nothing between them can be made.
    """

    def __init__(
        self,
        numbers: "array[int]",
        starts: "array[int]",
        points: "array[float]",
        steps: "array[int]",
    ) -> None:
        self.numbers, self._starts, self._points, self._steps = numbers, starts, points, steps
        self._spans: dict[int, Points] = {}
        self._billed: dict[float, Sequence[float]] = {}

    def _span(self, number: int) -> Points:
        span = self._spans.get(number)
        if span is None:
            flat = self._points[self._starts[number] : self._starts[number + 1]]
            span = self._spans[number] = list(zip(flat[::2], flat[1::2], strict=True))
        return span

    def lasting(self, card: int, seconds: float) -> tuple[float, float]:
        """Return how long the shortest run of *seconds* or more lasts, and the seconds billed.

        Where none is so long, as much of the longest as lasts *seconds* is counted.
        """
        number = self.numbers[card]
        return self._lasting(number, seconds) if number else (seconds, seconds)

    def billed(self, seconds: float) -> Sequence[float]:
        """Return the seconds that are billed of a run for *seconds*, by the number of a span."""
        found = self._billed.get(seconds)
        if found is None:
            if len(self._billed) >= _MOST_KEPT:
                self._billed.clear()
            counted = range(1, len(self._steps))
            found = [seconds, *(self._lasting(number, seconds)[1] for number in counted)]
            self._billed[seconds] = found
        return found

    def _lasting(self, number: int, seconds: float) -> tuple[float, float]:
        span = self._span(number)
        at = bisect_left(span, (seconds - _SAME, 0.0))
        if at == len(span):
            last, most = span[-1]
            return seconds, seconds * most / last
        made, billed = span[at]
        if at == 0 or made - seconds < _SAME or self._steps[number]:
            return made, billed
        before, less = span[at - 1]
        return seconds, less + (seconds - before) / (made - before) * (billed - less)

    def longest(self, card: int) -> float | None:
        """Return the longest run of *card* in seconds, None where that is not known."""
        number = self.numbers[card]
        return self._span(number)[-1][0] if number else None
