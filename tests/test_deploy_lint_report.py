"""What the linter found, for code hosts, for people, and as a page of rules."""

import json
from importlib.metadata import version
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from docs.lint import PAGE, page
from server.deploy.lint import RULES, lint
from server.deploy.lint.table import FAMILIES, family_of
from server.deploy.sarif import counted, json_text, lines_of, sarif, sarif_text
from tests.lint_made import app
from tools.deploy_records import Finding

SOURCE = app("machine_type = 'GPU-T4'\nrequirements = ['numpy']", head="import torch")
FOUND = lint({"my app/app.py": SOURCE}, entry="my app/app.py")
FINDINGS = FOUND.findings
TEXT = {"type": "object", "required": ["text"], "properties": {"text": {"minLength": 1}}}
LEVEL = {"enum": ["none", "note", "warning", "error"]}
REGION = {
    "type": "object",
    "properties": {
        "startLine": {"type": "integer", "minimum": 1},
        "startColumn": {"type": "integer", "minimum": 1},
    },
    "additionalProperties": False,
}
PLACE = {
    "type": "object",
    "required": ["artifactLocation"],
    "properties": {
        "artifactLocation": {
            "properties": {"uri": {"pattern": "^[^ \\\\]+$"}, "uriBaseId": {"type": "string"}},
            "additionalProperties": False,
        },
        "region": REGION,
    },
    "additionalProperties": False,
}
FIX = {
    "required": ["artifactChanges"],
    "additionalProperties": False,
    "properties": {
        "description": TEXT,
        "artifactChanges": {
            "minItems": 1,
            "items": {
                "required": ["artifactLocation", "replacements"],
                "properties": {
                    "replacements": {
                        "minItems": 1,
                        "items": {
                            "required": ["deletedRegion"],
                            "properties": {
                                "deletedRegion": {
                                    "required": ["charOffset", "charLength"],
                                    "additionalProperties": False,
                                    "properties": {
                                        "charOffset": {"type": "integer", "minimum": 0},
                                        "charLength": {"type": "integer", "minimum": 0},
                                    },
                                },
                                "insertedContent": {"required": ["text"]},
                            },
                        },
                    }
                },
            },
        },
    },
}
# The parts of SARIF 2.1.0 that a log of ours has, each as that standard has it.
LOG = {
    "type": "object",
    "required": ["version", "runs"],
    "additionalProperties": False,
    "properties": {
        "$schema": {"type": "string", "format": "uri"},
        "version": {"const": "2.1.0"},
        "runs": {
            "items": {
                "required": ["tool"],
                "additionalProperties": False,
                "properties": {
                    "columnKind": {"enum": ["utf16CodeUnits", "unicodeCodePoints"]},
                    "tool": {
                        "required": ["driver"],
                        "properties": {
                            "driver": {
                                "required": ["name"],
                                "properties": {
                                    "rules": {
                                        "uniqueItems": True,
                                        "items": {
                                            "required": ["id"],
                                            "additionalProperties": False,
                                            "properties": {
                                                "id": {"pattern": "^FAL[0-9]{3}$"},
                                                "name": {"pattern": "^[A-Za-z0-9]+$"},
                                                "shortDescription": TEXT,
                                                "fullDescription": TEXT,
                                                "help": TEXT,
                                                "defaultConfiguration": {
                                                    "properties": {"level": LEVEL}
                                                },
                                            },
                                        },
                                    }
                                },
                            }
                        },
                    },
                    "results": {
                        "items": {
                            "required": ["message"],
                            "additionalProperties": False,
                            "properties": {
                                "ruleId": {"type": "string"},
                                "ruleIndex": {"type": "integer", "minimum": 0},
                                "level": LEVEL,
                                "message": TEXT,
                                "locations": {"items": {"properties": {"physicalLocation": PLACE}}},
                                "fixes": {"items": FIX},
                            },
                        }
                    },
                },
            }
        },
    },
}


def is_valid(log: dict[str, Any]) -> bool:
    return Draft202012Validator(LOG).is_valid(log)  # pyright: ignore[reportUnknownMemberType]  # an overload


def test_the_report_for_code_hosts_has_the_shape_of_its_standard() -> None:
    log = sarif(FINDINGS, version=version("falkit"))
    assert is_valid(log)
    run = json.loads(sarif_text(FINDINGS))["runs"][0]
    rules = run["tool"]["driver"]["rules"]
    assert len(run["results"]) == len(FINDINGS) > 3
    for result, finding in zip(run["results"], FINDINGS, strict=True):
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"] == finding.code
        region = result["locations"][0]["physicalLocation"]["region"]
        assert (region["startLine"], region["startColumn"]) == (finding.line, finding.column)
    assert is_valid(sarif(lint({}, entry="app.py").findings))
    assert not is_valid({**log, "version": "2.0"})


def test_a_mechanical_mend_stands_with_its_finding_and_mends_it() -> None:
    log = sarif(FINDINGS, FOUND.edits)
    assert is_valid(log)
    results = json.loads(sarif_text(FINDINGS, FOUND.edits))["runs"][0]["results"]
    (mended,) = [result for result in results if "fixes" in result and "GPU-T4" in str(result)]
    (replacement,) = mended["fixes"][0]["artifactChanges"][0]["replacements"]
    start = replacement["deletedRegion"]["charOffset"]
    end = start + replacement["deletedRegion"]["charLength"]
    after = SOURCE[:start] + replacement["insertedContent"]["text"] + SOURCE[end:]
    left = lint({"my app/app.py": after}, entry="my app/app.py").findings
    assert {one.code for one in FINDINGS} - {one.code for one in left} == {mended["ruleId"]}
    assert all("fixes" not in one for one in json.loads(sarif_text(FINDINGS))["runs"][0]["results"])


def test_the_lines_for_people_name_place_code_and_fix_and_hold_no_control_characters() -> None:
    text = lines_of(FINDINGS)
    assert "my app/app.py:3:1: FAL010 error: `import torch`" in text
    assert "    fix: use 'GPU-RTX4090'" in text
    assert text.splitlines()[-1] == counted(FINDINGS)
    odd = Finding("FAL001", "error", "a\x1b[31m.py", 0, 0, "x\ny\u202e", "")
    assert lines_of([odd]).splitlines() == [
        "a\ufffd[31m.py: FAL001 error: x\ufffdy\ufffd",
        "1 error",
    ]
    assert lines_of([]) == "nothing found\n"
    assert json.loads(json_text(FINDINGS))[0]["topic"]


def test_the_page_of_rules_says_what_is() -> None:
    assert PAGE.read_text("utf-8") == page()
    for rule in RULES:
        assert f"| `{rule.code}` |" in page()


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.code)
def test_a_rule_says_what_why_and_where_to_read_on(rule: "object") -> None:
    found = next(item for item in RULES if item is rule)
    assert found.why.endswith(".")
    assert not found.title.endswith(".")
    assert found.topic or found.code == "FAL099"
    assert family_of(found) in (*(title for title, _ in FAMILIES), "Suppression")


def test_each_code_stands_for_one_rule() -> None:
    codes = [rule.code for rule in RULES]
    assert len(set(codes)) == len(codes)
    assert codes == sorted(codes)
