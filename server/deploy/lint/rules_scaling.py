"""Rules on scaling: what runs while nobody calls, what is never capped, what starts too slowly."""

from collections.abc import Iterator
from decimal import Decimal

from server.deploy.lint.app import App
from server.deploy.lint.rule import Breach, Rule
from server.deploy.lint.rules_machines import chosen
from server.deploy.lint.sizes import model_gigabytes

LONG_KEEP_ALIVE = 300  # seconds; fal's page on costs names 30 to 300
DEFAULT_STARTUP = 600  # seconds, fal's own
LARGE_WEIGHTS = 15.0  # gigabytes that take minutes to fetch and load
HOURS = 24 * 30


def _is_gpu(app: App) -> bool:
    return any(machine.is_gpu for machine in chosen(app))


def idle_dollars(app: App, runners: int) -> str:
    """Return in words what so many runners cost in 30 days, or that the price is not known."""
    machine = next((machine for machine in chosen(app) if machine.is_gpu), None)
    if machine is None or (machine.price.low is None and machine.price.high is None):
        return f"fal publishes no price of {machine.name}" if machine else "its price is not known"
    count = runners * (app.number("num_gpus") or 1) * HOURS
    low, high = (_amount(rate, count) for rate in (machine.price.low, machine.price.high))
    if low and high:
        return f"${high} in 30 days at the list price, ${low} at the committed one"
    return f"${high or low} in 30 days at the {'list' if high else 'committed'} price"


def _amount(rate: Decimal | None, hours: int) -> str:
    return f"{rate * hours:,.0f}" if rate is not None else ""


def _least_above_most(app: App) -> Iterator[Breach]:
    least, most = app.number("min_concurrency"), app.number("max_concurrency")
    if least is not None and most is not None and least > most:
        message = f"min_concurrency {least} is above max_concurrency {most}"
        yield Breach(app.place_of("min_concurrency"), message, "at most the same")


def _always_on(app: App) -> Iterator[Breach]:
    least = app.number("min_concurrency") or 0
    if least > 0 and _is_gpu(app):
        message = f"min_concurrency {least} keeps a GPU day and night: {idle_dollars(app, least)}"
        yield Breach(app.place_of("min_concurrency"), message, "0, and keep_alive for busy hours")


def _buffer(app: App) -> Iterator[Breach]:
    for name in ("concurrency_buffer", "concurrency_buffer_perc"):
        spare = app.number(name) or 0
        if spare > 0 and _is_gpu(app):
            cost = idle_dollars(app, spare) if name == "concurrency_buffer" else "day and night"
            message = f"{name} {spare} keeps GPUs beyond the load: {cost}"
            yield Breach(app.place_of(name), message, "0, unless calls may never wait")


def _long_idle(app: App) -> Iterator[Breach]:
    seconds = app.number("keep_alive") or 0
    if seconds > LONG_KEEP_ALIVE and _is_gpu(app):
        message = (
            f"keep_alive {seconds}: each runner is paid for {seconds} idle seconds after a call"
        )
        yield Breach(app.place_of("keep_alive"), message, "30 to 300")


def _no_cap(app: App) -> Iterator[Breach]:
    setting = app.settings.get("max_concurrency")
    if setting is None or setting.value is None:
        message = "max_concurrency is not said: the source states no cap on runners and so on cost"
        yield Breach(app.place(), message, "max_concurrency = 2")


def _slow_start(app: App) -> Iterator[Breach]:
    size = model_gigabytes(app)
    limit = app.number("startup_timeout")
    is_short = app.value("startup_timeout") is None or (
        limit is not None and limit <= DEFAULT_STARTUP
    )
    if size is not None and size.gigabytes >= LARGE_WEIGHTS and is_short:
        message = (
            f"{size.name!r} holds about {size.gigabytes:g} GB, and a runner that is not ready after"
            f" {limit or DEFAULT_STARTUP} seconds is stopped"
        )
        yield Breach(app.place_of("startup_timeout"), message, "startup_timeout = 900 or more")


RULES = (
    Rule(
        "FAL038", "error", "more runners at least than at most", "The two contradict each other.",
        "Scaling Parameter Reference", "judgement", _least_above_most,
    ),
    Rule(
        "FAL050", "warning", "GPU that is always on",
        "min_concurrency runners are paid for day and night.", "Optimizing Costs",
        "documentation", _always_on,
    ),
    Rule(
        "FAL051", "warning", "spare GPU runners", "Runners beyond the load are paid for as well.",
        "Optimizing Costs", "documentation", _buffer,
    ),
    Rule(
        "FAL052", "warning", "GPU kept long after a call",
        "Idle seconds cost as much as busy ones.", "Optimizing Costs", "documentation", _long_idle,
    ),
    Rule(
        "FAL053", "info", "no cap on runners",
        "Without max_concurrency the source states no ceiling of what a day may cost.",
        "Scaling Parameter Reference", "documentation", _no_cap,
    ),
    Rule(
        "FAL054", "warning", "little time to start with large weights",
        "The platform stops a runner that is not ready in time, and starts the next.",
        "Scaling Parameter Reference", "documentation", _slow_start,
    ),
)  # fmt: skip
