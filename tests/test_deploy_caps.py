"""Attempts to get more out of `cloud-auto`, secrets and plans than a person allowed."""

import base64
import hashlib
import json
import re
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from decimal import Decimal
from pathlib import Path

import pytest

from catalog.errors import ActionableError
from server.deploy.advice import cost_as_set, most_an_hour
from server.deploy.asking import reasons, reserve
from server.deploy.caps import Caps
from server.deploy.plans import Kept, Plans
from server.deploy.prices import read_prices
from server.deploy.secret_values import hidden, secret_value, values_of
from server.deploy.shelves import PlanError
from server.settings import Settings
from tools.deploy_records import AppSettings, DeployedApp
from tools.errors import NotConfiguredError

KEY = "0a1b2c3d-1111-2222-3333-444455556666:0123456789abcdef"
CPU = AppSettings(
    machine_types=("S",), max_concurrency=2, min_concurrency=0, keep_alive=60, secrets=()
)
CAPS = {
    "apps": ["demo-*"],
    "machine_types": ["S", "GPU-H200"],
    "num_gpus": 1,
    "max_concurrency": 4,
    "dollars_per_hour": 1.0,
    "dollars_per_day": 20,
}


def auto(folder: Path, **more: object) -> Settings:
    (folder / "caps.json").write_text(json.dumps({**CAPS, **more}), "utf-8")
    (folder / "prices.toml").write_text("S = 0.2\n", "utf-8")
    return Settings.read(
        {
            "FALKIT_HOME": str(folder),
            "FAL_KEY": KEY,
            "FALKIT_DEPLOY": "cloud-auto",
            "FALKIT_DEPLOY_CAPS": str(folder / "caps.json"),
            "FALKIT_DEPLOY_PRICES": str(folder / "prices.toml"),
        }
    )


def deploys(app: str = "demo-one", after: AppSettings = CPU, **more: object) -> Kept:
    kept = Kept("deploy", "cloud", app, source="aa", after=asdict(after))
    return replace(kept, **more)  # pyright: ignore[reportArgumentType]


def test_caps_count_for_what_a_plan_does_as_the_file_stands_when_it_is_applied(
    tmp_path: Path,
) -> None:
    settings, plans = auto(tmp_path), Plans(tmp_path)
    kept = deploys()
    assert reasons(kept, settings, plans) == ()
    auto(tmp_path, apps=["other-*"])
    assert reasons(kept, settings, plans) == ("the caps do not name the app 'demo-one'",)
    (tmp_path / "caps.json").unlink()
    with pytest.raises(NotConfiguredError, match="FALKIT_DEPLOY_CAPS cannot be read"):
        reasons(kept, settings, plans)


def test_no_name_and_no_field_leads_around_the_caps(tmp_path: Path) -> None:
    settings, plans = auto(tmp_path), Plans(tmp_path)
    for kept, words in (
        (deploys("Demo-one"), "do not name the app"),
        (deploys("live-demo-one"), "do not name the app"),
        (deploys("d\u0435mo-one"), "do not name the app"),  # a Cyrillic letter
        (deploys(after=replace(CPU, concurrency_buffer_perc=50)), "concurrency_buffer_perc 50"),
        (deploys(after=replace(CPU, concurrency_buffer=1)), "concurrency_buffer 1"),
        (deploys(after=replace(CPU, max_concurrency=None)), "max_concurrency is not said"),
        (deploys(after=replace(CPU, machine_types=("S", "GPU-H200"))), "$9.00 an hour"),
        (deploys(after=replace(CPU, machine_types=("S", "GPU-B300"))), "machine GPU-B300"),
        (deploys(after=replace(CPU, secrets=None)), "shows to every app"),
        (deploys(action="scale", unknown=("concurrency_buffer",)), "of what runs is not known"),
        (deploys(action="roll_back"), "do not allow roll_back"),
    ):
        assert words in " | ".join(reasons(kept, settings, plans))


def test_what_was_deployed_unasked_counts_together_whoever_deploys_at_once(tmp_path: Path) -> None:
    settings = auto(tmp_path)
    plans = Plans(tmp_path)
    plans.applied.others("")

    def deploy(number: int) -> tuple[str, ...]:
        kept = deploys(f"demo-{number}")
        return reserve(f"plan-{number}", kept, settings, Plans(tmp_path))

    with ThreadPoolExecutor(4) as several:
        came = list(several.map(deploy, range(4)))
    assert sum(not why for why in came) == 2  # of $0.40 each, under $1 an hour
    assert all("of other apps, is over the cap" in why[0] for why in came if why)
    assert "with $0.80 of other apps" in reasons(deploys("demo-9"), settings, plans)[0]

    first, second = (number for number, why in enumerate(came) if not why)
    plans.applied.settle(f"plan-{first}", f"demo-{first}")
    plans.applied.let_go(f"plan-{second}")
    assert plans.applied.others("") == Decimal("0.4")
    plans.applied.only([])  # an app that fal does not list yet may only just have come
    assert plans.applied.others("") == Decimal("0.4")
    with sqlite3.connect(tmp_path / "applied.db") as db:
        db.execute("UPDATE unasked SET at = at - 90000")
    plans.applied.only(["demo-other"])
    assert plans.applied.others("") == 0


def test_the_page_for_persons_shows_every_cap_and_prices_that_are_read(tmp_path: Path) -> None:
    page = (Path(__file__).parent.parent / "docs" / "deploying.md").read_text("utf-8")
    blocks = dict(re.findall(r"```(json|toml)\n(.*?)```", page, re.DOTALL))
    assert set(Caps.model_validate_json(blocks["json"]).model_dump()) == {*Caps.model_fields}
    assert {*json.loads(blocks["json"])} == {*Caps.model_fields}
    (tmp_path / "prices.toml").write_text(blocks["toml"], "utf-8")
    assert read_prices(tmp_path / "prices.toml")["GPU-H100"].high == Decimal("1.89")


def test_the_seventeen_checks_of_the_client_are_all_there() -> None:
    here = Path(__file__).parent
    page = (here.parent / "docs" / "client-checks.md").read_text("utf-8")
    source = (here / "test_deploy_local_client.py").read_text("utf-8")
    rows = re.findall(r"^\| ([\d, ]+) \| .+ \| `(\w+)` \|$", page, re.MULTILINE)
    numbers = [int(number) for cell, _ in rows for number in cell.split(",")]
    assert numbers == [*range(1, 18)]
    for _, name in rows:
        assert f"def {name}(" in source


def test_a_plan_sealed_anew_by_somebody_without_the_secret_is_refused(tmp_path: Path) -> None:
    plans = Plans(tmp_path)
    plan_id = plans.add(deploys())
    with sqlite3.connect(tmp_path / "plans.db") as db:
        (body,) = db.execute("SELECT body FROM plans").fetchone()
        body = body.replace("demo-one", "demo-two")
        seal = hashlib.sha256(f"{plan_id}\n{body}".encode()).hexdigest()
        db.execute("UPDATE plans SET body = ?, sha256 = ?", (body, seal))
    with pytest.raises(PlanError, match="is not what it was"):
        plans.find(plan_id)


def test_a_key_of_falkit_becomes_no_secret_under_any_name_or_coat(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    coats = {
        "WHOLE": KEY,
        "HALF": KEY.partition(":")[2],
        "WRAPPED": f'{{"key": "{KEY}"}}',
        "CODED": base64.b64encode(KEY.encode()).decode(),
        "TOKEN": "a-token-of-the-door",
        "fal_key": "something else",
    }
    monkeypatch.setenv("FALKIT_HTTP_TOKEN", "a-token-of-the-door")
    for name, value in coats.items():
        monkeypatch.setenv(name, value)
    settings = Settings.read({"FAL_KEY": KEY, "FALKIT_DEPLOY_SECRETS": ",".join(coats)})
    for name in coats:
        with pytest.raises(ActionableError) as refused:
            secret_value(name, settings)
        assert not any(value in str(refused.value) for value in coats.values())
    with pytest.raises(ActionableError, match="is not in FALKIT_DEPLOY_SECRETS"):
        secret_value("OTHER", settings)
    said = hidden(f"it printed {KEY} and something else", values_of(settings))
    assert said == "it printed [key 1] and [fal_key]"


def test_own_prices_go_before_published_ones_and_say_so(tmp_path: Path) -> None:
    file = tmp_path / "rates.toml"
    file.write_text('GPU-H100 = 1.75\nS = "0.06"\n', "utf-8")
    prices = read_prices(file)
    told = cost_as_set(AppSettings(("GPU-H100",), max_concurrency=2), prices=prices)
    assert (told.busy_hour, told.price.low) == (Decimal("3.50"), None)
    assert told.assumptions[0] == "GPU-H100: your own price in rates.toml"
    assert most_an_hour(AppSettings(("GPU-H100",), max_concurrency=2)) is None
    file.write_text("h100 = 1.75\n", "utf-8")
    with pytest.raises(NotConfiguredError, match="no machine 'h100'") as refused:
        read_prices(file)
    assert "GPU-H100" in refused.value.hint
    for wrong in ("S = -1\n", "S = true\n", "S = nan\n", "S =\n", "S = [1]\n"):
        file.write_text(wrong, "utf-8")
        with pytest.raises(NotConfiguredError, match="FALKIT_DEPLOY_PRICES"):
            read_prices(file)


def test_what_fal_does_not_tell_is_what_falkit_set_last_or_not_known(tmp_path: Path) -> None:
    applied = Plans(tmp_path).applied
    told = AppSettings(("GPU-H200",), keep_alive=60)
    app = DeployedApp(
        "cloud", "demo", "me/demo", "r1", "private", told, "idle",
        unknown=("num_gpus", "concurrency_buffer", "scaling_delay"),
    )  # fmt: skip
    assert applied.recall(app).unknown == {"num_gpus", "concurrency_buffer", "scaling_delay"}
    applied.note(app, replace(told, num_gpus=4, keep_alive=5), ("scaling_delay",))
    found = applied.recall(app)
    assert (found.settings.num_gpus, found.settings.keep_alive) == (4, 60)
    assert (found.likely, found.unknown) == (
        {"num_gpus", "concurrency_buffer"},
        {"scaling_delay"},
    )
    assert applied.recall(replace(app, revision="r2")).unknown == {*app.unknown}
