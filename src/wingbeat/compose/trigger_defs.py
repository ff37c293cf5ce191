"""What a trigger is meant to do, said in code: nothing fires before it is activated.

Its one rule: whatever can be known to be wrong without running anything is an error here.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from inspect import Parameter, signature
from typing import TYPE_CHECKING, Any, TypeVar, cast

from wingbeat.compose.callables import importable, name_of
from wingbeat.compose.configs import TriggerConfig, TriggerType
from wingbeat.compose.cron_text import check_schedule
from wingbeat.compose.exits import exit_error
from wingbeat.compose.firing.answers import payload_problem
from wingbeat.compose.refs import GlobalRef, NsRef
from wingbeat.core.policy import CatchUp, Overlap, Policies

if TYPE_CHECKING:
    from wingbeat.compose.nodes import NamespaceNode

Seconds = float | timedelta
PollFunction = Callable[..., Any]
Word = TypeVar("Word", bound=StrEnum)


class TriggerKind(StrEnum):
    POLL = "poll"
    """Its schedule fires it, or asks `poll_fn` whether to."""
    PUSH = "push"
    """Only `TriggerManager.fire` does."""


class Misfire(StrEnum):
    """What becomes of moments that passed while nobody could fire them."""

    ONCE = "once"
    """The latest of them fires."""
    ALL = "all"
    SKIP = "skip"
    """None of them fires."""

    @property
    def catch_up(self) -> CatchUp:
        return {Misfire.ONCE: CatchUp.LATEST, Misfire.ALL: CatchUp.ALL, Misfire.SKIP: CatchUp.NONE}[self]


class Overlapping(StrEnum):
    """What becomes of a moment while `max_instances` runs of the trigger are not over."""

    SKIP = "skip"
    QUEUE = "queue"
    """It waits for its turn."""
    ALLOW = "allow"
    """It fires, however many there are."""

    @property
    def overlap(self) -> Overlap:
        return {"skip": Overlap.SKIP, "queue": Overlap.BUFFER_ALL, "allow": Overlap.ALLOW}[self.value]


@dataclass(frozen=True, slots=True, kw_only=True)
class TriggerDef:
    """A trigger that is defined. Raises ValueError that names the trigger, what is wrong and what would be right."""

    name: str
    dag_nsref: str
    trigger_type: str
    schedule: str | None = None
    poll_fn: PollFunction | GlobalRef | None = None
    """Returns what to fire with, or None; may be async."""
    payload: Mapping[str, Any] | None = None
    """What a fire has that brings nothing itself."""
    timezone: str = "UTC"
    misfire: str = Misfire.ONCE
    grace: timedelta | None = None
    """What is later than this is missed, whatever `misfire` says."""
    overlap: str = Overlapping.SKIP
    max_instances: int = 1
    retries: int = 0
    timeout: timedelta | None = None
    """Of a run."""
    jitter: timedelta = timedelta()
    start: datetime | None = None
    """Inclusive, like `end`; both in UTC."""
    end: datetime | None = None
    inputs: Mapping[str, Any] | None = None
    """What every fire has besides its payload, which goes before it."""

    def __post_init__(self) -> None:
        _check_texts(self)
        _check_words(self)
        _check_values(self)
        _check_kind(self)
        _check_numbers(self)
        if self.schedule is not None:
            try:
                check_schedule(self.schedule, self.timezone)
            except ValueError as error:
                raise _wrong(self.name, str(error)) from error

    @classmethod
    def from_config(cls, config: TriggerConfig, dag_nsref: str) -> "TriggerDef":
        """The trigger of a node's configuration; raises ValueError when it has no name."""
        if config.name is None:
            raise ValueError(f"a trigger of {dag_nsref!r} has no name")
        said = {field: value for field in _POLICY_FIELDS if (value := getattr(config, field)) is not None}
        return define(config.name, dag_nsref, config.type, schedule=config.schedule, poll_fn=config.poll_fn, **said)

    def to_config(self) -> TriggerConfig:
        """The same, as a configuration can say it: a function that cannot be imported is left out."""
        said = {field: _plain(value) for field in _POLICY_FIELDS if (value := getattr(self, field)) != _DEFAULTS[field]}
        return TriggerConfig(
            name=self.name,
            type=cast("TriggerType", self.trigger_type),
            schedule=self.schedule,
            poll_fn=self.poll_ref,
            **said,
        )

    @property
    def poll_ref(self) -> GlobalRef | None:
        """Where another process finds `poll_fn`; None when there is none, or only this process has it."""
        if self.poll_fn is None or isinstance(self.poll_fn, GlobalRef):
            return self.poll_fn
        return GlobalRef(self.poll_fn) if importable(self.poll_fn) else None

    @property
    def policies(self) -> Policies:
        """What the core makes of it."""
        return Policies(
            overlap=Overlapping(self.overlap).overlap,
            catch_up=Misfire(self.misfire).catch_up,
            catch_up_window=self.grace,
            jitter=self.jitter,
            start=self.start,
            end=self.end,
        )

    def polled(self) -> PollFunction | None:
        """The function to ask, imported if need be. Raises ValueError when there is no such function."""
        if not isinstance(self.poll_fn, GlobalRef):
            return self.poll_fn
        try:
            found = self.poll_fn.get_instance()
        except (ImportError, AttributeError, ValueError) as error:
            raise _wrong(self.name, f"poll_fn {str(self.poll_fn)!r} cannot be imported: {error}") from error
        except SystemExit as end:
            error = exit_error("its module", end)
            raise _wrong(self.name, f"poll_fn {str(self.poll_fn)!r} cannot be imported: {error}") from end
        if not callable(found):
            raise _wrong(self.name, f"poll_fn {str(self.poll_fn)!r} is a {type(found).__name__}: name a function")
        return found


def define(
    name: str,
    dag_nsref: object,
    trigger_type: str,
    *,
    schedule: str | None = None,
    poll_fn: PollFunction | GlobalRef | str | None = None,
    grace: Seconds | None = None,
    timeout: Seconds | None = None,
    jitter: Seconds | None = None,
    start: datetime | None = None,
    end: datetime | None = None,
    **rest: Any,
) -> TriggerDef:
    """The definition, from what people write: seconds as numbers, moments in any zone, functions by their names."""
    return TriggerDef(
        name=name,
        dag_nsref=place_text(name, dag_nsref),
        trigger_type=trigger_type,
        schedule=schedule,
        poll_fn=_path(name, poll_fn) if isinstance(poll_fn, str) else poll_fn,
        grace=_length(name, "grace", grace),
        timeout=_length(name, "timeout", timeout),
        jitter=_length(name, "jitter", jitter) or timedelta(),
        start=_moment(name, "start", start),
        end=_moment(name, "end", end),
        **rest,
    )


class RegisteredTrigger(tuple["NamespaceNode | None", TriggerConfig]):
    """A node and the configuration of a trigger of it, with the names of the definition.

    The node is None as long as nothing is registered under the trigger's `dag_nsref`.
    """

    definition: TriggerDef

    def __new__(
        cls, node: "NamespaceNode | None", definition: TriggerDef, *, config: TriggerConfig
    ) -> "RegisteredTrigger":
        pair = super().__new__(cls, (node, config))
        pair.definition = definition
        return pair

    @property
    def name(self) -> str:
        return self.definition.name

    @property
    def dag_nsref(self) -> str:
        return self.definition.dag_nsref

    @property
    def trigger_type(self) -> str:
        return self.definition.trigger_type

    @property
    def schedule(self) -> str | None:
        return self.definition.schedule

    @property
    def poll_fn(self) -> PollFunction | GlobalRef | None:
        return self.definition.poll_fn


_POLICY_FIELDS = (
    "payload", "timezone", "misfire", "grace", "overlap", "max_instances",
    "retries", "timeout", "jitter", "start", "end", "inputs",
)  # fmt: skip
_WORDS: Mapping[str, tuple[str, ...]] = {
    "trigger_type": tuple(TriggerKind),
    "misfire": tuple(Misfire),
    "overlap": tuple(Overlapping),
}
_DEFAULTS = {field.name: field.default for field in fields(TriggerDef)}


def place_text(trigger: object, dag_nsref: object) -> str:
    """Raises ValueError for what is no place in a namespace."""
    if isinstance(dag_nsref, str | NsRef) and str(dag_nsref):
        return str(dag_nsref)
    raise _wrong(trigger, f"dag_nsref is {dag_nsref!r}: give the place of a node, such as 'reports:hourly'")


def _check_texts(definition: TriggerDef) -> None:
    name = cast("object", definition.name)
    if name == "":
        raise ValueError(f"a trigger of {definition.dag_nsref!r} has an empty name: give it one")
    if not isinstance(name, str):
        raise ValueError(f"a trigger of {definition.dag_nsref!r} has the name {name!r}: give it a text")
    place_text(name, definition.dag_nsref)
    for field, example in (("schedule", "*/5 * * * *"), ("timezone", "Europe/Berlin")):
        value = getattr(definition, field)
        if not isinstance(value, str) and (value is not None or field == "timezone"):
            raise _wrong(name, f"{field} is {value!r}: give a text such as {example!r}")


def _check_values(definition: TriggerDef) -> None:
    for field in ("payload", "inputs"):
        values = getattr(definition, field)
        if values is not None and (problem := payload_problem(values)) is not None:
            raise _wrong(definition.name, f"{field} {problem}")


def _check_words(definition: TriggerDef) -> None:
    for field, known in _WORDS.items():
        if (word := getattr(definition, field)) not in known:
            raise _wrong(definition.name, f"{field} is {word!r}: use {', '.join(known)}")


def _check_kind(definition: TriggerDef) -> None:
    if definition.trigger_type == TriggerKind.POLL and definition.schedule is None:
        raise _wrong(definition.name, "a poll trigger needs a schedule, such as '*/5 * * * *'")
    if definition.trigger_type == TriggerKind.PUSH and definition.poll_fn is not None:
        raise _wrong(definition.name, "a push trigger has no use for poll_fn: nothing polls it")
    poll_fn = definition.poll_fn
    if poll_fn is not None and not isinstance(poll_fn, GlobalRef) and not callable(poll_fn):
        raise _wrong(definition.name, f"poll_fn is {poll_fn!r}: give a function, or its name 'package.module:name'")
    check_poll_fn(definition.name, poll_fn)


def check_poll_fn(trigger: str, poll_fn: object) -> None:
    """Raise ValueError for a module, and for a function that needs more than the scheduler gives."""
    if isinstance(poll_fn, GlobalRef):
        if poll_fn.is_module():
            raise _wrong(trigger, f"poll_fn {poll_fn.module!r} names a module: write 'package.module:name'")
    elif callable(poll_fn) and (names := _needs(poll_fn)):
        raise _wrong(
            trigger,
            f"poll_fn {name_of(poll_fn)} needs {', '.join(names)}: it gets a PollContext as ctx, if it wants it, and"
            " nothing else",
        )


def _needs(poll_fn: PollFunction) -> list[str]:
    """Parameters without a default that nothing is given for."""
    try:
        parameters = signature(poll_fn, follow_wrapped=False).parameters.values()
    except (TypeError, ValueError):
        return []
    optional = (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)
    return [
        each.name
        for each in parameters
        if each.default is Parameter.empty
        and each.kind not in optional
        and (each.name != "ctx" or each.kind is Parameter.POSITIONAL_ONLY)
    ]


def _check_numbers(definition: TriggerDef) -> None:
    for field in ("max_instances", "retries"):
        if type(count := getattr(definition, field)) is not int:
            raise _wrong(definition.name, f"{field} is {count!r}: use a whole number")
    for field in ("grace", "timeout", "jitter"):
        if not isinstance(length := getattr(definition, field), timedelta | None):
            raise _wrong(definition.name, f"{field} is {length!r}: use a timedelta")
    for field in ("start", "end"):
        _moment(definition.name, field, getattr(definition, field))
    if definition.max_instances < 1:
        raise _wrong(definition.name, f"max_instances is {definition.max_instances}: use at least 1")
    if definition.retries < 0:
        raise _wrong(definition.name, f"retries is {definition.retries}: use 0 or more")
    if definition.timeout is not None and definition.timeout <= timedelta():
        raise _wrong(definition.name, f"timeout is {definition.timeout}: use more than 0 seconds")
    for field in ("grace", "jitter"):
        if (length := getattr(definition, field)) is not None and length < timedelta():
            raise _wrong(definition.name, f"{field} is {length}: use 0 seconds or more")
    if definition.start and definition.end and definition.end < definition.start:
        raise _wrong(definition.name, f"end {definition.end} is before start {definition.start}")


def _wrong(name: object, what: str) -> ValueError:
    return ValueError(f"trigger {name!r}: {what}")


def _path(name: str, poll_fn: str) -> GlobalRef:
    try:
        return GlobalRef(poll_fn)
    except ValueError as error:
        raise _wrong(name, f"poll_fn is {poll_fn!r}: write 'package.module:name'") from error


def _length(name: str, field: str, seconds: object) -> timedelta | None:
    if seconds is None or isinstance(seconds, timedelta):
        return seconds
    try:
        if isinstance(seconds, int | float) and not isinstance(seconds, bool):
            return timedelta(seconds=seconds)
    except (ValueError, OverflowError) as error:
        raise _wrong(name, f"{field} is {seconds!r}: use seconds that a timedelta can hold") from error
    raise _wrong(name, f"{field} is {seconds!r}: use seconds as a number, or a timedelta")


def _moment(name: str, field: str, moment: object) -> datetime | None:
    if moment is None:
        return None
    if not isinstance(moment, datetime):
        raise _wrong(name, f"{field} is {moment!r}: use a datetime with a time zone")
    if moment.tzinfo is None:
        raise _wrong(name, f"{field} {moment} has no time zone: add tzinfo=UTC, or the zone you mean")
    return moment.astimezone(UTC)


def _plain(value: Any) -> Any:
    if isinstance(value, timedelta):
        return value.total_seconds()
    return dict(cast("Mapping[str, Any]", value)) if isinstance(value, Mapping) else value
