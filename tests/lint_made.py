"""`Case`: a source that breaks a rule and one beside it that does not, made from a small app."""

from collections.abc import Mapping
from dataclasses import dataclass
from textwrap import dedent, indent

MODELS = """
class Input(BaseModel):
    prompt: str = Field(description="What to draw.", max_length=200)


class Output(BaseModel):
    text: str
"""
ENDPOINT = """
@fal.endpoint("/")
def run(self, input: Input) -> Output:
    return Output(text=input.prompt)
"""


def app(
    settings: str = "max_concurrency = 2",
    methods: str = ENDPOINT,
    *,
    head: str = "",
    keywords: str = "",
    name: str = "MyApp",
    models: str = MODELS,
) -> str:
    """Return the source of an app with these settings and methods in its class."""
    body = f"{inside(settings)}\n{inside(methods)}".rstrip() or "    pass"
    return (
        f"import fal\nfrom pydantic import BaseModel, Field\n{dedent(head)}\n{models}\n\n"
        f"class {name}(fal.App{keywords}):\n{body}\n"
    )


def inside(text: str) -> str:
    return indent(dedent(text).strip("\n"), "    ")


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """*fires* breaks the rule *code*, *quiet* does not; *says* stands in the words about it."""

    code: str
    name: str
    fires: Mapping[str, str] | str
    quiet: Mapping[str, str] | str
    says: str = ""
    mends: bool = False
    severity: str = ""
    entry: str = "app.py"


GPU = 'machine_type = "GPU-H100"\nrequirements = ["torch==2.6.0"]\n'
HUB = 'requirements = ["diffusers==0.31.0", "hf_transfer==0.1.9"]\n'


def load(call: str, where: str = "setup") -> str:
    return f"def {where}(self):\n    from diffusers import DiffusionPipeline\n    self.p = {call}\n"


def take(annotation: str, decorator: str = 'fal.endpoint("/")') -> str:
    return f"@{decorator}\ndef run(self, input{annotation}) -> Output:\n    return Output(text='')"


def field(line: str) -> str:
    return MODELS.replace('prompt: str = Field(description="What to draw.", max_length=200)', line)


LOAD = 'DiffusionPipeline.from_pretrained("acme/model"{})'
STREAM = """
@fal.endpoint("{}")
def run(self, input: Input):
    from fastapi.responses import StreamingResponse
    return StreamingResponse(iter([]))
"""
REALTIME = """
@fal.realtime("/realtime"{})
async def run(self, input: Input) -> AsyncIterator[Output]:
    yield Output(text="")
"""
ITERATOR = "from typing import AsyncIterator"
TWO = ENDPOINT + ENDPOINT.replace("def run", "def again")
TOML = '[tool.fal.apps.shop]\nref = "app.py::MyApp"\n'
RAISES = """
@fal.endpoint("/")
def run(self, input: Input) -> Output:
    from fastapi import HTTPException
    raise HTTPException({}, "no")
"""
