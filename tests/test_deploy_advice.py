"""Loads in plain words, the machine that suits, and costs by formulas that a play confirms."""

import random
from decimal import Decimal

import pytest

from catalog.errors import ActionableError
from server.deploy.advice import advise, billed_seconds, cost_as_set, memory_needed
from server.deploy.load import Load, parse_load
from server.deploy.machines import dead_names, documented, machines, nearest_machine, price_of
from server.deploy.weights import known_gigabytes
from tools.deploy_records import AppSettings

MINUTE, HOUR, DAY = 1 / 60, 1 / 3600, 1 / 86400


@pytest.mark.parametrize(
    ("words", "load"),
    [
        ("2 calls a minute of 8 seconds, 12 GB model", Load(2 * MINUTE, 8, None, 12)),
        ("100 requests per day, 5s each", Load(100 * DAY, 5)),
        ("one call every 10 minutes taking 30 s", Load(1 / 600, 30)),
        ("every 5 minutes", Load(1 / 300)),
        ("3/s", Load(3.0)),
        ("10k calls a day", Load(10_000 * DAY)),
        ("1,000 images daily, half a second", Load(1_000 * DAY, 0.5)),
        ("twice a minute", Load(2 * MINUTE)),
        ("60 rpm, 250 ms", Load(1.0, 0.25)),
        ("a 7B model in fp16, 10/min", Load(10 * MINUTE, None, None, None, 7, 2)),
        ("70 billion parameters at 4-bit", Load(parameters=70, parameter_bytes=0.5)),
        ("cold start 60 seconds, 20 calls an hour of 3 s", Load(20 * HOUR, 3, 60)),
        ("setup takes 2 min; 3 calls/min", Load(3 * MINUTE, None, 120)),
        ("2-3 calls per minute, about 10 to 20 s", Load(3 * MINUTE, 20)),
        ("A MILLION REQUESTS PER MONTH", Load(1e6 / 2_592_000)),
        ("500 MB", Load(model_gb=0.5)),
        ("", Load()),
        ("   ", Load()),
    ],
)
def test_a_load_is_read_from_plain_words(words: str, load: Load) -> None:
    found = parse_load(words)
    for name in Load.__slots__:
        value, wanted = getattr(found, name), getattr(load, name)
        assert value == (wanted if wanted is None else pytest.approx(wanted)), name


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("hello", "'hello'"),
        ("2 calls a minute and 5 bananas", "'5 bananas'"),
        ("0 calls a day", "no calls"),
        ("5000 days each, 1/s", "more than a call"),
        ("x" * 600, "600 characters"),
    ],
)
def test_words_that_are_not_clear_are_named_with_an_example(words: str, says: str) -> None:
    with pytest.raises(ActionableError, match=says) as told:
        parse_load(words)
    assert "2 calls a minute" in str(told.value) or "example" in told.value.hint


def played(
    gap: float, call: float, setup: float, keep: float, *, queued: bool = False
) -> tuple[float, float]:
    """Return seconds billed for a call and the share of cold ones, by playing 30,000 calls.

    A call comes after a pause of its own, or (*queued*) whenever it comes, and one runner takes
    them in turn; it stops after *keep* idle seconds.
    """
    dice = random.Random(7)  # noqa: S311  # a play, not a secret
    now, free, billed, cold = 0.0, 0.0, 0.0, 0
    for _ in range(30_000):
        now = (now if queued else free) + dice.expovariate(1 / gap)
        pause = max(now - free, 0.0)
        is_cold = pause > keep
        cold += is_cold
        billed += min(pause, keep) + setup * is_cold + call
        free = max(now, free) + setup * is_cold + call
    return billed / 30_000, cold / 30_000


SPARSE = [(600, 5, 60, 60), (60, 5, 60, 60), (60, 5, 60, 300), (1200, 30, 120, 0), (10, 5, 60, 60)]


@pytest.mark.parametrize(("gap", "call", "setup", "keep"), SPARSE)
def test_the_formula_agrees_with_a_play(gap: float, call: float, setup: float, keep: float) -> None:
    told = billed_seconds(1 / gap, call, setup, keep)
    seconds, share = played(gap, call, setup, keep)
    assert told.cold_share == pytest.approx(share, abs=0.01)
    assert told.per_call == pytest.approx(seconds, rel=0.02)
    assert played(gap, call, setup, keep, queued=True)[0] < told.per_call * 1.01


def test_the_cases_of_the_reference_come_out_as_they_stand_there() -> None:
    minute = billed_seconds(1 / 60, 5, 60, 60)
    longer = billed_seconds(1 / 60, 5, 60, 300)
    tenth = billed_seconds(1 / 600, 5, 60, 60)
    assert [round(it.per_call) for it in (minute, longer, tenth)] == [65, 65, 116]
    assert [round(it.cold_share, 3) for it in (minute, longer, tenth)] == [0.368, 0.007, 0.905]


def test_many_calls_cost_the_runners_that_they_keep_busy() -> None:
    busy = billed_seconds(3.0, 8, 60, 60)
    assert busy.runners == 25
    assert busy.month == pytest.approx(25 * 2_592_000)
    shared = billed_seconds(3.0, 8, 60, 60, together=8)
    assert shared.month == pytest.approx(4 * 2_592_000)
    assert billed_seconds(1e-6, 5, 60, 60, floor=2).month == 2 * 2_592_000


def test_a_floor_is_paid_day_and_night_and_the_load_on_top_when_it_needs_more() -> None:
    settings = AppSettings(("GPU-H200",), min_concurrency=1, max_concurrency=3)
    told = cost_as_set(settings, parse_load("one call an hour of 5 s"))
    assert told.idle_hour == Decimal("4.50")
    assert told.busy_hour == Decimal("13.50")
    assert told.month == Decimal("3240.00")
    assert told.cold_share == 0.0


def test_a_price_that_is_not_published_stays_unknown() -> None:
    told = cost_as_set(AppSettings(("GPU-L40",), min_concurrency=1), parse_load("1 call a minute"))
    assert (told.price.low, told.price.high) == (None, None)
    assert (told.idle_hour, told.busy_hour, told.per_call, told.month) == (None,) * 4
    assert any("publishes no price of GPU-L40" in note for note in told.assumptions)
    assert cost_as_set(AppSettings(("S",))).idle_hour == 0
    assert cost_as_set(AppSettings(("GPU-NEW",))).price.low is None


def test_a_committed_rate_alone_is_said_to_be_one() -> None:
    told = cost_as_set(AppSettings(("GPU-H100",), max_concurrency=1))
    assert told.busy_hour == Decimal("1.89")
    assert told.price.high is None
    assert told.price.as_of == "2026-09-20"
    assert "committed" in told.assumptions[0]


@pytest.mark.parametrize(
    ("words", "machine", "says"),
    [
        ("12 GB model", "GPU-RTX4090", "12 GB of weights"),
        ("7B model", "GPU-RTX4090", "14 GB"),
        ("34 GB", "GPU-L40", "GPU-L40 with 48 GB"),
        ("70B at 4-bit", "GPU-L40", "35 GB"),
        ("70B", "GPU-B200", "140 GB"),
        ("300 GB", "GPU-B200", "num_gpus = 2"),
        ("9 TB", "GPU-B200", "more than eight"),
        ("1 call a minute", "GPU-H100", "not known"),
    ],
)
def test_the_machine_is_the_smallest_that_holds_the_model(
    words: str, machine: str, says: str
) -> None:
    told = advise(AppSettings(("GPU-H100",)), parse_load(words))
    assert told.machine == machine
    assert says in told.reason


def test_the_app_s_own_machine_stays_where_it_fits_best_and_a_cpu_is_advised_without_gpu_code() -> (
    None
):
    own = advise(AppSettings(("GPU-RTX4090",)), weights_gb=12)
    assert (own.machine, own.reason.split(":")[1].strip()) == ("GPU-RTX4090", "GPU-RTX4090 has 24")
    assert advise(AppSettings(("GPU-H100",)), uses_gpu=False).machine == "S"
    assert advise(AppSettings()).machine == "S"
    assert memory_needed(10) == 14


def test_what_had_to_be_supposed_is_said() -> None:
    told = advise(AppSettings(("GPU-H200",)), parse_load("1 call a minute, 100 GB"))
    words = " ".join(told.assumptions)
    assert "supposed to take 5 seconds" in words
    assert "a start is supposed to take 260 seconds" in words
    assert "max_concurrency is not said" in words
    small = cost_as_set(AppSettings(("GPU-H200",), max_concurrency=1), parse_load("2/s of 3 s"))
    assert any("7 runners are needed" in note for note in small.assumptions)


def test_every_machine_is_known_by_its_own_name_and_dead_ones_lead_to_a_living_one() -> None:
    assert [machine.name for machine in documented()][:5] == ["XS", "S", "M", "L", "XL"]
    for stands in dead_names().values():
        assert stands in machines()
    for machine in machines().values():
        price = machine.price
        assert bool(price.source) == (price.low is not None or price.high is not None)
        assert price_of(machine.name) == price
    assert nearest_machine("h100") == "GPU-H100"
    assert nearest_machine("nvidia-t4") == "GPU-RTX4090"
    assert nearest_machine("a sandwich") == ""


@pytest.mark.parametrize(
    ("name", "gigabytes"),
    [
        ("black-forest-labs/FLUX.1-dev", 34),
        ("meta-llama/Llama-3.1-8B-Instruct", 16),
        ("acme/Big-70B-AWQ", 35),
        ("acme/Mix-8x7B", 112),
        ("acme/small-0.5b", 1),
        ("acme/v1-5", None),
        ("acme/Model-B", None),
    ],
)
def test_the_size_of_a_model_is_read_off_its_name(name: str, gigabytes: float | None) -> None:
    assert known_gigabytes(name) == gigabytes
