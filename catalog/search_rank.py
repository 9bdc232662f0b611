"""Rank cards for one step of a query: words, tasks, names, direction, wishes, then priors."""

import math
from array import array
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from catalog.search_sure import is_low
from catalog.search_tables import HEAD, PARTS, SearchTables, media_bits
from catalog.search_understand import Understood
from catalog.search_wishes import Wishes

# What a task that fired adds to a card that does nothing else, before rarity.
_TASK = 5.5
_CATEGORY = 2.6
_BESIDE_NAME, _CONFIRMED = 0.7, 2.0
# What a card that returns the only thing spoken of gains where no task is known.
_MEDIUM = 0.8
_INSIDE = 0.55
# From this share of the best task's strength on a second one is meant, too.
_ALSO_MEANT = 0.5
_WRONG_TARGET, _WRONG_SOURCE, _LACKS_MEDIUM = -1.6, -0.8, -0.9
_SORT = 0.9
# What mostly is meant by a name alone: what makes something of words or of a picture.
_MAIN = frozenset(
    {"text-to-image", "text-to-video", "image-to-video", "text-to-speech", "text-to-audio"}
    | {"text-to-3d", "image-to-3d", "speech-to-text", "text-to-music"}
)
_MAIN_GAIN = 0.3
# Words of who wants to train; what a trainer loses beside a name without any of them.
_TRAINS = ("train", "tun", "finetun", "fine", "teach", "learn", "lora", "dataset", "adapt")
_NOT_TRAINED = -1.5
# What a card loses for each month that it is older than the newest of its name, and at most.
_OLDER, _OLDEST, _UNDATED = 0.12, 2.4, 1.2
_OTHER_TONGUE, _OWN_TONGUE = -1.8, 1.0
_VARIANT = -0.35
# What a card gains whose id has just the words of the query.
_WHOLE_NAME = 4.0
# What the cheapest of the good candidates gains, and how far behind the best one is still good.
_CHEAP, _GOOD = 2.2, 5.0
_VARIANT_KINDS = frozenset(
    {"lora", "distilled", "distill", "base", "preview", "draft", "stream", "byok", "long"}
)
# Scores count to so many digits; scores that far apart may be the same.
_DIGITS, _SAME = 4, 1e-4
# Cards that are looked at closely, and those that are first, if so few are asked for that they may
# do.
_CLOSE, _FIRST, _FEW_ASKED = 96, 24, 12
# A property that no more cards have brings them to a closer look.
_FEW_KEEP = 150
# A catalog of fewer cards is weighed like one of so many.
_SMALL = 24
# Of more cards than this most are left out before those that are left are put in order.
_MANY = 1000


class Ranking(NamedTuple):
    """The best cards, scored closely, the first scores of all that match, and whether none fits."""

    final: dict[int, float]
    scores: dict[int, float]
    is_low: bool
    tables: SearchTables

    def cards(self, most: int) -> list[int]:
        """Return the cards that match, best first, at least *most* of them where so many do.

        *most* is what `rank` was asked for, or less.
        """
        if most <= len(self.final):
            return _ordered(self.final, self.tables, most)
        rest = [(-score, card) for card, score in self.scores.items() if card not in self.final]
        rest.sort()
        return _ordered(self.final, self.tables) + [card for _, card in rest]

    def all_cards(self) -> list[int]:
        """Return every card that matches, best first."""
        return self.cards(len(self.scores) + 1)


def rank(
    understood: Understood, tables: SearchTables, allowed: int | None = None, most: int = _CLOSE
) -> Ranking:
    """Return the cards that answer *understood*; only those among the bits *allowed*, if given.

    The fewer are asked for (*most*), the fewer have to be looked at closely.
    """
    scores = _first_scores(understood, tables, allowed)
    look = _Look(understood, tables)
    if understood.wishes.cheap:
        final = _looked_at(look, scores, _CLOSE)
        _add_cheapness(final, understood, tables)
    else:
        final = _looked_at(look, scores, most)
    return Ranking(final, scores, is_low(understood, tables, _ordered(final, tables, 1)), tables)


def _ordered(final: dict[int, float], tables: SearchTables, most: int = _CLOSE) -> list[int]:
    """Return the *most* best cards, best first: in use before retired, then the more used."""
    least = -math.inf
    if 0 < most < len(final):
        least = sorted(final.values())[-most] - _SAME
    status, prior = tables.status, tables.prior
    order = [
        (-round(score, _DIGITS), status[card], -prior[card], card)
        for card, score in final.items()
        if score >= least
    ]
    order.sort()
    return [card for *_, card in order[:most]]


def _looked_at(look: "_Look", scores: dict[int, float], most: int) -> dict[int, float]:
    """Return the scores of the best cards after a closer look, at least of the *most* best ones.

    Before it, those are the best whose first score with what everybody knows of them is best. A
    few of these do, if no other could gain enough to get among the *most* best ones.
    """
    prior = look.tables.prior
    worths = [score + prior[card] for card, score in scores.items()]
    if len(worths) <= _CLOSE:
        return look.closely(zip(worths, scores, strict=True))
    top = _top(worths)
    final: dict[int, float] = {}
    if most <= _FEW_ASKED:
        final = look.closely(_from(top[-_FIRST], worths, scores))
        if len(final) < len(top) and len(final) <= _CLOSE:
            needed = sorted(final.values())[-most] - _SAME
            if top[-len(final) - 1] + look.most < needed:
                return final
    best = _from(top[-_CLOSE], worths, scores)
    if len(best) > _CLOSE:
        best = sorted(best, key=lambda pair: (-pair[0], pair[1]))[:_CLOSE]
        final = {}
    best += look.wished(worths, scores)
    final.update(look.closely([pair for pair in best if pair[1] not in final]))
    return final


def _top(worths: Sequence[float]) -> Sequence[float]:
    """Return the best of *worths*, at least `_CLOSE`, the best last.

    The least of the best among a part of them is a bound that most of the others do not reach.
    """
    if len(worths) > _MANY:
        part = sorted(worths[: 2 * _CLOSE])[-_CLOSE]
        worths = [worth for worth in worths if worth >= part]
    return sorted(worths)


def _from(least: float, worths: Sequence[float], cards: Iterable[int]) -> list[tuple[float, int]]:
    """Return those *cards* with their worths that are worth at least *least*."""
    return [(worth, card) for worth, card in zip(worths, cards, strict=True) if worth >= least]


def _first_scores(
    understood: Understood, tables: SearchTables, allowed: int | None
) -> dict[int, float]:
    """Return what words, tasks, categories and names give to every card they reach."""
    lists = _weighted_lists(understood, tables)
    scores: dict[int, float] = {}
    if lists:
        cards, worths = tables.weighted(lists[0][0])
        first = lists[0][1]
        scores = {card: worth * first for card, worth in zip(cards, worths, strict=True)}
    get = scores.get
    for key, weight in lists[1:]:
        for card, worth in zip(*tables.weighted(key), strict=True):
            scores[card] = get(card, 0.0) + worth * weight
    for key, gain in _flat_lists(understood):
        for card in tables.weighted(key)[0]:
            scores[card] = get(card, 0.0) + gain
    for card, gain in _name_gains(understood, tables):
        scores[card] = get(card, 0.0) + gain
    if allowed is not None:
        scores = _among(scores, tables, allowed)
    for key, weight in lists:
        if (column := tables.looked_up(key)) is not None:
            _add_beyond_head(scores, column, weight, set(tables.weighted(key)[0]))
    return scores


def _add_beyond_head(
    scores: dict[int, float], column: "array[int]", weight: float, head: set[int]
) -> None:
    """Add what a long list gives to cards that other lists have found."""
    for card in scores:
        if column[card] and card not in head:
            scores[card] += column[card] * weight


def _name_gains(understood: Understood, tables: SearchTables) -> list[tuple[int, float]]:
    """Return what cards gain for a name, and for half a name that a sure task confirms."""
    named = understood.named
    gains = [(card, named.worth(card, tables)) for card in named.bearers]
    gains += [(card, _WHOLE_NAME) for card in sorted(named.whole)]
    if named.maybe:
        does = 0
        for fired in understood.tasks:
            if fired.strength >= _INSIDE:
                does |= tables.bits.of(f"c{tables.tasks[fired.task][0]}")
        gains += [(card, _CONFIRMED) for card in sorted(named.maybe) if does >> card & 1]
    return gains


def _weighted_lists(understood: Understood, tables: SearchTables) -> list[tuple[str, float]]:
    """Return the lists whose cards have weights of their own: words and tasks."""
    lists = [(key, weight / PARTS) for key, weight in understood.terms]
    scale = _TASK * (_BESIDE_NAME if understood.named.is_sure else 1.0)
    for fired in understood.tasks:
        key = f"c{tables.tasks[fired.task][0]}"
        if not tables.size(key):
            continue  # nothing in this catalog does it
        share = math.log(tables.count / tables.size(key))
        rarity = min(1.0, share / math.log(max(tables.count, _SMALL) / 12))
        lists.append((key, scale * fired.strength**1.3 * (0.75 + 0.35 * rarity) / 100))
    return lists


def _flat_lists(understood: Understood) -> list[tuple[str, float]]:
    """Return the lists whose cards all gain the same: categories, media, names."""
    sure = _CATEGORY * understood.direction.sure
    lists = [(f"k{category}", sure) for category in understood.direction.categories]
    if not understood.tasks:
        lists += [(f"o{medium}", _MEDIUM) for medium in sorted(understood.direction.media)]
    return lists


def _among(scores: dict[int, float], tables: SearchTables, allowed: int) -> dict[int, float]:
    """Return *scores* of the *allowed* cards; of these every one, up to a bound, has some."""
    flags = allowed.to_bytes((tables.count + 7) // 8, "little")
    kept = {card: score for card, score in scores.items() if flags[card >> 3] >> (card & 7) & 1}
    if allowed.bit_count() <= 2000 or len(kept) < 40:
        left = 2000
        for card in tables.by_prior:
            if flags[card >> 3] >> (card & 7) & 1:
                kept.setdefault(card, 0.0)
                left -= 1
                if not left:
                    break
    return kept


class _Look:
    """A closer look at a card: name, media, language, wishes, variants that nobody asked for."""

    def __init__(self, understood: Understood, tables: SearchTables) -> None:
        self.tables = tables
        self.named = understood.named if understood.named else None
        self.wishes = _without_goals(understood, tables)
        media = understood.direction.media - {"text"}
        self.media = media_bits(media) if not understood.named.is_sure else 0
        self.sorts = _sorts(understood, tables) if understood.named.is_sure else frozenset[int]()
        self.mains = frozenset[int]()
        self.newest = _newest(understood, tables)
        if self.newest or (understood.named.is_sure and understood.named.covered >= 1.0):
            self.mains = frozenset(
                at for at, category in enumerate(tables.categories) if category in _MAIN
            )
        self.trainers = -1
        if understood.named.is_sure and "training" in tables.categories:
            texts = [word.text for word in understood.reading.words]
            if not any(text.startswith(_TRAINS) for text in texts):
                self.trainers = tables.categories.index("training")
        target = understood.direction.target
        self.target = media_bits({target}) if target and understood.direction.sure > 0.6 else 0
        self.strangers = _strangers(understood, tables) if self.target else frozenset[int]()
        asked = _VARIANT_KINDS.intersection([word.text for word in understood.reading.words])
        self.unasked = tables.kind_bits(_VARIANT_KINDS) & ~tables.kind_bits(asked)
        self.tongue = frozenset[int]()
        self.tongues = frozenset[int]()
        if understood.tongue:
            self.tongue = frozenset(tables.cards(f"n{understood.tongue}"))
            self.tongues = frozenset(card for word in _TONGUES for card in tables.cards(f"n{word}"))

    @property
    def most(self) -> float:
        """The most that any card gains by a closer look, or more."""
        if self.named is not None and len(self.named.bearers) >= HEAD:
            return math.inf  # so many that some are only weighed now
        gain = self.wishes.most if self.wishes is not None else 0.0
        gain += _MAIN_GAIN if self.mains else 0.0
        return gain + (_SORT if self.sorts else 0.0) + (_OWN_TONGUE if self.tongues else 0.0)

    def wished(self, worths: Sequence[float], cards: Iterable[int]) -> list[tuple[float, int]]:
        """Return the best of *cards* with their *worths* that keep a wish few cards keep."""
        wishes, tables = self.wishes, self.tables
        keys = [f"f{name}" for name in wishes.features] if wishes is not None else []
        does = 0
        for key in keys:
            if 0 < tables.size(key) <= _FEW_KEEP:
                does |= tables.bits.of(key)
        if not does:
            return []
        found = [
            (worth, card) for worth, card in zip(worths, cards, strict=True) if does >> card & 1
        ]
        found.sort(key=lambda pair: (-pair[0], pair[1]))
        return found[:_FIRST]

    def closely(self, best: Iterable[tuple[float, int]]) -> dict[int, float]:
        """Return the scores of the *best* cards after a closer look at each."""
        tables, named, wishes = self.tables, self.named, self.wishes
        sorts, variants = tables.sorts, tables.variants
        unasked, tongues = self.unasked, self.tongues
        bearers = named.bearers if named is not None else ()
        gains: dict[tuple[int, int, int], float] = {}
        final: dict[int, float] = {}
        for score, card in best:
            kind = sorts[card]
            gain = gains.get(kind)
            if gain is None:
                gain = gains[kind] = self._of_kind(*kind)
            if extra := variants[card] & unasked:
                gain += _VARIANT * extra.bit_count()
            if card in tongues:
                gain += _OWN_TONGUE if card in self.tongue else _OTHER_TONGUE
            if named is not None and card not in bearers:
                gain += named.worth(card, tables)
            if self.newest:
                age = tables.age[card]
                lost = _OLDER * max(0, self.newest - age) if age else _UNDATED
                gain -= min(_OLDEST, lost)
            if wishes is not None:
                gain += wishes.worth(card, tables)
            final[card] = score + gain
        return final

    def _of_kind(self, takes: int, returns: int, category: int) -> float:
        """Return what every card gains or loses that takes and returns these media."""
        gain = 0.0
        if lacks := self.media & ~(takes | returns):
            gain += _LACKS_MEDIUM * lacks.bit_count()
        if self.target:
            if not returns & self.target:
                gain += _WRONG_TARGET
            if category in self.strangers:
                gain += _WRONG_SOURCE
        if category == self.trainers:
            gain += _NOT_TRAINED
        if category in self.sorts:
            gain += _SORT
        if category in self.mains:
            gain += _MAIN_GAIN
        return gain


def _newest(understood: Understood, tables: SearchTables) -> int:
    """Return when the newest card of a name came out, 0 where not the newest of it is wished for.

    A version that no card has is a wish for the newest too. In months, see `SearchTables.age`.
    """
    named = understood.named
    if not named or not (understood.wishes.newest or named.missing):
        return 0
    used = [tables.age[card] for card in named.bearers if not tables.status[card]]
    return max(used, default=0)


def _sorts(understood: Understood, tables: SearchTables) -> frozenset[int]:
    """Return the categories that begin with a medium which is spoken of beside a name."""
    named = understood.named
    media = understood.direction.media - {mark.word for mark in named.parts} - named.inner
    if not media:
        return frozenset()
    return frozenset(at for at, source in enumerate(tables.sources) if source in media)


def _without_goals(understood: Understood, tables: SearchTables) -> Wishes | None:
    """Return the wishes without those that are what the task is about, None where none is left."""
    wishes = understood.wishes
    best = understood.tasks[0].strength if understood.tasks else 0.0
    meant = [one for one in understood.tasks[:2] if one.strength >= _ALSO_MEANT * best]
    goals = {tables.tasks[fired.task][0] for fired in meant}
    if goals & _SIZE_IS_GOAL:
        wishes.height = wishes.size = -1
    if goals & _LENGTH_IS_GOAL:
        wishes.seconds = 0.0
    if goals & _SOUND_IS_GOAL:
        wishes.features = [f for f in wishes.features if f not in ("sound", "silent")]
    if goals & _MASK_IS_GOAL:
        wishes.features = [f for f in wishes.features if f != "mask"]
    return wishes if wishes else None


def _strangers(understood: Understood, tables: SearchTables) -> frozenset[int]:
    """Return the categories that begin with another medium than the one that is given."""
    source = understood.direction.source
    sources = (source, "speech") if source == "audio" else (source,)
    own = understood.direction.categories
    return frozenset(
        at
        for at, (category, begin) in enumerate(zip(tables.categories, tables.sources, strict=True))
        if begin not in sources and category not in own
    )


# Tasks for which a size, a length or sound is the aim and no limit.
_SIZE_IS_GOAL = {
    "i2i.upscale",
    "v2v.upscale",
    "i2i.enhance",
    "v2v.scale",
    "v2v.reframe",
    "v2v.interpolate",
}
_LENGTH_IS_GOAL = {"v2v.trim", "voice.clone", "stt", "v2v.retake", "v2v.extend", "v2v.frames"}
_MASK_IS_GOAL = {"segment", "v.segment"}
_SOUND_IS_GOAL = {
    "v2a",
    "v2a.music",
    "v2v.mux",
    "lipsync",
    "avatar.photo",
    "a2v",
    "musicvideo",
    "dub",
}
_TONGUES = (
    "spanish", "french", "english", "american", "british", "italian", "portuguese", "brazilian",
    "japanese", "mandarin", "hindi",
)  # fmt: skip


def _add_cheapness(final: dict[int, float], understood: Understood, tables: SearchTables) -> None:
    """Let the cheaper of the good candidates gain up to 2.2, by the order of their prices."""
    best = max(final.values(), default=0.0)
    measure = understood.wishes.measure
    priced = [
        (dollars, card)
        for card, score in final.items()
        if score > best - _GOOD and not math.isnan(dollars := measure.dollars(card, tables))
    ]
    priced.sort()
    for place, (_, card) in enumerate(priced):
        final[card] += _CHEAP * (1 - place / len(priced))
