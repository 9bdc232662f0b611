"""`document`: the OpenAPI document of one endpoint, in the form in which fal publishes it."""

import re
from collections.abc import Mapping
from typing import Any, cast

from catalog.card import ModelCard

FILE_FIELDS: Mapping[str, Any] = {
    "url": {"type": "string", "title": "Url", "description": "The URL of the file."},
    "content_type": {"type": "string", "title": "Content Type"},
    "file_name": {"type": "string", "title": "File Name"},
    "file_size": {"type": "integer", "title": "File Size"},
}
SIZE_FIELDS: Mapping[str, Any] = {
    "width": {"type": "integer", "title": "Width"},
    "height": {"type": "integer", "title": "Height"},
}
VIDEO_FIELDS: Mapping[str, Any] = {
    **SIZE_FIELDS,
    "fps": {"type": "number", "title": "Fps"},
    "duration": {"type": "number", "title": "Duration"},
    "num_frames": {"type": "integer", "title": "Num Frames"},
}
FILE_SCHEMAS: Mapping[str, Mapping[str, Any]] = {
    "File": FILE_FIELDS,
    "Image": {**FILE_FIELDS, **SIZE_FIELDS},
    "Video": {**FILE_FIELDS, **VIDEO_FIELDS},
}
SCHEMA_OF_KIND: Mapping[str, str] = {"image": "Image", "video": "Video"}

QUEUE_STATUS: Mapping[str, Any] = {
    "type": "object",
    "required": ["status", "request_id"],
    "properties": {
        "status": {"type": "string", "enum": ["IN_QUEUE", "IN_PROGRESS", "COMPLETED"]},
        "request_id": {"type": "string", "description": "The request id."},
        "response_url": {"type": "string", "description": "The response url."},
        "status_url": {"type": "string", "description": "The status url."},
        "cancel_url": {"type": "string", "description": "The cancel url."},
        "logs": {"type": "object", "description": "The logs.", "additionalProperties": True},
        "metrics": {"type": "object", "description": "The metrics.", "additionalProperties": True},
        "queue_position": {"type": "integer", "description": "The queue position."},
    },
}
REQUEST_ID = {
    "name": "request_id",
    "in": "path",
    "required": True,
    "schema": {"type": "string", "description": "Request ID"},
}
OUR_KEYS = frozenset({"x-media", "x-long-default", "x-default-out-of-range", "x-kind"})


def document(card: ModelCard) -> dict[str, Any]:
    """Return the document of *card*.

    As on fal, its paths carry the full id and ``logs`` is an object: it describes inputs and
    outputs, and is no guide to the queue's own wiring.
    """
    name = "".join(part.capitalize() for part in re.split(r"[^A-Za-z0-9]+", _path(card)) if part)
    given, returned = f"{name}Input", f"{name}Output"
    schemas: dict[str, Any] = {"QueueStatus": QUEUE_STATUS}
    schemas[given] = _object(card.input_schema, given, schemas)
    schemas[returned] = _object(card.output_schema, returned, schemas)
    return {
        "openapi": "3.0.4",
        "info": {
            "title": f"Queue OpenAPI for {card.endpoint_id}",
            "version": "1.0.0",
            "description": f"The OpenAPI schema for the {card.endpoint_id} queue.",
            "x-fal-metadata": {
                "endpointId": card.endpoint_id,
                "category": card.category,
                "thumbnailUrl": "",
                "playgroundUrl": f"https://fal.ai/models/{card.endpoint_id}",
                "documentationUrl": f"https://fal.ai/models/{card.endpoint_id}/api",
            },
        },
        "components": {
            "securitySchemes": {
                "apiKeyAuth": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "Authorization",
                    "description": "Fal Key",
                }
            },
            "schemas": schemas,
        },
        "paths": _paths(card.endpoint_id, given, returned),
        "servers": [{"url": "https://queue.fal.run"}],
        "security": [{"apiKeyAuth": []}],
    }


def _path(card: ModelCard) -> str:
    return card.endpoint_id.partition("/")[2]


def _paths(endpoint_id: str, given: str, returned: str) -> dict[str, Any]:
    request = f"/{endpoint_id}/requests/{{request_id}}"
    logs = {
        "name": "logs",
        "in": "query",
        "required": False,
        "schema": {"type": "number", "description": "Whether to include logs (`1`) or not (`0`)."},
    }
    cancelled = {"type": "object", "properties": {"success": {"type": "boolean"}}}
    return {
        f"{request}/status": {
            "get": {"parameters": [REQUEST_ID, logs], **_answers(_reference("QueueStatus"))}
        },
        f"{request}/cancel": {"put": {"parameters": [REQUEST_ID], **_answers(cancelled)}},
        f"/{endpoint_id}": {
            "post": {
                "requestBody": {
                    "required": True,
                    "content": {"application/json": {"schema": _reference(given)}},
                },
                **_answers(_reference("QueueStatus")),
            }
        },
        request: {"get": {"parameters": [REQUEST_ID], **_answers(_reference(returned))}},
    }


def _answers(schema: Mapping[str, Any]) -> dict[str, Any]:
    content = {"application/json": {"schema": schema}}
    return {"responses": {"200": {"description": "The response.", "content": content}}}


def _reference(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _object(schema: Mapping[str, Any], title: str, schemas: dict[str, Any]) -> dict[str, Any]:
    """Return *schema* as the component *title*, adding the file components that it needs."""
    made = cast("dict[str, Any]", _translated(schema, schemas))
    properties = cast("dict[str, Any]", made.get("properties", {}))
    for name, rule in properties.items():
        if "$ref" not in rule:
            rule.setdefault("title", name.replace("_", " ").title())
    return {
        "title": title,
        "type": "object",
        "x-fal-order-properties": list(properties),
        **{key: value for key, value in made.items() if key != "type"},
    }


def _translated(rule: Any, schemas: dict[str, Any]) -> Any:  # noqa: ANN401  # JSON
    """Return a copy of *rule* without the catalog's own keys, file objects as references."""
    if isinstance(rule, list):
        return [_translated(item, schemas) for item in cast("list[Any]", rule)]
    if not isinstance(rule, dict):
        return rule
    given = cast("dict[str, Any]", rule)
    if given.get("type") == "object" and "x-media" in given:
        name = SCHEMA_OF_KIND.get(given["x-media"], "File")
        fields = FILE_SCHEMAS[name]
        schemas[name] = {
            "title": name,
            "type": "object",
            "required": ["url"],
            "x-fal-order-properties": list(fields),
            "properties": dict(fields),
        }
        return _reference(name)
    made: dict[str, Any] = {}
    for key, value in given.items():
        if key in ("default", "enum", "examples"):
            made[key] = value
        elif key == "x-null":
            made["nullable"] = True
        elif key == "x-limits":
            made["x-fal"] = value
        elif key == "properties":
            entries = cast("dict[str, Any]", value)
            made[key] = {name: _translated(entry, schemas) for name, entry in entries.items()}
        elif key not in OUR_KEYS:
            made[key] = _translated(value, schemas)
    return made
