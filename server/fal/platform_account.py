"""`Account`, `Keys`, `Storage`, `Workflows`, `Compute`: what belongs to the account itself."""

from collections.abc import AsyncGenerator, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from server.fal.platform_app_records import Instance
from server.fal.platform_calls import Calls, as_record, nothing, segment
from server.fal.platform_records import (
    AccountBilling,
    Acl,
    Key,
    NewKey,
    SignedUrl,
    StorageSettings,
    Workflow,
    WorkflowEntry,
)


@dataclass(frozen=True, slots=True)
class Account:
    """The account and its balance, for an admin key."""

    calls: Calls

    async def billing(self, *, balance: bool = True) -> AccountBilling:
        """Return whose account it is and, with *balance*, what is left on it."""
        query = {"expand": "credits" if balance else ""}
        return await self.calls.get("/account/billing", AccountBilling, query)

    async def model_access_controls(self) -> str:
        """Return the rules on who may call which model as CSV; for enterprise accounts."""
        return await self.calls.text("/account/model-access-controls")


@dataclass(frozen=True, slots=True)
class Keys:
    """The account's keys, for an admin key."""

    calls: Calls

    def listed(self, *, creators: bool = False) -> AsyncGenerator[Key]:
        """Yield what is known of each key; never a secret."""
        query = {"expand": "creator_info" if creators else ""}
        return self.calls.pages("/keys", "keys", Key, query)

    async def create(self, alias: str) -> NewKey:
        """Make a key of that name; its secret is told this once.

        Raises:
            LostAnswerError: there may be a new key whose secret nobody knows; look for its name.
        """
        body = {"alias": alias}
        return await self.calls.change_once("POST", "/keys", as_record(NewKey), body)

    async def delete(self, key_id: str) -> None:
        """Make a key void; that there is none of that id is no failure."""
        await self.calls.change("DELETE", f"/keys/{segment(key_id)}", nothing)


@dataclass(frozen=True, slots=True)
class Storage:
    """Who may read files of the CDN, and what new files are like."""

    calls: Calls

    async def acl(self, url: str) -> Acl:
        """Return who may read the file at *url*, which has no query. Needs ``assets:read``."""
        return await self.calls.get("/storage/files/acl", Acl, {"url": url})

    async def set_acl(self, url: str, acl: Acl) -> Acl:
        """Change who may read the file at *url*; return what holds now.

        The platform drops rules for users it does not know. Needs ``assets:write``.
        """
        path, query = "/storage/files/acl", {"url": url}
        return await self.calls.change_once("PUT", path, as_record(Acl), acl.wire(), query)

    async def sign(self, url: str, seconds: int) -> str:
        """Return an address under which anyone reads the file at *url* for a week at most."""
        body, query = {"expiration_seconds": seconds}, {"url": url}
        path = "/storage/files/sign"
        return (await self.calls.look(path, as_record(SignedUrl), body, query)).signed_url

    async def settings(self) -> StorageSettings:
        """Return what new files are like. Needs ``account:settings:read``."""
        return await self.calls.get("/storage/settings", StorageSettings)

    async def set_settings(self, settings: StorageSettings) -> StorageSettings:
        """Replace all settings: what is None is as if never saved.

        Needs ``account:settings:write``.
        """
        body = settings.model_dump(exclude_none=True)
        understand = as_record(StorageSettings)
        return await self.calls.change_once("PUT", "/storage/settings", understand, body)


@dataclass(frozen=True, slots=True)
class Workflows:
    """Graphs of models that the account keeps."""

    calls: Calls

    def listed(self, words: str = "", *, uses: Iterable[str] = ()) -> AsyncGenerator[WorkflowEntry]:
        """Yield the account's own workflows, by words or by the endpoints they use."""
        query = {"search": words, "used_endpoint_ids": tuple(uses)}
        return self.calls.pages("/workflows", "workflows", WorkflowEntry, query)

    async def get(self, username: str, name: str) -> Workflow:
        """Return one workflow with its contents."""
        path = f"/workflows/{segment(username)}/{segment(name)}"
        return await self.calls.ask(
            self.calls.request("GET", path), as_record(Workflow, "workflow")
        )

    async def create(
        self, name: str, title: str, contents: Mapping[str, Any], *, is_public: bool = False
    ) -> Workflow:
        """Keep a workflow under a name that the account has not used yet."""
        body = {"name": name, "title": title, "contents": contents, "is_public": is_public}
        understand = as_record(Workflow, "workflow")
        return await self.calls.change_once("POST", "/workflows", understand, body)


@dataclass(frozen=True, slots=True)
class Compute:
    """Rented machines, for an admin key of an account that may rent."""

    calls: Calls

    def listed(self) -> AsyncGenerator[Instance]:
        """Yield the account's machines."""
        return self.calls.pages("/compute/instances", "instances", Instance)

    async def get(self, instance_id: str) -> Instance:
        """Return how a machine is."""
        return await self.calls.get(f"/compute/instances/{segment(instance_id)}", Instance)

    async def rent(
        self,
        instance_type: Literal["gpu_8x_h100_sxm5", "gpu_1x_h100_sxm5"],
        ssh_key: str,
        *,
        sector: Literal["", "sector_1", "sector_2", "sector_3"] = "",
    ) -> Instance:
        """Rent a machine, which is paid for until it is given back."""
        body = {"instance_type": instance_type, "ssh_key": ssh_key}
        body |= {"sector": sector} if sector else {}
        return await self.calls.change("POST", "/compute/instances", as_record(Instance), body)

    async def give_back(self, instance_id: str) -> None:
        """Give a machine back.

        Raises:
            LostAnswerError: it may still run, and cost; look.
        """
        path = f"/compute/instances/{segment(instance_id)}"
        await self.calls.change_once("DELETE", path, nothing)
