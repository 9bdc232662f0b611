"""Which machine suits an app, and what it costs idle, busy, a call and a month at a load."""

import math
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

from server.deploy.load import Load
from server.deploy.machines import Machine, documented, machines, price_of
from server.deploy.prices import NO_PRICES, OWN, Prices
from tools.deploy_records import AppSettings, HourlyPrice, MachineAdvice

# Beside the weights: activations, buffers and the CUDA context. Judged: a fifth of the weights and
# two gigabytes cover one picture or one answer at a time; batches and long contexts need more.
OVERHEAD_SHARE = 0.2
OVERHEAD_GB = 2.0
# What fal does where an app says nothing (fal 1.83.0).
KEEP_ALIVE = 60
GPU_SETUP_SECONDS = 60.0  # supposed where nobody told
CPU_SETUP_SECONDS = 5.0
GIGABYTE_SECONDS = 2.0  # to fetch and load a gigabyte of weights, supposed
MONTH_SECONDS = 30 * 86_400
_CENTS = Decimal("0.01")
_FINE = Decimal("0.000001")


@dataclass(frozen=True, slots=True)
class Billed:
    """What a load costs in time of runners.

    *per_call* seconds are billed for a call on average, *month* seconds in 30 days, by all
    runners; *cold_share* of the calls wait for a start; *runners* are busy at once at the most.
    """

    per_call: float
    month: float
    cold_share: float
    runners: int


def billed_seconds(
    rate: float, call: float, setup: float, keep_alive: float, floor: int = 0, together: int = 1
) -> Billed:
    """Return what calls at random times (Poisson, *rate* a second) are billed for.

    *call* and *setup* are seconds of work and of a start, *keep_alive* the seconds a runner waits
    for the next call, *floor* runners never stop, *together* calls share a runner. With no floor a
    call is billed for its work, the idle time after it, ``(1 - e^-LK) / L``, and its share
    ``e^-LK`` of a start, each call supposed to come after a pause of its own: more than what one
    runner with a queue costs. From where one runner is busy all the time it is as many runners as
    the work needs, all the time.
    """
    busy = rate * call / together
    runners = math.floor(busy) + 1  # the least that leaves a moment to breathe
    if floor > 0:
        month = max(floor, runners) * float(MONTH_SECONDS)
        return Billed(month / (rate * MONTH_SECONDS), month, 0.0, runners)
    gone = math.exp(-rate * keep_alive)
    if busy >= 1:
        return Billed(runners / rate, runners * float(MONTH_SECONDS), 0.0, runners)
    per_call = call + (1 - gone) / rate + gone * setup
    return Billed(per_call, per_call * rate * MONTH_SECONDS, gone, runners)


def memory_needed(weights_gb: float) -> float:
    """Return the gigabytes of GPU memory for weights of that size with what comes beside them."""
    return weights_gb * (1 + OVERHEAD_SHARE) + OVERHEAD_GB


def advise(
    settings: AppSettings,
    load: Load | None = None,
    *,
    weights_gb: float | None = None,
    uses_gpu: bool = True,
    prices: Prices = NO_PRICES,
) -> MachineAdvice:
    """Return the machine that suits, with what it costs under the app's scale settings.

    *weights_gb* is what the source loads, unless *load* tells a model; *uses_gpu* whether anything
    in the source uses one. Where the memory that is needed is not known, it is the app's own
    machine. *prices* go before published ones.
    """
    told = load or Load()
    own = settings.machine_types[0] if settings.machine_types else "S"
    machine, count, reason = _choice(settings, own, told.weights_gb or weights_gb, uses_gpu)
    at = (machine, count, prices)
    return _costs(settings, told, at, reason, told.weights_gb or weights_gb)


def cost_as_set(
    settings: AppSettings,
    load: Load | None = None,
    *,
    weights_gb: float | None = None,
    prices: Prices = NO_PRICES,
) -> MachineAdvice:
    """Return what the app costs on its first machine type; *prices* go before published ones."""
    own = settings.machine_types[0] if settings.machine_types else "S"
    told = load or Load()
    reason = "as the app says"
    count = settings.num_gpus or 1
    at = (own, count, prices)
    return _costs(settings, told, at, reason, told.weights_gb or weights_gb)


def most_an_hour(settings: AppSettings, prices: Prices = NO_PRICES) -> Decimal | None:
    """Return the dollars an hour of the most runners on the dearest machine type that may be used.

    None where nothing caps the runners, or a list price is not known: a committed rate alone is no
    upper bound.
    """
    if settings.max_concurrency is None or not settings.machine_types:
        return None
    most = Decimal(0)
    for name in settings.machine_types:
        rate = (prices.get(name) or price_of(name)).high
        if rate is None:
            return None
        gpus = (settings.num_gpus or 1) if machines().get(name, Machine(name)).is_gpu else 1
        most = max(most, rate * gpus)
    floor = max(settings.min_concurrency or 0, settings.concurrency_buffer or 0)
    return most * max(settings.max_concurrency, floor)


def _choice(
    settings: AppSettings, own: str, weights: float | None, uses_gpu: bool
) -> tuple[str, int, str]:
    """Return the machine type, how many GPUs, and why."""
    known = machines().get(own)
    count = settings.num_gpus or 1
    if weights is None or weights <= 0:
        if known is not None and known.is_gpu and not uses_gpu and not settings.image:
            return "S", 1, f"nothing in the source uses the GPU of {own}"
        if known is not None and not known.is_gpu:
            return own, count, "as the app says"
        return own, count, "as the app says; what its model needs is not known"
    need = memory_needed(weights)
    told = f"{weights:g} GB of weights need about {need:.0f} GB of GPU memory"
    fitting = [machine for machine in documented() if machine.vram_gb >= need]
    if known is not None and known.vram_gb * count >= need:
        smaller = bool(fitting) and fitting[0].vram_gb < known.vram_gb
        if not smaller:
            return own, count, f"{told}: {own} has {known.vram_gb * count:g}"
    if fitting:
        best = fitting[0]
        return best.name, 1, f"{told}: {best.name} with {best.vram_gb:g} GB is the smallest"
    largest = max(documented(), key=lambda machine: machine.vram_gb)
    number = math.ceil(need / largest.vram_gb)
    if number <= 8:
        return largest.name, number, f"{told}: num_gpus = {number} of {largest.name}"
    return largest.name, 8, f"{told}, more than eight of {largest.name} have"


def _costs(
    settings: AppSettings,
    load: Load,
    at: tuple[str, int, Prices],
    reason: str,
    weights: float | None,
) -> MachineAdvice:
    """Return the advice for *at*, a machine type, how many GPUs and own prices, with its cost."""
    name, count, prices = at
    machine = machines().get(name, Machine(name))
    price = prices.get(name) or price_of(name)
    rate = price.high if price.high is not None else price.low
    notes = _price_notes(machine, price)
    gpus = count if machine.is_gpu else 1
    if gpus > 1:
        notes.append(f"{gpus} GPUs in each runner")
    floor = max(settings.min_concurrency or 0, settings.concurrency_buffer or 0)
    hourly = rate * gpus if rate is not None else None
    idle = Decimal(0) if floor == 0 else _times(hourly, floor)
    busy = _times(hourly, settings.max_concurrency)
    if settings.max_concurrency is None:
        notes.append("max_concurrency is not said: nothing caps a busy hour")
    per_call, month, cold = None, None, None
    if load.calls_per_second is not None:
        billed = _billed(settings, load, machine, weights, notes)
        cold = billed.cold_share
        per_call = _seconds_cost(hourly, billed.per_call, _FINE)
        month = _seconds_cost(hourly, billed.month, _CENTS)
    return MachineAdvice(
        machine=name, reason=reason, price=price, idle_hour=idle, busy_hour=busy,
        per_call=per_call, month=month, cold_share=cold, assumptions=tuple(notes),
    )  # fmt: skip


def _price_notes(machine: Machine, price: HourlyPrice) -> list[str]:
    if price.source.startswith(OWN):
        return [f"{machine.name}: {price.source}"]
    if price.high is not None:
        return [f"list price of {machine.name}"]
    if price.low is not None:
        return [f"no list price of {machine.name} is published: this is the committed rate"]
    return [f"fal publishes no price of {machine.name}"]


def _billed(
    settings: AppSettings, load: Load, machine: Machine, weights: float | None, notes: list[str]
) -> Billed:
    """Return what is billed at that load, and note what had to be supposed."""
    rate = load.calls_per_second or 0.0
    call = load.call_seconds
    if call is None:
        call = 5.0
        notes.append("a call is supposed to take 5 seconds")
    setup = load.setup_seconds
    if setup is None:
        base = GPU_SETUP_SECONDS if machine.is_gpu else CPU_SETUP_SECONDS
        setup = base + GIGABYTE_SECONDS * (weights or 0)
        notes.append(f"a start is supposed to take {setup:.0f} seconds")
    keep = KEEP_ALIVE if settings.keep_alive is None else settings.keep_alive
    floor = max(settings.min_concurrency or 0, settings.concurrency_buffer or 0)
    together = max(settings.max_multiplexing or 1, 1)
    notes.append(f"calls come at random times, and a runner waits {keep} seconds for the next")
    billed = billed_seconds(rate, call, setup, keep, floor, together)
    most = settings.max_concurrency
    if most is not None and billed.runners > most:
        notes.append(f"{billed.runners} runners are needed, max_concurrency is {most}: calls wait")
    return billed


def _times(hourly: Decimal | None, runners: int | None) -> Decimal | None:
    return None if hourly is None or runners is None else hourly * runners


def _seconds_cost(hourly: Decimal | None, seconds: float, step: Decimal) -> Decimal | None:
    if hourly is None or not math.isfinite(seconds):
        return None
    return (hourly * Decimal(seconds) / 3600).quantize(step, ROUND_HALF_UP)
