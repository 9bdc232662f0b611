"""A scripted model that goes through a prompt with the real tools, for tests."""

from pathlib import Path
from typing import Any

from anyio import fail_after
from mcp import Client

from prompts.library import PROMPTS
from tests.house import pictures, record, words

OVER = ("done", "failed", "cancelled")


class Reader:
    """One that has read the prompt called *name*, and may call only the tools that it names."""

    def __init__(self, client: Client, name: str) -> None:
        self.client = client
        self.prompt = PROMPTS[name]
        self.called: list[str] = []
        self.files: list[str] = []

    async def read(self, **gaps: str) -> str:
        """Return the prompt as the server fills it."""
        got = await self.client.get_prompt(self.prompt.name, gaps)
        text = str(got.messages[0].content.model_dump()["text"])
        assert all(value in text for value in gaps.values())
        return text

    async def call(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """Return the record of an answer that is no error, and remember its files."""
        assert tool in self.prompt.tools, f"{self.prompt.name} does not name {tool}"
        self.called.append(tool)
        answer = record(await self.client.call_tool(tool, arguments))
        self.files += [output["path"] for output in answer.get("outputs", []) if "path" in output]
        return answer

    async def refused(self, tool: str, **arguments: Any) -> str:
        """Return the words of a refusal."""
        assert tool in self.prompt.tools, f"{self.prompt.name} does not name {tool}"
        self.called.append(tool)
        answer = await self.client.call_tool(tool, arguments)
        assert answer.is_error
        return words(answer)

    async def failed(self, job_id: str) -> dict[str, Any]:
        """Return the record of a job that failed, which a host is told of as an error."""
        self.called.append("job_status")
        answer = await self.client.call_tool("job_status", {"job_id": job_id, "logs": True})
        assert answer.is_error
        assert answer.structured_content is not None
        return answer.structured_content

    async def look(self, media: str) -> str:
        """Return what is said of *media*, of which a picture is seen."""
        assert "view_media" in self.prompt.tools
        self.called.append("view_media")
        answer = await self.client.call_tool("view_media", {"media": media})
        assert not answer.is_error, words(answer)
        assert pictures(answer)
        return words(answer)

    async def choose(self, need: str, *takes: str, **filters: Any) -> str:
        """Return the first model found for *need* that *takes* these inputs and asks no others."""
        found = await self.call("search_models", query=need, **filters)
        for hit in found["models"]:
            told = await self.call("describe_model", endpoint_id=hit["endpoint_id"])
            names = [row.split(":")[0] for row in told["inputs"]]
            needed = {name.rstrip("*") for name in names if name.endswith("*")}
            if set(takes) <= {name.rstrip("*") for name in names} and needed <= {"prompt", *takes}:
                return str(hit["endpoint_id"])
        raise AssertionError(f"nothing found for {need!r} takes {takes}")

    async def over(self, job: dict[str, Any]) -> dict[str, Any]:
        """Return *job* when it is over, asked for as the prompt says."""
        with fail_after(60):
            while True:
                job = await self.call("job_status", job_id=job["job_id"], wait_seconds=45)
                if job["state"] in OVER:
                    return job

    async def run(self, model: str, **arguments: Any) -> dict[str, Any]:
        """Return the finished job of *model*, submitted once and then followed."""
        job = await self.call("generate", endpoint_id=model, wait_seconds=0, **arguments)
        job = await self.over(job)
        assert job["state"] == "done", job
        return job

    def end(self, *, files: bool = True) -> None:
        """Check that the tools were called as the prompt orders them, and that files are home."""
        assert tuple(dict.fromkeys(self.called)) == self.prompt.tools, self.prompt.name
        assert bool(self.files) == files
        for path in self.files:
            assert Path(path).stat().st_size > 0
