"""What the owner of a trigger may wish beyond its schedule, said by annotations `wingbeat/<key>` of its RunSpec.

`KEYS` is the one table of it: annotations are read by it, stored in its words, and documented from it.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from wingbeat.core.cron import DstGap, DstOverlap
from wingbeat.core.cron_syntax import duration
from wingbeat.errors import InvalidArgument

PREFIX = "wingbeat/"
MOST_RUNS = 2**31
LONGEST_KEY = 100

_SECOND = timedelta(seconds=1)
_INSTANT = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,6})?([Zz]|[+-]\d\d:\d\d)")
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class Overlap(StrEnum):
    """What becomes of a slot while a run of the trigger is not over."""

    ALLOW = "allow"
    """It fires."""
    SKIP = "skip"
    """It is skipped."""
    BUFFER_ONE = "buffer-one"
    """It waits for the run's end, if no other slot does; otherwise it is skipped."""
    BUFFER_ALL = "buffer-all"
    """It waits for its turn: runs follow one another."""
    CANCEL_OTHER = "cancel-other"
    """It fires, and the runs that are not over are aborted."""


class CatchUp(StrEnum):
    """What becomes of slots that came due while nobody could fire them."""

    ALL = "all"
    LATEST = "latest"
    """Only the newest of the slots that are due fires."""
    NONE = "none"
    """What is late is missed."""


@dataclass(frozen=True, slots=True)
class Policies:
    """The defaults are what Flyte does."""

    overlap: Overlap = Overlap.ALLOW
    catch_up: CatchUp = CatchUp.ALL
    catch_up_window: timedelta | None = None
    jitter: timedelta = timedelta()
    dst_gap: DstGap = DstGap.SKIP
    dst_overlap: DstOverlap = DstOverlap.BOTH
    start: datetime | None = None
    """Inclusive, like `end`."""
    end: datetime | None = None
    max_runs: int | None = None
    pause_after_failures: int | None = None
    concurrency_key: str = ""
    concurrency_limit: int | None = None
    """Set when `concurrency_key` is."""

    @property
    def ordered(self) -> bool:
        """Whether slots stand in line: what runs, and what waits already, decides about the next one."""
        return self.overlap is not Overlap.ALLOW or bool(self.concurrency_key)

    @property
    def watching(self) -> bool:
        """Whether the end of a run decides something."""
        waits = self.overlap in (Overlap.BUFFER_ONE, Overlap.BUFFER_ALL)
        return waits or bool(self.concurrency_key) or self.pause_after_failures is not None

    @property
    def of_cron_only(self) -> bool:
        """Whether something is said that only a schedule with a wall clock can mean."""
        return self.dst_gap is not DEFAULTS.dst_gap or self.dst_overlap is not DEFAULTS.dst_overlap


DEFAULTS = Policies()


def parse(annotations: Mapping[str, str]) -> Policies:
    """What annotations say; those without the prefix are not ours.

    Raises InvalidArgument that names the annotation, its value and what would be right.
    """
    said = {name.removeprefix(PREFIX): text for name, text in annotations.items() if name.startswith(PREFIX)}
    values: dict[str, Any] = {}
    for name, text in sorted(said.items()):
        if name not in KEYS:
            raise InvalidArgument(f"annotation {PREFIX + name!r} is unknown: known are {', '.join(_full_names())}")
        try:
            values[_field(name)] = KEYS[name].read(text)
        except ValueError as error:
            raise InvalidArgument(f"annotation {PREFIX + name!r} is {text!r}: {error}") from error
    return _consistent(Policies(**values))


def encode(policies: Policies) -> str:
    """Compact JSON of what differs from the defaults; empty for the defaults themselves."""
    said = {
        name: _written(value)
        for name in KEYS
        if (value := getattr(policies, _field(name))) != getattr(DEFAULTS, _field(name))
    }
    return json.dumps(said, separators=(",", ":")) if said else ""


def decode(text: str) -> Policies:
    """The policies that `encode` wrote."""
    return _decode(text) if text else DEFAULTS


@lru_cache(4096)
def _decode(text: str) -> Policies:
    return parse({PREFIX + name: value for name, value in json.loads(text).items()})


def _consistent(policies: Policies) -> Policies:
    if policies.start and policies.end and policies.start > policies.end:
        raise InvalidArgument(
            f"annotation {PREFIX + 'end'!r} is {policies.end.isoformat()}: it must not be before"
            f" {PREFIX + 'start'!r}, {policies.start.isoformat()}"
        )
    if bool(policies.concurrency_key) != (policies.concurrency_limit is not None):
        raise InvalidArgument(
            f"annotations {PREFIX + 'concurrency-key'!r} and {PREFIX + 'concurrency-limit'!r} belong together:"
            " give both, or neither"
        )
    return policies


def _full_names() -> list[str]:
    return [PREFIX + name for name in KEYS]


def _field(name: str) -> str:
    return name.replace("-", "_")


def _written(value: object) -> str:
    match value:
        case timedelta():
            return f"{value // _SECOND}s"
        case datetime():
            return value.isoformat()
        case _:
            return str(value)


@dataclass(frozen=True, slots=True)
class Key:
    """One policy, as people say it."""

    values: str
    default: str
    meaning: str
    read: Callable[[str], object]
    """Raises ValueError that says what would be right."""


def _word_of(words: type[StrEnum]) -> Callable[[str], StrEnum]:
    def read(text: str) -> StrEnum:
        if text not in list(words):
            raise ValueError(f"use one of {', '.join(words)}")
        return words(text)

    return read


def _overlap(text: str) -> StrEnum:
    if text == "terminate-other":
        raise ValueError("an aborted run always has its grace period to end in: use 'cancel-other'")
    return _word_of(Overlap)(text)


def _duration(text: str) -> timedelta:
    value = duration(text)
    if value is None or value < _SECOND:
        raise ValueError("use a duration of at least one second such as '90s', '15m' or '1h30m'")
    return value


def _instant(text: str) -> datetime:
    if not _INSTANT.fullmatch(text):
        raise ValueError("use an instant with its offset such as '2026-03-01T08:00:00Z' or '...T08:00:00+02:00'")
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"no calendar has it: {error}") from error


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 11 and 1 <= int(text) <= MOST_RUNS):
        raise ValueError(f"use a number from 1 to {MOST_RUNS}")
    return int(text)


def _name(text: str) -> str:
    if len(text) > LONGEST_KEY or not _WORD.fullmatch(text):
        raise ValueError(f"use letters, digits, '.', '_' and '-', at most {LONGEST_KEY}, a letter or digit first")
    return text


_DURATION, _INSTANT_WORDS, _COUNT = "duration (`90s`, `1h30m`)", "instant (RFC 3339)", "number"

KEYS: Mapping[str, Key] = MappingProxyType(
    {
        "overlap": Key(
            ", ".join(f"`{word}`" for word in Overlap),
            "`allow`",
            "A slot is due while a run of the trigger is not over: it fires as well; is skipped; waits, if no other"
            " does; waits in line; or fires after the other runs were aborted.",
            _overlap,
        ),
        "catch-up": Key(
            ", ".join(f"`{word}`" for word in CatchUp),
            "`all`",
            "After a time in which nobody could fire: all slots are made up for, at a bounded pace; only the newest;"
            " or none that is a minute late.",
            _word_of(CatchUp),
        ),
        "catch-up-window": Key(_DURATION, "none", "Slots that are late by this much or more are missed.", _duration),
        "jitter": Key(
            _DURATION,
            "none",
            "A slot fires up to this much later, always by the same time for the same slot, and before the next one."
            " The slot, the name and the start time of its run stay what they are.",
            _duration,
        ),
        "dst-gap": Key(
            ", ".join(f"`{word}`" for word in DstGap),
            "`skip`",
            "Cron times that a forward change of the clock leaves out: do not fire, fire right after it, or fire as"
            " if the clock had not changed.",
            _word_of(DstGap),
        ),
        "dst-overlap": Key(
            ", ".join(f"`{word}`" for word in DstOverlap),
            "`both`",
            "Cron times that a backward change of the clock repeats: which of them fire.",
            _word_of(DstOverlap),
        ),
        "start": Key(_INSTANT_WORDS, "none", "There is no slot before it.", _instant),
        "end": Key(_INSTANT_WORDS, "none", "There is no slot after it.", _instant),
        "max-runs": Key(
            _COUNT,
            "none",
            "After so many scheduled runs there is no next slot. Counted since the trigger has such a limit, or was"
            " deployed after a deletion; a slot that could never start a run counts, too.",
            _number,
        ),
        "pause-after-failures": Key(
            _COUNT,
            "none",
            "So many runs in a row that failed or timed out deactivate the trigger. Aborted runs do not count.",
            _number,
        ),
        "concurrency-key": Key(
            "name",
            "none",
            "Runs of all triggers of the project and domain with the same key count together.",
            _name,
        ),
        "concurrency-limit": Key(_COUNT, "none", "A slot waits while so many runs with the key are not over.", _number),
    }
)
