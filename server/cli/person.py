"""The commands that a person types."""

import os
import sqlite3
import sys
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import anyio
import typer
from pydantic import ValidationError

from catalog.errors import ActionableError
from catalog.index import CatalogIndex
from server.calls import explain
from server.cli import examples, fail, interrupting, verbs
from server.cli.completing import host_names
from server.cli.interrupting import INTERRUPTED, LEFT
from server.cli.letters import let_all_letters_through, whole
from server.cli.problems import mendable_in
from server.cli.speaking import HELD, speak
from server.cli.spoken import for_person
from server.cli.yes import is_person_here
from server.settings import Settings

app = typer.Typer(
    name="falkit",
    help="fal.ai for an AI assistant. `falkit serve` is what an assistant starts.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def person(argv: list[str]) -> None:
    """Run the command that *argv* names; a failure a person can mend is one line."""
    let_all_letters_through()
    try:
        app([whole(word) for word in argv], prog_name="falkit", standalone_mode=True)
    except (ActionableError, BaseExceptionGroup, sqlite3.Error) as problem:
        mendable = mendable_in(problem)
        if mendable is None:
            raise
        fail(for_person(str(mendable)), 1)
    except ValidationError as problem:
        fail(for_person(explain(problem)))
    except OSError as problem:
        place = f"{str(problem.filename)!r} cannot be used" if problem.filename else "no success"
        fail(f"{place}: {(problem.strerror or type(problem).__name__).lower()}", 1)
    except KeyboardInterrupt:
        fail(INTERRUPTED, LEFT)
    except SystemExit as left:
        if left.code == LEFT:  # typer's word for an interrupt
            fail(INTERRUPTED, LEFT)
        raise


class Mark(StrEnum):
    """What sums can be divided by."""

    MODEL = "model"
    DAY = "day"
    TAG = "tag"


@app.callback(invoke_without_command=True)
def main(
    show_version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Give an AI assistant the whole of fal.ai."""
    if show_version:
        print(f"falkit {version('falkit')}")
        raise typer.Exit


@app.command("serve", help="Serve MCP on stdin and stdout; `falkit serve --help` has more.")
def serve() -> None:
    """Stand in the help; the front door takes `serve` before it comes here."""
    from server.cli.serve import serving

    serving([])()


@app.command(help="Run the main job against the emulator with a real MCP client.")
def demo(
    folder: Annotated[Path, typer.Argument(help="Where the files go.")] = Path("demo-output"),
) -> None:
    """Play the demonstration."""
    from server.cli.demo import play

    folder.mkdir(parents=True, exist_ok=True)
    interrupting.run(play, folder.resolve())


FAULTS = (
    "Example: falkit emulate --port 8900 --tls. Failures on purpose: send "
    "`x-emulator-fault: 429`, POST to /_emulator/faults, or set "
    'FALKIT_EMULATOR_FAULTS="latency=0.2, 429@0.1" (kind=seconds@share/place). Kinds: 429, 500, '
    "502, 503, 504, locked, drop, drop_before, latency, jitter, bad_json, truncated_body, "
    "clock_skew, slow, stuck, moderation, black, result_504, expired_file, truncated_file, "
    "runner_500, runner_502, runner_503, runner_504, runner_lost, runner_needs_retry. Places: "
    "submit, run, status, stream, result, cancel, upload, download, other, any."
)


@app.command(help="Serve the embedded fal-compatible platform on a loopback port.", epilog=FAULTS)
def emulate(
    port: Annotated[
        int,
        typer.Option(min=0, max=65535, metavar="N", help="Port on 127.0.0.1; 0 takes a free one."),
    ] = 8900,
    speed: Annotated[
        float, typer.Option(min=0, max=1000, metavar="N", help="1 as usual, 0 no waiting.")
    ] = 1.0,
    tls: Annotated[
        bool, typer.Option("--tls", help="Serve TLS, with a self-made certificate.")
    ] = False,
    loopback_webhooks: Annotated[
        bool,
        typer.Option(
            "--allow-loopback-webhooks",
            help="Deliver webhooks to this machine; fal drops those.",
        ),
    ] = False,
    allow_origin: Annotated[
        list[str] | None,
        typer.Option(
            metavar="URL", help="Pages that may call, besides this machine's; repeatable."
        ),
    ] = None,
) -> None:
    """Serve the emulator until it is interrupted."""
    settings = Settings.read({**os.environ, "FALKIT_BACKEND": "emulator"})
    options = EmulateOptions(port, speed, tls, loopback_webhooks, tuple(allow_origin or ()))
    anyio.run(_emulate, settings, options)


@dataclass(frozen=True, slots=True)
class EmulateOptions:
    """What a person says with `falkit emulate`."""

    port: int
    speed: float
    tls: bool
    loopback_webhooks: bool
    origins: tuple[str, ...]


async def _emulate(settings: Settings, options: EmulateOptions) -> None:
    from server.emulator.certificates import certificate_of
    from server.emulator.platform import open_emulator
    from server.emulator.serve import exports, serve
    from server.late_emulator import LateHosted, hosted_card
    from server.listening import heed_signals

    folder = settings.home / "emulator"
    shown = certificate_of(folder) if options.tls else None
    async with (
        open_emulator(
            folder,
            CatalogIndex.open(beside=partial(hosted_card, settings.home)),
            speed=options.speed,
            concurrency=settings.emulator_concurrency,
            loopback_webhooks=options.loopback_webhooks,
            origins=options.origins,
            faults=settings.emulator_faults,
            hosted=LateHosted(settings, keeps=True),
        ) as platform,
        anyio.create_task_group() as tasks,
    ):
        start = partial(serve, certificate=shown.with_key if shown else None)
        try:
            port = await tasks.start(start, platform, options.port)
        except OSError as problem:
            raise ActionableError(
                f"port {options.port} of 127.0.0.1 cannot be used: {problem.strerror or problem}",
                hint="name another with --port; 0 takes any free one",
            ) from problem
        await tasks.start(heed_signals, tasks.cancel_scope.cancel)
        print(exports(port, shown.public if shown else None), flush=True)
        print(f"serving on port {port} of 127.0.0.1; Ctrl-C ends it", file=sys.stderr, flush=True)


@app.command(help="Put falkit into a host's settings: claude-code, cursor, vscode, codex, …")
def install(
    host: Annotated[
        str,
        typer.Argument(
            help="claude-code, claude-desktop, cursor, vscode, codex or gemini.",
            autocompletion=host_names,
        ),
    ],
    file: Annotated[str, typer.Option(help="Its settings, where they lie elsewhere.")] = "",
    key_file: Annotated[
        str, typer.Option(help="File that holds your fal key; named, not copied.")
    ] = "",
    with_key: Annotated[
        bool, typer.Option("--with-key", help="Copy FAL_KEY into the file.")
    ] = False,
    undo: Annotated[bool, typer.Option("--undo", help="Take it out again.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Write without asking.")] = False,
    show: Annotated[bool, typer.Option("--print", help="Print the entry, write nothing.")] = False,
) -> None:
    """Change a host's settings, after showing how."""
    from server.cli.install import install as change

    change(host, file=file, key_file=key_file, with_key=with_key, undo=undo, yes=yes, show=show)


@app.command(help="Say on one screen what works, what does not, and what to do.")
def doctor(as_json: verbs.AsJson = False) -> None:
    """Examine key, folders, journal, budget, reach and hosts."""
    from server.cli.doctor import examine

    if not examine(as_json=as_json):
        raise SystemExit(1)


@app.command(help="Approve a held job, after showing what it would run and cost.")
def approve(
    job_id: Annotated[str, typer.Argument(help="The held job.")],
    endpoint_today: Annotated[
        bool,
        typer.Option("--endpoint-today", help="Ask no more about this model until midnight."),
    ] = False,
) -> None:
    """Let a person say yes to a held job."""
    from server.cli.approve import approve_job

    if not is_person_here():
        fail(
            "an approval is a person's word, and this is no terminal where one could say it: a "
            f"person runs `falkit approve {job_id[:40]}` in one"
        )
    settings = Settings.read(os.environ)
    asked = partial(approve_job, today=endpoint_today)
    if not interrupting.run(asked, settings, job_id):
        raise SystemExit(HELD)


catalog = typer.Typer(help="The catalog of models: what is used, and how old it is.")
app.add_typer(catalog, name="catalog")


@catalog.callback(invoke_without_command=True)
def catalog_shown(context: typer.Context, as_json: verbs.AsJson = False) -> None:
    """Show which snapshot of the catalog is used."""
    if context.invoked_subcommand is None:
        from server.cli.catalog import show_catalog

        show_catalog(Settings.read(os.environ), as_json=as_json)


@catalog.command("refresh", help="Ask fal for its models and prices, and say what changed.")
def catalog_refresh() -> None:
    """Bring the catalog up to date."""
    from server.cli.catalog import refresh_catalog

    interrupting.run(refresh_catalog, Settings.read(os.environ))


@catalog.command("check", help="Hold every card to the rules; exit code 1 where one breaks them.")
def catalog_check(
    folder: Annotated[
        Path | None, typer.Argument(help="A snapshot; by default the one in use.")
    ] = None,
) -> None:
    """Check a snapshot."""
    from server.cli.catalog import check_catalog

    if not check_catalog(Settings.read(os.environ), folder):
        raise typer.Exit(1)


verbs.register(app)


@app.command(
    "app",
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    add_help_option=False,
    help="Serverless apps: new, check, deploy, scale, roll-back, restart, delete, status, logs.",
)
def serverless(context: typer.Context) -> None:
    """Hand over to the commands of apps, which nothing else needs."""
    from server.cli.apps import apps

    apps(context.args or ["--help"], prog_name="falkit app", standalone_mode=True)


jobs = typer.Typer(help="What was made, newest first; `prune` forgets old jobs.")
app.add_typer(jobs, name="jobs")


@jobs.callback(invoke_without_command=True)
def list_jobs(
    context: typer.Context,
    state: Annotated[str, typer.Option(help="Only jobs in this state.")] = "",
    model: Annotated[str, typer.Option(help="Only jobs of this endpoint.")] = "",
    text: Annotated[str, typer.Option(help="Words in prompt, model or tags.")] = "",
    tag: Annotated[str, typer.Option(help="Only jobs with this tag.")] = "",
    since: Annotated[str, typer.Option(help="A date, or an age such as 2h, 3d.")] = "",
    related_to: Annotated[str, typer.Option(help="Made from this job, or led to it.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=50, help="How many.")] = 10,
    cursor: Annotated[str, typer.Option(help="The next page, as the one before named it.")] = "",
    as_json: verbs.AsJson = False,
) -> None:
    """List jobs."""
    if context.invoked_subcommand:
        return
    from server.cli.shown import jobs_listed
    from tools.list_jobs import LIST_JOBS, ListArguments

    given = ListArguments.model_validate(
        {
            "state": state,
            "endpoint_id": model,
            "text": text,
            "tag": tag,
            "since": since,
            "related_to": related_to,
            "limit": limit,
            "cursor": cursor,
        }
    )
    speak(LIST_JOBS, given, as_json=as_json, words=jobs_listed)


@jobs.command(help="Forget finished jobs of earlier months; their files stay.")
def prune(
    days: Annotated[
        int | None, typer.Option(min=1, max=36500, help="Those that ended longer ago than this.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count them.")] = False,
) -> None:
    """Keep the journal small."""
    from server.cli.prune import prune_jobs

    interrupting.run(prune_jobs, Settings.read(os.environ), days, dry_run)


@app.command(help="Follow unfinished jobs and bring their files home, without an assistant.")
def keep(
    once: Annotated[bool, typer.Option("--once", help="Leave when nothing is unfinished.")] = False,
) -> None:
    """Follow what is unfinished until it is home."""
    from server.cli.keep import keep_jobs

    interrupting.run(keep_jobs, Settings.read(os.environ), once)


@app.command(help="Show what was spent and is left; --csv and --jsonl write one line per job.")
def spending(
    period: Annotated[
        str, typer.Option(help="today, month, all, or a start: 7d, 2026-11-01.")
    ] = "month",
    by: Annotated[Mark, typer.Option(help="Divide the sums by model, day or tag.")] = Mark.MODEL,
    as_csv: Annotated[bool, typer.Option("--csv", help="Every job as CSV.")] = False,
    as_jsonl: Annotated[bool, typer.Option("--jsonl", help="Every job as JSON lines.")] = False,
    reconcile: Annotated[
        bool, typer.Option("--reconcile", help="Compare with fal's bill; needs an admin key.")
    ] = False,
    as_json: verbs.AsJson = False,
) -> None:
    """Add up the ledger, or write it out."""
    from server.cli.spending import Form, show_spending
    from tools.spending import SpendingArguments

    if as_csv + as_jsonl + as_json + reconcile > 1:
        fail("--csv, --jsonl, --json and --reconcile exclude each other")
    form: Form = "csv" if as_csv else "jsonl" if as_jsonl else "bill" if reconcile else "sums"
    arguments = SpendingArguments(period=period, by=by.value)
    settings = Settings.read(os.environ)
    interrupting.run(show_spending, settings, arguments, "json" if as_json else form)


examples.add(app, examples.VERBS)
examples.add(catalog, examples.CATALOG)
examples.add(jobs, examples.JOBS)
