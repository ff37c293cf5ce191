from datetime import timedelta

import pytest
from flyteidl2.core import literals_pb2, tasks_pb2
from flyteidl2.task import task_definition_pb2
from google.protobuf.duration_pb2 import Duration

from wingbeat.core.timer import UNLIMITED, Timeouts
from wingbeat.wire.timeouts import LONGEST, of_task


def spec(**fields: object) -> task_definition_pb2.TaskSpec:
    metadata = tasks_pb2.TaskMetadata(**fields)  # pyright: ignore
    return task_definition_pb2.TaskSpec(task_template=tasks_pb2.TaskTemplate(metadata=metadata))


def strategy(**bounds: Duration) -> literals_pb2.TimeoutStrategy:
    return literals_pb2.TimeoutStrategy(**bounds)


@pytest.mark.parametrize(
    ("task", "bounds"),
    [
        pytest.param(spec(), UNLIMITED, id="no bound"),
        pytest.param(spec(timeout=Duration(seconds=0)), UNLIMITED, id="zero is no bound"),
        pytest.param(spec(timeout=Duration(seconds=-5)), UNLIMITED, id="nor is less"),
        pytest.param(spec(timeout=Duration(nanos=999)), UNLIMITED, id="nor less than a microsecond"),
        pytest.param(
            spec(timeout=Duration(seconds=1, nanos=500_000_000)),
            Timeouts(runtime=timedelta(seconds=1.5)),
            id="the time of an attempt",
        ),
        pytest.param(
            spec(timeouts=strategy(queued_timeout=Duration(seconds=2), deadline=Duration(seconds=3))),
            Timeouts(queued=timedelta(seconds=2), deadline=timedelta(seconds=3)),
            id="the wait, and all of it",
        ),
        pytest.param(
            spec(timeout=Duration(seconds=315_576_000_000)), Timeouts(runtime=LONGEST), id="ten thousand years"
        ),
    ],
)
def test_the_bounds_of_a_task(task: task_definition_pb2.TaskSpec, bounds: Timeouts) -> None:
    assert of_task(task) == bounds
