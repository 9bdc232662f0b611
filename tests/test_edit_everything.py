"""The operations of `edit` on video and sound: the right model, and media that came out of it."""

from pathlib import Path

import pytest
from mcp import Client

from tests.house import connected, record, words

SPEECH = {"endpoint_id": "fal-ai/kokoro/american-english", "prompt": "hello there, friends"}


async def edited(client: Client, operation: str, media: str, **more: object) -> tuple[str, str]:
    """Return the model that was chosen and the kind of what came out."""
    made = await client.call_tool("edit", {"operation": operation, "media": media, **more})
    job = record(made)
    assert (job["state"], job["saved"]) == ("done", True), words(made)
    return job["endpoint_id"], job["outputs"][0]["kind"]


async def test_a_recording_is_parted_cleaned_and_spoken_in_another_voice(tmp_path: Path) -> None:
    async with connected(tmp_path) as client:
        speech = record(await client.call_tool("generate", SPEECH))["job_id"]
        assert await edited(client, "separate", speech) == ("fal-ai/demucs", "audio")
        worded = await edited(client, "stems", speech, instruction="only the drums")
        assert worded == ("fal-ai/sam-audio/separate", "audio")
        assert (await edited(client, "denoise", speech))[0] == "fal-ai/deepfilternet3"
        assert (await edited(client, "voice", speech))[0] == "fal-ai/elevenlabs/voice-changer"
        cloned = await edited(client, "change_voice", speech, references=[speech])
        assert cloned[0] == "fal-ai/chatterbox/speech-to-speech"
        silent = await client.call_tool("edit", {"operation": "add_sound", "media": speech})
        assert "add_sound does not work on audio (it works on video)" in words(silent)
        alone = await client.call_tool("edit", {"operation": "clean", "media": speech,
                                                "instruction": "x"})  # fmt: skip
        assert "takes no instruction" in words(alone)


@pytest.mark.proof
async def test_a_video_is_reframed_extended_sounded_and_made_to_speak(tmp_path: Path) -> None:
    async with connected(tmp_path) as client:
        film = record(
            await client.call_tool(
                "generate",
                {"endpoint_id": "fal-ai/ltx-video", "prompt": "a waterfall", "wait_seconds": 45},
            )
        )["job_id"]
        speech = record(await client.call_tool("generate", SPEECH))["job_id"]
        tall = record(
            await client.call_tool(
                "edit",
                {"operation": "reframe", "media": film, "instruction": "upright, for a story",
                 "wait_seconds": 45},
            )
        )  # fmt: skip
        assert tall["outputs"][0]["height"] > tall["outputs"][0]["width"]
        for operation in ("extend", "add_sound", "upscale"):
            assert (await edited(client, operation, film, wait_seconds=45))[1] == "video"
        spoken = await edited(client, "lip_sync", film, references=[speech], wait_seconds=45)
        assert spoken == ("fal-ai/sync-lipsync/v2", "video")
        mute = await client.call_tool("edit", {"operation": "lip_sync", "media": film})
        assert "lip_sync needs references" in words(mute)
