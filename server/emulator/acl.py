"""`Acl`: who may read a file of the CDN, and what the others are told."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

Access = Literal["allow", "forbid", "hide"]
MOST_PERMISSIVE: Sequence[Access] = ("allow", "hide", "forbid")


@dataclass(frozen=True, slots=True)
class Acl:
    """A decision for everybody, and others for single users, who are known by the id of their key.

    ``forbid`` answers 403, ``hide`` 404.
    """

    default: Access = "allow"
    rules: tuple[tuple[str, Access], ...] = ()

    @classmethod
    def of(cls, given: Any) -> "Acl | None":  # noqa: ANN401  # JSON
        """Return what JSON says, None where it says nothing; unreadable rules are dropped."""
        if not isinstance(given, dict):
            return None
        words = cast("Mapping[str, Any]", given)
        rules: list[tuple[str, Access]] = []
        listed: Any = words.get("rules")
        for rule in cast("list[Any]", listed) if isinstance(listed, list) else ():
            if isinstance(rule, dict):
                entry = cast("Mapping[str, Any]", rule)
                user, decision = str(entry.get("user") or ""), _access(entry.get("decision"))
                if user and decision:
                    rules.append((user, decision))
        return cls(_access(words.get("default")) or "allow", tuple(rules))

    @classmethod
    def stored(cls, default: str, rules: str | None) -> "Acl":
        """Return what two columns of a row say."""
        return cls.of({"default": default, "rules": json.loads(rules or "[]")}) or cls()

    def as_json(self) -> dict[str, Any]:
        """Return it as it goes over the wire."""
        return {
            "default": self.default,
            "rules": [{"user": user, "decision": decision} for user, decision in self.rules],
        }

    def decide(self, users: Sequence[str], owner: str | None) -> Access:
        """Return what somebody may who is all of *users*: the most permissive of their decisions.

        The *owner* may always read; who is nobody gets the default.
        """
        if owner and owner in users:
            return "allow"
        ruled = dict(reversed(self.rules))  # of several rules for one user the first holds
        found: list[Access] = [ruled.get(user, self.default) for user in users]
        return min(found, key=MOST_PERMISSIVE.index) if found else self.default


EVERYBODY = Acl()


def _access(given: Any) -> Access | None:  # noqa: ANN401  # JSON
    known: Mapping[Any, Access] = {access: access for access in MOST_PERMISSIVE}
    return known.get(given) if isinstance(given, str) else None
