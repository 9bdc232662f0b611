"""What the words of a prompt wish for in a picture: colours, a place, an hour, weather, things, a style."""

import re
from dataclasses import dataclass

Colour = tuple[int, int, int]

COLOURS: dict[str, Colour] = {
    "red": (214, 48, 49), "crimson": (178, 24, 52), "scarlet": (226, 46, 26), "ruby": (170, 20, 60),
    "orange": (242, 132, 34), "amber": (245, 170, 40), "yellow": (247, 205, 60), "gold": (222, 174, 66),
    "golden": (230, 180, 70), "lemon": (250, 224, 84), "green": (62, 150, 84), "emerald": (24, 140, 98),
    "lime": (150, 206, 62), "olive": (122, 128, 58), "mint": (152, 220, 186), "teal": (24, 140, 142),
    "turquoise": (54, 192, 190), "cyan": (60, 200, 224), "blue": (46, 108, 208), "azure": (66, 150, 232),
    "navy": (26, 42, 96), "indigo": (72, 62, 170), "purple": (128, 72, 180), "violet": (142, 92, 206),
    "lavender": (184, 164, 226), "magenta": (206, 52, 150), "pink": (242, 138, 176), "rose": (226, 100, 128),
    "coral": (246, 124, 100), "peach": (250, 182, 144), "brown": (126, 84, 56), "chocolate": (92, 58, 40),
    "beige": (224, 206, 176), "cream": (246, 236, 214), "white": (244, 244, 242), "silver": (190, 196, 204),
    "gray": (136, 140, 146), "grey": (136, 140, 146), "black": (30, 30, 36), "copper": (190, 112, 70),
}  # fmt: skip

PLACES: dict[str, str] = {
    "sea": "sea ocean beach coast coastline lake river wave island harbour harbor shore bay lagoon fjord surf boat ship sailboat lighthouse meer see strand",
    "city": "city skyline town street building skyscraper tokyo york london paris berlin urban cyberpunk downtown metropolis alley shop market car taxi stadt",
    "forest": "forest wood jungle tree park pine fox deer owl bear mushroom rainforest grove wald",
    "mountain": "mountain alp hill peak valley volcano canyon cliff castle hiker everest summit highland berg",
    "desert": "desert dune sahara mars sand camel mesa cactus oasis",
    "space": "space galaxy planet nebula cosmos universe astronaut rocket spaceship saturn orbit asteroid weltraum",
    "meadow": "meadow field grass garden flower farm spring tulip lavender sunflower cow sheep horse countryside village house cottage windmill vineyard picnic wiese",
    "studio": "studio product portrait room interior table kitchen headshot bottle perfume watch shoe sneaker cosmetic cup coffee tea mug person woman man girl boy face model avatar logo icon cake apple fruit robot toy chair sofa desk lamp book",
    "underwater": "underwater reef coral fish shark whale dolphin jellyfish octopus turtle aquarium diver mermaid",
    "sky": "sky cloud balloon airplane plane bird eagle kite heaven flight",
    "snow": "snow winter ice arctic glacier polar penguin igloo ski sled christmas frozen schnee",
}
HOURS: dict[str, str] = {
    "night": "night midnight moon moonlit moonlight star starry dark nocturnal neon cyberpunk aurora nacht noir",
    "sunset": "sunset dusk evening twilight golden sundown autumn warm abend",
    "dawn": "dawn sunrise morning daybreak pastel spring dreamy morgen",
    "day": "day noon sunny bright summer daylight clear",
}
WEATHERS: dict[str, str] = {
    "rain": "rain rainy storm stormy thunderstorm drizzle wet regen",
    "snow": "snow snowy blizzard snowfall snowing snowflake",
    "fog": "fog foggy mist misty haze hazy smoke nebel",
}
THINGS: dict[str, str] = {
    "cat": "cat kitten kitty tabby katze", "dog": "dog puppy fox wolf corgi retriever hund", "bird": "bird eagle seagull owl crow parrot gull",
    "boat": "boat ship sailboat yacht sail", "house": "house cabin cottage hut home barn haus", "tree": "tree oak",
    "flower": "flower rose tulip sunflower daisy bloom bouquet blume", "person": "person woman man girl boy portrait face people lady model avatar headshot astronaut warrior chef dancer child king queen singer hero",
    "car": "car taxi automobile vehicle truck auto", "rocket": "rocket spaceship spacecraft shuttle", "robot": "robot android cyborg mech",
    "bottle": "bottle perfume product cosmetic serum wine", "cup": "cup mug coffee tea espresso latte", "fruit": "fruit apple orange peach cherry",
    "heart": "heart love valentine", "balloon": "balloon", "fish": "fish shark whale goldfish", "lighthouse": "lighthouse",
    "castle": "castle palace tower fortress", "butterfly": "butterfly moth", "mushroom": "mushroom toadstool", "horse": "horse unicorn pony",
}  # fmt: skip
STYLES: dict[str, str] = {
    "mono": "monochrome grayscale greyscale noir bw",
    "sepia": "sepia vintage retro antique old",
    "paint": "watercolor watercolour oil painting impressionist painterly gouache aquarell",
    "poster": "cartoon poster flat vector comic anime illustration cel minimalist",
    "sketch": "sketch pencil drawing lineart engraving",
    "pixel": "pixel 8bit pixelart",
    "neon": "neon cyberpunk vaporwave synthwave",
}
_ABSTRACT = frozenset(
    "abstract geometric pattern gradient wallpaper texture background bauhaus shapes".split()
)
_WORD = re.compile(r"[^\W_]+")
_QUOTED = re.compile(r"[\"“„«]([^\"”“»]{1,48})[\"”“»]")


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a prompt asks a picture to show; empty texts where it does not say.

    *thing_colour* is a colour said directly before the thing ("a red car"), *colours* are all others.
    """

    text: str
    place: str
    hour: str
    weather: str
    things: tuple[str, ...]
    thing_colour: Colour | None
    colours: tuple[Colour, ...]
    styles: frozenset[str]
    caption: str
    is_abstract: bool


def wishes(text: str) -> Wishes:
    """Return what *text* wishes for; unknown words are nobody's loss."""
    caption = _QUOTED.search(text)
    words = words_of(text)
    things = _found(words, THINGS)
    thing_colour, colours = _colours(words)
    places, hours = _found(words, PLACES), _found(words, HOURS)
    lowered = text.lower()
    styles = set(_found(words, STYLES))
    if "black and white" in lowered or "b&w" in lowered:
        styles.add("mono")
        colours = tuple(c for c in colours if c not in (COLOURS["black"], COLOURS["white"]))
    return Wishes(
        text=text,
        place=next((place for place in places if place != "snow" or len(places) == 1), ""),
        hour=next(iter(hours), ""),
        weather=next(iter(_found(words, WEATHERS)), ""),
        things=things,
        thing_colour=thing_colour,
        colours=colours,
        styles=frozenset(styles),
        caption=caption[1].strip() if caption else "",
        is_abstract=bool(_ABSTRACT & set(words)) or not (places or things),
    )


def words_of(text: str) -> list[str]:
    """The words of *text* in lower case, each in its likely singular."""
    return [_singular(word) for word in _WORD.findall(text.lower())[:400]]


def _singular(word: str) -> str:
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    if len(word) > 4 and word.endswith(("shes", "ches", "xes")):
        return word[:-2]
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    return word


def _found(words: list[str], table: dict[str, str]) -> tuple[str, ...]:
    """The keys of *table* whose words occur, in the order of the text."""
    meaning = {
        _singular(word): key for key, line in reversed(table.items()) for word in line.split()
    }
    return tuple(dict.fromkeys(meaning[word] for word in words if word in meaning))


def _colours(words: list[str]) -> tuple[Colour | None, tuple[Colour, ...]]:
    things = {word for line in THINGS.values() for word in line.split()}
    mine: Colour | None = None
    others: list[Colour] = []
    for place, word in enumerate(words):
        if word not in COLOURS:
            continue
        if mine is None and any(near in things for near in words[place + 1 : place + 3]):
            mine = COLOURS[word]
        else:
            others.append(COLOURS[word])
    return mine, tuple(dict.fromkeys(others))
