"""TriggerService as a client sees it: every list, every change, every mistake."""

from collections.abc import AsyncGenerator
from datetime import timedelta
from typing import Any

import pytest
from flyteidl2.common import identifier_pb2, list_pb2
from flyteidl2.task import common_pb2, run_pb2
from flyteidl2.trigger import trigger_definition_pb2 as definition
from flyteidl2.trigger import trigger_service_pb2 as pb

from tests.conftest import FakeClock
from tests.deployed import DEFAULTS, DOMAINS, TASK, deploy_task
from tests.rpc.calling import Client, RpcError, serving
from wingbeat.core.ids import Scope, TaskId, generated_name
from wingbeat.operations import runs
from wingbeat.operations.planning import RunDefaults
from wingbeat.operations.runs import RunRequest
from wingbeat.rpc.service import broken_promises
from wingbeat.rpc.trigger_service import Triggers
from wingbeat.store.database import Database
from wingbeat.wire.triggers import name_from_proto

SERVICE = "trigger.TriggerService"
MINUTE = timedelta(minutes=1)
ASCENDING = list_pb2.Sort.ASCENDING
OTHER = TaskId(TASK.project, TASK.domain, "env.other", "v2")
NOWHERE = TaskId("elsewhere", "production", "env.main", "v1")


class Owner:
    def __init__(self, client: Client, clock: FakeClock) -> None:
        self.client, self.clock = client, clock

    async def deploy(
        self, name: str, expression: str = "0 * * * *", *, task: TaskId = TASK, revision: int = 0, **more: Any
    ) -> definition.TriggerDetails:
        automation = more.pop("automation", cron(expression) if expression else {"type": "TYPE_NONE"})
        request = pb.DeployTriggerRequest(
            name=name_of(name, task),
            revision=revision,
            spec={"active": True, "task_version": task.version} | more,
            automation_spec=automation,
        )
        return (await self.client.call(f"{SERVICE}/DeployTrigger", request, pb.DeployTriggerResponse)).trigger

    async def details(self, name: str) -> definition.TriggerDetails:
        request = pb.GetTriggerDetailsRequest(name=name_of(name))
        return (await self.client.call(f"{SERVICE}/GetTriggerDetails", request, pb.GetTriggerDetailsResponse)).trigger

    async def at(self, name: str, revision: int) -> definition.TriggerDetails:
        request = pb.GetTriggerRevisionDetailsRequest(
            id=identifier_pb2.TriggerIdentifier(name=name_of(name), revision=revision)
        )
        answer = pb.GetTriggerRevisionDetailsResponse
        return (await self.client.call(f"{SERVICE}/GetTriggerRevisionDetails", request, answer)).trigger

    async def set_active(self, active: bool, *names: str) -> None:
        request = pb.UpdateTriggersRequest(names=[name_of(name) for name in names], active=active)
        await self.client.call(f"{SERVICE}/UpdateTriggers", request, pb.UpdateTriggersResponse)

    async def delete(self, *names: str) -> None:
        request = pb.DeleteTriggersRequest(names=[name_of(name) for name in names])
        await self.client.call(f"{SERVICE}/DeleteTriggers", request, pb.DeleteTriggersResponse)

    async def history(self, name: str, **request: Any) -> pb.GetTriggerRevisionHistoryResponse:
        wanted = pb.GetTriggerRevisionHistoryRequest(name=name_of(name), request=list_pb2.ListRequest(**request))
        answer = pb.GetTriggerRevisionHistoryResponse
        return await self.client.call(f"{SERVICE}/GetTriggerRevisionHistory", wanted, answer)

    async def page(self, scope: dict[str, Any] | None = None, **request: Any) -> pb.ListTriggersResponse:
        wanted = pb.ListTriggersRequest(request=list_pb2.ListRequest(**request), **(scope or {"org": "any"}))
        return await self.client.call(f"{SERVICE}/ListTriggers", wanted, pb.ListTriggersResponse)

    async def names(self, scope: dict[str, Any] | None = None, **request: Any) -> list[str]:
        return [each.id.name.name for each in (await self.page(scope, **request)).triggers]


def cron(expression: str, timezone: str = "UTC") -> common_pb2.TriggerAutomationSpec:
    schedule = common_pb2.Schedule(cron=common_pb2.Cron(expression=expression, timezone=timezone))
    return common_pb2.TriggerAutomationSpec(type="TYPE_SCHEDULE", schedule=schedule)


def rate(value: int, unit: Any) -> common_pb2.TriggerAutomationSpec:
    schedule = common_pb2.Schedule(rate=common_pb2.FixedRate(value=value, unit=unit))
    return common_pb2.TriggerAutomationSpec(type="TYPE_SCHEDULE", schedule=schedule)


def name_of(name: str, task: TaskId = TASK) -> identifier_pb2.TriggerName:
    return identifier_pb2.TriggerName(project=task.project, domain=task.domain, task_name=task.name, name=name)


def sort(key: str, direction: Any = ASCENDING) -> dict[str, Any]:
    return {"sort_by_fields": [list_pb2.Sort(key=key, direction=direction)]}


def where(field: str, function: str, *values: str) -> dict[str, Any]:
    return {"filters": [list_pb2.Filter(field=field, function=function, values=values)]} | sort("name")


@pytest.fixture
async def owner(database: Database, clock: FakeClock) -> AsyncGenerator[Owner]:
    for task in (TASK, OTHER, NOWHERE):
        await deploy_task(database, task)
    async with serving([Triggers(database, DOMAINS, DEFAULTS)]) as client:
        yield Owner(client, clock)


@pytest.fixture
async def five(owner: Owner) -> Owner:
    """Deployed a minute apart: three of one task, one of another, one elsewhere."""
    for name, expression, task in (
        ("daily", "0 0 * * *", TASK),
        ("Hourly", "0 * * * *", TASK),
        ("manual", "", TASK),
        ("other_daily", "@daily", OTHER),
        ("x%", "0 * * * *", NOWHERE),
    ):
        await owner.deploy(name, expression, task=task)
        owner.clock.now += MINUTE
    await owner.set_active(False, "Hourly")
    return owner


async def test_a_trigger_whose_runs_could_have_no_directory_is_refused(database: Database) -> None:
    await deploy_task(database, TASK)
    defaults = RunDefaults("s3://wingbeat", allowed_bases=("s3://other",), domains=frozenset({TASK.domain}))
    async with serving([Triggers(database, DOMAINS, defaults)]) as client:
        owner = Owner(client, FakeClock())
        with pytest.raises(RpcError, match=f"invalid_argument.*'t'.*run_base_dir 's3://other/{TASK.domain}'"):
            await owner.deploy("t", run_spec={"run_base_dir": f"s3://other/{TASK.domain}"})
        assert await owner.names() == []
        await owner.deploy("t", run_spec={"run_base_dir": "s3://other/birds"})


def test_the_service_keeps_its_promises() -> None:
    assert broken_promises(Triggers) == []


PROJECT = {"project_id": identifier_pb2.ProjectIdentifier(name=TASK.project, domain=TASK.domain)}
TASK_NAME = {"task_name": {"project": TASK.project, "domain": TASK.domain, "name": TASK.name}}


@pytest.mark.parametrize(
    ("scope", "expected"),
    [
        pytest.param({"org": "any"}, ["Hourly", "daily", "manual", "other_daily", "x%"], id="everything"),
        pytest.param(PROJECT, ["Hourly", "daily", "manual", "other_daily"], id="a project's domain"),
        pytest.param(TASK_NAME, ["Hourly", "daily", "manual"], id="a task"),
        pytest.param({"task_id": TASK_NAME["task_name"] | {"version": "v1"}}, ["Hourly", "daily", "manual"], id="v1"),
        pytest.param({"task_id": TASK_NAME["task_name"] | {"version": "v2"}}, [], id="a version without triggers"),
    ],
)
async def test_a_list_shows_the_triggers_of_its_scope(five: Owner, scope: dict[str, Any], expected: list[str]) -> None:
    assert await five.names(scope, **sort("name")) == expected


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (where("name", "EQUAL", "daily"), ["daily"]),
        (where("name", "NOT_EQUAL", "daily"), ["Hourly", "manual", "other_daily", "x%"]),
        (where("name", "GREATER_THAN", "manual"), ["other_daily", "x%"]),
        (where("name", "GREATER_THAN_OR_EQUAL", "manual"), ["manual", "other_daily", "x%"]),
        (where("name", "LESS_THAN", "daily"), ["Hourly"]),
        (where("name", "LESS_THAN_OR_EQUAL", "daily"), ["Hourly", "daily"]),
        (where("name", "CONTAINS", "ou"), ["Hourly"]),
        (where("name", "CONTAINS", "hour"), []),
        (where("name", "CONTAINS_CASE_INSENSITIVE", "hour"), ["Hourly"]),
        (where("name", "CONTAINS", "%"), ["x%"]),
        (where("name", "CONTAINS", "_"), ["other_daily"]),
        (where("name", "ENDS_WITH", "daily"), ["daily", "other_daily"]),
        (where("name", "NOT_ENDS_WITH", "daily"), ["Hourly", "manual", "x%"]),
        (where("name", "VALUE_IN", "daily"), ["daily"]),
        (where("name", "VALUE_IN", "daily", "manual", "none"), ["daily", "manual"]),
        (where("name", "VALUE_NOT_IN", "daily", "manual"), ["Hourly", "other_daily", "x%"]),
        (where("active", "EQUAL", "false"), ["Hourly"]),
        (where("task_name", "EQUAL", OTHER.name), ["other_daily"]),
        (where("task_version", "EQUAL", "v2"), ["other_daily"]),
        (where("project", "EQUAL", NOWHERE.project), ["x%"]),
        (where("domain", "EQUAL", NOWHERE.domain), ["x%"]),
        (where("automation_type", "EQUAL", "TYPE_NONE"), ["manual"]),
        (where("deployed_at", "LESS_THAN", "2026-01-01T00:01:30Z"), ["Hourly", "daily"]),
        (where("updated_at", "GREATER_THAN_OR_EQUAL", "2026-01-01T01:04:00+01:00"), ["Hourly", "x%"]),
    ],
    ids=lambda value: f"{value['filters'][0]}" if isinstance(value, dict) else "",
)
async def test_a_list_is_filtered(five: Owner, wanted: dict[str, Any], expected: list[str]) -> None:
    assert await five.names(**wanted) == expected


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        pytest.param(
            {}, ["x%", "other_daily", "manual", "daily", "Hourly"], id="active first, the latest change first"
        ),
        pytest.param(sort("deployed_at"), ["daily", "Hourly", "manual", "other_daily", "x%"], id="the oldest first"),
        pytest.param(
            sort("name", list_pb2.Sort.DESCENDING), ["x%", "other_daily", "manual", "daily", "Hourly"], id="backwards"
        ),
        pytest.param(
            {"sort_by": list_pb2.Sort(key="name", direction=ASCENDING)},
            ["Hourly", "daily", "manual", "other_daily", "x%"],
            id="the deprecated way",
        ),
    ],
)
async def test_a_list_has_the_order_that_is_asked_for_page_by_page(
    five: Owner, wanted: dict[str, Any], expected: list[str]
) -> None:
    assert await five.names(**wanted) == expected
    found: list[str] = []
    page = await five.page(limit=2, **wanted)
    while page.token:
        found += [each.id.name.name for each in page.triggers]
        page = await five.page(limit=2, token=page.token, **wanted)
    assert [*found, *(each.id.name.name for each in page.triggers)] == expected


@pytest.mark.parametrize(
    ("wanted", "named"),
    [
        ({"limit": 201}, "200"),
        ({"token": "abc"}, "token"),
        (sort("owner"), "owner"),
        (where("owner", "EQUAL", "x"), "owner"),
        (where("name", "EQUAL", "a", "b"), "name"),
        (where("updated_at", "LESS_THAN", "yesterday"), "yesterday"),
    ],
    ids=str,
)
async def test_a_list_refuses_what_it_does_not_understand(five: Owner, wanted: dict[str, Any], named: str) -> None:
    with pytest.raises(RpcError, match=named) as refused:
        await five.page(**wanted)
    assert refused.value.code == "invalid_argument"


async def test_a_listed_trigger_shows_what_its_page_needs(five: Owner) -> None:
    (listed,) = (await five.page(**where("name", "EQUAL", "Hourly"))).triggers
    assert (listed.id.revision, listed.active) == (2, False)
    assert listed.automation_spec.schedule.cron.expression == "0 * * * *"
    assert listed.status.updated_at.ToDatetime() - listed.status.deployed_at.ToDatetime() == 4 * MINUTE


async def test_a_stale_revision_is_aborted_with_both_and_changes_nothing(owner: Owner) -> None:
    await owner.deploy("tick")
    await owner.deploy("tick", "5 * * * *", revision=1)
    with pytest.raises(RpcError, match="revision 1 was given, the latest is 2") as refused:
        await owner.deploy("tick", "10 * * * *", revision=1)
    assert refused.value.code == "aborted"
    found = await owner.details("tick")
    assert (found.id.revision, found.automation_spec.schedule.cron.expression) == (2, "5 * * * *")
    assert len((await owner.history("tick")).triggers) == 2


async def test_a_deleted_trigger_leaves_its_history_and_a_deployment_restores_it(owner: Owner) -> None:
    await owner.deploy("tick", description="first")
    await owner.delete("tick")
    with pytest.raises(RpcError) as gone:
        await owner.details("tick")
    assert gone.value.code == "not_found"
    assert await owner.names() == []
    assert [each.action for each in (await owner.history("tick")).triggers] == [
        definition.TRIGGER_REVISION_ACTION_DELETE,
        definition.TRIGGER_REVISION_ACTION_DEPLOY,
    ]
    assert (await owner.at("tick", 1)).spec.description == "first"
    assert not (await owner.at("tick", 2)).spec.active
    await owner.delete("tick")
    restored = await owner.deploy("tick")
    assert (restored.id.revision, restored.spec.active, restored.status.HasField("deleted_at")) == (3, True, False)
    assert await owner.names() == ["tick"]


async def test_history_comes_page_by_page_the_newest_first(owner: Owner) -> None:
    await owner.deploy("tick")
    for active in (False, True, False):
        await owner.set_active(active, "tick")
    first = await owner.history("tick", limit=3)
    rest = await owner.history("tick", limit=3, token=first.token)
    assert [each.id.revision for each in (*first.triggers, *rest.triggers)] == [4, 3, 2, 1]
    assert not rest.token
    oldest = await owner.history("tick", **sort("revision"), limit=1)
    assert [each.id.revision for each in oldest.triggers] == [1]
    for never in ("tock", "tick"):
        with pytest.raises(RpcError) as refused:
            await owner.at(never, 9)
        assert refused.value.code == "not_found"


async def test_several_change_in_one_go_or_none_does(owner: Owner) -> None:
    for name in ("a", "b"):
        await owner.deploy(name)
    await owner.set_active(False, "a", "b")
    await owner.set_active(False, "a", "b")
    assert [(await owner.details(name)).id.revision for name in ("a", "b")] == [2, 2]
    with pytest.raises(RpcError, match="missing"):
        await owner.delete("a", "missing")
    await owner.delete("a", "b")
    assert await owner.names() == []


async def test_the_time_of_the_last_fire_of_any_kind_is_shown_and_makes_no_revision(
    owner: Owner, database: Database
) -> None:
    assert not (await owner.deploy("tick")).status.HasField("triggered_at")
    owner.clock.now += 7 * MINUTE
    name = name_from_proto(name_of("tick"))
    request = RunRequest(Scope(name.project, name.domain), name)
    await database.write(
        lambda tx: runs.create(tx, request, defaults=DEFAULTS, domains=DOMAINS, fresh_name=generated_name(b"1" * 19))
    )
    found = await owner.details("tick")
    assert found.status.triggered_at.ToDatetime(owner.clock.now.tzinfo) == owner.clock.now
    assert found.id.revision == 1


LONG = "n" * 256
ANNOTATED = run_pb2.RunSpec(annotations={"values": {"wingbeat/overlapp": "skip"}})


@pytest.mark.parametrize(
    ("wanted", "named"),
    [
        pytest.param({"expression": "61 * * * *"}, "61", id="a minute that no hour has"),
        pytest.param({"expression": "* * * *"}, "has 4 fields", id="a field too few"),
        pytest.param({"expression": "0 0 31 2 *"}, "a date that never comes", id="the 31st of February"),
        pytest.param({"expression": "TZ=UTC"}, "TZ=UTC", id="a zone and nothing else"),
        pytest.param({"automation": cron("0 * * * *", "Mars/Olympus")}, "Mars/Olympus", id="an unknown zone"),
        pytest.param({"automation": rate(0, "FIXED_RATE_UNIT_MINUTE")}, "value", id="a rate of 0"),
        pytest.param({"automation": rate(5, "FIXED_RATE_UNIT_UNSPECIFIED")}, "unit", id="a rate without a unit"),
        pytest.param({"name": LONG}, "name", id="an overlong name"),
        pytest.param({"run_spec": ANNOTATED}, "wingbeat/overlapp", id="a policy that nobody knows"),
        pytest.param({"task_version": "v9"}, "v9", id="a task version that does not exist"),
    ],
)
async def test_a_mistake_is_named_before_anything_is_written(owner: Owner, wanted: dict[str, Any], named: str) -> None:
    mistaken: dict[str, Any] = {"name": "tick"} | wanted
    with pytest.raises(RpcError, match=named) as refused:
        await owner.deploy(**mistaken)
    assert refused.value.code == ("not_found" if "task_version" in wanted else "invalid_argument")
    assert await owner.names() == []
