"""What wingbeat.automation.v1 answers, from what operations and the store return."""

from datetime import datetime

from flyteidl2.common import identifier_pb2, phase_pb2
from flyteidl2.task import common_pb2

from wingbeat._generated.automation.v1 import automation_pb2 as pb
from wingbeat.core.forecast import Forecast
from wingbeat.core.ids import RunId
from wingbeat.core.run import Run
from wingbeat.core.zones import tzdata_version
from wingbeat.operations.automation import Diff, Preview, State
from wingbeat.operations.backfills import Plan, Shown
from wingbeat.store.fire_lists import Entry
from wingbeat.store.fires import FireKind, Outcome
from wingbeat.store.nodes import Membership
from wingbeat.store.pauses import Pause
from wingbeat.store.timetables import Lateness, Timetable
from wingbeat.wire import automation as wire
from wingbeat.wire import times

MOST_LOADS = 200
"""Triggers that a forecast shows one by one."""


def previewed(preview: Preview) -> pb.PreviewScheduleResponse:
    return pb.PreviewScheduleResponse(
        slots=[wire.slot_to_proto(slot) for slot in preview.slots],
        timezone=preview.timezone,
        tzdata_version=tzdata_version(),
        inactive=preview.inactive,
    )


def state(state: State) -> pb.TriggerState:
    return pb.TriggerState(
        name=wire.name_to_proto(state.trigger.name),
        revision=state.trigger.revision,
        active=state.trigger.active,
        next_fire_at=times.maybe_to_proto(state.timetable.firing.next_fire_at),
        pause=_pause(state.pause) if state.pause else None,
        failures=state.timetable.firing.failures,
        error=state.timetable.error,
        fires=[fire(entry) for entry in state.fires],
    )


def fire(entry: Entry) -> pb.Fire:
    decided, row = entry.decided_at, entry.fire
    answer = pb.Fire(
        kind=f"FIRE_KIND_{row.kind.name}",
        outcome=f"FIRE_OUTCOME_{row.outcome.name}",
        reason=row.reason,
        first_slot=times.maybe_to_proto(row.first_slot),
        last_slot=times.maybe_to_proto(row.last_slot),
        count=row.count,
        revision=row.revision,
        run=_run_id(entry.run) if entry.run else None,
        decided_at=times.to_proto(decided),
        phase=phase_pb2.ActionPhase.Name(entry.phase.value) if entry.phase else None,
    )
    if row.kind is FireKind.SCHEDULE and row.outcome is Outcome.FIRED and row.first_slot is not None:
        answer.lag.FromTimedelta(decided - row.first_slot)
    return answer


def fired(run: Run, *, dry: bool) -> pb.FireTriggerResponse:
    inline = run.inputs is not None
    return pb.FireTriggerResponse(
        run=None if dry else _run_id(run.id),
        inputs=common_pb2.Inputs.FromString(run.inputs or b"") if inline else None,
        input_uri="" if inline else run.input_uri,
    )


def backfill(shown: Shown) -> pb.Backfill:
    found = shown.backfill
    return pb.Backfill(
        id=found.id,
        name=wire.name_to_proto(shown.name),
        revision=found.revision,
        begin=times.to_proto(found.wanted.begin),
        end=times.to_proto(found.wanted.end),
        again=found.wanted.again,
        max_running=found.wanted.max_running,
        state=f"BACKFILL_STATE_{found.state.name}",
        reason=found.reason,
        slots=found.slots,
        started=found.started,
        left_out=found.left_out,
        missed=found.missed,
        running=shown.running,
        created_by=found.created_by,
        created_at=times.to_proto(found.created_at),
        ended_at=times.maybe_to_proto(found.ended_at),
    )


def planned(plan: Plan, shown: Shown | None) -> pb.BackfillTriggerResponse:
    return pb.BackfillTriggerResponse(
        backfill=backfill(shown) if shown else None,
        slots=[wire.slot_to_proto(slot) for slot in plan.slots],
        left_out=plan.left_out,
    )


def diff(found: Diff) -> pb.DiffRevisionsResponse:
    return pb.DiffRevisionsResponse(
        old=found.old,
        new=found.new,
        differences=[
            pb.FieldDifference(field=each.field, before=each.before, after=each.after) for each in found.differences
        ],
        old_slots=[wire.slot_to_proto(slot) for slot in found.old_slots],
        new_slots=[wire.slot_to_proto(slot) for slot in found.new_slots],
    )


def forecast(found: Forecast) -> pb.ForecastLoadResponse:
    buckets = zip(found.begins, found.totals, strict=True)
    return pb.ForecastLoadResponse(
        buckets=[pb.LoadBucket(begin=times.to_proto(begin), fires=fires) for begin, fires in buckets],
        triggers=[
            pb.TriggerLoad(name=wire.name_to_proto(load.name), fires=load.fires, by_bucket=load.by_bucket)
            for load in found.loads[:MOST_LOADS]
        ],
        trigger_count=len(found.loads),
    )


def health(
    late: Lateness, failing: list[Timetable], nodes: list[Membership], *, active: int, now: datetime
) -> pb.GetSchedulerHealthResponse:
    return pb.GetSchedulerHealthResponse(
        oldest_undecided_slot=times.maybe_to_proto(late.oldest_undecided),
        overdue_triggers=late.overdue,
        backlogs=late.backlogs,
        triggers_with_backlog=late.behind,
        oldest_backlog=times.maybe_to_proto(late.oldest_backlog),
        failing_triggers=late.failing,
        failing=[
            pb.FailingTrigger(name=wire.name_to_proto(each.name), failures=each.firing.failures, error=each.error)
            for each in failing
        ],
        active_triggers=active,
        nodes=[
            pb.NodeState(
                id=each.node.id,
                host=each.node.host,
                started_at=times.to_proto(each.started_at),
                lease_until=times.to_proto(each.lease_until),
                scheduled_at=times.maybe_to_proto(each.scheduled_at),
            )
            for each in nodes
        ],
        now=times.to_proto(now),
    )


def _pause(pause: Pause) -> pb.Pause:
    return pb.Pause(
        reason=pause.reason,
        until=times.maybe_to_proto(pause.until),
        paused_at=times.to_proto(pause.paused_at),
        paused_by=pause.paused_by,
    )


def _run_id(run: RunId) -> identifier_pb2.RunIdentifier:
    return identifier_pb2.RunIdentifier(project=run.project, domain=run.domain, name=run.name)
