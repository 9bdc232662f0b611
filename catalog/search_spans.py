"""How long runs on cards can be, and how many seconds are billed of each."""

from array import array
from bisect import bisect_left
from collections.abc import Sequence

# Lengths in whole seconds are kept as fractions.
_SAME = 0.01

# What can be made lasts so long, and is billed as so many seconds of the card's usual price.
Points = Sequence[tuple[float, float]]


class Spans:
    """Lengths by card: *of_cards* are numbers of spans, 0 for none that is known.

    *starts* tells where the points of each span begin, two numbers a point, shortest first, and
    *steps* whether nothing between them can be made.
    """

    def __init__(
        self,
        of_cards: "array[int]",
        starts: "array[int]",
        points: "array[float]",
        steps: "array[int]",
    ) -> None:
        self._of_cards, self._starts, self._points, self._steps = of_cards, starts, points, steps
        self._spans: dict[int, Points] = {}

    def of(self, card: int) -> Points:
        """Return the points of *card*, none where its lengths are not known."""
        number = self._of_cards[card]
        if not number:
            return ()
        span = self._spans.get(number)
        if span is None:
            flat = self._points[self._starts[number] : self._starts[number + 1]]
            span = self._spans[number] = list(zip(flat[::2], flat[1::2], strict=True))
        return span

    def lasting(self, card: int, seconds: float) -> tuple[float, float]:
        """Return how long the shortest run of *seconds* or more lasts, and the seconds billed.

        Where none is so long, as much of the longest as lasts *seconds* is counted.
        """
        span = self.of(card)
        if not span:
            return seconds, seconds
        at = bisect_left(span, (seconds - _SAME, 0.0))
        if at == len(span):
            last, most = span[-1]
            return seconds, seconds * most / last
        made, billed = span[at]
        if at == 0 or made - seconds < _SAME or self._steps[self._of_cards[card]]:
            return made, billed
        before, less = span[at - 1]
        return seconds, less + (seconds - before) / (made - before) * (billed - less)

    def longest(self, card: int) -> float | None:
        """Return the longest run of *card* in seconds, None where that is not known."""
        span = self.of(card)
        return span[-1][0] if span else None
