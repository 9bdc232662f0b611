"""Every way in which fal says no, as an error of ours."""

import json
from decimal import Decimal

import pytest

from server.fal import problems
from server.fal.problems import (
    BadInputError,
    CancelledOnPlatformError,
    ConcurrencyError,
    FalError,
    ModerationError,
    NoBalanceError,
    NotFoundError,
    PlatformError,
    RunTimeoutError,
    StartTimeoutError,
    TooLargeError,
    UnauthorisedError,
    problem,
    problem_of_status,
)
from server.fal.wire import Answer, Status

MODEL = "acme/model"


def model_says(kind: str, ctx: object = None, *, msg: str = "", status: int = 422) -> Answer:
    """Return a model's complaint about ``image_url``."""
    entry = {"loc": ["body", "image_url"], "msg": msg, "type": kind, "ctx": ctx}
    return Answer(status, {}, json.dumps({"detail": [entry]}).encode())


def platform_says(status: int, kind: str, detail: str = "why", **headers: str) -> Answer:
    """Return the platform's complaint."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, named, json.dumps({"detail": detail, "error_type": kind}).encode())


@pytest.mark.parametrize(
    ("kind", "ctx", "error", "rule"),
    [
        ("missing", None, BadInputError, "it is required"),
        ("greater_than", {"gt": 0}, BadInputError, "more than 0"),
        ("greater_than_equal", {"ge": 1}, BadInputError, "at least 1"),
        ("less_than", {"lt": 10}, BadInputError, "less than 10"),
        ("less_than_equal", {"le": 4}, BadInputError, "at most 4"),
        ("multiple_of", {"multiple_of": 8}, BadInputError, "a multiple of 8"),
        ("sequence_too_short", {"min_length": 1}, BadInputError, "at least 1 long"),
        ("sequence_too_long", {"max_length": 9}, BadInputError, "at most 9 long"),
        ("one_of", {"expected": ["a", "b"]}, BadInputError, "one of a, b"),
        (
            "image_too_small",
            {"min_width": 64, "min_height": 32},
            BadInputError,
            "at least 64 x 32 pixels",
        ),
        (
            "image_too_large",
            {"max_width": 640, "max_height": 320},
            TooLargeError,
            "at most 640 x 320 pixels",
        ),
        ("file_too_large", {"max_size": 1000}, TooLargeError, "at most 1000 bytes"),
        (
            "audio_duration_too_long",
            {"max_duration": 30, "provided_duration": 61.5},
            TooLargeError,
            "at most 30 seconds, not 61.5",
        ),
        (
            "video_duration_too_short",
            {"min_duration": 2, "provided_duration": 1},
            BadInputError,
            "at least 2 seconds, not 1",
        ),
        (
            "archive_file_count_below_minimum",
            {"min_count": 4, "provided_count": 1, "supported_extensions": [".png"]},
            BadInputError,
            "at least 4 files, not 1",
        ),
        (
            "unsupported_audio_format",
            {"supported_formats": ["mp3", "wav"]},
            BadInputError,
            "one of mp3, wav",
        ),
        (
            "invalid_archive",
            {"supported_extensions": [".zip"]},
            BadInputError,
            "an archive of .zip",
        ),
        ("less_than_equal", {"max": 4}, BadInputError, ""),
        ("less_than_equal", None, BadInputError, ""),
        ("brand_new_rule", {"x": 1}, BadInputError, ""),
        ("content_policy_violation", None, ModerationError, ""),
        ("no_media_generated", None, BadInputError, ""),
    ],
)
def test_a_model_s_complaint_becomes_field_and_rule(
    kind: str, ctx: object, error: type[FalError], rule: str
) -> None:
    found = problem(model_says(kind, ctx), MODEL, "result")

    assert type(found) is error
    assert (found.error_type, found.field, found.rule) == (kind, "image_url", rule)
    assert rule in found.message
    assert found.message.startswith("acme/model: image_url: ")
    assert found.hint
    assert not found.retry_helps


@pytest.mark.parametrize(
    ("answer", "error", "retry_helps"),
    [
        (platform_says(504, "request_timeout"), RunTimeoutError, True),
        (model_says("generation_timeout", status=504), RunTimeoutError, True),
        (platform_says(504, "startup_timeout"), StartTimeoutError, True),
        (
            platform_says(504, "request_timeout", x_fal_request_timeout_type="user"),
            StartTimeoutError,
            True,
        ),
        (platform_says(503, "runner_scheduling_failure"), PlatformError, True),
        (platform_says(503, "runner_disconnected"), PlatformError, True),
        (platform_says(502, "runner_incomplete_response"), PlatformError, True),
        (platform_says(500, "runner_server_error"), PlatformError, True),
        (platform_says(500, "internal_error", x_fal_retryable="false"), PlatformError, False),
        (platform_says(499, "client_cancelled"), CancelledOnPlatformError, False),
        (platform_says(499, "client_disconnected"), CancelledOnPlatformError, False),
        (platform_says(499, ""), CancelledOnPlatformError, False),
        (platform_says(400, "bad_request"), BadInputError, False),
        (model_says("downstream_service_error", status=400), PlatformError, True),
        (model_says("downstream_service_error", status=500), PlatformError, True),
        (model_says("internal_server_error", status=500), PlatformError, True),
        (
            platform_says(429, "concurrent_requests_limit", x_fal_needs_retry="1"),
            ConcurrencyError,
            True,
        ),
        (platform_says(429, "queue_full"), ConcurrencyError, True),
        (platform_says(402, ""), NoBalanceError, False),
        (
            platform_says(403, "", "User is locked. Reason: Exhausted balance."),
            NoBalanceError,
            False,
        ),
        (platform_says(403, "", "Missing permission models:x"), UnauthorisedError, False),
        (platform_says(401, ""), UnauthorisedError, False),
        (platform_says(404, ""), NotFoundError, False),
        (platform_says(410, ""), NotFoundError, False),
        (platform_says(413, ""), TooLargeError, False),
        (platform_says(418, ""), BadInputError, False),
        (platform_says(599, ""), PlatformError, True),
    ],
)
def test_a_failure_is_of_the_class_that_its_type_or_status_says(
    answer: Answer, error: type[FalError], retry_helps: bool
) -> None:
    found = problem(answer, MODEL, "result")

    assert type(found) is error
    assert found.retry_helps is retry_helps
    assert found.hint
    assert found.status == answer.status


@pytest.mark.parametrize(
    ("status", "units", "charged"),
    [
        (422, "0", False),
        (422, "1.5", True),
        (422, "", None),
        (500, "", False),
        (504, "0", False),
        (500, "2", True),
        (499, "", None),
    ],
)
def test_billed_units_decide_whether_a_failed_run_was_charged(
    status: int, units: str, charged: bool | None
) -> None:
    headers = {"x-fal-billable-units": units} if units else {}

    found = problem(Answer(status, headers, b"{}"), MODEL, "result")

    assert found.charged is charged
    assert found.units == (Decimal(units) if units else None)
    assert problem(Answer(status, headers, b"{}"), MODEL, "submit").charged is False


@pytest.mark.parametrize(
    ("body", "message", "field"),
    [
        (b'{"detail": "Path /x not found"}', "acme/model: Path /x not found", ""),
        (
            b'{"error": {"type": "not_found", "message": "No such thing."}}',
            "acme/model: No such thing",
            "",
        ),
        (
            b'{"status": "NOT_FOUND"}',
            "acme/model: there is no such thing, or no longer (HTTP 404)",
            "",
        ),
        (b"<html>nginx</html>", "acme/model: there is no such thing, or no longer (HTTP 404)", ""),
        (b'{"detail": []}', "acme/model: there is no such thing, or no longer (HTTP 404)", ""),
        (b'{"detail": ["odd"]}', "acme/model: odd", ""),
        (b'{"detail": [{"msg": "a\\n\\u0007 b", "loc": "x"}]}', "acme/model: a b", ""),
        (
            b'{"detail": [{"msg": "m", "loc": ["query", "q", 1, 2]}]}',
            "acme/model: query.q[1][2]: m",
            "query.q[1][2]",
        ),
        (b'{"detail": [{"msg": "m", "loc": ["body", 0, "q"]}]}', "acme/model: [0].q: m", "[0].q"),
        (b"[]", "acme/model: there is no such thing, or no longer (HTTP 404)", ""),
        (b"[" * 5000, "acme/model: there is no such thing, or no longer (HTTP 404)", ""),
    ],
)
def test_whatever_the_shape_of_the_body_there_is_one_plain_sentence(
    body: bytes, message: str, field: str
) -> None:
    found = problem(Answer(404, {}, body), MODEL, "other")

    assert found.message == message
    assert found.field == field


def test_an_endless_complaint_is_cut() -> None:
    answer = Answer(422, {}, json.dumps({"detail": "no " * 9000}).encode())

    assert len(problem(answer, MODEL, "other").message) < 300


@pytest.mark.parametrize(
    ("status", "error", "charged"),
    [
        (
            Status("completed", error="flagged", error_type="content_policy_violation"),
            ModerationError,
            None,
        ),
        (
            Status("completed", error="stop", error_type="client_cancelled"),
            CancelledOnPlatformError,
            None,
        ),
        (Status("completed", error="late", error_type="startup_timeout"), StartTimeoutError, False),
        (Status("completed", error="long", error_type="request_timeout"), RunTimeoutError, False),
        (
            Status("completed", error="crash", error_type="runner_server_error"),
            PlatformError,
            False,
        ),
        (Status("completed", error="Invalid status code: 422"), BadInputError, None),
        (Status("completed", error="Invalid status code: 500"), PlatformError, False),
        (Status("completed", error="what"), PlatformError, None),
        (Status("completed", error_type="new_word"), PlatformError, None),
    ],
)
def test_a_failed_status_alone_is_enough_to_say_what_happened(
    status: Status, error: type[FalError], charged: bool | None
) -> None:
    found = problem_of_status(status, MODEL)

    assert type(found) is error
    assert found.charged is charged
    assert status.error in found.message


def test_every_error_says_what_to_do_next() -> None:
    kinds = [
        kind
        for kind in vars(problems).values()
        if isinstance(kind, type) and issubclass(kind, FalError) and kind is not FalError
    ]

    assert len(kinds) == 14
    for kind in kinds:
        assert kind.usual_hint, kind
        assert not kind.usual_hint.endswith(".")
        assert f" {kind.__name__} " in (problems.__doc__ or "").replace("\n", " ")
