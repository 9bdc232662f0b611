"""`lint`: hold the source of an app against every rule; nothing of it is run."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from server.deploy.lint.app import App, Endpoint
from server.deploy.lint.edits import compatible
from server.deploy.lint.known import AUTH_MODES
from server.deploy.lint.project import PYPROJECT, Project
from server.deploy.lint.reading import wants_gpu
from server.deploy.lint.rule import Breach
from server.deploy.lint.rules_imports import functions_of
from server.deploy.lint.rules_names import app_name
from server.deploy.lint.sizes import ModelSize, model_gigabytes
from server.deploy.lint.suppressing import Suppressions
from server.deploy.lint.table import APP_RULES, MODULE_RULES, PROJECT_RULES, UNUSED, AnyRule, codes
from server.deploy.lint.terms import health_of, retries_of
from server.deploy.lint.values import is_strings
from tools.deploy_records import AppSettings, Edit, Finding, Route, RouteKind

MOST_FINDINGS = 500
MOST_APPS = 10  # of one file that are held against the rules
MOST_MENDS = 300
Auth = Literal["private", "public", "shared"]


@dataclass(frozen=True, slots=True)
class LintResult:
    """What the source tells without being run.

    *edits* mend all breaches that can be mended mechanically, and go together. *app* is the name
    it is deployed under (empty: only known when run), *class_name* the class that was checked,
    *class_names* all apps of the entry, *functions* its ``@fal.function`` functions. *weights* is
    the largest model that the source names, *uses_gpu* tells of signs of GPU code.
    """

    findings: tuple[Finding, ...]
    edits: tuple[Edit, ...]
    settings: AppSettings
    app: str
    class_name: str
    class_names: tuple[str, ...]
    routes: tuple[Route, ...]
    functions: tuple[str, ...] = ()
    weights: ModelSize | None = None
    uses_gpu: bool = False
    files: tuple[str, ...] = ()

    @property
    def has_errors(self) -> bool:
        """Something would stop the deploy or the first call."""
        return any(finding.severity == "error" for finding in self.findings)


def lint(files: Mapping[str, str], *, entry: str, class_name: str = "") -> LintResult:
    """Return what breaks the rules in an app, and what its source tells; never raises.

    *files* are texts by path within the app's folder, with slashes; *entry* is the app's module,
    or ``pyproject.toml`` or empty for what that file names. *class_name* chooses among several: a
    class, or a name under ``[tool.fal.apps]``. Only what the entry imports is read.
    """
    project = Project(files, entry, class_name)
    others = [project.toml_text] if project.toml_text else []
    suppressions = Suppressions(project.modules, others)
    kept = [
        (rule, breach)
        for rule, breach in _breaches(project)
        if rule.code == "FAL001"
        or not suppressions.covers(breach.place.text.path, breach.place.line, rule.code)
    ]
    kept += [
        (UNUSED, breach)
        for breach in suppressions.unused(codes())
        if not suppressions.covers(breach.place.text.path, breach.place.line, UNUSED.code)
    ]
    kept = list(
        {
            (rule.code, breach.place.text.path, breach.place.start, breach.message): (rule, breach)
            for rule, breach in kept
        }.values()
    )
    findings = sorted((_finding(rule, breach) for rule, breach in kept), key=_order)
    app = project.apps[0] if project.apps else None
    groups = [_edits(rule, breach) for rule, breach in kept if breach.patches]
    return LintResult(
        findings=tuple(findings[:MOST_FINDINGS]),
        edits=tuple(compatible(files, groups[:MOST_MENDS])) if groups else (),
        settings=settings_of(app) if app else AppSettings(),
        app=app_name(app) if app else "",
        class_name=app.class_name if app else "",
        class_names=tuple(project.app_classes),
        routes=tuple(_routes(app)) if app else (),
        functions=tuple(functions_of(project)),
        weights=model_gigabytes(app) if app else None,
        uses_gpu=bool(app and wants_gpu(app)),
        files=tuple(module.text.path for module in project.modules),
    )


def _breaches(project: Project) -> Iterator[tuple[AnyRule, Breach]]:
    for rule in PROJECT_RULES:
        for breach in rule.check(project):
            yield rule, breach
    for module_rule in MODULE_RULES:
        for module in project.modules:
            for breach in module_rule.check(module):
                yield module_rule, breach
    for app_rule in APP_RULES:
        for app in project.apps[:MOST_APPS]:
            for breach in app_rule.check(app):
                yield app_rule, breach


def _finding(rule: AnyRule, breach: Breach) -> Finding:
    place = breach.place
    return Finding(
        code=rule.code,
        severity=breach.severity or rule.severity,
        file=place.text.path,
        line=place.line,
        column=place.column,
        message=breach.message,
        fix=breach.fix,
    )


def _order(finding: Finding) -> tuple[str, int, int, str, str]:
    first = "" if finding.file != PYPROJECT else "~"  # the settings file comes last
    return first + finding.file, finding.line, finding.column, finding.code, finding.message


def _edits(rule: AnyRule, breach: Breach) -> list[Edit]:
    path, line, column = breach.place.text.path, breach.place.line, breach.place.column
    return [
        Edit(path, start, end, text, rule.code, line, column) for start, end, text in breach.patches
    ]


def settings_of(app: App) -> AppSettings:
    """Return the settings as far as the source tells; what is only known when run is not said."""
    auth = app.value("app_auth")
    secrets = app.value("secrets")
    regions = app.value("regions")
    python_version = app.value("python_version", "")
    skipped = app.value("skip_retry_conditions")
    machines = tuple(item.value for item in app.machines if isinstance(item.value, str))
    return AppSettings(
        machine_types=machines or ("S",),
        num_gpus=app.number("num_gpus"),
        keep_alive=app.number("keep_alive"),
        min_concurrency=app.number("min_concurrency"),
        max_concurrency=app.number("max_concurrency"),
        max_multiplexing=app.number("max_multiplexing"),
        concurrency_buffer=app.number("concurrency_buffer"),
        concurrency_buffer_perc=app.number("concurrency_buffer_perc"),
        scaling_delay=app.number("scaling_delay"),
        startup_timeout=app.number("startup_timeout"),
        request_timeout=app.number("request_timeout"),
        auth=_auth(auth),
        regions=tuple(regions) if is_strings(regions) else (),
        requirements=tuple(item.value for item in app.requirements if isinstance(item.value, str)),
        secrets=tuple(secrets) if is_strings(secrets) else None,
        python_version=python_version if isinstance(python_version, str) else "",
        image=app.has_image,
        termination_grace_period_seconds=app.number("termination_grace_period_seconds"),
        request_start_timeout=app.number("request_start_timeout"),
        retry_config=retries_of(app),
        skip_retry_conditions=tuple(skipped) if is_strings(skipped) else (),
        health_check=health_of(app),
    )


def _auth(value: object) -> Auth:
    for mode in get_args(Auth):
        if value == mode and mode in AUTH_MODES:
            return mode
    return "private"


def _routes(app: App) -> Iterator[Route]:
    for endpoint in app.endpoints:
        if isinstance(endpoint.path, str):
            yield Route(endpoint.path, _kind(endpoint), _summary(endpoint))


def _kind(endpoint: Endpoint) -> RouteKind:
    if endpoint.kind == "realtime":
        return "realtime"
    if endpoint.is_websocket:
        return "websocket"
    source = endpoint.method.module.source(endpoint.method.node)
    is_stream = "StreamingResponse" in source or "EventSourceResponse" in source
    return "stream" if is_stream else "call"


def _summary(endpoint: Endpoint) -> str:
    node = endpoint.method.node
    first = node.body[0]
    value = getattr(getattr(first, "value", None), "value", None)
    return value.strip().split("\n")[0][:120] if isinstance(value, str) else ""
