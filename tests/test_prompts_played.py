"""A scripted model goes through each prompt with the real tools and ends where it promises."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from mcp import Client
from PIL import Image

from prompts.library import PROMPTS, offered
from tests.emulated import emulated
from tests.house import connected
from tests.made_media import picture
from tests.reader import Reader
from tools.inventory import TOOLS

Story = Callable[[Reader, Path], Awaitable[None]]
SMALL = {"width": 64, "height": 64}
QUICK = "fal-ai/flux/schnell"


async def text_to_image(reader: Reader, home: Path) -> None:
    await reader.read(subject="a fox at night", use="poster", most_dollars="0.10")
    model = await reader.choose("a picture of a fox", "image_size", max_dollars=0.1)
    asked = {"image_size": SMALL, "seed": 3}
    price = await reader.call(
        "estimate_cost", endpoint_id=model, arguments={**asked, "prompt": "a fox"}
    )
    assert price["high"] <= 0.1
    job = await reader.run(model, prompt="a fox", arguments=asked, max_dollars=0.1)
    assert job["seed"] == 3
    await reader.look(job["job_id"])
    await reader.call(
        "edit", operation="instruct", media=job["job_id"], instruction="make the sky red"
    )
    reader.end()


async def edit_with_words(reader: Reader, home: Path) -> None:
    photo = picture(home / "mug.png")
    await reader.read(picture=str(photo), change="make the mug blue", keep="the background")
    await reader.look(str(photo))
    asked = {"operation": "instruct", "instruction": "make the mug blue, keep the background"}
    job = await reader.call("edit", media=str(photo), wait_seconds=0, max_dollars=1, **asked)
    job = await reader.over(job)
    await reader.look(job["job_id"])
    await reader.call("edit", operation="upscale", media=job["job_id"])
    reader.end()


async def restore_an_old_photo(reader: Reader, home: Path) -> None:
    scan = picture(home / "scan.png")
    await reader.read(photo=str(scan), colour="natural colours", enlarge="2 times")
    await reader.look(str(scan))
    model = await reader.choose("restore an old photo", "image_url", media_in=["image"])
    given = {"image_url": str(scan)}
    await reader.call("estimate_cost", endpoint_id=model, arguments=given)
    mended = await reader.run(model, arguments=given)
    await reader.look(mended["job_id"])
    coloured = await reader.call("edit", operation="colourise", media=mended["job_id"])
    await reader.call("edit", operation="upscale", media=coloured["job_id"])
    reader.end()


async def choose_a_model(reader: Reader, home: Path) -> None:
    await reader.read(need="logos with readable text", amount="20 pictures", matters="price")
    found = await reader.call("search_models", query="logos with readable text")
    three = [hit["endpoint_id"] for hit in found["models"][:3]]
    for model in three:
        await reader.call("describe_model", endpoint_id=model)
    laid = await reader.call(
        "estimate_cost", endpoint_ids=three, arguments={"prompt": "a logo"}, runs=20
    )
    assert len(laid["estimates"]) == 3
    reader.end(files=False)


async def compare_models(reader: Reader, home: Path) -> None:
    await reader.read(prompt="a sign that reads OPEN", matters="readable text")
    found = await reader.call(
        "search_models", query="cheap picture", max_dollars=0.05, category="text-to-image"
    )
    models: list[str] = []
    for hit in found["models"]:
        told = await reader.call("describe_model", endpoint_id=hit["endpoint_id"])
        if any(row.startswith("image_size") for row in told["inputs"]):
            models.append(hit["endpoint_id"])
    models = models[:2]
    shared = {"prompt": "a sign that reads OPEN", "image_size": SMALL}
    await reader.call("estimate_cost", endpoint_ids=models, arguments=shared)
    batch = await reader.call(
        "run_batch",
        endpoint_ids=models,
        inputs=[{}],
        arguments=shared,
        max_dollars=1,
        wait_seconds=0,
    )
    batch = await reader.over(batch)
    assert [item["state"] for item in batch["items"]] == ["done", "done"]
    for item in batch["items"]:
        await reader.look(item["job_id"])
    reader.end()


async def fix_a_failing_call(reader: Reader, home: Path) -> None:
    async with emulated(home / "house" / "emulator") as control:
        await control.post("/_emulator/faults", json={"fault": "moderation"})
    await reader.client.call_tool(
        "generate", {"endpoint_id": QUICK, "prompt": "a duel", "arguments": {"image_size": SMALL}}
    )
    await reader.read(problem="the picture was refused")
    [failed] = (await reader.call("list_jobs", state="failed"))["jobs"]
    job = await reader.failed(failed["job_id"])
    assert job["error"]["type"] == "content_policy_violation"
    assert job["error"]["hint"]
    await reader.call("describe_model", endpoint_id=QUICK, detail="full")
    await reader.look(str(picture(home / "given.png")))
    refusal = await reader.refused("estimate_cost", endpoint_id=QUICK, arguments={"promt": "x"})
    assert "nearest: prompt" in refusal
    mended = await reader.call("generate", from_job=failed["job_id"], prompt="two foxes play")
    assert mended["state"] == "done"
    await reader.look(mended["job_id"])
    reader.end()


async def batch_under_a_budget(reader: Reader, home: Path) -> None:
    await reader.read(work="an icon of", inputs="a fox; an owl; a hare", most_dollars="0.5")
    model = await reader.choose(
        "a picture of an animal", "image_size", max_dollars=0.16, for_work="1 image"
    )
    left = await reader.call("spending")
    assert left["limits"]
    shape = {"image_size": SMALL}
    price = await reader.call(
        "estimate_cost", endpoint_id=model, arguments={"prompt": "a fox", **shape}, runs=3
    )
    assert price["high"] <= 0.5
    first = await reader.call("generate", endpoint_id=model, prompt="a fox", arguments=shape)
    await reader.look(first["job_id"])
    batch = await reader.call(
        "run_batch",
        endpoint_ids=[model],
        inputs=["an owl", "a hare"],
        arguments=shape,
        max_dollars=0.4,
        wait_seconds=0,
    )
    batch = await reader.over(batch)
    assert {item["state"] for item in batch["items"]} == {"done"}
    spent = await reader.call("spending")
    assert spent["rows"]
    reader.end()


async def write_client_code(reader: Reader, home: Path) -> None:
    await reader.read(need="speech for a shop's phone line", language="python", style="webhook")
    model = await reader.choose("text to speech", "prompt")
    asked = {"prompt": "Good morning."}
    await reader.call("estimate_cost", endpoint_id=model, arguments=asked)
    written = await reader.call(
        "write_code", endpoint_id=model, arguments=asked, language="python", style="webhook"
    )
    compile(written["code"], "program", "exec")
    assert model in written["code"]
    reader.end(files=False)


async def narration_with_sound(reader: Reader, home: Path) -> None:
    text = "The boats came home before the storm."
    await reader.read(text=text, language="English", voice="calm", sound="rain")
    voice = await reader.choose("text to speech in English", "prompt")
    await reader.call("estimate_cost", endpoint_id=voice, arguments={"prompt": text})
    speech = await reader.run(voice, prompt=text)
    seconds = speech["outputs"][0]["seconds"]
    assert "silent" not in await reader.look(speech["job_id"])
    effects = await reader.choose("sound effects of rain", "text", "duration_seconds")
    rain = await reader.run(
        effects, arguments={"text": "rain on a roof", "duration_seconds": max(seconds, 1)}
    )
    assert rain["outputs"][0]["seconds"] == pytest.approx(max(seconds, 1), abs=0.2)
    reader.end()


async def product_photos(reader: Reader, home: Path) -> None:
    photo = picture(home / "bottle.png")
    await reader.read(product=str(photo), scenes="white background; on a beach; on a table")
    await reader.look(str(photo))
    cut = await reader.call("edit", operation="remove_background", media=str(photo))
    model = await reader.choose("put a product into a scene", "image_url", media_in=["image"])
    given = {"image_url": cut["job_id"]}
    told = await reader.call("describe_model", endpoint_id=model)
    text = next((row.split(":")[0].rstrip("*") for row in told["inputs"] if "text" in row), "")
    await reader.call("estimate_cost", endpoint_id=model, arguments=given, runs=2)
    scenes = [{text: f"on a {place}"} if text else {} for place in ("beach", "table")]
    first = await reader.call("generate", endpoint_id=model, arguments={**given, **scenes[0]})
    await reader.look(first["job_id"])
    batch = await reader.call(
        "run_batch", endpoint_ids=[model], inputs=scenes[1:], arguments=given, wait_seconds=0
    )
    assert (await reader.over(batch))["state"] == "done"
    reader.end()


async def consistent_character(reader: Reader, home: Path) -> None:
    await reader.read(character="Ada, red hair, green coat", scenes="in a boat; on a roof")
    model = await reader.choose(
        "consistent character in several pictures",
        "prompt",
        "reference_image_urls",
        features=["reference images"],
    )
    await reader.call(
        "estimate_cost",
        endpoint_id=model,
        arguments={"prompt": "Ada", "reference_image_urls": ["https://example.com/ada.png"]},
        runs=2,
    )
    sheet = await reader.run(QUICK, prompt="Ada, whole figure", arguments={"image_size": SMALL})
    await reader.look(sheet["job_id"])
    batch = await reader.call(
        "run_batch",
        endpoint_ids=[model],
        inputs=["Ada, in a boat", "Ada, on a roof"],
        arguments={"reference_image_urls": [sheet["job_id"]], "seed": 5, "image_size": "square"},
        max_dollars=1,
    )
    batch = await reader.over(batch)
    first = batch["items"][0]["job_id"]
    await reader.look(first)
    await reader.call(
        "edit",
        operation="combine",
        media=first,
        references=[sheet["job_id"]],
        instruction="give the woman of the first picture the coat of the second",
    )
    reader.end()


async def image_to_video(reader: Reader, home: Path) -> None:
    photo = picture(home / "sea.png", (96, 64))
    await reader.read(image=str(photo), motion="waves roll in", seconds="5", most_dollars="2")
    await reader.look(str(photo))
    model = await reader.choose(
        "animate a picture",
        "image_url",
        "prompt",
        "duration",
        media_in=["image"],
        media_out=["video"],
        max_dollars=2,
        for_work="5 seconds",
    )
    given = {"image_url": str(photo), "duration": "5"}
    await reader.call("estimate_cost", endpoint_id=model, arguments={"prompt": "waves", **given})
    clip = await reader.run(model, prompt="waves roll in, static camera", arguments=given)
    assert clip["outputs"][0]["seconds"] == pytest.approx(5, abs=0.5)
    await reader.look(clip["job_id"])
    reader.end()


async def talking_portrait(reader: Reader, home: Path) -> None:
    face = picture(home / "face.png", (96, 96))
    await reader.read(portrait=str(face), words="Welcome aboard.", language="English")
    await reader.look(str(face))
    voice = await reader.choose("text to speech in English", "prompt")
    speech = await reader.call("generate", endpoint_id=voice, prompt="Welcome aboard.")
    model = await reader.choose(
        "make a portrait talk from a picture and a recording",
        "image_url",
        "audio_url",
        media_in=["image", "audio"],
        media_out=["video"],
    )
    given = {"image_url": str(face), "audio_url": speech["job_id"]}
    await reader.call("estimate_cost", endpoint_id=model, arguments=given)
    clip = await reader.run(model, arguments=given)
    assert clip["outputs"][0]["has_sound"]
    await reader.look(clip["job_id"])
    reader.end()


async def storyboard_to_film(reader: Reader, home: Path) -> None:
    await reader.read(story="A fox finds a key", shots="2", shape="1:1", most_dollars="5")
    frames = await reader.choose("a picture from words", "image_size")
    motion = await reader.choose(
        "animate a picture",
        "image_url",
        "prompt",
        "duration",
        media_out=["video"],
        max_dollars=2,
        for_work="5 seconds",
    )
    joining = await reader.choose("join videos one after another", "video_urls")
    await reader.call(
        "estimate_cost",
        endpoint_id=motion,
        arguments={
            "prompt": "runs",
            "image_url": "https://example.com/frame.png",
            "duration": "5",
        },
        runs=2,
    )
    drawn = await reader.call(
        "run_batch",
        endpoint_ids=[frames],
        inputs=["a fox", "a key"],
        arguments={"image_size": SMALL},
    )
    shots = [item["job_id"] for item in drawn["items"]]
    for shot in shots:
        await reader.look(shot)
    steps = [
        {
            "name": f"shot{number}",
            "endpoint_id": motion,
            "arguments": {"prompt": "slow push in", "image_url": shot, "duration": "5"},
        }
        for number, shot in enumerate(shots, start=1)
    ]
    film = {
        "name": "film",
        "endpoint_id": joining,
        "arguments": {"video_urls": ["$shot1", "$shot2"]},
    }
    whole = await reader.call("run_pipeline", steps=[*steps, film], max_dollars=10, wait_seconds=0)
    whole = await reader.over(whole)
    assert whole["state"] == "done", whole
    await reader.look(whole["steps"][-1]["job_id"])
    reader.end()


async def train_a_style(reader: Reader, home: Path) -> None:
    folder = home / "style"
    folder.mkdir()
    for number in range(10):
        Image.new("RGB", (64, 64), (25 * number, 80, 120)).save(folder / f"{number}.png")
    await reader.read(folder=str(folder), teaches="style", trigger="ohwx", most_dollars="5")
    await reader.look(str(folder / "0.png"))
    trainer = await reader.choose(
        "train a style LoRA from a folder of pictures", "images_data_url", "trigger_word"
    )
    asked = {"images_data_url": str(folder), "trigger_word": "ohwx"}
    await reader.call("estimate_cost", endpoint_id=trainer, arguments=asked)
    await reader.call("spending")
    weights = await reader.run(trainer, arguments=asked, max_dollars=5)
    model = await reader.choose("text to image with lora weights flux", "loras", features=["lora"])
    for scale in (None, 1.0, 0.5):
        loras = [{"path": weights["job_id"], "scale": scale}] if scale else []
        trial = await reader.run(
            model,
            prompt="ohwx, a boat",
            arguments={"seed": 7, "image_size": SMALL, "loras": loras},
        )
        await reader.look(trial["job_id"])
    reader.end()


STORIES: dict[str, Story] = {
    "text_to_image": text_to_image,
    "image_to_video": image_to_video,
    "edit_with_words": edit_with_words,
    "product_photos": product_photos,
    "consistent_character": consistent_character,
    "restore_an_old_photo": restore_an_old_photo,
    "talking_portrait": talking_portrait,
    "narration_with_sound": narration_with_sound,
    "storyboard_to_film": storyboard_to_film,
    "choose_a_model": choose_a_model,
    "compare_models": compare_models,
    "batch_under_a_budget": batch_under_a_budget,
    "fix_a_failing_call": fix_a_failing_call,
    "write_client_code": write_client_code,
    "train_a_style": train_a_style,
}
IN_ONE_HOUSE = ("fix_a_failing_call", "choose_a_model", "write_client_code", "text_to_image")


async def played(client: Client, name: str, home: Path) -> None:
    await STORIES[name](Reader(client, name), home)


def test_every_prompt_that_is_offered_has_a_story() -> None:
    deploying = {name for name, one in PROMPTS.items() if "deploy_apply" in one.tools}
    assert set(offered({tool.name for tool in TOOLS})) - deploying == set(STORIES)


async def test_quick_prompts_lead_in_their_order_to_what_they_promise(tmp_path: Path) -> None:
    async with connected(tmp_path) as client:
        for name in IN_ONE_HOUSE:
            await played(client, name, tmp_path)


@pytest.mark.proof
@pytest.mark.parametrize("name", STORIES)
async def test_a_prompt_leads_in_its_order_to_what_it_promises(tmp_path: Path, name: str) -> None:
    async with connected(tmp_path) as client:
        await played(client, name, tmp_path)
