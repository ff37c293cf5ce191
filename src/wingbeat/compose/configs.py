"""What a configuration file says of nodes and their triggers."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from wingbeat.compose import tags as tags_
from wingbeat.compose.callables import importable
from wingbeat.compose.cron_text import check_schedule
from wingbeat.compose.refs import GlobalRef, NsRef

TriggerType = Literal["poll", "push"]


class TriggerConfig(BaseModel):
    """A trigger of a node; a bare cron expression is a poll trigger with that schedule.

    What is None has the default of `Namespace.register_trigger`. Durations are in seconds.
    """

    model_config = ConfigDict(extra="forbid")

    name: str | None = None
    """When it is None, registering the node gives it the node's name and the type, such as `fetch_poll`."""
    type: TriggerType = "poll"
    schedule: str | None = None
    """Cron with 5 fields, or 6 with seconds first."""
    poll_fn: GlobalRef | None = None
    payload: dict[str, Any] | None = None
    timezone: str | None = None
    misfire: str | None = None
    grace: float | None = None
    overlap: str | None = None
    max_instances: int | None = None
    retries: int | None = None
    timeout: float | None = None
    jitter: float | None = None
    start: datetime | None = None
    end: datetime | None = None
    inputs: dict[str, Any] | None = None

    @model_validator(mode="before")
    @classmethod
    def _expand(cls, data: Any) -> Any:
        return {"type": "poll", "schedule": data} if isinstance(data, str) else data

    @field_validator("poll_fn", mode="before")
    @classmethod
    def _check_poll_fn(cls, value: Any) -> Any:
        if callable(value) and not importable(value):
            raise ValueError(f"{value!r} cannot be imported: use Namespace.register_trigger, which keeps the function")
        return value

    @field_validator("poll_fn", mode="after")
    @classmethod
    def _check_path(cls, value: GlobalRef | None) -> GlobalRef | None:
        if value is not None and value.is_module():
            raise ValueError(f"{value.module!r} names a module: write 'package.module:name'")
        return value

    @model_validator(mode="after")
    def _check_schedule(self) -> "TriggerConfig":
        if self.schedule is not None:
            check_schedule(self.schedule, self.timezone)
        return self


class NsNodeConfig(BaseModel):
    """A node: what (`gref`), where (`nsref`; by default the text of `gref`), its tags and its triggers."""

    type: str = "auto"
    nsref: NsRef | str | None = None
    gref: GlobalRef | None = None
    tags: list[str] | None = None
    triggers: list[TriggerConfig] = Field(default_factory=list[TriggerConfig])

    @property
    def where(self) -> NsRef:
        return NsRef(self.nsref or "")

    @field_validator("tags", mode="before")
    @classmethod
    def _check_tags(cls, value: Any) -> Any:
        return value if value is None else sorted(tags_.checked(value))

    @model_validator(mode="after")
    def _place(self) -> "NsNodeConfig":
        if self.nsref is None and self.gref is None:
            raise ValueError("a node has neither nsref nor gref: give one of them")
        self.nsref = NsRef(str(self.gref)) if self.nsref is None else NsRef(self.nsref)
        return self


class NsCacheConfig(NsNodeConfig):
    """A node whose results are kept. They are fresh for `min_ttl` days, and used up to `max_ttl` days at most."""

    type: str = "cache"
    min_ttl: float
    max_ttl: float

    @model_validator(mode="after")
    def _check_ttl(self) -> "NsCacheConfig":
        if not 0 <= self.min_ttl <= self.max_ttl:
            raise ValueError(f"min_ttl is {self.min_ttl} and max_ttl is {self.max_ttl}: use 0 <= min_ttl <= max_ttl")
        return self


class NsFragmentConfig(NsNodeConfig):
    """A class or module whose marked members become nodes under the prefix `nsref`.

    `init` is what the class is made with, `configs` what is said of single members by their names, and
    `defaults["cache"]` has `min_ttl` and `max_ttl` of members that require a cache.
    """

    type: str = "fragment"
    init: dict[str, Any] = Field(default_factory=dict[str, Any])
    configs: dict[str, dict[str, Any]] = Field(default_factory=dict[str, dict[str, Any]])
    defaults: dict[str, dict[str, Any]] = Field(default_factory=dict[str, dict[str, Any]])
