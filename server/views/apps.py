"""The MCP Apps extension: which tools have a view, and the page that draws them all."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mcp.server.apps import APP_MIME_TYPE, EXTENSION_ID
from mcp.server.extension import Extension
from mcp.server.lowlevel.helper_types import ReadResourceContents

from catalog.errors import ActionableError

PAGE = Path(__file__).parent / "page.html"
GALLERY, COST = "ui://falkit/gallery", "ui://falkit/cost"
# The page draws what the result holds: outputs, a comparison, or one price.
VIEWS: Mapping[str, str] = {
    "generate": GALLERY,
    "edit": GALLERY,
    "job_status": GALLERY,
    "estimate_cost": COST,
}
# Where fal's files lie; nothing else may be loaded, and nothing asked of any network.
FILES = ("https://v3.fal.media", "https://v3b.fal.media", "https://fal.media")


class Views(Extension):
    """Says that falkit has views; the tools and the page are the server's own."""

    identifier = EXTENSION_ID

    def settings(self) -> dict[str, Any]:
        """Return the kind of page that hosts will find."""
        return {"mimeTypes": [APP_MIME_TYPE]}


def meta_of(tool: str) -> dict[str, Any] | None:
    """Return what a host is told of the view of *tool*, if it has one."""
    return {"ui": {"resourceUri": VIEWS[tool]}} if tool in VIEWS else None


def page(uri: str) -> ReadResourceContents:
    """Return the page at *uri*.

    Raises:
        ActionableError: there is none.
    """
    if uri not in VIEWS.values():
        raise ActionableError(f"no view lies at {uri[:120]!r}", hint=f"there are {GALLERY}, {COST}")
    meta = {"ui": {"csp": {"resourceDomains": list(FILES)}, "prefersBorder": True}}
    return ReadResourceContents(PAGE.read_text("utf-8"), APP_MIME_TYPE, meta)
