"""Views for hosts that show them: served as MCP Apps asks, and drawn in a real browser."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from mcp.types import TextResourceContents

from server.views.apps import COST, GALLERY, PAGE
from tests.house import connected

BROWSER = next((found for name in ("chromium", "chromium-browser", "google-chrome")
                if (found := shutil.which(name))), None)  # fmt: skip


async def test_the_page_is_served_with_a_tight_policy_and_named_by_its_tools(
    tmp_path: Path,
) -> None:
    async with connected(tmp_path) as client:
        named = {
            tool.name: tool.meta["ui"]["resourceUri"]
            for tool in (await client.list_tools()).tools
            if tool.meta
        }
        assert named["generate"] == named["job_status"] == GALLERY
        assert named["estimate_cost"] == COST
        for uri in set(named.values()):
            [content] = (await client.read_resource(uri)).contents
            assert isinstance(content, TextResourceContents)
            assert content.mime_type == "text/html;profile=mcp-app"
            assert content.meta is not None
            policy = content.meta["ui"]["csp"]
            assert all(place.endswith("fal.media") for place in policy["resourceDomains"])
            assert "connectDomains" not in policy


def test_the_page_loads_nothing_and_sets_no_markup_from_results() -> None:
    page = PAGE.read_text("utf-8")
    assert len(page.encode()) < 12_000
    for banned in ("innerHTML", "outerHTML", "insertAdjacent", "document.write", "eval(",
                   "fetch(", "XMLHttpRequest", "import(", "<link", 'src="', "@import"):  # fmt: skip
        assert banned not in page, banned


# Plays the host: frames the page, answers its greeting, hands it a result, and writes into its own
# document what stands in the page then.
HOST = """<!doctype html><body><iframe id="view" style="width:900px;height:700px;border:0"></iframe>
<pre id="seen"></pre><script>
const view = document.getElementById("view"), sent = [];
addEventListener("message", ({ data }) => {
  sent.push(data.method || "answer");
  const say = (message) => view.contentWindow.postMessage({ jsonrpc: "2.0", ...message }, "*");
  if (data.method === "ui/initialize") say({ id: data.id, result: { protocolVersion: "2026-01-26",
    hostInfo: { name: "h", version: "1" }, hostCapabilities: {},
    hostContext: { theme: "THEME" } } });
  if (data.method === "ui/notifications/initialized") {
    say({ method: "ui/notifications/tool-result", params: RESULT });
    setTimeout(() => {
      const page = view.contentDocument, button = page.querySelector("main figure button");
      if (button) { button.focus(); button.click(); }
      document.getElementById("seen").textContent = JSON.stringify({ text: page.body.innerText,
        pictures: [...page.images].filter((it) => it.naturalWidth).length, sent,
        paper: view.contentWindow.getComputedStyle(page.body).backgroundColor,
        large: page.getElementById("large").open,
        markup: page.querySelectorAll("main script, main b").length,
        focusable: page.querySelectorAll("main button, main a[href]").length });
    }, 300);
  }
});
view.srcdoc = PAGE;
</script>"""


def seen(folder: Path, result: dict[str, Any], theme: str = "light") -> dict[str, Any]:
    """Return what stands in the page for *result*, in a headless browser; a picture lies beside."""
    if BROWSER is None:
        pytest.skip("there is no Chromium here, so the views are not drawn")
    escaped = json.dumps(PAGE.read_text("utf-8")).replace("</", "<\\/")
    host = HOST.replace("THEME", theme).replace("RESULT", json.dumps(result).replace("</", "<\\/"))
    (folder / "host.html").write_text(host.replace("PAGE", escaped), "utf-8")
    base = [
        BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=4000",
        f"--user-data-dir={folder / 'profile'}", "--window-size=920,760",
    ]  # fmt: skip
    page = f"file://{folder / 'host.html'}"
    drawn = [*base, f"--screenshot={folder / 'view.png'}", page]
    subprocess.run(drawn, capture_output=True, check=True, timeout=60)
    dumped = subprocess.run(
        [*base, "--dump-dom", page], capture_output=True, text=True, check=True, timeout=60
    ).stdout
    found = re.search(r'<pre id="seen">(.*?)</pre>', dumped, re.DOTALL)
    assert found is not None
    assert found[1], "the page said nothing"
    told: dict[str, Any] = json.loads(
        found[1].replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
    )
    return told


@pytest.mark.proof
async def test_results_comparison_and_cost_are_drawn_with_the_words_of_the_text(
    tmp_path: Path,
) -> None:
    async with connected(tmp_path) as client:
        made = await client.call_tool(
            "generate", {"endpoint_id": "fal-ai/flux/schnell", "prompt": "a red fox"}
        )
        flux = {"endpoint_id": "fal-ai/flux/schnell", "arguments": {"prompt": "a"}}
        one = await client.call_tool("estimate_cost", flux)
        ids = ["fal-ai/flux/schnell", "fal-ai/flux/dev", "fal-ai/nano-banana-2"]
        several = await client.call_tool(
            "estimate_cost", {"endpoint_ids": ids, "arguments": {"prompt": "a"}}
        )

    def told(result: Any) -> dict[str, Any]:
        return result.model_dump(mode="json", by_alias=True, exclude_none=True)

    gallery = seen(tmp_path, told(made))
    assert "fal-ai/flux/schnell" in gallery["text"]
    assert "Local preview, not a model's output" in gallery["text"]
    assert gallery["pictures"] == 2  # the second is the larger one, opened by its button
    assert (gallery["large"], gallery["paper"]) == (True, "rgb(255, 255, 255)")
    assert gallery["focusable"] >= 1
    assert "ui/notifications/size-changed" in gallery["sent"]
    shutil.copy(tmp_path / "view.png", tmp_path / "gallery.png")
    dark = seen(tmp_path, told(several), "dark")
    for endpoint_id in ids:
        assert endpoint_id in dark["text"]
    assert max(map(int, re.findall(r"\d+", dark["paper"])[:3])) < 60
    assert (
        "$0.04" in seen(tmp_path, told(one))["text"]
        or "$0.003" in seen(tmp_path, told(one))["text"]
    )


@pytest.mark.proof
def test_markup_in_a_result_is_shown_as_text(tmp_path: Path) -> None:
    nasty = "<b>x</b><script>document.title='gone'</script>"
    job = {"job_id": "j", "state": "failed", "endpoint_id": nasty, "backend": "cloud",
           "error": {"type": "x", "message": nasty},
           "outputs": [{"kind": "image", "url": "javascript:alert(1)", "text": nasty}]}  # fmt: skip
    drawn = seen(tmp_path, {"content": [], "structuredContent": job})
    assert drawn["markup"] == 0
    assert nasty in drawn["text"]
