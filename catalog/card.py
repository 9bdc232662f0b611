"""`ModelCard`: one endpoint as we know it, with source and date of its facts."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

from catalog.titles import joined

Status = Literal["active", "unknown", "deprecated"]
Completeness = Literal["full", "partial", "names", "free-form", "none"]

# What a schema or a price is said to come from that fal itself was asked for.
SOURCE = "fal's platform API"
OWN_SOURCE = "the app itself"  # of an app that runs on this machine

# Names under which cards ask for their main text, best first.
TEXT_FIELDS = (
    "prompt",
    "text",
    "instruction",
    "edit_instruction",
    "text_input",
    "text_prompt",
    "gen_text",
    "input_text",
    "script",
    "lyrics",
    "transcript",
    "query",
)


@dataclass(frozen=True, slots=True)
class ModelCard:
    """One endpoint of fal as the catalog knows it.

    *input_schema* and *output_schema* are JSON Schema (Draft 2020-12) without prose, empty where
    nothing is known; media fields carry ``x-media``. *price* is the record's own price object, None
    where no price is known. *gallery_rank* counts from 1 (roughly by use), None where unlisted.
    *schema_differs* are inputs that a refresh found otherwise than shipped, with "-" where gone.
    """

    endpoint_id: str
    title: str
    variant: str
    category: str
    summary: str
    status: Status
    seed_only: bool
    replaced_by: str | None
    family: str
    version: str
    maker: str
    tags: tuple[str, ...]
    gallery_rank: int | None
    published: str | None
    updated: str | None
    license: str | None
    streaming: bool
    realtime: bool
    input_schema: Mapping[str, Any]
    output_schema: Mapping[str, Any]
    output_media: Mapping[str, str]
    completeness: Completeness
    schema_source: str
    schema_date: str
    price: Mapping[str, Any] | None
    schema_differs: tuple[str, ...] = ()

    @property
    def properties(self) -> Mapping[str, Mapping[str, Any]]:
        """The input fields by name, in the order of the schema."""
        return cast("Mapping[str, Mapping[str, Any]]", self.input_schema.get("properties", {}))

    @property
    def required(self) -> tuple[str, ...]:
        """The names of the input fields that must be given."""
        return tuple(cast("list[str]", self.input_schema.get("required", [])))

    @property
    def text_field(self) -> str | None:
        """The input field that takes the main text, or None.

        Where a text is required beside a prompt, the prompt says how it is to be spoken.
        """
        if "text" in self.required and "prompt" in self.properties:
            return "text"
        return next((name for name in TEXT_FIELDS if name in self.properties), None)

    @property
    def media_out(self) -> tuple[str, ...]:
        """The kinds of media that come back, each once, sorted."""
        return tuple(sorted(set(self.output_media.values())))

    @property
    def media_in(self) -> Mapping[str, str]:
        """The input fields that take media, with the kind of each; lists count by their items."""
        found: dict[str, str] = {}
        for name, schema in self.properties.items():
            kind = schema.get("x-media") or schema.get("items", {}).get("x-media")
            if isinstance(kind, str):
                found[name] = kind
        return found

    @property
    def is_current(self) -> bool:
        """Whether it is in use and all of its inputs are known."""
        return self.status == "active" and self.completeness == "full" and not self.seed_only

    @property
    def full_title(self) -> str:
        """The title with the variant, unless it says the same already."""
        return joined(self.title, self.variant)

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> "ModelCard":
        """Return the card that a line of the snapshot holds."""
        schema: Mapping[str, Any] = record.get("schema") or {}
        return cls(
            endpoint_id=record["id"],
            title=record.get("title") or record["id"],
            variant=record.get("variant") or "",
            category=record.get("category") or "unknown",
            summary=record.get("summary") or "",
            status=record.get("status") or "unknown",
            seed_only=bool(record.get("seed_only")),
            replaced_by=record.get("replaced_by"),
            family=record.get("family") or "",
            version=record.get("version") or "",
            maker=record.get("maker") or "",
            tags=tuple(record.get("tags") or ()),
            gallery_rank=record.get("gallery_rank"),
            published=record.get("published"),
            updated=record.get("updated"),
            license=record.get("license"),
            streaming=bool(record.get("streaming")),
            realtime=bool(record.get("realtime")),
            input_schema=record.get("input") or {},
            output_schema=record.get("output") or {},
            output_media=record.get("output_media") or {},
            completeness=schema.get("completeness") or "none",
            schema_source=schema.get("source") or "",
            schema_date=schema.get("date") or "",
            price=record.get("price"),
            schema_differs=tuple(schema.get("differs") or ()),
        )
