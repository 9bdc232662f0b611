"""What a host may read by address, and what it may let a person complete."""

import base64
from pathlib import Path

import anyio
import pytest
from mcp import Client, MCPError
from mcp.types import (
    BlobResourceContents,
    EmptyResult,
    PromptReference,
    ResourceLink,
    ResourceTemplateReference,
    ResourceUpdatedNotification,
    SubscribeRequest,
    TextResourceContents,
    UnsubscribeRequest,
)

from server.app import build_server
from server.calls import as_spoken
from server.notices import Subscriptions
from server.rooms import open_rooms
from server.settings import Settings
from tests.house import Era, connected, environment, record
from tools.inventory import TOOLS

MODEL = "fal-ai/flux/schnell"


@pytest.mark.parametrize("era", ["auto", "legacy"])
async def test_models_jobs_outputs_and_guides_are_read_by_address(tmp_path: Path, era: Era) -> None:
    async with connected(tmp_path, era) as client:
        templates = (await client.list_resource_templates()).resource_templates
        assert [t.uri_template for t in templates] == [
            "falkit://models/{+endpoint_id}",
            "falkit://jobs/{job_id}",
            "falkit://jobs/{job_id}/outputs/{number}",
            "falkit://guides/{name}",
        ]

        async def text(uri: str) -> str:
            [content] = (await client.read_resource(uri)).contents
            assert isinstance(content, TextResourceContents)
            return content.text

        assert '"endpoint_id":"fal-ai/flux/schnell"' in await text(f"falkit://models/{MODEL}")
        for guide in (await client.list_resources()).resources:
            assert (await text(str(guide.uri))).startswith("# ")
        made = await client.call_tool("generate", {"endpoint_id": MODEL, "prompt": "a cup"})
        job = record(made)
        [link] = [block for block in made.content if isinstance(block, ResourceLink)]
        assert link.uri == f"falkit://jobs/{job['job_id']}/outputs/1"
        assert (link.name, link.size) == (
            Path(job["outputs"][0]["path"]).name,
            job["outputs"][0]["bytes"],
        )
        assert link in as_spoken(made, "2025-06-18").content
        assert link not in as_spoken(made, "2025-03-26").content
        assert f'"job_id":"{job["job_id"]}"' in await text(f"falkit://jobs/{job['job_id']}")
        [picture] = (
            await client.read_resource(f"falkit://jobs/{job['job_id']}/outputs/1")
        ).contents
        assert isinstance(picture, BlobResourceContents)
        assert base64.b64decode(picture.blob) == Path(job["outputs"][0]["path"]).read_bytes()
        assert picture.mime_type == job["outputs"][0]["media_type"]


@pytest.mark.parametrize(
    ("uri", "word"),
    [
        ("falkit://models/fal-ai/flux/schnel", "fal-ai/flux/schnell"),
        ("falkit://jobs/nothing", "no job"),
        ("falkit://jobs/nothing/outputs/1", "no job"),
        ("falkit://guides/cooking", "falkit://guides/{name}"),
        ("falkit://guides/../library", "falkit://guides/{name}"),
        ("file:///etc/passwd", "falkit://models/{+endpoint_id}"),
    ],
)
async def test_an_address_of_nothing_says_what_would_be_right(
    tmp_path: Path, uri: str, word: str
) -> None:
    async with connected(tmp_path) as client:
        with pytest.raises(MCPError) as refused:
            await client.read_resource(uri)
        assert word in str(refused.value)


async def test_ids_of_models_and_jobs_complete_from_what_is_begun(tmp_path: Path) -> None:
    async with connected(tmp_path) as client:
        job = record(await client.call_tool("generate", {"endpoint_id": MODEL, "prompt": "a cup"}))
        model = ResourceTemplateReference(type="ref/resource", uri="falkit://models/{+endpoint_id}")
        begun = await client.complete(model, {"name": "endpoint_id", "value": "fal-ai/flux/sch"})
        assert MODEL in begun.completion.values
        within = await client.complete(model, {"name": "endpoint_id", "value": "veo3"})
        assert within.completion.values
        assert len(within.completion.values) <= 100
        told = ResourceTemplateReference(type="ref/resource", uri="falkit://jobs/{job_id}")
        jobs = await client.complete(told, {"name": "job_id", "value": job["job_id"][:4]})
        assert jobs.completion.values == [job["job_id"]]
        prompt = PromptReference(type="ref/prompt", name="text_to_image")
        nothing = await client.complete(prompt, {"name": "picture", "value": "a"})
        assert nothing.completion.values == []


async def test_who_listens_to_a_job_hears_of_its_changes_to_the_end(tmp_path: Path) -> None:
    async with connected(tmp_path, FALKIT_EMULATOR_SPEED="4") as client:
        job = record(
            await client.call_tool(
                "generate", {"endpoint_id": MODEL, "prompt": "waves", "wait_seconds": 0}
            )
        )
        uri = f"falkit://jobs/{job['job_id']}"
        heard = 0
        with anyio.fail_after(20):
            async with client.listen(resource_subscriptions=[uri, "falkit://jobs/none"]) as told:
                async for _ in told:
                    heard += 1
                    found = record(
                        await client.call_tool(
                            "job_status", {"job_id": job["job_id"], "wait_seconds": 0}
                        )
                    )
                    if found["state"] == "done" and found["saved"]:
                        break
        assert heard >= 2


async def test_an_older_client_subscribes_to_a_job_and_is_told_until_it_leaves_off(
    tmp_path: Path,
) -> None:
    changes, heard = anyio.create_memory_object_stream[str](99)

    async def note(message: object) -> None:
        if isinstance(message, ResourceUpdatedNotification):
            await changes.send(str(message.params.uri))

    settings = Settings.read(environment(tmp_path, FALKIT_EMULATOR_SPEED="4"))
    async with open_rooms(settings) as rooms:
        server = build_server(rooms, TOOLS)
        Subscriptions(server, rooms)
        async with changes, heard, Client(server, mode="legacy", message_handler=note) as client:
            assert client.server_capabilities.resources is not None
            assert client.server_capabilities.resources.subscribe
            started = record(
                await client.call_tool(
                    "generate", {"endpoint_id": MODEL, "prompt": "waves", "wait_seconds": 0}
                )
            )
            uri = f"falkit://jobs/{started['job_id']}"

            async def ask(what: type[SubscribeRequest | UnsubscribeRequest], of: str) -> None:
                request = what.model_validate({"params": {"uri": of}})
                await client.session.send_request(request, EmptyResult)

            await ask(SubscribeRequest, uri)
            await ask(SubscribeRequest, "falkit://jobs/none")
            with anyio.fail_after(20):
                while True:
                    assert await heard.receive() == uri
                    found = record(
                        await client.call_tool(
                            "job_status", {"job_id": started["job_id"], "wait_seconds": 0}
                        )
                    )
                    if found["state"] == "done" and found["saved"]:
                        break
            await ask(UnsubscribeRequest, uri)
