"""Play ten everyday tasks against the real server and write what each took to `everyday.md`."""

import json
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import anyio
from mcp import Client
from mcp.types import CallToolResult, ImageContent, TextContent
from PIL import Image, ImageDraw

from server.app import build_server
from server.rooms import open_rooms
from server.settings import Settings
from tools.inventory import TOOLS

PAGE = Path(__file__).parent / "everyday.md"
QUICK = "fal-ai/flux/schnell"
SMALL = {"image_size": {"width": 256, "height": 256}}
# What a home is called in what is counted, so that its length does not count.
HOME = "/home/ada/falkit"
HEAD = """# Ten everyday tasks

What a scripted model needs for each, from a first search where it would search: calls, and the
bytes of the answers as a host shows them (some hosts show their model the text, some the
structured part, some both). Played on the embedded platform and written by `make everyday`; held to
the truth by a test. Pictures are previews and what `view_media` shows.

| asked | calls | text, bytes | structured, bytes | pictures | tools |
| --- | --- | --- | --- | --- | --- |
"""


@dataclass
class Assistant:
    """A scripted model; it counts what it is answered."""

    home: Path
    client: Client | None = None
    calls: list[str] = field(default_factory=list[str])
    refusals: list[str] = field(default_factory=list[str])
    text: int = 0
    structured: int = 0
    pictures: int = 0

    async def call(self, tool: str, **arguments: Any) -> dict[str, Any]:  # noqa: ANN401
        """Return the structured part of an answer; a refusal is kept, and returns nothing."""
        assert self.client is not None  # noqa: S101  # for the type checker
        self.calls.append(tool)
        answer = await self.client.call_tool(tool, arguments)
        self._count(answer)
        if answer.is_error:
            self.refusals.append(told(answer))
        return answer.structured_content or {}

    def _count(self, answer: CallToolResult) -> None:
        self.text += self._size(told(answer))
        if answer.structured_content:
            shown = json.dumps(answer.structured_content, separators=(",", ":"))
            self.structured += self._size(shown)
        self.pictures += sum(isinstance(block, ImageContent) for block in answer.content)

    def _size(self, text: str) -> int:
        return len(text.replace(str(self.home), HOME).encode())

    async def done(self, job: dict[str, Any]) -> dict[str, Any]:
        """Return *job* when it is over, as a model would follow it."""
        while job["state"] in ("planned", "approved", "queued", "running"):
            job = await self.call("job_status", job_id=job["job_id"], wait_seconds=45)
        return job


Task = Callable[[Assistant], Awaitable[None]]


def told(answer: CallToolResult) -> str:
    """Return the text of *answer*."""
    return "\n".join(block.text for block in answer.content if isinstance(block, TextContent))


def media_input(card: dict[str, Any], kind: str) -> str:
    """Return the name of the input of a described *card* that takes a *kind* of media."""
    return next(row.split(":")[0].rstrip("*") for row in card["inputs"] if f": {kind} (" in row)


async def animate(me: Assistant) -> None:
    """Make a picture of a red fox on a hill and animate it."""
    found = await me.call("search_models", query="a picture of a red fox on a hill")
    model = found["models"][0]["endpoint_id"]
    await me.call("describe_model", endpoint_id=model)
    picture = await me.done(
        await me.call("generate", endpoint_id=model, prompt="a red fox on a hill, evening light")
    )
    found = await me.call(
        "search_models",
        query="animate a picture",
        media_in=["image"],
        max_dollars=1,
        for_work="5 seconds",
    )
    model = found["models"][0]["endpoint_id"]
    card = await me.call("describe_model", endpoint_id=model)
    clip = await me.call(
        "generate",
        endpoint_id=model,
        prompt="the fox turns its head, slow push in",
        arguments={media_input(card, "image"): picture["job_id"]},
    )
    clip = await me.done(clip)
    await me.call("view_media", media=clip["job_id"])


async def cost_of_twenty(me: Assistant) -> None:
    """What would 20 of these cost?"""
    [last] = (await me.call("list_jobs", limit=1))["jobs"]
    await me.call(
        "estimate_cost",
        endpoint_id=last["endpoint_id"],
        arguments={"prompt": "a cup", **SMALL},
        runs=20,
    )


async def which_job(me: Assistant) -> None:
    """Which job made this file, and with what?"""
    file = min(me.home.joinpath("media").rglob("*.jpg"))
    await me.call("job_status", job_id=str(file))


async def talk(me: Assistant) -> None:
    """Make this photo say: welcome aboard."""
    speech = await me.done(
        await me.call("generate", task="text-to-speech", prompt="Welcome aboard.", prefer="cheap")
    )
    found = await me.call(
        "search_models",
        query="make a portrait talk from a picture and a recording",
        media_in=["image", "audio"],
        media_out=["video"],
    )
    model = found["models"][0]["endpoint_id"]
    card = await me.call("describe_model", endpoint_id=model)
    given = {
        media_input(card, "image"): str(me.home / "photo0.png"),
        media_input(card, "audio"): speech["job_id"],
    }
    clip = await me.done(await me.call("generate", endpoint_id=model, arguments=given))
    await me.call("view_media", media=clip["job_id"])


async def five_backgrounds(me: Assistant) -> None:
    """Remove the background of these five."""
    found = await me.call("search_models", query="remove the background of photos", limit=3)
    photos = [str(me.home / f"photo{number}.png") for number in range(5)]
    model = found["models"][0]["endpoint_id"]
    await me.done(await me.call("run_batch", endpoint_ids=[model], inputs=photos))


async def why(me: Assistant) -> None:
    """Why did it fail? Make it work."""
    [failed] = (await me.call("list_jobs", state="failed", limit=1))["jobs"]
    await me.call("job_status", job_id=failed["job_id"], logs=True)
    await me.done(
        await me.call("generate", from_job=failed["job_id"], prompt="two knights shake hands")
    )


async def after_restart(me: Assistant) -> None:
    """Go on with what I began before the restart."""
    unfinished = (await me.call("list_jobs", tag="poster"))["jobs"]
    await me.done(await me.call("job_status", job_id=unfinished[0]["job_id"], wait_seconds=45))


async def compare(me: Assistant) -> None:
    """Compare two cheap models on this prompt."""
    found = await me.call(
        "search_models", query="cheap picture of a cat", category="text-to-image", limit=4
    )
    models = [hit["endpoint_id"] for hit in found["models"][:2]]
    await me.call("estimate_cost", endpoint_ids=models, arguments={"prompt": "a cat"})
    batch = await me.call("run_batch", endpoint_ids=models, inputs=["a cat on a wall"])
    batch = await me.done(batch)
    await me.call("view_media", media=batch["job_id"])


async def half_remembered(me: Assistant) -> None:
    """Use flux schnel with two images (a name and an argument that are not quite right)."""
    wrong = {"num_image": 2, **SMALL}
    await me.call("generate", endpoint_id="fal-ai/flux/schnel", prompt="a cup", arguments=wrong)
    await me.call("generate", endpoint_id=QUICK, prompt="a cup", arguments=wrong)
    right = {"num_images": 2, **SMALL}
    await me.done(await me.call("generate", endpoint_id=QUICK, prompt="a cup", arguments=right))


async def code_and_bill(me: Assistant) -> None:
    """Give me Python for a picture of a cup, and what did today cost?"""
    await me.call("write_code", endpoint_id=QUICK, arguments={"prompt": "a cup"})
    await me.call("spending", period="day")


TASKS: tuple[Task, ...] = (
    code_and_bill,
    animate,
    cost_of_twenty,
    which_job,
    talk,
    five_backgrounds,
    why,
    after_restart,
    compare,
    half_remembered,
)
SLOW = (animate, talk, five_backgrounds, compare)


@asynccontextmanager
async def house(home: Path, **more: str) -> AsyncGenerator[Client]:
    """Yield a client of the server with a private *home*, whose platform does not wait."""
    settings = Settings.read(
        {
            "FALKIT_BACKEND": "emulator",
            "FALKIT_HOME": str(home / "house"),
            "FALKIT_MEDIA": str(home / "media"),
            "FALKIT_ROOTS": str(home),
            "FALKIT_EMULATOR_SPEED": "0",
            **more,
        }
    )
    async with (
        open_rooms(settings) as rooms,
        Client(build_server(rooms, TOOLS, rooms.approve)) as client,
    ):
        yield client


async def before(home: Path) -> None:
    """Make what the tasks speak of: photos, a picture, a refused job, and one cut off."""
    for number in range(5):
        photo = Image.new("RGB", (320, 240), (40 * number, 120, 160))
        ImageDraw.Draw(photo).ellipse((90, 50, 230, 190), fill="wheat")
        photo.save(home / f"photo{number}.png")
    asked: dict[str, Any] = {"endpoint_id": QUICK, "arguments": SMALL}
    async with house(home, FALKIT_EMULATOR_FAULTS="moderation") as client:
        await client.call_tool("generate", {**asked, "prompt": "two knights fight"})
    async with house(home) as client:
        await client.call_tool("generate", {**asked, "prompt": "a cup"})
        poster = {**asked, "prompt": "a poster", "wait_seconds": 0, "tags": ["poster"]}
        await client.call_tool("generate", poster)


async def played(home: Path, tasks: tuple[Task, ...] = TASKS) -> list[tuple[str, Assistant]]:
    """Return what is asked in each of *tasks*, and what it took, on one house under *home*."""
    await before(home)
    took: list[tuple[str, Assistant]] = []
    async with house(home) as client:
        for task in tasks:
            me = Assistant(home, client)
            await task(me)
            took.append((str(task.__doc__), me))
    return took


def row(asked: str, me: Assistant) -> str:
    """Return the row of a task; bytes to the next hundred, since times and ids vary."""
    used = ", ".join(f"`{tool}`" for tool in dict.fromkeys(me.calls))
    text, structured = (-(-size // 100) * 100 for size in (me.text, me.structured))
    return f"| {asked} | {len(me.calls)} | {text:,} | {structured:,} | {me.pictures} | {used} |"


def page(took: list[tuple[str, Assistant]]) -> str:
    """Return the whole page."""
    rows = [row(asked, me) for asked, me in took]
    every = [me for _, me in took]
    calls = sum(len(me.calls) for me in every)
    sizes = [sum(me.text for me in every), sum(me.structured for me in every)]
    end = (
        f"\nTogether {calls} calls, some {sizes[0] // 1000} KB of text or {sizes[1] // 1000} KB "
        "structured, and no dead end: each refusal among them names what would be right.\n"
    )
    return HEAD + "\n".join(rows) + "\n" + end


if __name__ == "__main__":
    with TemporaryDirectory() as folder:
        PAGE.write_text(page(anyio.run(played, Path(folder))), "utf-8")
    sys.stdout.write("docs/everyday.md is written\n")
