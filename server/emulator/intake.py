"""`Intake`: read what a caller asks of an endpoint, by whatever door the request comes in."""

from bisect import bisect_left
from dataclasses import dataclass
from typing import Any

from starlette.requests import HTTPConnection

from catalog.card import ModelCard
from catalog.endpoint import EndpointId
from catalog.errors import ActionableError
from catalog.index import CatalogIndex
from server.emulator.answers import Refusal, base_of, has_key, user_of
from server.emulator.retrying import wishes
from server.emulator.rows import Submission
from server.emulator.skew import SKEW
from server.emulator.tags import tags_of


@dataclass(frozen=True, slots=True)
class Intake:
    """Knows the endpoints and the headers of a request."""

    catalog: CatalogIndex

    def knows(self, endpoint_id: str) -> ModelCard | None:
        """Return the card under exactly this id, or None."""
        card = self.catalog.find(endpoint_id)
        if card is None or card.endpoint_id != endpoint_id or card.seed_only:
            return None
        return card

    def card(self, endpoint_id: str) -> ModelCard:
        """Return the card under exactly this id.

        Raises:
            Refusal: 404; there is no such application, or it has no such path.
        """
        if card := self.knows(endpoint_id):
            return card
        try:
            parsed = EndpointId.parse(endpoint_id)
        except ActionableError:
            raise Refusal(404, f'Application "{endpoint_id}" not found') from None
        ids = self.catalog.ids
        place = bisect_left(ids, f"{parsed.app}/")
        if parsed.path and place < len(ids) and ids[place].startswith(f"{parsed.app}/"):
            headers = {"x-fal-billable-units": "0"}
            raise Refusal(404, f"Path /{parsed.path} not found", headers=headers)
        raise Refusal(404, f'Application "{parsed.alias}" not found')

    def submission(
        self,
        asked: HTTPConnection,
        card: ModelCard,
        body: Any,  # noqa: ANN401  # JSON
        wait: float = 0.0,
    ) -> Submission:
        """Return the request that *asked* brings in; *wait* is how long it queues at the least.

        ``X-Fal-Runner-Hint`` and ``x-app-fal-disable-fallback`` change nothing: every runner here
        is as good as the next, and no model stands in for another.

        Raises:
            Refusal: 400; a header cannot be read.
        """
        headers = asked.headers
        options: dict[str, Any] = {"faults": asked.scope.get("emulator.faults", {})}
        options |= wishes(headers)
        if skew := SKEW.get():
            options["skew"] = skew
        if tags := tags_of(headers.get("x-fal-tags")):
            options["tags"] = tags
        if lifecycle := headers.get("x-fal-object-lifecycle-preference"):
            options["lifecycle"] = lifecycle
        if headers.get("x-fal-store-io") == "0":
            options["store_io"] = False
        if webhook := asked.query_params.get("fal_webhook"):
            if not webhook.startswith(("http://", "https://")):
                words = "fal_webhook is not an http(s) address"
                raise Refusal(400, words, error_type="bad_request")
            options |= {"webhook": webhook, "base": base_of(asked)}
        if user := user_of(asked):
            options["user"] = user
        return Submission(
            endpoint_id=card.endpoint_id,
            app=EndpointId.parse(card.endpoint_id).app,
            input=body,
            wait=wait,
            start_within=number(headers.get("x-fal-request-timeout"), "X-Fal-Request-Timeout"),
            low_priority=headers.get("x-fal-queue-priority") == "low",
            options=options,
        )


def need_key(asked: HTTPConnection, name: str) -> None:
    """Refuse with 401 whoever comes without a well-formed key."""
    if not has_key(asked):
        words = f'Cannot access application "{name}". Authentication is required.'
        raise Refusal(401, words)


def number(given: str | None, name: str) -> float | None:
    """Return a number that a caller gave, or None.

    Raises:
        Refusal: 400; it is not a number, or below zero.
    """
    if given is None:
        return None
    try:
        value = float(given)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1e9:
        raise Refusal(400, f"{name} is not a number of zero or more", error_type="bad_request")
    return value


def whole_number(given: str | None, name: str) -> int | None:
    """Return a whole number that a caller gave, or None.

    Raises:
        Refusal: 400; it is not a whole number, or below zero.
    """
    value = number(given, name)
    if value is not None and not value.is_integer():
        raise Refusal(400, f"{name} is not a whole number", error_type="bad_request")
    return None if value is None else int(value)
