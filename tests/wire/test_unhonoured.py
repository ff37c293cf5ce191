"""The table of what is not honoured speaks of fields that exist."""

from typing import Any

import pytest
from flyteidl2.core import tasks_pb2
from flyteidl2.task import run_pb2, task_definition_pb2

from wingbeat.wire import unhonoured
from wingbeat.wire.unhonoured import Unhonoured


def leaf(descriptor: Any, path: str) -> Any:
    field = None
    for name in path.split("."):
        field = descriptor.fields_by_name[name]
        descriptor = field.message_type
    return field


@pytest.mark.parametrize("entry", unhonoured.TASK, ids=lambda entry: entry.field)
def test_fields_of_tasks_exist(entry: Unhonoured) -> None:
    assert leaf(task_definition_pb2.TaskSpec.DESCRIPTOR, entry.field) is not None


@pytest.mark.parametrize("entry", unhonoured.RUN, ids=lambda entry: entry.field)
def test_fields_of_runs_exist(entry: Unhonoured) -> None:
    assert leaf(run_pb2.RunSpec.DESCRIPTOR, entry.field) is not None


def test_what_is_set_to_its_default_is_not_asked_for() -> None:
    task = task_definition_pb2.TaskSpec()
    task.task_template.metadata.interruptible = False
    task.task_template.container.resources.SetInParent()
    run = run_pb2.RunSpec()
    run.interruptible.value = False
    assert unhonoured.of_task(task) == ()
    assert unhonoured.of_run(run) == ()


def test_one_value_of_an_enumeration_may_be_what_is_missing() -> None:
    task = task_definition_pb2.TaskSpec(task_template=tasks_pb2.TaskTemplate(worker_kind="WORKER_KIND_SANDBOX"))
    assert unhonoured.of_task(task) == (
        "task_template.worker_kind is not supported yet: the task can do whatever its node can",
    )
