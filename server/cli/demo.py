"""`falkit demo`: a real MCP client plays the main job against the embedded platform."""

import base64
import os
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
from mcp import Client, StdioServerParameters
from mcp.types import CallToolResult, ImageContent, TextContent

from catalog.errors import ActionableError
from server.cli.connect import connect_words

SCENE = "a lighthouse on a rocky coast at golden hour, calm sea, seagulls"
CHANGE = "turn it into a starry night with a full moon"
MOTION = "the beam sweeps slowly across the water, waves roll in, the sound of the sea"
MOST_DOLLARS = 2
PLACEHOLDER = "https://example.com/"  # what media are in an example


@dataclass(slots=True)
class Story:
    """What the page at the end shows: chapters with their words and files."""

    folder: Path
    chapters: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])

    def tell(self, title: str, words: str, files: list[str] | None = None) -> None:
        """Print a chapter and keep it for the page."""
        print(f"\n{len(self.chapters) + 1}. {title}", flush=True)
        for line in words.splitlines():
            print(f"   {line}", flush=True)
        names = [os.path.relpath(file, self.folder) for file in files or []]
        self.chapters.append({"title": title, "words": words, "files": names})


async def play(folder: Path) -> None:
    """Search, describe, price, make, edit, animate, look and list; leave files in *folder*."""
    began = time.monotonic()
    print("falkit demo: a real MCP client drives `falkit serve` over stdio.")
    print("No key is used and nothing is paid: media are local previews from the emulator.")
    story = Story(folder)
    with tempfile.TemporaryDirectory(prefix="falkit-demo-") as home:
        server = StdioServerParameters(
            command=sys.executable,
            args=["-m", "falkit", "serve"],
            env=private(os.environ, Path(home), folder),
        )
        async with Client(server) as client:
            await main_job(client, story)
    page = await anyio.to_thread.run_sync(_write_page, story)
    print(f"\nDone in {time.monotonic() - began:.0f} s. Files: {folder}")
    print(f"Open {page} to see them.\n")
    print(connect_words())


def private(environ: Mapping[str, str], home: Path, media: Path) -> dict[str, str]:
    """Return *environ* without any fal setting, with the emulator, a private *home* and *media*."""
    kept = {
        name: value for name, value in environ.items() if not name.startswith(("FAL_", "FALKIT_"))
    }
    return {
        **kept,
        "FALKIT_BACKEND": "emulator",
        "FALKIT_HOME": str(home),
        "FALKIT_MEDIA": str(media),
        "FALKIT_ROOTS": str(media),
    }


async def main_job(client: Client, story: Story) -> None:
    """Do the main job once with the tools of *client*, as an assistant would, and tell it."""
    found = await ask(
        client, "search_models", query="photorealistic picture from a text prompt", limit=3
    )
    story.tell("Search in plain words: a photorealistic picture from a text prompt", words(found))
    chosen = structured(found)["models"][0]["endpoint_id"]

    described = await ask(client, "describe_model", endpoint_id=chosen)
    story.tell(f"Describe {chosen}", words(described))
    extra = _shape(structured(described)["inputs"])

    price = await ask(
        client, "estimate_cost", endpoint_id=chosen, arguments={"prompt": SCENE, **extra}
    )
    story.tell("What it would cost, before anything is paid", words(price))

    picture = await ask(
        client,
        "generate",
        endpoint_id=chosen,
        prompt=SCENE,
        arguments=extra,
        max_dollars=MOST_DOLLARS,
    )
    story.tell(f"Generate: {SCENE}", words(picture), _files(picture))

    edited = await ask(
        client,
        "edit",
        operation="instruct",
        media=structured(picture)["job_id"],
        instruction=CHANGE,
        max_dollars=MOST_DOLLARS,
    )
    story.tell(f"Edit it with words: {CHANGE}", words(edited), _files(edited))

    movers = await ask(
        client,
        "search_models",
        query="animate a picture into a video with sound",
        media_in=["image"],
        media_out=["video"],
        features=["sound"],
        max_dollars=0.15,
        for_work="1 second",
        limit=3,
    )
    story.tell("Search: animate a picture with sound, under 15 cents a second", words(movers))

    video = await _animate(client, structured(movers)["models"], structured(edited)["job_id"])
    story.tell(f"Turn it into a video with sound: {MOTION}", words(video), _files(video))
    job_id = structured(video)["job_id"]

    view = await ask(client, "view_media", media=job_id, frames=6)
    sheet = _save_picture(view, story.folder / "video-sheet.jpg")
    story.tell("Look at it: frames in order", words(view), [sheet])

    status = await ask(client, "job_status", job_id=job_id, wait_seconds=0, logs=True)
    story.tell("Follow the job: where it stands, with the model's log", words(status))
    history = await ask(client, "list_jobs")
    story.tell("List the history", words(history))


async def _animate(
    client: Client, models: list[dict[str, Any]], picture_job: str
) -> CallToolResult:
    """Return the finished video job, waiting for it as an assistant would."""
    endpoint_id = models[0]["endpoint_id"]
    described = await ask(client, "describe_model", endpoint_id=endpoint_id)
    fields = [row.split(":")[0].rstrip("*") for row in structured(described)["inputs"]]
    image = next(name for name in fields if name in ("image_url", "start_image_url", "image_urls"))
    # The example holds whatever else this model requires.
    arguments = {
        name: value
        for name, value in structured(described)["example"].items()
        if name != "prompt" and PLACEHOLDER not in str(value)
    }
    video = await ask(
        client,
        "generate",
        endpoint_id=endpoint_id,
        prompt=MOTION,
        arguments={**arguments, image: picture_job},
        max_dollars=MOST_DOLLARS,
    )
    while structured(video)["state"] in ("queued", "running"):
        video = await ask(client, "job_status", job_id=structured(video)["job_id"], wait_seconds=45)
    return video


def _shape(inputs: list[str]) -> dict[str, Any]:
    """Return a wide shape and a fixed seed, as far as the model's inputs know them."""
    names = {row.split(":")[0].rstrip("*") for row in inputs}
    shape: dict[str, Any] = {"seed": 7} if "seed" in names else {}
    if "image_size" in names:
        shape["image_size"] = "landscape_16_9"
    elif "aspect_ratio" in names:
        shape["aspect_ratio"] = "16:9"
    return shape


async def ask(client: Client, tool: str, **arguments: Any) -> CallToolResult:  # noqa: ANN401
    """Return the answer of *tool*; progress is shown as it comes.

    Raises:
        ActionableError: the tool reported an error; its words are the message.
    """

    async def show(progress: float, total: float | None, message: str | None) -> None:
        print(f"   … {message}", flush=True)

    answer = await client.call_tool(
        tool, arguments, read_timeout_seconds=60, progress_callback=show
    )
    if answer.is_error:
        raise ActionableError(f"{tool} failed: {words(answer)}")
    return answer


def words(answer: CallToolResult) -> str:
    """Return the text of *answer*."""
    return "\n".join(block.text for block in answer.content if isinstance(block, TextContent))


def structured(answer: CallToolResult) -> dict[str, Any]:
    """Return the structured part of *answer*."""
    return answer.structured_content or {}


def _files(answer: CallToolResult) -> list[str]:
    return [output["path"] for output in structured(answer)["outputs"] if output.get("path")]


def _save_picture(answer: CallToolResult, target: Path) -> str:
    picture = next(block for block in answer.content if isinstance(block, ImageContent))
    target.write_bytes(base64.b64decode(picture.data))
    return str(target)


def _write_page(story: Story) -> Path:
    from jinja2 import Environment

    template = (Path(__file__).parent / "demo.html").read_text("utf-8")
    page = story.folder / "index.html"
    made = Environment(autoescape=True).from_string(template).render(chapters=story.chapters)
    page.write_text(made, "utf-8")
    return page
