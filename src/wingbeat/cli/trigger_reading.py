"""Triggers as the API describes them -> the documents that commands show."""

import json
from collections.abc import Sequence
from datetime import datetime, timedelta

from flyteidl2.task import common_pb2
from flyteidl2.trigger import trigger_definition_pb2
from google.protobuf import json_format
from google.protobuf.timestamp_pb2 import Timestamp

from wingbeat._generated.automation.v1 import automation_pb2 as pb
from wingbeat.cli import run_reading
from wingbeat.cli.trigger_documents import (
    BucketShown,
    DiffShown,
    FailingShown,
    FieldChange,
    Fired,
    FireShown,
    ForecastShown,
    HealthShown,
    InputShown,
    LoadShown,
    NodeShown,
    PauseShown,
    PreviewShown,
    SlotShown,
    TriggerShown,
    TriggerSummary,
)
from wingbeat.wire import times

_UNITS = {
    common_pb2.FIXED_RATE_UNIT_MINUTE: "minute",
    common_pb2.FIXED_RATE_UNIT_HOUR: "hour",
    common_pb2.FIXED_RATE_UNIT_DAY: "day",
}


def summary(state: pb.TriggerState, automation: common_pb2.TriggerAutomationSpec) -> TriggerSummary:
    return TriggerSummary(
        name=state.name.name,
        task=state.name.task_name,
        project=state.name.project,
        domain=state.name.domain,
        revision=state.revision,
        schedule=schedule(automation),
        active=state.active,
        next_fire_at=moment(state.next_fire_at),
        pause=_pause(state.pause) if state.HasField("pause") else None,
        failures=state.failures,
        error=state.error,
        fires=tuple(fire(each) for each in state.fires),
    )


def shown(
    state: pb.TriggerState, details: trigger_definition_pb2.TriggerDetails, upcoming: Sequence[pb.Slot]
) -> TriggerShown:
    status = details.status
    return TriggerShown(
        trigger=summary(state, details.automation_spec),
        task_version=details.spec.task_version,
        description=details.spec.description,
        deployed_at=times.from_proto(status.deployed_at),
        updated_at=times.from_proto(status.updated_at),
        triggered_at=moment(status.triggered_at),
        next_slots=slots(upcoming),
    )


def schedule(automation: common_pb2.TriggerAutomationSpec) -> str:
    """In words; empty for none."""
    match automation.schedule.WhichOneof("expression"):
        case "cron":
            cron = automation.schedule.cron
            return f"{cron.expression} {cron.timezone}".rstrip()
        case "cron_expression":
            return automation.schedule.cron_expression
        case "rate":
            rate = automation.schedule.rate
            unit = _UNITS.get(rate.unit, "?")
            return f"every {unit}" if rate.value == 1 else f"every {rate.value} {unit}s"
        case _:
            return ""


def fire(fire: pb.Fire) -> FireShown:
    return FireShown(
        kind=pb.FireKind.Name(fire.kind).removeprefix("FIRE_KIND_"),
        outcome=pb.FireOutcome.Name(fire.outcome).removeprefix("FIRE_OUTCOME_"),
        reason=fire.reason,
        first_slot=moment(fire.first_slot),
        last_slot=moment(fire.last_slot),
        count=fire.count,
        revision=fire.revision,
        run=fire.run.name or None,
        phase=run_reading.phase(fire.phase) if fire.phase else None,
        decided_at=times.from_proto(fire.decided_at),
        lag_seconds=fire.lag.ToTimedelta().total_seconds() if fire.HasField("lag") else None,
    )


def preview(answer: pb.PreviewScheduleResponse) -> PreviewShown:
    return PreviewShown(slots(answer.slots), answer.timezone, answer.tzdata_version, answer.inactive)


def fired(answer: pb.FireTriggerResponse) -> Fired:
    literals = {each.name: json_format.MessageToDict(each.value) for each in answer.inputs.literals}
    return Fired(
        run=answer.run.name or None,
        inputs=tuple(InputShown(name, json.dumps(value, ensure_ascii=False)) for name, value in literals.items()),
        input_uri=answer.input_uri,
    )


def diff(answer: pb.DiffRevisionsResponse) -> DiffShown:
    return DiffShown(
        old=answer.old,
        new=answer.new,
        changes=tuple(FieldChange(each.field, each.before, each.after) for each in answer.differences),
        old_slots=slots(answer.old_slots),
        new_slots=slots(answer.new_slots),
    )


def forecast(answer: pb.ForecastLoadResponse) -> ForecastShown:
    return ForecastShown(
        buckets=tuple(BucketShown(times.from_proto(each.begin), each.fires) for each in answer.buckets),
        triggers=tuple(
            LoadShown(
                name=each.name.name,
                task=each.name.task_name,
                project=each.name.project,
                domain=each.name.domain,
                fires=each.fires,
                by_bucket=tuple(each.by_bucket),
            )
            for each in answer.triggers
        ),
        trigger_count=answer.trigger_count,
    )


def health(answer: pb.GetSchedulerHealthResponse, *, max_lag: timedelta) -> HealthShown:
    now, oldest = times.from_proto(answer.now), moment(answer.oldest_undecided_slot)
    lag = now - oldest if oldest else timedelta()
    return HealthShown(
        healthy=lag <= max_lag and not answer.failing_triggers,
        lag_seconds=lag.total_seconds(),
        active_triggers=answer.active_triggers,
        overdue_triggers=answer.overdue_triggers,
        triggers_with_backlog=answer.triggers_with_backlog,
        oldest_backlog=moment(answer.oldest_backlog),
        failing_triggers=answer.failing_triggers,
        failing=tuple(
            FailingShown(
                name=each.name.name,
                task=each.name.task_name,
                project=each.name.project,
                domain=each.name.domain,
                failures=each.failures,
                error=each.error,
            )
            for each in answer.failing
        ),
        nodes=tuple(
            NodeShown(
                each.id,
                each.host,
                times.from_proto(each.started_at),
                times.from_proto(each.lease_until),
                moment(each.scheduled_at),
            )
            for each in answer.nodes
        ),
    )


def moment(at: Timestamp) -> datetime | None:
    """None for one that is not set."""
    return times.from_proto(at) if at.seconds or at.nanos else None


def slots(answered: Sequence[pb.Slot]) -> tuple[SlotShown, ...]:
    return tuple(
        SlotShown(at, each.local, each.note, moment(each.fires_at) or at)
        for each in answered
        for at in [times.from_proto(each.at)]
    )


def _pause(pause: pb.Pause) -> PauseShown:
    return PauseShown(pause.reason, moment(pause.until), times.from_proto(pause.paused_at), pause.paused_by)
