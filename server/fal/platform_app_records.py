"""What fal's platform API says of own apps, their logs and files, and rented machines."""

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from server.fal.platform_records import Instant, Moment, Record, Strings


class ServerlessApp(Record):
    """One deployed app; times in seconds. *endpoints* are its routes, when asked for."""

    endpoint_id: str
    name: str
    owner: str
    environment: str = "main"
    machine_type: str = ""
    auth_mode: str = ""
    keep_alive: float | None = None
    min_concurrency: float | None = None
    max_concurrency: float | None = None
    request_timeout: float | None = None
    startup_timeout: float | None = None
    valid_regions: Strings = ()
    updated_at: Moment = None
    endpoints: Strings = ()


class QueueSize(Record):
    """How many requests wait for an app."""

    queue_size: int


class Revision(Record):
    """One deploy of an app; *status* and *deployed_by* are known for 30 days only."""

    revision_id: str
    created_at: Moment = None
    is_current: bool = False
    message: str = ""
    annotations: Mapping[str, str] = Field(default_factory=dict[str, str])
    status: str = ""
    deployed_by: str = ""


class AppEvent(Record):
    """Something that happened to an app; *payload* says more, by category."""

    event_id: str
    category: str
    created_at: Moment = None
    payload: Mapping[str, Any] = Field(default_factory=dict[str, Any])


class RunnerCount(Record):
    """How many runners an app had in one bucket of time."""

    timestamp: Instant
    running: float = 0
    idle: float = 0
    pending: float = 0
    draining: float = 0


class RunnerHistory(Record):
    """How many runners an app had over time."""

    endpoint_id: str = ""
    timeframe: str
    aggregation: str = ""
    history: tuple[RunnerCount, ...]


class LogItem(Record):
    """One line that an app wrote."""

    message: str
    timestamp: Moment = None
    level: str = ""
    app: str = ""
    revision: str = ""
    labels: Mapping[str, str] = Field(default_factory=dict[str, str])


class FileEntry(Record):
    """A file or a folder of the account's project storage; *size* in bytes."""

    path: str
    name: str
    is_file: bool
    size: int = 0
    created_time: Moment = None
    updated_time: Moment = None
    checksum_sha256: str = ""
    checksum_md5: str = ""


class Instance(Record):
    """A rented machine; *ip* is empty until it is ready."""

    id: str
    instance_type: str
    region: str = ""
    sector: str = ""
    ip: str = ""
    status: str
    creator_user_nickname: str = ""
