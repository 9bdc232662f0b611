"""A person limits models by pattern, and says where fal may call: neither can be talked around."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import anyio
import pytest

from catalog.errors import ActionableError
from server.jobs.callbacks import checked_callback
from server.settings import ModelBudget, Settings
from tests.house import connected, record, words
from tests.jobs_platform import FolderPlatform, intent, jobs_in
from tests.made_media import picture
from tools.errors import NotConfiguredError, OverBudgetError
from tools.ports import Intent, SpendingQuery, WholeIntent


def of(endpoint_id: str, dollars: str, prompt: str = "a fox") -> Intent:
    return replace(intent(prompt, dollars), endpoint_id=endpoint_id)


async def test_models_of_a_pattern_share_a_budget_that_others_do_not_touch(tmp_path: Path) -> None:
    platform = FolderPlatform(tmp_path / "platform", runs=3600)
    async with jobs_in(tmp_path, platform, budget_models="fal-ai/veo*=1.00/day") as jobs:
        await jobs.start(of("fal-ai/veo3", "0.60"))
        await jobs.start(of("fal-ai/flux/dev", "0.90"))
        with pytest.raises(OverBudgetError) as refused:
            await jobs.start(of("fal-ai/veo3/fast", "0.50"))
        parts = (of("fal-ai/flux/dev", "0.10"), of("fal-ai/veo2", "0.50", "b"))
        with pytest.raises(OverBudgetError):
            await jobs.start_whole(WholeIntent("batch", parts, {}))
        left = (await jobs.spending(SpendingQuery())).left
        await jobs.start(of("fal-ai/veo3/fast", "0.40"))

    assert str(refused.value) == (
        "this costs up to $0.50, but $0.40 is left of the day's budget of $1.00 for fal-ai/veo* "
        "(wait for the next day, or a person changes FALKIT_BUDGET_MODELS; nothing was submitted)"
    )
    assert left["fal-ai/veo* a day"] == Decimal("0.40")
    assert len(platform.requests) == 3


async def test_one_job_of_a_pattern_has_a_limit_of_its_own(tmp_path: Path) -> None:
    platform = FolderPlatform(tmp_path / "platform")
    async with jobs_in(tmp_path, platform, budget_models="*/veo3=0.10/job") as jobs:
        with pytest.raises(OverBudgetError, match=r"limit of \$0.10 for one job of \*/veo3"):
            await jobs.start(of("fal-ai/veo3", "0.20"))
        await jobs.start(of("fal-ai/veo2", "0.20"))


async def test_fifty_at_once_get_what_there_is_room_for(tmp_path: Path) -> None:
    platform = FolderPlatform(tmp_path / "platform", runs=3600)
    refused: list[int] = []
    async with jobs_in(tmp_path, platform, budget_models="fal-ai/flux/*=0.50/month") as jobs:

        async def start(number: int) -> None:
            try:
                await jobs.start(intent(f"fox {number}", "0.05"))
            except OverBudgetError:
                refused.append(number)

        async with anyio.create_task_group() as group:
            for number in range(50):
                group.start_soon(start, number)
    assert len(refused) == 40
    assert len(platform.requests) == 10


def test_the_setting_is_read_or_refused_with_an_example(tmp_path: Path) -> None:
    environ = {"FALKIT_BACKEND": "emulator", "FALKIT_HOME": str(tmp_path)}
    given = "Fal-AI/Veo*=5/day, fal-ai/*=$2.50/job"
    assert Settings.read({**environ, "FALKIT_BUDGET_MODELS": given}).budget_models == (
        ModelBudget("fal-ai/veo*", Decimal(5), "day"),
        ModelBudget("fal-ai/*", Decimal("2.50"), "job"),
    )
    for wrong in ("fal-ai/veo3", "fal-ai/veo3=5", "fal-ai/veo3=-1/day", "x=5/week"):
        with pytest.raises(NotConfiguredError, match="it takes patterns such as"):
            Settings.read({**environ, "FALKIT_BUDGET_MODELS": wrong})


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/hook",
        "https://localhost/hook",
        "https://127.0.0.1/hook",
        "https://0x7f000001/",
        "https://10.1.2.3:8443/hook",
        "https://[::1]/",
        "https://[::ffff:192.168.0.1]/",
        "https://printer.local/",
        "https://metadata.internal/",
        "https://169.254.169.254/latest",
        "https://name:secret@example.com/",
        "https://example.com/a b",
        "https:///hook",
        "https://example.com:port/",
        "https://example.com/\nX: y",
        "https://example.com/" + "a" * 2000,
        "ftp://example.com",
    ],
)
def test_fal_is_not_told_to_call_an_address_that_is_none_of_the_public(url: str) -> None:
    with pytest.raises(ActionableError, match="nothing was submitted"):
        checked_callback(url, "cloud")


async def test_a_public_address_is_passed_on_and_a_private_one_ends_before_the_journal(
    tmp_path: Path,
) -> None:
    platform = FolderPlatform(tmp_path / "platform")
    url = "https://hooks.example.com/fal?token=abc"
    async with jobs_in(tmp_path, platform, key="me:secret") as jobs:
        await jobs.start(intent(webhook_url=url))
        with pytest.raises(ActionableError, match="private address, which fal does not call"):
            await jobs.start(intent("another", webhook_url="https://192.168.1.2/hook"))
        spent = await jobs.spending(SpendingQuery(since=datetime(2020, 1, 1, tzinfo=UTC)))

    assert [request["webhook_url"] for request in platform.requests] == [url]
    assert spent.total.jobs == 1
    assert checked_callback("https://localhost:8443/hook", "emulator")


async def test_over_budget_after_an_upload_says_what_was_and_was_not_done(tmp_path: Path) -> None:
    photo = picture(tmp_path / "photo.png")
    async with connected(tmp_path, FALKIT_BUDGET_MODELS="*=0.000001/job") as client:
        answer = await client.call_tool(
            "edit", {"operation": "remove background", "media": str(photo)}
        )
        if not answer.is_error:
            pytest.fail(str(record(answer)))
    told = words(answer)
    assert "for one job of *" in told
    assert "nothing was submitted; 1 file lies uploaded for the next call" in told
