"""Links that a task wants beside its logs. One that cannot be filled in is left out: nobody could follow it."""

import re
from collections.abc import Iterable, Mapping

from flyteidl2.core import execution_pb2

from wingbeat.core.ids import AttemptId
from wingbeat.wire.log_context import pod_name

_PLACEHOLDER = re.compile(r"\{\{\s*[.$]?(\w+)\s*\}\}")


def rendered(links: Iterable[execution_pb2.TaskLog], attempt: AttemptId) -> list[execution_pb2.TaskLog]:
    values = _values(attempt)
    return [_rendered(link, values) for link in links if _known(link, values)]


def _values(attempt: AttemptId) -> Mapping[str, str]:
    """By placeholder in lower case. There are no pods: what a pod would be called names the attempt."""
    action, run = attempt.action, attempt.action.run
    return {
        "actionname": action.name,
        "runname": run.name,
        "executionproject": run.project,
        "executiondomain": run.domain,
        "executionorg": "",
        "podname": pod_name(attempt),
    }


def _known(link: execution_pb2.TaskLog, values: Mapping[str, str]) -> bool:
    return all(name.lower() in values for name in _PLACEHOLDER.findall(link.uri))


def _rendered(link: execution_pb2.TaskLog, values: Mapping[str, str]) -> execution_pb2.TaskLog:
    filled = execution_pb2.TaskLog()
    filled.CopyFrom(link)
    filled.uri = _PLACEHOLDER.sub(lambda found: values[found[1].lower()], link.uri)
    return filled
