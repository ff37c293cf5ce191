"""This process as the owner of runs, and whether another owner is still alive."""

import os
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from uuid import uuid4

from wingbeat.store.compose.owners import Owner

_PROC = Path("/proc")
_ENDED = ("Z", "X")
"""States of a process that will do nothing more."""


@dataclass(frozen=True, slots=True)
class Process:
    name: str
    place: str | None
    identity: str | None


def this_process() -> Process:
    """Another one after a fork."""
    return _process(os.getpid())


def is_gone(owner: Owner, *, now: datetime) -> bool:
    """Where nobody can look, an owner is gone when its lease is."""
    here = this_process()
    if owner.owner == here.name:
        return False
    if owner.place is None or owner.place != here.place or owner.process is None:
        return owner.lease_until < now.timestamp()
    return not is_alive(owner.process)


def is_alive(identity: str) -> bool:
    """Whether the process of this place that was given this identity still is the same one, and runs."""
    pid, _, _ = identity.partition(":")
    return _identity(int(pid)) == identity


@lru_cache(maxsize=1)
def _process(pid: int) -> Process:
    return Process(f"{pid}-{uuid4().hex}", _place(), _identity(pid))


def _place() -> str | None:
    """Where process numbers mean the same as here: this start of the machine, this container."""
    try:
        start = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
        return f"{start} {(_PROC / 'self/ns/pid').readlink()}"
    except OSError:
        return None


def _identity(pid: int) -> str | None:
    """A number is given again, but not with the same start. None for one that is not alive."""
    try:
        fields = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    state, start = fields[0], fields[19]
    return None if state in _ENDED else f"{pid}:{start}"
