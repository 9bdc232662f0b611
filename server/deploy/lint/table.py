"""`RULES`: every rule in one table, by code; documentation and reports are made from it."""

from collections.abc import Iterator
from functools import cache

from server.deploy.lint import (
    rules_endpoints,
    rules_imports,
    rules_inputs,
    rules_machines,
    rules_names,
    rules_requirements,
    rules_safety,
    rules_scaling,
    rules_settings,
    rules_streaming,
)
from server.deploy.lint.app import App
from server.deploy.lint.module import Module
from server.deploy.lint.project import Project
from server.deploy.lint.rule import Breach, Rule


def _by_the_comments(project: Project) -> Iterator[Breach]:
    """Yield nothing: what is unused is only known when all other rules have spoken."""
    yield from ()
    del project


UNUSED: Rule[Project] = Rule(
    "FAL099", "info", "suppression that suppresses nothing",
    "A later breach on the same line would go unseen.", "", "judgement", _by_the_comments,
    mends=True,
)  # fmt: skip
PROJECT_RULES: tuple[Rule[Project], ...] = (*rules_imports.RULES, UNUSED)
MODULE_RULES: tuple[Rule[Module], ...] = (*rules_imports.MODULE_RULES, *rules_safety.MODULE_RULES)
APP_RULES: tuple[Rule[App], ...] = (
    *rules_settings.RULES,
    *rules_machines.RULES,
    *rules_scaling.RULES,
    *rules_safety.RULES,
    *rules_requirements.RULES,
    *rules_endpoints.RULES,
    *rules_streaming.RULES,
    *rules_inputs.RULES,
    *rules_names.RULES,
)
AnyRule = Rule[Project] | Rule[Module] | Rule[App]
RULES: tuple[AnyRule, ...] = tuple(
    sorted((*PROJECT_RULES, *MODULE_RULES, *APP_RULES), key=lambda rule: rule.code)
)
FAMILIES = (
    ("Imports and work at once", "rules_imports"),
    ("Settings", "rules_settings"),
    ("Machines", "rules_machines"),
    ("Scaling and cost", "rules_scaling"),
    ("Secrets and safety", "rules_safety"),
    ("Requirements", "rules_requirements"),
    ("Endpoints", "rules_endpoints"),
    ("Streaming and several calls at once", "rules_streaming"),
    ("Inputs", "rules_inputs"),
    ("Names", "rules_names"),
)


@cache
def codes() -> frozenset[str]:
    """Return the codes of all rules."""
    return frozenset(rule.code for rule in RULES)


def family_of(rule: AnyRule) -> str:
    """Return the title of the family that a rule belongs to."""
    module = rule.check.__module__.rpartition(".")[2]
    return next((title for title, name in FAMILIES if name == module), "Suppression")
