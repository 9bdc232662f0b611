"""What can be done to media: every default model fits its operation, and misfits say so."""

import pytest

from catalog.card import ModelCard
from catalog.errors import ActionableError
from catalog.index import CatalogIndex
from catalog.operation_fit import Fitting, fit
from catalog.operations import OPERATIONS, Operation, operation_named
from catalog.schema import check

CATALOG = CatalogIndex.open()
DEFAULTS = [
    pytest.param(operation, kind, endpoint_id, id=f"{operation.name}-{kind}-{endpoint_id}")
    for operation in OPERATIONS.values()
    for kind, ids in {**operation.endpoints, "masked": operation.masked}.items()
    for endpoint_id in ids
]


@pytest.mark.parametrize(("operation", "kind", "endpoint_id"), DEFAULTS)
def test_every_default_model_exists_and_takes_what_its_operation_brings(
    operation: Operation, kind: str, endpoint_id: str
) -> None:
    card = CATALOG.get(endpoint_id)
    assert card.status == "active"
    assert card.completeness == "full"

    fitting = fit(card, operation)
    assert fitting.missing == ()
    assert kind in ("masked", fitting.kind)

    media = f"https://example.com/{fitting.kind}"
    mask = "https://example.com/mask.png" if kind == "masked" or operation.mask == "needed" else ""
    words = "a calm sea" if fitting.instruction else ""
    references = ["https://example.com/b.png"] if operation.references == "needed" else []
    checked = check(card, fitting.arguments(media, words, mask, references))
    assert checked.repairs == ()
    assert media in [use.value for use in checked.media]
    if mask:
        assert mask in [use.value for use in checked.media]


def test_every_operation_has_a_model_and_says_what_it_does() -> None:
    assert list(OPERATIONS)[:2] == ["instruct", "inpaint"]
    for name, operation in OPERATIONS.items():
        assert operation.name == name
        assert operation.does
        assert all(operation.models(kind) for kind in operation.endpoints)


def test_a_list_takes_the_picture_first_and_its_references_after() -> None:
    fitting = fit(CATALOG.get("fal-ai/nano-banana-2/edit"), "combine")
    assert fitting.arguments("a.png", "put them together", references=["b.png", "c.png"]) == {
        "prompt": "put them together",
        "image_urls": ["a.png", "b.png", "c.png"],
    }


def test_a_mask_and_words_go_to_the_fields_of_the_card() -> None:
    fitting = fit(CATALOG.get("bria/genfill/v2"), "inpaint")
    assert fitting.arguments("a.png", "a red door", "m.png") == {
        "image_url": "a.png",
        "mask_url": "m.png",
        "instruction": "a red door",
    }


def test_a_colouring_needs_no_words() -> None:
    general = fit(CATALOG.get("fal-ai/nano-banana-2/edit"), "colourise").arguments("a.png")
    assert general["prompt"].startswith("Colourise")
    own = fit(CATALOG.get("bria/fibo-edit/colorize"), "colourise").arguments("a.png")
    assert own == {"color": "contemporary color", "image_url": "a.png"}


def test_a_mask_chooses_other_models_for_erasing() -> None:
    erase = OPERATIONS["erase"]
    assert erase.models("image", mask=True) == erase.masked
    assert erase.models("image") == erase.endpoints["image"]


@pytest.mark.parametrize(
    ("endpoint_id", "operation", "words"),
    [
        ("fal-ai/flux-pro/kontext", "inpaint", "takes no mask, which inpaint needs"),
        ("fal-ai/flux-pro/kontext", "combine", "takes no references"),
        ("fal-ai/bria/background/remove", "instruct", "takes no instruction"),
        ("fal-ai/bria/background/remove", "erase", "takes no mask or words"),
        ("fal-ai/flux/dev", "upscale", "takes no media"),
    ],
)
def test_a_card_that_cannot_do_it_says_why_and_names_models_that_can(
    endpoint_id: str, operation: str, words: str
) -> None:
    with pytest.raises(ActionableError, match=words) as caught:
        fit(CATALOG.get(endpoint_id), operation)
    assert "/" in caught.value.hint


def bria() -> Fitting:
    return fit(CATALOG.get("fal-ai/bria/eraser"), "erase")


def test_what_is_given_beyond_the_card_or_missing_is_refused() -> None:
    with pytest.raises(ActionableError, match="takes no instruction"):
        bria().arguments("a.png", "the lamp", "m.png")
    with pytest.raises(ActionableError, match="erase needs a mask or words"):
        bria().arguments("a.png")
    with pytest.raises(ActionableError, match="inpaint needs a mask"):
        fit(CATALOG.get("fal-ai/flux-pro/v1/fill"), "inpaint").arguments("a.png", "a door")
    with pytest.raises(ActionableError, match="instruct needs an instruction"):
        fit(CATALOG.get("fal-ai/nano-banana-2/edit"), "instruct").arguments("a.png")
    replace = fit(CATALOG.get("fal-ai/bria/background/replace"), "replace_background")
    with pytest.raises(ActionableError, match="takes one reference, 2 were given"):
        replace.arguments("a.png", "a beach", references=["b.png", "c.png"])


def test_required_inputs_that_no_operation_fills_are_named() -> None:
    assert fit(CATALOG.get("fal-ai/bria/expand"), "outpaint").missing == ("canvas_size",)


def test_other_words_for_an_operation_serve_and_unknown_ones_name_the_nearest() -> None:
    assert operation_named("Colorize").name == "colourise"
    assert operation_named("remove background").name == "remove_background"
    with pytest.raises(ActionableError, match="no operation 'upscal'") as caught:
        operation_named("upscal")
    assert "nearest: upscale" in caught.value.hint
    with pytest.raises(ActionableError, match="does not work on audio"):
        OPERATIONS["inpaint"].models("audio")


def test_any_card_either_fits_or_refuses_in_words() -> None:
    def outcome(card: ModelCard, name: str) -> Fitting | ActionableError:
        try:
            return fit(card, name)
        except ActionableError as refusal:
            return refusal

    fitting = 0
    for card in CATALOG.cards():
        for name in OPERATIONS:
            made = outcome(card, name)
            if isinstance(made, Fitting):
                fitting += 1
                assert made.media in card.properties
            else:
                assert made.hint
    assert fitting > 3000
