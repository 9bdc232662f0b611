"""Find models for a need in plain words."""

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

from pydantic import ConfigDict, Field, FiniteFloat

from catalog.search import Hit, SearchAnswer, SearchRequest, search
from catalog.search_words import elsewhere
from tools.ports import Call
from tools.tool import Answer, Arguments, Result, Tool, Unlisted

# An answer of eight hits fits this many bytes of JSON (design section 7).
MOST_BYTES = 2000
# Models beside the answer to a how-to question.
BESIDE_A_GUIDE = 5
CHOOSING = "choose-a-model"
# A guide is read whole by its name, and told in short to whoever asks a question.
BY_NAME = re.compile(r"(?:falkit://guides/|guides?\b[\s:]*)([\w-]*)\W*", re.IGNORECASE)
ASKING = re.compile(
    r"[?\uff1f\u061f]|^\W*(?:how|why|what|which|when|should|does|do|is|are|can)\b"
    r"|\bhow (?:to|much|many|long)\b",
    re.IGNORECASE,
)


class SearchArguments(Arguments):
    """What is needed, and what it may cost."""

    model_config = ConfigDict(defer_build=False)  # hosts call it first

    query: str = Field(
        default="", description="The need in plain words, any language, or a model's name"
    )
    category: str = Field(
        default="", description="fal category, such as text-to-image, image-to-video"
    )
    # Made anew for each call: pydantic would copy an empty list step by step.
    media_in: list[str] = Field(
        default_factory=list[str], description="Media it must take: image, video, audio, 3d"
    )
    media_out: list[str] = Field(default_factory=list[str], description="Media it must return")
    features: list[str] = Field(
        default_factory=list[str],
        description="Such as sound, mask, reference images, end frame, seed, negative prompt, "
        "lora, streaming, 1080p, 4k, commercial",
    )
    max_dollars: FiniteFloat = Field(
        default=0,
        ge=0,
        description="Most dollars for `for_work`; 0 for no limit",
    )
    for_work: str = Field(
        default="", description='Work the limit is for, such as "10 seconds at 1080p"'
    )
    limit: int = Field(default=8, ge=1, le=20, description="Hits, 1 to 20, default 8")
    cursor: str = Field(default="", description="`next_cursor` of the page before")


class ModelHit(Result):
    """One model that may serve."""

    model_config = ConfigDict(defer_build=False)

    endpoint_id: str
    title: str = ""
    category: str
    summary: str
    price: str
    why: str


class FoundModels(Result):
    """Models, best first."""

    model_config = ConfigDict(defer_build=False)

    models: list[ModelHit]
    low_confidence: bool = False
    guides: list[str] = []
    guide: Unlisted[str] = ""
    next_cursor: str = ""


async def search_models(call: Call, arguments: SearchArguments) -> Answer:
    """Return the models that fit the need best, with price and the reason they matched.

    A how-to question is answered by the gist of its guide, and "guide NAME" by the whole of it.
    """
    if (named := _guide_named(call, arguments.query)) is not None:
        return named
    request = SearchRequest(
        query=arguments.query,
        category=arguments.category,
        media_in=tuple(arguments.media_in),
        media_out=tuple(arguments.media_out),
        features=tuple(arguments.features),
        max_dollars=Decimal(str(arguments.max_dollars)) if arguments.max_dollars else None,
        for_work=arguments.for_work,
        limit=arguments.limit,
        cursor=arguments.cursor,
    )
    answer = search(call.rooms.catalog, request)
    gist = _gist(call, arguments.query, answer)
    if gist and request.limit > BESIDE_A_GUIDE:
        answer = search(call.rooms.catalog, replace(request, limit=BESIDE_A_GUIDE))
    guides = list(answer.guides)
    if not guides and answer.low_confidence and ASKING.search(arguments.query):
        guides = list(call.rooms.guides)  # perhaps one of them is what is asked for
    models = _fitted(_shown(answer, gist), MOST_BYTES - (len(json.dumps(guides)) if guides else 2))
    found = FoundModels.model_validate(
        {
            "models": models,
            "low_confidence": answer.low_confidence,
            "guides": guides,
            "guide": gist or ("" if models else answer.dearer),
            "next_cursor": answer.next_cursor if models else "",
        }
    )
    return Answer(found, "\n".join(_lines(found, models, "" if models or gist else answer.dearer)))


def _shown(answer: SearchAnswer, gist: str) -> Sequence[Hit]:
    """Return the hits worth showing: none beside a *gist* where no model may be meant.

    The first says which product that is asked for fal does not offer, and what a model costs that
    is named and left out for its price.
    """
    hits = [] if gist and answer.low_confidence else list(answer.hits)
    if hits and answer.dearer:
        hits[0] = hits[0]._replace(why=f"{answer.dearer}; {hits[0].why}")
    if hits and (strange := elsewhere(answer.steps, answer.tables)):
        hits[0] = hits[0]._replace(why=f"fal has no {', '.join(strange)}; {hits[0].why}")
    return hits


def _lines(found: FoundModels, models: Sequence[dict[str, str]], dearer: str) -> Sequence[str]:
    """Return what a person reads, the answer to a how-to question first.

    *dearer* tells why nothing was found, if a limit of money is all there is to it.
    """
    lines = [
        f"{model['endpoint_id']} | {model['price']} | {model['summary']} | {model['why']}"
        for model in models
    ]
    if not lines and (dearer or not found.guide):
        told = f": {dearer}" if dearer else ""
        lines = [f"no model fits{told}; say the need in other words, or drop a filter"]
    elif not lines:
        lines = ["no model is meant; the guide says:"]
    elif found.low_confidence:
        lines.insert(0, "low confidence: perhaps nothing here does this")
    if found.guide and models:
        lines.insert(0, found.guide)
    elif found.guide and not dearer:
        lines.append(found.guide)
    elif found.guides:
        lines.append(f'guides (query "guide NAME" reads one): {", ".join(found.guides)}')
    if found.next_cursor:
        lines.append(f"more with cursor={found.next_cursor}")
    return lines


def _guide_named(call: Call, query: str) -> Answer | None:
    """Return the guide that *query* names, or all names where it only says guides."""
    if (said := BY_NAME.fullmatch(query.strip())) is None:
        return None
    guides, name = call.rooms.guides, said[1].lower().replace("_", "-")
    if guides and not name:
        told = f'{", ".join(guides)}. The query "guide NAME" reads one.'
    elif name in guides:
        told = guides[name].text
    else:
        return None
    return Answer(FoundModels(models=[], guides=[name] if name else list(guides), guide=told), told)


def _gist(call: Call, query: str, answer: SearchAnswer) -> str:
    """Return what the first guide of *answer* says in short, if *query* asks rather than seeks.

    To whom asks which model, the models found are the answer.
    """
    sought = bool(answer.hits) and not answer.low_confidence
    names = [name for name in answer.guides if not (sought and name == CHOOSING)]
    if not names or not (ASKING.search(query) or not answer.hits):
        return ""
    guide = call.rooms.guides.get(names[0])
    more = f'Whole guide: search_models {{"query":"guide {names[0]}"}}'
    return f"{guide.gist} {more}" if guide else ""


_FIELDS = tuple(ModelHit.model_fields)
# What stands around the values of a hit, and between two of them or around all.
_AROUND = len('{"endpoint_id": "", "category": "", "summary": "", "price": "", "why": ""}, ')


def _fitted(hits: Sequence[Hit], bytes_of_eight: int) -> list[dict[str, str]]:
    """Return the fields of *hits* so that eight of them fit *bytes_of_eight*.

    Titles go first, since they say the id again; then what a model does is cut, but not why it is
    here.
    """
    most = bytes_of_eight * max(len(hits), 8) // 8
    prices = [_cut(hit.price, 45) for hit in hits]
    reasons = [_reasons(hit.why, 60 if at else 90) for at, hit in enumerate(hits)]
    titles = [hit.title[:48] for hit in hits]
    summaries = [f"{hit.step}: {hit.summary}" if hit.step else hit.summary for hit in hits]
    ids, categories = [hit.endpoint_id for hit in hits], [hit.category for hit in hits]
    left = most - _AROUND * len(hits) - _bytes("".join([*ids, *categories, *prices, *reasons]))
    entitled = _bytes("".join(titles)) + len(', "title": ""') * sum(map(bool, titles))
    words = 120
    if entitled + _cut_to(summaries, words) > left:
        titles = [""] * len(hits)
        words = next((n for n in (120, 90, 70) if _cut_to(summaries, n) <= left), 50)
    summaries = [_cut(summary, words) for summary in summaries]
    columns = (ids, titles, categories, summaries, prices, reasons)
    return [dict(zip(_FIELDS, row, strict=True)) for row in zip(*columns, strict=True)]


def _cut_to(texts: Sequence[str], most: int) -> int:
    """Return the bytes of *texts* in JSON, each cut to *most* characters."""
    return _bytes("".join([_cut(text, most) for text in texts]))


def _bytes(text: str) -> int:
    """Return the bytes of *text* inside a JSON string."""
    if text.isascii() and text.isprintable() and '"' not in text and "\\" not in text:
        return len(text)
    return len(json.dumps(text)) - 2


def _reasons(why: str, most: int) -> str:
    """Return the first of the reasons in *why*, as many as fit whole into *most* characters."""
    if len(why) <= most:
        return why
    first, *others = why.split("; ")
    told = _cut(first, most)
    for reason in others:
        if len(told) + len(reason) + 2 > most:
            break
        told += f"; {reason}"
    return told


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1].rstrip(" ,;") + "…"


SEARCH_MODELS = Tool(
    name="search_models",
    title="Search models",
    description=(
        "Rank fal.ai models for a need, with price and reason. Begin here. "
        'Example: {"query":"animate a photo with sound","max_dollars":0.5,"for_work":"5 seconds"}'
    ),
    toolset="discover",
    arguments=SearchArguments,
    result=FoundModels,
    run=search_models,
    reads_only=True,
    open_world=False,
)
