"""Write client code for an endpoint and its arguments."""

from typing import Any

from pydantic import Field

from catalog.code import LANGUAGES, STYLES, code_for
from catalog.describe import example_arguments
from catalog.schema import check
from tools.finding import usable
from tools.ports import Call
from tools.tool import Answer, Arguments, Result, Tool


class CodeArguments(Arguments):
    """What the code calls, and in which form."""

    endpoint_id: str = Field(description="Endpoint id")
    arguments: dict[str, Any] = Field(
        default={}, description="The model's arguments; default a working example"
    )
    language: str = Field(default="python", description=f"{', '.join(LANGUAGES)}; default python")
    style: str = Field(
        default="queue",
        description=f"{', '.join(STYLES)}; default queue; proxy: TypeScript in a browser",
    )


class WrittenCode(Result):
    """A program, and how to install what it needs."""

    code: str
    install: str = ""
    notes: list[str] = []


async def write_code(call: Call, arguments: CodeArguments) -> Answer:
    """Return a program that calls the model; the arguments are checked first, nothing is run."""
    card = await usable(call.rooms, arguments.endpoint_id)
    given = arguments.arguments or example_arguments(card)
    checked = check(card, given)
    local = any(not use.value.startswith(("https://", "http://", "data:")) for use in checked.media)
    made = code_for(card, checked.arguments, arguments.language, arguments.style, local)
    notes = [*checked.repairs, *made.notes]
    told = [made.code]
    if made.install:
        told.append(f"install: {made.install}")
    written = WrittenCode(code=made.code, install=made.install, notes=notes)
    return Answer(written, "\n".join([*told, *notes]))


WRITE_CODE = Tool(
    name="write_code",
    title="Write client code",
    description=(
        "Code that calls a model: Python, TypeScript or curl; arguments are checked, nothing runs. "
        'Example: {"endpoint_id":"fal-ai/flux/dev","language":"python","style":"queue"}'
    ),
    toolset="discover",
    arguments=CodeArguments,
    result=WrittenCode,
    run=write_code,
    reads_only=True,
    open_world=False,
)
