"""Build the search index: words, names, tasks and facts of every card as lists and columns."""

import json
import math
import re
import struct
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

from catalog.bill import usual_amount
from catalog.build_facts import Facts, facts_of
from catalog.build_lexicon import (
    LexiconError,
    assign,
    packed,
    read_forms,
    read_phrases,
    read_tasks,
    rows,
)
from catalog.build_operations import packed_operations
from catalog.build_prices import least_of, spans_of
from catalog.build_tongues import build_tongues
from catalog.card import ModelCard
from catalog.describe import example_arguments
from catalog.pricing import price_words
from catalog.quantity import Work
from catalog.schema import with_defaults
from catalog.search_tables import FORMAT, LONG_LIST, PARTS, media_bits
from catalog.search_text import is_unspaced, name_parts, plain, segments, stem

Record = Mapping[str, Any]

# Field: weight, how much its length counts (BM25F).
_FIELDS = {
    "id": (3.0, 0.3),
    "title": (2.2, 0.3),
    "tags": (1.5, 0.5),
    "category": (1.0, 0.0),
    "summary": (0.8, 0.6),
    "inputs": (0.2, 0.7),
}
_K1 = 1.2
_RANKS = 1446
_LONG = 100_000  # characters of a text of ours
_SMALLEST_FIELD = 8


def build_search(records: Sequence[Record], folder: Path, *, strict: bool = True) -> None:
    """Write ``search.json``, ``search.bin`` (little-endian) and ``shown.tsv`` into *folder*.

    *strict* wants a record for every task of the lexicon.
    """
    cards = [ModelCard.from_record(record) for record in records]
    facts = [facts_of(card) for card in cards]
    index = _Index(cards, facts, strict=strict)
    index.write(folder)
    build_tongues(folder / "tongues.json")


class _Index:
    def __init__(self, cards: Sequence[ModelCard], facts: Sequence[Facts], *, strict: bool) -> None:
        self.cards, self.facts, self.strict = cards, facts, strict
        self.forms = read_forms()
        self.task_names, self.rules = read_tasks()
        self.phrases = read_phrases(self.forms, self.task_names)
        self.names = _name_words()
        self.kinds = self.names["kind"]
        self.priors = priors(cards)
        self.lists: dict[str, dict[int, int]] = {}
        self.raw: Counter[str] = Counter()
        self.pairs: set[str] = set()
        self._terms()
        self._names()
        self._tasks()
        self._facets()

    def _add(self, key: str, card: int, weight: int = 0) -> None:
        self.lists.setdefault(key, {})[card] = weight

    def _terms(self) -> None:
        texts = [self._texts(card) for card in self.cards]
        mean = {
            name: sum(len(text[name]) for text in texts) / len(texts) or 1.0 for name in _FIELDS
        }
        found: dict[str, dict[int, float]] = {}
        for at, text in enumerate(texts):
            for name, (weight, by_length) in _FIELDS.items():
                shrink = 1 - by_length + by_length * len(text[name]) / mean[name]
                for term, times in Counter(text[name]).items():
                    place = found.setdefault(term, {})
                    place[at] = place.get(at, 0.0) + weight * times / shrink
        total = len(texts)
        for term, places in found.items():
            rarity = math.log(1 + (total - len(places) + 0.5) / (len(places) + 0.5))
            for at, times in places.items():
                score = rarity * times / (_K1 + times) * PARTS
                self._add(f"t{term}", at, max(1, min(255, round(score))))

    def _texts(self, card: ModelCard) -> dict[str, list[str]]:
        def words(text: str) -> list[str]:
            found = [word for word in segments(plain(text, _LONG)) if not is_unspaced(word)]
            self.raw.update(word for word in found if word.isalpha() and len(word) > 2)
            return [stem(word) for word in found if not word.isdigit()]

        return {
            "id": [
                stem(part) for part in name_parts(card.endpoint_id) if part not in ("fal", "ai")
            ],
            "title": words(f"{card.title} {card.variant}"),
            "tags": words(" ".join(card.tags)),
            "category": words(card.category),
            "summary": words(card.summary),
            "inputs": words(" ".join(card.properties).replace("_", " ")),
        }

    def _names(self) -> None:
        for at, card in enumerate(self.cards):
            parts = _own_parts(card)
            title = name_parts(f"{card.title} {card.variant}")
            makers = [name_parts(maker) for maker in card.maker.split(" / ")]
            joined = {"".join(maker) for maker in makers}
            for part in {*parts, *title, *chain(*makers), *joined, *name_parts(card.family)} - {""}:
                self._add(f"n{part}", at)
            for version in name_parts(card.version or ""):
                self._add(f"n{version}", at)
            for line in (parts, title):
                for one, other in pairwise(line):
                    self.pairs.add(f"{one} {other}")
                    if one.isalpha() and other.isalpha():
                        self._add(f"n{one}{other}", at)

    def _tasks(self) -> None:
        records = [
            {
                "id": card.endpoint_id,
                "category": card.category,
                "inputs": card.properties,
                "outputs": card.output_media.values(),
                "summary": card.summary.lower(),
            }
            for card in self.cards
        ]
        for task, places in assign(records, self.rules, strict=self.strict).items():
            for at, weight in places.items():
                self._add(f"c{task}", at, round(weight * 100))

    def _facets(self) -> None:
        fields = Counter(name for card in self.cards for name in card.properties)
        for at, (card, fact) in enumerate(zip(self.cards, self.facts, strict=True)):
            self._add(f"k{card.category}", at)
            for feature in fact.features:
                self._add(f"f{feature}", at)
            for name in card.properties:
                if fields[name] >= _SMALLEST_FIELD:
                    self._add(f"p{name}", at)
            for kind in sorted(self.media_in(card)):
                self._add(f"i{kind}", at)
            for kind in sorted(self.media_out(card)):
                self._add(f"o{kind}", at)

    @staticmethod
    def media_in(card: ModelCard) -> set[str]:
        """Return the kinds of media that *card* takes; text where it has a main text."""
        kinds = set(card.media_in.values())
        source = card.category.partition("-to-")[0]
        if source in ("image", "video", "audio", "3d"):
            kinds.add(source)
        if card.text_field or source == "text":
            kinds.add("text")
        return kinds

    @staticmethod
    def media_out(card: ModelCard) -> set[str]:
        """Return the kinds of media that *card* returns; text where nothing else comes back."""
        kinds = set(card.output_media.values())
        target = card.category.rpartition("-to-")[2]
        if target in ("image", "video", "audio", "3d", "text"):
            kinds.add(target)
        if target == "speech":
            kinds.add("audio")
        return kinds or {"text"}

    # ------------------------------------------------------------ writing

    def write(self, folder: Path) -> None:
        """Write the three files."""
        shown = [self._shown(at) for at in range(len(self.cards))]
        (folder / "shown.tsv").write_bytes(b"".join(shown))
        keys = sorted(self.lists)
        arrays = self._columns()
        arrays["shown"] = ("I", _running(len(line) for line in shown))
        dense = self._postings(keys, arrays)
        directory, data = _joined(arrays)
        (folder / "search.bin").write_bytes(data)
        head = {
            "format": FORMAT,
            "count": len(self.cards),
            "tasks": [[task, name] for task, name in self.task_names.items()],
            "categories": sorted({card.category for card in self.cards}),
            "kinds": self.kinds,
            "keys": keys,
            "pairs": "\n".join(("", *sorted(self.pairs), "")),
            "spelling": self._spelling(),
            "arrays": directory,
            "dense": dense,
            "least": least_of([fact.prices for fact in self.facts]),
            "lexicon": self._lexicon(),
        }
        # One sign of another script would make every character of it two bytes while it is parsed.
        text = json.dumps(head, ensure_ascii=True, separators=(",", ":"))
        (folder / "search.json").write_text(text + "\n", encoding="ascii")

    def _postings(self, keys: Sequence[str], arrays: dict[str, Any]) -> dict[str, int]:
        docs: list[int] = []
        weights: list[int] = []
        starts = [0]
        dense = bytearray()
        lookups: dict[str, int] = {}
        for number, key in enumerate(keys):
            places = list(self.lists[key].items())
            if len(places) > LONG_LIST:
                places.sort(key=lambda p: (-p[1] / PARTS - self.priors[p[0]], p[0]))
                lookups[str(number)] = len(dense)
                column = bytearray(len(self.cards))
                for at, weight in places:
                    column[at] = weight
                dense += column
            else:
                places.sort()
            docs += [at for at, _ in places]
            weights += [weight for _, weight in places]
            starts.append(len(docs))
        arrays["starts"] = ("I", starts)
        arrays["docs"] = ("H" if len(self.cards) < 65536 else "I", docs)
        arrays["weights"] = ("B", weights)
        arrays["dense"] = ("B", dense)
        return lookups

    def _columns(self) -> dict[str, Any]:
        families = {name: at for at, name in enumerate(sorted({c.family for c in self.cards}))}
        categories = sorted({card.category for card in self.cards})
        statuses = {"active": 0, "unknown": 1, "deprecated": 2}
        order = sorted(range(len(self.cards)), key=lambda at: (-self.priors[at], at))
        prices = [price for fact in self.facts for price in fact.prices.columns]
        return {
            "category": ("B", [categories.index(card.category) for card in self.cards]),
            "status": ("B", [3 if c.seed_only else statuses[c.status] for c in self.cards]),
            "family": ("H", [families[card.family] for card in self.cards]),
            "age": ("H", ages(self.cards)),
            "prior": ("f", self.priors),
            "variants": ("Q", [self._variants(card) for card in self.cards]),
            "media_in": ("B", [media_bits(self.media_in(card)) for card in self.cards]),
            "media_out": ("B", [media_bits(self.media_out(card)) for card in self.cards]),
            "longest": ("f", [fact.longest for fact in self.facts]),
            "length": ("f", [fact.prices.length for fact in self.facts]),
            "heights": ("B", [sum(1 << h for h in fact.heights) for fact in self.facts]),
            "prices": ("f", prices),
            "unit": ("B", [fact.prices.unit for fact in self.facts]),
            "usual": ("B", [fact.prices.usual for fact in self.facts]),
            **spans_of([fact.prices for fact in self.facts]),
            "parts": ("B", [len(_own_parts(card)) for card in self.cards]),
            "by_prior": ("I", order),
        }

    def _variants(self, card: ModelCard) -> int:
        parts = set(name_parts(card.endpoint_id))
        return sum(1 << at for at, kind in enumerate(self.kinds) if kind in parts)

    def _shown(self, at: int) -> bytes:
        card = self.cards[at]
        cells = (card.full_title, card.summary, usual_price(card))
        return ("\t".join(" ".join(cell.split()) for cell in cells) + "\n").encode()

    def _spelling(self) -> list[str]:
        """Return the words a slip may be mended to that the lexicon's forms do not hold."""
        names = [key[1:] for key in self.lists if key[0] == "n" and key[1:].isalpha()]
        words = {w for w, times in self.raw.items() if times > 1} | {n for n in names if len(n) > 3}
        words |= {word for chain in self.forms.chains for word in chain if len(word) > 2}
        return sorted(word for word in words if word.isascii() and word not in self.forms.words)

    def _damps(self) -> dict[str, list[int]]:
        """Return for each task the tasks that it makes unlikely, by number.

        Raises:
            LexiconError: a task that does not exist.
        """
        numbers = {task: at for at, task in enumerate(self.task_names)}
        damps: dict[str, list[int]] = {}
        for task, others in rows("damps.tsv", 2):
            if unknown := {task, *others.split()} - numbers.keys():
                raise LexiconError(f"damps.tsv: no task {', '.join(sorted(unknown))}")
            damps[str(numbers[task])] = sorted(numbers[other] for other in others.split())
        return damps

    def _lexicon(self) -> dict[str, Any]:
        for table, mark in (("constraints.tsv", "!"), ("guides.tsv", "?"), ("tongues.tsv", "~")):
            for name, words in rows(table, 2):
                for form in words.split():
                    self.forms.add(f"{mark}{name}", form, literal=True)
        stop = [word for _, words in rows("stop.tsv", 2) for word in segments(plain(words, _LONG))]
        numbers = {task: at for at, task in enumerate(self.task_names)}
        common = [w for _, words in rows("common.tsv", 2) for w in segments(plain(words, _LONG))]
        return {
            **packed(self.forms, self.phrases, list(self.task_names)),
            **packed_operations(self.forms, numbers),
            "stop": sorted(set(stop)),
            "common": sorted(set(common)),
            "common_stems": sorted({stem(word) for word in common} - set(common)),
            "weak": sorted(set(self.names["weak"])),
            "strong": self.names["strong"],
            "never": self.names["never"],
            "elsewhere": self.names["elsewhere"],
            "damps": self._damps(),
            "aliases": _aliases(),
        }


def _own_parts(card: ModelCard) -> list[str]:
    return [part for part in name_parts(card.endpoint_id) if part not in ("fal", "ai")]


def _name_words() -> dict[str, list[str]]:
    kinds = ("kind", "weak", "strong", "never", "elsewhere")
    found: dict[str, list[str]] = {kind: [] for kind in kinds}
    for kind, words in rows("names.tsv", 2):
        found[kind] += words.split()
    return found


def _aliases() -> dict[str, list[list[Any]]]:
    """Return the names that stand for others, by their first word, longest first."""
    aliases: dict[str, list[list[Any]]] = {}
    for written, meant in rows("aliases.tsv", 2):
        words = segments(plain(written))
        aliases.setdefault(words[0], []).append([words[1:], meant.split()])
    for entries in aliases.values():
        entries.sort(key=lambda entry: -len(entry[0]))
    return dict(sorted(aliases.items()))


def priors(cards: Sequence[ModelCard]) -> list[float]:
    """Return how much each card is worth before anything is asked, from about -4 to 1.3.

    Use (rank in fal's list), newness, the newest version of its family, and status count.
    """
    newest: dict[tuple[str, str], list[tuple[float, ...]]] = {}
    for card in cards:
        if card.status == "active" and not card.seed_only:
            newest.setdefault((card.family, card.category), []).append(_version(card))
    made: list[float] = []
    for card, months in zip(cards, ages(cards), strict=True):
        rank = card.gallery_rank or _RANKS
        used = 0.9 * (1 - math.log(min(rank, _RANKS)) / math.log(_RANKS))
        age = max(0, months - 24 * 12)  # months since January 2024
        new = 0.25 * min(age, 32) / 32
        versions = sorted(set(newest.get((card.family, card.category), [])), reverse=True)
        later = sum(version > _version(card) for version in versions)
        old = 0.12 * min(later, 3) if card.family else 0.0
        gone = {"active": 0.0, "unknown": 1.2, "deprecated": 4.0}[card.status]
        made.append(round(used + new - old - (3.7 if card.seed_only else gone), 4))
    return made


# A version from here on is a date ("2512").
_LAST = (100.0,)


def ages(cards: Sequence[ModelCard]) -> list[int]:
    """Return when each card came out, in months since January 2000, 0 where nothing tells.

    A card without a date is supposed to be as old as its version of its family; a version above
    all that have a date, as new as the newest card of all.
    """
    dated: dict[str, dict[tuple[float, ...], int]] = {}
    for card in cards:
        if card.published and card.family and card.version:
            months, versions = _months(card.published), dated.setdefault(card.family, {})
            versions[_version(card)] = min(months, versions.get(_version(card), months))
    newest = max((_months(card.published) for card in cards), default=0)
    made: list[int] = []
    for card in cards:
        months = _months(card.published)
        if not months and card.family and card.version and card.status != "deprecated":
            known = dated.get(card.family, {}).items()
            later = [when for version, when in known if _LAST > version >= _version(card)]
            months = min(later, default=newest)
        made.append(months)
    return made


def _version(card: ModelCard) -> tuple[float, ...]:
    return tuple(float(number) for number in re.findall(r"\d+(?:\.\d+)?", card.version or ""))


def _months(day: str | None) -> int:
    """Return the months from January 2000 to *day*, 0 where it is not known."""
    if not day:
        return 0
    when = date.fromisoformat(day)
    return (when.year - 2000) * 12 + when.month - 1


def usual_price(card: ModelCard) -> str:
    """Return the price of *card* at its defaults in a few words, in the unit it is stated in.

    It is one of the prices that `catalog.pricing.price_words` and `price_tiers` list.
    """
    price = card.price
    if price is None or price.get("placeholder_suspected"):
        return price_words(card)
    given = example_arguments(card)
    work = Work(card, given, with_defaults(card, given), {})
    amount, unit, tiered = usual_amount(work, price)
    about = "about " if price.get("approx") else ""
    height = re.search(r"\d+p|[24]k", _where(card, given)) if tiered else None
    at = f" at {height[0]}" if height else ""
    return f"{about}${amount}/{unit}{at}".replace(" to ", "-")


def _where(card: ModelCard, given: Mapping[str, Any]) -> str:
    """Return the resolution that *given* and the defaults ask for, empty where there is none."""
    values = with_defaults(card, given)
    return str(next((values[n] for n in ("resolution", "target_resolution") if values.get(n)), ""))


def _running(lengths: Iterable[int]) -> list[int]:
    sums = [0]
    for length in lengths:
        sums.append(sums[-1] + length)
    return sums


def _joined(arrays: Mapping[str, tuple[str, Any]]) -> tuple[dict[str, list[Any]], bytes]:
    """Return where each array lies (type, start, bytes), and all of them, little-endian."""
    directory: dict[str, list[Any]] = {}
    data = bytearray()
    for name, (code, values) in sorted(arrays.items()):
        packed_values = struct.pack(f"<{len(values)}{code}", *values)
        directory[name] = [code, len(data), len(packed_values)]
        data += packed_values
    return directory, bytes(data)
