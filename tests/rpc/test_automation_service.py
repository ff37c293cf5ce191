"""wingbeat.automation.v1.AutomationService as a client sees it."""

from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import httpx
import pytest
from connectrpc.code import Code
from connectrpc.errors import ConnectError
from flyteidl2.common import identifier_pb2, phase_pb2
from flyteidl2.core import literals_pb2
from flyteidl2.task import common_pb2
from flyteidl2.trigger import trigger_service_pb2
from flyteidl2.trigger.trigger_service_connect import TriggerServiceClient
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from tests.conftest import T0, FakeClock
from tests.deployed import DEFAULTS, DOMAINS, TASK, deploy_task
from tests.listening import listening
from wingbeat._generated.automation.v1 import automation_pb2 as pb
from wingbeat._generated.automation.v1.automation_connect import AutomationServiceClient
from wingbeat.loops.backfiller import Backfiller
from wingbeat.loops.resumer import Resumer
from wingbeat.operations import firing
from wingbeat.operations.firing import Firer
from wingbeat.rpc.app import build
from wingbeat.rpc.automation_service import Automation
from wingbeat.rpc.draining import Draining
from wingbeat.rpc.trigger_service import Triggers
from wingbeat.store.database import Database
from wingbeat.telemetry import Metrics

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
NAME = identifier_pb2.TriggerName(project=TASK.project, domain=TASK.domain, task_name=TASK.name, name="tick")
NOBODY = identifier_pb2.TriggerName(project=TASK.project, domain=TASK.domain, task_name=TASK.name, name="nobody")


class Clients:
    def __init__(self, url: str) -> None:
        self.ours = AutomationServiceClient(url)
        self.flyte = TriggerServiceClient(url)

    async def deploy(self, cron: str = "* * * * *", *, zone: str = "", active: bool = True, **spec: object) -> int:
        """A new revision; its number."""
        request = trigger_service_pb2.DeployTriggerRequest(
            name=NAME,
            spec={"task_version": TASK.version, "active": active, **spec},
            automation_spec={"type": "TYPE_SCHEDULE", "schedule": {"cron": {"expression": cron, "timezone": zone}}},
        )
        return (await self.flyte.deploy_trigger(request)).trigger.id.revision

    async def state(self, *, fires: int = 0) -> pb.TriggerState:
        (state,) = (await self.ours.get_trigger_states(pb.GetTriggerStatesRequest(names=[NAME], fires=fires))).states
        return state

    async def delete(self) -> None:
        await self.flyte.delete_triggers(trigger_service_pb2.DeleteTriggersRequest(names=[NAME]))


@pytest.fixture
async def clients(database: Database) -> AsyncGenerator[Clients]:
    await deploy_task(database)
    app = build(
        [Automation(database, DOMAINS, DEFAULTS), Triggers(database, DOMAINS, DEFAULTS)],
        draining=Draining(),
        metrics=Metrics(),
    )
    async with listening(app) as address:
        yield Clients(address.url)


def stamp(at: datetime) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(at)
    return stamp


def length(value: timedelta) -> Duration:
    duration = Duration()
    duration.FromTimedelta(value)
    return duration


def minutes(at: Timestamp) -> float:
    return (at.ToDatetime(UTC) - T0) / MINUTE


def integers(**values: int) -> common_pb2.Inputs:
    return common_pb2.Inputs(
        literals=[
            common_pb2.NamedLiteral(
                name=name,
                value=literals_pb2.Literal(scalar=literals_pb2.Scalar(primitive=literals_pb2.Primitive(integer=value))),
            )
            for name, value in values.items()
        ]
    )


def shown(inputs: common_pb2.Inputs) -> dict[str, int]:
    return {each.name: each.value.scalar.primitive.integer for each in inputs.literals}


async def fire_due(database: Database, clock: FakeClock, step: timedelta = MINUTE) -> None:
    clock.forward(step)
    await database.write(lambda tx: firing.fire_due(tx, Firer(DEFAULTS, DOMAINS), limit=100))


def inline(cron: str, zone: str = "", **policies: str) -> pb.InlineSchedule:
    said = {f"wingbeat/{name.replace('_', '-')}": value for name, value in policies.items()}
    return pb.InlineSchedule(schedule={"cron": {"expression": cron, "timezone": zone}}, policies=said)


async def test_a_preview_shows_the_slots_on_both_clocks(clients: Clients) -> None:
    request = pb.PreviewScheduleRequest(
        schedule=inline("30 2 * * *", "Europe/Berlin"), after=stamp(datetime(2026, 3, 28, 12, tzinfo=UTC)), count=2
    )
    answer = await clients.ours.preview_schedule(request)
    assert answer.timezone == "Europe/Berlin"
    assert [slot.local for slot in answer.slots] == ["2026-03-30T02:30:00+02:00", "2026-03-31T02:30:00+02:00"]
    assert "does not exist on 2026-03-29" in answer.slots[0].note


async def test_a_preview_of_a_trigger_begins_with_its_next_fire_and_says_that_it_is_paused(clients: Clients) -> None:
    await clients.deploy("*/5 * * * *")
    answer = await clients.ours.preview_schedule(pb.PreviewScheduleRequest(trigger=NAME))
    assert [minutes(slot.at) for slot in answer.slots] == [5 * number for number in range(1, 11)]
    assert not answer.inactive
    await clients.ours.pause_trigger(pb.PauseTriggerRequest(name=NAME))
    answer = await clients.ours.preview_schedule(pb.PreviewScheduleRequest(trigger=NAME, count=1))
    assert [minutes(slot.at) for slot in answer.slots] == [5]
    assert answer.inactive


async def test_a_preview_keeps_to_the_policies(clients: Clients) -> None:
    bounded = inline("0 * * * *", start="2026-01-01T05:00:00Z", end="2026-01-01T07:00:00Z")
    answer = await clients.ours.preview_schedule(pb.PreviewScheduleRequest(schedule=bounded))
    assert [minutes(slot.at) / 60 for slot in answer.slots] == [5, 6, 7]
    answer = await clients.ours.preview_schedule(pb.PreviewScheduleRequest(schedule=inline("0 * * * *", max_runs="2")))
    assert len(answer.slots) == 2


async def test_a_preview_shows_the_jitter_of_each_slot(clients: Clients) -> None:
    await clients.deploy("0 * * * *", run_spec={"annotations": {"values": {"wingbeat/jitter": "30m"}}})
    answer = await clients.ours.preview_schedule(pb.PreviewScheduleRequest(trigger=NAME, count=3))
    delays = [minutes(slot.fires_at) - minutes(slot.at) for slot in answer.slots]
    assert all(0 < delay < 30 for delay in delays)
    assert len(set(delays)) == 3


async def test_the_ledger_is_listed_newest_first_page_by_page(
    clients: Clients, database: Database, clock: FakeClock
) -> None:
    await clients.deploy()
    for _ in range(5):
        await fire_due(database, clock)
    first = await clients.ours.list_fires(pb.ListFiresRequest(name=NAME, limit=3))
    await fire_due(database, clock)
    rest = await clients.ours.list_fires(pb.ListFiresRequest(name=NAME, limit=3, token=first.token))
    assert [minutes(fire.first_slot) for fire in [*first.fires, *rest.fires]] == [5, 4, 3, 2, 1]
    assert rest.token == ""
    newest = first.fires[0]
    assert (newest.kind, newest.outcome, newest.count) == (pb.FIRE_KIND_SCHEDULE, pb.FIRE_OUTCOME_FIRED, 1)
    assert newest.phase == phase_pb2.ACTION_PHASE_QUEUED
    assert newest.run.name.startswith("r")
    assert newest.lag.ToTimedelta() == timedelta()


async def test_the_ledger_is_filtered_by_kind_outcome_and_time(
    clients: Clients, database: Database, clock: FakeClock
) -> None:
    await clients.deploy()
    for _ in range(3):
        await fire_due(database, clock)
    await clients.ours.fire_trigger(pb.FireTriggerRequest(name=NAME))
    clock.forward(10 * MINUTE)
    await clients.ours.pause_trigger(pb.PauseTriggerRequest(name=NAME))

    async def kinds(**wanted: Any) -> list[str]:
        answer = await clients.ours.list_fires(pb.ListFiresRequest(name=NAME, **wanted))
        return [f"{pb.FireKind.Name(fire.kind)[10:]} {pb.FireOutcome.Name(fire.outcome)[13:]}" for fire in answer.fires]

    assert await kinds(kinds=[pb.FIRE_KIND_MANUAL]) == ["MANUAL FIRED"]
    assert await kinds(outcomes=[pb.FIRE_OUTCOME_MISSED]) == ["SCHEDULE MISSED"]
    assert await kinds(before=stamp(T0 + 2 * MINUTE)) == ["SCHEDULE FIRED"]
    assert await kinds(since=stamp(T0 + 4 * MINUTE)) == ["SCHEDULE MISSED"]
    assert len(await kinds()) == 5
    missed = (await clients.ours.list_fires(pb.ListFiresRequest(name=NAME, outcomes=[pb.FIRE_OUTCOME_MISSED]))).fires[0]
    assert (minutes(missed.first_slot), minutes(missed.last_slot), missed.count) == (4, 13, 10)
    assert missed.reason == "deactivated before it could fire"


async def test_a_fire_by_hand_is_a_run_and_a_row_of_the_ledger(clients: Clients) -> None:
    await clients.deploy()
    shows = await clients.ours.fire_trigger(pb.FireTriggerRequest(name=NAME, dry_run=True))
    assert shown(shows.inputs) == {"x": 7}
    assert not shows.HasField("run")
    assert (await clients.ours.list_fires(pb.ListFiresRequest(name=NAME))).fires == []
    answer = await clients.ours.fire_trigger(pb.FireTriggerRequest(name=NAME, inputs=integers(x=8)))
    assert shown(answer.inputs) == {"x": 8}
    (fire,) = (await clients.ours.list_fires(pb.ListFiresRequest(name=NAME))).fires
    assert (fire.kind, fire.run.name) == (pb.FIRE_KIND_MANUAL, answer.run.name)


async def test_a_repeated_request_starts_one_run(clients: Clients) -> None:
    await clients.deploy()
    request, headers = pb.FireTriggerRequest(name=NAME), {"x-request-id": "once"}
    first = await clients.ours.fire_trigger(request, headers=headers)
    again = await clients.ours.fire_trigger(request, headers=headers)
    assert first.run == again.run
    assert len((await clients.ours.list_fires(pb.ListFiresRequest(name=NAME))).fires) == 1
    await clients.flyte.delete_triggers(trigger_service_pb2.DeleteTriggersRequest(names=[NAME]))
    assert (await clients.ours.fire_trigger(request, headers=headers)).run == first.run, "the answer was lost before"


async def test_a_pause_says_why_and_until_when(clients: Clients) -> None:
    await clients.deploy()
    until = stamp(T0 + HOUR)
    answer = await clients.ours.pause_trigger(
        pb.PauseTriggerRequest(name=NAME, reason="the source is down", until=until)
    )
    assert answer.state == await clients.state()
    assert (answer.state.active, answer.state.revision) == (False, 2)
    assert not answer.state.HasField("next_fire_at")
    assert (answer.state.pause.reason, answer.state.pause.until) == ("the source is down", until)
    await clients.ours.pause_trigger(pb.PauseTriggerRequest(name=NAME, reason="for good"))
    state = await clients.state()
    assert (state.pause.reason, state.pause.HasField("until"), state.revision) == ("for good", False, 2)


async def test_a_paused_trigger_resumes_by_itself_and_fires_nothing_of_the_pause(
    clients: Clients, database: Database, clock: FakeClock
) -> None:
    await clients.deploy()
    await clients.ours.pause_trigger(pb.PauseTriggerRequest(name=NAME, until=stamp(T0 + HOUR)))
    resumer = Resumer(database)
    assert await resumer.tick() == 3600
    clock.forward(HOUR - timedelta(seconds=1))
    assert await resumer.tick() == 1
    assert not (await clients.state()).active
    clock.forward(timedelta(seconds=1))
    assert await resumer.tick() is None
    state = await clients.state()
    assert (state.active, state.revision, minutes(state.next_fire_at)) == (True, 3, 61)
    assert not state.HasField("pause")


async def test_a_pause_that_somebody_overruled_ends_nothing(
    clients: Clients, database: Database, clock: FakeClock
) -> None:
    await clients.deploy()
    await clients.ours.pause_trigger(pb.PauseTriggerRequest(name=NAME, until=stamp(T0 + HOUR)))
    await clients.deploy(active=False)
    assert not (await clients.state()).HasField("pause")
    clock.forward(2 * HOUR)
    assert await Resumer(database).tick() is None
    assert not (await clients.state()).active


async def test_a_trigger_resumes_at_once_when_it_is_told(clients: Clients) -> None:
    await clients.deploy()
    await clients.ours.pause_trigger(pb.PauseTriggerRequest(name=NAME, reason="why"))
    answer = await clients.ours.resume_trigger(pb.ResumeTriggerRequest(name=NAME))
    assert (answer.state.active, answer.state.revision, answer.state.HasField("pause")) == (True, 3, False)
    again = await clients.ours.resume_trigger(pb.ResumeTriggerRequest(name=NAME))
    assert again == pb.ResumeTriggerResponse(state=answer.state)


async def test_states_have_the_last_fires_and_leave_out_whom_nobody_knows(
    clients: Clients, database: Database, clock: FakeClock
) -> None:
    await clients.deploy()
    for _ in range(3):
        await fire_due(database, clock)
    answer = await clients.ours.get_trigger_states(pb.GetTriggerStatesRequest(names=[NOBODY, NAME], fires=2))
    (state,) = answer.states
    assert [minutes(fire.first_slot) for fire in state.fires] == [3, 2]
    assert minutes(state.next_fire_at) == 4


async def test_a_difference_names_the_fields_and_shows_what_fires(clients: Clients) -> None:
    await clients.deploy("0 * * * *", inputs=integers(x=1))
    await clients.deploy("0 * * * *", zone="Europe/Berlin", inputs=integers(x=2), description="hourly")
    answer = await clients.ours.diff_revisions(pb.DiffRevisionsRequest(name=NAME, count=1))
    assert (answer.old, answer.new) == (1, 2)
    changes = {each.field: (each.before, each.after) for each in answer.differences}
    assert changes == {
        "automation_spec.schedule.cron.timezone": ("", '"Europe/Berlin"'),
        "spec.description": ("", '"hourly"'),
        "spec.inputs.literals.x.value.scalar.primitive.integer": ('"1"', '"2"'),
    }
    assert [slot.local for slot in answer.old_slots] == ["2026-01-01T01:00:00+00:00"]
    assert [slot.local for slot in answer.new_slots] == ["2026-01-01T02:00:00+01:00"]


async def test_a_rollback_is_a_new_revision_equal_to_the_old_one(clients: Clients) -> None:
    await clients.deploy("0 * * * *", description="first")
    await clients.deploy("1 * * * *", description="second")
    answer = await clients.ours.rollback_trigger(pb.RollbackTriggerRequest(name=NAME, revision=1, expected_revision=2))
    assert (answer.state.revision, answer.state.active, minutes(answer.state.next_fire_at)) == (3, True, 60)
    same = await clients.ours.diff_revisions(pb.DiffRevisionsRequest(name=NAME, old=1, new=3))
    assert same.differences == []


async def test_a_rollback_of_a_paused_trigger_leaves_it_paused(clients: Clients) -> None:
    await clients.deploy("0 * * * *")
    await clients.ours.pause_trigger(pb.PauseTriggerRequest(name=NAME, reason="why"))
    answer = await clients.ours.rollback_trigger(pb.RollbackTriggerRequest(name=NAME, revision=1))
    assert (answer.state.revision, answer.state.active, answer.state.pause.reason) == (3, False, "why")


async def test_the_load_to_come_is_counted_by_trigger_and_in_sum(clients: Clients) -> None:
    await clients.deploy("*/20 0-1 * * *")
    answer = await clients.ours.forecast_load(pb.ForecastLoadRequest(horizon=length(4 * HOUR)))
    assert [bucket.fires for bucket in answer.buckets] == [3, 3, 0, 0]
    assert [minutes(bucket.begin) for bucket in answer.buckets] == [0, 60, 120, 180]
    (load,) = answer.triggers
    assert (load.name, load.fires, list(load.by_bucket), answer.trigger_count) == (NAME, 6, [3, 3, 0, 0], 1)
    limits = {"annotations": {"values": {"wingbeat/max-runs": "4", "wingbeat/start": "2026-01-01T00:20:00Z"}}}
    await clients.deploy("*/20 0-1 * * *", run_spec=limits)
    answer = await clients.ours.forecast_load(pb.ForecastLoadRequest(horizon=length(4 * HOUR)))
    assert [bucket.fires for bucket in answer.buckets] == [2, 2, 0, 0]
    elsewhere = pb.ForecastLoadRequest(project_id={"name": "nobody", "domain": "development"})
    assert (await clients.ours.forecast_load(elsewhere)).trigger_count == 0


async def test_health_shows_what_is_due_and_not_decided(clients: Clients, database: Database, clock: FakeClock) -> None:
    await clients.deploy()
    healthy = await clients.ours.get_scheduler_health(pb.GetSchedulerHealthRequest())
    assert (healthy.active_triggers, healthy.overdue_triggers, healthy.failing_triggers) == (1, 0, 0)
    assert not healthy.HasField("oldest_undecided_slot")
    clock.forward(10 * MINUTE)
    late = await clients.ours.get_scheduler_health(pb.GetSchedulerHealthRequest())
    assert (late.overdue_triggers, minutes(late.oldest_undecided_slot), minutes(late.now)) == (1, 1, 10)
    await fire_due(database, clock, timedelta())
    behind = await clients.ours.get_scheduler_health(pb.GetSchedulerHealthRequest())
    assert (behind.overdue_triggers, behind.backlogs, behind.triggers_with_backlog) == (0, 1, 1)


REFUSED = {
    "a bad cron expression": (
        "preview_schedule",
        pb.PreviewScheduleRequest(schedule=inline("61 * * * *")),
        Code.INVALID_ARGUMENT,
        "61",
    ),
    "an unknown zone": (
        "preview_schedule",
        pb.PreviewScheduleRequest(schedule=inline("* * * * *", "Europe/Berln")),
        Code.INVALID_ARGUMENT,
        "did you mean 'Europe/Berlin'",
    ),
    "an unknown policy": (
        "preview_schedule",
        pb.PreviewScheduleRequest(schedule=inline("* * * * *", colour="red")),
        Code.INVALID_ARGUMENT,
        "wingbeat/colour",
    ),
    "neither a trigger nor a schedule": (
        "preview_schedule",
        pb.PreviewScheduleRequest(),
        Code.INVALID_ARGUMENT,
        "what",
    ),
    "more slots than anyone reads": (
        "preview_schedule",
        pb.PreviewScheduleRequest(trigger=NAME, count=1_000_000),
        Code.INVALID_ARGUMENT,
        "count",
    ),
    "a moment that no calendar has": (
        "preview_schedule",
        pb.PreviewScheduleRequest(trigger=NAME, after=Timestamp(seconds=2**60)),
        Code.INVALID_ARGUMENT,
        "after",
    ),
    "an unknown trigger": ("preview_schedule", pb.PreviewScheduleRequest(trigger=NOBODY), Code.NOT_FOUND, "nobody"),
    "fires of an unknown trigger": ("list_fires", pb.ListFiresRequest(name=NOBODY), Code.NOT_FOUND, "nobody"),
    "a token of another list": (
        "list_fires",
        pb.ListFiresRequest(name=NAME, token="x"),
        Code.INVALID_ARGUMENT,
        "token",
    ),
    "an outcome that is none": (
        "list_fires",
        pb.ListFiresRequest(name=NAME, outcomes=[cast("Any", 9)]),
        Code.INVALID_ARGUMENT,
        "outcomes",
    ),
    "a kind that nothing fires by": (
        "list_fires",
        pb.ListFiresRequest(name=NAME, kinds=[pb.FIRE_KIND_HOOK]),
        Code.INVALID_ARGUMENT,
        "kinds",
    ),
    "a time that ends before it begins": (
        "list_fires",
        pb.ListFiresRequest(name=NAME, since=stamp(T0), before=stamp(T0)),
        Code.INVALID_ARGUMENT,
        "before",
    ),
    "firing an unknown trigger": ("fire_trigger", pb.FireTriggerRequest(name=NOBODY), Code.NOT_FOUND, "nobody"),
    "an input that the task does not have": (
        "fire_trigger",
        pb.FireTriggerRequest(name=NAME, inputs=integers(y=1)),
        Code.INVALID_ARGUMENT,
        "inputs: task 'env.main' has no 'y'",
    ),
    "a pause that is over": (
        "pause_trigger",
        pb.PauseTriggerRequest(name=NAME, until=stamp(T0)),
        Code.INVALID_ARGUMENT,
        "until",
    ),
    "pausing an unknown trigger": ("pause_trigger", pb.PauseTriggerRequest(name=NOBODY), Code.NOT_FOUND, "nobody"),
    "resuming an unknown trigger": ("resume_trigger", pb.ResumeTriggerRequest(name=NOBODY), Code.NOT_FOUND, "nobody"),
    "a revision that never was": (
        "diff_revisions",
        pb.DiffRevisionsRequest(name=NAME, old=9),
        Code.NOT_FOUND,
        "revision 9",
    ),
    "a rollback to what never was": (
        "rollback_trigger",
        pb.RollbackTriggerRequest(name=NAME, revision=9),
        Code.NOT_FOUND,
        "revision 9",
    ),
    "a rollback to nothing": (
        "rollback_trigger",
        pb.RollbackTriggerRequest(name=NAME),
        Code.INVALID_ARGUMENT,
        "revision",
    ),
    "a revision that is not the latest": (
        "rollback_trigger",
        pb.RollbackTriggerRequest(name=NAME, revision=1, expected_revision=7),
        Code.ABORTED,
        "revision 7 was given, the latest is 1",
    ),
    "a horizon of years": (
        "forecast_load",
        pb.ForecastLoadRequest(horizon=length(400 * DAY)),
        Code.INVALID_ARGUMENT,
        "horizon",
    ),
    "buckets of seconds": (
        "forecast_load",
        pb.ForecastLoadRequest(bucket=length(timedelta(seconds=1))),
        Code.INVALID_ARGUMENT,
        "bucket",
    ),
    "too many buckets": (
        "forecast_load",
        pb.ForecastLoadRequest(horizon=length(366 * DAY), bucket=length(MINUTE)),
        Code.INVALID_ARGUMENT,
        "bucket",
    ),
    "a backfill of a million slots": (
        "backfill_trigger",
        pb.BackfillTriggerRequest(name=NAME, begin=stamp(T0 - 1000 * DAY), end=stamp(T0)),
        Code.INVALID_ARGUMENT,
        "there are 1440000 slots",
    ),
    "a backfill of what is to come": (
        "backfill_trigger",
        pb.BackfillTriggerRequest(name=NAME, begin=stamp(T0 - DAY), end=stamp(T0 + DAY)),
        Code.INVALID_ARGUMENT,
        "end is",
    ),
    "a backfill without an end": (
        "backfill_trigger",
        pb.BackfillTriggerRequest(name=NAME, begin=stamp(T0 - DAY)),
        Code.INVALID_ARGUMENT,
        "end: value is required",
    ),
    "a backfill of an unknown trigger": (
        "backfill_trigger",
        pb.BackfillTriggerRequest(name=NOBODY, begin=stamp(T0 - HOUR), end=stamp(T0)),
        Code.NOT_FOUND,
        "nobody",
    ),
    "an unknown backfill": ("get_backfill", pb.GetBackfillRequest(id="b9"), Code.NOT_FOUND, "b9"),
    "a forecast beyond the calendar": (
        "forecast_load",
        pb.ForecastLoadRequest(begin=stamp(datetime(9999, 12, 31, tzinfo=UTC))),
        Code.INVALID_ARGUMENT,
        "begin",
    ),
}


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED.keys())
async def test_what_cannot_be_is_refused_and_nothing_is_written(
    clients: Clients, case: tuple[str, object, Code, str]
) -> None:
    method, request, code, text = case
    await clients.deploy()
    before = await clients.state(fires=10)
    with pytest.raises(ConnectError) as refused:
        await getattr(clients.ours, method)(request)
    assert (refused.value.code, text in refused.value.message) == (code, True), refused.value.message
    assert await clients.state(fires=10) == before


@pytest.mark.parametrize(
    ("method", "request_"),
    [
        ("preview_schedule", pb.PreviewScheduleRequest(trigger=NAME)),
        ("fire_trigger", pb.FireTriggerRequest(name=NAME)),
        ("pause_trigger", pb.PauseTriggerRequest(name=NAME)),
        ("resume_trigger", pb.ResumeTriggerRequest(name=NAME)),
        ("rollback_trigger", pb.RollbackTriggerRequest(name=NAME, revision=1)),
        ("backfill_trigger", pb.BackfillTriggerRequest(name=NAME, begin=stamp(T0 - HOUR), end=stamp(T0))),
    ],
)
async def test_nothing_is_done_with_a_deleted_trigger(clients: Clients, method: str, request_: object) -> None:
    await clients.deploy()
    await clients.delete()
    with pytest.raises(ConnectError, match="was deleted at 2026-01-01 00:00:00Z") as refused:
        await getattr(clients.ours, method)(request_)
    assert refused.value.code == Code.FAILED_PRECONDITION


async def test_the_ledger_and_the_revisions_of_a_deleted_trigger_stay_readable(
    clients: Clients, database: Database, clock: FakeClock
) -> None:
    await clients.deploy()
    await fire_due(database, clock)
    await clients.delete()
    assert len((await clients.ours.list_fires(pb.ListFiresRequest(name=NAME))).fires) == 1
    answer = await clients.ours.diff_revisions(pb.DiffRevisionsRequest(name=NAME))
    assert "deleted" in {each.field for each in answer.differences}


async def test_browsers_can_read_with_json(clients: Clients) -> None:
    await clients.deploy()
    async with httpx.AsyncClient() as browser:
        answer = await browser.post(
            f"{clients.ours._address}/wingbeat.automation.v1.AutomationService/GetSchedulerHealth", json={}
        )
    assert answer.json()["activeTriggers"] == "1"


async def test_a_backfill_shows_the_exact_list_first_and_is_seen_through(clients: Clients, database: Database) -> None:
    await clients.deploy("0 * * * *")
    wanted = pb.BackfillTriggerRequest(
        name=NAME, begin=stamp(T0 - 3 * HOUR), end=stamp(T0), max_running=2, dry_run=True
    )
    plan = await clients.ours.backfill_trigger(wanted)
    assert [minutes(slot.at) / 60 for slot in plan.slots] == [-3, -2, -1]
    assert (plan.left_out, plan.HasField("backfill")) == (0, False)
    assert (await clients.ours.list_backfills(pb.ListBackfillsRequest())).backfills == []
    wanted.dry_run = False
    started = (await clients.ours.backfill_trigger(wanted)).backfill
    assert (started.state, started.slots, started.started) == (pb.BACKFILL_STATE_RUNNING, 3, 0)
    await Backfiller(database, Firer(DEFAULTS, DOMAINS), Metrics()).tick()
    (listed,) = (await clients.ours.list_backfills(pb.ListBackfillsRequest(name=NAME))).backfills
    assert (listed.id, listed.started, listed.running) == (started.id, 2, 2)
    assert (await clients.ours.get_backfill(pb.GetBackfillRequest(id=started.id))).backfill == listed
    fires = (await clients.ours.list_fires(pb.ListFiresRequest(name=NAME, kinds=[pb.FIRE_KIND_BACKFILL]))).fires
    assert sorted(minutes(fire.first_slot) / 60 for fire in fires) == [-3, -2]


async def test_a_backfill_is_paused_resumed_and_cancelled(clients: Clients) -> None:
    await clients.deploy("0 * * * *")
    wanted = pb.BackfillTriggerRequest(name=NAME, begin=stamp(T0 - 3 * HOUR), end=stamp(T0))
    found = (await clients.ours.backfill_trigger(wanted)).backfill.id
    paused = (await clients.ours.pause_backfill(pb.PauseBackfillRequest(id=found))).backfill
    resumed = (await clients.ours.resume_backfill(pb.ResumeBackfillRequest(id=found))).backfill
    cancelled = (await clients.ours.cancel_backfill(pb.CancelBackfillRequest(id=found))).backfill
    assert [pb.BackfillState.Name(each.state)[15:] for each in (paused, resumed, cancelled)] == [
        "PAUSED",
        "RUNNING",
        "CANCELLED",
    ]
    only = pb.ListBackfillsRequest(states=[pb.BACKFILL_STATE_RUNNING, pb.BACKFILL_STATE_PAUSED])
    assert (await clients.ours.list_backfills(only)).backfills == []
    with pytest.raises(ConnectError, match="is cancelled") as refused:
        await clients.ours.resume_backfill(pb.ResumeBackfillRequest(id=found))
    assert refused.value.code == Code.FAILED_PRECONDITION


async def test_a_number_that_cannot_be_stored_is_told_with_its_field(clients: Clients) -> None:
    await clients.deploy()
    with pytest.raises(ConnectError, match=r"^old is 18446744073709551615: .* cannot be stored") as refused:
        await clients.ours.diff_revisions(pb.DiffRevisionsRequest(name=NAME, old=2**64 - 1))
    assert refused.value.code is Code.INVALID_ARGUMENT
