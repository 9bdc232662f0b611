"""`Settings`: every choice a person can make, read once from a mapping."""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from decimal import Decimal, InvalidOperation
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal, cast

from pydantic import SecretStr

from server.keys import PLACEHOLDER, key_of
from tools.errors import NotConfiguredError
from tools.ports import BackendName

# Beyond it an amount would be no number in JSON at last.
_MOST_DOLLARS = 10**9


@dataclass(frozen=True, slots=True)
class Hosts:
    """Where each of fal's surfaces answers; no trailing slashes."""

    run: str = "https://fal.run"
    queue: str = "https://queue.fal.run"
    rest: str = "https://rest.fal.ai"
    api: str = "https://api.fal.ai/v1"
    cdn: str = "https://v3.fal.media"
    ws: str = "wss://ws.fal.run"
    models: str = "https://fal.ai"

    @classmethod
    def under(cls, base: str) -> "Hosts":
        """Return the hosts of an emulator that serves every surface under *base*."""
        ws = re.sub(r"^http", "ws", base)
        return cls(
            run=f"{base}/run",
            queue=f"{base}/queue",
            rest=f"{base}/rest",
            api=f"{base}/api/v1",
            cdn=f"{base}/cdn",
            ws=f"{ws}/ws",
            models=f"{base}/fal",
        )


EMULATOR_BASE = "http://emulator.invalid"


def setting(
    variable: str,
    meaning: str,
    parse: Callable[[str], Any],
    default: Any,  # noqa: ANN401  # fields are typed where they stand
    shown: str = "",
) -> Any:  # noqa: ANN401
    """Return a field that is read from *variable*; *shown* is its default in words."""
    return field(
        default=default,
        metadata={"variable": variable, "meaning": meaning, "parse": parse, "shown": shown},
    )


def _path(given: str) -> Path:
    return Path(given).expanduser()


def _paths(given: str) -> tuple[Path, ...]:
    return tuple(_path(part) for part in given.split(os.pathsep) if part.strip())


def _url(given: str) -> str:
    if not re.match(r"^(https?|wss?)://[^\s/]+", given):
        raise ValueError("an http(s) or ws(s) address")
    return given.rstrip("/")


def _dollars(given: str) -> Decimal:
    try:
        amount = Decimal(given.strip().removeprefix("$"))
    except InvalidOperation:
        raise ValueError("dollars, such as 2.50") from None
    if not amount.is_finite() or amount < 0:
        raise ValueError("dollars of zero or more")
    if amount > _MOST_DOLLARS:
        raise ValueError("dollars of a billion at most; leave it out for no limit")
    return amount


@dataclass(frozen=True, slots=True)
class ModelBudget:
    """Dollars that jobs of models may cost together in a *period*, or each when that is ``job``.

    *pattern* is matched against endpoint ids in lower case; ``*`` stands for anything.
    """

    pattern: str
    dollars: Decimal
    period: Literal["job", "day", "month"]

    def is_for(self, endpoint_id: str) -> bool:
        """Return whether jobs of *endpoint_id* count."""
        return fnmatchcase(endpoint_id.lower(), self.pattern)


def _model_budgets(given: str) -> tuple[ModelBudget, ...]:
    budgets: list[ModelBudget] = []
    for entry in filter(None, (part.strip() for part in given.split(","))):
        found = re.fullmatch(r"([\w./*?-]+)\s*=\s*\$?([\d.]+)\s*/\s*(job|day|month)", entry)
        if found is None:
            raise ValueError("patterns such as fal-ai/veo*=5/day, separated by commas")
        period = cast("Literal['job', 'day', 'month']", found[3])
        budgets.append(ModelBudget(found[1].lower(), _dollars(found[2]), period))
    return tuple(budgets)


def _switch(given: str) -> bool:
    words = {"on": True, "1": True, "true": True, "yes": True}
    words |= {"off": False, "0": False, "false": False, "no": False}
    if given.strip().lower() not in words:
        raise ValueError("on or off")
    return words[given.strip().lower()]


def _speed(given: str) -> float:
    try:
        speed = float(given)
    except ValueError:
        speed = -1.0
    if not 0 <= speed <= 1000:
        raise ValueError("a number from 0 (no waiting) to 1000")
    return speed


def _count(given: str) -> int:
    if not given.strip().isdigit() or not 1 <= int(given) <= 100:
        raise ValueError("a whole number from 1 to 100")
    return int(given)


def _days(given: str) -> int:
    if not given.strip().isdigit() or not 1 <= int(given) <= 36500:
        raise ValueError("a whole number of days, 1 or more")
    return int(given)


def _words(given: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in given.split(",") if word.strip())


def _backend(given: str) -> str:
    if given not in ("auto", "cloud", "emulator"):
        raise ValueError("auto, cloud or emulator")
    return given


def _deploy(given: str) -> str:
    if given not in ("off", "local", "cloud", "cloud-auto"):
        raise ValueError("off, local, cloud or cloud-auto")
    return given


def _installs(given: str) -> tuple[str, ...]:
    if not set(_words(given)) <= {"source", "large"}:
        raise ValueError("source, large or source,large")
    return _words(given)


@dataclass(frozen=True, slots=True)
class SecretSource:
    """Where the value of a secret of apps comes from: the variable *name*, or a *file*."""

    name: str
    file: Path | None = None


def _secrets(given: str) -> tuple[SecretSource, ...]:
    sources: list[SecretSource] = []
    for entry in _words(given):
        name, _, file = (part.strip() for part in entry.partition("="))
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            raise ValueError("names such as HF_TOKEN, or HF_TOKEN=/path/of/a/file, with commas")
        sources.append(SecretSource(name, _path(file) if file else None))
    return tuple(sources)


def _home() -> Path:
    from platformdirs import user_data_path  # noqa: PLC0415  # only where no home is named

    return user_data_path("falkit", appauthor=False)


@dataclass(frozen=True, slots=True)
class Settings:
    """Every choice a person can make; defaults are safe without a key.

    Dollars are US dollars. Budgets of None do not limit.
    """

    backend_choice: Literal["auto", "cloud", "emulator"] = setting(
        "FALKIT_BACKEND",
        "where jobs run: `auto` (cloud with a key, else the emulator), `cloud` or `emulator`",
        _backend,
        "auto",
    )
    home: Path = setting(
        "FALKIT_HOME",
        "folder of journal, uploads and emulator",
        _path,
        None,
        "the user data folder",
    )
    media_folder: Path = setting(
        "FALKIT_MEDIA", "folder where results are saved", _path, None, "`FALKIT_HOME/media`"
    )
    roots: tuple[Path, ...] | None = setting(
        "FALKIT_ROOTS",
        "folders that files may be read from and saved to, separated as in `PATH`",
        _paths,
        None,
        "the working folder, media, temporary folder, Downloads, Desktop, Pictures, Movies",
    )
    budget_job: Decimal | None = setting(
        "FALKIT_BUDGET_JOB", "most dollars one job may cost", _dollars, None, "no limit"
    )
    budget_day: Decimal | None = setting(
        "FALKIT_BUDGET_DAY", "most dollars a day, to local midnight", _dollars, Decimal(25)
    )
    budget_month: Decimal | None = setting(
        "FALKIT_BUDGET_MONTH", "most dollars a month", _dollars, None, "no limit"
    )
    budget_models: tuple[ModelBudget, ...] = setting(
        "FALKIT_BUDGET_MODELS",
        "most dollars for models, by pattern: `fal-ai/veo*=5/day, fal-ai/*=2/job`, also `/month`",
        _model_budgets,
        (),
        "no limit",
    )
    approve_above: Decimal = setting(
        "FALKIT_APPROVE_ABOVE",
        "a person approves jobs above this many dollars, or of unknown price",
        _dollars,
        Decimal(1),
    )
    ask_on_emulator: bool = setting(
        "FALKIT_ASK_ON_EMULATOR", "ask for approval on the emulator too", _switch, False, "off"
    )
    parallel: int = setting(
        "FALKIT_PARALLEL", "most runs of one batch or pipeline at the same time", _count, 4
    )
    keep_days: int | None = setting(
        "FALKIT_KEEP_DAYS",
        "days after which finished jobs leave the journal; their files stay",
        _days,
        None,
        "no limit",
    )
    provenance: bool = setting(
        "FALKIT_PROVENANCE",
        "write prompt, model, request and seed into PNG, JPEG, WebP, MP4 and MOV files",
        _switch,
        True,
        "on",
    )
    catalog_refresh: bool = setting(
        "FALKIT_CATALOG_REFRESH",
        "with a key, ask fal daily for models and prices, and at once for a model it lacks",
        _switch,
        True,
        "on",
    )
    toolsets: tuple[str, ...] = setting(
        "FALKIT_TOOLSETS",
        "toolsets to offer, separated by commas, where `serve` is not told: discover, make, follow,"
        " deploy",
        _words,
        (),
        "all",
    )
    read_only: bool = setting(
        "FALKIT_READ_ONLY", "offer only tools that spend and change nothing", _switch, False, "off"
    )
    previews: bool = setting(
        "FALKIT_PREVIEWS", "put a small picture into answers", _switch, True, "on"
    )
    emulator_speed: float = setting(
        "FALKIT_EMULATOR_SPEED",
        "how fast the emulator goes: 1 as usual, 2 twice as fast, 0 without waiting",
        _speed,
        1.0,
        "1",
    )
    emulator_concurrency: int = setting(
        "FALKIT_EMULATOR_CONCURRENCY", "most requests the emulator works on at once", _count, 2
    )
    emulator_faults: str = setting(
        "FALKIT_EMULATOR_FAULTS",
        "failures of the emulator, again and again: `latency=0.2, 429@0.1` is a fifth of a second"
        " more for each submit and a refusal for one in ten",
        str.strip,
        "",
        "none",
    )
    http_paths: bool = setting(
        "FALKIT_HTTP_PATHS",
        "let callers over HTTP name files of this machine, and tell them where results lie",
        _switch,
        False,
        "off",
    )
    public_url: str | None = setting(
        "FALKIT_PUBLIC_URL",
        "address under which fal reaches `falkit serve --http`, to tell it that a job has ended",
        _url,
        None,
        "none: falkit asks",
    )
    deploy: Literal["off", "local", "cloud", "cloud-auto"] = setting(
        "FALKIT_DEPLOY",
        "where apps may be deployed: `off`, `local` (this machine), `cloud` (fal too, a person says"
        " yes each time) or `cloud-auto` (within the caps, nobody is asked)",
        _deploy,
        "local",
    )
    deploy_caps: Path | None = setting(
        "FALKIT_DEPLOY_CAPS",
        "JSON file of what `cloud-auto` may do unasked, as in `docs/deploying.md`",
        _path,
        None,
        "none",
    )
    deploy_secrets: tuple[SecretSource, ...] = setting(
        "FALKIT_DEPLOY_SECRETS",
        "environment variables that may become secrets of apps, or `NAME=/path` for a file's text;"
        " never a key of fal",
        _secrets,
        (),
        "none",
    )
    deploy_prices: Path | None = setting(
        "FALKIT_DEPLOY_PRICES",
        "JSON or TOML file of your own machine prices: `GPU-H100 = 1.89`, dollars an hour",
        _path,
        None,
        "fal's published prices",
    )
    deploy_install: tuple[str, ...] = setting(
        "FALKIT_DEPLOY_INSTALL",
        "what apps on this machine may install beyond ready packages: `source` (built here, which"
        " runs its code), `large` (GPU-sized ones)",
        _installs,
        (),
        "neither",
    )
    deploy_tools: Path | None = setting(
        "FALKIT_DEPLOY_TOOLS",
        "a Python interpreter that has `fal`, instead of an environment made on first use",
        _path,
        None,
        "`FALKIT_HOME/deploy/tools`",
    )
    run_url: str | None = setting("FALKIT_RUN_URL", "run host", _url, None, "`https://fal.run`")
    queue_url: str | None = setting(
        "FALKIT_QUEUE_URL", "queue host", _url, None, "`https://queue.fal.run`"
    )
    rest_url: str | None = setting(
        "FALKIT_REST_URL", "support host", _url, None, "`https://rest.fal.ai`"
    )
    api_url: str | None = setting(
        "FALKIT_API_URL", "platform API", _url, None, "`https://api.fal.ai/v1`"
    )
    cdn_url: str | None = setting(
        "FALKIT_CDN_URL", "file host", _url, None, "`https://v3.fal.media`"
    )
    ws_url: str | None = setting(
        "FALKIT_WS_URL", "WebSocket host", _url, None, "`wss://ws.fal.run`"
    )
    models_url: str | None = setting(
        "FALKIT_MODELS_URL", "per-model schema host", _url, None, "`https://fal.ai`"
    )
    grpc_url: str | None = setting(
        "FALKIT_GRPC_URL", "control plane of apps", _url, None, "`https://api.alpha.fal.ai`"
    )
    paths: bool = True  # whether callers may name files of this machine
    key: SecretStr | None = None
    key_note: str = ""  # why there is no key although one seems to be set

    @property
    def backend(self) -> BackendName:
        """Where jobs run: decided at start, never changed."""
        if self.backend_choice == "auto":
            return "cloud" if self.key else "emulator"
        return self.backend_choice

    @property
    def hosts(self) -> Hosts:
        """The addresses of fal's surfaces, or of the embedded emulator."""
        if self.backend == "emulator":
            return Hosts.under(EMULATOR_BASE)
        usual = Hosts()
        return Hosts(
            run=self.run_url or usual.run,
            queue=self.queue_url or usual.queue,
            rest=self.rest_url or usual.rest,
            api=self.api_url or usual.api,
            cdn=self.cdn_url or usual.cdn,
            ws=self.ws_url or usual.ws,
            models=self.models_url or usual.models,
        )

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> "Settings":
        """Return the settings in *environ*; blank and unfilled variables count as unset.

        Raises:
            NotConfiguredError: a value cannot be read, or the key is malformed.
        """
        values: dict[str, Any] = {}
        for entry in fields(cls):
            variable = entry.metadata.get("variable")
            given = environ.get(variable, "") if variable else ""
            if PLACEHOLDER.search(given):
                continue
            try:
                values[entry.name] = cast("Callable[[str], Any]", entry.metadata["parse"])(given)
            except ValueError as problem:
                raise NotConfiguredError(
                    f"{variable} is {given[:80]!r}", hint=f"it takes {problem}"
                ) from None
        values.setdefault("home", None)
        values["home"] = Path(values["home"] or _home()).absolute()
        values["media_folder"] = Path(
            values.get("media_folder") or values["home"] / "media"
        ).absolute()
        values["key"], values["key_note"] = key_of(environ)
        settings = cls(**values)
        if settings.backend_choice == "cloud" and settings.key is None:
            raise NotConfiguredError(
                f"FALKIT_BACKEND is 'cloud', but {settings.key_note or 'no key is set'}",
                hint="set FAL_KEY, or FALKIT_BACKEND=emulator to try without one",
            )
        return settings
