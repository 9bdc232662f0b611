"""What fal's platform API answers, as records: new fields are passed over, missing ones named."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from itertools import islice
from typing import Annotated, Any, TypeVar, cast

from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from server.fal.magnitudes import amount, in_utc
from server.fal.wire import UnreadableAnswerError

MOST_WORDS = 1000  # of one list of names or tags; fal allows ten tags (documented)


class Record(BaseModel):
    """One object of the platform API.

    A null counts as not given, so that a default stands where fal says nothing. Words of closed
    sets are plain text: fal may add to them.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="ignore",
        allow_inf_nan=False,
        protected_namespaces=(),
        defer_build=True,  # most are never asked for, and each takes a millisecond
    )

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, raw: Any) -> Any:  # noqa: ANN401  # the JSON border
        if not isinstance(raw, dict):
            return raw
        entries = cast("dict[str, Any]", raw)
        return {name: value for name, value in entries.items() if value is not None}


R = TypeVar("R", bound=Record)


def read_record(kind: type[R], raw: Any, path: str = "") -> R:  # noqa: ANN401  # the JSON border
    """Return *raw* as *kind*; *path* is where in the answer it stood.

    Raises:
        UnreadableAnswerError: a needed field is missing or cannot be read; the text names it.
    """
    try:
        return kind.model_validate(raw)
    except ValidationError as problem:
        first = problem.errors(include_url=False, include_context=False, include_input=False)[0]
    where = path
    for step in first["loc"]:
        where += f"[{step}]" if isinstance(step, int) else f".{step}"
    where = where.lstrip(".")
    if first["type"] == "missing":
        raise UnreadableAnswerError(f"the answer holds no {where}")
    raise UnreadableAnswerError(f"the answer holds no readable {where or 'object'}")


def _moment(raw: Any) -> datetime | None:  # noqa: ANN401  # the JSON border
    """Return an instant that is only shown; None where it cannot be read."""
    try:
        return in_utc(datetime.fromisoformat(raw)) if isinstance(raw, str) else None
    except ValueError:
        return None


Instant = Annotated[datetime, AfterValidator(in_utc)]  # needed: UTC where no zone is given
Moment = Annotated[datetime | None, BeforeValidator(_moment)]  # shown only
Amount = Annotated[Decimal, AfterValidator(amount)]


def _first(raw: Any) -> Any:  # noqa: ANN401  # the JSON border
    """Return *raw* without what comes after its first thousand entries."""
    if isinstance(raw, list):
        return cast("list[Any]", raw)[:MOST_WORDS]
    if isinstance(raw, dict):
        return dict(islice(cast("dict[str, Any]", raw).items(), MOST_WORDS))
    return raw


Strings = Annotated[tuple[str, ...], BeforeValidator(_first)]
Tags = Annotated[Mapping[str, str], BeforeValidator(_first)]


class Failure(Record):
    """Why one expansion of a model could not be had."""

    code: str
    message: str = ""


class Group(Record):
    """The family that a model belongs to."""

    key: str
    label: str = ""


class ModelFacts(Record):
    """What the catalog says of a model. *license_type*, *kind* and *status* are fal's words."""

    display_name: str
    category: str
    description: str = ""
    status: str = "active"
    tags: Strings = ()
    updated_at: Moment = None
    date: Moment = None
    is_favorited: bool = False
    highlighted: bool = False
    pinned: bool = False
    thumbnail_url: str = ""
    thumbnail_animated_url: str = ""
    model_url: str = ""
    github_url: str = ""
    stream_url: str = ""
    license_type: str = ""
    group: Group | None = None
    kind: str = ""
    training_endpoint_ids: Strings = ()
    inference_endpoint_ids: Strings = ()
    duration_estimate: float | None = None


class Model(Record):
    """One endpoint of the catalog. What was not expanded is None; what failed has a failure."""

    endpoint_id: str
    metadata: ModelFacts | None = None
    openapi: Mapping[str, Any] | None = None
    enterprise_status: str | Mapping[str, Any] | None = None

    @property
    def schema_failure(self) -> Failure | None:
        """Why the OpenAPI document is not there, if it was asked for and failed."""
        return _failure(self.openapi)

    @property
    def document(self) -> Mapping[str, Any] | None:
        """The OpenAPI document, if it was asked for and had."""
        return None if self.schema_failure else self.openapi


def _failure(expanded: Mapping[str, Any] | None) -> Failure | None:
    error = expanded.get("error") if expanded else None
    return read_record(Failure, error) if isinstance(error, dict) else None


class UnitPrice(Record):
    """The caller's own price of one unit; *unit* is free text such as ``megapixels``."""

    endpoint_id: str
    unit_price: Amount
    unit: str
    currency: str = "USD"


class CostEstimate(Record):
    """What a number of calls or units would cost in all."""

    estimate_type: str
    total_cost: Amount
    currency: str = "USD"


class Auth(Record):
    """How a request was authorised."""

    detail: str = ""
    api_key_id: str = ""
    login_username: str = ""


class UsageRow(Record):
    """What was used of one endpoint; of an app, an organization's team, or a machine, if said.

    *cost_total* is what is paid, *cost_subtotal* less *cost_discount*.
    """

    endpoint_id: str = Field("", validation_alias=AliasChoices("endpoint_id", "app"))
    unit: str
    quantity: Amount
    unit_price: Amount
    cost: Amount
    cost_subtotal: Amount | None = None
    cost_discount: Amount = Decimal(0)
    cost_total: Amount | None = None
    percent_discount: Amount | None = None
    currency: str = "USD"
    auth_method: str = ""
    auth_method_structured: Auth | None = None
    username: str = ""
    product: str = ""
    environment: str = ""
    machine_type: str = ""
    is_surge: bool = False


class MetricsRow(Record):
    """Counts and durations (seconds) of one endpoint's requests, as many as were asked for."""

    endpoint_id: str
    values: Mapping[str, float]

    @model_validator(mode="before")
    @classmethod
    def _gathered(cls, raw: Any) -> Any:  # noqa: ANN401  # the JSON border
        if not isinstance(raw, dict):
            return raw
        entries = cast("dict[str, Any]", raw)
        numbers = {
            name: value
            for name, value in entries.items()
            if isinstance(value, int | float)
            and not isinstance(value, bool)
            and 0 <= value < 1e15  # never true of NaN
        }
        return {**entries, "values": numbers}


class UsageBucket(Record):
    """What was used in one bucket of time; *bucket* is its start as ISO 8601."""

    bucket: str
    results: tuple[UsageRow, ...]


class MetricsBucket(Record):
    """How requests went in one bucket of time; *bucket* is its start as ISO 8601."""

    bucket: str
    results: tuple[MetricsRow, ...]


class BillingEvent(Record):
    """What one request cost. *cost_estimate_nano_usd* is *cost_total* in billionths of a dollar."""

    request_id: str
    endpoint_id: str
    timestamp: Instant
    cost_total: Amount
    cost_subtotal: Amount | None = None
    cost_discount: Amount = Decimal(0)
    cost_estimate_nano_usd: int | None = None
    output_units: Amount | None = None
    unit_price: Amount | None = None
    percent_discount: Amount | None = None
    auth_method: str = ""
    auth_method_structured: Auth | None = None
    username: str = ""
    tags: Tags = Field(default_factory=dict[str, str])


class RequestRecord(Record):
    """One request of the past. Payloads are there when asked for and kept; *duration* in seconds.

    *similarity* (0 to 1) is that of a search, *runner_id* and *billable_units* those of own apps.
    """

    request_id: str
    endpoint_id: str
    sent_at: Instant
    started_at: Moment = None
    ended_at: Moment = None
    status_code: int | None = None
    duration: float | None = None
    json_input: Any = None
    json_output: Any = None
    similarity: float | None = None
    runner_id: str = ""
    billable_units: Amount | None = None


class DeletedFile(Record):
    """What became of one file of a deleted payload; *exception* is empty when it is gone."""

    link: str
    exception: str = ""


class Credits(Record):
    """What is left on an account."""

    current_balance: Amount
    currency: str = "USD"


class AccountBilling(Record):
    """Whose account it is; *credits* is None where it was not told."""

    username: str
    credits: Credits | None = None


class Key(Record):
    """What is known of a key; never its secret."""

    key_id: str
    alias: str = ""
    scope: str = ""
    created_at: Moment = None
    creator_nickname: str = ""
    creator_email: str = ""


class NewKey(Record):
    """A key that was just made: its secret is told this once."""

    key_id: str
    key_secret: str = Field(repr=False)
    key: str = Field(repr=False)


class Team(Record):
    """One team of an organization."""

    username: str
    name: str = ""
    is_org_root: bool = False
    created_at: Moment = None


class AclRule(Record):
    """What one fal user is answered: ``allow`` 200, ``forbid`` 403, ``hide`` 404."""

    user: str
    decision: str


class Acl(Record):
    """Who may read a file: a decision for everybody, and others for single users."""

    default: str
    rules: tuple[AclRule, ...] = ()

    def wire(self) -> dict[str, Any]:
        """Return it as it is sent."""
        return self.model_dump()


class SignedUrl(Record):
    """An address under which anyone reads a file for a while."""

    signed_url: str = Field(repr=False)


class StorageSettings(Record):
    """What new files are like where nobody says otherwise; None was never saved."""

    expiration_duration_seconds: int | None = None
    initial_acl: Acl | None = None


class Meta(Record):
    """The address ranges that webhooks come from."""

    webhook_ip_ranges: Strings


class Workflow(Record):
    """A graph of models; *contents* as it is kept."""

    name: str
    title: str = ""
    user_nickname: str = ""
    created_at: Moment = None
    is_public: bool = False
    contents: Mapping[str, Any]


class WorkflowEntry(Record):
    """A graph of models in a list, without its contents."""

    name: str
    title: str = ""
    user_nickname: str = ""
    created_at: Moment = None
    thumbnail_url: str = ""
    description: str = ""
    tags: Strings = ()
    endpoint_ids: Strings = ()
