"""Runs and actions as the API describes them -> the documents that commands show."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from flyteidl2.common import phase_pb2
from flyteidl2.common import run_pb2 as common_run_pb2
from flyteidl2.core import catalog_pb2, types_pb2
from flyteidl2.workflow import run_definition_pb2 as pb

from wingbeat.cli.run_documents import (
    ActionNode,
    AttemptShown,
    ConditionShown,
    Event,
    Failure,
    RunShown,
    RunSummary,
    RunTree,
)
from wingbeat.core.ids import ROOT_ACTION
from wingbeat.wire import times
from wingbeat.wire.unhonoured import SEPARATOR

MILLISECONDS = 1000
QUEUED = "QUEUED"


def summary(root: pb.Action | pb.ActionDetails) -> RunSummary:
    """Of the run whose first action `root` is."""
    run, metadata, status = root.id.run, root.metadata, root.status
    return RunSummary(
        name=run.name,
        project=run.project,
        domain=run.domain,
        task=metadata.task.id.name,
        task_version=metadata.task.id.version,
        phase=phase(status.phase),
        source=pb.RunSource.Name(metadata.source).removeprefix("RUN_SOURCE_"),
        trigger=metadata.trigger_name or None,
        started_at=times.from_proto(status.start_time),
        ended_at=_ended_at(status),
        duration_seconds=_duration(status),
    )


def shown(details: pb.RunDetails, waiting: Sequence[pb.ActionDetails] = ()) -> RunShown:
    """`waiting` are conditions."""
    root, spec = details.action, details.run_spec
    attempts = tuple(_attempt(each) for each in root.attempts)
    return RunShown(
        run=summary(root),
        trigger_revision=root.metadata.trigger_id.revision or None,
        created_by=root.metadata.executed_by.user.id.subject or None,
        meant_for=times.from_proto(spec.run_start_time) if spec.HasField("run_start_time") else None,
        relation=_relation(root.metadata),
        related_run=root.metadata.relation.related_to.name or None,
        labels=dict(spec.labels.values),
        error=_failure(root.error_info) if root.HasField("error_info") else None,
        abort_reason=root.abort_info.reason if root.HasField("abort_info") else None,
        not_honoured=_not_honoured(attempts),
        attempts=attempts,
        waits_for=tuple(_condition(each) for each in waiting),
    )


def tree(actions: Sequence[pb.Action], waiting: Mapping[str, pb.ActionDetails] | None = None) -> RunTree:
    """Of all actions of a run. One whose parent is not among them stands below the first action.

    `waiting` are conditions, by the names of their actions.
    """
    root = next(action for action in actions if action.id.name == ROOT_ACTION)
    known = {action.id.name for action in actions}
    below: dict[str, list[pb.Action]] = {}
    for action in sorted(actions, key=_by_age):
        if action is not root:
            parent = action.metadata.parent
            below.setdefault(parent if parent in known else ROOT_ACTION, []).append(action)
    return RunTree(run=summary(root), root=_node(root, below, waiting or {}))


def phase(value: phase_pb2.ActionPhase) -> str:
    return phase_pb2.ActionPhase.Name(value).removeprefix("ACTION_PHASE_")


def _node(
    action: pb.Action, below: Mapping[str, Sequence[pb.Action]], waiting: Mapping[str, pb.ActionDetails]
) -> ActionNode:
    metadata, status = action.metadata, action.status
    asked = waiting[action.id.name].condition if action.id.name in waiting else None
    return ActionNode(
        name=action.id.name,
        type=pb.ActionType.Name(metadata.action_type).removeprefix("ACTION_TYPE_"),
        task=metadata.task.id.name or metadata.trace.name or metadata.condition.name,
        group=metadata.group or None,
        phase=phase(status.phase),
        attempts=status.attempts,
        cache=_cache(status),
        started_at=times.from_proto(status.start_time),
        ended_at=_ended_at(status),
        duration_seconds=_duration(status),
        prompt=asked.prompt if asked else None,
        value_type=_value_type(asked) if asked else None,
        children=tuple(_node(child, below, waiting) for child in below.get(action.id.name, ())),
    )


def _relation(metadata: pb.ActionMetadata) -> str | None:
    if not metadata.HasField("relation"):
        return None
    return common_run_pb2.RelationType.Name(metadata.relation.relation_type).removeprefix("RELATION_TYPE_")


def _cache(status: pb.ActionStatus) -> str | None:
    if status.cache_status == catalog_pb2.CACHE_DISABLED:
        return None
    return catalog_pb2.CatalogCacheStatus.Name(status.cache_status).removeprefix("CACHE_")


def _condition(details: pb.ActionDetails) -> ConditionShown:
    return ConditionShown(
        action=details.id.name,
        name=details.condition.name,
        type=_value_type(details.condition),
        prompt=details.condition.prompt,
        since=times.from_proto(details.status.start_time),
    )


def _value_type(condition: pb.ConditionAction) -> str:
    return types_pb2.SimpleType.Name(condition.type.simple)


def _by_age(action: pb.Action) -> tuple[datetime, str]:
    return times.from_proto(action.status.start_time), action.id.name


def _attempt(attempt: pb.ActionAttempt) -> AttemptShown:
    started_at = times.from_proto(attempt.start_time)
    ended_at = times.from_proto(attempt.end_time) if attempt.HasField("end_time") else None
    return AttemptShown(
        number=attempt.attempt,
        phase=phase(attempt.phase),
        node=attempt.cluster or None,
        started_at=started_at,
        ended_at=ended_at,
        duration_seconds=None if ended_at is None else (ended_at - started_at).total_seconds(),
        error=_failure(attempt.error_info) if attempt.HasField("error_info") else None,
        has_logs=attempt.logs_available,
        outputs_uri=attempt.outputs.output_uri or None,
        report_uri=attempt.outputs.report_uri or None,
        events=tuple(
            Event(at=times.from_proto(event.occurred_at), phase=event.reason.upper(), message=event.message)
            for event in attempt.cluster_events
        ),
    )


def _not_honoured(attempts: Sequence[AttemptShown]) -> tuple[str, ...]:
    messages = [event.message for attempt in attempts[:1] for event in attempt.events if event.phase == QUEUED]
    return tuple(words for message in messages for words in message.split(SEPARATOR))


def _failure(error: pb.ErrorInfo) -> Failure:
    kind = pb.ErrorInfo.Kind.Name(error.kind).removeprefix("KIND_")
    return Failure(kind=kind, code=error.code, message=error.message)


def _ended_at(status: pb.ActionStatus) -> datetime | None:
    return times.from_proto(status.end_time) if status.HasField("end_time") else None


def _duration(status: pb.ActionStatus) -> float | None:
    return status.duration_ms / MILLISECONDS if status.HasField("end_time") else None
