"""What fal billed, request by request."""

from collections.abc import Sequence
from datetime import datetime

import httpx
from pydantic import SecretStr

from server.fal.platform_calls import Calls
from server.fal.platform_usage import Usage
from server.fal.retry import RetryPolicy
from server.fal.sender import Sender
from server.settings import Hosts
from tools.money_records import Charge


async def charges_since(
    http: httpx.AsyncClient, hosts: Hosts, key: SecretStr | None, since: datetime
) -> Sequence[Charge]:
    """Return what the account of *key* paid for each request since then, at most 90 days ago.

    Raises:
        UnauthorisedError: the key may not read it.
        FalError: it cannot be had.
    """
    usage = Usage(Calls(Sender(http, hosts, key, RetryPolicy())))
    return [
        Charge(event.request_id, event.endpoint_id, event.timestamp, event.cost_total)
        async for event in usage.billing_events(since)
    ]
