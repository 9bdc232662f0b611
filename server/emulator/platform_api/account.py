"""`Account`: its simulated balance, and its costs and access rules as CSV."""

import csv
import io
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from sqlite3 import Connection
from typing import Annotated, Any

from pydantic import Field
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from server.emulator.answers import ApiRefusal, Refusal, json_answer
from server.emulator.platform_api.asked import Asked, Body
from server.emulator.platform_api.callers import ACCOUNT, Caller
from server.emulator.platform_api.door import Door
from server.emulator.platform_api.ledger import Charge, Ledger, Sought
from server.emulator.platform_api.spans import after, floor, span_of
from server.emulator.platform_api.usage import MOST_DAYS, need_team
from server.emulator.telling import instant

CREDIT = Decimal(100)  # the dollars that an account begins with
CREDIT_FACT = "account.credit"
TAGGED = "tagged-estimate"
# The columns of FOCUS 1.0 (FinOps Open Cost and Usage Specification) that have a value here.
FOCUS = (
    "BilledCost",
    "BillingAccountId",
    "BillingAccountName",
    "BillingCurrency",
    "BillingPeriodEnd",
    "BillingPeriodStart",
    "ChargeCategory",
    "ChargeDescription",
    "ChargeFrequency",
    "ChargePeriodEnd",
    "ChargePeriodStart",
    "ConsumedQuantity",
    "ConsumedUnit",
    "ContractedCost",
    "EffectiveCost",
    "ListCost",
    "ListUnitPrice",
    "PricingQuantity",
    "PricingUnit",
    "ProviderName",
    "PublisherName",
    "ResourceId",
    "ServiceCategory",
    "ServiceName",
    "SubAccountId",
)


class _Told(Body):
    balance: Annotated[float, Field(ge=0)]


@dataclass(frozen=True, slots=True)
class Account:
    """The operations under ``/account``, those of the organization that say the same, a control."""

    door: Door
    ledger: Ledger

    def routes(self) -> list[BaseRoute]:
        """Return the routes of this family."""
        route = self.door.route
        return [
            route("GET", "/account/billing", self.billing, "account:billing:read"),
            route("GET", "/account/focus", self.focus, "billing:usage:read"),
            route("GET", "/account/model-access-controls", self.access, "account:settings:read"),
            route("GET", "/organization/focus", self.team_focus, "organization:read"),
            route("GET", "/organization/teams", self.teams, "organization:read"),
            Route("/_emulator/account", self.on_account, methods=["GET", "POST"]),
        ]

    async def billing(self, asked: Asked) -> Response:
        """Say whose account it is, and what is left on it where that is asked for."""
        body: dict[str, Any] = {"username": ACCOUNT}
        if "credits" in asked.many("expand", ("credits",)):
            balance = await self.door.do(self._balance)
            body["credits"] = {"current_balance": float(balance), "currency": "USD"}
        return json_answer(body)

    def _balance(self) -> Decimal:
        """Return the dollars left: what the account began with less what was spent, at least 0."""
        found = self.door.store.reading().execute(
            "SELECT value FROM facts WHERE name = ?", (CREDIT_FACT,)
        )
        row = found.fetchone()
        credit = CREDIT if row is None else Decimal(json.loads(row["value"]))
        return max(credit - self.ledger.spent(), Decimal(0))

    async def focus(self, asked: Asked) -> Response:
        """Return the costs by day and endpoint in the columns of FOCUS 1.0."""
        asked.many("expand", ("organization",))
        return await self._focus(asked)

    async def team_focus(self, asked: Asked) -> Response:
        """Return the same for the organization's one team."""
        need_team(asked)
        return await self._focus(asked)

    async def _focus(self, asked: Asked) -> Response:
        """Return an invoice's month, or an estimate of the range that is asked for.

        The invoice of a month that is not over does not exist yet, and is empty.
        """
        source = asked.word("source", ("invoice", "estimate", TAGGED))
        if not source:
            raise ApiRefusal(400, f"source: one of invoice, estimate, {TAGGED} is needed")
        months = [_month(asked, name) for name in ("billing_month", "charge_month")]
        month = next(filter(None, months), None)
        if source == "invoice":
            if month is None:
                raise ApiRefusal(400, "billing_month: an invoice needs a month, YYYY-MM")
            start, end = month.timestamp(), after(month, "month").timestamp()
            charges = [] if end > time.time() else await self._charges(start, end)
        else:
            span = span_of(asked, most_days=MOST_DAYS)
            charges = await self._charges(span.start, span.end)
        tagged = source == TAGGED
        return _csv((*FOCUS, "Tags") if tagged else FOCUS, _focus_rows(charges, tagged=tagged))

    async def _charges(self, start: float, end: float) -> list[Charge]:
        return await self.door.do(self.ledger.charges, Sought(start, end))

    async def access(self, _: Asked) -> Response:
        """Return the rules on who may call which model; this account has none."""
        return _csv(("endpoint_id", "access"), [])

    async def teams(self, _: Asked) -> Response:
        """List the organization's teams: its root alone."""
        team = {
            "username": ACCOUNT,
            "name": "Emulator",
            "is_org_root": True,
            "created_at": instant(0),
        }
        return json_answer({"teams": [team]})

    async def on_account(self, request: Request) -> Response:
        """POST ``{"balance": dollars}`` sets what is left on the account, GET says it."""
        if request.method == "POST":
            try:
                told = await Asked(request, Caller("", "", ())).body(_Told)
            except ApiRefusal as refusal:
                raise Refusal(400, refusal.message, error_type="bad_request") from None
            balance = Decimal(str(told.balance))

            def work(db: Connection) -> None:
                credit = json.dumps(str(balance + self.ledger.spent()))
                db.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (CREDIT_FACT, credit))

            await self.door.write(work)
        return json_answer({"balance": float(await self.door.do(self._balance))})


def _month(asked: Asked, name: str) -> datetime | None:
    given = asked.text(name)
    if not given:
        return None
    try:
        return datetime.strptime(given, "%Y-%m").replace(tzinfo=UTC)
    except ValueError:
        raise ApiRefusal(400, f"{name}: {given!r} is not a month, YYYY-MM") from None


def _focus_rows(charges: Sequence[Charge], *, tagged: bool) -> list[dict[str, Any]]:
    """Return a row for each day and endpoint, and apart for each set of tags where *tagged*."""
    groups: dict[tuple[datetime, str, str], list[Charge]] = {}
    for charge in charges:
        day = floor(datetime.fromtimestamp(charge.at, UTC), "day")
        tags = json.dumps(dict(charge.tags), sort_keys=True) if tagged else ""
        groups.setdefault((day, charge.endpoint_id, tags), []).append(charge)
    rows: list[dict[str, Any]] = []
    for day, name, tags in sorted(groups):
        row = _focus_row(day, groups[day, name, tags])
        rows.append({**row, "Tags": tags} if tagged else row)
    return rows


def _focus_row(day: datetime, group: Sequence[Charge]) -> dict[str, Any]:
    cost = sum((charge.cost for charge in group), Decimal(0))
    units = sum((charge.units for charge in group), Decimal(0))
    month = floor(day, "month")
    first = group[0]
    return {
        **dict.fromkeys(("BilledCost", "ContractedCost", "EffectiveCost", "ListCost"), cost),
        "BillingAccountId": ACCOUNT,
        "BillingAccountName": ACCOUNT,
        "BillingCurrency": "USD",
        "BillingPeriodStart": month.isoformat(),
        "BillingPeriodEnd": after(month, "month").isoformat(),
        "ChargeCategory": "Usage",
        "ChargeDescription": f"{first.endpoint_id} ({first.unit})",
        "ChargeFrequency": "Usage-Based",
        "ChargePeriodStart": day.isoformat(),
        "ChargePeriodEnd": after(day, "day").isoformat(),
        "ConsumedQuantity": units,
        "ConsumedUnit": first.unit,
        "ListUnitPrice": first.unit_price,
        "PricingQuantity": units,
        "PricingUnit": first.unit,
        "ProviderName": "fal",
        "PublisherName": "fal",
        "ResourceId": first.endpoint_id,
        "ServiceCategory": "AI and Machine Learning",
        "ServiceName": "model_apis",
        "SubAccountId": ACCOUNT,
    }


def _csv(columns: Sequence[str], rows: Sequence[dict[str, Any]]) -> Response:
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\r\n")
    writer.writeheader()
    writer.writerows(rows)
    return PlainTextResponse(text.getvalue(), media_type="text/csv")
