"""Everything that can be set, with its default and its meaning; the reference page is made from this.

A setting is written in camelCase in files, as in `runs.triggerScheduler.executionQps`.
"""

import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ByteSize, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h|d)")


def duration(text: str) -> timedelta:
    """A length of time as Go writes it, and in days: `30s`, `1h30m`, `1.5h`, `250ms`, `90d`. Raises ValueError."""
    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(f"{text!r} is not a duration such as 30s, 1h30m or 250ms")
    return timedelta(seconds=sum(float(number) * _UNITS[unit] for number, unit in parts))


def _positive_duration(value: Any) -> Any:
    length = duration(value.strip()) if isinstance(value, str) else value
    if length == timedelta(0):
        raise ValueError("a duration must be longer than 0s")
    return length


def _age(value: Any) -> Any:
    length = duration(value.strip()) if isinstance(value, str) else value
    return length or None


def _parsed_list(value: Any) -> Any:
    """The environment has only text: `a,b` is a list of two."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


Duration = Annotated[timedelta, BeforeValidator(_positive_duration)]
Age = Annotated[timedelta | None, BeforeValidator(_age)]
"""None, or 0s where it is written: for ever."""
Names = Annotated[tuple[str, ...], BeforeValidator(_parsed_list)]


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)


class BearerTokens(Section):
    issuer: str | None = Field(
        default=None,
        min_length=1,
        description="Who signs the JSON Web Tokens that say who calls, as in their claim iss; by default none is read.",
    )
    audience: str | None = Field(
        default=None, min_length=1, description="Whom tokens must be meant for, as in their claim aud."
    )
    jwks_url: str | None = Field(
        default=None,
        pattern=r"^https?://[^/\s]+",
        description="Where the issuer publishes the keys it signs with, as a JSON Web Key Set.",
    )
    key_file: Path | None = Field(
        default=None, description="In place of jwksUrl: a file with the issuer's public key in PEM."
    )
    required: bool = Field(
        default=False, description="Refuse calls without a token; otherwise they are served, and nobody's."
    )
    subject_claim: str = Field(default="sub", min_length=1, description="The claim that says who calls.")
    leeway: Duration = Field(
        default=timedelta(seconds=30), description="How far the issuer's clock and this server's may be apart."
    )

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.issuer is None:
            if self.audience or self.jwks_url or self.key_file or self.required:
                raise ValueError("tokens are checked with issuer, audience and keys: issuer is missing")
        elif self.audience is None:
            raise ValueError("audience is missing: without it tokens for other services would be good here")
        elif (self.jwks_url is None) == (self.key_file is None):
            raise ValueError("tokens need the keys of their issuer: set either jwksUrl or keyFile")
        return self


class Server(Section):
    host: str = Field(default="127.0.0.1", description="The address to listen on.")
    port: int = Field(default=8080, ge=0, le=65535, description="The port to listen on; 0 takes any free one.")
    public_url: str | None = Field(
        default=None,
        description="The URL by which clients reach the server, if it is not where it listens (a proxy, say).",
    )
    hosts: Names = Field(
        default=(),
        description="Names by which the server is called beside localhost, IP addresses and publicUrl's; * is any.",
    )
    allowed_origins: Names = Field(
        default=(),
        description="Origins, such as https://flyte.example.org, whose web pages may call the API beside its own.",
    )
    allow_unauthenticated: bool = Field(
        default=False,
        description="Listen on an address that other machines reach, though nobody has to say who they are.",
    )
    identity_header: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$",
        description="The header in which a proxy that authenticates says who calls; by default nobody is known.",
    )
    bearer: BearerTokens = BearerTokens()
    stop_grace: Duration = Field(
        default=timedelta(seconds=10),
        description="How long calls in flight may go on after the server was told to stop.",
    )

    @model_validator(mode="after")
    def _one_witness(self) -> Self:
        if self.identity_header and self.bearer.issuer:
            raise ValueError(
                "set identityHeader or bearer, not both: who calls without the proxy could choose the header"
            )
        return self


class Projects(Section):
    seed: Names = Field(
        default=("flytesnacks",), description="Projects that are created at the start unless they exist."
    )


class TriggerScheduler(Section):
    enabled: bool = Field(default=True, description="Whether this server fires triggers.")
    resync_interval: Duration = Field(
        default=timedelta(seconds=30),
        description="The longest time between two looks at the schedule; a change wakes the scheduler at once.",
    )
    max_catchup_runs_per_loop: int = Field(
        default=100, ge=0, description="Missed slots that one round may make up for; the rest follow. 0 is no limit."
    )
    execution_qps: float = Field(
        default=10.0, ge=0, description="Runs a second that schedules may start. 0 is no limit."
    )
    execution_burst: int = Field(
        default=20, ge=1, description="Runs that schedules may start at once after a quiet time."
    )


class Retention(Section):
    runs: Age = Field(
        default=None,
        description="How long runs are kept after their end, with their inputs, outputs and logs, unless the cache or"
        " another run needs them longer; 0s, the default, is for ever. At least 10m.",
    )
    uploads: Age = Field(
        default=None,
        description="How long uploaded code, files and inputs are kept that no task, trigger or run speaks of which is"
        " kept; 0s, the default, is for ever. At least 2d.",
    )
    ledger: Age = Field(
        default=timedelta(days=90),
        description="How long it is known which slots of triggers fired, were skipped or missed; 0s is for ever."
        " Nothing fires again for its end, but a backfill of an older time starts its runs anew.",
    )
    revisions: Age = Field(
        default=None,
        description="How long revisions of triggers are kept beside the latest and those that still owe runs;"
        " 0s, the default, is for ever.",
    )
    events: Age = Field(
        default=timedelta(days=30),
        description="How long after the end of a run it is known when its attempts entered each phase; 0s is for ever.",
    )
    cache: Age = Field(
        default=timedelta(days=90),
        description="How long a result stays in the cache after it was made or last served; 0s is for ever."
        " The run that has made it is kept as long.",
    )


class Runs(Section):
    trigger_scheduler: TriggerScheduler = TriggerScheduler()
    retention: Retention = Retention()


class Executor(Section):
    slots: int | None = Field(
        default=None,
        ge=0,
        description="Actions that run at once on this machine, 0 for none; by default four a core, but at least 8.",
    )
    queues: Names = Field(
        default=(),
        description="The queues whose actions run on this machine; `default` is that of actions that name none."
        " By default all.",
    )
    warm: bool = Field(
        default=True, description="Start actions in forks of a process that has imported the SDK: ten times faster."
    )


class Webhooks(Section):
    hosts: Names = Field(
        default=(),
        description="Hosts that webhooks of conditions may be on, such as hooks.example.org or *.example.org;"
        " by default all that the server reaches.",
    )
    allow_local: bool | None = Field(
        default=None,
        description="Whether they may be on loopback, link-local and clouds' metadata addresses, whatever their names;"
        " by default only while the server asks nobody who calls.",
    )


class Limits(Section):
    message: ByteSize = Field(default=ByteSize(32 * 1024**2), gt=0, description="The largest message of an RPC.")
    upload: ByteSize = Field(default=ByteSize(5 * 1024**3), gt=0, description="The largest file that may be uploaded.")


class Logging(Section):
    level: str = Field(default="INFO", description="DEBUG, INFO, WARNING or ERROR.")
    json_lines: bool = Field(default=False, description="Write one JSON object a line instead of text for people.")


class Settings(Section):
    data: Path = Field(
        default=Path(".wingbeat"), description="The directory of everything this server keeps on its own disk."
    )
    database: str | None = Field(
        default=None,
        description="sqlite:///FILE or postgresql://USER@HOST/NAME; by default `wingbeat.db` in the data directory.",
    )
    blobs: str | None = Field(
        default=None,
        description="Where inputs, outputs and code are: a directory, or s3://, gs:// or az:// BUCKET/PREFIX;"
        " by default `blobs` in the data directory.",
    )
    domains: Names = Field(
        default=("development", "staging", "production"),
        min_length=1,
        description="The domains that every project has.",
    )
    server: Server = Server()
    projects: Projects = Projects()
    runs: Runs = Runs()
    executor: Executor = Executor()
    webhooks: Webhooks = Webhooks()
    limits: Limits = Limits()
    logging: Logging = Logging()

    @property
    def database_url(self) -> str:
        return self.database or str(self.data.absolute() / "wingbeat.db")

    @property
    def local_webhooks(self) -> bool:
        if self.webhooks.allow_local is None:
            return not (self.server.identity_header or self.server.bearer.issuer)
        return self.webhooks.allow_local

    @property
    def blobs_uri(self) -> str:
        return self.blobs or str(self.data.absolute() / "blobs")
