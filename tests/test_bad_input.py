"""Bad input ends in one clear line and loses nothing."""

from pathlib import Path
from typing import Any

import pytest

from tests.house import Era, connected, record, words

FLUX = "fal-ai/flux/dev"


def generate(**arguments: Any) -> tuple[str, dict[str, Any]]:
    return "generate", arguments


CASES: list[Any] = [
    pytest.param(*generate(), ("no model named", "search_models"), id="nothing-given"),
    pytest.param(
        *generate(endpoint_id="fal-ai/flux/dve", prompt="x"), ("fal-ai/flux/dev",), id="wrong-id"
    ),
    pytest.param(
        *generate(endpoint_id="fal-ai/flux/dev/inpainting", prompt="x"),
        ("retired", "fal-ai/flux-lora/inpainting"),
        id="retired-id",
    ),
    pytest.param(
        *generate(endpoint_id="fal-ai/sora/text-to-video", prompt="x"),
        ("retired", "fal-ai/sora-2/text-to-video"),
        id="seed-id",
    ),
    pytest.param(
        *generate(endpoint_id=FLUX, prompt="x", arguments={"num_image": 2}),
        ("num_image", "num_images"),
        id="unknown-parameter",
    ),
    pytest.param(
        *generate(endpoint_id=FLUX, prompt="x", arguments={"size": "square"}),
        ("size", "image_size"),
        id="another-word-for-a-parameter",
    ),
    pytest.param(
        *generate(endpoint_id=FLUX, prompt="x", arguments={"num_images": "two"}),
        ("num_images", "two"),
        id="wrong-type",
    ),
    pytest.param(
        *generate(endpoint_id=FLUX, prompt="x", arguments={"num_images": 9}),
        ("num_images", "9", "4"),
        id="out-of-range",
    ),
    pytest.param(
        *generate(endpoint_id=FLUX, prompt="x", arguments={"output_format": "jpg"}),
        ("output_format", "jpg", "jpeg"),
        id="not-in-the-list",
    ),
    pytest.param(*generate(endpoint_id=FLUX), ("prompt", "required"), id="missing"),
    pytest.param(
        *generate(endpoint_id=FLUX, prompt="a", arguments={"prompt": "b"}),
        ("prompt",),
        id="two-prompts-that-differ",
    ),
    pytest.param(
        *generate(endpoint_id=FLUX, prompt="x", wait_seconds=600), ("wait_seconds", "45"), id="wait"
    ),
    pytest.param(
        *generate(endpoint_id=FLUX, prompt="x", wait_seconds="soon"),
        ("wait_seconds", "soon"),
        id="wait-in-words",
    ),
    pytest.param(
        *generate(endpoint_id=FLUX, prompt=["a"]), ("prompt", "string"), id="prompt-is-a-list"
    ),
    pytest.param(
        "run_batch",
        {"endpoint_ids": [FLUX], "inputs": [{"prompt": "x"}, None, 5]},
        ("inputs.1 is None: it should be", "; inputs.2 is 5: it should be"),
        id="inputs-of-no-type",
    ),
    pytest.param(
        *generate(endpoint_id=FLUX, promt="x"), ("promt", "prompt"), id="misspelt-argument"
    ),
    pytest.param(
        *generate(endpoint_id=FLUX, prompt="x", num_images=2),
        ("num_images", "arguments"),
        id="model-input-at-the-top",
    ),
    pytest.param(
        *generate(endpoint_id=FLUX, prompt="x", max_dollars=0.000001),
        ("0.000001", "$"),
        id="over-the-callers-cap",
    ),
    pytest.param(
        *generate(endpoint_id=FLUX, prompt="x", webhook_url="http://10.0.0.1/hook"),
        ("webhook_url", "https"),
        id="webhook-not-https",
    ),
    pytest.param(
        *generate(task="text-to-image", endpoint_id=FLUX, prompt="x"),
        ("task", "endpoint_id"),
        id="task-and-model",
    ),
    pytest.param(
        *generate(task="text-to-imagery", prompt="x"), ("text-to-imagery",), id="unknown-task"
    ),
    pytest.param(
        *generate(task="train a lora"), ("train a lora", "alone says nothing"), id="task-of-nothing"
    ),
    pytest.param(
        *generate(task="text-to-image", prefer="best", prompt="x"),
        ("best", "popular"),
        id="unknown-preference",
    ),
    pytest.param(*generate(from_job="01aaaaaaaaa"), ("01aaaaaaaaa",), id="unknown-job"),
    pytest.param(
        *generate(endpoint_id=FLUX, prompt="x" * 2_000_000, arguments={"num_images": 9}),
        ("num_images",),
        id="huge-prompt",
    ),
    pytest.param(
        *generate(endpoint_id="\x00\x01\udcff" * 50, prompt="x"), ("no model",), id="binary-id"
    ),
    pytest.param("search_models", {"category": "text-to-imag"}, ("text-to-image",), id="category"),
    pytest.param("search_models", {"query": "x", "limit": 0}, ("limit",), id="limit"),
    pytest.param("search_models", {"limit": True}, ("limit", "'true'"), id="switch-for-number"),
    pytest.param("search_models", {"query": "video under $0"}, ("$0", "above 0"), id="no-money"),
    pytest.param("search_models", {"max_dollars": "false"}, ("max_dollars",), id="no-for-dollars"),
    pytest.param("search_models", {"category": "zzzz"}, ("llm", "vision"), id="all-categories"),
    pytest.param("list_jobs", {"since": "fortnight"}, ("since", "3d"), id="no-time"),
    pytest.param("spending", {"period": "fortnight"}, ("period", "week, month"), id="no-period"),
    pytest.param("search_models", {"query": "x", "cursor": "💥"}, ("cursor",), id="cursor"),
    pytest.param("describe_model", {}, ("endpoint_id", "missing"), id="describe-nothing"),
    pytest.param(
        "describe_model", {"endpoint_id": "flux dev"}, ("fal-ai/flux/dev",), id="describe-by-name"
    ),
    pytest.param("estimate_cost", {}, ("endpoint_id",), id="estimate-nothing"),
    pytest.param(
        "estimate_cost",
        {"endpoint_id": FLUX, "arguments": {"prompt": "x", "num_images": 40}},
        ("num_images", "40"),
        id="estimate-out-of-range",
    ),
    pytest.param("job_status", {"job_id": "../../etc/passwd"}, ("no job",), id="strange-job"),
    pytest.param("cancel_job", {"job_id": ""}, ("no job",), id="empty-job"),
    pytest.param("list_jobs", {"since": "yesterday-ish"}, ("since", "2h"), id="since"),
    pytest.param("list_jobs", {"state": "ripe"}, ("state", "done"), id="state"),
    pytest.param("list_jobs", {"cursor": "nonsense"}, ("cursor",), id="jobs-cursor"),
    pytest.param("upload_file", {}, ("path", "url", "data"), id="upload-nothing"),
    pytest.param(
        "upload_file", {"data": "not base64!", "name": "a.png"}, ("base64",), id="upload-garbage"
    ),
    pytest.param(
        "upload_file", {"path": "/etc/passwd"}, ("/etc/passwd", "FALKIT_ROOTS"), id="out-of-bounds"
    ),
    pytest.param("upload_file", {"path": "gone.png"}, ("gone.png",), id="no-such-file"),
    pytest.param("upload_file", {"path": "a\x00b.png"}, ("path",), id="nul-in-a-path"),
    pytest.param(
        "upload_file", {"url": "http://169.254.169.254/latest"}, ("169.254",), id="metadata-host"
    ),
    pytest.param("view_media", {"media": ""}, ("media",), id="view-nothing"),
    pytest.param(
        "edit",
        {"operation": "paint", "media": "a.png", "instruction": "x"},
        ("operation",),
        id="op",
    ),
    pytest.param(
        "edit",
        {"operation": "instruct", "media": "gone.png", "instruction": "x"},
        ("gone.png",),
        id="edit-of-a-file-that-is-not-there",
    ),
]


@pytest.mark.parametrize("era", ["auto", "legacy"])
async def test_bad_input_is_refused_in_one_clear_line_and_nothing_is_made(
    tmp_path: Path, era: Era
) -> None:
    wrong: list[str] = []
    async with connected(tmp_path, era) as client:
        for case in CASES:
            tool, arguments, said = case.values
            result = await client.call_tool(tool, arguments)
            told = words(result)
            unsaid = [word for word in said if word not in told]
            leaked = [word for word in ("Traceback", "incident") if word in told]
            if not result.is_error or unsaid or leaked or len(told.encode()) > 1500:
                wrong.append(f"{case.id}: {unsaid or leaked or len(told)} in {told[:400]!r}")
        listed = record(await client.call_tool("list_jobs", {}))
    assert wrong == []
    assert listed["jobs"] == []


async def test_numbers_lists_and_objects_that_come_as_text_are_understood(tmp_path: Path) -> None:
    async with connected(tmp_path) as client:
        result = await client.call_tool(
            "generate",
            {
                "endpoint_id": FLUX,
                "prompt": "a fox",
                "arguments": '{"num_images": "2", "image_size": "square"}',
                "tags": '["a", "b"]',
                "wait_seconds": "30",
            },
        )
        made = record(result)
        assert len(made["outputs"]) == 2
        assert any("num_images" in note for note in made["notes"])
        listed = record(await client.call_tool("list_jobs", {"tag": "b"}))
        assert [job["job_id"] for job in listed["jobs"]] == [made["job_id"]]
