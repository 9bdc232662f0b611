"""The linter of serverless apps: reads their source, runs nothing of it."""

from server.deploy.lint.edits import apply_edits, patch_of
from server.deploy.lint.linting import LintResult, lint
from server.deploy.lint.table import RULES
from server.deploy.lint.text import read_text

__all__ = ["RULES", "LintResult", "apply_edits", "lint", "patch_of", "read_text"]
