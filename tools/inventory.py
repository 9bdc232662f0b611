"""`TOOLS`: every tool, in the order in which a caller would need them."""

from collections.abc import Collection

from catalog.errors import ActionableError
from tools import search_models as search_models  # what hosts call first is there from the start
from tools.tool import AnyTool, LateTool

TOOLS: tuple[AnyTool, ...] = (
    LateTool("search_models", "discover", reads_only=True),
    LateTool("describe_model", "discover", reads_only=True),
    LateTool("estimate_cost", "discover", reads_only=True),
    LateTool("write_code", "discover", reads_only=True),
    LateTool("generate", "make", reads_only=False),
    LateTool("edit", "make", reads_only=False),
    LateTool("run_pipeline", "make", reads_only=False),
    LateTool("run_batch", "make", reads_only=False),
    LateTool("upload_file", "make", reads_only=False),
    LateTool("job_status", "follow", reads_only=True),
    LateTool("view_media", "follow", reads_only=True),
    LateTool("list_jobs", "follow", reads_only=True),
    LateTool("spending", "follow", reads_only=True),
    LateTool("cancel_job", "follow", reads_only=False),
    LateTool("scaffold_app", "deploy", reads_only=False),
    LateTool("check_app", "deploy", reads_only=True),
    LateTool("deploy_plan", "deploy", reads_only=True),
    LateTool("deploy_apply", "deploy", reads_only=False),
    LateTool("app_status", "deploy", reads_only=True),
    LateTool("app_logs", "deploy", reads_only=True),
)

TOOLSETS = tuple(dict.fromkeys(tool.toolset for tool in TOOLS))


def chosen_tools(
    toolsets: Collection[str] = (), *, read_only: bool = False, deploys: bool = True
) -> tuple[AnyTool, ...]:
    """Return the tools of *toolsets* (none: of all), in their order.

    *read_only* and a falkit that does not deploy have fewer.

    Raises:
        ActionableError: there is no such toolset.
    """
    for name in toolsets:
        if name not in TOOLSETS:
            raise ActionableError(
                f"there is no toolset {name[:40]!r}", hint=f"there are {', '.join(TOOLSETS)}"
            )
    return tuple(
        tool
        for tool in TOOLS
        if tool.toolset in (toolsets or TOOLSETS)
        and (tool.reads_only or not read_only)
        and (deploys or tool.toolset != "deploy")
    )
