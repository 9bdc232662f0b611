"""Every card's example goes through the queue; its files open and fit what the card promises."""

import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import anyio
import httpx
import jsonschema
import pytest
from PIL import Image

from catalog.card import ModelCard
from catalog.describe import example_arguments
from catalog.index import CatalogIndex
from server.emulator.fitting import fit
from tests.emulated import BASE, emulated, over
from tests.made import given_files, seen

BLOCKS = 40
PLACEHOLDER = "https://example.com/"
LEAST: Mapping[str, Any] = {"num_images": 1, "image_size": {"width": 64, "height": 64}}


async def given_addresses(client: httpx.AsyncClient, folder: Path) -> dict[str, str]:
    """Upload one file of each kind and return where it lies, by the ending of placeholders."""
    kinds = {"image": "image/png", "video": "video/mp4", "audio": "audio/wav"}
    found: dict[str, str] = {}
    for url, path in given_files(folder).items():
        kind = url.rpartition("/")[2]
        headers = {"content-type": kinds.get(kind, "application/octet-stream")}
        headers["x-fal-file-name"] = path.name
        token = (await client.post("/rest/storage/auth/token", json={})).json()
        headers["authorization"] = f"{token['token_type']} {token['token']}"
        answer = await client.post("/cdn/files/upload", content=path.read_bytes(), headers=headers)
        assert answer.status_code == 200, answer.text
        found[kind] = answer.json()["access_url"]
    return found


def with_given(value: Any, given: Mapping[str, str]) -> Any:
    """Return an example with real files in place of its placeholders."""
    if isinstance(value, str) and value.startswith(PLACEHOLDER):
        ending = value.rpartition(".")[2]
        kinds = {"mp4": "video", "mp3": "audio", "wav": "audio", "png": "image", "jpg": "image"}
        # A file of any kind may be a picture; what wants an archive would refuse one.
        usual = "image" if ending == "bin" else "archive"
        return given[kinds.get(ending, usual)]
    if isinstance(value, dict):
        entries = cast("dict[str, Any]", value)
        return {name: with_given(part, given) for name, part in entries.items()}
    if isinstance(value, list):
        return [with_given(part, given) for part in cast("list[Any]", value)]
    return value


def addresses_in(value: Any) -> Iterator[str]:
    """Yield the address of every file of this emulator in an output."""
    if isinstance(value, str) and value.startswith(f"{BASE}/cdn/"):
        yield value
    if isinstance(value, dict):
        for part in cast("dict[str, Any]", value).values():
            yield from addresses_in(part)
    if isinstance(value, list):
        for part in cast("list[Any]", value):
            yield from addresses_in(part)


async def opens(client: httpx.AsyncClient, url: str, folder: Path) -> None:
    """Fail unless the file at *url* is whole, and of media that its type names."""
    answer = await client.get(url)
    assert answer.status_code == 200, url
    assert answer.content, url
    kind = answer.headers["content-type"].partition("/")[0]
    if kind in ("video", "audio"):
        path = folder / "opened"
        await anyio.Path(path).write_bytes(answer.content)
        facts = seen(path)
        assert facts.get("frames") or facts["sound"], url
    elif kind == "image" and "svg" not in answer.headers["content-type"]:
        with Image.open(io.BytesIO(answer.content)) as picture:
            picture.load()


async def proven(
    client: httpx.AsyncClient, card: ModelCard, given: Mapping[str, str], folder: Path
) -> None:
    """Run the example of *card* through the queue and look at all that comes back."""
    arguments = with_given(example_arguments(card), given)
    for name, value in LEAST.items():
        smaller = {**arguments, name: value}
        if not fit(card, smaller)[1]:  # some sizes are words, some fields are unknown
            arguments = smaller
    submit = await client.post(f"/queue/{card.endpoint_id}", json=arguments)
    assert submit.status_code == 200, submit.text
    told = submit.json()
    status = await over(client, told["status_url"])
    result = await client.get(told["response_url"])
    assert result.status_code == 200, result.text
    assert status.get("error") is None
    assert float(result.headers["x-fal-billable-units"]) >= 0
    if card.output_schema:
        jsonschema.validate(result.json(), dict(card.output_schema))
    for url in sorted(set(addresses_in(result.json())) - set(given.values())):
        await opens(client, url, folder)


async def failures_of(cards: list[ModelCard], folder: Path) -> dict[str, str]:
    """Return what went wrong, by endpoint id."""
    wrong: dict[str, str] = {}
    async with emulated(folder / "state") as client:
        given = await given_addresses(client, folder)
        for card in cards:
            try:
                with anyio.fail_after(120):
                    await proven(client, card, given, folder)
            except Exception as problem:  # every card is tried; all failures are told together
                wrong[card.endpoint_id] = f"{type(problem).__name__}: {str(problem)[:300]}"
    return wrong


async def test_an_example_goes_through_the_queue_and_its_file_opens(tmp_path: Path) -> None:
    catalog = CatalogIndex.open()
    # The second has an optional file whose default is an empty text.
    cards = [catalog.get(name) for name in ("fal-ai/flux/schnell", "fal-ai/post-processing")]
    assert await failures_of(cards, tmp_path) == {}


@pytest.mark.proof
@pytest.mark.parametrize("block", range(BLOCKS))
async def test_every_card_runs_and_what_it_makes_opens_and_fits_its_schema(
    block: int, tmp_path: Path
) -> None:
    cards = [card for card in CatalogIndex.open().cards() if not card.seed_only][block::BLOCKS]
    assert await failures_of(cards, tmp_path) == {}
