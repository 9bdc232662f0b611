"""Write the README's tables of tools, prompts, guides and settings between their markers."""

import re
import sys
from dataclasses import fields
from pathlib import Path

from prompts.guides import GUIDES
from prompts.library import offered
from server.settings import Settings
from tools.inventory import TOOLS

README = Path(__file__).parent.parent / "README.md"


def tools_table() -> str:
    """Return the tools as a Markdown table, in their order."""
    rows = ["| tool | does | arguments |", "| --- | --- | --- |"]
    for tool in TOOLS:
        names = ", ".join(f"`{name}`" for name in tool.arguments.model_fields)
        does = tool.description.split(" Example:")[0]
        rows.append(f"| `{tool.name}` | {does} | {names} |")
    return "\n".join(rows)


def prompts_table() -> str:
    """Return the prompts that are offered as a Markdown table, in their order."""
    rows = ["| prompt | does | asks for (* needed) |", "| --- | --- | --- |"]
    for prompt in offered({tool.name for tool in TOOLS}).values():
        gaps = ", ".join(f"{gap.name}{'*' if gap.required else ''}" for gap in prompt.gaps)
        rows.append(f"| `{prompt.name}` | {prompt.description} | {gaps} |")
    return "\n".join(rows)


def guides_table() -> str:
    """Return the guides as a Markdown table, in their order."""
    rows = ["| guide | answers |", "| --- | --- |"]
    rows += [f"| `{guide.name}` | {guide.description} |" for guide in GUIDES.values()]
    return "\n".join(rows)


def settings_table() -> str:
    """Return the settings as a Markdown table."""
    rows = ["| variable | meaning | default |", "| --- | --- | --- |"]
    key = "your fal key; or `FAL_KEY_ID` with `FAL_KEY_SECRET`, or a file named by `FAL_KEY_FILE`"
    rows.append(f"| `FAL_KEY` | {key} | none: the emulator is used |")
    bearer = (
        "bearer token that `serve --http` asks for; or a file named by `FALKIT_HTTP_TOKEN_FILE`"
    )
    rows.append(f"| `FALKIT_HTTP_TOKEN` | {bearer} | none: this machine only |")
    for entry in fields(Settings):
        if variable := entry.metadata.get("variable"):
            shown = entry.metadata["shown"] or f"`{entry.default}`"
            rows.append(f"| `{variable}` | {entry.metadata['meaning']} | {shown} |")
    return "\n".join(rows)


def filled(text: str) -> str:
    """Return *text* with all tables between their markers."""
    tables = {
        "tools": tools_table(),
        "prompts": prompts_table(),
        "guides": guides_table(),
        "settings": settings_table(),
    }
    for name, table in tables.items():
        marked = re.compile(rf"(<!-- {name}: begin -->\n).*?(<!-- {name}: end -->)", re.DOTALL)
        text = marked.sub(lambda match, table=table: f"{match[1]}{table}\n{match[2]}", text)
    return text


if __name__ == "__main__":
    README.write_text(filled(README.read_text("utf-8")), "utf-8")
    sys.stdout.write("README.md is written\n")
