"""Ids as small frozen values, what a legal name is, and the deterministic names of fires.

The organisation of the Flyte API is an opaque attribute of a single tenant and no part of any id.
"""

import hashlib
import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from wingbeat.core.uploads import OFFLOADED_INPUTS
from wingbeat.errors import InvalidArgument

ROOT_ACTION = "a0"
RUN_NAME_LENGTH = 30
RUN_NAME_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
"""Letters and digits that spell no word and are hard to confuse (the alphabet of Kubernetes' generated names)."""

_SEGMENT = re.compile(r"[^/\x00-\x1f\x7f]+")
_DNS_LABEL = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")


@dataclass(frozen=True, slots=True, order=True)
class Scope:
    """A project's domain: where tasks, triggers and runs live."""

    project: str
    domain: str


@dataclass(frozen=True, slots=True, order=True)
class TaskName:
    project: str
    domain: str
    name: str


@dataclass(frozen=True, slots=True, order=True)
class TaskId:
    project: str
    domain: str
    name: str
    version: str

    @property
    def task_name(self) -> TaskName:
        return TaskName(self.project, self.domain, self.name)


@dataclass(frozen=True, slots=True, order=True)
class TriggerName:
    """Names of triggers are unique per task, not per project."""

    project: str
    domain: str
    task: str
    name: str


@dataclass(frozen=True, slots=True, order=True)
class RunId:
    project: str
    domain: str
    name: str

    @property
    def names(self) -> tuple[str, str, str]:
        """As rows have them."""
        return self.project, self.domain, self.name


@dataclass(frozen=True, slots=True, order=True)
class ActionId:
    run: RunId
    name: str

    @property
    def names(self) -> tuple[str, str, str, str]:
        """As rows have them."""
        return *self.run.names, self.name


@dataclass(frozen=True, slots=True, order=True)
class AttemptId:
    """One try at an action; `number` counts from 1."""

    action: ActionId
    number: int


def check_run_name(name: str) -> None:
    """Raise InvalidArgument unless `name` is a DNS-1035 label of at most 30 characters, and free for runs."""
    if len(name) > RUN_NAME_LENGTH or not _DNS_LABEL.fullmatch(name):
        raise InvalidArgument(
            f"run name {name!r} must be 1 to {RUN_NAME_LENGTH} characters: a lower-case letter, then lower-case "
            "letters, digits and '-', not ending in '-'"
        )
    if name == OFFLOADED_INPUTS:
        raise InvalidArgument(f"run name {name!r} is taken: inputs that are uploaded beside runs have that directory")


def check_action_name(name: str) -> None:
    """Raise InvalidArgument unless the name can be a directory: each action has its own in that of its run."""
    if not _SEGMENT.fullmatch(name) or name in (".", ".."):
        raise InvalidArgument(f"action name {name!r} must have no '/' and no control characters, nor be '.' or '..'")


def fire_name(trigger: TriggerName, slot: datetime, salt: int = 0) -> str:
    """The run name of one slot of a trigger: the same for every scheduler and every retry.

    `salt` above 0 gives the next candidate when a user's own run has taken the name.
    """
    at = slot.astimezone(UTC).isoformat(timespec="microseconds")
    parts = [trigger.project, trigger.domain, trigger.task, trigger.name, at, *([str(salt)] if salt else [])]
    encoded = [part.encode() for part in parts]
    data = b"".join([len(part).to_bytes(4, "big") + part for part in encoded])
    return "r" + hashlib.sha256(data).hexdigest()[:24]


def backfill_run_name(backfill: str, trigger: TriggerName, slot: datetime, salt: int = 0) -> str:
    """Like `fire_name`, for the slot that a backfill fires."""
    return fire_name(replace(trigger, name=f"{trigger.name}/{backfill}"), slot, salt)


def generated_backfill_id(random_bytes: bytes) -> str:
    """Of "b" and 19 characters out of at least 19 random bytes."""
    return "b" + generated_name(random_bytes)[1:]


def generated_name(random_bytes: bytes) -> str:
    """A run name of "r" and 19 characters out of at least 19 random bytes."""
    return "r" + "".join(RUN_NAME_ALPHABET[byte % len(RUN_NAME_ALPHABET)] for byte in random_bytes[:19])
