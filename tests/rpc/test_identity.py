"""Who did it: by the header that is configured, and by no other."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass

import httpx
import pytest
from connectrpc.code import Code
from connectrpc.errors import ConnectError
from flyteidl2.auth import identity_pb2
from flyteidl2.auth.identity_connect import IdentityServiceClient
from flyteidl2.common import identifier_pb2
from flyteidl2.common import identity_pb2 as common_pb2
from flyteidl2.task import task_service_pb2
from flyteidl2.task.task_service_connect import TaskServiceClient
from flyteidl2.trigger import trigger_service_pb2
from flyteidl2.trigger.trigger_service_connect import TriggerServiceClient
from flyteidl2.workflow import run_service_pb2
from flyteidl2.workflow.run_service_connect import RunServiceClient

from tests.deployed import DEFAULTS, DOMAINS, TASK, deploy_task, task_spec
from tests.listening import listening
from wingbeat._generated.automation.v1 import automation_pb2
from wingbeat._generated.automation.v1.automation_connect import AutomationServiceClient
from wingbeat.rpc.app import build
from wingbeat.rpc.automation_service import Automation
from wingbeat.rpc.draining import Draining
from wingbeat.rpc.identity import MAX_SUBJECT, Identify, by_header, nobody
from wingbeat.rpc.identity_service import Identity
from wingbeat.rpc.run_service.service import Runs
from wingbeat.rpc.task_service import Tasks
from wingbeat.rpc.trigger_service import Triggers
from wingbeat.store.database import Database
from wingbeat.telemetry import Metrics
from wingbeat.wire import tasks as wire

NAME = identifier_pb2.TriggerName(project=TASK.project, domain=TASK.domain, task_name=TASK.name, name="tick")
TASK_NAME = {"project": TASK.project, "domain": TASK.domain, "name": TASK.name}
ADA, BOB = {"x-user": "ada"}, {"X-User": "bob"}


@dataclass
class Clients:
    url: str

    def __post_init__(self) -> None:
        self.identity = IdentityServiceClient(self.url)
        self.tasks = TaskServiceClient(self.url)
        self.triggers = TriggerServiceClient(self.url)
        self.runs = RunServiceClient(self.url)
        self.ours = AutomationServiceClient(self.url)

    async def subject(self, headers: dict[str, str]) -> str:
        return (await self.identity.user_info(identity_pb2.UserInfoRequest(), headers=headers)).subject

    async def deploy(self, headers: dict[str, str]) -> None:
        await self.triggers.deploy_trigger(
            trigger_service_pb2.DeployTriggerRequest(
                name=NAME, spec={"task_version": TASK.version, "active": True}, automation_spec={"type": "TYPE_NONE"}
            ),
            headers=headers,
        )

    async def deployed_and_updated_by(self) -> tuple[str, str]:
        request = trigger_service_pb2.GetTriggerDetailsRequest(name=NAME)
        metadata = (await self.triggers.get_trigger_details(request)).trigger.metadata
        return subject(metadata.deployed_by), subject(metadata.updated_by)


def subject(identity: common_pb2.EnrichedIdentity) -> str:
    return identity.user.id.subject


async def serving(database: Database, identify: Identify) -> AsyncGenerator[Clients]:
    await deploy_task(database)
    services = [
        Identity(identify=identify),
        Tasks(database, DOMAINS, DEFAULTS, identify=identify),
        Triggers(database, DOMAINS, DEFAULTS, identify=identify),
        Runs(database, DOMAINS, DEFAULTS, identify=identify),
        Automation(database, DOMAINS, DEFAULTS, identify=identify),
    ]
    async with listening(build(services, draining=Draining(), metrics=Metrics())) as address:
        yield Clients(address.url)


@pytest.fixture
async def clients(database: Database) -> AsyncGenerator[Clients]:
    async for clients in serving(database, by_header("X-User")):
        yield clients


@pytest.fixture
async def unknowing(database: Database) -> AsyncGenerator[Clients]:
    async for clients in serving(database, nobody):
        yield clients


async def test_callers_are_told_who_they_are(clients: Clients) -> None:
    assert await clients.subject(ADA) == "ada"
    assert await clients.subject({"x-user": " ada "}) == "ada"
    assert await clients.subject({}) == "anonymous"
    assert await clients.subject({"x-other": "ada"}) == "anonymous"


async def test_without_a_header_that_is_configured_none_is_believed(unknowing: Clients) -> None:
    assert await unknowing.subject(ADA) == "anonymous"
    await unknowing.deploy(ADA)
    assert await unknowing.deployed_and_updated_by() == ("", "")


async def test_a_header_that_is_there_twice_is_refused(clients: Clients) -> None:
    async with httpx.AsyncClient(base_url=clients.url) as http:
        answer = await http.post(
            "/flyteidl2.auth.IdentityService/UserInfo",
            content=b"{}",
            headers=[("content-type", "application/json"), ("x-user", "bob"), ("x-user", "ada")],
        )
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_argument")
    assert "must replace" in answer.json()["message"]


async def test_nobody_has_a_name_without_end(clients: Clients) -> None:
    with pytest.raises(ConnectError, match="more than 256 characters") as refused:
        await clients.subject({"x-user": "a" * (MAX_SUBJECT + 1)})
    assert refused.value.code == Code.INVALID_ARGUMENT


async def test_a_task_says_who_deployed_it(clients: Clients) -> None:
    task_id = wire.id_to_proto(TASK)
    task_id.version = "v2"
    await clients.tasks.deploy_task(
        task_service_pb2.DeployTaskRequest(
            task_id=task_id,
            spec=task_spec(),
            triggers=[{"name": "tick", "spec": {"active": True}, "automation_spec": {"type": "TYPE_NONE"}}],
        ),
        headers=ADA,
    )
    found = await clients.tasks.get_task_details(task_service_pb2.GetTaskDetailsRequest(task_id=task_id))
    assert subject(found.details.metadata.deployed_by) == "ada"
    assert await clients.deployed_and_updated_by() == ("ada", "ada")


async def test_a_trigger_says_who_deployed_it_and_who_changed_it(clients: Clients) -> None:
    await clients.deploy(ADA)
    assert await clients.deployed_and_updated_by() == ("ada", "ada")
    await clients.deploy(BOB)
    assert await clients.deployed_and_updated_by() == ("ada", "bob")
    await clients.triggers.update_triggers(
        trigger_service_pb2.UpdateTriggersRequest(names=[NAME], active=False), headers=ADA
    )
    assert await clients.deployed_and_updated_by() == ("ada", "ada")
    await clients.triggers.delete_triggers(trigger_service_pb2.DeleteTriggersRequest(names=[NAME]), headers=BOB)
    history = await clients.triggers.get_trigger_revision_history(
        trigger_service_pb2.GetTriggerRevisionHistoryRequest(name=NAME)
    )
    assert [subject(each.metadata.updated_by) for each in history.triggers] == ["bob", "ada", "bob", "ada"]


async def test_a_list_of_triggers_says_so_too(clients: Clients) -> None:
    await clients.deploy(ADA)
    listed = await clients.triggers.list_triggers(trigger_service_pb2.ListTriggersRequest(task_name=TASK_NAME))
    assert [subject(each.metadata.deployed_by) for each in listed.triggers] == ["ada"]


async def test_a_run_says_who_started_it(clients: Clients) -> None:
    run_id = identifier_pb2.RunIdentifier(project=TASK.project, domain=TASK.domain, name="r1")
    await clients.runs.create_run(
        run_service_pb2.CreateRunRequest(run_id=run_id, task_id=wire.id_to_proto(TASK)), headers=ADA
    )
    request = run_service_pb2.GetRunDetailsRequest(run_id=run_id)
    details = (await clients.runs.get_run_details(request)).details
    assert subject(details.action.metadata.executed_by) == "ada"


async def test_what_our_own_api_does_has_a_name_to_it(clients: Clients) -> None:
    await clients.deploy(ADA)
    fired = await clients.ours.fire_trigger(automation_pb2.FireTriggerRequest(name=NAME), headers=BOB)
    details = await clients.runs.get_run_details(run_service_pb2.GetRunDetailsRequest(run_id=fired.run))
    assert subject(details.details.action.metadata.executed_by) == "bob"
    await clients.ours.pause_trigger(automation_pb2.PauseTriggerRequest(name=NAME), headers=BOB)
    assert await clients.deployed_and_updated_by() == ("ada", "bob")
