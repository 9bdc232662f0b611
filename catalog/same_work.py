"""Say the same work in the fields of another model, and what of it that model cannot do."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from catalog.asked import Asked, tongue_of
from catalog.card import TEXT_FIELDS, ModelCard
from catalog.convert import is_list
from catalog.errors import ArgumentsError
from catalog.field_values import choices_of, near_length, takes
from catalog.granting import (
    FRAMES,
    LENGTH_FIELDS,
    SIZE_FIELDS,
    granted,
    longest_known,
    sized_fields,
    usual_rate,
)
from catalog.nearest import is_meant, media_meant, nearest_name, quantity_of
from catalog.options import RATES
from catalog.quantity import COUNTS, FACTORS, TOKEN_RATE, is_open
from catalog.reading import Reader
from catalog.said_values import Size, area_of, ratio_of, shape_of, size_of, whole_of
from catalog.saying import named
from catalog.schema import check

_SIZED = frozenset((*SIZE_FIELDS, "image_size", "video_size", "size", "width", "height"))
# A name of a size and the size that a model makes for it may differ so much.
_SAME_AREA = 0.9
_SAME_SECONDS = 0.06
_MOST_AT_ONCE = 64  # results that a run is tried for
# Media beside what is worked on: a model may do the work without them.
_BESIDE = re.compile(r"ref|mask|end|last|tail|final|style|voice|lora|control")
_SPOKEN = ("text", "script")
_PARTS: Mapping[str, float] = {
    "": 1, "s": 1, "ms": 0.001, "min": 60, "mins": 60, "minute": 60, "minutes": 60, "m": 60,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class SameWork:
    """What is to be sent to one model for work that was said in the words of others.

    *runs* of the *arguments* make as many results as are wanted. *told* are short notes of what
    is otherwise than wanted; *beyond* what the model cannot reach (``10 s: 8 s at most``), the
    arguments being for the most it makes then.
    """

    arguments: Mapping[str, object]
    runs: int = 1
    told: tuple[str, ...] = ()
    beyond: tuple[str, ...] = ()


def same_work(card: ModelCard, given: Mapping[str, object]) -> SameWork:
    """Return *given* as *card* takes it; what it takes as it stands remains so.

    Other names for the same are followed (``text``, ``script``), and other forms of a value
    (``10``, ``"10s"``, 241 frames; ``1080p``, 1920 x 1080). Of lengths and sizes that it cannot
    make, the next that is more is taken. What it has no field for is left out, and told.
    """
    if not card.properties or _fits(card, given):
        return SameWork(given)
    work = _Work(card, given)
    for step in (work.texts, work.media, work.length, work.sound, work.size, work.shape,
                 work.number, work.others):  # fmt: skip
        step()
    told = list(dict.fromkeys(work.told))
    if work.without:
        told.append(f"left out: {', '.join(map(named, sorted(set(work.without), key=_by_price)))}")
    return SameWork(work.fields, work.runs, tuple(told), tuple(work.beyond))


def _fits(card: ModelCard, given: Mapping[str, object]) -> bool:
    if not all(name in card.properties for name in given):
        return False
    try:
        check(card, given, whole=False)
    except ArgumentsError:
        return False
    return True


class _Work:
    """What was given, step by step put into the fields of a card: *rest* is what is left of it."""

    def __init__(self, card: ModelCard, given: Mapping[str, object]) -> None:
        self.card, self.given = card, given
        self.fields: dict[str, object] = {}
        self.rest: dict[str, object] = {}
        self.told: list[str] = []
        self.without: list[str] = []
        self.beyond: list[str] = []
        self.runs = 1
        self.ratio: tuple[str, str] | None = None
        kinds = set(card.output_media.values()) or {card.category.rpartition("-")[2]}
        self.moves, self.draws = "video" in kinds, "image" in kinds
        for name, value in given.items():
            if value is not None:
                (self.fields if self._takes(name, value) else self.rest)[name] = value

    def _takes(self, name: str, value: object) -> bool:
        """Tell whether the card takes *value* under *name*, if only in another form."""
        return name in self.card.properties and not self._problem(name, value)

    def _problem(self, name: str, value: object) -> str:
        if self.card.completeness == "names":
            return ""
        reader = Reader(self.card.input_schema)
        reader.read(self.card.properties[name], value, (name,))
        return "; ".join(problem.rule for problem in reader.problems)

    def _taken(self, *leads: str) -> list[tuple[str, object]]:
        """Take out of the rest what means the same as *leads*."""
        names = [name for name in self.rest if any(is_meant(name, lead) for lead in leads)]
        return [(name, self.rest.pop(name)) for name in names]

    def _holds(self, names: Sequence[str] | frozenset[str]) -> bool:
        return any(name in self.fields for name in names)

    def _grant(self, asked: Asked) -> tuple[Mapping[str, object], Sequence[str]]:
        """Put into the fields what is *asked*, if the card has it so; return them, and why not."""
        found = granted(self.card, asked, self.fields)
        self.fields |= found.fields
        return found.fields, found.unmet

    def texts(self) -> None:
        target = self.card.text_field
        names = [n for n in self.rest if is_meant(n, "prompt") and isinstance(self.rest[n], str)]
        for name in sorted(names, key=_text_order):
            text = self.rest.pop(name)
            if target and name in _SPOKEN and target == "prompt" in self.fields:
                del self.fields["prompt"]  # how to speak, where there is but one text
                self.without.append("prompt")
            if target is None or self.fields.get(target, text) != text:
                self.without.append(name)
            elif problem := self._problem(target, text):
                self.beyond.append(f"{named(name)}: {problem.partition(',')[0]}")
            else:
                self.fields[target] = text

    def media(self) -> None:
        for name in [n for n in self.rest if media_meant(n)]:
            value = self.rest[name]
            entries = list(value) if is_list(value) else [value]
            if not entries or not all(isinstance(entry, str) for entry in entries):
                continue  # no media: a switch called audio
            del self.rest[name]
            fields = self._media_fields(name)
            if len(fields) == 1:
                self._put_media(fields[0], entries, media_meant(name))
            elif _BESIDE.search(name) or any(
                kind == media_meant(name) and held in self.fields
                for held, kind in self.card.media_in.items()
            ):
                self.without.append(name)
            elif fields:
                self.beyond.append(f"takes {', '.join(fields)}")
            else:
                self.beyond.append(f"takes no {media_meant(name)}")

    def _media_fields(self, name: str) -> Sequence[str]:
        """Return the free input of the card that *name* stands for, several where any may be."""
        kind, masks = media_meant(name), "mask" in name
        sort = {"mask": "image", "3D model": "3d"}.get(kind, kind)
        free = [
            held
            for held, taken in self.card.media_in.items()
            if taken == sort and held not in self.fields and ("mask" in held) == masks
        ]
        if not _BESIDE.search(name):
            free = [held for held in free if not re.search(r"end|last|tail|mask", held)]
        if near := nearest_name(name, free, sure=True):
            return [near]
        return [held for held in free if held in self.card.required] or free

    def _put_media(self, target: str, entries: list[object], kind: str) -> None:
        schema = self.card.properties[target]
        listed = schema.get("type") == "array"
        most = schema.get("maxItems", len(entries)) if listed else 1
        if listed and len(entries) < schema.get("minItems", 0):
            self.beyond.append(f"takes at least {schema['minItems']} {kind}s")
            return
        if len(entries) > most:
            self.told.append(f"{most} of {len(entries)} {kind}s")
        self.fields[target] = entries[:most] if listed else entries[0]

    def length(self) -> None:
        lengths, frames = self._taken("duration"), self._taken("num_frames")
        rates = [value for name, value in self.given.items() if is_meant(name, "fps")]
        rate = next((float(got[0]) for value in rates if (got := quantity_of(value))), None)
        self._rate(rate)
        names = [name for name in LENGTH_FIELDS if name in self.card.properties]
        counts = [name for name in FRAMES if name in self.card.properties]
        told = [*lengths, *frames]
        if not told or self._holds((*names, *counts)):
            return
        seconds = next((s for n, value in told if (s := _seconds(n, value, rate))), 0.0)
        if not seconds:
            self.without += [name for name, value in told if not is_open(value)]
            return
        made = next((made for made in self._lengths(names, counts, seconds) if made), None)
        if made is None:
            self._unset_length(told[0][0], names, seconds)
        elif made < seconds - _SAME_SECONDS:
            self.beyond.append(f"{seconds:g} s: {made:.3g} s at most")
        elif made > seconds + _SAME_SECONDS:
            self.told.append(f"{made:.3g} s, not {seconds:g}")

    def _rate(self, rate: float | None) -> None:
        names = [name for name, _ in self._taken("fps")]
        if rate and names and not self._holds(RATES):
            _, unmet = self._grant(Asked(fps=round(rate)))
            self.without += names if unmet else []

    def _lengths(
        self, names: Sequence[str], counts: Sequence[str], seconds: float
    ) -> Iterator[float | None]:
        """Yield how many seconds each field for a length was set to, the most it takes at most."""
        most = longest_known(self.card, names) if self.moves else 0.0
        for name in names:
            if (found := near_length(self.card, name, min(seconds, most or seconds))) is not None:
                self.fields[name] = found[0]
                yield found[1]
        for name in counts:
            yield self._framed(name, seconds)

    def _framed(self, name: str, seconds: float) -> float | None:
        """Set a number of frames for so many seconds, or the most; return the seconds they last."""
        held = next((self.fields[own] for own in RATES if own in self.fields), None)
        told = quantity_of(held)
        rate = float(told[0]) if told else usual_rate(self.card)
        if rate is None:
            rate = float(TOKEN_RATE)
            self.told.append(f"{TOKEN_RATE} frames/s supposed")
        schema, count = self.card.properties[name], int(seconds * rate) + 1
        known = sorted(
            int(got[0]) for one in choices_of(self.card, name) if (got := quantity_of(one))
        )
        if known:
            count = next((one for one in known if one >= count - 1), known[-1])
        else:
            count = min(max(count, schema.get("minimum", 1)), schema.get("maximum", count))
        if not self._takes(name, count):
            return None
        self.fields[name] = count
        return count / rate if count <= seconds * rate else max(seconds, (count - 1) / rate)

    def _unset_length(self, name: str, names: Sequence[str], seconds: float) -> None:
        """Tell of a length that no field takes: that of the input, or always the same."""
        price = self.card.price or {}
        sold = price.get("quantity") if price.get("unit") == "second" and not names else None
        kinds = self.card.media_in
        if any(kinds[held] in ("video", "audio") for held in self.fields if held in kinds):
            self.told.append("as long as the input")
        elif sold and float(sold) < seconds:
            self.beyond.append(f"{seconds:g} s: makes {sold:g} s")
        elif self.moves or "audio" in self.card.media_out:
            self.told.append("its length cannot be set")
        else:
            self.without.append(name)

    def sound(self) -> None:
        for name in [n for n in self.rest if is_meant(n, "generate_audio")]:
            wanted = self.rest[name]
            if isinstance(wanted, bool):
                del self.rest[name]
                _, unmet = self._grant(Asked(sound=wanted))
                if not self.moves:
                    self.without.append(name)
                elif unmet:
                    self.told.append("makes no sound" if wanted else "always with sound")

    def size(self) -> None:
        found = self._sizes()
        if not found or self._holds(_SIZED):
            return
        name, size = found[0]
        if size.pixels and self._grant(Asked(pixels=size.pixels))[0]:
            return
        if size.pixels and not self.ratio:
            self.ratio = ("", shape_of(*size.pixels))
        fields, unmet = self._grant(Asked(height=size.lines, kilo=size.kilo))
        if fields or not unmet:
            return
        shape = (self.ratio[1] if self.ratio else "") or "16:9"
        if lined := sized_fields(self.card, size.lines, shape):
            self.fields |= lined
        else:
            self._near_size(name, size)

    def _sizes(self) -> list[tuple[str, Size]]:
        """Take the sizes out of the rest, and the shape that stands among them."""
        sides: dict[str, int] = {}
        found: list[tuple[str, Size]] = []
        for name, value in self._taken("image_size"):
            if name in ("width", "height") and (side := whole_of(value)):
                sides[name] = side
            elif ratio := ratio_of(value):
                self.ratio = self.ratio or (name, ratio)
            elif (size := size_of(value)) is not None:
                found.append((name, size))
            elif not is_open(value):
                self.rest[name] = value  # a quality in words
        if "width" in sides and "height" in sides:
            pixels = sides["width"], sides["height"]
            found.insert(0, ("size", Size(pixels, min(pixels))))
        return found

    def _near_size(self, name: str, size: Size) -> None:
        """Set the smallest size that is as large as *size*, else the largest."""
        for field in (*SIZE_FIELDS, "image_size", "video_size", "size"):
            areas = [
                (area, at)
                for at, choice in enumerate(choices_of(self.card, field))
                if (area := area_of(choice, moves=self.moves))
            ]
            if not areas or not (self.moves or self.draws):
                continue
            wanted = size.area(moves=self.moves)
            area, at = min(
                (one for one in areas if one[0] >= wanted * _SAME_AREA), default=max(areas)
            )
            choice = choices_of(self.card, field)[at]
            self.fields[field] = choice
            if area < wanted * _SAME_AREA:
                self.beyond.append(f"{size}: {choice} at most")
            elif area * _SAME_AREA > wanted:
                self.told.append(f"{choice}, not {size}")
            return
        named = re.findall(
            r"\b(\d{3,4}p|[248]k)\b", f"{self.card.endpoint_id} {self.card.summary}".lower()
        )
        made = max((one for one in map(size_of, named) if one), key=_lines, default=None)
        if made is None or not self.moves:
            self.without.append(name)
        elif made.lines < size.lines * _SAME_AREA:
            self.beyond.append(f"{size}: {made} at most")
        else:
            self.told.append(f"{made}, not {size}")

    def shape(self) -> None:
        for name, value in self._taken("aspect_ratio"):
            if ratio := ratio_of(value):
                self.ratio = self.ratio or (name, ratio)
            elif not is_open(value):
                self.without.append(name)
        if not self.ratio or not self.ratio[1] or "aspect_ratio" in self.fields:
            return
        name, ratio = self.ratio
        _, unmet = self._grant(Asked(ratio=ratio))
        if unmet and name:
            self.without.append(name)
        elif unmet and not any(held in self.fields for held in self.card.media_in):
            self.told.append(f"not {ratio}")

    def number(self) -> None:
        counts = [
            (n, count) for n, value in self._taken("num_images") if (count := whole_of(value))
        ]
        if not counts or self._holds(COUNTS):
            return
        count = counts[0][1]
        field = next((name for name in COUNTS if name in self.card.properties), None)
        each = 1
        if field is not None:
            most = min(count, _MOST_AT_ONCE)
            fit = (n for n in range(most, 0, -1) if count % n == 0 and self._takes(field, n))
            each = next(fit, 1)
            if self._takes(field, each):
                self.fields[field] = each
        self.runs = count // each
        if self.runs > 1:
            self.told.append(f"{self.runs} runs of {each}")

    def others(self) -> None:
        for name, value in self.rest.items():
            if is_open(value):
                continue
            if is_meant(name, "upscale_factor") and (got := quantity_of(value)):
                self._factor(name, float(got[0]))
                continue
            if is_meant(name, "language") and (tongue := tongue_of(value)):
                if not self._grant(Asked(tongue=tongue))[0]:
                    self.without.append(name)
                continue
            near = nearest_name(name, self.card.properties, sure=True)
            if near and near not in self.fields and takes(self.card, near, value):
                self.fields[near] = value
            else:
                self.without.append(name)

    def _factor(self, name: str, factor: float) -> None:
        """Set how many times larger it is to be, the next larger one where it must be another."""
        for field in FACTORS:
            if field not in self.card.properties or field in self.fields:
                continue
            schema = self.card.properties[field]
            choices = [
                (float(got[0]), at)
                for at, one in enumerate(choices_of(self.card, field))
                if (got := quantity_of(one))
            ]
            if choices:
                made, at = min((one for one in choices if one[0] >= factor), default=max(choices))
                value: object = choices_of(self.card, field)[at]
            else:
                made = min(
                    max(factor, schema.get("minimum", factor)), schema.get("maximum", factor)
                )
                value = int(made) if made == int(made) else made
            if not self._takes(field, value):
                continue
            self.fields[field] = value
            if made < factor:
                self.beyond.append(f"{factor:g}x: {made:g}x at most")
            elif made > factor:
                self.told.append(f"{made:g}x, not {factor:g}x")
            return
        self.without.append(name)


def _seconds(name: str, value: object, rate: float | None) -> float:
    """Return the seconds of a length or a number of frames, 0 where *value* tells none."""
    got = quantity_of(value)
    if got is None or got[0] <= 0:
        return 0.0
    if is_meant(name, "num_frames") and "frames" in name:
        return round((float(got[0]) - 1) / (rate or TOKEN_RATE), 2) or 0.0
    part = _PARTS.get(got[1], 0.0)
    return float(got[0]) * (0.001 if name.endswith("_ms") and not got[1] else part)


def _by_price(name: str) -> tuple[bool, str]:
    """Return where *name* stands among what is left out: what prices hang on comes first."""
    return not any(is_meant(name, lead) for lead in ("duration", "image_size", "num_images")), name


def _lines(size: Size) -> int:
    return size.lines


def _text_order(name: str) -> int:
    return TEXT_FIELDS.index(name) if name in TEXT_FIELDS else len(TEXT_FIELDS)
