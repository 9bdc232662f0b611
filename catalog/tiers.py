"""Which of a card's price conditions hold for a request: yes, no, or not known before the run."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal

from catalog.convert import is_list, is_object
from catalog.nearest import PRESETS, quantity_of
from catalog.quantity import SQUARES, Work, is_open, short_side
from catalog.span import Span

Truth = Literal["yes", "no", "maybe"]
_OPPOSITE: Mapping[Truth, Truth] = {"yes": "no", "no": "yes", "maybe": "maybe"}

# Conditions that count something instead of being true or false.
COUNTED = ("each", "each after the first", "each above 5")
_SOUND = ("generate_audio", "generate_audio_switch", "audio")
# Fields whose values say by themselves what they are.
_SELF_SPEAKING = ("resolution", "target_resolution", "tokens", "megapixel", "map")
# Voices of one's own are named in the prompt of some models.
_OWN_VOICE = "<<<voice"
_SWITCHES: Mapping[str, tuple[str, ...]] = {
    "audio": ("generate_audio", "generate_audio_switch", "audio"),
    "multi_clip": ("generate_multi_clip_switch", "multi_clip"),
    "should_texture": ("should_texture",),
    "video_input": ("reference_video_urls", "video_urls", "video_url"),
}


@dataclass(frozen=True, slots=True)
class Tier:
    """One qualifier of a price and how its conditions stand for a request.

    *failed* are the fields whose condition does not hold, *met* how many conditions do.
    """

    rule: Mapping[str, Any]
    truth: Truth
    failed: frozenset[str] = field(default_factory=frozenset[str])
    met: int = 0

    @property
    def derived(self) -> Mapping[str, object]:
        """The conditions that need the media or the result."""
        return dict(conditions(self.rule, "derived"))

    @property
    def fields(self) -> frozenset[str]:
        return frozenset(self.rule.get("when") or ()) | frozenset(self.rule.get("derived") or ())

    def words(self) -> str:
        """Return the conditions in short words: ``1080p, no sound``."""
        return rule_conditions(self.rule)


def rule_conditions(rule: Mapping[str, Any]) -> str:
    """Return all conditions of *rule* in short words, empty where it has none."""
    both = (*conditions(rule, "when"), *conditions(rule, "derived"))
    return ", ".join(condition_words(name, wanted) for name, wanted in both)


def conditions(rule: Mapping[str, Any], kind: str) -> list[tuple[str, object]]:
    """Return the conditions of *rule* of one *kind*: ``when`` or ``derived``."""
    held: Mapping[str, object] = rule.get(kind) or {}
    return list(held.items())


def condition_words(name: str, wanted: object) -> str:
    """Return one condition as people read it."""
    if name in _SOUND and isinstance(wanted, bool):
        return "with sound" if wanted else "no sound"
    if name in _SELF_SPEAKING and isinstance(wanted, str) and wanted[:1] not in "<>":
        return wanted
    if is_list(wanted):
        return _any_of(wanted) if name in _SELF_SPEAKING else f"{name}={_any_of(wanted)}"
    if isinstance(wanted, bool):
        return f"{name}={'on' if wanted else 'off'}"
    if is_object(wanted):
        sign, bound = next(iter(wanted.items()))
        if sign == "set":
            return f"{name} given" if bound else f"no {name}"
        if sign == "not":
            return f"{name} other than {_any_of(_entries(bound))}"
        return f"{name} over {bound}"
    text = str(wanted)
    return f"{name}{text}" if text[:1] in "<>" else f"{name}={text}"


def _any_of(choices: Sequence[object]) -> str:
    shown = [str(choice) for choice in choices[:3]] + ["…"] * (len(choices) > 3)
    return "|".join(shown)


def tiers_of(work: Work, rules: Sequence[Mapping[str, Any]]) -> list[Tier]:
    """Return every qualifier with how it stands."""
    return [_tier(work, rule) for rule in rules]


def _tier(work: Work, rule: Mapping[str, Any]) -> Tier:
    truths: dict[str, Truth] = {}
    for name, wanted in conditions(rule, "when"):
        truth = _when(work, name, wanted)
        # What costs extra is asked for; left out, it is not done.
        left_out = "add" in rule and work.value(name) is None
        truths[name] = "no" if left_out and truth == "maybe" else truth
    for name, wanted in conditions(rule, "derived"):
        truths[name] = _derived(work, name, wanted)
    failed = frozenset(name for name, truth in truths.items() if truth == "no")
    whole: Truth = "no" if failed else "maybe" if "maybe" in truths.values() else "yes"
    return Tier(rule, whole, failed, sum(truth != "no" for truth in truths.values()))


def _entries(value: object) -> list[object]:
    return value if is_list(value) else [value]


def _truth(holds: bool) -> Truth:
    return "yes" if holds else "no"


def _when(work: Work, name: str, wanted: object) -> Truth:
    if name == "duration" and work.counts_frames:
        return _bounded(work.seconds(), wanted)
    value = work.values.get(name)
    if is_object(wanted):
        return _compared(work, name, wanted)
    if isinstance(wanted, bool):
        if value is None and not work.takes(name):
            return "maybe"
        # A switch without default is off on most models, but nobody says so.
        return "maybe" if value is None else _truth(value is wanted)
    choices = [str(choice).lower() for choice in _entries(wanted)]
    text = _text(value)
    if text in choices:
        return "yes"
    if any("models" in choice for choice in choices):  # a group the source does not spell out
        return "maybe"
    if is_open(value):
        return "maybe"
    if (quantity := quantity_of(value)) and any(
        quantity_of(choice) == quantity for choice in choices
    ):
        return "yes"
    return "no"


def _text(value: object) -> str:
    if is_object(value):
        return f"{value.get('width')}x{value.get('height')}"
    if isinstance(value, str) and value in PRESETS and not value.startswith("square"):
        return value
    return str(value).lower()


def _compared(work: Work, name: str, wanted: Mapping[str, object]) -> Truth:
    value = work.values.get(name)
    sign, bound = next(iter(wanted.items()))
    match sign:
        case "set":
            return _truth(bool(value) is bound)
        case "not":
            if is_open(value):
                return "maybe"
            return _truth(_text(value) not in [str(choice).lower() for choice in _entries(bound)])
        case _:  # over a number
            number = work.number(name)
            if number is None or not isinstance(bound, int | float):
                return "maybe"
            return _over(number, Decimal(str(bound)))


def _over(span: Span, bound: Decimal) -> Truth:
    return "yes" if span.low > bound else "no" if span.high <= bound else "maybe"


def _derived(work: Work, name: str, wanted: object) -> Truth:
    if isinstance(wanted, str) and wanted.startswith("each"):
        return "yes"
    match name:
        case "resolution":
            return _resolution(work, str(wanted).lower())
        case "area":
            return _area(work, str(wanted))
        case "duration" | "input_duration":
            return _bounded(work.seconds() if name == "duration" else work.input_seconds(), wanted)
        case "fps":
            return _bounded(frame_rate(work), wanted)
        case "longest_edge":
            return _bounded(work.number("max_image_size"), wanted)
        case "part":
            return "yes"
        case "voice_control":
            own = work.value("voice_ids") or _OWN_VOICE in str(work.value("prompt") or "")
            return _truth(bool(own) is bool(wanted))
        case _:
            return _switch(work, name, wanted)


def _switch(work: Work, name: str, wanted: object) -> Truth:
    """Judge a condition on an input that the source names in its own words."""
    names = _SWITCHES.get(name, (name,))
    taken = [own for own in names if work.takes(own)]
    if not taken:
        # A card whose whole schema is known cannot switch on what it does not take.
        closed = work.card.completeness == "full" and isinstance(wanted, bool)
        return _truth(wanted is False) if closed else "maybe"
    value = work.value(*taken)
    if isinstance(wanted, bool):
        return _truth(bool(value) is wanted) if value is not None else "maybe"
    return "maybe" if is_open(value) else _truth(_text(value) == str(wanted).lower())


def frame_rate(work: Work) -> Span | None:
    """Return the frames a second of what comes back, or of what was given; None where open."""
    rate = work.value("target_fps", "fps", "frames_per_second", "frame_rate")
    if (quantity := quantity_of(str(rate).lower().removesuffix("fps"))) is not None:
        return Span.of(quantity[0])
    for place in work.media("video"):
        fact = work.facts.get(place)
        if fact and fact.fps:
            return Span.of(fact.fps)
    return None


def _bounded(span: Span | None, wanted: object) -> Truth:
    """Judge ``5``, ``"<=40"`` or ``">4"`` against a span."""
    if span is None:
        return "maybe"
    found = re.match(r"(<=|>=|<|>)?\s*(\d+(?:\.\d+)?)\Z", str(wanted))
    if not found:
        return "maybe"
    bound = Decimal(found[2])
    match found[1]:
        case ">":
            return _over(span, bound)
        case "<=":
            return _OPPOSITE[_over(span, bound)]
        case _:
            # Lengths of frames over rates are rarely whole: 129 frames at 25 are "5 s".
            near = abs(span.low - bound) <= bound / 10 and abs(span.high - bound) <= bound / 10
            far = span.low > bound * 2 or span.high * 2 < bound
            return "yes" if near else "no" if far else "maybe"


def _resolution(work: Work, wanted: str) -> Truth:
    found = re.match(r"(<=|>)?(.+)\Z", wanted)
    still = not work.card.category.endswith("video")
    if found and still and (square := SQUARES.get(found[2])):
        pixels = work.pixels()
        if pixels is None or not pixels.is_exact:
            return "maybe"
        side = int(pixels.low.sqrt())
        return _truth(_nearest(side, tuple(SQUARES.values())) == square)
    value = work.value("target_resolution", "output_resolution", "resolution")
    side = short_side(value)
    if side is None and (pixels := output_height(work)) is not None:
        side = pixels
    bound = short_side(found[2]) if found else None
    if found is None or side is None or bound is None:
        return "maybe"
    match found[1]:
        case "<=":
            return _truth(side <= bound * 1.02)
        case ">":
            return _truth(side > bound * 1.02)
        case _:
            # The nearest named size is the one that is billed.
            sizes = (480, 720, 1080, 1440, 2160)
            return _truth(_nearest(side, sizes) == _nearest(bound, sizes))


def _nearest(side: int, sizes: Sequence[int]) -> int:
    return min(sizes, key=lambda size: abs(size - side))


def output_height(work: Work) -> int | None:
    """Return the shorter side of what comes back where the pixels are known."""
    pixels = work.pixels()
    if pixels is None or not pixels.is_exact:
        return None
    if work.card.category.endswith("video"):
        return int((pixels.low * 9 / 16).sqrt())
    return int(pixels.low.sqrt())


def _area(work: Work, wanted: str) -> Truth:
    """Judge ``<=1536x1536``, ``>1536x1536`` or ``1536x1536..2048x2048`` against the pixels."""
    pixels = work.pixels()
    bounds = [int(wide) * int(high) for wide, high in re.findall(r"(\d+)x(\d+)", wanted)]
    if pixels is None or not bounds:
        return "maybe"
    over = _over(pixels, Decimal(bounds[0]))
    if wanted.startswith("<"):
        return _OPPOSITE[over]
    return over


def pictures_counted(work: Work, name: str, wanted: object) -> Span:
    """Return how many given pictures a condition such as ``each after the first`` counts."""
    if name == "reference_images" and any("reference" in taken for taken in work.card.media_in):
        places = [place for place in work.media("image") if "reference" in str(place[0])]
    else:
        places = work.media("image")
    number = len(places)
    if wanted == "each after the first":
        number = max(0, number - 1)
    elif wanted == "each above 5":
        number = max(0, number - 5)
    return Span.of(number)


__all__ = [
    "COUNTED",
    "Tier",
    "Truth",
    "condition_words",
    "conditions",
    "frame_rate",
    "output_height",
    "pictures_counted",
    "rule_conditions",
    "tiers_of",
]
