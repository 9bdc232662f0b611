"""Read from a task what voice is wished for, and choose it where a card's own words tell it."""

import re
from collections.abc import Mapping, Sequence
from functools import cache

from catalog.card import ModelCard
from catalog.field_values import choices_of, takes

# What the words of a voice mean, by the words that choices and names of models say it with.
_MEANT: Mapping[str, tuple[str, ...]] = {
    "female": ("female", "woman", "lady"),
    "male": ("male", "man", "gentleman", "oldman"),
    "girl": ("girl",),
    "boy": ("boy",),
    "child": ("child", "kid", "boy", "girl"),
    "old": ("old", "oldman", "elder"),
    "british": ("british", "uk"),
    "american": ("american", "us"),
}
_SAID: Mapping[str, str] = {
    "woman": "female", "women": "female", "lady": "female", "feminine": "female", "man": "male",
    "men": "male", "masculine": "male", "guy": "male", "gentleman": "male", "kid": "child",
    "children": "child", "elderly": "old",
}  # fmt: skip
_WHO = (
    "female|male|feminine|masculine|woman|women|man|men|lady|guy|gentleman|girl|boy|child|children"
    "|kid"
)
_ACCENTS = (
    "british|american|scottish|irish|australian|indian|canadian|welsh|southern|cockney|texan"
    "|english|german|french|spanish|italian|russian|chinese|japanese|korean|arabic|mexican"
    "|brazilian|polish|turkish|dutch|swedish|greek|african|jamaican|new york"
)
_HOW = (
    "young|old|elderly|mature|middle-aged|deep|low|high|high-pitched|soft|warm|calm|raspy|husky"
    "|gentle|cheerful|energetic|robotic|authoritative|friendly|soothing|breathy|whispering|loud"
    "|british|american|scottish|irish|australian|indian|canadian|welsh|southern|cockney|texan"
)
# Inputs that are described to take "British accent" or "male voice" (model pages, 2026); those for
# instructions change the tone of a voice, not whose it is.
_DESCRIBED = ("voice_description",)
# In further languages, as they come when nothing else of a text is known.
_FEMALE = (
    r"\b(?:mit )?weibliche[rn]? stimme\b|\b(?:con |com )?voz fem[ei]nina\b"
    r"|\bvoix (?:feminine|de femme)\b|\bvoce femminile\b|(?<!\w)женск\w+ голос\w*|女声|女性の声"
    r"|여성 목소리|여자 목소리"
)
_MALE = (
    r"\b(?:mit )?mannliche[rn]? stimme\b|\b(?:con |com )?voz masculina\b"
    r"|\bvoix (?:masculine|d'homme)\b|\bvoce maschile\b|(?<!\w)мужск\w+ голос\w*|男声|男性の声"
    r"|남성 목소리|남자 목소리"
)
_READ = ("told", "accent", "who", "name", "female", "male")
_CHOSEN = ("voice", "voice_id", "speaker", "voice_name")


def voice_in(text: str) -> tuple[str, str]:
    """Return the words in *text*, which must be `plain`, that tell of a voice, and it without."""
    said: list[str] = []
    while found := _voice().search(text):
        kept = found["kept"] or ""
        name = next(name for name in _READ if found[name])
        said.append(f"{name} voice" if name in ("female", "male") else found[name])
        text = f"{text[: found.start()]} {kept} {text[found.end() :]}"
    return ", ".join(said), text


def voiced(
    card: ModelCard, voice: str, given: Mapping[str, object]
) -> tuple[Mapping[str, object], Sequence[str]]:
    """Return the field of *card* for a *voice* that is wished for, and why there is none.

    Whether a name is that of a woman or a man is not guessed: only words tell it. Nothing is
    returned where *given* arguments choose a voice.
    """
    if not voice or any("voice" in name or name == "speaker" for name in given):
        return {}, ()
    for name in _DESCRIBED:
        if takes(card, name, voice):
            return {name: voice}, ()
    own = _words(f"{card.endpoint_id} {card.title}")
    wanted = [word for word in _wanted(voice) if not _is_said(word, own)]
    if not wanted:
        return {}, ()
    names = [name for name in _CHOSEN if choices_of(card, name)]
    for name in names:
        for choice in choices_of(card, name):
            if all(_is_said(word, _words(str(choice))) for word in wanted):
                return {name: choice}, ()
    held = next((name for name in (*_CHOSEN, "voice_setting") if name in card.properties), None)
    told = f"no choice of {names[0]} tells it" if names else f"{held} takes a name" if held else ""
    return {}, (f"{voice}: {told or 'it has no field for a voice'}",)


def _wanted(voice: str) -> list[str]:
    words = [re.sub(r"'?s$", "", word) for word in re.findall(r"[a-z'-]+", voice)]
    return [_SAID.get(word, word) for word in words if word not in _NO_WISH]


_NO_WISH = frozenset(("voice", "voiceover", "over", "accent", "speaker", "narrator", "and", "a"))


def _is_said(wanted: str, words: frozenset[str]) -> bool:
    return any(word in words for word in _MEANT.get(wanted, (wanted,)))


@cache
def _words(text: str) -> frozenset[str]:
    return frozenset(re.findall(r"[a-z]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text).lower()))


@cache
def _voice() -> re.Pattern[str]:
    """Match a voice that is told by who speaks, how, with what accent, or by its name."""
    who, how = rf"(?:{_WHO})(?:'?s|s')?", f"(?:{_HOW})"
    lead = r"(?:\b(?:with|in|using|by) )?(?:\b(?:an?|the) )?"
    spoken = r"(?:voice(?:[ -]?overs?)?|voices|speaker|narrator)"
    not_given = "".join(f"(?<!{word} )" for word in ("my", "this", "his", "her", "your", "our"))
    reads = r"(?:read|spoken|narrated|voiced|said)(?: aloud| out loud)?"
    return re.compile(
        rf"{lead}\b{not_given}(?P<told>(?:(?:{who}|{how})[\s,]+(?:and )?)+{spoken})\b"
        rf"|(?P<female>{_FEMALE})|(?P<male>{_MALE})"
        rf"|{lead}\b(?P<accent>(?:{how} )*(?:{_ACCENTS}) accent)\b"
        rf"|\b(?P<kept>{reads})\s+by (?:an? |the )?(?P<who>(?:{how}[\s,]+)*{who})(?!\w)"
        r"|\b(?:with|in|using) (?:the )?voice (?:called |named )?(?P<name>"
        r"(?!over|of|clon|chang|that|which|like|and|or|in|from|to|for|design)[a-z]{3,})\b"
    )
