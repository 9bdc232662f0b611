"""`Proposal`: a change as the policy sees it, and what of it counts."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from tools.deploy_records import Action, AppSettings, Target


@dataclass(frozen=True, slots=True)
class Proposal:
    """A change as a policy sees it: *before* is what runs (None: nothing), *after* what would.

    *most* are the dollars an hour of its most runners, None where that is not known, *others* those
    of other apps that were deployed unasked. *unknown* names settings of *after* that stay as they
    run and that nobody tells.
    """

    action: Action
    target: Target
    app: str
    before: AppSettings | None
    after: AppSettings | None
    most: Decimal | None = None
    others: Decimal = Decimal(0)
    unknown: Sequence[str] = ()
    trusted: bool = False
    network: bool = False


def gpus(settings: AppSettings) -> int:
    """Return the GPUs of one runner."""
    has_gpu = any(name.startswith("GPU") for name in settings.machine_types)
    return (settings.num_gpus or 1) if has_gpu else 0


def idle(settings: AppSettings) -> int:
    """Return the runners that are kept while nobody calls: fal takes the larger of two floors."""
    return max(settings.min_concurrency or 0, settings.concurrency_buffer or 0)
