"""Actions, their attempts and runs as protos. An action has at least one attempt, even before anybody takes it."""

from collections.abc import Mapping, Sequence

from flyteidl2.common import identifier_pb2, phase_pb2
from flyteidl2.core import catalog_pb2, execution_pb2
from flyteidl2.task import run_pb2, task_definition_pb2
from flyteidl2.workflow import run_definition_pb2

from wingbeat.core.action import Action, ActionType, Attempt, Failure, Phase, PhaseChange, TriggerRef
from wingbeat.core.action_tree import Shown
from wingbeat.core.cache import CacheStatus
from wingbeat.core.condition import Signal
from wingbeat.core.ids import ActionId, AttemptId, RunId
from wingbeat.core.launch import outputs_object
from wingbeat.wire import identities, log_context, log_links, relations, tasks, times, values

REPORT_FILE = "report.html"
_NO_LOG_YET = frozenset({Phase.QUEUED, Phase.WAITING_FOR_RESOURCES})
_GOOD_ENDS = frozenset({Phase.SUCCEEDED, Phase.RECOVERED})


def run_id(run: identifier_pb2.RunIdentifier) -> RunId:
    return RunId(run.project, run.domain, run.name)


def action_id(action: identifier_pb2.ActionIdentifier) -> ActionId:
    return ActionId(run_id(action.run), action.name)


def run(root: Action, labels: Mapping[str, str]) -> run_definition_pb2.Run:
    return run_definition_pb2.Run(action=action(root), labels=labels)


def action(action: Action) -> run_definition_pb2.Action:
    return run_definition_pb2.Action(id=identifier(action.id), metadata=_metadata(action), status=_status(action))


def enriched(shown: Shown) -> run_definition_pb2.EnrichedAction:
    below = {phase.value: count for phase, count in shown.below.items()}
    return run_definition_pb2.EnrichedAction(
        action=action(shown.action), meets_filter=shown.visible, children_phase_counts=below
    )


def run_details(run_spec: bytes, root: run_definition_pb2.ActionDetails) -> run_definition_pb2.RunDetails:
    return run_definition_pb2.RunDetails(run_spec=run_pb2.RunSpec.FromString(run_spec), action=root)


def details(
    action: Action,
    *,
    named: identifier_pb2.ActionIdentifier,
    spec: bytes,
    attempts: Sequence[Attempt],
    changes: Sequence[PhaseChange],
    signal: Signal | None = None,
) -> run_definition_pb2.ActionDetails:
    """`named` is the action as the caller named it, `spec` its serialized spec, `changes` are as they happened."""
    message = run_definition_pb2.ActionDetails(id=named, metadata=_metadata(action), status=_status(action))
    task = task_definition_pb2.TaskSpec()
    match action.type:
        case ActionType.TRACE:
            message.trace.MergeFromString(spec)
        case ActionType.CONDITION:
            message.condition.MergeFromString(spec)
        case ActionType.TASK:
            task.MergeFromString(spec)
            message.task.CopyFrom(task)
    message.attempts.extend(_attempts(action, task, attempts, changes))
    last = attempts[-1] if attempts else None
    if action.phase in (Phase.FAILED, Phase.TIMED_OUT) and last and last.failure:
        message.error_info.CopyFrom(_error_info(last.failure))
    elif action.phase is Phase.ABORTED:
        message.abort_info.reason = action.abort_reason or ""
    elif signal is not None:
        message.signal_info.CopyFrom(_signal_info(signal))
    return message


def _metadata(action: Action) -> run_definition_pb2.ActionMetadata:
    metadata = run_definition_pb2.ActionMetadata(
        parent=action.parent or "",
        group=action.group,
        action_type=run_definition_pb2.ActionType.Name(action.type.value),
        environment_name=action.task.environment,
        funtion_name=action.task.function_name,
        source=action.source,
    )
    if action.type is ActionType.TRACE:
        metadata.trace.name = action.task.short_name
    elif action.value_type is not None:
        metadata.condition.name = action.task.short_name
        metadata.condition.type.CopyFrom(values.literal_type(action.value_type))
    else:
        metadata.task.id.CopyFrom(tasks.id_to_proto(action.task.id))
        metadata.task.task_type = action.task.type
        metadata.task.short_name = action.task.short_name
    if action.created_by_subject:
        metadata.executed_by.user.id.subject = action.created_by_subject
    if action.relation:
        metadata.relation.CopyFrom(relations.to_proto(action.relation))
    if action.recovered_from:
        metadata.recovered_from.CopyFrom(identifier(action.recovered_from))
    if action.trigger:
        metadata.trigger_name = action.trigger.name.name
        metadata.trigger_id.CopyFrom(_trigger(action.trigger))
    return metadata


def _status(action: Action) -> run_definition_pb2.ActionStatus:
    return run_definition_pb2.ActionStatus(
        phase=phase(action.phase),
        start_time=times.to_proto(action.created_at),
        end_time=times.maybe_to_proto(action.ended_at),
        attempts=action.attempts,
        cache_status=_cache_status(action),
        duration_ms=action.duration_ms,
    )


def _attempts(
    action: Action,
    task: task_definition_pb2.TaskSpec,
    attempts: Sequence[Attempt],
    changes: Sequence[PhaseChange],
) -> list[run_definition_pb2.ActionAttempt]:
    begun = {attempt.id.number: attempt for attempt in attempts}
    of_attempt: dict[int, list[PhaseChange]] = {}
    for change in changes:
        of_attempt.setdefault(change.attempt, []).append(change)
    messages: list[run_definition_pb2.ActionAttempt] = []
    for number in range(1, action.attempts + 1):
        message = _waiting(action, number) if number not in begun else _begun(action, task, begun[number])
        _add_history(message, of_attempt.get(number, []))
        messages.append(message)
    return messages


def _waiting(action: Action, number: int) -> run_definition_pb2.ActionAttempt:
    """An attempt that nobody has taken yet, or ever will."""
    return run_definition_pb2.ActionAttempt(
        attempt=number,
        phase=phase(action.phase),
        start_time=times.to_proto(action.updated_at),
        end_time=times.maybe_to_proto(action.ended_at),
        cache_status=_cache_status(action),
    )


def _begun(action: Action, task: task_definition_pb2.TaskSpec, attempt: Attempt) -> run_definition_pb2.ActionAttempt:
    message = run_definition_pb2.ActionAttempt(
        attempt=attempt.id.number,
        phase=phase(attempt.phase),
        start_time=times.to_proto(attempt.created_at),
        end_time=times.maybe_to_proto(attempt.ended_at),
        error_info=_error_info(attempt.failure) if attempt.failure else None,
        log_info=_log_info(task, attempt),
        logs_available=has_logs(attempt),
        cache_status=_cache_status(action),
        cluster=attempt.node,
    )
    if has_logs(attempt):
        message.log_context.CopyFrom(log_context.of_attempt(attempt))
    if attempt.phase in _GOOD_ENDS and action.output_uri:
        message.outputs.output_uri = outputs_object(action.output_uri)
        if action.cache_status == CacheStatus.HIT and action.origin:
            message.cache_metadata.source_action_attempt.CopyFrom(_attempt_id(action.origin))
    if (attempt.started_at or attempt.phase in _GOOD_ENDS) and task.task_template.metadata.generates_deck.value:
        message.outputs.report_uri = f"{attempt.output_prefix}/{REPORT_FILE}"
    return message


def _add_history(message: run_definition_pb2.ActionAttempt, changes: Sequence[PhaseChange]) -> None:
    """A trace has none: it was over when it was recorded."""
    if not changes:
        return
    message.start_time.FromDatetime(changes[0].at)
    message.phase_transitions.extend(_transitions(changes))
    said = {change.message: change for change in reversed(changes) if change.message}
    message.cluster_events.extend(cluster_event(change) for change in reversed(said.values()))


def _transitions(changes: Sequence[PhaseChange]) -> list[run_definition_pb2.PhaseTransition]:
    """Each phase ends when the next one begins; a terminal one ends itself and is the last."""
    transitions: list[run_definition_pb2.PhaseTransition] = []
    entered = list({change.phase: change for change in reversed(changes)}.values())[::-1]
    for change, following in zip(entered, [*entered[1:], None], strict=True):
        ends = change if change.phase.terminal else following
        transitions.append(
            run_definition_pb2.PhaseTransition(
                phase=phase(change.phase),
                start_time=times.to_proto(change.at),
                end_time=times.maybe_to_proto(ends and ends.at),
            )
        )
        if change.phase.terminal:
            break
    return transitions


def cluster_event(change: PhaseChange) -> run_definition_pb2.ClusterEvent:
    return run_definition_pb2.ClusterEvent(
        occurred_at=times.to_proto(change.at),
        message=change.message,
        type=run_definition_pb2.ClusterEvent.TYPE_NORMAL,
        reason=change.phase.name.title(),
    )


def has_logs(attempt: Attempt) -> bool:
    """From the moment somebody takes the attempt: whoever follows it then waits for its first line."""
    if attempt.phase.terminal:
        return attempt.started_at is not None or attempt.log_uri is not None
    return attempt.phase not in _NO_LOG_YET


def _log_info(task: task_definition_pb2.TaskSpec, attempt: Attempt) -> list[execution_pb2.TaskLog]:
    return log_links.rendered(task.task_template.metadata.log_links, attempt.id)


def _error_info(failure: Failure) -> run_definition_pb2.ErrorInfo:
    return run_definition_pb2.ErrorInfo(message=failure.message, kind=f"KIND_{failure.kind.value}", code=failure.code)


def _signal_info(signal: Signal) -> run_definition_pb2.SignalInfo:
    return run_definition_pb2.SignalInfo(
        signalled_by=identities.to_proto(signal.by), output=values.literal(signal.value)
    )


def identifier(action: ActionId) -> identifier_pb2.ActionIdentifier:
    run = identifier_pb2.RunIdentifier(project=action.run.project, domain=action.run.domain, name=action.run.name)
    return identifier_pb2.ActionIdentifier(run=run, name=action.name)


def _attempt_id(attempt: AttemptId) -> identifier_pb2.ActionAttemptIdentifier:
    return identifier_pb2.ActionAttemptIdentifier(action_id=identifier(attempt.action), attempt=attempt.number)


def _trigger(trigger: TriggerRef) -> identifier_pb2.TriggerIdentifier:
    name = identifier_pb2.TriggerName(
        project=trigger.name.project,
        domain=trigger.name.domain,
        task_name=trigger.name.task,
        name=trigger.name.name,
    )
    return identifier_pb2.TriggerIdentifier(name=name, revision=trigger.revision)


def phase(phase: Phase) -> str:
    return phase_pb2.ActionPhase.Name(phase.value)


def _cache_status(action: Action) -> str:
    return catalog_pb2.CatalogCacheStatus.Name(action.cache_status)
