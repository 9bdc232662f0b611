"""An app with every kind of endpoint, none of which needs a GPU or a network."""

KITCHEN = r"""
import asyncio
import os
import time
import uuid
from collections.abc import AsyncIterator

import fal
from fal.exceptions import AppException
from fal.toolkit import File, Image
from fastapi import Header, WebSocket
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field

WORDS = "echo"
MARK = uuid.uuid4().hex  # of this process, since each may have a list of processes to itself


class Asked(BaseModel):
    prompt: str = Field(min_length=1, max_length=200, description="What to say")
    sleep: float = Field(default=0.0, ge=0, le=30)


class Said(BaseModel):
    text: str
    runner: str


class PictureAsked(BaseModel):
    size: int = Field(default=64, ge=8, le=2048)
    image_url: str = ""
    source: Image | None = None


class PictureMade(BaseModel):
    image: Image
    file: File
    source_size: list[int] | None = None


class Kitchen(fal.App, name="kitchen"):
    machine_type = "S"
    keep_alive = 2
    max_concurrency = 2
    startup_timeout = 20
    request_timeout = 10

    def setup(self) -> None:
        print("setup: loading")

    def teardown(self) -> None:
        print("teardown: bye")

    def handle_exit(self) -> None:
        print("handle_exit: asked to go")

    @fal.endpoint("/")
    def run(self, asked: Asked) -> Said:
        '''Say it again.'''
        print(f"run: {asked.prompt}")
        time.sleep(asked.sleep)
        return Said(text=f"{WORDS} {asked.prompt}", runner=MARK)

    @fal.endpoint("/waiting")
    async def waiting(self, asked: Asked) -> Said:
        await asyncio.sleep(asked.sleep)
        return Said(text=asked.prompt, runner=MARK)

    @fal.endpoint("/waiting/cancel")
    async def waiting_cancel(self, x_fal_request_id: str = Header("")) -> dict[str, bool]:
        with open(os.path.expanduser("~/cancelled"), "a") as file:
            file.write(x_fal_request_id + "\n")
        return {"found": True}

    @fal.endpoint("/cancelled")
    async def cancelled_ids(self) -> dict[str, list[str]]:
        try:
            return {"ids": open(os.path.expanduser("~/cancelled")).read().split()}
        except OSError:
            return {"ids": []}

    @fal.endpoint("/picture")
    def picture(self, asked: PictureAsked) -> PictureMade:
        from PIL import Image as Pillow

        picture = Pillow.new("RGB", (asked.size, asked.size), (200, 30, 30))
        given = asked.source or (Image(url=asked.image_url) if asked.image_url else None)
        return PictureMade(
            image=Image.from_pil(picture, "png"),
            file=File.from_bytes(b"hello", "text/plain", "a.txt"),
            source_size=list(given.to_pil().size) if given is not None else None,
        )

    @fal.endpoint("/boom")
    def boom(self, asked: Asked) -> Said:
        raise RuntimeError("kaboom")

    @fal.endpoint("/fall")
    def fall(self, asked: Asked) -> Said:
        print("fall: going down")
        os._exit(7)

    @fal.endpoint("/sick-once")
    def sick_once(self, asked: Asked) -> Said:
        mark = os.path.join(os.environ["HOME"], f"sick-{asked.prompt}")
        if not os.path.exists(mark):
            open(mark, "w").close()
            raise AppException("the runner is sick", 503)
        return Said(text="well", runner=MARK)

    @fal.endpoint("/secret")
    def secret(self, asked: Asked) -> dict[str, str]:
        print(f"the secret is {os.environ.get(asked.prompt)}")
        return {"value": os.environ.get(asked.prompt, ""), "key": os.environ.get("FAL_KEY", "")}

    @fal.endpoint("/stream")
    def stream(self, asked: Asked) -> StreamingResponse:
        async def events() -> AsyncIterator[str]:
            for n in range(4):
                yield f'data: {{"n": {n}}}\n\n'
                await asyncio.sleep(0.02)

        return StreamingResponse(events(), media_type="text/event-stream")

    @fal.realtime("/realtime")
    def realtime(self, asked: Asked) -> Said:
        return Said(text=asked.prompt.upper(), runner=MARK)

    @fal.realtime("/realtime-stream", buffering=16)
    async def realtime_stream(self, asked: Asked) -> AsyncIterator[Said]:
        for n in range(3):
            yield Said(text=f"{asked.prompt}-{n}", runner=MARK)

    @fal.endpoint("/ws", is_websocket=True)
    async def raw_socket(self, socket: WebSocket) -> None:
        await socket.accept()
        async for message in socket.iter_json():
            await socket.send_json({"got": message})
"""
