"""What a `poll_fn` may answer, and what is made of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, cast

from wingbeat.errors import InvalidArgument


class TriggerTime:
    """Stands in a payload for the moment that the fire was due: `payload={"ts": TriggerTime}`."""


def payload_problem(payload: object) -> str | None:
    """What is wrong with it, or None: it has values by the names of parameters."""
    if not isinstance(payload, Mapping):
        return f"is {payload!r}: give a dict of values by the names of parameters"
    for name, value in cast("Mapping[object, object]", payload).items():
        if not isinstance(name, str):
            return f"has the key {name!r}, a {type(name).__name__}: the names of parameters are text"
        if isinstance(value, TriggerTime):
            return f"has a TriggerTime() as {name!r}: give the class itself, TriggerTime without parentheses"
    return None


@dataclass(frozen=True, slots=True)
class Skip:
    """Nothing to do; the reason is kept as an event."""

    reason: str = ""


@dataclass(frozen=True, slots=True)
class Fire:
    """One run. With a `key`, no other run of this trigger has it for as long as its event is kept."""

    payload: Mapping[str, Any] = field(default_factory=dict[str, Any])
    key: str | None = None


@dataclass(slots=True)
class PollContext:
    """Given to a `poll_fn` that has a parameter `ctx`. What it puts into `cursor`, as JSON, is there next time."""

    trigger_name: str
    scheduled_for: datetime | None
    cursor: Any = None


def read(answer: object) -> Skip | list[Fire] | None:
    """Raises InvalidArgument for what no run can be made of."""
    match answer:
        case None:
            return None
        case Skip():
            return answer
        case list():
            return [_fire(each) for each in cast("list[object]", answer)] or None
        case _:
            return [_fire(answer)]


def _fire(answer: object) -> Fire:
    match answer:
        case Fire():
            return _checked(answer)
        case Mapping():
            return _checked(Fire(dict(cast("Mapping[str, Any]", answer))))
        case _:
            raise InvalidArgument(
                f"poll_fn returned a {type(answer).__name__}: return None, a dict with inputs, a list of them,"
                " Skip('why') or Fire(inputs, key='...')"
            )


def _checked(fire: Fire) -> Fire:
    if (problem := payload_problem(fire.payload)) is not None:
        raise InvalidArgument(f"poll_fn returned a payload that {problem}")
    return fire
