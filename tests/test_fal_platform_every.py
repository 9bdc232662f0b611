"""Every method of the platform client, against the same odd answers."""

import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

import pytest
from starlette.responses import JSONResponse, Response

from server.fal.platform import PlatformClient
from server.fal.platform_assets import AssetId
from server.fal.platform_records import Acl, StorageSettings
from server.fal.problems import FalError, LostAnswerError, NotFoundError, UnauthorisedError
from tests.fal_ends import Script
from tests.platform_ends import all_of, platform_of, refusal

FLUX = "fal-ai/flux/dev"
URL = "https://v3b.fal.media/files/b/00000000/a.png"
ASSET = AssetId(asset_id="a")
APP = ("me", "app")

# Each method: how it is called, and what it misses first in an empty object ("" for nothing).
Method = tuple[Callable[[PlatformClient], Awaitable[Any] | AsyncGenerator[Any]], str]
METHODS: dict[str, Method] = {
    "meta": (lambda p: p.meta(), "webhook_ip_ranges"),
    "models.search": (lambda p: p.models.search("fox"), "models"),
    "models.by_id": (lambda p: p.models.by_id([FLUX]), "models"),
    "models.prices": (lambda p: p.models.prices([FLUX]), "prices"),
    "models.estimate_units": (lambda p: p.models.estimate_units({FLUX: 1}), "estimate_type"),
    "models.estimate_calls": (lambda p: p.models.estimate_calls({FLUX: 1}), "estimate_type"),
    "models.openapi": (lambda p: p.models.openapi(FLUX), ""),
    "usage.over_time": (lambda p: p.usage.over_time(), "time_series"),
    "usage.in_sum": (lambda p: p.usage.in_sum(), "summary"),
    "usage.metrics_over_time": (lambda p: p.usage.metrics_over_time([FLUX]), "time_series"),
    "usage.metrics_in_sum": (lambda p: p.usage.metrics_in_sum([FLUX]), "summary"),
    "usage.billing_events": (lambda p: p.usage.billing_events(), "billing_events"),
    "usage.focus": (lambda p: p.usage.focus("estimate"), ""),
    "requests.to_endpoints": (lambda p: p.requests.to_endpoints([FLUX]), "items"),
    "requests.search": (lambda p: p.requests.search("fox"), "results"),
    "requests.delete_payloads": (lambda p: p.requests.delete_payloads("r"), "cdn_delete_results"),
    "organization.teams": (lambda p: p.organization.teams(), "teams"),
    "organization.usage_over_time": (lambda p: p.organization.usage_over_time(), "time_series"),
    "organization.usage_in_sum": (lambda p: p.organization.usage_in_sum(), "summary"),
    "organization.billing_events": (lambda p: p.organization.billing_events(), "billing_events"),
    "organization.focus": (lambda p: p.organization.focus("invoice", month="2026-01"), ""),
    "account.billing": (lambda p: p.account.billing(), "username"),
    "account.model_access_controls": (lambda p: p.account.model_access_controls(), ""),
    "keys.listed": (lambda p: p.keys.listed(), "keys"),
    "keys.create": (lambda p: p.keys.create("ci"), "key_id"),
    "keys.delete": (lambda p: p.keys.delete("k"), ""),
    "storage.acl": (lambda p: p.storage.acl(URL), "default"),
    "storage.set_acl": (lambda p: p.storage.set_acl(URL, Acl(default="hide")), "default"),
    "storage.sign": (lambda p: p.storage.sign(URL, 60), "signed_url"),
    "storage.settings": (lambda p: p.storage.settings(), ""),
    "storage.set_settings": (lambda p: p.storage.set_settings(StorageSettings()), ""),
    "workflows.listed": (lambda p: p.workflows.listed(), "workflows"),
    "workflows.get": (lambda p: p.workflows.get("me", "w"), "workflow"),
    "workflows.create": (lambda p: p.workflows.create("w", "W", {}), "workflow"),
    "assets.listed": (lambda p: p.assets.listed(), "assets"),
    "assets.get": (lambda p: p.assets.get("a"), "asset"),
    "assets.lineage": (lambda p: p.assets.lineage("a"), "lineage"),
    "assets.register": (lambda p: p.assets.register(URL, "image"), "asset"),
    "assets.favorite": (lambda p: p.assets.favorite(ASSET), "is_favorited"),
    "assets.tags": (lambda p: p.assets.tags(), "tags"),
    "assets.create_tag": (lambda p: p.assets.create_tag("t"), "tag"),
    "assets.rename_tag": (lambda p: p.assets.rename_tag("t", "u"), "tag"),
    "assets.delete_tag": (lambda p: p.assets.delete_tag("t"), ""),
    "assets.set_tags": (lambda p: p.assets.set_tags(ASSET, ["t"]), "tags"),
    "assets.assign_tag": (lambda p: p.assets.assign_tag("t", ASSET), ""),
    "assets.take_tag": (lambda p: p.assets.take_tag("t", ASSET), ""),
    "collections.listed": (lambda p: p.collections.listed(), "collections"),
    "collections.get": (lambda p: p.collections.get("c"), "collection"),
    "collections.create": (lambda p: p.collections.create("c"), "collection"),
    "collections.change": (lambda p: p.collections.change("c", {}), "collection"),
    "collections.delete": (lambda p: p.collections.delete("c"), ""),
    "collections.hierarchy": (lambda p: p.collections.hierarchy("c"), "hierarchy"),
    "collections.favorite": (lambda p: p.collections.favorite("c"), "collection"),
    "collections.move": (lambda p: p.collections.move("c", None), "collection"),
    "collections.assets": (lambda p: p.collections.assets("c"), "assets"),
    "collections.add": (lambda p: p.collections.add("c", ASSET), ""),
    "collections.remove": (lambda p: p.collections.remove("c", ASSET), ""),
    "characters.listed": (lambda p: p.characters.listed(), "characters"),
    "characters.get": (lambda p: p.characters.get("c"), "character"),
    "characters.create": (lambda p: p.characters.create("c", "d", [URL]), "character"),
    "characters.change": (lambda p: p.characters.change("c", {}), "character"),
    "characters.delete": (lambda p: p.characters.delete("c"), ""),
    "characters.favorite": (lambda p: p.characters.favorite("c"), "character"),
    "serverless.apps": (lambda p: p.serverless.apps(), "apps"),
    "serverless.queue_size": (lambda p: p.serverless.queue_size(*APP), "queue_size"),
    "serverless.flush": (lambda p: p.serverless.flush(*APP), ""),
    "serverless.revisions": (lambda p: p.serverless.revisions(*APP), "revisions"),
    "serverless.events": (lambda p: p.serverless.events(*APP), "events"),
    "serverless.runners": (lambda p: p.serverless.runners(*APP), "timeframe"),
    "serverless.metrics_over_time": (
        lambda p: p.serverless.metrics_over_time(["a/b"]),
        "time_series",
    ),
    "serverless.metrics_in_sum": (lambda p: p.serverless.metrics_in_sum(["a/b"]), "summary"),
    "serverless.usage_over_time": (lambda p: p.serverless.usage_over_time(), "time_series"),
    "serverless.usage_in_sum": (lambda p: p.serverless.usage_in_sum(), "summary"),
    "serverless.requests": (lambda p: p.serverless.requests(["a/b"]), "items"),
    "serverless.metrics": (lambda p: p.serverless.metrics(), ""),
    "serverless.logs": (lambda p: p.serverless.logs(), "items"),
    "serverless.files": (lambda p: p.serverless.files(), "files"),
    "serverless.file": (lambda p: p.serverless.file("a"), ""),
    "serverless.fetch_file": (lambda p: p.serverless.fetch_file("a", URL), ""),
    "compute.listed": (lambda p: p.compute.listed(), "instances"),
    "compute.get": (lambda p: p.compute.get("i"), "id"),
    "compute.rent": (lambda p: p.compute.rent("gpu_1x_h100_sxm5", "ssh"), "id"),
    "compute.give_back": (lambda p: p.compute.give_back("i"), ""),
}
STREAMS = {"serverless.follow_logs"}  # a context, proved elsewhere
# They change something without an idempotency key, and read the answer.
ONCE = {"keys.create", "storage.set_acl", "storage.set_settings", "workflows.create"}
KEYLESS = {"meta", "models.search", "models.by_id", "models.openapi"}


async def called(name: str, answer: Response, key: str | None = "id:secret-of-tests") -> Any:
    """Call the method *name* against *answer* alone, to its end."""
    async with platform_of(Script(answer), key=key) as platform:
        made = METHODS[name][0](platform)
        return await (made if inspect.isawaitable(made) else all_of(made))


async def test_no_method_is_left_out() -> None:
    async with platform_of(Script(JSONResponse({}))) as platform:
        found = {
            f"{family}.{name}"
            for family, member in vars(platform).items()
            if not family.startswith("_")
            for name, _ in inspect.getmembers(member, inspect.ismethod)
            if not name.startswith("_")
        }
    assert found | {"meta"} == METHODS.keys() | STREAMS


@pytest.mark.parametrize("name", [name for name, (_, missing) in METHODS.items() if missing])
async def test_what_is_missing_in_an_empty_answer_is_named(name: str) -> None:
    answer = JSONResponse([{}]) if name == "serverless.files" else JSONResponse({})
    missing = "[0].path" if name == "serverless.files" else METHODS[name][1]
    with pytest.raises(FalError) as failure:
        await called(name, answer)
    assert f"the answer holds no {missing}" in str(failure.value)


@pytest.mark.parametrize("name", METHODS)
async def test_a_permission_that_is_missing_is_named_by_every_method(name: str) -> None:
    answer = refusal(403, "authorization_error", "Missing permission this:one:needed")
    with pytest.raises(UnauthorisedError, match="Missing permission this:one:needed"):
        await called(name, answer)


@pytest.mark.parametrize("name", METHODS)
async def test_null_and_nonsense_end_in_an_error_or_in_nothing(name: str) -> None:
    for answer in (JSONResponse(None), JSONResponse(7), Response(b"\xff<html>")):
        try:
            await called(name, answer)
        except FalError as failure:
            assert "the answer" in str(failure)  # noqa: PT017  # it may also be borne
            assert isinstance(failure, LostAnswerError) == (name in ONCE)  # noqa: PT017  # as above
        else:
            assert METHODS[name][1] == ""


@pytest.mark.parametrize("name", METHODS)
async def test_only_what_needs_no_key_is_asked_for_without_one(name: str) -> None:
    answer = refusal(404, "not_found", "nothing here")
    kind = NotFoundError if name in KEYLESS else UnauthorisedError
    if name == "models.by_id":
        assert await called(name, answer, key=None) == {}
    else:
        with pytest.raises(kind):
            await called(name, answer, key=None)
