"""Measure what one call costs in the catalog: check, estimate, and describe, over every card.

``python -m benchmarks.catalog_calls`` prints CPU milliseconds of this process beside a bare
`jsonschema` validation of the same arguments.
"""

import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from jsonschema import Draft202012Validator

from catalog.card import ModelCard
from catalog.describe import example_arguments, inputs_table
from catalog.errors import ArgumentsError
from catalog.index import CatalogIndex
from catalog.media import MediaFacts
from catalog.pricing import estimate, price_tiers, price_words
from catalog.schema import Path, check

AIM = 1.0  # milliseconds, of a check and of an estimate
ROUNDS = 3
PICTURE = MediaFacts("image", "image/png", width=1920, height=1080)
CLIP = MediaFacts("video", "video/mp4", None, 1920, 1080, 8.0, 24.0, 192, True)

Case = tuple[ModelCard, Mapping[str, Any]]


def main() -> None:
    """Print the measurements."""
    cases = [(card, example_arguments(card)) for card in CatalogIndex.open().cards()]
    validators = {card.endpoint_id: Draft202012Validator(card.input_schema) for card, _ in cases}
    rows: Sequence[tuple[str, Callable[[Case], object], float | None]] = (
        ("check the example", lambda case: check(*case), AIM),
        ("check, one name wrong", _refused, AIM),
        ("estimate", lambda case: estimate(*case), AIM),
        ("estimate with media", _with_media, AIM),
        ("describe", lambda case: (inputs_table(case[0]), price_words(case[0])), None),
        ("price tiers", lambda case: price_tiers(case[0]), None),
        ("bare jsonschema", lambda case: _bare(validators[case[0].endpoint_id], case[1]), None),
    )
    print(f"{len(cases)} cards, each {ROUNDS} times; CPU milliseconds")
    print(f"{'call':24}{'median':>9}{'p99':>9}{'most':>9}{'aim':>9}")
    for name, act, aim in rows:
        times = sorted(_times(act, cases))
        wanted = "" if aim is None else f"< {aim:g}"
        print(
            f"{name:24}{statistics.median(times):9.3f}{times[int(len(times) * 0.99)]:9.3f}"
            f"{times[-1]:9.3f}{wanted:>9}"
        )


def _times(act: Callable[[Case], object], cases: Iterable[Case]) -> list[float]:
    times: list[float] = []
    for case in cases:
        act(case)
        for _ in range(ROUNDS):
            start = time.process_time_ns()
            act(case)
            times.append((time.process_time_ns() - start) / 1e6)
    return times


def _refused(case: Case) -> None:
    card, arguments = case
    try:
        check(card, {**arguments, "colour of the moon": "blue"})
    except ArgumentsError:
        return


def _with_media(case: Case) -> object:
    card, arguments = case
    facts: dict[Path, MediaFacts] = {
        (name,): CLIP if kind == "video" else PICTURE
        for name, kind in card.media_in.items()
        if name in arguments
    }
    return estimate(card, arguments, facts)


def _bare(validator: Draft202012Validator, arguments: Mapping[str, Any]) -> None:
    list(validator.iter_errors(arguments))  # pyright: ignore[reportUnknownMemberType]


if __name__ == "__main__":
    main()
