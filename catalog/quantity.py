"""How much a request asks for: pictures, pixels, seconds, frames, characters, steps."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, cast

from catalog.card import TEXT_FIELDS, ModelCard
from catalog.convert import is_list, is_object
from catalog.media import MediaFacts
from catalog.nearest import PRESETS, pair_of, quantity_of
from catalog.reading import Path
from catalog.span import ONE, Span, decimal, hull_of

MEGAPIXEL = Decimal(1_048_576)

COUNTS = ("num_images", "num_samples", "num_results", "num_outputs", "num_videos", "num_songs")
STEPS = ("steps", "number_of_steps", "training_steps", "max_train_steps", "num_steps")
_SIZES = ("image_size", "video_size", "size", "resolution")
_RESOLUTIONS = ("target_resolution", "output_resolution", "resolution")
_DURATIONS = (
    "duration", "duration_seconds", "audio_duration_seconds", "music_duration", "seconds_total",
    "append_duration", "music_length_ms", "max_duration",
)  # fmt: skip
_FRAMES = ("num_frames", "number_of_frames", "video_length")
_RATES = ("frames_per_second", "fps", "frame_rate", "output_fps", "target_fps")
FACTORS = ("upscale_factor", "scale_factor", "upscaling_factor", "scale")
_FOLLOWS = ("match_video_length", "match_audio_length", "match_input_num_frames")
_TEXTS = ("inputs", "scene", "context", "dialogue", "turns", "segments", "texts")
# Words that leave the choice to the model, so that no one value can be read from them.
_OPEN = ("auto", "adaptive", "match_input", "original", "default", "source", "input")
# Pictures of unknown size: from half of a small preview to a large camera's. Ours, and said.
_UNSEEN = Span.of(MEGAPIXEL / 4, MEGAPIXEL * 16)
_OPEN_VIDEO = Span.of(864 * 480, 1920 * 1088)
# Sides of square pictures by the names of their sizes.
SQUARES = {"0.5k": 512, "1k": 1024, "2k": 2048, "3k": 3072, "4k": 4096}
TOKEN_RATE = 24  # frames a second of models that are billed by tokens of video
_MOST_LINES = 100_000  # nobody makes larger
_SPEECH = (3, 25)  # characters a second, slowest ideographs to fastest letters


@dataclass(slots=True)
class Work:
    """One request as the price sees it.

    *given* is what the caller gave, *values* the same with the schema's defaults, *facts* what is
    known of the media by path. *notes* collects what had to be assumed, in words. Every method
    answers None where neither arguments, schema nor facts set a bound.
    """

    card: ModelCard
    given: Mapping[str, Any]
    values: Mapping[str, Any]
    facts: Mapping[Path, MediaFacts]
    notes: list[str] = field(default_factory=list[str])

    def note(self, words: str) -> None:
        if words not in self.notes:
            self.notes.append(words)

    def value(self, *names: str) -> object:
        """Return the first of *names* that has a value, given or by default."""
        return next(
            (self.values[name] for name in names if self.values.get(name) is not None), None
        )

    def takes(self, name: str) -> bool:
        return name in self.card.properties

    def number(self, *names: str) -> Span | None:
        """Return the number under the first of *names* the card takes, or what it may be."""
        for name in names:
            value = self.values.get(name)
            quantity = quantity_of(value)
            if quantity is not None and quantity[0] >= 0:
                return Span.of(quantity[0])
            if self.takes(name):
                return self._allowed(name, "left open" if value is not None else "not given")
        return None

    def _allowed(self, name: str, why: str) -> Span | None:
        """Return the span of what the schema allows for *name*."""
        schema = self.card.properties[name]
        numbers = [got[0] for choice in schema.get("enum", ()) if (got := quantity_of(choice))]
        if span := schema.get("x-range-seconds"):
            numbers = list(span)
        low, high = schema.get("minimum", schema.get("exclusiveMinimum")), schema.get("maximum")
        if not numbers and low is not None and high is not None and low >= 0:
            numbers = [low, high]
        numbers = [number for number in numbers if number > 0] or numbers
        if not numbers:
            return None
        allowed = Span.of(min(numbers), max(numbers))
        self.note(f"{name} {why}: {allowed}, as the schema allows")
        return allowed

    # Media that was given

    def media(self, kind: str, *, but: tuple[str, ...] = ("mask",)) -> list[Path]:
        """Return the places of the given media of *kind*, without fields whose name holds *but*."""
        places: list[Path] = []
        for name, held in self.card.media_in.items():
            value = self.values.get(name)
            if held != kind or any(word in name for word in but):
                continue
            if is_list(value):
                places += [(name, index) for index in range(len(value))]
            elif value:
                places.append((name,))
        return places

    def input_pictures(self) -> list[Span]:
        """Return the pixels of each given picture; unknown ones as a wide span, and said."""
        spans: list[Span] = []
        for place in self.media("image"):
            fact = self.facts.get(place)
            if fact and fact.width and fact.height:
                spans.append(Span.of(fact.width * fact.height))
            else:
                self.note("a picture of unknown size counts as 0.25 to 16 megapixels")
                spans.append(_UNSEEN)
        return spans

    def input_seconds(self, *kinds: str) -> Span | None:
        """Return the length of the given video and audio; of two kinds, a span of both."""
        sums: list[Span] = []
        for kind in kinds or ("video", "audio"):
            lengths = [self._length(place) for place in self.media(kind, but=("mask", "control"))]
            known = [length for length in lengths if length is not None]
            if known and len(known) == len(lengths):
                total = known[0]
                for length in known[1:]:
                    total = total + length
                sums.append(total)
            elif lengths:
                return None
        return hull_of(sums) if sums else None

    def _length(self, place: Path) -> Span | None:
        fact = self.facts.get(place)
        if fact and fact.seconds is not None:
            return Span.of(fact.seconds)
        schema = self.card.properties[str(place[0])]
        limits: Mapping[str, Any] = (
            schema.get("x-limits") or schema.get("items", {}).get("x-limits") or {}
        )
        if longest := limits.get("max_duration"):
            span = Span.of(limits.get("min_duration", 0), longest)
            self.note(f"{place[0]} of unknown length: {span} s, as the schema allows")
            return span
        return None

    def input_frames(self) -> Span | None:
        """Return the frames of the given video."""
        for place in self.media("video"):
            fact = self.facts.get(place)
            if fact and fact.frames:
                return Span.of(fact.frames)
            if fact and fact.seconds and fact.fps:
                return Span.of(fact.seconds) * Span.of(fact.fps)
        return None

    # What comes back

    def count(self) -> Span:
        """Return how many results one request makes."""
        number = self.number(*COUNTS) or Span.of(1)
        if self.takes("max_images"):
            most = self.number("max_images") or Span.of(1)
            number = number * Span(ONE, most.high)
        sizes = self.values.get("target_sizes")
        if is_list(sizes) and sizes:
            number = Span.of(len(sizes)) * (self.number("num_images_per_size") or Span.of(1))
        return number

    def steps(self) -> Span | None:
        return self.number(*STEPS)

    def characters(self) -> Span | None:
        """Return the length of the text to speak or read, in characters."""
        name = self.card.text_field
        if name is None and not self.card.properties:  # of such a card any name may be right
            name = next((own for own in TEXT_FIELDS if own in self.values), None)
        if name and isinstance(text := self.values.get(name), str):
            return Span.of(len(text))
        voice = self.values.get("voice")
        if is_object(voice) and isinstance(spoken := voice.get("prompt"), str):
            return Span.of(len(spoken))
        for holder in _TEXTS:
            if is_list(entries := self.values.get(holder)):
                return Span.of(sum(_text_length(entry) for entry in entries))
        return None

    def seconds(self) -> Span | None:
        """Return the length of what comes back, in seconds."""
        whole, shots = self._whole_seconds(), self._entry_seconds("multi_prompt")
        if shots is None or whole == shots:
            return whole
        if whole is None:
            return shots
        # Kling's pages say that shots have lengths of their own, not what counts if both are told.
        self.note(f"the shots last {shots} s together, the whole {whole} s: either may be billed")
        return hull_of([whole, shots])

    def _whole_seconds(self) -> Span | None:
        if self.value("duration") == 0:  # "as long as the input" on models that edit
            return self.input_seconds()
        if self.counts_frames and (framed := self._frame_seconds()) is not None:
            return framed
        for name in _DURATIONS:
            value = self.values.get(name)
            quantity = quantity_of(value)
            if quantity is not None and quantity[0] >= 0:
                # Given in milliseconds on some music models.
                return Span.of(quantity[0]).over(Decimal(1000 if name.endswith("_ms") else 1))
            if self.takes(name) and name != "max_duration":
                return self._open_seconds(name, value)
        return (
            self._joined_seconds()
            or self._frame_seconds()
            or self.input_seconds()
            or self._spoken_seconds()
        )

    @property
    def counts_frames(self) -> bool:
        """Whether a number of frames was given, in the place of a length that is only a default."""
        asked = any(quantity_of(self.given.get(name)) is not None for name in _FRAMES)
        return asked and not any(self.given.get(name) is not None for name in _DURATIONS)

    def _joined_seconds(self) -> Span | None:
        """Return the length of transitions from picture to picture, each at its own length."""
        number = max(len(self.media("image")) - 1, 1)
        return self._entry_seconds("transitions", number) if self.takes("transitions") else None

    def _entry_seconds(self, name: str, least: int = 0) -> Span | None:
        """Return what the entries of the list *name* last together, *least* of them at least.

        None where there are none, or what is said of no length is not known.
        """
        values = self.values.get(name)
        entries = values if is_list(values) else []
        number = max(len(entries), least)
        items = self.card.properties.get(name, {}).get("items", {})
        usual = quantity_of(items.get("properties", {}).get("duration", {}).get("default"))
        if usual is None or not number:
            return None
        lengths = [quantity_of(one.get("duration")) for one in entries if is_object(one)]
        known = sum((decimal(length[0]) for length in lengths if length), Decimal(0))
        rest = number - sum(1 for length in lengths if length)
        return Span.of(known + rest * decimal(usual[0]))

    def _open_seconds(self, name: str, value: object) -> Span | None:
        if value is None and (given := self.input_seconds()) is not None:
            self.note(f"{name} not given: the length of the input")
            return given
        why = "left open" if value is not None else "not given"
        allowed = self._allowed(name, why)
        return allowed.over(Decimal(1000)) if allowed and name.endswith("_ms") else allowed

    def _frame_seconds(self) -> Span | None:
        frames = self.frames()
        if frames is None:
            return None
        billed = (self.card.price or {}).get("billed_fps")
        if billed:
            self.note(f"{billed} frames are billed as one second")
            return frames.over(decimal(billed))
        rate = self.number(*_RATES)
        if rate is None and (self.card.price or {}).get("token_formula"):
            rate = Span.of(TOKEN_RATE)
        if rate is None or rate.low <= 0:
            self.note("frame rate not known: taken as 16 to 30")
            return Span(frames.low / 30, frames.high / 16)
        return Span(frames.low / rate.high, frames.high / rate.low)

    def _spoken_seconds(self) -> Span | None:
        """Return how long it takes to say the given text, within wide bounds."""
        speaks = self.card.category == "text-to-speech" or "avatar" in self.card.endpoint_id
        length = self.characters() if speaks or self.card.text_field == "text" else None
        if length is None:
            return None
        slow, fast = _SPEECH
        self.note(f"speech of {slow} to {fast} characters a second")
        return Span(length.low / fast, length.high / slow)

    def frames(self) -> Span | None:
        """Return the frames of what comes back."""
        follows = any(self.values.get(name) is True for name in _FOLLOWS)
        if follows and (self.media("video") or self.media("audio")):
            given = self.input_frames() or self._frames_of_input()
            if given is not None:
                return given
            name = next((name for name in _FRAMES if self.takes(name)), None)
            return self._allowed(name, "follows the input of unknown length") if name else None
        number = self.number(*_FRAMES)
        if number is None and (self.card.price or {}).get("billed_fps"):
            return self.input_frames()
        extra = self.number("num_context_frames") if self.takes("num_context_frames") else None
        return number + extra if number and extra else number

    def _frames_of_input(self) -> Span | None:
        seconds, rate = self.input_seconds(), self.number(*_RATES)
        return seconds * rate if seconds and rate else None

    def pixels(self) -> Span | None:
        """Return the pixels of one picture or frame that comes back."""
        for name in _SIZES:
            if self._is_size(name) and (sized := self._sized(name)) is not None:
                return sized
        width, height = self.number("width"), self.number("height")
        if width and height:
            return width * height
        return self._scaled() or self._resolved() or self._unsized()

    def _is_size(self, name: str) -> bool:
        """Tell whether the card takes a size in pixels under *name*."""
        if name != "resolution":
            return self.takes(name)
        branches = self.card.properties.get(name, {}).get("anyOf", ())
        return any("properties" in branch for branch in branches) or _is_pair(self.values.get(name))

    def _sized(self, name: str) -> Span | None:
        value = self.values.get(name)
        if is_object(value):
            width, height = quantity_of(value.get("width")), quantity_of(value.get("height"))
            if width is None or height is None or min(width[0], height[0]) <= 0:
                return None
            return Span.of(width[0]) * Span.of(height[0])
        pair = pair_of(value)
        if pair is not None and pair[0] > 32:
            if name not in self.given:
                self.note(f"{name} by default {value} ({pair[0]:g}x{pair[1]:g})")
            return Span.of(pair[0]) * Span.of(pair[1])
        if isinstance(value, str) and (square := SQUARES.get(value.lower().removeprefix("auto_"))):
            return Span.of(square * square)
        if value is not None and value not in _OPEN:
            return None
        return self._open_size(name)

    def _open_size(self, name: str) -> Span | None:
        """Return the bounds of a size that is left to the model."""
        if self.card.category.endswith("to-video"):
            self.note(f"{name} left to the model: 864x480 to 1920x1088")
            return _OPEN_VIDEO
        if pictures := self.input_pictures():
            self.note(f"{name} left to the model: the size of the input, or about a megapixel")
            return pictures[0].hull(Span.of(MEGAPIXEL))
        areas = [Span.of(wide * high) for wide, high in PRESETS.values()]
        self.note(f"{name} not given: any of the named sizes")
        return hull_of(areas)

    def _scaled(self) -> Span | None:
        """Return the pixels of an enlarged input."""
        if self.value("upscale_mode") == "target":
            return None
        factor = next((name for name in FACTORS if self.takes(name)), None)
        if factor is None or "upscal" not in f"{self.card.endpoint_id} {factor}":
            return None
        by = self.number(factor)
        base = self.input_area()
        return base * by * by if by and base else None

    def input_area(self) -> Span | None:
        """Return the pixels of the given picture, or of a frame of the given video."""
        for place in self.media("video"):
            fact = self.facts.get(place)
            return (
                Span.of(fact.width * fact.height) if fact and fact.width and fact.height else None
            )
        pictures = self.input_pictures()
        return pictures[0] if pictures else None

    def _resolved(self) -> Span | None:
        """Return the pixels that a named resolution stands for, with the aspect ratio."""
        name = next((name for name in _RESOLUTIONS if self.values.get(name) is not None), None)
        value = self.values.get(name) if name else None
        short = short_side(value)
        if name is None or short is None:
            return None
        if str(value).lower() in SQUARES and not self.card.category.endswith("video"):
            return Span.of(SQUARES[str(value).lower()] ** 2)
        wide = Span.of(short * short * 16 / 9)
        pair = pair_of(self.value("aspect_ratio"))
        if pair is None:
            return wide
        ratio = max(pair) / min(pair)
        if abs(ratio - 16 / 9) > 0.01:
            self.note(f"{value} at {self.value('aspect_ratio')}: same height, or same area as 16:9")
        return wide.hull(Span.of(short * short * ratio))

    def _unsized(self) -> Span | None:
        """Return the pixels where no input sets a size: as large as what was given."""
        if self.card.category.endswith("to-video"):
            return self.input_area() if self.media("video") else None
        if (area := self.input_area()) is not None:
            return area
        if self.takes("aspect_ratio"):
            self.note("size not stated by the source: 1 to 4 megapixels")
            return Span.of(MEGAPIXEL, MEGAPIXEL * 4)
        return None


def short_side(value: object) -> int | None:
    """Return the shorter side in pixels that a named resolution stands for, or None."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value if 64 <= value <= _MOST_LINES else None
    if not isinstance(value, str):
        return None
    word = value.lower().removeprefix("true_").removeprefix("auto_")
    if found := re.match(r"(\d{3,4})p?\Z", word):
        return int(found[1])
    return {"0.5k": 512, "1k": 1024, "2k": 1440, "3k": 1728, "4k": 2160, "8k": 4320}.get(word)


def is_open(value: object) -> bool:
    """Tell whether *value* leaves the choice to the model."""
    return value is None or (isinstance(value, str) and value.lower() in _OPEN)


def _is_pair(value: object) -> bool:
    pair = pair_of(value)
    return pair is not None and pair[0] > 32


def _text_length(entry: object) -> int:
    if isinstance(entry, str):
        return len(entry)
    if is_object(entry):
        texts = [value for name, value in entry.items() if name in ("text", "content", "line")]
        return sum(len(text) for text in texts if isinstance(text, str))
    return 0


def texts_of(values: Mapping[str, Any]) -> int:
    """Return the characters of all prompts in *values*, for prices by text tokens."""
    names = [name for name in values if "prompt" in name or name in ("text", "instruction")]
    held = [cast("object", values[name]) for name in names]
    return sum(len(text) for text in held if isinstance(text, str))
