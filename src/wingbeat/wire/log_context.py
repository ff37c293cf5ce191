"""Where the log of an attempt comes from, in the terms of pods: the attempt's process is one container of one pod."""

from flyteidl2.core import execution_pb2

from wingbeat.core.action import Attempt
from wingbeat.core.launch import pod_name
from wingbeat.wire import times

CONTAINER = "primary"


def of_attempt(attempt: Attempt) -> execution_pb2.LogContext:
    run, name = attempt.id.action.run, pod_name(attempt.id)
    process = execution_pb2.ContainerContext.ProcessContext(
        container_start_time=times.maybe_to_proto(attempt.started_at),
        container_end_time=times.maybe_to_proto(attempt.ended_at),
    )
    pod = execution_pb2.PodLogContext(
        namespace=f"{run.project}-{run.domain}",
        pod_name=name,
        primary_container_name=CONTAINER,
        containers=[execution_pb2.ContainerContext(container_name=CONTAINER, process=process)],
    )
    return execution_pb2.LogContext(primary_pod_name=name, pods=[pod])
