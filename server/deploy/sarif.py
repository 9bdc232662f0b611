"""What the linter found, in SARIF 2.1.0 for code hosts and editors, and in lines for a person."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from urllib.parse import quote

from server.deploy.lint.table import RULES, AnyRule
from tools.deploy_records import Edit, Finding, Severity

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_LEVELS: Mapping[Severity, str] = {"error": "error", "warning": "warning", "info": "note"}
# A message is other people's text in part: no control characters reach a terminal.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def sarif(
    findings: Iterable[Finding], edits: Sequence[Edit] = (), *, version: str = "0"
) -> dict[str, object]:
    """Return a SARIF 2.1.0 log with every rule described and one result for each finding.

    *edits* are the mechanical mends, each told with its finding.
    Paths are relative to the folder that was checked (``%SRCROOT%``), columns count characters.
    """
    places = {rule.code: number for number, rule in enumerate(RULES)}
    return {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "falkit",
                        "version": version,
                        "rules": [_rule(rule) for rule in RULES],
                    }
                },
                "columnKind": "unicodeCodePoints",
                "results": [_result(item, places, edits) for item in findings],
            }
        ],
    }


def sarif_text(
    findings: Iterable[Finding], edits: Sequence[Edit] = (), *, version: str = "0"
) -> str:
    """Return the SARIF log as JSON with a line end."""
    return json.dumps(sarif(findings, edits, version=version), indent=2, ensure_ascii=False) + "\n"


def json_text(findings: Iterable[Finding]) -> str:
    """Return the findings as a JSON array of flat objects with a line end."""
    rows = [
        {
            "code": item.code,
            "severity": item.severity,
            "file": item.file,
            "line": item.line,
            "column": item.column,
            "message": item.message,
            "fix": item.fix,
            "topic": _topic(item.code),
        }
        for item in findings
    ]
    return json.dumps(rows, indent=2, ensure_ascii=False) + "\n"


def lines_of(findings: Sequence[Finding]) -> str:
    """Return a line for each finding, its fix below it, and a last line that counts them."""
    parts: list[str] = []
    for item in findings:
        place = f"{item.file}:{item.line}:{item.column}" if item.line else item.file
        parts.append(_plain(f"{place}: {item.code} {item.severity}: {item.message}"))
        if item.fix:
            parts.append(_plain(f"    fix: {item.fix}"))
    parts.append(counted(findings))
    return "\n".join(parts) + "\n"


def counted(findings: Sequence[Finding]) -> str:
    """Return how many there are of each severity, such as ``2 errors, 1 warning``."""
    words: list[str] = []
    for severity, name in (("error", "error"), ("warning", "warning"), ("info", "hint")):
        number = sum(item.severity == severity for item in findings)
        if number:
            words.append(f"{number} {name}{'' if number == 1 else 's'}")
    return ", ".join(words) or "nothing found"


def _plain(words: str) -> str:
    return _CONTROL.sub("\ufffd", words)


def _topic(code: str) -> str:
    return next((rule.topic for rule in RULES if rule.code == code), "")


def _rule(rule: AnyRule) -> dict[str, object]:
    words = re.sub(r"[^A-Za-z0-9 ]", "", rule.title).title().replace(" ", "")
    help_text = f"{rule.why} See fal's documentation: {rule.topic}." if rule.topic else rule.why
    return {
        "id": rule.code,
        "name": words,
        "shortDescription": {"text": rule.title[:1].upper() + rule.title[1:]},
        "fullDescription": {"text": rule.why},
        "help": {"text": help_text},
        "defaultConfiguration": {"level": _LEVELS[rule.severity]},
    }


def _result(
    finding: Finding, places: Mapping[str, int], edits: Sequence[Edit]
) -> dict[str, object]:
    words = f"{finding.message}; fix: {finding.fix}" if finding.fix else finding.message
    physical: dict[str, object] = {
        "artifactLocation": {"uri": quote(finding.file), "uriBaseId": "%SRCROOT%"}
    }
    if finding.line:
        physical["region"] = {
            "startLine": finding.line,
            "startColumn": max(finding.column, 1),
        }
    return {
        "ruleId": finding.code,
        "ruleIndex": places[finding.code],
        "level": _LEVELS[finding.severity],
        "message": {"text": words},
        "locations": [{"physicalLocation": physical}],
        **_fixes(finding, edits),
    }


def _fixes(finding: Finding, edits: Sequence[Edit]) -> dict[str, object]:
    """Return the mend of *finding*, where it is mechanical."""
    own = (finding.code, finding.file, finding.line, finding.column)
    mine = [one for one in edits if (one.code, one.file, one.line, one.column) == own and one.line]
    if not mine:
        return {}
    replacements = [
        {
            "deletedRegion": {"charOffset": one.start, "charLength": one.end - one.start},
            "insertedContent": {"text": one.text},
        }
        for one in mine
    ]
    where = {"uri": quote(finding.file), "uriBaseId": "%SRCROOT%"}
    change = {"artifactLocation": where, "replacements": replacements}
    said = finding.fix or finding.message
    return {"fixes": [{"description": {"text": said}, "artifactChanges": [change]}]}
