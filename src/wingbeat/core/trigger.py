"""What a trigger is, and what it owes: the slots between the last decision and now."""

from dataclasses import dataclass
from datetime import datetime

from wingbeat.core.ids import TriggerName
from wingbeat.core.schedule import Schedule


@dataclass(frozen=True, slots=True)
class Deployment:
    """A trigger as its owner wants it from now on."""

    name: TriggerName
    task_version: str
    active: bool
    automation_type: str
    """The name of flyteidl2.task.TriggerAutomationSpecType."""
    schedule: Schedule | None
    spec: bytes
    """The serialized flyteidl2.trigger.TriggerSpec."""
    automation: bytes
    """The serialized flyteidl2.task.TriggerAutomationSpec."""
    description: str


@dataclass(frozen=True, slots=True)
class Trigger:
    """The current state of a trigger, or, with its `revision`, what it was once."""

    id: int
    """Never changes, not even when the trigger is deleted and deployed again."""
    name: TriggerName
    revision: int
    task_version: str
    active: bool
    automation_type: str
    spec: bytes
    automation: bytes
    description: str
    deployed_by: str
    updated_by: str
    deployed_at: datetime
    updated_at: datetime
    deleted_at: datetime | None
    triggered_at: datetime | None
    """When it last fired, for whatever cause. Never a cursor."""
