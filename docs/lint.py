"""Write the page of the lint rules from their table."""

import sys
from pathlib import Path

from server.deploy.lint.table import FAMILIES, RULES, AnyRule, family_of
from tools.deploy_records import Severity

PAGE = Path(__file__).parent / "lint-rules.md"
GROUNDS = {
    "run": "seen when fal runs it",
    "source": "fal's source",
    "documentation": "fal's documentation",
    "judgement": "judgement",
}
_WORDS: dict[Severity, str] = {"error": "error", "warning": "warning", "info": "hint"}


def row(rule: AnyRule) -> str:
    """Return a rule as a line of a Markdown table."""
    mends = "yes" if rule.mends else ""
    cells = (
        f"`{rule.code}`", _WORDS[rule.severity], rule.title, rule.why, mends, rule.topic,
        GROUNDS[rule.ground],
    )  # fmt: skip
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def page() -> str:
    """Return the page: what the rules are for, and a table for each family."""
    errors = sum(rule.severity == "error" for rule in RULES)
    lines = [
        "# What is checked in an app's source",
        "",
        "Written by `make docs` from the table of rules.",
        "",
        f"{len(RULES)} rules, {errors} of them errors: what would stop a deploy or the first call.",
        "The source is read and never run. A breach of some rules can be mended mechanically; the",
        "mends come as a patch and go together. A comment at the end of a line, such as",
        "`# noqa: FAL044`, suppresses a rule there, and one that suppresses nothing is told.",
        "fal's documentation titles its pages as the column *page* says.",
    ]
    for title in (*(title for title, _ in FAMILIES), "Suppression"):
        rules = [rule for rule in RULES if family_of(rule) == title]
        lines += [
            "",
            f"## {title}",
            "",
            "| code | severity | what | why | mends | page | known by |",
            "| --- | --- | --- | --- | --- | --- | --- |",
            *(row(rule) for rule in rules),
        ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
    sys.stdout.write("docs/lint-rules.md is written\n")
