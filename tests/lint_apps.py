"""Apps of many shapes, as people write them; each with the codes that are expected as errors."""

from tests.lint_apps_odd import (
    COMPUTED,
    DATACLASSES,
    FUNCTIONS,
    HEALTHY,
    IMAGE_ONLY,
    LAYERED,
    OLD_STYLE,
)

DIFFUSERS = '''
import fal
from fal.toolkit import Image, ImageSizeInput, get_image_size
from pydantic import BaseModel, Field


class Input(BaseModel):
    prompt: str = Field(description="What to draw.", max_length=2000, examples=["a lighthouse"])
    image_size: ImageSizeInput = Field("square_hd", description="Preset or exact size.")
    steps: int = Field(28, ge=1, le=50, description="Denoising steps.")
    seed: int | None = Field(None, ge=0, le=2**32 - 1, description="Repeats a result.")


class Output(BaseModel):
    images: list[Image]
    seed: int


class TextToImage(fal.App, name="text-to-image", keep_alive=60):
    """Pictures from words."""

    machine_type = ["GPU-H100", "GPU-A100"]
    requirements = [
        "torch==2.6.0",
        "diffusers==0.31.0",
        "transformers==4.51.3",
        "accelerate==1.6.0",
        "hf_transfer==0.1.9",
    ]
    max_concurrency = 2
    startup_timeout = 900
    secrets = ["HF_TOKEN"]

    def setup(self) -> None:
        import os

        import torch
        from diffusers import AutoPipelineForText2Image

        self.pipe = AutoPipelineForText2Image.from_pretrained(
            "stabilityai/stable-diffusion-xl-base-1.0",
            revision="462165984030d82259a11f4367a4eed129e94a7b",
            torch_dtype=torch.float16,
            token=os.environ["HF_TOKEN"],
        ).to("cuda")

    @fal.endpoint("/")
    def generate(self, input: Input) -> Output:
        import random

        import torch

        seed = input.seed if input.seed is not None else random.getrandbits(32)
        size = get_image_size(input.image_size)
        out = self.pipe(
            input.prompt,
            width=size.width,
            height=size.height,
            generator=torch.Generator("cuda").manual_seed(seed),
        )
        return Output(images=[Image.from_pil(picture) for picture in out.images], seed=seed)
'''

WHISPER = """
from typing import Literal

from fal import App, endpoint
from fal.toolkit import File
from fal.toolkit.utils import download_file
from pydantic import BaseModel, Field


class Transcript(BaseModel):
    text: str
    segments: list[dict[str, float | str]]


class Question(BaseModel):
    audio: File = Field(description="What is said.")
    language: Literal["en", "de", "fr"] | None = Field(None, description="Spoken language.")


class Whisper(App):
    machine_type = "GPU-RTX4090"
    requirements = ["faster-whisper==1.1.1"]
    max_concurrency = 3
    keep_alive = 120

    def setup(self):
        from faster_whisper import WhisperModel

        self.model = WhisperModel("large-v3", device="cuda", download_root="/data/whisper")

    @endpoint("/")
    def transcribe(self, question: Question) -> Transcript:
        path = download_file(question.audio.url, target_dir="/tmp")
        segments, _ = self.model.transcribe(str(path), language=question.language)
        found = [{"start": s.start, "end": s.end, "text": s.text} for s in segments]
        return Transcript(text="".join(str(s["text"]) for s in found), segments=found)
"""

VLLM = """
import asyncio
import json
from typing import AsyncIterator

import fal
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field

MODEL = "Qwen/Qwen2.5-7B-Instruct"


class Chat(BaseModel):
    prompt: str = Field(..., max_length=100_000, description="What is asked.")
    max_tokens: int = Field(default=256, ge=1, le=4096, description="Longest answer.")


class Answer(BaseModel):
    text: str


class Llm(fal.App):
    app_name = "qwen-chat"
    machine_type = "GPU-H100"
    num_gpus = 1
    requirements = ["vllm==0.8.5"]
    max_multiplexing = 16
    max_concurrency = 2
    startup_timeout = 1200

    def setup(self):
        from vllm import AsyncEngineArgs, AsyncLLMEngine

        self.engine = AsyncLLMEngine.from_engine_args(AsyncEngineArgs(model=MODEL))

    async def _words(self, chat: Chat) -> AsyncIterator[str]:
        from vllm import SamplingParams

        params = SamplingParams(max_tokens=chat.max_tokens)
        async for part in self.engine.generate(chat.prompt, params, str(id(chat))):
            yield part.outputs[0].text

    @fal.endpoint("/")
    async def ask(self, chat: Chat) -> Answer:
        text = ""
        async for text in self._words(chat):
            await asyncio.sleep(0)
        return Answer(text=text)

    @fal.endpoint("/stream")
    async def stream(self, chat: Chat):
        async def events():
            async for text in self._words(chat):
                yield f"data: {json.dumps({'text': text})}\\n\\n"

        return StreamingResponse(events(), media_type="text/event-stream")
"""

COMFY = '''
import fal
from fal.container import ContainerImage
from fal.toolkit import Image
from pydantic import BaseModel, Field

DOCKERFILE = """
FROM falai/base:3.11-12.1.0
RUN git clone --depth 1 --branch v0.3.30 https://github.com/comfyanonymous/ComfyUI /comfy
RUN pip install --no-cache-dir -r /comfy/requirements.txt fal
"""


class Input(BaseModel):
    workflow: dict[str, object] = Field(description="The graph in ComfyUI's format.")


class Output(BaseModel):
    picture: Image


class Comfy(fal.App):
    image = ContainerImage.from_dockerfile_str(DOCKERFILE)
    machine_type = "GPU-H100"
    keep_alive = 60
    max_concurrency = 2
    startup_timeout = 900

    def setup(self):
        import subprocess

        self.server = subprocess.Popen(["python", "/comfy/main.py", "--port", "8188"])

    @fal.endpoint("/")
    def run(self, input: Input) -> Output:
        import httpx

        found = httpx.post("http://127.0.0.1:8188/prompt", json={"prompt": input.workflow})
        return Output(picture=Image.from_bytes(found.content, "png"))

    def teardown(self):
        self.server.terminate()
'''

PROXY = """
import fal
from pydantic import BaseModel, Field

class Input(BaseModel):
    prompt: str = Field(description="Passed on.", min_length=1, max_length=2000)

class Output(BaseModel):
    result: dict

class Proxy(fal.App):
    machine_type = "S"
    requirements = ["fal-client==1.0.3"]
    max_concurrency = 4
    max_multiplexing = 16
    upstream = "fal-ai/flux/schnell"

    @fal.endpoint("/")
    async def forward(self, input: Input) -> Output:
        import fal_client
        given = {"prompt": input.prompt}
        return Output(result=await fal_client.subscribe_async(self.upstream, given))
"""

REALTIME = """
import fal as platform
from fastapi import WebSocket
from pydantic import BaseModel, Field


class Point(BaseModel):
    x: float = Field(description="Value.", ge=-1e6, le=1e6)


class Realtime(platform.App):
    machine_type = "S"
    max_concurrency = 2

    @platform.realtime("/realtime", buffering=8)
    def step(self, point: Point) -> Point:
        return Point(x=point.x * 2)

    @platform.endpoint("/ws", is_websocket=True)
    async def ws(self, socket: WebSocket) -> None:
        await socket.accept()
        async for message in socket.iter_json():
            await socket.send_json(message)
"""

MULTI_FILE = {
    "app.py": """
import fal
from shop.base import Base
from shop.models import Basket, Bill
from shop import prices


class Shop(Base):
    local_python_modules = ["shop"]

    @fal.endpoint("/bill")
    def bill(self, basket: Basket) -> Bill:
        return Bill(total=prices.total(basket.items))
""",
    "shop/__init__.py": "",
    "shop/base.py": """
import fal


class Base(fal.App):
    machine_type = "M"
    max_concurrency = 5
    keep_alive = 30
""",
    "shop/models.py": """
from pydantic import BaseModel, Field


class Basket(BaseModel):
    items: list[str] = Field(description="What is bought.", max_length=50)


class Bill(BaseModel):
    total: float
""",
    "shop/prices.py": """
from . import models


def total(items: list[str]) -> float:
    return 1.5 * len(items)
""",
}

WMA = """
import fal
import fal.wma


class Mirror(fal.wma.App):
    machine_type = "GPU-H100"
    max_concurrency = 2
    requirements = ["torch==2.6.0"]

    def setup(self):
        import torch

        self.device = torch.device("cuda")

    async def create_backend(self, session):
        def on_connect(connection):
            from aiortc import VideoStreamTrack

            connection.addTrack(VideoStreamTrack())

        return fal.wma.AiortcPeer(session, on_connect)
"""

# Each with the codes of the errors that it has, in order.
APPS: dict[str, tuple[dict[str, str], str, tuple[str, ...]]] = {
    "diffusers": ({"app.py": DIFFUSERS}, "app.py", ()),
    "whisper": ({"app.py": WHISPER}, "app.py", ()),
    "vllm": ({"app.py": VLLM}, "app.py", ()),
    "comfy": ({"app.py": COMFY}, "app.py", ()),
    "proxy": ({"app.py": PROXY}, "app.py", ()),
    "realtime": ({"app.py": REALTIME}, "app.py", ()),
    "several files": (MULTI_FILE, "app.py", ()),
    "wma": ({"app.py": WMA}, "app.py", ()),
    "functions": ({"app.py": FUNCTIONS}, "app.py", ("FAL003",)),
    "layered": ({"app.py": LAYERED}, "app.py", ()),
    "health": ({"app.py": HEALTHY}, "app.py", ()),
    "image only": (IMAGE_ONLY, "pyproject.toml", ()),
    "old": (
        {"app.py": OLD_STYLE},
        "app.py",
        (
            "FAL010", "FAL002", "FAL040", "FAL030", "FAL021", "FAL020", "FAL020", "FAL002",
            "FAL062", "FAL022", "FAL023", "FAL075", "FAL075", "FAL002",
        ),
    ),
    "dataclasses": ({"app.py": DATACLASSES}, "app.py", ()),
    "computed": ({"app.py": COMPUTED}, "app.py", ()),
}  # fmt: skip
