"""What tasks and runs may ask for and this server does not do: one table, shown on each run and in the documentation.

A field leaves the table in the change that makes it work.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from flyteidl2.core import tasks_pb2
from flyteidl2.task import run_pb2, task_definition_pb2
from google.protobuf.message import Message

SEPARATOR = "; "
"""Between what a run does not get, in the message with which its history begins."""


@dataclass(frozen=True, slots=True)
class Unhonoured:
    field: str
    """The path in the message. It counts as asked for when it is set to anything but its default."""
    instead: str
    """What happens instead."""
    value: int | None = None
    """The one value of an enumeration that is meant; None means any."""

    @property
    def words(self) -> str:
        return f"{self.field} is not supported yet: {self.instead}"


_FREE_FOR_ALL = "the task may use whatever its node has"
_NO_KUBERNETES = "nothing runs on Kubernetes"
_NO_NOTIFICATION = "nobody is notified"

TASK: tuple[Unhonoured, ...] = (
    Unhonoured("task_template.container.resources", _FREE_FOR_ALL),
    Unhonoured("task_template.extended_resources", _FREE_FOR_ALL),
    Unhonoured("task_template.metadata.interruptible", "the task runs where every task runs"),
    Unhonoured("task_template.metadata.pod_template_name", _NO_KUBERNETES),
    Unhonoured("task_template.metadata.produces_artifacts", "no artifact is recorded"),
    Unhonoured("task_template.k8s_pod", _NO_KUBERNETES),
    Unhonoured("task_template.security_context.secrets", "the task does not get them"),
    Unhonoured("task_template.security_context.tokens", "the task does not get them"),
    Unhonoured("task_template.security_context.run_as", "the task runs as the user of its node"),
    Unhonoured("task_template.reuse_policy", "each attempt gets a process of its own"),
    Unhonoured(
        "task_template.worker_kind",
        "the task can do whatever its node can",
        value=tasks_pb2.WORKER_KIND_SANDBOX,
    ),
)
"""Fields of flyteidl2.task.TaskSpec."""

RUN: tuple[Unhonoured, ...] = (
    Unhonoured("interruptible", "the run goes where every run goes"),
    Unhonoured("cluster_pool", "there are no other clusters"),
    Unhonoured("notification_rule_name", _NO_NOTIFICATION),
    Unhonoured("notification_rules", _NO_NOTIFICATION),
    Unhonoured("security_context", "tasks run as the user of their node"),
    Unhonoured("default_settings", "tasks without settings of their own have none"),
)
"""Fields of flyteidl2.task.RunSpec."""


def of_task(spec: task_definition_pb2.TaskSpec) -> tuple[str, ...]:
    return tuple(_asked(spec, TASK))


def of_run(spec: run_pb2.RunSpec) -> tuple[str, ...]:
    return tuple(_asked(spec, RUN))


def _asked(message: Message, table: Sequence[Unhonoured]) -> Iterator[str]:
    for entry in table:
        asked = _value(message, entry.field)
        if asked == entry.value if entry.value is not None else asked:
            yield entry.words


def _value(message: Message, path: str) -> object:
    """Falsy when it is not set, or set to its default."""
    value: Any = message
    for name in path.split("."):
        value = getattr(value, name)
    return value.ByteSize() > 0 if isinstance(value, Message) else value
