"""What is done with a file that arrived, before it gets its place: a look, and where it is from."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from catalog.card import TEXT_FIELDS
from catalog.index import LOCAL
from catalog.media import MediaFacts
from server.jobs.transactions import Work
from server.media.noticing import noticed
from server.media.provenance import inscribed
from server.media.whole import missing_bytes
from tools.ports import Job, Output

INSCRIBED = "-with-provenance.part"
# A length that a platform states is rounded, and sometimes that of the order.
_SHORT = 0.8
_SHORT_BY = 1.0  # seconds


def remark_on(work: Work, place: int, part: Path, facts: MediaFacts, length: int) -> str:
    """Return what is odd about the file of output *place* (from 0), in a few words. Blocks.

    *length* are its bytes as they came.
    """
    output = work.job.outputs[place]
    said = [noticed(part, facts)]
    if is_flagged(work, place):
        said.append("the model's safety check flagged it")
    if output.bytes is not None and length < output.bytes:
        said.append(f"{length:,} bytes came of {output.bytes:,} that the platform told of")
    if (
        output.seconds
        and facts.seconds
        and facts.seconds < output.seconds * _SHORT
        and output.seconds - facts.seconds > _SHORT_BY
    ):
        said.append(f"it lasts {facts.seconds:g} s of {output.seconds:g} s told")
    return "; ".join(filter(None, said))


def is_flagged(work: Work, place: int) -> bool:
    """Return whether the model says that its safety check flagged output *place* (from 0)."""
    if not work.result or '"has_nsfw_concepts"' not in work.result:
        return False
    entry: Any = json.loads(work.result)
    if not isinstance(entry, dict):
        return False
    marks = cast("dict[str, object]", entry).get("has_nsfw_concepts")
    if marks is True:
        return True
    if not isinstance(marks, list):
        return False
    flags = cast("list[object]", marks)
    return place < len(flags) and flags[place] is True


def inscribe(job: Job, part: Path, media_type: str) -> Path | None:
    """Return a copy of *part* that says in itself where it is from; None where it stays as it came.

    Prompt, model, request and seed are in it: no key, no path, no other argument. Blocks.
    """
    prompt = next(
        (job.arguments[name] for name in TEXT_FIELDS if isinstance(job.arguments.get(name), str)),
        "",
    )
    seed = job.used_seed
    facts = {
        "prompt": prompt,
        "model": job.endpoint_id,
        "request": job.request_id,
        "seed": "" if seed is None else str(seed),
        "made": job.created.date().isoformat(),
        "by": _maker(job),
    }
    copy = part.with_name(f"{part.stem}{INSCRIBED}")
    try:
        if inscribed(part, media_type, facts, copy) and not missing_bytes(copy, media_type):
            return copy
    except OSError:  # no room for a second copy: the file itself is what counts
        pass
    copy.unlink(missing_ok=True)
    return None


def _maker(job: Job) -> str:
    if job.backend == "cloud":
        return "fal.ai"
    of_app = job.endpoint_id.startswith(LOCAL)
    return "an app on this machine" if of_app else "falkit's emulator: a local preview"


def without_twins(
    outputs: Sequence[Output], delivered: Mapping[int, str]
) -> tuple[tuple[Output, ...], list[Path]]:
    """Return *outputs* with each content once, and the files of those that were left out.

    *delivered* is the SHA-256 by place of what came. Some models answer with the same mesh under
    two names; the first, which the card names first, stays. Pictures stay, however equal: so many
    were asked for.
    """
    kept: list[Output] = []
    spare: list[Path] = []
    seen: dict[str, str] = {}
    for place, output in enumerate(outputs):
        sha256 = delivered.get(place) or output.sha256
        if output.kind in ("image", "text") or not output.path or not sha256:
            kept.append(output)
        elif sha256 not in seen:
            seen[sha256] = output.path
            kept.append(output)
        elif output.path != seen[sha256]:
            spare.append(Path(output.path))
    return tuple(kept), spare
