"""All cases: for each rule a source that breaks it and one beside it that does not."""

from tests import lint_cases_machines, lint_cases_serving, lint_cases_source
from tests.lint_made import Case, app

CASES = (*lint_cases_source.CASES, *lint_cases_machines.CASES, *lint_cases_serving.CASES)

__all__ = ["CASES", "Case", "app"]
