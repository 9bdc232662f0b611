"""Choose a model for a task by what is known of the candidates, and say why."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Literal, get_args

from catalog.asked import Asked
from catalog.asked_beside import asked_beside
from catalog.asked_limit import names_money
from catalog.asked_voice import voiced
from catalog.candidates import Ids, asked_of, candidates
from catalog.card import ModelCard
from catalog.errors import ActionableError, ArgumentsError
from catalog.granting import granted, usual_length
from catalog.index import CatalogIndex
from catalog.nearest import media_meant
from catalog.operations import operation_meant
from catalog.pricing import estimate
from catalog.saying import shown
from catalog.schema import check
from catalog.search import MOST_HITS
from catalog.search_text import plain

Preference = Literal["", "popular", "cheap", "fast", "newest"]
PREFERENCES: tuple[str, ...] = tuple(word for word in get_args(Preference) if word)

# Names of media that say no more than their kind.
_NAMES_LISTED = "image image_url input_image picture photo img video video_url input_video clip"
_MEDIA_NAMES = frozenset([*_NAMES_LISTED.split(), "audio", "audio_url", "input_audio", "sound"])
_WORKS_ON_MEDIA = ("image-", "video-", "audio-", "speech-", "3d-")
_HOLDS_MEDIA = ("_url", "_urls", "_image", "_images", "_video", "_videos", "_audio")
_GIVEN = {
    "image": ("an image", "image_url"), "audio": ("sound", "audio_url"),
    "speech": ("sound", "audio_url"), "3d": ("a 3D model", "model_mesh_url"),
}  # fmt: skip
_LISTS = frozenset(("images", "image_urls", "pictures", "photos", "videos", "video_urls", "clips"))
_OTHERWISE = {
    "cheapest": "cheap", "cheaper": "cheap", "fastest": "fast", "quick": "fast", "new": "newest",
    "latest": "newest", "most popular": "popular", "most used": "popular",
}  # fmt: skip
# Only the best ranked of a task are weighed against each other.
CANDIDATES = 24
# Where none of them keeps what a task asks, so many are looked through.
_WIDEST = 160
# fal publishes no speeds; a maker's own word for its fast variant is the best sign there is.
FAST_WORDS = ("schnell", "turbo", "fast", "flash", "lightning", "speed", "lite")


class _UnkeptError(ActionableError):
    """No card that takes the arguments keeps all that the task asks of the run."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the chosen model is to be asked; *most* are dollars, None where there is no limit."""

    arguments: Mapping[str, object] = field(default_factory=dict[str, object])
    prompt: str = ""
    most: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    """A chosen card, and the reason in a few words.

    *fields* are arguments that words of task and prompt stand for; *notes* tell of them, and of
    media that were given under another name. *arguments* are all that is to be sent, *most* the
    dollars that they may cost, None where the task names no limit.
    """

    card: ModelCard
    why: str
    fields: Mapping[str, object]
    notes: tuple[str, ...]
    arguments: Mapping[str, object]
    most: Decimal | None = None


@dataclass(frozen=True, slots=True)
class _Fit:
    """A card that takes what is wanted, and its price where that is known.

    *fields* are sent with it, *lacks* what the prompt says of the run and the card cannot.
    """

    card: ModelCard
    high: Decimal | None
    fields: Mapping[str, object]
    lacks: tuple[str, ...]
    notes: tuple[str, ...]
    arguments: Mapping[str, object]


def choose(catalog: CatalogIndex, task: str, prefer: str, wanted: Wanted) -> Choice:
    """Return the best card for *task* by *prefer*, among those that can do what is wanted.

    *task* is a category, or what is to be made in any words (``music``, ``a talking video``). It
    may name features that a search knows (``text-to-video with sound``) and settings of the run
    (``in 4k, 10 seconds, vertical``), which are put into the card's fields for them; so is what
    the prompt plainly says of the run. A card serves when it takes every argument under its name,
    has nothing else to ask for and keeps every setting of the task; of those, one of known price
    within the limit comes before the others. Lengths and sizes of given media are not looked at.

    Raises:
        ActionableError: no such task, feature or preference, or no card with these features, or
            none that keeps the settings.
        ArgumentsError: no candidate takes the arguments; the problems are those of the first.
    """
    prefer = _OTHERWISE.get(prefer.strip().lower(), prefer.strip().lower())
    if prefer and prefer not in PREFERENCES:
        raise ActionableError(
            f"prefer is {prefer[:40]!r}", hint=f"it takes {', '.join(PREFERENCES)}"
        )
    asked = asked_of(catalog, task)
    wanted = _limited(wanted, task, asked)
    name, ids = candidates(catalog, task, asked)
    _check_given(name, wanted.arguments)
    operation = operation_meant(asked.rest)
    widths = (CANDIDATES, _WIDEST) if name else (CANDIDATES if operation else MOST_HITS,)
    if prefer == "cheap" and name:
        widths = (_WIDEST,)  # the cheapest is seldom among the most used
    try:
        cards, fits = _best(catalog, (name or repr(task[:60]), ids, widths), wanted, prefer, asked)
    except ArgumentsError:
        if operation is None:
            raise
        raise ActionableError(
            f"task {task[:60]!r} changes media and does not make any of these arguments",
            hint=f'call edit with {{"operation":"{operation}","media":…}}; nothing was sent',
        ) from None
    if asked.dollars is not None and not any(_within(fit, wanted) for fit in fits):
        raise ActionableError(
            f"no model found for this task is known to cost at most ${asked.dollars:g}",
            hint=f"the nearest, {_cheapest(fits)[0].card.endpoint_id}, costs "
            f"{_price(_cheapest(fits)[0])}; nothing was sent",
        )
    match prefer:
        case "cheap":
            fit, why = _cheapest(fits)
        case "fast":
            fit, why = _fastest(fits)
        case "newest":
            fit, why = _newest(name, fits) or _popular(name, cards, fits, wanted)
        case _:
            fit, why = _popular(name, cards, fits, wanted)
    notes = (*fit.notes, *_names_told(wanted.arguments, fit.arguments))
    most = None if asked.dollars is None else wanted.most
    return Choice(fit.card, why, fit.fields, notes, fit.arguments, most)


def _check_given(category: str, arguments: Mapping[str, object]) -> None:
    """Refuse to choose among models of *category*, which work on media, where none are given.

    Raises:
        ActionableError: none are.
    """
    medium = category.partition("-to-")[0]
    if not category.startswith(_WORKS_ON_MEDIA) or any(
        media_meant(name) or name.endswith(_HOLDS_MEDIA) for name in arguments
    ):
        return
    what, field = _GIVEN.get(medium, (f"a {medium}", f"{medium}_url"))
    raise ActionableError(
        f"task {category} works on {what}, and none is given",
        hint=f'give it, as in arguments {{"{field}": "a path, URL or job id"}}; nothing was sent',
    )


def _best(
    catalog: CatalogIndex,
    found: tuple[str, Ids, Sequence[int]],
    wanted: Wanted,
    prefer: str,
    asked: Asked,
) -> tuple[list[ModelCard], list[_Fit]]:
    """Return the cards that are weighed, and those that fit; more of them where few keep a wish.

    *found* are a name for the task, the ids for it, and how many of them are looked at in turn.

    Raises:
        ArgumentsError: none takes the arguments.
        ActionableError: there is none in use, or none that keeps what the task asks.
    """
    name, ids, widths = found
    beside = asked_beside(plain(wanted.prompt))
    brings_media = any(media_meant(given) for given in wanted.arguments)
    for most in widths:
        listed = ids(most)
        cards = [catalog.get(endpoint_id) for endpoint_id in listed]
        cards = [card for card in cards if card.status == "active" and not card.seed_only]
        if not brings_media:  # where a picture is optional, one was still meant to be given
            cards.sort(key=lambda card: card.category.startswith(_WORKS_ON_MEDIA))
        is_last = most == widths[-1] or len(listed) < most
        try:
            fits = _fits(cards, wanted, prefer, (asked, beside)) if cards else []
        except _UnkeptError:
            if is_last:
                raise
            continue
        if fits and (is_last or any(_within(fit, wanted) for fit in fits)):
            return cards, fits
    raise ActionableError(
        f"no model of {name} is in use", hint="search_models finds what does something like it"
    )


def _names_told(given: Mapping[str, object], sent: Mapping[str, object]) -> Iterator[str]:
    """Yield under which names of the model media are sent that were given under others."""
    for name, value in given.items():
        if name not in sent:
            yield f"{name}: given as {next(own for own, held in sent.items() if held is value)}"


def _limited(wanted: Wanted, task: str, asked: Asked) -> Wanted:
    """Return *wanted* with the lower of its limit and the one that the task names.

    Raises:
        ActionableError: the task allows nothing, or names money in a way that is not understood.
    """
    if asked.dollars is None:
        if named := names_money(plain(task, len(task))):
            raise ActionableError(
                f"task names an amount, {named[:40]!r}, that is not understood as a limit",
                hint="give max_dollars, and leave the amount out of task; nothing was sent",
            )
        return wanted
    if asked.dollars <= 0:
        raise ActionableError(
            f"a limit of ${asked.dollars:g} leaves no model: each costs something",
            hint="give an amount above 0, or none",
        )
    most = Decimal(str(asked.dollars))
    return replace(wanted, most=most if wanted.most is None else min(most, wanted.most))


def _price(fit: _Fit) -> str:
    return "what is not known" if fit.high is None else f"${fit.high:f}"


def _fits(
    cards: Sequence[ModelCard], wanted: Wanted, prefer: str, asked: tuple[Asked, Asked]
) -> list[_Fit]:
    """Return those of *cards* that fit what is *asked* by the task, and best what the prompt says.

    Raises:
        ArgumentsError: none takes the arguments.
        ActionableError: none keeps what the task asks.
    """
    given = [wanted.arguments for _ in cards]
    try:
        fitting = _fitting(cards, given, wanted.prompt, asked)
        first = next(fitting)
    except ArgumentsError:
        given = [_renamed(card, wanted.arguments) for card in cards]
        if all(one == wanted.arguments for one in given):
            raise
        fitting = _fitting(cards, given, wanted.prompt, asked)
        first = next(fitting)
    if not prefer and wanted.most is None and not asked[1]:
        return [first]  # the rest need no look
    fits = [first, *fitting]
    least = min(len(fit.lacks) for fit in fits)
    fits = [fit for fit in fits if len(fit.lacks) == least]
    return [fit for fit in fits if _within(fit, wanted)] or fits


def _renamed(card: ModelCard, arguments: Mapping[str, object]) -> Mapping[str, object]:
    """Return *arguments* with media under the card's name for them, where there is one such input.

    Whoever names a task cannot know what the model that is chosen calls its picture.
    """
    named: dict[str, object] = {}
    for name, value in arguments.items():
        is_list = isinstance(value, list)
        plain_name = name in (_LISTS if is_list else _MEDIA_NAMES) and name not in card.properties
        kind = media_meant(name) if plain_name and isinstance(value, str | list) else ""
        of_kind = [
            held
            for held, taken in card.media_in.items()
            if taken == kind and (card.properties[held].get("type") == "array") == is_list
        ]
        usual = [held for held in of_kind if held in (f"{kind}_url", f"{kind}_urls")]
        needed = usual or [held for held in of_kind if held in card.required] or of_kind
        named[needed[0] if kind and len(needed) == 1 else name] = value
    return named if len(named) == len(arguments) else arguments


def _fitting(
    cards: Sequence[ModelCard],
    given: Sequence[Mapping[str, object]],
    prompt: str,
    wishes: tuple[Asked, Asked],
) -> Iterator[_Fit]:
    """Yield those of *cards* that take what is *given* to each and keep what the task asks.

    *wishes* are those of the task and of the prompt. At least one is yielded.

    Raises:
        ArgumentsError: none takes what is given.
        ActionableError: none of those that do keeps all that is asked.
    """
    first: ArgumentsError | None = None
    short: tuple[ModelCard, Sequence[str]] | None = None
    found = False
    for card, arguments in zip(cards, given, strict=True):
        must = granted(card, wishes[0], arguments)
        may = granted(card, wishes[1], {**arguments, **must.fields})
        usual = usual_length(card, {**arguments, **may.fields, **must.fields})
        # Few models tell their voices in words, so one that is wished for decides no choice.
        spoken, silent = voiced(card, wishes[0].voice, arguments)
        fields = {**usual, **may.fields, **must.fields, **spoken}
        try:
            checked = check(card, {**fields, **arguments}, prompt=prompt)
        except ArgumentsError as problem:
            first = first or problem
            continue
        # A card of which little is known lets strange names pass; that is no reason to choose it.
        if not all(name in card.properties for name in checked.arguments):
            continue
        if must.unmet:
            if short is None or len(must.unmet) < len(short[1]):
                short = card, must.unmet
            continue
        found = True
        high = estimate(card, checked.arguments).high
        notes = tuple(_notes(fields, usual, (*may.unmet, *silent)))
        yield _Fit(card, high, fields, may.unmet, notes, {**fields, **arguments})
    if found:
        return
    if short is not None:
        raise _UnkeptError(
            f"no model found for this task keeps all it asks for; the nearest, "
            f"{short[0].endpoint_id}, cannot: {'; '.join(short[1])}",
            hint="leave that out of task, or name a model by endpoint_id; nothing was sent",
        )
    raise first or ActionableError(
        "no model of this task is known to take these arguments",
        hint="name one with endpoint_id; search_models finds it",
    )


def _notes(
    fields: Mapping[str, object], usual: Mapping[str, object], lacks: Sequence[str]
) -> Iterator[str]:
    """Yield what a caller should know of settings that words led to."""
    if asked := [f"{name}={_said(value)}" for name, value in fields.items() if name not in usual]:
        yield f"set as asked: {', '.join(asked)}"
    for name, value in usual.items():
        yield f"{name}={_said(value)} was set, else the model chooses how long"
    for lack in lacks:
        yield f"not kept: {lack}"


def _said(value: object) -> str:
    return value if isinstance(value, str) else shown(value)


def _within(fit: _Fit, wanted: Wanted) -> bool:
    return wanted.most is None or (fit.high is not None and fit.high <= wanted.most)


def _popular(
    name: str, cards: Sequence[ModelCard], fits: Sequence[_Fit], wanted: Wanted
) -> tuple[_Fit, str]:
    card = fits[0].card
    why = f"the first for {card.category} that a search finds for this task"
    if name:
        why = f"the most used for {name} in fal's own list"
    if card is not cards[0]:
        limit = "" if wanted.most is None else f" within ${float(wanted.most):g}"
        why += f" {'that' if name else 'and that'} takes these arguments{limit}"
    return fits[0], why


def _newest(name: str, fits: Sequence[_Fit]) -> tuple[_Fit, str] | None:
    newest = max(fits, key=lambda fit: fit.card.published or "")
    day = newest.card.published
    return (newest, f"newest of {name or 'these'}, published {day}") if day else None


def _cheapest(fits: Sequence[_Fit]) -> tuple[_Fit, str]:
    priced = [(fit.high, place) for place, fit in enumerate(fits) if fit.high is not None]
    if not priced:
        return fits[0], "no price is known here, so the most used"
    dollars, place = min(priced)
    return (
        fits[place],
        f"cheapest of {len(priced)} that take these arguments and have a known price, ${dollars:f}",
    )


def _fastest(fits: Sequence[_Fit]) -> tuple[_Fit, str]:
    for fit in fits:
        if any(word in fit.card.endpoint_id for word in FAST_WORDS):
            return fit, "speed is not measured; the most used whose maker calls it fast"
    return fits[0], "speed is not measured; the most used"
