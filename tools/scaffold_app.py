"""Begin a serverless app from a template."""

from pydantic import Field

from tools.deploying import deployer_of
from tools.ports import Call
from tools.tool import Answer, Arguments, Result, Tool


class ScaffoldArguments(Arguments):
    """Which template, and where it goes."""

    template: str = Field(
        description="text-to-image, lora, image-edit, video, tts, speech-to-text, upscaler, "
        "llm, comfyui, proxy, streaming, realtime, cpu, container, training, batch"
    )
    folder: str = Field(description="A new or empty folder")
    name: str = Field(default="", description="App name; default: the folder's")
    machine: str = Field(default="", description="Such as S or GPU-H100")


class ScaffoldView(Result):
    """What was written."""

    files: list[str]
    next: str


async def scaffold_app(call: Call, arguments: ScaffoldArguments) -> Answer:
    """Write the template's files; answer with their paths and the choices that were made."""
    made = await deployer_of(call).scaffold(
        arguments.template, arguments.folder, name=arguments.name, machine=arguments.machine
    )
    view = ScaffoldView(
        files=[str(made.folder / file) for file in made.files],
        next=f'check_app {{"path":"{made.folder.as_posix()}"}}',
    )
    lines = [f"wrote {len(made.files)} files into {made.folder}: {', '.join(made.files)}"]
    return Answer(view, "\n".join([*lines, *made.choices, f"next: {view.next}"]))


SCAFFOLD_APP = Tool(
    name="scaffold_app",
    title="Begin an app",
    description=(
        "Write a serverless app for fal from a template. "
        'Example: {"template":"cpu","folder":"hello-app"}'
    ),
    toolset="deploy",
    arguments=ScaffoldArguments,
    result=ScaffoldView,
    run=scaffold_app,
    reads_only=False,
    open_world=False,
)
