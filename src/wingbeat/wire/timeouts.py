"""How long a task says that it may take: proto -> core."""

from datetime import timedelta

from flyteidl2.task import task_definition_pb2
from google.protobuf.duration_pb2 import Duration

from wingbeat.core.timer import UNLIMITED, Timeouts

LONGEST = timedelta(days=36_500)
"""More is the same: no clock gets there."""


def of_task(spec: task_definition_pb2.TaskSpec) -> Timeouts:
    """Zero, as the SDK has it, is no bound at all."""
    metadata = spec.task_template.metadata
    if not metadata.HasField("timeout") and not metadata.HasField("timeouts"):
        return UNLIMITED
    return Timeouts(
        queued=_bound(metadata.timeouts.queued_timeout),
        runtime=_bound(metadata.timeout),
        deadline=_bound(metadata.timeouts.deadline),
    )


def _bound(length: Duration) -> timedelta | None:
    if length.seconds >= LONGEST.total_seconds():
        return LONGEST
    bound = timedelta(seconds=length.seconds, microseconds=length.nanos // 1000)
    return bound if bound > timedelta(0) else None
