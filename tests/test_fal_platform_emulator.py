"""Every method of the platform client against the embedded platform."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from server.fal.platform_account import Storage
from server.fal.platform_assets import AssetId, Sought
from server.fal.platform_calls import Period
from server.fal.platform_records import Acl, AclRule, StorageSettings
from server.fal.platform_serverless import LogFilter
from server.fal.problems import BadInputError, NotFoundError, UnauthorisedError
from tests.emulated import BASE, FLUX, over, submitted
from tests.platform_ends import all_of, platform_at

SCHNELL = "fal-ai/flux/schnell"
STUCK = {"x-emulator-fault": "stuck"}
MEGAPIXEL = Decimal("0.025")
APP = ("fal-ai", "flux")


async def drawn(http: httpx.AsyncClient) -> tuple[str, str]:
    """Return id and picture of a request that is over."""
    told = await submitted(http)
    await over(http, told["status_url"])
    output = (await http.get(told["response_url"])).json()
    return told["request_id"], output["images"][0]["url"]


async def deployed(http: httpx.AsyncClient) -> None:
    """Tell the emulator that the account owns the app that the tests call."""
    answer = await http.post(f"{BASE}/_emulator/apps", json={"owner": APP[0], "name": APP[1]})
    assert answer.status_code == 201


async def test_the_catalog_is_searched_page_by_page_also_without_a_key(tmp_path: Path) -> None:
    with anyio.fail_after(20):
        async with platform_at(tmp_path, key=None) as (platform, http):
            found = await all_of(platform.models.search(category="text-to-3d"))
            words = await all_of(platform.models.search("kling pro", category="image-to-video"))
            assert http.headers.pop("authorization")  # the tests' own
            anybody = await platform.models.by_id([FLUX])
            meta = await platform.meta()

    ids = [model.endpoint_id for model in found]
    assert len(ids) == len(set(ids)) > 10
    assert words
    assert all("kling" in model.endpoint_id for model in words)
    facts = anybody[FLUX].metadata
    assert facts is not None
    assert facts.category == "text-to-image"
    assert meta.webhook_ip_ranges == ("127.0.0.1/32", "::1/128")


async def test_models_are_looked_up_with_their_schema_and_unknown_ones_left_out(
    tmp_path: Path,
) -> None:
    with anyio.fail_after(20):
        async with platform_at(tmp_path) as (platform, _):
            found = await platform.models.by_id(
                [FLUX, "fal-ai/none", SCHNELL], expand=("openapi-3.0", "enterprise_status")
            )
            alone = await platform.models.openapi(FLUX)
            with pytest.raises(NotFoundError, match="fal-ai/none"):
                await platform.models.openapi("fal-ai/none")

    assert list(found) == [FLUX, SCHNELL]
    assert found[FLUX].document == alone
    assert found[FLUX].enterprise_status == "ready"
    assert alone["openapi"] == "3.0.4"


async def test_prices_and_estimates_are_exact(tmp_path: Path) -> None:
    with anyio.fail_after(20):
        async with platform_at(tmp_path) as (platform, http):
            prices = await platform.models.prices([FLUX, "fal-ai/none", SCHNELL])
            units = await platform.models.estimate_units({FLUX: 2.5})
            large = {"prompt": "a fox", "image_size": {"width": 1536, "height": 1024}}
            told = await submitted(http, FLUX, large)
            await over(http, told["status_url"])
            calls = await platform.models.estimate_calls({FLUX: 4})

    assert prices.keys() == {FLUX, SCHNELL}
    assert (prices[FLUX].unit_price, prices[FLUX].unit) == (MEGAPIXEL, "megapixels")
    assert units.total_cost == Decimal("0.0625")
    assert calls.total_cost == MEGAPIXEL * 2 * 4  # megapixels are rounded up


async def test_usage_costs_and_metrics_are_told_over_time_and_in_sum(tmp_path: Path) -> None:
    week = Period(datetime.now(UTC) - timedelta(days=7), timeframe="day", timezone="Europe/Paris")
    with anyio.fail_after(20):
        async with platform_at(tmp_path) as (platform, http):
            request_id, _ = await drawn(http)
            usage = platform.usage
            (bucket,) = await all_of(usage.over_time(week))
            (row,) = await all_of(usage.in_sum(week, endpoint_ids=[FLUX], by_key=True))
            assert await all_of(usage.in_sum(week, key_ids=["another"])) == []
            metrics = ("request_count", "p50_duration")
            (some,) = await all_of(usage.metrics_over_time([FLUX], metrics, week))
            (sums,) = await all_of(usage.metrics_in_sum([FLUX], metrics))
            (event,) = await all_of(usage.billing_events(request_ids=[request_id]))
            tagged = await submitted(http, **{"x-fal-tags": "team=a"})
            await over(http, tagged["status_url"])
            (labelled,) = await all_of(usage.billing_events(tags={"team": "a"}))
            assert await all_of(usage.billing_events(tags={"team": "b"})) == []
            csv = await usage.focus("tagged-estimate")

    assert bucket.results[0].quantity == row.quantity == event.output_units
    assert row.cost == row.cost_total
    assert row.auth_method_structured is not None
    assert row.auth_method_structured.api_key_id == "emulator"
    assert some.results[0].values["request_count"] == sums.values["request_count"] == 1
    assert sums.values["p50_duration"] > 0
    assert event.unit_price == MEGAPIXEL
    assert event.cost_total == row.quantity * MEGAPIXEL
    assert labelled.tags == {"team": "a"}
    assert csv.startswith("BilledCost,")


async def test_the_organization_is_read_by_team(tmp_path: Path) -> None:
    with anyio.fail_after(20):
        async with platform_at(tmp_path) as (platform, http):
            await drawn(http)
            organization = platform.organization
            (team,) = await organization.teams()
            (bucket,) = await all_of(organization.usage_over_time(teams=[team.username]))
            (row,) = await all_of(organization.usage_in_sum(products=["model_apis"]))
            (event,) = await all_of(organization.billing_events(teams=[team.username]))
            csv = await organization.focus("invoice", month="2026-01")

    assert team.is_org_root
    assert bucket.results == (row,)
    assert (row.username, row.product) == ("emulator", "model_apis")
    assert event.username == "emulator"
    assert csv.count("\r\n") == 1


async def test_requests_are_listed_searched_and_their_payloads_deleted(tmp_path: Path) -> None:
    with anyio.fail_after(20):
        async with platform_at(tmp_path) as (platform, http):
            request_id, url = await drawn(http)
            requests = platform.requests
            (one,) = await all_of(requests.to_endpoints([FLUX], payloads=True, status="success"))
            (same,) = await all_of(requests.to_endpoints([FLUX], request_id=request_id))
            (found,) = await all_of(requests.search("a red fox", only_api=True))
            (made,) = await all_of(requests.search(image_url=url))
            deleted = await requests.delete_payloads(request_id)
            with pytest.raises(BadInputError):
                await requests.delete_payloads("seven")

    assert one.request_id == same.request_id == made.request_id == request_id
    assert one.json_input["prompt"] == "a red fox"
    assert same.json_input is None
    assert (found.similarity, made.similarity) == (1, 1)
    assert [(file.link, file.exception) for file in deleted] == [(url, "")]


async def test_the_account_tells_its_balance_and_its_keys(tmp_path: Path) -> None:
    with anyio.fail_after(20):
        async with platform_at(tmp_path) as (platform, _):
            billing = await platform.account.billing()
            plain = await platform.account.billing(balance=False)
            controls = await platform.account.model_access_controls()
            made = await platform.keys.create("ci")
            (key,) = await all_of(platform.keys.listed(creators=True))
            await platform.keys.delete(made.key_id)
            left = await all_of(platform.keys.listed())

    assert billing.credits is not None
    assert billing.credits.current_balance == 100
    assert plain.credits is None
    assert controls.startswith("endpoint_id")
    assert (key.key_id, key.alias, key.creator_nickname) == (made.key_id, "ci", "emulator")
    assert made.key == f"{made.key_id}:{made.key_secret}"
    assert made.key_secret not in repr(made)
    assert left == []


async def test_files_are_closed_signed_and_given_a_life(tmp_path: Path) -> None:
    with anyio.fail_after(20):
        async with platform_at(tmp_path) as (platform, http):
            _, url = await drawn(http)
            storage: Storage = platform.storage
            rules = (AclRule(user="emulator", decision="allow"),)
            nobody = AclRule(user="nobody", decision="allow")
            held = await storage.set_acl(url, Acl(default="forbid", rules=(*rules, nobody)))
            assert held == await storage.acl(url) == Acl(default="forbid", rules=rules)
            assert (await http.get(url, headers={"authorization": ""})).status_code == 403
            signed = await storage.sign(url, 60)
            assert (await http.get(signed, headers={"authorization": ""})).status_code == 200
            with pytest.raises(NotFoundError):
                await storage.acl("https://example.com/a.png")

            assert await storage.settings() == StorageSettings()
            wanted = StorageSettings(
                expiration_duration_seconds=600, initial_acl=Acl(default="hide")
            )
            assert await storage.set_settings(wanted) == await storage.settings() == wanted
            assert await storage.set_settings(StorageSettings()) == StorageSettings()


async def test_workflows_are_kept_and_found(tmp_path: Path) -> None:
    contents: dict[str, Any] = {
        "name": "fox",
        "version": "1",
        "nodes": {"a": {"app": FLUX}},
        "output": {},
        "schema": {"input": {}, "output": {}},
    }
    with anyio.fail_after(20):
        async with platform_at(tmp_path) as (platform, _):
            made = await platform.workflows.create("fox", "A fox", contents, is_public=True)
            assert await platform.workflows.get("emulator", "fox") == made
            (entry,) = await all_of(platform.workflows.listed("fox", uses=[FLUX]))
            with pytest.raises(BadInputError, match="exists already"):
                await platform.workflows.create("fox", "Again", contents)
            with pytest.raises(NotFoundError):
                await platform.workflows.get("emulator", "hare")
    assert made.contents == contents
    assert (entry.name, entry.endpoint_ids) == ("fox", (FLUX,))


async def test_machines_are_rented_and_given_back(tmp_path: Path) -> None:
    with anyio.fail_after(20):
        async with platform_at(tmp_path) as (platform, _):
            compute = platform.compute
            made = await compute.rent("gpu_8x_h100_sxm5", "ssh-ed25519 A", sector="sector_1")
            assert await compute.get(made.id) == made
            assert await all_of(compute.listed()) == [made]
            await compute.give_back(made.id)
            with pytest.raises(NotFoundError):
                await compute.get(made.id)
    assert (made.sector, made.status) == ("sector_1", "ready")


async def test_assets_are_listed_marked_tagged_and_traced(tmp_path: Path) -> None:
    with anyio.fail_after(20):
        async with platform_at(tmp_path) as (platform, http):
            _, url = await drawn(http)
            assets = platform.assets
            (asset,) = await all_of(assets.listed(Sought(words="red fox", kinds=("image",))))
            assert await assets.get(asset.asset_id) == await assets.get(asset.vector_id)
            song = await assets.register(
                "https://example.com/a.mp3", "audio", prompt="a song", favorite=True
            )
            assert await assets.favorite(AssetId(request_id=asset.request_id))
            favorites = await all_of(assets.listed(Sought(section="favorites")))
            assert not await assets.favorite(AssetId(vector_id=song.vector_id), favorite=False)

            tag = await assets.create_tag("red")
            with pytest.raises(BadInputError, match="exists already"):
                await assets.create_tag("red")
            await assets.assign_tag(tag.id, AssetId(asset_id=asset.asset_id))
            assert await assets.tags(asset.asset_id) == (tag,)
            tagged = await all_of(assets.listed(Sought(tag_ids=(tag.id,), all_tags=True)))
            await assets.take_tag(tag.id, AssetId(asset_id=asset.asset_id))
            assert await assets.tags(asset.asset_id) == ()
            assert await assets.set_tags(AssetId(asset_id=song.asset_id), [tag.id]) == (tag,)
            assert (await assets.rename_tag(tag.id, "blue")).name == "blue"
            await assets.delete_tag(tag.id)
            assert await assets.tags() == ()
            lineage = await assets.lineage(asset.asset_id)

    assert (asset.url, asset.similarity) == (url, 1)
    assert {each.asset_id for each in favorites} == {asset.asset_id, song.asset_id}
    assert [each.asset_id for each in tagged] == [asset.asset_id]
    assert [node.kind for node in lineage.nodes] == ["asset", "request"]
    (edge,) = lineage.edges
    assert (edge.end, edge.kind, edge.role) == (lineage.focus, "generated_by", "")


async def test_collections_and_characters_are_made_filled_and_deleted(tmp_path: Path) -> None:
    with anyio.fail_after(20):
        async with platform_at(tmp_path) as (platform, http):
            await drawn(http)
            (asset,) = await all_of(platform.assets.listed())
            named = AssetId(asset_id=asset.asset_id)
            collections = platform.collections
            top = await collections.create("animals")
            foxes = await collections.create("foxes", parent_collection_id=top.id)
            await collections.add(foxes.id, named)
            inside = await all_of(collections.assets(foxes.id))
            assert [each.asset_id for each in inside] == [asset.asset_id]
            assert (await collections.get(foxes.id)).asset_count == 1
            tree = await collections.hierarchy(top.id)
            assert [child.id for child in tree.hierarchy.children] == [foxes.id]
            assert (await collections.move(foxes.id, None)).parent_collection_id == ""
            assert (await collections.favorite(foxes.id)).is_favorited
            assert not (await collections.favorite(foxes.id, favorite=False)).is_favorited
            assert (await collections.change(foxes.id, {"color": "red"})).color == "red"
            await collections.remove(foxes.id, named)
            await collections.delete(foxes.id)
            assert await collections.listed() == (await collections.get(top.id),)

            characters = platform.characters
            person = await characters.create("Mr Fox", "sly", ["https://example.com/a.png"])
            assert person.character_identifier == "mr-fox"
            assert await characters.listed(limit=5) == (person,)
            changed = await characters.change(person.id, {"description": "slier"})
            assert (await characters.get(person.id)) == changed
            assert (await characters.favorite(person.id)).is_favorited
            await characters.delete(person.id)
            assert await characters.listed() == ()


async def test_own_apps_tell_their_state_and_are_flushed(tmp_path: Path) -> None:
    with anyio.fail_after(20):
        async with platform_at(tmp_path, concurrency=1) as (platform, http):
            serverless = platform.serverless
            assert await serverless.apps() == ()
            with pytest.raises(NotFoundError):
                await serverless.queue_size("me", "none")
            with pytest.raises(UnauthorisedError):
                await serverless.queue_size(*APP)
            await deployed(http)
            (app,) = await serverless.apps("flux", environment="main", routes=True)
            (revision,) = await all_of(serverless.revisions(*APP))
            events = await all_of(serverless.events(*APP, categories=["deployment_ended"]))
            await drawn(http)
            running = await submitted(http, **STUCK)
            while (await http.get(running["status_url"])).json()["status"] == "IN_QUEUE":
                await anyio.sleep(0.01)
            waiting = await submitted(http)
            assert await serverless.queue_size(*APP) == 1
            await serverless.flush(*APP)
            assert await serverless.queue_size(*APP) == 0
            history = await serverless.runners(*APP, Period(timeframe="hour"))
            metrics = await serverless.metrics()
            told = await all_of(serverless.requests([FLUX], expand=["payloads", "billing"]))
            (sums,) = await all_of(serverless.metrics_in_sum(["fal-ai/flux"]))
            (bucket,) = await all_of(serverless.metrics_over_time([FLUX]))
            (row,) = await all_of(serverless.usage_in_sum(apps=["fal-ai/flux"]))
            used = await all_of(serverless.usage_over_time(words="flux"))

    assert (app.endpoint_id, app.endpoints) == ("fal-ai/flux", ("fal-ai/flux",))
    assert revision.is_current
    assert events[0].payload["new_application_id"] == revision.revision_id
    assert max(count.running for count in history.history) == 1
    assert "fal_app_queue_size" in metrics
    assert {request.request_id for request in told} >= {waiting["request_id"]}
    assert any(request.runner_id and request.billable_units for request in told)
    assert sums.values["request_count"] == bucket.results[0].values["request_count"] == 3
    assert (row.endpoint_id, row.unit) == ("fal-ai/flux", "second")
    assert used[0].results[0].quantity == row.quantity


async def test_logs_are_read_and_followed(tmp_path: Path) -> None:
    with anyio.fail_after(20):
        async with platform_at(tmp_path) as (platform, http):
            await deployed(http)
            request_id, _ = await drawn(http)
            serverless = platform.serverless
            lines = await all_of(serverless.logs())
            chosen = await all_of(
                serverless.logs(LogFilter(labels={"fal_request_id": ("in", (request_id,))}))
            )
            none = await all_of(serverless.logs(LogFilter(level="error", words="fox")))
            followed: list[str] = []
            async with serverless.follow_logs(LogFilter(app_ids=("fal-ai/flux",))) as coming:
                told = await submitted(http)
                async for line in coming:
                    followed.append(line.labels["fal_request_id"])
                    if len(followed) == 3:
                        break

    assert lines == chosen
    assert lines[0].app == "fal-ai/flux"
    assert none == []
    assert followed == [told["request_id"]] * 3


async def test_project_files_are_listed_read_and_fetched(tmp_path: Path) -> None:
    with anyio.fail_after(20):
        async with platform_at(tmp_path) as (platform, http):
            _, url = await drawn(http)
            serverless = platform.serverless
            await serverless.fetch_file("data/my fox.jpg", url)
            (folder,) = await serverless.files()
            (file,) = await serverless.files("data")
            content = await serverless.file("data/my fox.jpg")
            picture = (await http.get(url)).content
            with pytest.raises(NotFoundError):
                await serverless.file("data/none")

    assert (folder.path, folder.is_file) == ("data", False)
    assert (file.path, file.size) == ("data/my fox.jpg", len(content))
    assert content == picture


async def test_a_refusal_names_the_permission_that_the_key_lacks(tmp_path: Path) -> None:
    with anyio.fail_after(20):
        async with platform_at(tmp_path) as (platform, http):
            await http.post(
                f"{BASE}/_emulator/api-keys", json={"key_id": "emulator", "preset": "API"}
            )
            with pytest.raises(UnauthorisedError, match="Missing permission account:billing:read"):
                await platform.account.billing()
            with pytest.raises(UnauthorisedError, match="Missing permission keys:write"):
                await platform.keys.create("ci")
            with pytest.raises(UnauthorisedError, match="billing:usage:read"):
                await all_of(platform.usage.over_time())
