"""`EndpointId`: an endpoint's id, cut into namespace, owner, alias and path."""

import re
from dataclasses import dataclass

from catalog.errors import ActionableError

# Ids under these first words are one part longer (documented in fal's clients).
NAMESPACES = ("workflows", "comfy")

_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9._~-]*\Z")
_LEGACY = re.compile(r"(\d+)-([A-Za-z0-9][A-Za-z0-9._~-]*)\Z")
_LONGEST = 300


@dataclass(frozen=True, slots=True)
class EndpointId:
    """One endpoint's id in its parts; ``str()`` gives the id under which requests are submitted.

    *namespace* is ``workflows``, ``comfy`` or empty, *path* is what follows the alias, without a
    leading slash, or empty.
    """

    namespace: str
    owner: str
    alias: str
    path: str

    @property
    def app(self) -> str:
        """``owner/alias`` with its namespace: the part that status and result addresses keep."""
        return "/".join(part for part in (self.namespace, self.owner, self.alias) if part)

    def __str__(self) -> str:
        return f"{self.app}/{self.path}" if self.path else self.app

    @classmethod
    def parse(cls, text: str) -> "EndpointId":
        """Return the parts of *text*; blanks and slashes around it do not count.

        The old form ``1234-alias`` is read as ``1234/alias``, as fal's own clients do.

        Raises:
            ActionableError: *text* is not an endpoint id.
        """
        given = text.strip().strip("/")
        parts = given.split("/") if len(given) <= _LONGEST else []
        if len(parts) == 1 and (legacy := _LEGACY.match(given)):
            parts = [legacy[1], legacy[2]]
        namespace = parts[0] if parts and parts[0] in NAMESPACES else ""
        rest = parts[1:] if namespace else parts
        if len(rest) < 2 or not all(_PART.match(part) for part in rest):
            raise ActionableError(
                f"{text[:80]!r} is not an endpoint id",
                hint="an id is owner/alias with an optional path, such as fal-ai/flux/dev",
            )
        return cls(namespace, rest[0], rest[1], "/".join(rest[2:]))
