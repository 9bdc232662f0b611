from dataclasses import fields
from decimal import Decimal
from pathlib import Path

import pytest

from server.settings import EMULATOR_BASE, Settings
from tools.errors import NotConfiguredError

KEY = "0a1b2c3d-1111-2222-3333-444455556666:0123456789abcdef"


def read(**environ: str) -> Settings:
    return Settings.read({"FALKIT_HOME": "/tmp/home", **environ})  # noqa: S108


def test_no_key_means_the_emulator_and_a_key_means_the_cloud() -> None:
    assert read().backend == "emulator"
    assert read(FAL_KEY=KEY).backend == "cloud"
    assert read(FAL_KEY=KEY, FALKIT_BACKEND="emulator").backend == "emulator"


@pytest.mark.parametrize(
    "given",
    ["", "   ", "${user_config.key}", "${FAL_KEY}", "YOUR_FAL_KEY", "your-api-key", "<your key>"],
)
def test_an_unfilled_key_counts_as_none_and_is_said(given: str) -> None:
    settings = read(FAL_KEY=given)
    assert settings.backend == "emulator"
    assert bool(settings.key_note) == bool(given.strip())


def test_a_malformed_key_is_an_error_that_does_not_repeat_it() -> None:
    with pytest.raises(NotConfiguredError) as caught:
        read(FAL_KEY="sk-abcdefgh-not-a-fal-key")
    assert "id:secret" in str(caught.value)
    assert "abcdefgh" not in str(caught.value)


def test_key_id_with_secret_and_a_key_file_are_read(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(f"{KEY}\n")
    for settings in (
        read(FAL_KEY_ID=KEY.split(":")[0], FAL_KEY_SECRET=KEY.split(":")[1]),
        read(FAL_KEY_FILE=str(file)),
    ):
        assert settings.key is not None
        assert settings.key.get_secret_value() == KEY
        assert KEY not in repr(settings)


def test_a_key_file_that_is_missing_is_an_error() -> None:
    with pytest.raises(NotConfiguredError, match="cannot be read"):
        read(FAL_KEY_FILE="/nowhere/key")


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="it takes a file without end")
def test_a_key_file_without_end_is_refused_and_not_read_for_ever() -> None:
    with pytest.raises(NotConfiguredError, match="cannot be read"):
        read(FAL_KEY_FILE="/dev/zero")


def test_the_cloud_without_a_key_is_refused_and_never_becomes_the_emulator() -> None:
    with pytest.raises(NotConfiguredError, match="no key is set"):
        read(FALKIT_BACKEND="cloud")
    with pytest.raises(NotConfiguredError, match="placeholder"):
        read(FALKIT_BACKEND="cloud", FAL_KEY="${user_config.key}")


@pytest.mark.parametrize(
    ("variable", "value", "rule"),
    [
        ("FALKIT_BACKEND", "clowd", "auto, cloud or emulator"),
        ("FALKIT_BUDGET_DAY", "lots", "dollars"),
        ("FALKIT_BUDGET_DAY", "-1", "zero or more"),
        ("FALKIT_BUDGET_DAY", "NaN", "zero or more"),
        ("FALKIT_BUDGET_DAY", "1e400", "billion"),
        ("FALKIT_PREVIEWS", "perhaps", "on or off"),
        ("FALKIT_EMULATOR_SPEED", "-3", "from 0"),
        ("FALKIT_EMULATOR_SPEED", "fast", "from 0"),
        ("FALKIT_QUEUE_URL", "queue.fal.run", "address"),
    ],
)
def test_a_value_that_cannot_be_read_is_named_with_its_rule(
    variable: str, value: str, rule: str
) -> None:
    with pytest.raises(NotConfiguredError) as caught:
        read(**{variable: value})
    assert variable in str(caught.value)
    assert value in str(caught.value)
    assert rule in str(caught.value)


def test_unfilled_placeholders_of_hosts_count_as_unset() -> None:
    settings = read(FALKIT_MEDIA="${user_config.media}", FALKIT_BUDGET_DAY="${user_config.budget}")
    assert settings.media_folder == settings.home / "media"
    assert settings.budget_day == Decimal(25)


def test_defaults_are_safe_without_a_key() -> None:
    settings = read()
    assert (settings.budget_day, settings.approve_above) == (Decimal(25), Decimal(1))
    assert settings.hosts.queue == f"{EMULATOR_BASE}/queue"
    assert all(
        address.startswith((EMULATOR_BASE, "ws://emulator.invalid"))
        for address in (getattr(settings.hosts, field.name) for field in fields(settings.hosts))
    )


def test_each_fal_host_has_its_own_setting_on_the_cloud() -> None:
    settings = read(FAL_KEY=KEY, FALKIT_QUEUE_URL="http://127.0.0.1:1/queue/")
    assert settings.hosts.queue == "http://127.0.0.1:1/queue"
    assert settings.hosts.run == "https://fal.run"
