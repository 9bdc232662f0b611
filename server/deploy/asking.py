"""Why a person is asked about a plan: decided from what the plan does, as things stand now."""

from dataclasses import replace
from decimal import Decimal
from typing import cast

from server.deploy.advice import most_an_hour
from server.deploy.applied import settings_from
from server.deploy.caps import Caps, dear, read_caps
from server.deploy.plans import Kept, Plans
from server.deploy.policy import asks
from server.deploy.prices import read_prices
from server.deploy.proposals import Proposal
from server.settings import Settings
from tools.deploy_records import Action, Target


def reasons(kept: Kept, settings: Settings, plans: Plans) -> tuple[str, ...]:
    """Return why a person must say yes to *kept* now; nothing where nobody is asked. It blocks.

    Raises:
        NotConfiguredError: the file of caps or of prices cannot be read.
    """
    return asks(_proposal(kept, settings, plans), settings, _caps(kept, settings))


def reserve(plan_id: str, kept: Kept, settings: Settings, plans: Plans) -> tuple[str, ...]:
    """Count what *kept* may cost, unasked, or return why it must be asked about. It blocks.

    Raises:
        NotConfiguredError: the file of caps or of prices cannot be read.
    """
    caps = _caps(kept, settings)
    proposal = _proposal(kept, settings, plans)
    if caps is None or proposal.after is None or proposal.most is None:
        return ()
    known = caps

    def over(others: Decimal) -> list[str]:
        return dear(replace(proposal, others=others), known)

    return tuple(plans.applied.reserve(plan_id, kept.app, proposal.most, over))


def _caps(kept: Kept, settings: Settings) -> Caps | None:
    is_unasked = kept.target == "cloud" and settings.deploy == "cloud-auto"
    return read_caps(settings.deploy_caps) if is_unasked else None


def _proposal(kept: Kept, settings: Settings, plans: Plans) -> Proposal:
    after = None if kept.after is None else settings_from(dict(kept.after))
    network = (kept.settings or {}).get("network") is True
    prices = read_prices(settings.deploy_prices)
    return Proposal(
        action=cast("Action", kept.action),
        target=cast("Target", kept.target),
        app=kept.app,
        before=None if kept.before is None else settings_from(dict(kept.before)),
        after=after,
        most=None if after is None else most_an_hour(after, prices),
        others=plans.applied.others(kept.app),
        unknown=kept.unknown,
        trusted=bool(kept.source) and plans.is_trusted(kept.source, network=network),
        network=network,
    )
