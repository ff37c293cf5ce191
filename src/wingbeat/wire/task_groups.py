"""Groups of runs as protos."""

from datetime import timedelta

from flyteidl2.common import phase_pb2
from flyteidl2.workflow import run_definition_pb2 as pb
from google.protobuf.duration_pb2 import Duration

from wingbeat.core.action import ErrorKind
from wingbeat.core.task_group import Recent, TaskGroup
from wingbeat.wire import times
from wingbeat.wire.actions import phase


def to_proto(group: TaskGroup) -> pb.TaskGroup:
    message = pb.TaskGroup(
        task_name=group.task,
        environment_name=group.recent[0].environment if group.recent else "",
        short_name=group.recent[0].short_name if group.recent else "",
        total_runs=group.total,
        latest_run_time=times.to_proto(group.latest_run_at),
        recent_statuses=[_status(each) for each in group.recent],
        average_failure_rate=group.failure_rate,
        average_duration=_duration(group.average_duration_ms),
        latest_finished_time=times.maybe_to_proto(group.latest_finished_at),
        error_counts=pb.TaskGroup.ErrorCounts(
            user_error=group.errors.get(ErrorKind.USER, 0),
            system_error=group.errors.get(ErrorKind.SYSTEM, 0),
            unspecified_error=group.errors.get(ErrorKind.UNSPECIFIED, 0),
        ),
        phase_counts=[
            pb.TaskGroup.PhaseCounts(phase=phase_pb2.ActionPhase.Name(each.value), count=count)
            for each, count in sorted(group.phases.items())
        ],
        average_time_to_running=_duration(group.average_ms_to_running),
    )
    for subject in sorted(group.created_by):
        message.created_by.add().user.id.subject = subject
    return message


def _status(recent: Recent) -> pb.TaskGroup.RecentStatus:
    return pb.TaskGroup.RecentStatus(run_name=recent.run, phase=phase(recent.phase))


def _duration(milliseconds: int | None) -> Duration | None:
    if milliseconds is None:
        return None
    duration = Duration()
    duration.FromTimedelta(timedelta(milliseconds=milliseconds))
    return duration
