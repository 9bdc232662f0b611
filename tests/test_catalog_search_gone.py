"""Names and deeds that are gone: search leads to what is used in their place, or says so."""

from pathlib import Path

import pytest

from catalog.build import build
from catalog.index import SNAPSHOT, CatalogIndex
from catalog.search import SearchRequest, search


@pytest.fixture(scope="module")
def index() -> CatalogIndex:
    return CatalogIndex.open()


@pytest.mark.parametrize("query", ["veo3", "veo 3", "veo 3 fast", "Google Veo 3"])
def test_a_retired_name_leads_first_to_what_is_used_in_its_place(
    index: CatalogIndex, query: str
) -> None:
    hits = search(index, SearchRequest(query, limit=8)).hits
    assert index.get(hits[0].endpoint_id).status == "active"
    assert hits[0].endpoint_id.startswith("fal-ai/veo3.1")
    gone = [hit for hit in hits if index.get(hit.endpoint_id).status == "deprecated"]
    assert gone, "the name that was asked for is still told"
    assert all("use fal-ai/veo3.1" in hit.why for hit in gone)


def test_pages_agree_where_retired_cards_lead(index: CatalogIndex) -> None:
    whole = [hit.endpoint_id for hit in search(index, SearchRequest("veo3", limit=20)).hits]
    first = search(index, SearchRequest("veo3", limit=10))
    second = search(index, SearchRequest("veo3", limit=10, cursor=first.next_cursor))
    assert [hit.endpoint_id for hit in (*first.hits, *second.hits)] == whole
    assert len(set(whole)) == len(whole)


@pytest.mark.parametrize(
    "query",
    [
        "detect deepfake",
        "is this picture made by an AI?",
        "was this text written by an AI or a person",
    ],
)
def test_a_deed_whose_every_model_is_retired_is_flagged(index: CatalogIndex, query: str) -> None:
    assert search(index, SearchRequest(query)).low_confidence


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("去掉背景里的人", "object-removal"),
        ("背景の人を消す", "object-removal"),
        ("remove the background of a person", "background"),
        ("translate a manga page", "/edit"),
        ("vedio upscaller to 4k", "upscale"),
        ("prodloužit video o pár sekund", "extend"),
        ("upscale a 10 second video for under 50 cents", "upscale"),
    ],
)
def test_neighbouring_deeds_are_told_apart(index: CatalogIndex, query: str, wanted: str) -> None:
    first, second, third, *_ = search(index, SearchRequest(query)).hits
    assert any(wanted in hit.endpoint_id for hit in (first, second, third))


def test_a_green_screen_that_is_not_there_is_not_wished_for(index: CatalogIndex) -> None:
    for query in (
        "remove the background of my video without a green screen",
        "xoá nền video mà không cần phông xanh",
        "cut me out of this clip, I have no green sheet behind me",
    ):
        hits = search(index, SearchRequest(query, limit=3)).hits
        assert all("green" not in hit.endpoint_id for hit in hits), query
        assert all("background" in hit.endpoint_id for hit in hits[:1]), query
    keyed = search(index, SearchRequest("cut my green screen clip out")).hits[0]
    assert "green" in keyed.endpoint_id


def test_a_product_that_fal_does_not_offer_is_told_beside_what_is_nearest(
    index: CatalogIndex,
) -> None:
    answer = search(index, SearchRequest("song like from Suno"))
    assert answer.understood.startswith("not on fal: suno; nearest: ")
    assert "music" in answer.understood
    assert not answer.low_confidence
    assert "not on fal" not in search(index, SearchRequest("ideogram poster")).understood


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("animate my icon picture as lottie", "fal-ai/omnilottie/image-to-lottie"),
        ("lottie file of a bouncing heart", "fal-ai/omnilottie"),
        ("oil painting from my photo", "fal-ai/image-editing/style-transfer"),
        ("fluxx", "fal-ai/flux/schnell"),
        ("denoise my clip with topaz video", "topaz/denoise/video"),
        ("přehrát video pozpátku", "fal-ai/workflow-utilities/reverse-video"),
    ],
)
def test_what_is_given_and_done_tells_which_of_several_like_models(
    index: CatalogIndex, query: str, wanted: str
) -> None:
    assert search(index, SearchRequest(query)).hits[0].endpoint_id == wanted


def test_words_that_stand_for_no_model_and_no_clip_are_not_taken_for_one(
    index: CatalogIndex,
) -> None:
    told = search(index, SearchRequest("narrator who can giggle, sigh and whisper")).hits[:3]
    assert {hit.category for hit in told} == {"text-to-speech"}
    sounds = search(index, SearchRequest("sound effects, two cents per clip")).hits[:3]
    assert all(hit.category == "text-to-audio" for hit in sounds), sounds
    fixed = search(index, SearchRequest("camera stays locked on a tripod, camera_fixed")).hits[0]
    assert "fixed camera" in fixed.why


def test_a_stroke_between_words_makes_no_id_of_them(index: CatalogIndex) -> None:
    hits = search(index, SearchRequest("text/image to video, start/end frame")).hits[:3]
    assert all("video" in hit.category for hit in hits)


def test_audio_that_a_video_is_wished_with_is_its_sound(index: CatalogIndex) -> None:
    for query in ("video under 10 cents for 5 seconds with audio", "text to video with audio"):
        answer = search(index, SearchRequest(query, limit=2))
        assert all("sound" in hit.why for hit in answer.hits), query


def test_who_begins_with_training_wants_a_trainer(index: CatalogIndex) -> None:
    for query in ("train for first-frame-last-frame video", "teach a video model my wipe"):
        hits = search(index, SearchRequest(query, limit=3)).hits
        assert {hit.category for hit in hits} == {"training"}, query


def test_the_newest_of_a_name_is_first_and_a_version_nobody_has_is_said(
    index: CatalogIndex,
) -> None:
    newest = search(index, SearchRequest("what is the newest kling", limit=3))
    assert all(hit.endpoint_id.startswith("kling/v4/") for hit in newest.hits)
    for query, missing in (
        ("veo 4", "veo 4"),
        ("flux 4 pro", "flux 4"),
        ("gpt image 3", "gpt image 3"),
    ):
        assert f"not on fal: {missing}; nearest: " in search(index, SearchRequest(query)).understood
    there = ("veo 3.1", "luma ray 3", "nano banana 1", "flux 2 klein 9")
    for query in (*there, "seedance 12 sec", "flux 4 pictures", "kling 10 seconds", "topaz 4x"):
        assert "not on fal" not in search(index, SearchRequest(query)).understood, query


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("black forest labs kontext", "fal-ai/flux-pro/kontext"),
        ("ideogram four", "ideogram/v4"),
        ("z image turbo", "fal-ai/z-image/turbo"),
        ("stabilty audio 2.5", "fal-ai/stable-audio-25/text-to-audio"),
        ("bytdance sedream", "fal-ai/bytedance/seedream/v4.5/edit"),
        ("flux lora image to image", "fal-ai/flux-lora/image-to-image"),
        ("image editing age progression", "fal-ai/image-editing/age-progression"),
        ("flow-edit", "fal-ai/flowedit"),
    ],
)
def test_a_maker_a_version_in_words_and_a_slip_lead_to_the_plain_model(
    index: CatalogIndex, query: str, wanted: str
) -> None:
    assert search(index, SearchRequest(query)).hits[0].endpoint_id == wanted


def test_an_amount_of_a_million_in_words_is_the_work_a_limit_is_held_against(
    index: CatalogIndex,
) -> None:
    answer = search(index, SearchRequest("a million characters of audiobook for ten dollars"))
    assert "at most $10 for 1000 x 1000 characters" in answer.understood
    assert all(
        "within $10" in hit.why and hit.price == "$10 for 1,000,000 characters"
        for hit in answer.hits[:2]
    )
    fine = search(index, SearchRequest("ten thousand pictures a month, 2 cents per edit at most"))
    assert "at most $0.02 per run" in fine.understood


def test_letters_left_out_and_a_coined_name_are_read(index: CatalogIndex) -> None:
    cut = search(index, SearchRequest("bakgroud remvoal for shoes pics in my webshpo"))
    assert "background removal" in cut.hits[0].why
    named = search(index, SearchRequest("longcat 720 distilled t2v"))
    assert named.hits[0].endpoint_id == "fal-ai/longcat-video/distilled/text-to-video/720p"
    assert not search(index, SearchRequest("the newer OmniHuman, not the first")).low_confidence


def test_each_second_a_bare_height_and_first_of_steps_are_read(index: CatalogIndex) -> None:
    each = search(index, SearchRequest("2160p film out of text, below 50 cents for each second"))
    assert "2160p, at most $0.5 per second" in each.understood
    bare = search(index, SearchRequest("hailuo 2.3 fast in 1080")).hits[0]
    assert bare.endpoint_id == "fal-ai/minimax/hailuo-2.3-fast/pro/image-to-video"
    steps = search(index, SearchRequest("first invent a troll as a picture, then make it 3d"))
    assert steps.hits[0].category == "text-to-image"
    tiny = search(index, SearchRequest("picture under 0.00001 dollars"))
    assert "at most $1e-05" in tiny.understood


def test_a_name_without_a_word_of_training_leads_to_no_trainer(index: CatalogIndex) -> None:
    assert search(index, SearchRequest("qwen edit 2511")).hits[0].endpoint_id == (
        "fal-ai/qwen-image-edit-2511"
    )
    assert search(index, SearchRequest("qwen edit 2511 trainer")).hits[0].category == "training"


@pytest.mark.parametrize("cards", [1, 12, 13])
def test_a_catalog_of_few_models_is_searched_for_what_none_of_them_does(
    tmp_path: Path, cards: int
) -> None:
    lines = (SNAPSHOT / "cards.jsonl").read_text(encoding="utf-8").splitlines()[:cards]
    source = tmp_path / "few.jsonl"
    source.write_text("\n".join(lines) + "\n", encoding="utf-8")
    build(source, tmp_path / "few", strict=False)
    few = CatalogIndex.open(tmp_path / "few")
    for query in ("remove the vocals", "rig my mesh", "train a lora", "qwen edit 2511", "a fox"):
        assert len(search(few, SearchRequest(query)).hits) <= cards


def test_cards_with_as_many_words_as_a_step_are_not_taken_for_its_name(
    index: CatalogIndex,
) -> None:
    alone = search(index, SearchRequest("flux 2 text to image", limit=50)).hits
    steps = search(index, SearchRequest("flux 2 text to image, then upscale it", limit=50)).hits
    first = [hit.endpoint_id for hit in steps if hit.step.startswith("flux")]
    assert first[:4] == [hit.endpoint_id for hit in alone[:4]]
