"""How a run came from another one."""

from dataclasses import dataclass
from enum import IntEnum

from wingbeat.core.ids import RunId


class RelationType(IntEnum):
    """The numbers of flyteidl2.common.RelationType."""

    RERUN = 1
    """The same task once more."""
    RECOVER = 2
    """The same again, but for what has succeeded already."""
    SPAWN = 3
    """A task of the other run has started it."""
    TRIGGERED = 4
    ON_ARTIFACT = 5


@dataclass(frozen=True, slots=True)
class Relation:
    type: RelationType
    run: RunId
    """The other one, which was there first."""
