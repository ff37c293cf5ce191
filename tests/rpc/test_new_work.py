"""Where new work is refused: projects that are archived or unknown, domains that nobody configured."""

from collections.abc import AsyncGenerator, Callable
from pathlib import Path

import pytest
from flyteidl2.common import identifier_pb2
from flyteidl2.dataproxy import dataproxy_service_pb2 as dataproxy
from flyteidl2.project import project_service_pb2 as project
from flyteidl2.task import common_pb2, task_definition_pb2, task_service_pb2
from flyteidl2.trigger import trigger_definition_pb2, trigger_service_pb2
from flyteidl2.workflow import run_service_pb2
from google.protobuf.message import Message

from tests.fake_executor import FakeExecutor
from tests.loops.node import blobs_in
from tests.planting import DEFAULTS, DOMAINS, deployment, plant, spec
from tests.rpc.calling import Client, RpcError, serving
from wingbeat._generated.automation.v1 import automation_pb2
from wingbeat.rpc.automation_service import Automation
from wingbeat.rpc.dataproxy_service import DataProxy, DataProxyLimits
from wingbeat.rpc.log_tail import LogTail
from wingbeat.rpc.project_service import Projects
from wingbeat.rpc.run_service.service import Runs
from wingbeat.rpc.task_service import Tasks
from wingbeat.rpc.trigger_service import Triggers
from wingbeat.store.database import Database

Call = tuple[str, Message, type[Message]]
AUTOMATION = "wingbeat.automation.v1.AutomationService"
Work = Callable[[tuple[str, str]], Call]


def deploy_task(where: tuple[str, str]) -> Call:
    task = task_definition_pb2.TaskIdentifier(project=where[0], domain=where[1], name="env.fly", version="v2")
    request = task_service_pb2.DeployTaskRequest(task_id=task, spec=spec())
    return "task.TaskService/DeployTask", request, task_service_pb2.DeployTaskResponse


def deploy_trigger(where: tuple[str, str]) -> Call:
    request = trigger_service_pb2.DeployTriggerRequest(
        name=identifier_pb2.TriggerName(project=where[0], domain=where[1], task_name="env.fly", name="weekly"),
        spec=trigger_definition_pb2.TriggerSpec(task_version="v1", active=True),
        automation_spec=common_pb2.TriggerAutomationSpec(type="TYPE_NONE"),
    )
    return "trigger.TriggerService/DeployTrigger", request, trigger_service_pb2.DeployTriggerResponse


def activate_trigger(where: tuple[str, str]) -> Call:
    name = identifier_pb2.TriggerName(project=where[0], domain=where[1], task_name="env.fly", name="daily")
    request = trigger_service_pb2.UpdateTriggersRequest(names=[name], active=True)
    return "trigger.TriggerService/UpdateTriggers", request, trigger_service_pb2.UpdateTriggersResponse


def resume_trigger(where: tuple[str, str]) -> Call:
    name = identifier_pb2.TriggerName(project=where[0], domain=where[1], task_name="env.fly", name="daily")
    request = automation_pb2.ResumeTriggerRequest(name=name)
    return f"{AUTOMATION}/ResumeTrigger", request, automation_pb2.ResumeTriggerResponse


def fire_trigger(where: tuple[str, str]) -> Call:
    name = identifier_pb2.TriggerName(project=where[0], domain=where[1], task_name="env.fly", name="daily")
    request = automation_pb2.FireTriggerRequest(name=name)
    return f"{AUTOMATION}/FireTrigger", request, automation_pb2.FireTriggerResponse


def run_task(where: tuple[str, str]) -> Call:
    request = run_service_pb2.CreateRunRequest(
        project_id=identifier_pb2.ProjectIdentifier(name=where[0], domain=where[1]),
        task_id=task_definition_pb2.TaskIdentifier(project=where[0], domain=where[1], name="env.fly", version="v1"),
    )
    return "workflow.RunService/CreateRun", request, run_service_pb2.CreateRunResponse


def run_spec(where: tuple[str, str]) -> Call:
    request = run_service_pb2.CreateRunRequest(
        project_id=identifier_pb2.ProjectIdentifier(name=where[0], domain=where[1]), task_spec=spec()
    )
    return "workflow.RunService/CreateRun", request, run_service_pb2.CreateRunResponse


def run_trigger(where: tuple[str, str]) -> Call:
    request = run_service_pb2.CreateRunRequest(
        project_id=identifier_pb2.ProjectIdentifier(name=where[0], domain=where[1]),
        trigger_name=identifier_pb2.TriggerName(project=where[0], domain=where[1], task_name="env.fly", name="daily"),
    )
    return "workflow.RunService/CreateRun", request, run_service_pb2.CreateRunResponse


def upload(where: tuple[str, str]) -> Call:
    request = dataproxy.CreateUploadLocationRequest(project=where[0], domain=where[1], content_md5=b"0123456789abcdef")
    return "dataproxy.DataProxyService/CreateUploadLocation", request, dataproxy.CreateUploadLocationResponse


def upload_inputs(where: tuple[str, str]) -> Call:
    request = dataproxy.UploadInputsRequest(
        project_id=identifier_pb2.ProjectIdentifier(name=where[0], domain=where[1]), task_spec=spec()
    )
    return "dataproxy.DataProxyService/UploadInputs", request, dataproxy.UploadInputsResponse


NEW_WORK = [deploy_task, deploy_trigger, activate_trigger, run_task, run_spec, run_trigger, upload, upload_inputs]
OF_A_TRIGGER = [resume_trigger, fire_trigger]
"""They ask for the trigger before they ask for its project."""


@pytest.fixture
async def client(database: Database, tmp_path: Path) -> AsyncGenerator[Client]:
    await plant(database, spec(), deployment())
    blobs = blobs_in(tmp_path)
    logs = LogTail(database, blobs, FakeExecutor(), node="n1")
    services = (
        Automation(database, DOMAINS, DEFAULTS),
        DataProxy(database, blobs, logs, domains=DOMAINS, limits=DataProxyLimits()),
        Projects(database, DOMAINS),
        Runs(database, DOMAINS, DEFAULTS),
        Tasks(database, DOMAINS, DEFAULTS),
        Triggers(database, DOMAINS, DEFAULTS),
    )
    async with serving(services) as client:
        yield client


async def set_state(client: Client, state: project.ProjectState) -> None:
    request = project.UpdateProjectRequest(project=project.Project(id="birds", state=state))
    await client.call("project.ProjectService/UpdateProject", request, project.UpdateProjectResponse)


@pytest.mark.parametrize("work", [*NEW_WORK, *OF_A_TRIGGER])
async def test_archived_project_refuses_until_it_is_active_again(client: Client, work: Work) -> None:
    await set_state(client, project.PROJECT_STATE_ARCHIVED)
    with pytest.raises(RpcError, match=r"failed_precondition.*'birds' is archived"):
        await client.call(*work(("birds", "development")))
    await set_state(client, project.PROJECT_STATE_ACTIVE)
    await client.call(*work(("birds", "development")))


@pytest.mark.parametrize("work", NEW_WORK)
async def test_unknown_project_and_domain_are_refused_by_name(client: Client, work: Work) -> None:
    with pytest.raises(RpcError, match=r"not_found.*'fish'"):
        await client.call(*work(("fish", "development")))
    with pytest.raises(RpcError, match=r"invalid_argument.*'production' is not configured: this server has dev"):
        await client.call(*work(("birds", "production")))
