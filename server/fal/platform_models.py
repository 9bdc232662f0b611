"""`Models`: the catalog as fal knows it now, with prices and estimates."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from server.fal.platform_calls import MOST_IDS, Calls, as_record, as_records, encoded_query
from server.fal.platform_records import CostEstimate, Model, UnitPrice
from server.fal.problems import NotFoundError
from server.fal.sender import Ask
from server.fal.wire import Answer, mapped

Expansion = Literal["openapi-3.0", "enterprise_status"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Models:
    """The operations under ``/models`` that tell of models. The catalog itself needs no key."""

    calls: Calls

    def search(
        self,
        words: str = "",
        *,
        category: str = "",
        status: Literal["", "active", "deprecated"] = "",
        expand: Iterable[Expansion] = (),
    ) -> AsyncGenerator[Model]:
        """Yield the models that fit, in the platform's order; all of them where nothing is asked.

        Raises:
            FalError: while iterating, a page cannot be had.
        """
        query = {"q": words, "category": category, "status": status, "expand": expand}
        return self.calls.as_anybody().pages("/models", "models", Model, query)

    async def by_id(
        self, endpoint_ids: Iterable[str], *, expand: Iterable[Expansion] = ()
    ) -> dict[str, Model]:
        """Return what the platform knows of each id; those it does not know are left out."""
        calls, wanted = self.calls.as_anybody(), tuple(expand)

        async def ask(ids: Sequence[str]) -> tuple[Model, ...]:
            query = {"endpoint_id": ids, "expand": wanted, "limit": MOST_IDS}
            request = calls.request("GET", "/models", query)
            return await calls.ask(request, as_records(Model, "models"))

        return {model.endpoint_id: model for model in await _known(ask, endpoint_ids)}

    async def prices(self, endpoint_ids: Iterable[str]) -> dict[str, UnitPrice]:
        """Return the caller's own unit price of each id; unknown and unpriced ones are left out.

        A model whose price depends on its arguments has one price here all the same.
        """

        async def ask(ids: Sequence[str]) -> tuple[UnitPrice, ...]:
            request = self.calls.request("GET", "/models/pricing", {"endpoint_id": ids})
            return await self.calls.ask(request, as_records(UnitPrice, "prices"))

        return {price.endpoint_id: price for price in await _known(ask, endpoint_ids)}

    async def estimate_units(self, units: Mapping[str, float]) -> CostEstimate:
        """Return what these numbers of units (above 0) would cost in all, by endpoint id."""
        endpoints = {name: {"unit_quantity": count} for name, count in units.items()}
        return await self._estimate("unit_price", endpoints)

    async def estimate_calls(self, calls: Mapping[str, int]) -> CostEstimate:
        """Return what these numbers of calls (1 or more) would cost by what such calls cost so far.

        Whose calls, the account's or everybody's, is the platform's to know.
        """
        endpoints = {name: {"call_quantity": count} for name, count in calls.items()}
        return await self._estimate("historical_api_price", endpoints)

    async def _estimate(self, kind: str, endpoints: Mapping[str, object]) -> CostEstimate:
        body = {"estimate_type": kind, "endpoints": endpoints}
        return await self.calls.look("/models/pricing/estimate", as_record(CostEstimate), body)

    async def openapi(self, endpoint_id: str) -> Mapping[str, Any]:
        """Return the OpenAPI document of one model, which tells its input and its output.

        It is read without a key. Its paths are no guide to the queue.

        Raises:
            NotFoundError: there is no such model.
        """
        base = self.calls.sender.hosts.models
        query = encoded_query({"endpoint_id": endpoint_id})
        url = f"{base}/api/openapi/queue/openapi.json{query}"
        return await self.calls.ask(Ask("GET", url, endpoint_id, keyless=True), _document)


def _document(answer: Answer) -> Mapping[str, Any]:
    return mapped(answer.json())


async def _known(
    ask: Callable[[Sequence[str]], Awaitable[Sequence[T]]], endpoint_ids: Iterable[str]
) -> list[T]:
    """Return what *ask* finds for all ids, as many at a time as one request may name.

    One unknown id fails the whole request (whether it always does is an open question), so then
    each is asked for by itself.
    """
    ids, found = list(dict.fromkeys(endpoint_ids)), list[T]()
    for start in range(0, len(ids), MOST_IDS):
        group = ids[start : start + MOST_IDS]
        try:
            found += await ask(group)
        except NotFoundError:
            if len(group) > 1:
                for name in group:
                    found += await _known(ask, [name])
    return found
