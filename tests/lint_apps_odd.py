"""Sources of odder apps: functions, layers, images alone, old style, computed settings."""

FUNCTIONS = """
import fal


@fal.function(requirements=["pyjokes"], machine_type="S")
def joke() -> str:
    import pyjokes

    return pyjokes.get_joke()


if __name__ == "__main__":
    print(joke())
"""

LAYERED = """
import fal
from pydantic import BaseModel, Field

TORCH = "2.6.0"
BASE = ["setuptools==75.6.0", "wheel==0.45.1"]


class Input(BaseModel):
    text: str = Field(description="Said aloud.", max_length=500)


class Output(BaseModel):
    seconds: float


class Speech(fal.App):
    machine_type = "GPU-L40"
    requirements = [BASE, [f"torch=={TORCH}", "flash-attn==2.7.4.post1"]]
    max_concurrency = 2

    def setup(self):
        import torch

        self.model = torch.nn.Linear(1, 1).cuda()

    @fal.endpoint("/")
    def speak(self, input: Input) -> Output:
        return Output(seconds=len(input.text) / 15)
"""

HEALTHY = """
import fal
from fal import HealthCheck
from fastapi import HTTPException
from pydantic import BaseModel, Field


class Job(BaseModel):
    folder: str = Field(description="Where to look.", max_length=100, pattern="^[a-z]+$")


class Done(BaseModel):
    count: int


class Worker(fal.App):
    app_name = "worker"
    machine_type = "L"
    max_concurrency = 1
    request_timeout = 3600

    @fal.endpoint("/")
    def work(self, job: Job) -> Done:
        if not job.folder:
            raise HTTPException(422, "no folder")
        return Done(count=1)

    @fal.endpoint("/cancel")
    def cancel(self):
        self.stopped = True

    @fal.endpoint("/health", health_check=HealthCheck(failure_threshold=2))
    def well(self) -> Done:
        if self.sick():
            raise HTTPException(503, "sick")
        return Done(count=0)

    def sick(self) -> bool:
        return False
"""

IMAGE_ONLY = {
    "pyproject.toml": """
[project]
name = "server"
version = "1"

[tool.fal.apps.server]
auth = "private"
machine_type = "GPU-H100"
exposed_port = 8000
max_concurrency = 2
keep_alive = 60

[tool.fal.apps.server.image]
dockerfile = "Dockerfile"

[tool.fal.apps.server.health_check]
path = "/health"
""",
}

OLD_STYLE = """
import fal
import torch
from fal.toolkit import optimize
from PIL import Image

HF = "hf_abcdefghijklmnopqrstuvwxyz0123"


class OldApp(fal.App):
    machine_type = "GPU-A10G"
    python_version = "3.10"
    timeout = 300
    volumes = {"/data": fal.Volume("x")}
    requirements = ["torch", "torch"]

    def __init__(self):
        self.model = optimize(torch.load("m.pt"))

    @fal.endpoint
    def predict(self, prompt: str, steps: int = 30):
        return fal.upload_file(self.model(prompt, steps))
"""

DATACLASSES = """
from __future__ import annotations
import dataclasses, functools
import fal

class Mixin:
    def helper(self) -> int: return 1

class Generic_App(Mixin, fal.App):
    keep_alive: int = 10; max_concurrency: int = 1
    @functools.lru_cache
    def cached(self): return 3
    @fal.endpoint("/a")
    def a(self, request: "fal.toolkit.FalBaseModel") -> dict[str, int]:
        return {"a": self.helper()}
    @fal.endpoint("/b")
    async def b(self) -> dict[str, int]: return {}
    class Inner:
        machine_type = "no"
"""

COMPUTED = """
import fal, pathlib

def pins(): return [line for line in ["a==1"]]

class Computed(fal.App, **{"keep_alive": 3}):
    requirements = pins()
    machine_type = "GPU-H100" if True else "S"
    max_concurrency = int("3")
    secrets = [*("A", "B")]
    def setup(self):
        import numpy, os
        os.environ["C"]
    @fal.endpoint(*["/"])
    def one(self, *args, **kwargs) -> dict: return {}
    @fal.endpoint(path=f"/{1 + 1}")
    def two(self, *, x: dict = {}) -> dict: return {}
    for name in ("three",):
        locals()[name] = None
"""
