"""Arguments held against schemas: every problem named, every conversion said, media found."""

import json
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.card import ModelCard
from catalog.endpoint import EndpointId
from catalog.errors import ActionableError, ArgumentsError, Problem
from catalog.index import CatalogIndex
from catalog.schema import Checked, MediaUse, check, with_defaults, with_media

CATALOG = CatalogIndex.open()
FLUX = CATALOG.get("fal-ai/flux/dev")
VEO = CATALOG.get("fal-ai/veo3.1")
EDIT = CATALOG.get("fal-ai/nano-banana-2/edit")
LORA = CATALOG.get("fal-ai/flux-lora")
KEY = "1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed:0123456789abcdef0123456789abcdef"


def card_of(schema: dict[str, Any], completeness: str = "full") -> ModelCard:
    """A card of one's own, for schemas that the shipped catalog happens not to have."""
    return ModelCard.from_record(
        {"id": "acme/thing", "input": schema, "schema": {"completeness": completeness}}
    )


def problems(card: ModelCard, arguments: dict[str, Any], prompt: str = "") -> list[Problem]:
    with pytest.raises(ArgumentsError) as caught:
        check(card, arguments, prompt=prompt)
    return list(caught.value.problems)


def outcome(card: ModelCard, arguments: dict[str, Any]) -> Checked | ArgumentsError:
    try:
        return check(card, arguments)
    except ArgumentsError as refusal:
        return refusal


def problem(card: ModelCard, arguments: dict[str, Any]) -> Problem:
    found = problems(card, arguments)
    assert len(found) == 1, found
    return found[0]


def flux(**arguments: object) -> dict[str, Any]:
    return {"prompt": "a red fox", **arguments}


def test_what_fits_passes_as_it_is_and_defaults_are_not_added() -> None:
    arguments = flux(image_size={"width": 1024, "height": 768}, num_images=2, seed=7)
    assert check(FLUX, arguments) == Checked(arguments, (), ())


def test_the_prompt_goes_to_the_field_the_card_names() -> None:
    speech = CATALOG.get("fal-ai/elevenlabs/tts/eleven-v3")
    checked = check(speech, {}, prompt="good morning")
    assert checked.arguments == {"text": "good morning"}
    assert checked.repairs == ("prompt: given as text",)


def test_a_prompt_among_the_arguments_of_a_card_that_calls_it_text_is_moved_and_said() -> None:
    speech = CATALOG.get("fal-ai/elevenlabs/tts/eleven-v3")
    checked = check(speech, {"prompt": "good morning"})
    assert checked.arguments == {"text": "good morning"}
    assert checked.repairs == ("prompt: given as text",)


def test_the_prompt_of_a_call_is_what_is_spoken_where_a_card_takes_text_and_manner() -> None:
    card = CATALOG.get("fal-ai/qwen-3-tts/text-to-speech/1.7b")
    checked = check(card, {"prompt": "calm"}, prompt="Good morning")
    assert checked.arguments == {"prompt": "calm", "text": "Good morning"}
    other = check(card, {"text": "Good morning"}, prompt="calm")
    assert other.arguments == checked.arguments


def test_a_prompt_that_differs_from_the_arguments_is_refused() -> None:
    assert problems(FLUX, flux(), prompt="a blue fox")[0].rule.startswith("differs")
    assert check(FLUX, flux(), prompt="a red fox").arguments == flux()


def test_a_prompt_for_a_card_that_takes_no_text_is_refused() -> None:
    found = problems(CATALOG.get("fal-ai/birefnet"), {"image_url": "a.png"}, prompt="cut it out")
    assert [p.path for p in found] == ["prompt"]
    assert "takes no text" in found[0].rule


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("size", "image_size"),
        ("imageSize", "image_size"),
        ("image size", "image_size"),
        ("resolution", "image_size"),
        ("aspect ratio", "image_size"),
        ("steps", "num_inference_steps"),
        ("n", "num_images"),
        ("count", "num_images"),
        ("cfg", "guidance_scale"),
        ("sead", "seed"),
        ("format", "output_format"),
        ("nsfw", "enable_safety_checker"),
        ("text", "prompt"),
    ],
)
def test_an_unknown_parameter_is_refused_with_the_nearest_by_meaning(
    wrong: str, right: str
) -> None:
    found = problem(FLUX, flux(**{wrong: 1}))
    assert (found.path, found.nearest) == (wrong, right)
    assert "fal-ai/flux/dev" in found.rule


@pytest.mark.parametrize(
    ("endpoint_id", "wrong", "right"),
    [
        ("fal-ai/nano-banana-2/edit", "image_url", "image_urls"),
        ("fal-ai/nano-banana-2/edit", "images", "image_urls"),
        ("fal-ai/nano-banana-2/edit", "ratio", "aspect_ratio"),
        ("fal-ai/flux-pro/v1/fill", "mask", "mask_url"),
        ("fal-ai/flux-pro/v1/fill", "image", "image_url"),
        ("fal-ai/veo3.1", "audio", "generate_audio"),
        ("fal-ai/veo3.1", "seconds", "duration"),
        ("fal-ai/elevenlabs/tts/eleven-v3", "voice_id", "voice"),
        ("fal-ai/kling-video/v2.6/pro/image-to-video", "image_url", "start_image_url"),
        ("fal-ai/minimax/speech-2.8-hd", "voice", "voice_setting.voice_id"),
        ("fal-ai/minimax/speech-2.8-hd", "speed", "voice_setting.speed"),
        ("fal-ai/flux/dev", "width", "image_size.width"),
    ],
)
def test_other_cards_name_their_own_nearest(endpoint_id: str, wrong: str, right: str) -> None:
    found = problems(CATALOG.get(endpoint_id), {wrong: "x"})
    assert {p.path: p.nearest for p in found}[wrong] == right


@pytest.mark.parametrize(
    ("name", "value", "now"),
    [
        ("num_images", "2", 2),
        ("num_images", 2.0, 2),
        ("num_images", " 3 ", 3),
        ("guidance_scale", "3.5", 3.5),
        ("enable_safety_checker", "False", False),
        ("image_size", "1024x768", {"width": 1024, "height": 768}),
        ("image_size", '{"width": 64, "height": 64}', {"width": 64, "height": 64}),
        ("image_size", "Square_HD", "square_hd"),
        ("output_format", "PNG", "png"),
        ("prompt", ["a fox"], "a fox"),
        ("prompt", 5, "5"),
    ],
)
def test_a_value_is_converted_where_nothing_is_lost_and_it_is_said(
    name: str, value: object, now: object
) -> None:
    checked = check(FLUX, flux(**{name: value}))
    assert checked.arguments[name] == now
    assert type(checked.arguments[name]) is type(now)
    assert len(checked.repairs) == 1
    assert checked.repairs[0].startswith(f"{name}: ")


def test_a_repair_reads_as_a_sentence() -> None:
    assert check(FLUX, flux(num_images="2")).repairs == ('num_images: "2" read as 2',)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("num_images", True),
        ("num_images", "two"),
        ("num_images", 2.5),
        ("num_images", [1, 2]),
        ("guidance_scale", False),
        ("guidance_scale", float("nan")),
        ("enable_safety_checker", 1),
        ("prompt", True),
        ("prompt", {"text": "fox"}),
        ("prompt", None),
        ("prompt", b"\x00\x01"),
        ("image_size", 7),
        ("seed", float("inf")),
    ],
)
def test_a_value_of_the_wrong_type_is_refused(name: str, value: object) -> None:
    assert problem(FLUX, flux(**{name: value})).path == name


def test_a_number_or_text_finds_its_choice_and_it_is_said() -> None:
    checked = check(
        VEO, {"duration": 8, "aspect_ratio": "16x9", "resolution": "1080P"}, prompt="fox"
    )
    assert checked.arguments == {
        "duration": "8s",
        "aspect_ratio": "16:9",
        "resolution": "1080p",
        "prompt": "fox",
    }
    assert 'duration: 8 read as "8s"' in checked.repairs


def test_a_length_with_its_unit_serves_where_a_number_is_wanted() -> None:
    horse = CATALOG.get("alibaba/happy-horse/text-to-video")
    checked = check(horse, {"duration": "8s"}, prompt="a horse")
    assert checked.arguments["duration"] == 8


@pytest.mark.parametrize(
    ("name", "value", "nearest"),
    [
        ("duration", 7, "6s"),
        ("aspect_ratio", "4:3", "16:9"),
        ("resolution", "1440p", "1080p"),
        ("resolution", "8k", "4k"),
    ],
)
def test_a_value_not_in_the_list_names_the_nearest(name: str, value: object, nearest: str) -> None:
    found = problem(VEO, {"prompt": "fox", name: value})
    assert found.nearest == nearest
    assert "is one of" in found.rule


@pytest.mark.parametrize(
    ("value", "nearest"),
    [("portrait_3_4", "portrait_4_3"), ("16:9", "landscape_16_9"), ("square hd", "square_hd")],
)
def test_a_wrong_size_name_gets_the_nearest_shape_or_spelling(value: str, nearest: str) -> None:
    assert problem(FLUX, flux(image_size=value)).nearest == nearest


@pytest.mark.parametrize(
    ("name", "value", "rule", "nearest"),
    [
        ("num_images", 5, "is 1 to 4", "4"),
        ("num_images", 0, "is 1 to 4", "1"),
        ("guidance_scale", 99, "is 1 to 20", "20"),
    ],
)
def test_a_number_out_of_range_names_the_range(
    name: str, value: int, rule: str, nearest: str
) -> None:
    found = problem(FLUX, flux(**{name: value}))
    assert (found.rule, found.nearest) == (rule, nearest)


def test_texts_lists_and_steps_outside_their_bounds_are_refused() -> None:
    card = card_of(
        {
            "type": "object",
            "properties": {
                "name": {"type": "string", "minLength": 2, "maxLength": 4},
                "tags": {
                    "type": "array",
                    "items": {"type": "string"},
                    "minItems": 1,
                    "maxItems": 2,
                },
                "set": {"type": "array", "items": {"type": "integer"}, "uniqueItems": True},
                "width": {"type": "integer", "multipleOf": 8},
                "share": {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
            },
        }
    )
    found = problems(
        card, {"name": "a", "tags": ["a", "b", "c"], "set": [1, 1], "width": 100, "share": 1}
    )
    assert {p.path: p.rule for p in found} == {
        "name": "takes at least 2 characters",
        "tags": "takes 1 to 2 entries, 3 were given",
        "set": "must not hold the same entry twice",
        "width": "is a multiple of 8",
        "share": "is above 0 and below 1",
    }
    assert check(card, {"name": "abcd", "tags": "a", "width": 96, "share": 0.5}).arguments == {
        "name": "abcd",
        "tags": ["a"],
        "width": 96,
        "share": 0.5,
    }


def test_all_problems_are_found_at_once() -> None:
    found = problems(FLUX, {"num_images": 9, "size": "x", "output_format": "gif", "seed": "soon"})
    assert {p.path for p in found} == {"num_images", "size", "output_format", "seed", "prompt"}


def test_what_is_missing_is_named_with_what_it_takes() -> None:
    found = problem(CATALOG.get("fal-ai/birefnet"), {})
    assert found.path == "image_url"
    assert found.rule == "is required: an image as path, URL, data URI or job"


def test_null_for_an_optional_field_is_dropped_and_said_and_for_a_required_one_refused() -> None:
    checked = check(FLUX, flux(seed=None))
    assert checked.arguments == flux()
    assert checked.repairs == ("seed: null dropped",)
    assert problem(FLUX, {"prompt": None}).rule == "is required"


def test_null_passes_where_the_schema_names_it() -> None:
    card = card_of(
        {
            "type": "object",
            "properties": {
                "a": {"type": ["string", "null"]},
                "b": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
            },
        }
    )
    assert check(card, {"a": None, "b": None}).arguments == {"a": None, "b": None}


def test_media_that_a_card_does_not_take_is_said_and_no_other_input_guessed() -> None:
    found = problem(FLUX, flux(image="a.png"))
    assert (found.rule, found.nearest) == (
        "is not a parameter of fal-ai/flux/dev; it takes no image",
        "",
    )


@pytest.mark.parametrize(
    ("endpoint_id", "given", "path", "nearest"),
    [
        (
            "fal-ai/flux/dev",
            {"image_size": [1024, 768]},
            "image_size",
            '{"width": 1024, "height": 768}',
        ),
        ("fal-ai/flux/dev", {"image_size": {"w": 64, "height": 64}}, "image_size.w", "width"),
        ("fal-ai/flux-lora", {"loras": "https://a/b"}, "loras", '[{"path": "https://a/b"}]'),
        ("fal-ai/flux-lora", {"loras": [{"path": "a", "weight": 1}]}, "loras[0].weight", "scale"),
        ("fal-ai/flux-lora", {"loras": [{"url": "a"}]}, "loras[0].url", "path"),
        ("fal-ai/veo3.1", {"generate_audio": "yes"}, "generate_audio", "true"),
        ("openai/gpt-image-2", {"quality": "hd"}, "quality", "high"),
    ],
)
def test_a_wrong_shape_names_the_right_one(
    endpoint_id: str, given: dict[str, object], path: str, nearest: str
) -> None:
    found = problems(CATALOG.get(endpoint_id), {"prompt": "a red fox", **given})
    assert {p.path: p.nearest for p in found}[path] == nearest


def test_nested_objects_are_held_with_their_full_path() -> None:
    found = problems(LORA, flux(loras=[{"path": "a"}, {"scale": 9, "wieght": 1}]))
    assert {p.path: p.nearest for p in found} == {
        "loras[1].scale": "4",
        "loras[1].wieght": "",
        "loras[1].path": "",
    }
    size = problem(FLUX, flux(image_size={"width": 64, "hight": 64}))
    assert (size.path, size.nearest) == ("image_size.hight", "height")


def test_stringified_json_is_parsed_and_a_lone_object_becomes_a_list() -> None:
    text = json.dumps([{"path": "https://x.test/a.safetensors", "scale": "0.5"}])
    checked = check(LORA, flux(loras=text))
    assert checked.arguments["loras"] == [{"path": "https://x.test/a.safetensors", "scale": 0.5}]
    checked = check(LORA, flux(loras={"path": "a"}))
    assert checked.arguments["loras"] == [{"path": "a"}]
    assert checked.repairs == ("loras: one value put into a list",)


def test_a_dangling_reference_accepts_anything_and_a_sound_one_is_followed() -> None:
    card = card_of(
        {
            "type": "object",
            "properties": {
                "gone": {"$ref": "#/components/schemas/Nowhere"},
                "here": {"$ref": "#/$defs/Small"},
                "self": {"$ref": "#/$defs/Tree"},
            },
            "$defs": {
                "Small": {"type": "integer", "maximum": 3},
                "Tree": {"type": "object", "properties": {"kids": {"$ref": "#/$defs/Tree"}}},
            },
        }
    )
    checked = check(card, {"gone": {"any": [1]}, "here": 3, "self": {"kids": {"kids": {}}}})
    assert checked.arguments["gone"] == {"any": [1]}
    assert problem(card, {"here": 4}).nearest == "3"
    assert problem(card, {"self": {"kids": {"kid": 1}}}).path == "self.kids.kid"


def test_media_is_found_wherever_it_stands_and_any_reference_serves() -> None:
    references = ["photo.jpg", "https://x.test/a.png", "data:image/png;base64,AAAA", "J7K2M/2"]
    checked = check(EDIT, {"prompt": "make it red", "image_urls": references})
    assert checked.media == tuple(
        MediaUse(("image_urls", place), "image", value) for place, value in enumerate(references)
    )
    frames = CATALOG.get("blackforestlabs/flux-3/keyframes-to-video")
    nested = check(
        frames,
        {
            "prompt": "a walk",
            "duration": 5,
            "keyframes": [{"image_url": "a.png", "frame_index": 0}],
        },
    )
    assert nested.media == (MediaUse(("keyframes", 0, "image_url"), "image", "a.png"),)


@pytest.mark.parametrize(
    ("path", "local"),
    [
        ("/models/style.safetensors", True),
        ("style.safetensors", True),
        ("~/style.safetensors", True),
        ("https://x.test/style.safetensors", False),
        ("acme/style", False),
        ("acme/style/style.safetensors", False),
    ],
)
def test_a_local_weights_file_is_media_and_a_repository_is_not(path: str, local: bool) -> None:
    media = check(LORA, flux(loras=[{"path": path}])).media
    assert media == ((MediaUse(("loras", 0, "path"), "weights", path),) if local else ())


def test_one_picture_for_a_list_is_wrapped_and_a_list_of_one_for_a_picture_opened() -> None:
    checked = check(EDIT, {"prompt": "make it red", "image_urls": "a.png"})
    assert checked.arguments["image_urls"] == ["a.png"]
    assert checked.repairs == ("image_urls: one value put into a list",)
    checked = check(CATALOG.get("fal-ai/birefnet"), {"image_url": ["a.png"]})
    assert checked.arguments["image_url"] == "a.png"
    assert checked.repairs == ("image_url: the one value taken out of its list",)
    assert problem(CATALOG.get("fal-ai/birefnet"), {"image_url": ["a", "b"]}).path == "image_url"


def test_a_file_object_serves_as_media_and_a_text_where_a_file_object_is_wanted() -> None:
    checked = check(CATALOG.get("fal-ai/birefnet"), {"image_url": {"url": "a.png", "width": 4}})
    assert checked.arguments["image_url"] == "a.png"
    swap = CATALOG.get("easel-ai/advanced-face-swap")
    schema = swap.properties["face_image_0"]
    assert schema["type"] == "object"
    checked = check(
        swap,
        {
            **dict.fromkeys(swap.required, "man"),
            "face_image_0": "face.png",
            "target_image": "scene.png",
            "gender_0": "female",
            "workflow_type": "user_hair",
        },
    )
    assert checked.arguments["face_image_0"] == {"url": "face.png"}


def test_resolved_media_is_put_in_and_the_callers_own_arguments_stay() -> None:
    arguments: dict[str, Any] = {"prompt": "x", "a": [{"b": "one"}, {"b": "two"}], "c": "three"}
    before = json.dumps(arguments)
    changed = with_media(arguments, {("a", 1, "b"): "https://2", ("c",): "https://3"})
    assert changed == {"prompt": "x", "a": [{"b": "one"}, {"b": "https://2"}], "c": "https://3"}
    assert json.dumps(arguments) == before


def test_defaults_are_filled_in_given_objects_too() -> None:
    filled = with_defaults(FLUX, flux(image_size={"width": 640}))
    assert filled["image_size"] == {"width": 640, "height": 512}
    assert filled["num_images"] == 1
    assert filled["guidance_scale"] == 3.5
    assert "seed" not in filled


def test_where_the_schema_is_not_known_anything_passes() -> None:
    card = CATALOG.get("alibaba/happy-oyster")
    assert card.completeness == "none"
    checked = check(card, {"anything": 3, "image_url": "p.png"}, prompt="an oyster")
    assert checked.arguments == {"anything": 3, "image_url": "p.png", "prompt": "an oyster"}
    assert checked.media == (MediaUse(("image_url",), "image", "p.png"),)


def test_where_only_names_are_known_others_pass_and_it_is_said() -> None:
    card = card_of(
        {
            "type": "object",
            "properties": {"prompt": {"type": "string"}, "steps": {"type": "integer"}},
        },
        "names",
    )
    checked = check(card, {"prompt": "x", "step": 4, "steps": "many"})
    assert checked.arguments == {"prompt": "x", "step": 4, "steps": "many"}
    assert any(
        "step: not in the schema known here; passed on as given" in r for r in checked.repairs
    )
    assert any(r.startswith('steps: "many" passed on as given') for r in checked.repairs)


def test_huge_values_are_cut_and_binary_is_named() -> None:
    long = problem(FLUX, flux(output_format="x" * 100_000))
    assert len(long.value) <= 60
    assert "100000 characters" in long.value
    assert problem(FLUX, flux(num_images=10**5000)).value == "a number of more than 60 digits"
    assert problem(FLUX, flux(prompt=b"\x89PNG" * 999)).value == "binary data of 3996 bytes"
    assert "binary text" in problem(FLUX, flux(output_format="\x00\x01\x02" * 9)).value
    data = problem(FLUX, flux(output_format="data:image/png;base64," + "A" * 9000))
    assert data.value == "a data URI of 9022 characters"
    assert len(str(ArgumentsError("x", [long, data]))) < 700


@pytest.mark.parametrize(
    "secret",
    [
        KEY,
        f"Key {KEY}",
        "sk-abcdefghijklmnopqrstuvwxyz",
        "https://me:hunter2hunter2@x.test/a",
        {"api_key": "short"},
        f"https://x.test/a.png?token={'a1' * 20}",
    ],
)
def test_what_looks_like_a_secret_is_never_shown(secret: object) -> None:
    with pytest.raises(ArgumentsError) as caught:
        check(FLUX, flux(output_format=secret))
    assert "abcdef" not in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert "short" not in str(caught.value)
    assert "a1a1" not in str(caught.value)


def test_a_secret_as_a_parameter_name_is_not_shown_either() -> None:
    with pytest.raises(ArgumentsError) as caught:
        check(FLUX, flux(**{KEY: 1}))
    assert KEY not in str(caught.value)


def test_a_lone_surrogate_is_refused_because_it_cannot_be_sent() -> None:
    assert problem(FLUX, {"prompt": "fox \ud800"}).rule == "must be valid text"


def test_thousands_of_wrong_names_are_refused_quickly() -> None:
    started = time.process_time()
    found = problems(FLUX, flux(**{f"nonsense_{number}": number for number in range(20_000)}))
    assert len(found) == 20_000
    assert time.process_time() - started < 5


def test_deep_json_text_is_refused_and_not_followed() -> None:
    assert problem(LORA, flux(loras="[" * 100_000)).path == "loras"


def test_a_check_takes_less_than_a_millisecond() -> None:
    heavy = CATALOG.get("fal-ai/ltx-2.3-22b/reference-video-to-video/lora")
    arguments = {"prompt": "x", "video_url": "a.mp4", "loras": [{"path": "a", "scale": 1}]}
    best = min(_seconds(heavy, arguments) for _ in range(50))
    assert best < 0.001


def _seconds(card: ModelCard, arguments: dict[str, Any]) -> float:
    started = time.process_time()
    outcome(card, arguments)
    return time.process_time() - started


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)
IDS = st.sampled_from(CATALOG.ids)


@given(st.data(), IDS)
@settings(max_examples=150, deadline=None)
def test_any_json_for_any_card_either_passes_or_is_refused_in_words(
    data: st.DataObject, endpoint_id: str
) -> None:
    card = CATALOG.get(endpoint_id)
    names = (
        st.sampled_from([*card.properties, "nonsense"]) if card.properties else st.text(max_size=8)
    )
    arguments = data.draw(st.dictionaries(names, JSON, max_size=5))
    checked = outcome(card, arguments)
    if isinstance(checked, ArgumentsError):
        assert checked.problems
        assert all(len(found.value) <= 60 for found in checked.problems)
        str(checked).encode()
        return
    # What passed once passes again as it is: nothing is repaired twice.
    again = check(card, checked.arguments)
    assert again.arguments == checked.arguments or checked.arguments != checked.arguments
    json.dumps(checked.arguments, allow_nan=False, ensure_ascii=False).encode()


def test_every_shipped_default_passes_the_check_of_its_own_field() -> None:
    for card in CATALOG.cards():
        defaults = {name: s["default"] for name, s in card.properties.items() if "default" in s}
        refusal = outcome(card, defaults)
        if isinstance(refusal, ArgumentsError):
            wrong = [p for p in refusal.problems if not p.rule.startswith("is required")]
            assert not wrong, (card.endpoint_id, wrong)


@pytest.mark.parametrize(
    ("text", "app", "path"),
    [
        ("fal-ai/flux/dev", "fal-ai/flux", "dev"),
        ("fal-ai/flux", "fal-ai/flux", ""),
        (
            " /fal-ai/kling-video/v2.6/pro/image-to-video/ ",
            "fal-ai/kling-video",
            "v2.6/pro/image-to-video",
        ),
        ("workflows/jane/my-flow", "workflows/jane/my-flow", ""),
        ("comfy/jane/my-flow/run", "comfy/jane/my-flow", "run"),
        ("1234-fast-app", "1234/fast-app", ""),
    ],
)
def test_an_endpoint_id_is_cut_as_fals_clients_cut_it(text: str, app: str, path: str) -> None:
    endpoint = EndpointId.parse(text)
    assert (endpoint.app, endpoint.path) == (app, path)
    assert EndpointId.parse(str(endpoint)) == endpoint


@pytest.mark.parametrize(
    "text", ["", "flux", "fal-ai/", "workflows/jane", "a/../b", "a b/c", "x/" * 999]
)
def test_nonsense_is_no_endpoint_id_and_the_shape_is_said(text: str) -> None:
    with pytest.raises(ActionableError, match="owner/alias"):
        EndpointId.parse(text)


def test_every_shipped_id_is_an_endpoint_id() -> None:
    for endpoint_id in CATALOG.ids:
        assert str(EndpointId.parse(endpoint_id)) == endpoint_id
