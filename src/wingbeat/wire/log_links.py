"""Links that a task wants beside its logs. One that cannot be filled in is left out: nobody could follow it."""

from collections.abc import Iterable, Mapping

from flyteidl2.core import execution_pb2

from wingbeat.core.ids import AttemptId
from wingbeat.core.launch import has_template, pod_name, render


def rendered(links: Iterable[execution_pb2.TaskLog], attempt: AttemptId) -> list[execution_pb2.TaskLog]:
    wanted, values = list(links), _values(attempt)
    uris = render([link.uri for link in wanted], values)
    return [_leading_to(uri, link) for link, uri in zip(wanted, uris, strict=True) if not has_template(uri)]


def _values(attempt: AttemptId) -> Mapping[str, str]:
    """By placeholder in lower case."""
    action, run = attempt.action, attempt.action.run
    return {
        "actionname": action.name,
        "runname": run.name,
        "executionproject": run.project,
        "executiondomain": run.domain,
        "executionorg": "",
        "podname": pod_name(attempt),
    }


def _leading_to(uri: str, link: execution_pb2.TaskLog) -> execution_pb2.TaskLog:
    leading = execution_pb2.TaskLog()
    leading.CopyFrom(link)
    leading.uri = uri
    return leading
