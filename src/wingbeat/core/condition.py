"""Conditions: actions that wait for a value that somebody gives them."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from wingbeat.core.action import ErrorKind, Failure
from wingbeat.core.child import Child
from wingbeat.core.value import Value, ValueType

TIMED_OUT = Failure("ConditionTimedOut", ErrorKind.USER, "the condition was not signalled in time")


@dataclass(frozen=True, slots=True)
class ConditionChild(Child):
    """A condition that a running task asks for."""

    value_type: ValueType
    timeout: timedelta | None
    """How long it waits; None is for ever."""
    notifies: bool
    """Whether it has a webhook."""


@dataclass(frozen=True, slots=True)
class Signal:
    """The value that a condition was given."""

    value: Value
    by: str
    """The caller who gave it; "" is nobody known."""
    at: datetime
