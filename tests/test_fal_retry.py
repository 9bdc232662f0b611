"""Pauses between tries."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from server.fal.retry import RetryPolicy, retry_after
from tests.fal_ends import Clock


async def test_pauses_double_with_jitter_and_end_after_the_last_try() -> None:
    for _ in range(20):
        clock = Clock()
        pauses = RetryPolicy(tries=6, pause=1, longest=4, patience=100, sleep=clock.sleep).pauses()

        answers = [await pauses.again() for _ in range(6)]

        assert answers == [True] * 5 + [False]
        for pause, usual in zip(clock.pauses, (1, 2, 4, 4, 4), strict=True):
            assert usual / 2 <= pause <= usual


async def test_pauses_differ_from_one_request_to_the_next() -> None:
    clock = Clock()

    for _ in range(10):
        await clock.policy().pauses().again()

    assert len(set(clock.pauses)) > 5


async def test_no_pause_is_begun_that_would_exceed_the_patience() -> None:
    clock = Clock()
    pauses = RetryPolicy(tries=99, pause=8, patience=20, sleep=clock.sleep).pauses()

    while await pauses.again():
        pass

    assert 12 <= sum(clock.pauses) <= 20


async def test_the_platforms_wish_is_the_least_pause() -> None:
    clock = Clock()
    pauses = RetryPolicy(sleep=clock.sleep).pauses()

    assert await pauses.again(7)
    assert not await pauses.again(19)

    assert 7 < clock.pauses[0] < 8


async def test_a_renewed_request_has_all_its_tries_again() -> None:
    clock = Clock()
    pauses = RetryPolicy(tries=2, sleep=clock.sleep).pauses()

    assert await pauses.again()
    pauses.renew()

    assert await pauses.again()
    assert not await pauses.again()


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("5", 5.0),
        (" 0 ", 0.0),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0),
        ("", None),
        (None, None),
        ("soon", None),
        ("-3", None),
        ("1.5", None),
        ("²", None),
        ("1" * 400, None),
    ],
)
def test_a_wish_is_read_as_seconds_or_not_at_all(value: str | None, seconds: float | None) -> None:
    assert retry_after(value) == seconds


def test_a_wish_may_be_a_date() -> None:
    soon = datetime.now(UTC) + timedelta(seconds=90)

    seconds = retry_after(format_datetime(soon, usegmt=True))

    assert seconds is not None
    assert 85 < seconds <= 90
