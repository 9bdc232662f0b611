"""What a query most likely means by all its words together, as learned from examples."""

import numpy as np
import pytest

from catalog.index import SNAPSHOT, CatalogIndex
from catalog.learn import Example, learned, mark_of, packed, traits
from catalog.search import SearchRequest, search
from catalog.search_direction import direction_of
from catalog.search_english import English
from catalog.search_english import packed as packed_words
from catalog.search_frame import frame_of
from catalog.search_learned import FILE, HEAD, MAGIC, Learned, Likely
from catalog.search_measure import Measure, counted_in, length_in, limit_in, size_in
from catalog.search_reading import Lexicon
from catalog.search_spelled import spelled, written_out
from catalog.search_tables import CHARACTERS, HEIGHTS, PICTURE, SECOND, SearchTables

TABLES = SearchTables(SNAPSHOT)
ENGLISH = English(SNAPSHOT)
LEXICON = Lexicon(TABLES.lexicon, TABLES.spelling, ENGLISH)
LEARNED = Learned(SNAPSHOT)


def likely(text: str) -> Likely:
    reading = LEXICON.read(text)
    return LEARNED.likely(reading, frame_of(reading, direction_of(reading, LEXICON), LEXICON))


def best(text: str) -> str:
    return TABLES.tasks[likely(text).tasks[0][0]][0]


def test_the_table_was_learned_from_the_tasks_of_the_lexicon() -> None:
    magic, mark, tasks, *_ = HEAD.unpack_from((SNAPSHOT / FILE).read_bytes())
    assert (magic, mark, tasks) == (MAGIC, mark_of(TABLES), len(TABLES.tasks))


def test_words_that_no_rule_has_are_told_by_all_of_them_together() -> None:
    assert best("watercolour of an otter in a raincoat reading the paper") == "t2i"
    assert best("jot down everything the professor tells on this tape") == "stt"
    assert best("the boom operator got into my take, paint him out of the footage") == "v2v.erase"


def test_needs_of_everyday_life_are_told_from_needs_of_media() -> None:
    index = CatalogIndex.open()
    for need in ("my dishwasher leaks, call a repair service", "which tram goes to the zoo"):
        assert likely(need).nothing > 0.2
        assert search(index, SearchRequest(need)).low_confidence
    for need in ("let my late aunt's portrait smile at us", "score for a nature film"):
        assert likely(need).nothing < 0.2


def test_a_few_examples_teach_what_they_say() -> None:
    told = [
        Example({"bark": 1.0, "dog": 1.0}, [0], 1.0),
        Example({"meow": 1.0, "cat": 1.0}, [1], 1.0),
        Example({"rain": 1.0}, [], 1.0),
    ] * 4
    traits_of = [[(0, 1.0), (2, 0.7)], [(1, 1.0), (2, 0.7)]]
    meanings = {"dog": np.array([1.0, 0.0]), "hound": np.array([0.9, 0.1])}
    weights = learned(told, traits_of, meanings)
    assert weights["bark"][0] > 0 > weights["meow"][0]
    assert weights["rain"][-1] > 0 > weights["dog"][-1]
    assert weights["hound"][0] > 0 > weights["hound"][1]  # as a dog, though no example has it
    assert weights == learned(told, traits_of, meanings)
    assert packed(weights, traits_of, 7) == packed(weights, traits_of, 7)


def test_every_task_has_its_own_trait_first() -> None:
    assert [own[0][0] for own in traits(TABLES)] == list(range(len(TABLES.tasks)))


def test_english_words_are_known_and_slips_are_not() -> None:
    for word in ("tripod", "copper", "manuscript", "lighthouse"):
        assert word in ENGLISH
        assert LEXICON.mended(word) == [word]
    assert LEXICON.mended("vidoe") == ["video"]
    assert LEXICON.mended("efects") == ["effects"]
    known = packed_words(["heron", "ibis"])
    assert known == packed_words(["ibis", "heron", "ibis"])


@pytest.mark.parametrize(
    ("text", "dollars", "work"),
    [
        ("ten seconds with sound, I can spend a dollar fifty", 1.5, Measure(SECOND, 10)),
        ("whole songs at under a dime apiece", 0.1, Measure()),
        ("half a minute of film for less than two dollars", 2.0, Measure(SECOND, 30)),
        ("a quarter of an hour of speech under one dollar", 1.0, Measure(SECOND, 900)),
        ("pictures, cap 0.05", 0.05, Measure()),
        ("less than a quarter per picture", 0.25, Measure(PICTURE)),
        ("exact colours, extract the facts", None, Measure()),
        ("a mesh for 20c or less", 0.2, Measure()),
        ("under .5 cents each", 0.005, Measure()),
        ("video under 5.000,50 €", 5000.5, Measure()),
        ("pictures for 1.000 euros", 1000.0, Measure()),
        ("a picture under $0.003", 0.003, Measure(PICTURE)),
        ("10k pictures under $5", 5.0, Measure(PICTURE, 10000)),
        ("4k pictures under $5", 5.0, Measure()),
        ("speech under $10 per million characters", 10.0, Measure(CHARACTERS, 1000)),
        ("speech under 2 cents per 1k chars", 0.02, Measure(CHARACTERS)),
        ("speech, 5 cents per 500 characters at most", 0.05, Measure(CHARACTERS, 0.5)),
        ("10,000 product thumbnails for 60 bucks", 60.0, Measure(PICTURE, 10000)),
    ],
)
def test_money_and_time_may_be_spelled_in_words(
    text: str, dollars: float | None, work: Measure
) -> None:
    plainly = spelled(text)
    limit, measure = limit_in(plainly)
    assert limit == dollars
    assert (counted_in(plainly) if measure == Measure() else measure) == work


@pytest.mark.parametrize(
    ("text", "height", "size"),
    [
        ("pictures up to 4096x4096", 2160, 2),
        ("a 1920x1080 clip", 1080, 1),
        ("film of 1280 x 720", 720, -1),
        ("2048\u00d72048 tiles", 2160, 1),
        ("a 3x3 grid", 0, -1),
    ],
)
def test_a_size_may_be_told_by_its_sides(text: str, height: int, size: int) -> None:
    place, picture = size_in(text)
    assert (HEIGHTS[place] if place >= 0 else 0, picture) == (height, size)


def test_what_is_short_for_a_word_and_spelled_versions_are_written_out() -> None:
    assert written_out("a clip w/ sound, w/o words") == "a clip with sound, without words"
    assert written_out("veo three point one lite") == "veo 3.1 lite"
    assert written_out("fal-ai/w/o") == "fal-ai/w/o"


def test_a_price_for_a_model_of_one_photo_is_none_for_a_picture() -> None:
    index = CatalogIndex.open()
    said = search(index, SearchRequest("3d model out of one photo, 10 cents tops")).understood
    assert said.endswith("at most $0.1")
    said = search(
        index, SearchRequest("animate a photo, 10s w/ sound, at most 50 cents")
    ).understood
    assert "at least 10 s, at most $0.5 for 10 x second" in said


def test_what_a_training_learns_from_tells_which_training_is_meant() -> None:
    found = search(CatalogIndex.open(), SearchRequest("adapter for an audio model from my wavs"))
    assert "audio" in found.hits[0].endpoint_id


@pytest.mark.parametrize(
    ("query", "second"),
    [
        ("make a product photo and then a short ad video", "image to video"),
        ("genera una imagen y luego conviértela en video", "image to video"),
        ("train my dog as a model and then make pictures of him", "pictures with your own LoRA"),
    ],
)
def test_a_second_step_works_on_what_the_first_made(query: str, second: str) -> None:
    found = search(CatalogIndex.open(), SearchRequest(query))
    assert found.understood.split("; then ")[1].startswith(second)


def test_what_is_surely_meant_is_not_flagged_for_a_word_of_everyday_life() -> None:
    index = CatalogIndex.open()
    for need in (
        "I sell perfume: a snap of the bottle as an elegant studio product shot on marble",
        "replacement for playai tts v3",
    ):
        assert not search(index, SearchRequest(need)).low_confidence


def test_text_that_is_to_go_is_not_read() -> None:
    index = CatalogIndex.open()
    gone = search(index, SearchRequest("remove the text from my photo"))
    assert gone.understood.startswith("text and watermark removal")
    assert "ocr" not in gone.hits[0].endpoint_id
    read = search(index, SearchRequest("extract the text from my photo"))
    assert read.understood.startswith("reading text in pictures")


def test_a_limit_behind_a_comma_is_no_step() -> None:
    found = search(CatalogIndex.open(), SearchRequest("logo and then animate it, max 1 dollar"))
    assert [step.reading.text for step in found.steps][1:] == ["animate image max 1 dollar"]
    assert found.understood.endswith("at most $1")


def test_what_people_call_a_model_is_no_other_language() -> None:
    found = search(CatalogIndex.open(), SearchRequest("dall-e 3"))
    assert not found.low_confidence
    assert "image" in found.hits[0].endpoint_id


def test_slips_in_english_are_not_taken_for_words_of_another_language() -> None:
    found = search(CatalogIndex.open(), SearchRequest("remvoe backgorund of foto"))
    assert not found.low_confidence
    assert "background" in found.understood


def test_a_film_of_the_1940s_is_not_that_long() -> None:
    assert length_in("colour a film reel of the 1940s") is None


@pytest.mark.parametrize("query", ["imagen 4 successor", "what instead of imagen 4"])
def test_a_retired_model_without_an_heir_leads_to_living_ones(query: str) -> None:
    index = CatalogIndex.open()
    found = search(index, SearchRequest(query, limit=3))
    cards = [index.get(hit.endpoint_id) for hit in found.hits]
    assert {(card.category, card.status) for card in cards} == {("text-to-image", "active")}
    assert not found.low_confidence
