"""What the tools do for a model, for a person at a terminal."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import typer

from server.cli import fail
from server.cli.completing import model_ids
from server.cli.speaking import fields_of, follow, speak

AsJson = Annotated[bool, typer.Option("--json", help="JSON also on a terminal.")]
_MODEL = typer.Argument(help="The model's endpoint id.", autocompletion=model_ids)
Model = Annotated[str, _MODEL]
Words = Annotated[str, typer.Argument(help="The words it works from.")]
Tags = Annotated[list[str] | None, typer.Option("--tag", help="Word to find it by; repeatable.")]
MaxDollars = Annotated[
    float,
    typer.Option(
        min=0, metavar="DOLLARS", help="Refuse above this many dollars.", show_default="no limit"
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Check and price it; send nothing.")]
Again = Annotated[bool, typer.Option("--again", help="Make another though this call is under way.")]
SaveTo = Annotated[str, typer.Option(help="Folder for the files.", show_default="the media folder")]
Wait = Annotated[
    float | None,
    typer.Option(min=0, metavar="SECONDS", help="How long to follow it; to its end without."),
]
# Every other option is a field of the model, which only its card knows.
OPEN = {"allow_extra_args": True, "ignore_unknown_options": True}


def register(app: typer.Typer) -> None:
    """Add the verbs to *app*."""
    app.command(help="Find models for a need in plain words.")(search)
    app.command(help="Describe a model: inputs, outputs, price, example.")(show)
    app.command(
        context_settings=OPEN, help="Dollars for exact inputs; with --with, models side by side."
    )(price)
    app.command(context_settings=OPEN, help="Write client code for a model and inputs.")(code)
    app.command(
        context_settings=OPEN,
        add_help_option=False,
        help="Run a model: falkit run ENDPOINT [PROMPT] field=value …; with --help, its fields.",
    )(run)
    app.command(context_settings=OPEN, help="Change a picture, video or sound that exists.")(edit)
    app.command(help="Follow a job to its end, and bring its files home.")(job)
    app.command(help="Show a picture, video, sound or mesh as a small picture.")(view)
    app.command(help="Cancel a job, and say whether that was in time and what it cost.")(cancel)


def search(
    query: Annotated[str, typer.Argument(help="The need, or a model's name.")],
    category: Annotated[str, typer.Option(help="Such as text-to-image, image-to-video.")] = "",
    media_in: Annotated[list[str] | None, typer.Option(help="Media it takes; repeatable.")] = None,
    media_out: Annotated[list[str] | None, typer.Option(help="Media it returns.")] = None,
    feature: Annotated[list[str] | None, typer.Option(help="Such as sound, mask, 4k.")] = None,
    max_dollars: Annotated[
        float,
        typer.Option(
            min=0, metavar="DOLLARS", help="Most dollars for that work.", show_default="no limit"
        ),
    ] = 0,
    for_work: Annotated[str, typer.Option(help='Such as "10 seconds at 1080p".')] = "",
    limit: Annotated[int, typer.Option(min=1, max=20, help="How many.")] = 8,
    cursor: Annotated[str, typer.Option(help="The next page, as the one before named it.")] = "",
    as_json: AsJson = False,
) -> None:
    """Rank models for a need."""
    from server.cli.shown import models_found
    from tools.search_models import SEARCH_MODELS, SearchArguments

    given = SearchArguments(
        query=query,
        category=category,
        media_in=media_in or [],
        media_out=media_out or [],
        features=feature or [],
        max_dollars=max_dollars,
        for_work=for_work,
        limit=limit,
        cursor=cursor,
    )
    speak(SEARCH_MODELS, given, as_json=as_json, words=models_found)


def show(
    endpoint_id: Model,
    full: Annotated[bool, typer.Option(help="Every input, and the JSON Schema.")] = False,
    as_json: AsJson = False,
) -> None:
    """Describe one model."""
    from server.cli.shown import model_described
    from tools.describe_model import DESCRIBE_MODEL, DescribeArguments

    given = DescribeArguments(endpoint_id=endpoint_id, detail="full" if full else "concise")
    speak(DESCRIBE_MODEL, given, as_json=as_json, words=model_described)


def price(
    context: typer.Context,
    endpoint_id: Model,
    prompt: Words = "",
    beside: Annotated[
        list[str] | None, typer.Option("--with", help="Another model to compare; repeatable.")
    ] = None,
    runs: Annotated[int, typer.Option(min=1, max=10_000, help="How many runs.")] = 1,
    as_json: AsJson = False,
) -> None:
    """Estimate what runs would cost."""
    from tools.estimate_cost import ESTIMATE_COST, EstimateArguments

    given = EstimateArguments(
        endpoint_id="" if beside else endpoint_id,
        endpoint_ids=[endpoint_id, *beside] if beside else [],
        arguments=_worded(prompt, context.args),
        runs=runs,
    )
    speak(ESTIMATE_COST, given, as_json=as_json)


def code(
    context: typer.Context,
    endpoint_id: Model,
    prompt: Words = "",
    language: Annotated[str, typer.Option(help="python, typescript or curl.")] = "python",
    style: Annotated[
        str,
        typer.Option(help="run, queue, stream, realtime, webhook, proxy.", show_default="queue"),
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Write code that calls a model."""
    from server.cli.coding import print_code
    from tools.write_code import CodeArguments

    given = CodeArguments(
        endpoint_id=endpoint_id,
        arguments=_worded(prompt, context.args),
        language=language,
        style=style,
    )
    print_code(given, as_json=as_json)


def _parted(prompt: str, words: Sequence[str]) -> tuple[str, list[str]]:
    """Return the prompt and the fields among the words behind a model."""
    if "=" in prompt and prompt.partition("=")[0].isidentifier():
        return "", [prompt, *words]  # a field where the prompt would stand
    return prompt, [*words]


def _worded(prompt: str, words: Sequence[str]) -> dict[str, Any]:
    """Return what is typed behind a model as its arguments, a bare prompt among them."""
    prompt, rest = _parted(prompt, words)
    fields = fields_of(rest)
    if prompt and "prompt" in fields:
        fail("the prompt is given twice: as words and as a field")
    return {"prompt": prompt, **fields} if prompt else fields


def run(
    context: typer.Context,
    endpoint_id: Model = "",
    prompt: Words = "",
    task: Annotated[str, typer.Option(help="Instead of a model: a category.")] = "",
    prefer: Annotated[str, typer.Option(help="With --task: popular, cheap, fast, newest.")] = "",
    from_job: Annotated[str, typer.Option(help="Repeat this job, changed by what is given.")] = "",
    max_dollars: MaxDollars = 0,
    save_to: SaveTo = "",
    tag: Tags = None,
    again: Again = False,
    wait: Wait = None,
    dry_run: DryRun = False,
    stream: Annotated[bool, typer.Option("--stream", help="Show its output as it comes.")] = False,
    realtime: Annotated[bool, typer.Option("--realtime", help="Run it over a socket.")] = False,
    as_json: AsJson = False,
    help_asked: Annotated[bool, typer.Option("--help", help="Show this, and its fields.")] = False,
) -> None:
    """Run a model and bring its files home."""
    from server.cli.help import run_help
    from tools.generate import GENERATE, GenerateArguments

    if help_asked or not (endpoint_id or task or from_job):
        print(run_help(context, endpoint_id))
        return
    prompt, words = _parted(prompt, context.args)
    if (task or from_job) and endpoint_id and not prompt:
        endpoint_id, prompt = "", endpoint_id  # no model stands there: it is the first word
    given = GenerateArguments(
        endpoint_id=endpoint_id,
        prompt=prompt,
        arguments=fields_of(words),
        task=task,
        prefer=prefer,
        from_job=from_job,
        max_dollars=max_dollars,
        save_to=save_to,
        tags=tag or [],
        again=again,
        wait_seconds=0,
    )
    kind = _live_kind(stream, realtime, wait)
    if dry_run:
        from server.cli.dry import priced_run

        priced_run(given, kind, as_json=as_json)
    elif kind is not None:
        from server.cli.live import run_live

        run_live(given, kind, as_json=as_json)
    else:
        follow(GENERATE, given, seconds=wait, as_json=as_json, asks=True)


def _live_kind(
    stream: bool, realtime: bool, wait: float | None
) -> Literal["stream", "realtime"] | None:
    """Return how a run is called beside the queue, None where it is not."""
    if stream and realtime:
        fail("--stream and --realtime exclude each other")
    if (stream or realtime) and wait is not None:
        fail("--wait has no use here: a live output is listened to to its end")
    return "stream" if stream else "realtime" if realtime else None


def edit(
    context: typer.Context,
    operation: Annotated[str, typer.Argument(help="Such as instruct, upscale, remove_background.")],
    media: Annotated[str, typer.Argument(help="A path, URL, or job: JOB or JOB/2.")],
    instruction: Annotated[str, typer.Argument(help="The change in plain words.")] = "",
    mask: Annotated[str, typer.Option(help="Picture of the same size; white is changed.")] = "",
    reference: Annotated[list[str] | None, typer.Option(help="Another picture.")] = None,
    model: Annotated[
        str,
        typer.Option(help="Endpoint id; the best for it without.", autocompletion=model_ids),
    ] = "",
    max_dollars: MaxDollars = 0,
    save_to: SaveTo = "",
    tag: Tags = None,
    again: Again = False,
    wait: Wait = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Edit media that exists."""
    from tools.edit import EDIT, EditArguments

    given = EditArguments(
        operation=operation,
        media=media,
        instruction=instruction,
        mask=mask,
        references=reference or [],
        endpoint_id=model,
        arguments=fields_of(context.args),
        max_dollars=max_dollars,
        save_to=save_to,
        tags=tag or [],
        again=again,
        wait_seconds=0,
    )
    if dry_run:
        from server.cli.dry import priced_edit

        priced_edit(given, as_json=as_json)
    else:
        follow(EDIT, given, seconds=wait, as_json=as_json, asks=True)


def job(
    job_id: Annotated[str, typer.Argument(help="The job.")],
    wait: Wait = None,
    logs: Annotated[bool, typer.Option(help="The last lines of its log too.")] = False,
    as_json: AsJson = False,
) -> None:
    """Follow one job."""
    from tools.job_status import JOB_STATUS, StatusArguments

    given = StatusArguments(job_id=job_id, wait_seconds=0, logs=logs)
    follow(JOB_STATUS, given, seconds=wait, as_json=as_json)


def view(
    media: Annotated[str, typer.Argument(help="A path, URL, or job: JOB or JOB/2.")],
    to: Annotated[str, typer.Option(help="File to write the picture to.")] = "falkit-view.jpg",
    frames: Annotated[int, typer.Option(min=1, max=16, help="Frames of a video.")] = 6,
    as_json: AsJson = False,
) -> None:
    """Write what a model would see into a file."""
    from server.cli.viewing import write_view

    write_view(media, to, frames, as_json=as_json)


def cancel(job_id: str, as_json: AsJson = False) -> None:
    """Cancel a job; exit code 1 when it was too late."""
    from tools.cancel_job import CANCEL_JOB, CancelArguments, CancelledView

    told = speak(CANCEL_JOB, CancelArguments(job_id=job_id), as_json=as_json).result
    if isinstance(told, CancelledView) and not told.cancelled:
        raise SystemExit(1)
