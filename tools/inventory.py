"""`TOOLS`: every tool, in the order in which a caller would need them."""

from collections.abc import Collection

from catalog.errors import ActionableError
from tools.app_logs import APP_LOGS
from tools.app_status import APP_STATUS
from tools.cancel_job import CANCEL_JOB
from tools.check_app import CHECK_APP
from tools.deploy_apply import DEPLOY_APPLY
from tools.deploy_plan import DEPLOY_PLAN
from tools.describe_model import DESCRIBE_MODEL
from tools.edit import EDIT
from tools.estimate_cost import ESTIMATE_COST
from tools.generate import GENERATE
from tools.job_status import JOB_STATUS
from tools.list_jobs import LIST_JOBS
from tools.run_batch import RUN_BATCH
from tools.run_pipeline import RUN_PIPELINE
from tools.scaffold_app import SCAFFOLD_APP
from tools.search_models import SEARCH_MODELS
from tools.spending import SPENDING
from tools.tool import AnyTool
from tools.upload_file import UPLOAD_FILE
from tools.view_media import VIEW_MEDIA
from tools.write_code import WRITE_CODE

TOOLS: tuple[AnyTool, ...] = (
    SEARCH_MODELS,
    DESCRIBE_MODEL,
    ESTIMATE_COST,
    WRITE_CODE,
    GENERATE,
    EDIT,
    RUN_PIPELINE,
    RUN_BATCH,
    UPLOAD_FILE,
    JOB_STATUS,
    VIEW_MEDIA,
    LIST_JOBS,
    SPENDING,
    CANCEL_JOB,
    SCAFFOLD_APP,
    CHECK_APP,
    DEPLOY_PLAN,
    DEPLOY_APPLY,
    APP_STATUS,
    APP_LOGS,
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
