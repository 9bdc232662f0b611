"""Understand one step of a query: its tasks, media, name, wishes and the words to look for."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from catalog.search_direction import Direction, direction_of
from catalog.search_frame import SURE_ROLE, Frame, frame_of
from catalog.search_learned import Learned, Likely
from catalog.search_measure import Measure
from catalog.search_names import Named, named_in
from catalog.search_operations import operations_in, outside_in, tasks_of
from catalog.search_reading import MENDED, Fired, Lexicon, Reading
from catalog.search_tables import PICTURE, SearchTables
from catalog.search_text import stem, word_parts
from catalog.search_weighing import (
    DAMPED,
    NOWHERE,
    SURE_TASK,
    UNTOLD,
    Heard,
    media_fit,
    together,
    weighed,
    with_likely,
)
from catalog.search_wishes import Wishes, wishes_in

# Words count less once a task is sure, ordinary ones least ("cat" is in the name of a model).
_BESIDE_TASK, _ORDINARY = 0.6, 0.2
_MOST_TERMS = 14
# A medium is in the names of many cards, and says nothing beside a sure task.
_NAMES_MEDIUM = 0.2
_MEDIA_WORDS = frozenset({"text", "image", "video", "audio", "sound", "music", "voice", "model"})
# Words rarer than this many cards' worth of bits count; commoner ones say nothing.
_TOO_COMMON = 0.35
# In so few words a phrase says more than all words together.
_SHORT = 3
# What the other ways to train are worth where a model that is to be trained is named, and where
# what it is to learn from is said.
_SIBLING, _OTHER_KIND, _LIKELY_ENOUGH = 0.85, 0.5, 0.5
# From this share on all words together are sure of a task, or that none is meant.
_SURE_SHARE, _SURE_NOTHING = 0.8, 0.8
# From how likely none is meant on this is believed, where the best task is less likely than so.
_FOREIGN = ((0.4, 1.1), (0.17, 0.6), (0.08, 0.1))
# A name that fewer cards bear stands for itself.
_KNOWN_NAME = 8
# From this share of a query on a name is what is asked for.
_HALF = 0.5
_TOLD = 0.9
# Words by which something else than the model that is named is asked for.
_INSTEAD_LISTED = (
    "alternative alternatives successor successors replacement substitute instead gone retired"
    " deprecated discontinued offline removed newer dead replaces replaced ersatz nachfolger"
)
_INSTEAD = frozenset(_INSTEAD_LISTED.split())
_ID = re.compile(r"(?:^|\s|\()[a-z][\w.-]*-ai/|(?:^|\s|\()[\w.-]*\d?/[\w.-]*(?:\d|/[a-z])")
# Below this the media alone say what is mostly meant, this strongly.
_WEAK, _USUAL_STRENGTH = 0.65, 0.65


@dataclass(slots=True, eq=False)
class Understood:
    """One step of a query, read in every respect."""

    reading: Reading
    direction: Direction
    named: Named
    wishes: Wishes
    tasks: list[Fired]
    tongue: str = ""
    frame: Frame = field(default_factory=Frame)
    is_told: bool = False
    outside: tuple[bool, bool] = (False, False)
    is_instead: bool = False  # something in the place of a model that is gone is asked for
    likely: Likely = field(default_factory=Likely)
    terms: list[tuple[str, float]] = field(default_factory=list[tuple[str, float]])

    @property
    def is_foreign(self) -> bool:
        """Whether all words together tell that no model does what is asked for."""
        best = self.likely.tasks[0][1] if self.likely.tasks else 1.0
        nothing = self.likely.nothing
        told = any(one.strength >= SURE_TASK for one in self.reading.tasks.values())
        if self.named or self.is_instead or self.wishes.is_of_models:
            return False
        if told and len(self.reading.words) <= _SHORT:
            return nothing >= _SURE_NOTHING
        return any(nothing >= least and best < most for least, most in _FOREIGN)

    @property
    def is_surely_meant(self) -> bool:
        """Whether all words together leave no doubt which task of models is meant."""
        likely = self.likely
        return bool(likely.tasks) and likely.tasks[0][1] >= 0.9 and likely.nothing < 0.01

    @property
    def is_meant(self) -> bool:
        """Whether all words together tell that a task of models is meant."""
        likely = self.likely
        return bool(likely.tasks) and likely.tasks[0][1] >= 0.4 and likely.nothing < 0.08

    def product(self, tables: SearchTables) -> str:
        """Return in a word what a step like this makes, empty where that is not known."""
        if self.direction.target:
            return _PRODUCTS[self.direction.target]
        if not self.tasks:
            return ""
        prefix = tables.tasks[self.tasks[0].task][0].split(".")[0]
        return _PRODUCTS.get(_TASK_MAKES.get(prefix, ""), "")


_PICTURES = ("", "image")
_PRODUCTS = {
    "lora": "lora",
    "image": "image",
    "video": "video",
    "audio": "audio",
    "3d": "3d mesh",
    "text": "text",
}
_TASK_MAKES = {
    "train": "lora",
    "t2i": "image", "i2i": "image", "t2v": "video", "i2v": "video", "v2v": "video",
    "ref2v": "video", "avatar": "video", "lipsync": "video", "motion": "video",
    "tts": "audio", "voice": "audio", "music": "audio", "sfx": "audio", "audioclean": "audio",
    "stems": "audio", "i2m": "3d", "t2m": "3d", "m": "3d", "stt": "text", "llm": "text",
    "ocr": "text", "caption": "text",
}  # fmt: skip


def understand(
    query: str, lexicon: Lexicon, tables: SearchTables, learned: Learned | None = None
) -> Understood:
    """Return what *query* asks for; what was *learned* from examples joins in, if given."""
    reading = lexicon.read(query)
    named = named_in(reading, lexicon, tables)
    direction = direction_of(reading, lexicon)
    frame = frame_of(reading, direction, lexicon)
    if len(frame.given) > 1 and {direction.source, direction.target} <= frame.given:
        direction = direction._replace(source=direction.target)  # a recording may be a video
        frame = frame._replace(given=frozenset({direction.target}))
    names = frozenset(mark.word for mark in named.parts)
    operations = operations_in(reading, lexicon, names)
    told = [] if _holds_id(reading.text) else tasks_of(operations, frame, lexicon)
    spoken = _spoken(reading, named, frame, tables)
    understood = Understood(
        reading,
        direction,
        named,
        wishes_in(reading, lexicon),
        together(weighed(spoken, lexicon), told, lexicon),
        frame=frame,
    )
    if understood.tasks and _trains(understood.tasks[0], tables):
        understood.direction = Direction(media=direction.media)
    weak = not understood.tasks or understood.tasks[0].strength < _WEAK
    if weak and not named.is_sure:
        known = {one.task for one in understood.tasks}
        usual = _usual(frame, understood, tables)
        understood.tasks += [one for one in usual if one.task not in known]
    if learned is not None and named.covered < 1.0 and not _holds_id(reading.text):
        understood.likely = learned.likely(reading, frame)
        understood.tasks = with_likely(
            understood.tasks,
            Heard(understood.likely, frame, "fixed camera" in understood.wishes.features),
            tables,
            lexicon,
        )
    _settle(understood, tables)
    named = understood.named
    understood.outside = outside_in(reading, lexicon)
    understood.is_told = any(
        one.evidence >= _TOLD and not (one.lone and frame.is_empty) for one in operations[:1]
    )
    if understood.direction.source == "text" and understood.direction.sure > 0.6:
        understood.tasks = _from_text(understood, tables)
    understood.tongue = _tongue(reading, lexicon)
    understood.terms = _terms(reading, lexicon, named, understood.tasks, tables)
    if named.is_sure and (gone := _gone(named, tables)):
        _look_for_living(understood, gone, tables)
    return understood


def _holds_id(text: str) -> bool:
    """Whether *text* holds an endpoint id, other than words such as "start/end frame"."""
    return "/" in text and (" " not in text.strip() or _ID.search(text) is not None)


def _spoken(reading: Reading, named: Named, frame: Frame, tables: SearchTables) -> list[Fired]:
    """Return the tasks that phrases speak of, weaker where the media or a name tell otherwise."""
    spoken: list[Fired] = []
    name_units = _name_units(reading, named)
    for one in reading.tasks.values():
        fit = media_fit(tables.tasks[one.task][0], frame, tables)
        if one.units & name_units:
            fit *= DAMPED
        spoken.append(one if fit == 1 else one._replace(strength=one.strength * fit))
    return spoken


def _settle(understood: Understood, tables: SearchTables) -> None:
    """Let name, kinds and price be read as the tasks demand."""
    named = understood.named
    _put_training_first(understood, tables)
    if understood.tasks and _trains(understood.tasks[0], tables, _LIKELY_ENOUGH):
        _train_any(understood, tables)
    if named and not named.is_sure and _is_beside(understood, tables):
        understood.named = Named()
    if understood.wishes.measure.kind == PICTURE and understood.product(tables) not in _PICTURES:
        understood.wishes.measure = Measure()  # "a 3D model of one photo" is none for a picture


def _put_training_first(understood: Understood, tables: SearchTables) -> None:
    """Let what is to be learned be no task of its own where the first word is to train."""
    words = understood.reading.words
    if not words or words[0].text not in _TRAINS or understood.is_foreign:
        return
    if len(words) <= _SHORT or not understood.tasks:
        return  # "train timetable"
    top = understood.tasks[0].strength
    trains = [one for one in understood.tasks if _trains(one, tables, 0.0)]
    if trains:
        others = [one for one in understood.tasks if one not in trains]
        understood.tasks = [
            *(one._replace(strength=top * one.strength / trains[0].strength) for one in trains),
            *(one._replace(strength=DAMPED * one.strength) for one in others),
        ]


def _gone(named: Named, tables: SearchTables) -> list[int]:
    """Return the cards that bear the whole name if all of them are retired, else nothing."""
    marks = [*named.parts, *named.versions]
    whole = [card for card in sorted(named.bearers) if all(mark.on(card) for mark in marks)]
    return [] if any(not tables.status[card] for card in whole) else whole


def _look_for_living(understood: Understood, gone: Sequence[int], tables: SearchTables) -> None:
    """Let what the retired cards *gone* did be meant too; alone where something else is wanted."""
    categories = Counter(tables.categories[tables.category[card]] for card in gone)
    best = min(categories, key=lambda category: (-categories[category], category))
    source, _, target = best.partition("-to-")
    number = next(
        (n for n, (name, _) in enumerate(tables.tasks) if name == _USUAL.get((source, target))), -1
    )
    if number >= 0 and all(one.task != number for one in understood.tasks):
        understood.tasks.append(Fired(number, SURE_TASK, NOWHERE))
    if _INSTEAD.isdisjoint(word.text for word in understood.reading.words):
        return
    if number >= 0 and understood.frame.is_empty:
        understood.tasks = [Fired(number, 1.0, NOWHERE)]  # "instead" speaks of no edit here
    names = {mark.word for mark in (*understood.named.parts, *understood.named.versions)}
    understood.terms = [one for one in understood.terms if one[0][1:] not in names]
    understood.named = Named()
    understood.is_told = understood.is_instead = True


def _tongue(reading: Reading, lexicon: Lexicon) -> str:
    """Return the language that is spoken of last, empty where none is."""
    names = (lexicon.senses[sense] for sense in reading.senses)
    return next(reversed([name[1:] for name in names if name[0] == "~"]), "")


def _trains(fired: Fired, tables: SearchTables, least: float = SURE_TASK) -> bool:
    """Whether a model is to be trained, so that the media spoken of are those it learns from."""
    return fired.strength >= least and tables.tasks[fired.task][0].startswith("train")


def _train_any(understood: Understood, tables: SearchTables) -> None:
    """Let no model be meant that runs what others trained, but whatever trains the one named."""
    wishes, named = understood.wishes, understood.named
    wishes.features = []  # they tell of what is trained, as "end frame" does
    kinds = understood.frame.spoken - UNTOLD
    best = understood.tasks[0]
    if len(kinds) == 1 and (task := _TRAINS_ON.get(min(kinds))):
        number = tables.task_numbers[task]
        others = [one for one in understood.tasks if one.task != number]
        understood.tasks = [
            best._replace(task=number),  # what it learns from tells which
            *(
                one._replace(strength=min(one.strength, _OTHER_KIND * best.strength))
                for one in others
            ),
        ]
    named.kinds = [mark for mark in named.kinds if mark.word not in _KINDS_OF_DEED]
    if not named.versions:
        return
    known = {one.task for one in understood.tasks}
    understood.tasks += [
        Fired(at, _SIBLING * best.strength, best.units)
        for at, (task, _) in enumerate(tables.tasks)
        if task.startswith("train") and at not in known
    ]


def _is_beside(understood: Understood, tables: SearchTables) -> bool:
    """Whether what is surely meant is done by no card that bears the name."""
    tasks, likely, named = understood.tasks, dict(understood.likely.tasks), understood.named
    if (
        named.covered >= _HALF
        or len(named.bearers) < _KNOWN_NAME
        or not tasks
        or tasks[0].strength < SURE_TASK
        or likely.get(tasks[0].task, 0.0) < _SURE_SHARE
    ):
        return False
    does = tables.bits.of(f"c{tables.tasks[tasks[0].task][0]}")
    return not any(does >> card & 1 for card in named.bearers)


def _name_units(reading: Reading, named: Named) -> set[int]:
    """Return the places of words that are parts of a name with a version."""
    if not named.versions:
        return set()
    names = {mark.word for mark in named.parts} - _KINDS_OF_DEED
    return {w.unit for w in reading.words if not names.isdisjoint(word_parts(w.text))}


def _usual(frame: Frame, understood: Understood, tables: SearchTables) -> list[Fired]:
    """Return what people mostly mean by these media where words tell no task."""
    if frame.wanted_sure < SURE_ROLE and frame.given_sure < SURE_ROLE:
        return []
    given = frame.given if frame.given_sure >= SURE_ROLE else frozenset({""})
    wanted = frame.wanted if frame.wanted_sure >= SURE_ROLE else frozenset({""})
    names = [task for (one, other), task in _USUAL.items() if one in given and other in wanted]
    units = frozenset(word.unit for word in understood.reading.words)
    return [Fired(tables.task_numbers[name], _USUAL_STRENGTH, units) for name in names[:2]]


_KINDS_OF_DEED = {"lora"}
_TRAINS = {"train", "training", "teach", "finetune", "fine-tune", "fine"}
# Of the trainings on pictures, words must tell which.
_TRAINS_ON = {"video": "train.video", "audio": "train.audio", "3d": "train.mesh"}
_USUAL = {
    ("", "image"): "t2i", ("text", "image"): "t2i", ("image", "image"): "i2i.edit",
    ("", "video"): "t2v", ("text", "video"): "t2v", ("image", "video"): "i2v",
    ("video", "video"): "v2v.edit", ("image", ""): "i2i.edit", ("video", ""): "v2v.edit",
    ("", "3d"): "t2m", ("text", "3d"): "t2m", ("image", "3d"): "i2m",
    ("audio", "text"): "stt", ("video", "text"): "videoqa", ("image", "text"): "caption",
    ("text", "audio"): "tts", ("audio", "video"): "a2v", ("video", "audio"): "v2a",
    ("audio", "audio"): "a2a.transform", ("video", "image"): "v2v.frames",
}  # fmt: skip


def _from_text(understood: Understood, tables: SearchTables) -> list[Fired]:
    """Return the tasks, weakened where they need media though only text is given."""
    kept: list[Fired] = []
    cards = 0
    for category in understood.direction.categories:
        cards |= tables.bits.of(f"k{category}")
    for fired in understood.tasks:
        task = tables.tasks[fired.task][0]
        does = tables.bits.of(f"c{task}")
        share = (does & cards).bit_count() / does.bit_count()
        if share < 0.2 and not task.startswith(("train", "llm", "prompter", "m.")):
            fired = Fired(fired.task, fired.strength * DAMPED, fired.units)
        kept.append(fired)
    return sorted(kept, key=lambda f: (-f.strength, f.task))


def _terms(
    reading: Reading, lexicon: Lexicon, named: Named, tasks: list[Fired], tables: SearchTables
) -> list[tuple[str, float]]:
    """Return the words to look for in cards with their weights, each once."""
    names = {mark.word for mark in named.parts}
    sure = any(fired.strength >= SURE_TASK for fired in tasks)
    found: dict[str, float] = {}
    for word in reading.words[:40]:
        if word.text in lexicon.stop:
            continue
        for part in word_parts(word.text):
            key = stem(part)
            weight = MENDED if word.given else 1.0
            if sure:
                weight *= _ORDINARY if word.text in lexicon.common else _BESIDE_TASK
                if word.text in lexicon.media or word.text in _MEDIA_WORDS:
                    weight *= _NAMES_MEDIUM
            if part in names:
                weight = 0.8  # the name is weighed by itself
            if part.isdigit():
                weight = 0.2
            size = tables.size(f"t{key}")
            if size and size < _TOO_COMMON * tables.count:
                found.setdefault(f"t{key}", weight)
    return list(found.items())[:_MOST_TERMS]
