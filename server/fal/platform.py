"""`PlatformClient`: fal's platform API, one member for each family of operations."""

from server.fal.platform_account import Account, Compute, Keys, Storage, Workflows
from server.fal.platform_assets import Assets, Characters, Collections
from server.fal.platform_calls import Calls
from server.fal.platform_models import Models
from server.fal.platform_records import Meta
from server.fal.platform_serverless import Serverless
from server.fal.platform_usage import Organization, Requests, Usage
from server.fal.sender import Sender


class PlatformClient:
    """fal's platform API, or the emulator's, over the one place that sends keys.

    Reads are repeated as the sender's policy says. What changes something is repeated under an
    ``Idempotency-Key`` where the operation has one, and else only when it provably never arrived or
    was turned away with 429. Lists are followed page by page, as far as they are iterated (close an
    iterator that is left early: ``aclosing``). Answers may hold more than is known here; where less
    comes than is needed, the error names it. A key without a permission is told which one it lacks.
    """

    def __init__(self, sender: Sender) -> None:
        calls = Calls(sender)
        self._calls = calls
        self.models = Models(calls)
        self.usage = Usage(calls)
        self.requests = Requests(calls)
        self.organization = Organization(calls)
        self.account = Account(calls)
        self.keys = Keys(calls)
        self.storage = Storage(calls)
        self.workflows = Workflows(calls)
        self.assets = Assets(calls)
        self.collections = Collections(calls)
        self.characters = Characters(calls)
        self.serverless = Serverless(calls)
        self.compute = Compute(calls)

    async def meta(self) -> Meta:
        """Return the address ranges that webhooks come from; no key is needed."""
        return await self._calls.as_anybody().get("/meta", Meta)
