"""Put what a caller's words ask of a run into the fields that a card has for it."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from catalog.asked import Asked
from catalog.card import ModelCard
from catalog.field_values import choices_of, length_value, rule_told, takes
from catalog.nearest import pair_of, quantity_of
from catalog.options import RATES, options
from catalog.quantity import COUNTS, is_open, short_side
from catalog.reading import resolved

SOUND_FIELDS = ("generate_audio", "generate_audio_switch", "enable_audio", "with_audio", "audio")
SIZE_FIELDS = ("resolution", "target_resolution", "output_resolution", "video_resolution")
LENGTH_FIELDS = (
    "duration", "duration_seconds", "audio_duration_seconds", "music_duration", "seconds_total",
    "music_length_ms",
)  # fmt: skip
_SHAPE_FIELDS = ("aspect_ratio", "image_size", "video_size", "size")
_SIZED = frozenset(("image_size", "video_size", "size", "resolution", "width", "height"))
FRAMES = ("num_frames", "number_of_frames")
_SIDED = ("image_size", "video_size", "size", "resolution")
_FORMATS = ("output_format", "format", "image_format")
_SOUND_WORDS = re.compile(
    r"\b(?:with|native|optional|synchronised|and) (?:audio|sound|speech)|audio$"
)
# What a clip lasts where nobody says how long and the model would choose.
USUAL_SECONDS = 5.0
_USUAL_MUSIC = 30.0
_SECONDS_TOLD = re.compile(r"(?:up to |\d-)(\d+) s\b")
# What no model of one clip is supposed to make more of, in seconds, where nothing is said.
_LONGEST_CLIP = 30.0
# What a model is supposed to make at once where its field sets no end.
_MOST_COUNTED = 6
# Pictures of so many lines may be asked of any model that takes a width and a height.
_MOST_LINES = 1080


@dataclass(frozen=True, slots=True)
class Granted:
    """The *fields* that are to be sent with what the caller gave, and what cannot be had and why.

    *unmet* are short sentences, none of which was put into a field.
    """

    fields: Mapping[str, object] = field(default_factory=dict[str, object])
    unmet: tuple[str, ...] = ()


def sound_field(card: ModelCard) -> str | None:
    """Return the input that switches the sound of *card*, None where it has none."""
    fields = card.properties
    return next((n for n in SOUND_FIELDS if fields.get(n, {}).get("type") == "boolean"), None)


def makes_sound(card: ModelCard, kinds: Sequence[str] | set[str]) -> bool:
    """Tell whether what *card* returns, media of *kinds*, can be heard."""
    if "video" not in kinds:
        return "audio" in kinds
    return bool(
        sound_field(card)
        or "audio" in kinds
        or _SOUND_WORDS.search(card.summary)
        or card.category == "audio-to-video"
        or "audio_url" in card.properties
        or any("voice" in name for name in card.properties)
    )


def granted(card: ModelCard, asked: Asked, given: Mapping[str, object]) -> Granted:
    """Return what is to be sent to *card*, beside the arguments *given*, for what is *asked*.

    What the caller gave stays as it is, whatever the words say.
    """
    wishes = _Wishes(card, asked, given)
    also, unmet = options(card, asked, given)
    for grant in (wishes.sound, wishes.length, wishes.size, wishes.shape, wishes.number,
                  wishes.clear, wishes.seed):  # fmt: skip
        grant()
    return Granted({**wishes.fields, **also}, (*wishes.unmet, *unmet))


def takes_sides(card: ModelCard, name: str) -> bool:
    """Tell whether the field *name* of *card* takes an object of width and height."""
    parts = [
        resolved(card.input_schema, one) for one in card.properties.get(name, {}).get("anyOf", ())
    ]
    return any({"width", "height"} <= set(part.get("properties") or ()) for part in parts)


def sized_fields(card: ModelCard, lines: int, ratio: str) -> Mapping[str, object]:
    """Return a size of so many *lines* as width and height, as *card* takes them; empty if not."""
    sides = _sides(lines, ratio)
    for name in _SIDED:
        if takes_sides(card, name) and takes(card, name, sides):
            return {name: sides}
    return sides if all(takes(card, name, number) for name, number in sides.items()) else {}


def usual_length(card: ModelCard, given: Mapping[str, object]) -> Mapping[str, object]:
    """Return a usual length where *card* would choose one itself, else nothing.

    Left open, a length is priced at its longest. Clips last about five seconds, music half a
    minute. Media in *given* may set a length of their own.
    """
    name = next((name for name in LENGTH_FIELDS if name in card.properties), None)
    if name is None or given.get(name) is not None:
        return {}
    is_music = "music" in name
    if not is_music and not card.category.endswith("to-video"):
        return {}
    if not is_open(card.properties[name].get("default")) or given.get("num_frames") is not None:
        return {}
    if any(given.get(held) for held, kind in card.media_in.items() if kind in ("video", "audio")):
        return {}
    choices = [one for one in choices_of(card, name) if quantity_of(one)]
    value = min(
        choices, key=lambda one: abs((quantity_of(one) or (0,))[0] - USUAL_SECONDS), default=None
    )
    if value is None:
        value = length_value(card, name, _USUAL_MUSIC if is_music else USUAL_SECONDS)
    return {name: value} if takes(card, name, value) else {}


class _Wishes:
    """One reading of what is asked against a card."""

    def __init__(self, card: ModelCard, asked: Asked, given: Mapping[str, object]) -> None:
        self.card, self.asked = card, asked
        self.given = {name for name, value in given.items() if value is not None}
        self.fields: dict[str, object] = {}
        self.unmet: list[str] = []
        kinds = set(card.output_media.values()) or {card.category.rpartition("-")[2]}
        self.moves, self.draws = "video" in kinds, "image" in kinds
        self.sounds = makes_sound(card, kinds)

    def sound(self) -> None:
        wanted, name = self.asked.sound, sound_field(self.card)
        if wanted is None or not self.moves or (name and name in self.given):
            return
        if name:
            self.fields[name] = wanted
        elif wanted != self.sounds:
            self.unmet.append("sound: it makes none" if wanted else "silence: it makes sound")

    def length(self) -> None:
        seconds = self.asked.seconds
        names = [name for name in LENGTH_FIELDS if name in self.card.properties]
        frames = [name for name in FRAMES if name in self.card.properties]
        if not seconds or self.given & {*names, *frames, "max_duration"}:
            return
        if self.moves and (most := longest_known(self.card, names)) and seconds > most:
            self.unmet.append(f"{seconds:g} seconds: it is not known to make more than {most:g}")
            return
        for name in names:
            if (value := length_value(self.card, name, seconds)) is not None:
                self.fields[name] = value
                return
        for name in frames:
            rate = self.asked.fps or usual_rate(self.card)
            if rate and takes(self.card, name, count := int(seconds * rate) + 1):
                self.fields[name] = count
                return
        told = rule_told(self.card, names[0]) if names else "its length cannot be set"
        self.unmet.append(f"{seconds:g} seconds: {told}")

    def size(self) -> None:
        height, kilo = self.asked.height, self.asked.kilo
        if self.asked.pixels and not self.given & _SIZED:
            self._exact(self.asked.pixels)
        if not height or self.given & {*SIZE_FIELDS, "image_size", "video_size", "width"}:
            return
        for name in (*SIZE_FIELDS, "image_size", "size"):
            for choice in choices_of(self.card, name):
                word = str(choice).lower().removeprefix("auto_").removeprefix("true_")
                if (
                    word == kilo
                    or (self.moves and short_side(choice) == height)
                    or word == f"{height}p"
                ):
                    self.fields[name] = choice
                    return
        if sides := self._lined(height):
            self.fields |= sides
            return
        said = kilo or f"{height}p"
        if re.search(rf"\b{said}\b", f"{self.card.summary} {self.card.endpoint_id}".lower()):
            return  # the model makes nothing else
        names = [name for name in SIZE_FIELDS if choices_of(self.card, name)]
        choices = ", ".join(str(one) for one in choices_of(self.card, names[0])) if names else ""
        told = f"{names[0]} is one of {choices}" if names else "its resolution cannot be set"
        self.unmet.append(f"{said}: {told}")

    def _lined(self, height: int) -> Mapping[str, object]:
        """Return a width and height of so many lines, nothing where that may not be asked for."""
        ratio = self.asked.ratio
        if self.draws and height <= _MOST_LINES and takes_sides(self.card, "image_size"):
            return {"image_size": _sides(height, ratio or "16:9")}
        # A film made from a picture has the picture's shape, if nobody says another.
        if self.moves and (ratio or "image" not in self.card.media_in.values()):
            return sized_fields(self.card, height, ratio or "16:9")
        return {}

    def _exact(self, pixels: tuple[int, int]) -> None:
        """Ask for a width and height as they were said, however the card has them said."""
        wide, high = pixels
        sides = {"width": wide, "height": high}
        for name in _SIDED:
            for choice in choices_of(self.card, name):
                if pair_of(choice) == pixels:
                    self.fields[name] = choice
                    return
            if takes_sides(self.card, name) and takes(self.card, name, sides):
                self.fields[name] = sides
                return
        if all(takes(self.card, name, number) for name, number in sides.items()):
            self.fields |= sides
        else:
            self.unmet.append(f"{wide}x{high}: its size cannot be set so")

    def shape(self) -> None:
        ratio = self.asked.ratio
        sized = {*_SHAPE_FIELDS, "width", "height"} & {*self.given, *self.fields}
        if not ratio or (sized and "aspect_ratio" not in self.card.properties):
            return
        if "aspect_ratio" in self.given:
            return
        for name in _SHAPE_FIELDS:
            if name not in self.card.properties or name in self.given or name in self.fields:
                continue
            choice = self._shaped(name, ratio)
            if choice is not None:
                self.fields[name] = choice
                return
        if "orientation" in self.card.properties:
            word = "portrait" if _worth(ratio) < 1 else "landscape"
            if takes(self.card, "orientation", word):
                self.fields["orientation"] = word
                return
        follows = any(kind in ("image", "video") for kind in self.card.media_in.values())
        told = "its shape follows what is given" if follows else "its shape cannot be set so"
        self.unmet.append(f"{ratio}: {told}")

    def _shaped(self, name: str, ratio: str) -> object:
        """Return the choice of the field *name* that has the shape *ratio*, or None."""
        found = [
            (abs(worth / _worth(ratio) - 1), -_area(choice), choice)
            for choice in choices_of(self.card, name)
            if (worth := _choice_worth(choice)) is not None
        ]
        if name == "aspect_ratio" and not choices_of(self.card, name):
            return ratio if takes(self.card, name, ratio) else None
        off, _, best = min(found, key=lambda one: one[:2], default=(1.0, 0.0, None))
        if off < 0.02:
            return best
        if name != "aspect_ratio" and takes_sides(self.card, name) and not self.asked.loose:
            return _sides(768, ratio)
        same_way = best is not None and (_choice_worth(best) or 1) - 1
        if self.asked.loose and same_way and (same_way > 0) == (_worth(ratio) > 1):
            return best
        return None

    def number(self) -> None:
        count = self.asked.count
        if count < 2 or self.given & set(COUNTS):
            return
        names = [name for name in COUNTS if name in self.card.properties]
        most = self.card.properties[names[0]].get("maximum", _MOST_COUNTED) if names else 1
        if names and count <= most and takes(self.card, names[0], count):
            self.fields[names[0]] = count
            return
        self.unmet.append(f"{count} in one run: it makes at most {most}, run_batch makes more")

    def clear(self) -> None:
        if not self.asked.transparent or self.given & {"background", "background_color"}:
            return
        for name in ("background", "background_color"):
            for choice in choices_of(self.card, name):
                if str(choice).lower() == "transparent":
                    self.fields[name] = choice
                    self._clear_format()
                    return
        if not re.search(
            r"transparen|rgba|alpha|remov\w+ (?:image |video )?background", self._told
        ):
            self.unmet.append("a transparent background: it has no field for one")

    @property
    def _told(self) -> str:
        return f"{self.card.summary} {self.card.endpoint_id}".lower()

    def _clear_format(self) -> None:
        """Ask for a format that keeps transparency, where the card would send another."""
        for name in _FORMATS:
            default = str(self.card.properties.get(name, {}).get("default", "")).lower()
            if default in ("jpeg", "jpg") and name not in self.given:
                png = next(
                    (c for c in choices_of(self.card, name) if str(c).lower() == "png"), None
                )
                if png is not None:
                    self.fields[name] = png

    def seed(self) -> None:
        seed = self.asked.seed
        if seed is None or "seed" in self.given:
            return
        if takes(self.card, "seed", seed):
            self.fields["seed"] = seed
        else:
            self.unmet.append(f"seed {seed}: it takes no such seed")


def usual_rate(card: ModelCard) -> float | None:
    """Return the frames a second that *card* makes by default, None where it tells none."""
    defaults = (quantity_of(card.properties.get(name, {}).get("default")) for name in RATES)
    return next((float(rate[0]) for rate in defaults if rate and rate[0]), None)


def longest_known(card: ModelCard, names: Sequence[str]) -> float:
    """Return the longest clip that the words about *card* tell of where its fields set no end.

    0 where its fields do, so that they say what is right.
    """
    for name in names:
        schema = card.properties[name]
        if choices_of(card, name) or "maximum" in schema or "x-range-seconds" in schema:
            return 0.0
    told = [float(number) for number in _SECONDS_TOLD.findall(card.summary)]
    return max(told, default=_LONGEST_CLIP) if names else 0.0


def _worth(ratio: str) -> float:
    wide, high = ratio.split(":")
    return int(wide) / int(high)


def _choice_worth(choice: object) -> float | None:
    """Return width by height of a choice such as ``9:16``, ``1024x1536`` or ``portrait_16_9``."""
    pair = pair_of(choice)
    return pair[0] / pair[1] if pair and pair[1] else None


def _area(choice: object) -> float:
    pair = pair_of(choice)
    return pair[0] * pair[1] if pair else 0.0


def _sides(lines: int, ratio: str) -> dict[str, int]:
    """Return a width and height whose shorter one is *lines*, both in steps of 8."""
    worth = _worth(ratio)
    long = round(lines * max(worth, 1 / worth) / 8) * 8
    return {"width": long, "height": lines} if worth >= 1 else {"width": lines, "height": long}
