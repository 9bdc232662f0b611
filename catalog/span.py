"""`Span`: an amount that is known between two ends, in exact decimals."""

from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal

ZERO = Decimal(0)
ONE = Decimal(1)


def decimal(value: object) -> Decimal:
    """Return a JSON number, or the text of one, as the decimal that was written."""
    return value if isinstance(value, Decimal) else Decimal(str(value))


def plain(value: Decimal) -> str:
    """Return *value* without exponent or needless zeros, at most four digits after the point."""
    if value >= Decimal("1e15"):
        return f"{value:.3g}"
    if value != value.to_integral_value():
        value = value.quantize(Decimal("0.0001")) if value >= 1 else value.quantize(Decimal("1e-6"))
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


@dataclass(frozen=True, slots=True)
class Span:
    """At least *low*, at most *high*; equal ends mean that it is known."""

    low: Decimal
    high: Decimal

    @classmethod
    def of(cls, low: object, high: object | None = None) -> "Span":
        """Return the span between two numbers, or of one that is known."""
        least = decimal(low)
        return cls(least, least if high is None else decimal(high))

    @property
    def is_exact(self) -> bool:
        return self.low == self.high

    def __add__(self, other: "Span") -> "Span":
        return Span(self.low + other.low, self.high + other.high)

    def __mul__(self, other: "Span") -> "Span":
        """Return the product; both spans must not be negative."""
        return Span(self.low * other.low, self.high * other.high)

    def over(self, divisor: Decimal) -> "Span":
        return Span(self.low / divisor, self.high / divisor)

    def hull(self, other: "Span") -> "Span":
        """Return the smallest span that holds both."""
        return Span(min(self.low, other.low), max(self.high, other.high))

    def at_least(self, least: Decimal) -> "Span":
        return Span(max(self.low, least), max(self.high, least))

    def at_most(self, most: Decimal) -> "Span":
        return Span(min(self.low, most), min(self.high, most))

    def beyond(self, base: Decimal) -> "Span":
        """Return what goes over *base*, nothing where it does not."""
        return Span(max(self.low - base, ZERO), max(self.high - base, ZERO))

    def rounded_up(self, step: Decimal = ONE) -> "Span":
        """Return both ends rounded up to whole multiples of *step*."""
        low, high = ((end / step).to_integral_value(ROUND_CEILING) for end in (self.low, self.high))
        return Span(low * step, high * step)

    def __str__(self) -> str:
        low, high = plain(self.low), plain(self.high)
        return low if low == high else f"{low} to {high}"


def hull_of(spans: list[Span]) -> Span:
    """Return the smallest span that holds all of *spans*, of which there is at least one."""
    whole = spans[0]
    for span in spans[1:]:
        whole = whole.hull(span)
    return whole
