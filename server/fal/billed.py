"""What fal billed, request by request."""

from collections.abc import Sequence
from datetime import datetime

from server.fal.platform import PlatformClient
from server.fal.sender import Sender
from tools.money_records import Charge


async def charges_since(sender: Sender, since: datetime) -> Sequence[Charge]:
    """Return what the account of *sender*'s key paid for each request since then.

    fal looks back 90 days at most.

    Raises:
        UnauthorisedError: the key may not read it.
        FalError: it cannot be had.
    """
    return [
        Charge(event.request_id, event.endpoint_id, event.timestamp, event.cost_total)
        async for event in PlatformClient(sender).usage.billing_events(since)
    ]
