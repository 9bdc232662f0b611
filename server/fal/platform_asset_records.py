"""What fal's platform API says of the account's media library, as records."""

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from server.fal.platform_records import Moment, Record, Strings


class Tag(Record):
    """A word that assets carry."""

    id: str
    name: str
    created_at: Moment = None


class Asset(Record):
    """One file of the library. *asset_id* may be missing, *vector_id* never is.

    *type* is ``image``, ``video``, ``audio`` or ``3d``, *source* ``upload`` or ``response``, *url*
    empty where the file is gone, *similarity* (0 to 1) that of a search.
    """

    vector_id: str
    type: str
    asset_id: str = ""
    request_id: str = ""
    url: str = ""
    title: str = ""
    endpoint: str = ""
    created_at: Moment = None
    source: str = ""
    prompt: str = ""
    width: float | None = None
    height: float | None = None
    content_type: str = ""
    is_favorited: bool = False
    collection_ids: Strings = ()
    tags: tuple[Tag, ...] = ()
    similarity: float | None = None


class Collection(Record):
    """A folder of the library: ``manual``, ``smart`` (by filters), or a ``character``."""

    id: str
    name: str
    type: str = "manual"
    description: str = ""
    icon: str = ""
    color: str = ""
    cover_image_url: str = ""
    character_identifier: str = ""
    parent_collection_id: str = ""
    is_favorited: bool = False
    filters: Any = None
    asset_count: int | None = None
    created_at: Moment = None
    updated_at: Moment = None
    reference_images: Strings = ()


class Node(Record):
    """A collection in the tree of collections, with what lies below it."""

    id: str
    name: str = ""
    type: str = ""
    children: tuple["Node", ...] = ()


class Hierarchy(Record):
    """Where a collection lies: what is below it, and what it is in, the highest first."""

    hierarchy: Node
    ancestors: tuple[Node, ...] = ()


class LineageNode(Record):
    """A file, a request, something from outside, or a character in a lineage, by *kind*."""

    kind: str
    id: str
    output_key: str = ""
    url: str = ""
    type: str = ""
    request_id: str = ""
    asset_id: str = ""
    endpoint: str = ""
    prompt: str = ""
    created_at: Moment = None
    entity_id: str = ""
    name: str = ""
    tombstone: bool = False


class LineageEdge(Record):
    """What came of what: from *start* to *end*, as *kind* says; *role* of an input, if known."""

    start: str = Field(validation_alias="from")
    end: str = Field(validation_alias="to")
    kind: str
    role: str = ""
    entities: tuple[Mapping[str, Any], ...] = ()


class Lineage(Record):
    """The graph of what *focus*, a node's id, was made from."""

    focus: str
    nodes: tuple[LineageNode, ...]
    edges: tuple[LineageEdge, ...]


class Favored(Record):
    """Whether an asset is a favourite now."""

    is_favorited: bool
