"""What a host may read by address: models, jobs, their outputs, and guides."""

from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote

import anyio
from mcp.server.lowlevel.helper_types import ReadResourceContents
from mcp.server.mcpserver.exceptions import ResourceNotFoundError
from mcp.types import Completion, Resource, ResourceTemplate

from catalog.errors import ActionableError
from prompts.guides import GUIDES
from prompts.library import PROMPTS
from tools.describe_model import DescribeArguments, describe_model
from tools.job_view import JobView
from tools.ports import Call, JobQuery, Rooms
from tools.tool import Result
from tools.whole_view import whole_answer
from tools.wording import readable

SCHEME = "falkit://"
JSON, MARKDOWN = "application/json", "text/markdown"
# Read whole and sent as base64; what is larger has a path or an address of its own.
LARGEST_READ = 10 * 2**20
MOST_COMPLETIONS = 100

TEMPLATES = (
    ("models/{+endpoint_id}", "model", "One model: inputs, outputs, price, JSON Schema.", JSON),
    ("jobs/{job_id}", "job", "Where a job stands, its outputs, files and cost.", JSON),
    ("jobs/{job_id}/outputs/{number}", "output", "The file of a job's output, from 1 on.", None),
    ("guides/{name}", "guide", "How to do it well, in a page.", MARKDOWN),
)


class Shelf:
    """The resources that one running server offers."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms

    def listed(self) -> list[Resource]:
        """Return the guides: models and jobs are too many to list, and have templates."""
        return [
            Resource(
                uri=f"{SCHEME}guides/{guide.name}",
                name=guide.name,
                title=guide.title,
                description=guide.description,
                mime_type=MARKDOWN,
            )
            for guide in GUIDES.values()
        ]

    def templates(self) -> list[ResourceTemplate]:
        """Return how addresses are made."""
        return [
            ResourceTemplate(
                uri_template=SCHEME + path, name=name, description=description, mime_type=kind
            )
            for path, name, description, kind in TEMPLATES
        ]

    async def read(self, uri: str) -> list[ReadResourceContents]:
        """Return what lies at *uri*.

        Raises:
            ResourceNotFoundError: nothing does, or it is too large to be sent.
        """
        kind, _, rest = uri.removeprefix(SCHEME).partition("/")
        name = unquote(rest)
        try:
            if not uri.startswith(SCHEME) or not name:
                raise ActionableError(f"nothing lies at {uri[:120]!r}", hint=_known())
            if kind == "models":
                return [await self._model(name)]
            if kind == "guides" and name in GUIDES:
                return [ReadResourceContents(GUIDES[name].text, MARKDOWN)]
            if kind == "jobs":
                job_id, told, number = name.partition("/outputs/")
                return [await (self._output(job_id, number) if told else self._job(job_id))]
            raise ActionableError(f"nothing lies at {uri[:120]!r}", hint=_known())
        except ActionableError as problem:
            raise ResourceNotFoundError(str(problem)) from problem

    async def _model(self, endpoint_id: str) -> ReadResourceContents:
        told = await describe_model(
            self._call(), DescribeArguments(endpoint_id=endpoint_id, detail="full")
        )
        return ReadResourceContents(_json(told.result), JSON)

    async def _job(self, job_id: str) -> ReadResourceContents:
        # A host may read ahead of anybody's wish, so this does not count as told.
        job = await self._rooms.jobs.find(job_id)
        told = (await whole_answer(self._call(), job)).result if job.has_parts else JobView.of(job)
        return ReadResourceContents(_json(told), JSON)

    async def _output(self, job_id: str, number: str) -> ReadResourceContents:
        job = await self._rooms.jobs.find(job_id)
        if not (number.isdecimal() and 1 <= int(number) <= len(job.outputs)):
            raise ActionableError(
                f"{job.job_id} has no output {number[:20]!r}",
                hint=f"it has {len(job.outputs)}, counted from 1",
            )
        given = await self._rooms.media.look(f"{job.job_id}/{number}")
        if given.path is None or given.facts is None:
            raise ActionableError(
                f"the file of {job_id}/{number} is not home yet",
                hint="job_status brings it home and tells its address",
            )
        content = await anyio.to_thread.run_sync(_bytes, given.path)
        return ReadResourceContents(content, given.facts.media_type or "application/octet-stream")

    async def complete(self, name: str, begun: str, prompt: str = "") -> Completion:
        """Return values that fit what is *begun* of *prompt*'s gap, or of an address's part.

        Either is called *name*.
        """
        gaps = PROMPTS[prompt].gaps if prompt in PROMPTS else ()
        choices = next((gap.choices for gap in gaps if gap.name == name), ())
        lent = choices[:1] if choices and choices[0].startswith("@") else ()
        values = choices if choices and not lent else await self._values((*lent, name)[0])
        wanted = begun.strip().lower()
        fitting = [value for value in values if value.lower().startswith(wanted)]
        fitting += [value for value in values if wanted in value.lower() and value not in fitting]
        return Completion(
            values=fitting[:MOST_COMPLETIONS],
            total=len(fitting),
            has_more=len(fitting) > MOST_COMPLETIONS,
        )

    async def _values(self, name: str) -> Sequence[str]:
        """Return everything that an argument called *name* can be, in a useful order."""
        match name:
            case "endpoint_id" | "model" | "endpoint_ids" | "models" | "@models":
                return self._rooms.catalog.ids
            case "category" | "task":
                return self._rooms.catalog.categories
            case "job_id" | "job" | "@jobs":
                page = await self._rooms.jobs.list(JobQuery(limit=50))
                return [job.job_id for job in page.jobs]
            case "@image" | "@video" | "@audio":
                page = await self._rooms.jobs.list(JobQuery(limit=50))
                kinds = [(job, {output.kind for output in job.outputs}) for job in page.jobs]
                return [job.job_id for job, made in kinds if name[1:] in made]
            case "name" | "guide":
                return list(GUIDES)
            case _:
                return ()

    def _call(self) -> Call:
        return Call(self._rooms)


def _json(result: Result | None) -> str:
    assert result is not None  # noqa: S101  # for the type checker: both views have one
    return readable(result.model_dump_json(exclude_defaults=True, exclude_none=True))


def _bytes(path: Path) -> bytes:
    size = path.stat().st_size
    if size > LARGEST_READ:
        raise ActionableError(
            f"the file has {size / 2**20:.0f} MB, and {LARGEST_READ >> 20} MB can be read here",
            hint="view_media shows it; its path or URL stands in job_status",
        )
    return path.read_bytes()


def _known() -> str:
    return "there are " + ", ".join(SCHEME + path for path, *_ in TEMPLATES)
