"""What the words of a task ask of a run is put into the fields of the chosen model, and said."""

from functools import partial
from typing import Any, cast

import pytest

from catalog.asked import Asked, asked_in
from catalog.asked_beside import asked_beside
from catalog.asked_voice import voiced
from catalog.choose import Choice, Wanted, choose
from catalog.errors import ActionableError
from catalog.granting import granted, sound_field, usual_length
from catalog.index import CatalogIndex
from catalog.pricing import estimate
from catalog.search import in_english
from catalog.search_text import plain

CATALOG = CatalogIndex.open()


def chosen(task: str, prompt: str = "a fox", **arguments: object) -> Choice:
    return choose(CATALOG, task, "", Wanted(arguments, prompt))


def read(task: str) -> Asked:
    return asked_in(plain(task), partial(in_english, CATALOG))


@pytest.mark.parametrize(
    "task",
    [
        "text-to-video with sound",
        "Video mit Ton",
        "vídeo con sonido",
        "a talking video",
        "a video with sound of a dog",
        "带声音的视频",
    ],
)
def test_a_video_with_sound_is_run_and_priced_with_its_sound_on(task: str) -> None:
    choice = chosen(task)
    switch = sound_field(choice.card)
    if switch is None:  # it never makes a silent one
        assert "with sound" in choice.card.summary
        choice = chosen(f"{task}, 30 seconds long")
        switch = sound_field(choice.card)
    assert switch is not None
    assert choice.fields[switch] is True
    assert any(f"{switch}=true" in note for note in choice.notes)


def test_sound_that_costs_more_is_in_the_price_by_which_a_model_is_chosen() -> None:
    card = CATALOG.get("fal-ai/pixverse/v6/text-to-video")
    asked = granted(card, read("text-to-video with sound"), {}).fields
    plain_price = estimate(card, {"prompt": "a fox"}).high
    price = estimate(card, {"prompt": "a fox", **asked}).high
    assert asked == {"generate_audio_switch": True}
    assert plain_price is not None
    assert price is not None
    assert price > plain_price


@pytest.mark.parametrize(
    ("task", "fields"),
    [
        ("text-to-video in 4k", {"resolution": "4K"}),
        ("text-to-video, 8 seconds, 9:16", {"duration": 8, "aspect_ratio": "9:16"}),
        ("hochkant text-to-video", {"aspect_ratio": "9:16"}),
        ("text-to-image, portrait", {"image_size": "portrait_16_9"}),
        ("text-to-image, three variations", {"num_images": 3}),
        ("text-to-image with transparent background", {"background": "transparent"}),
        ("text-to-image with seed 42", {"seed": 42}),
        ("a 30 second song", {"duration": 30}),
        ("text-to-video 720p without sound", {"generate_audio": False, "resolution": "720p"}),
    ],
)
def test_wishes_of_a_task_are_set_where_the_model_has_a_field_for_them(
    task: str, fields: dict[str, object]
) -> None:
    found = chosen(task)
    assert {name: found.fields.get(name) for name in fields} == fields
    assert found.notes[0].startswith("set as asked: ")


@pytest.mark.parametrize(
    ("task", "fields"),
    [
        ("text-to-image as webp", {"output_format": "webp"}),
        ("text-to-image 1024x1536", {"image_size": {"width": 1024, "height": 1536}}),
        ("text-to-video at 60 fps", {"frames_per_second": 60}),
        ("text-to-video 24 fps, 4 seconds", {"num_frames": 97, "frames_per_second": 24}),
        ("text-to-speech in German", {"language_boost": "German"}),
        ("text-to-image with web search", {"enable_web_search": True}),
        ("seamless looping video", {"loop": True}),
        ("3d model as fbx", {"geometry_file_format": "fbx"}),
    ],
)
def test_formats_rates_languages_and_switches_are_set_like_all_else(
    task: str, fields: dict[str, object]
) -> None:
    found = chosen(task)
    assert {name: found.fields.get(name) for name in fields} == fields
    assert found.card.category.startswith("text-to-")


def test_what_the_caller_gives_stays_whatever_the_words_say() -> None:
    choice = chosen("text-to-video with sound, 8 seconds", duration="10", generate_audio=False)
    assert not {"duration", "generate_audio"} & set(choice.fields)


def test_a_wish_that_no_model_keeps_is_refused_with_what_the_nearest_takes() -> None:
    with pytest.raises(ActionableError, match=r"300 seconds: duration .*nothing was"):
        chosen("text-to-video, 300 seconds")
    with pytest.raises(ActionableError, match="run_batch makes more"):
        chosen("3 videos")
    with pytest.raises(ActionableError, match="no model of text-to-image with sound"):
        chosen("text-to-image with sound")


@pytest.mark.parametrize(
    "prompt",
    [
        "a portrait of two women, 4k, highly detailed, 10 seconds to midnight",
        "the silent vertical cliff in a square with a transparent vase",
        "a man meets two versions of himself in the year 2077",
        "a station clock at 9:16 in the morning, the match ended 3:2",
        'a neon sign that says "OPEN", a poster with the words says "sale"',
        "a man with headphones and audio equipment, a shelf with the sound engineer's tapes",
        "the logo of a vertical video app, seed 3 packets of flowers",
        "00:00 image of a clock, a 0x0 picture",
        "a 5 second rule poster, 1080p monitor on a desk, three images on a wall",
    ],
)
def test_what_is_part_of_the_picture_is_no_wish(prompt: str) -> None:
    assert not asked_beside(plain(prompt))


@pytest.mark.parametrize(
    ("prompt", "wished"),
    [
        ("a 10-second clip of waves", {"seconds": 10}),
        ("waves at dusk, 16:9", {"ratio": "16:9"}),
        ("waves, 3:4 aspect ratio", {"ratio": "3:4"}),
        ("a vertical video of waves", {"ratio": "9:16", "loose": True}),
        ("waves with natural sound", {"sound": True}),
        ('a man says: "Good morning"', {"sound": True}),
        ("waves, no sound", {"sound": False}),
        ("three variations of a logo", {"count": 3}),
        ("Please give me 4 different versions of a fox", {"count": 4}),
        ("a mug on a transparent background", {"transparent": True}),
        ("a fox, seed: 42", {"seed": 42}),
        ("waves, in 1080p resolution", {"height": 1080}),
    ],
)
def test_what_a_prompt_plainly_says_of_the_run_is_a_wish(
    prompt: str, wished: dict[str, object]
) -> None:
    asked = asked_beside(plain(prompt))
    assert asked == Asked(**cast("dict[str, Any]", wished))


def test_a_prompt_sets_what_it_plainly_says_where_a_task_chooses() -> None:
    assert chosen("text-to-image", "a fox, 9:16").fields == {"image_size": "portrait_16_9"}
    assert chosen("text-to-image", "a portrait of a fox, 4k, detailed").fields == {}


def test_what_a_prompt_says_and_the_model_cannot_is_told_and_not_refused() -> None:
    choice = chosen("text-to-video", "a 100 second video of waves")
    assert any(note.startswith("not kept: 100 seconds") for note in choice.notes)


def test_a_length_that_a_model_would_choose_itself_is_set_so_that_its_price_is_known() -> None:
    card = CATALOG.get("bytedance/seedance-2.5/text-to-video")
    assert usual_length(card, {}) == {"duration": "5"}
    assert usual_length(card, {"duration": "10"}) == {}


def test_music_of_no_length_is_not_priced_at_its_longest() -> None:
    choice = chosen("background music")
    assert choice.fields["music_length_ms"] == 30_000
    assert "music_length_ms=30000 was set, else the model chooses how long" in choice.notes


def test_a_task_in_any_words_is_done_and_what_changes_media_is_sent_to_edit() -> None:
    assert chosen("music").card.category == "text-to-audio"
    assert chosen("tts").card.category == "text-to-speech"
    with pytest.raises(ActionableError, match=r'edit with \{"operation":"upscale"'):
        chosen("upscale")
    with pytest.raises(ActionableError, match="no models for task 'qqzz'"):
        chosen("qqzz")


def test_a_limit_in_a_task_bounds_the_price_or_is_refused_with_the_nearest() -> None:
    for task in ("text-to-video under $0.30", "text-to-video for at most 30 cents"):
        choice = chosen(task)
        high = estimate(choice.card, {"prompt": "a fox", **choice.fields}).high
        assert high is not None
        assert float(high) <= 0.3
        assert "within $0.3" in choice.why
    choice = chosen("text-to-video with sound, 5 seconds, under 20 cents")
    assert any("=true" in note for note in choice.notes)
    with pytest.raises(ActionableError, match=r"at most \$0.0001 .the nearest, .* costs \$0"):
        chosen("text-to-image under 0.01 cents")
    with pytest.raises(ActionableError, match="leaves no model"):
        chosen("text-to-image under $0")


def test_media_given_by_their_kind_reach_the_input_that_the_model_has_for_them() -> None:
    choice = choose(CATALOG, "image-to-video", "", Wanted({"photo": "a.png"}, "it runs"))
    assert choice.arguments["image_url"] == "a.png"
    assert "photo: given as image_url" in choice.notes
    kling = choose(CATALOG, "image-to-video, 13 seconds", "newest", Wanted({"image": "a.png"}, "x"))
    assert "a.png" in kling.arguments.values()


def test_a_preference_may_be_said_in_other_words() -> None:
    cheapest = choose(CATALOG, "text-to-image", "cheapest", Wanted(prompt="a fox"))
    assert cheapest == choose(CATALOG, "text-to-image", "cheap", Wanted(prompt="a fox"))


@pytest.mark.parametrize(
    ("task", "note"),
    [
        ("text-to-speech with a female voice", "not kept: female voice: "),
        ("text-to-speech, british accent", "not kept: british accent: "),
        ("read aloud by an old man with a scottish accent", "not kept: old man, scottish accent: "),
        ("text-to-speech with voice Rachel", "not kept: rachel: "),
        ("text-to-speech mit weiblicher Stimme", "not kept: female voice: "),
        ("text-to-video with a male voice over", "not kept: male voice over: "),
    ],
)
def test_a_voice_that_the_chosen_model_cannot_be_told_is_said_not_to_be_kept(
    task: str, note: str
) -> None:
    assert any(one.startswith(note) for one in chosen(task, "Hello there").notes)


@pytest.mark.parametrize(
    ("endpoint_id", "voice", "fields"),
    [
        ("veed/fabric-1.0/text", "british accent", {"voice_description": "british accent"}),
        ("fal-ai/kling-video/v1/tts", "british male voice", {"voice_id": "uk_man2"}),
        ("fal-ai/kokoro/british-english", "british accent", {}),
    ],
)
def test_a_voice_is_chosen_where_the_words_of_a_model_tell_it(
    endpoint_id: str, voice: str, fields: dict[str, object]
) -> None:
    assert voiced(CATALOG.get(endpoint_id), voice, {}) == (fields, ())


def test_no_voice_is_guessed_from_a_name_nor_chosen_over_one_that_is_given() -> None:
    card = CATALOG.get("fal-ai/kokoro/british-english")
    fields, told = voiced(card, "female voice", {})
    assert (fields, told) == ({}, ("female voice: no choice of voice tells it",))
    assert voiced(card, "female voice", {"voice": "bf_emma"}) == ({}, ())


@pytest.mark.parametrize(
    "task",
    ["clone my deep voice", "women with a red accent wall", "voice over", "a podcast for women"],
)
def test_what_only_sounds_like_a_voice_stays_in_the_task(task: str) -> None:
    assert read(task).voice == ""
