"""Which rules of the protos a request must keep, and which real clients may break."""

import importlib
import pkgutil
import time
from types import ModuleType

import flyteidl2
import pytest
from flyteidl2.actions import actions_service_pb2 as actions
from flyteidl2.common import identifier_pb2 as ids
from flyteidl2.project import project_service_pb2 as project
from flyteidl2.task import common_pb2 as common
from flyteidl2.task import task_service_pb2 as task
from flyteidl2.trigger import trigger_service_pb2 as trigger
from flyteidl2.workflow import run_service_pb2 as run
from google.protobuf.message import Message

from tests.rpc.edge_services import TRIGGERS, Edge, envelope, messages
from wingbeat.errors import InvalidArgument
from wingbeat.rpc.generated import endpoints_of
from wingbeat.rpc.validation import Validating

RUN = ids.RunIdentifier(project="p", domain="d", name="r")
NAME = ids.TriggerName(project="p", domain="d", task_name="t", name="n")
VALIDATING = Validating()


def refusal(method: str, request: Message) -> str:
    try:
        VALIDATING.check(request, method=method)
    except InvalidArgument as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    ("method", "request_"),
    [
        ("GetRunDetails", run.GetRunDetailsRequest(run_id=RUN)),
        ("DeleteTriggers", trigger.DeleteTriggersRequest(names=[NAME])),
        ("ListTriggers", trigger.ListTriggersRequest(org="")),
        ("ListRuns", run.ListRunsRequest(project_id=ids.ProjectIdentifier(name="p"))),
        ("ListRuns", run.ListRunsRequest(trigger_name=ids.TriggerName(name="n"))),
        ("ListTasks", task.ListTasksRequest(project_id=ids.ProjectIdentifier())),
        ("WatchRuns", run.WatchRunsRequest(project_id=ids.ProjectIdentifier(name="p"))),
        (
            "WatchClusterEvents",
            run.WatchClusterEventsRequest(id=ids.ActionIdentifier(run=RUN, name="a0"), attempt=0),
        ),
    ],
    ids=[
        "no organisation",
        "no organisation in a list of names",
        "an empty organisation as the scope",
        "a project without its domain, listed",
        "a trigger without its task, listed",
        "no project at all, listed",
        "a project without its domain, watched",
        "attempt 0, watched",
    ],
)
def test_what_real_clients_send_is_accepted(method: str, request_: Message) -> None:
    assert refusal(method, request_) == ""


@pytest.mark.parametrize(
    ("method", "request_", "said"),
    [
        ("GetRunDetails", run.GetRunDetailsRequest(), "run_id: value is required (required)"),
        (
            "GetTriggerDetails",
            trigger.GetTriggerDetailsRequest(name=ids.TriggerName(project="p", domain="d", name="n")),
            "name.task_name: must be at least 1 characters (string.min_len)",
        ),
        (
            "DeleteTriggers",
            trigger.DeleteTriggersRequest(names=[NAME, ids.TriggerName(project="p", domain="d", task_name="t")]),
            "names[1].name: must be at least 1 characters (string.min_len)",
        ),
        ("ListRuns", run.ListRunsRequest(), "scope_by: exactly one field is required in oneof (required)"),
        (
            "ListRuns",
            run.ListRunsRequest(project_id=ids.ProjectIdentifier(name="p"), trigger_name=None),
            "",
        ),
        (
            "ListRuns",
            run.ListRunsRequest(trigger_name=ids.TriggerName(name="n" * 256)),
            "trigger_name.name: must be at most 255 characters (string.max_len)",
        ),
        (
            "GetRunDetails",
            run.GetRunDetailsRequest(run_id=ids.RunIdentifier(org="o" * 64, project="p", domain="d", name="r")),
            "run_id.org: must be at most 63 characters (string.max_len)",
        ),
        (
            "TailLogs",
            run.GetActionLogContextRequest(action_id=ids.ActionIdentifier(run=RUN, name="a0")),
            "attempt: must be greater than 0 (uint32.gt)",
        ),
    ],
    ids=[
        "nothing",
        "a name in part, read",
        "the second of several names",
        "a list without scope",
        "a list with scope",
        "a name too long, listed",
        "an organisation too long",
        "attempt 0 where it means nothing",
    ],
)
def test_what_is_refused_names_the_field_and_the_rule(method: str, request_: Message, said: str) -> None:
    assert refusal(method, request_) == said


def test_attempt_0_of_an_update_is_accepted_and_the_rest_of_it_is_not() -> None:
    assert refusal("Update", actions.UpdateRequest()) == (
        "action_id: value is required (required); status: value is required (required)"
    )


def test_a_request_with_many_faults_names_the_first_few() -> None:
    request = trigger.DeleteTriggersRequest(names=[ids.TriggerName()] * 5)
    assert refusal("DeleteTriggers", request).endswith("; and 15 more")


@pytest.mark.parametrize(
    ("phases", "said"),
    [
        ([5, 6], ""),
        ([9], ""),
        ([9, 6], "must not have other phases"),
        ([], "give one or more of the phases"),
        ([6, 6], "each once"),
        ([4], "on_phases[0]: must be in list [5, 6, 7, 8, 9]"),
    ],
    ids=["ends", "paused alone", "paused among others", "none", "one twice", "one of no interest"],
)
def test_notification_rules_are_checked_although_the_validator_cannot(phases: list[int], said: str) -> None:
    request = run.CreateRunRequest(run_id=RUN, task_id={"project": "p", "domain": "d", "name": "t", "version": "v"})
    rule = request.run_spec.notification_rules.rules.add(on_phases=phases, delivery_config_name="mail")
    assert (said in refusal("CreateRun", request)) if said else refusal("CreateRun", request) == ""
    assert list(rule.on_phases) == phases


def large_inputs() -> common.Inputs:
    inputs = common.Inputs()
    for number in range(20_000):
        inputs.literals.add(name=f"n{number}").value.scalar.primitive.integer = number
    return inputs


@pytest.mark.parametrize(
    ("method", "request_", "said"),
    [
        (
            "DeployTrigger",
            trigger.DeployTriggerRequest(name=NAME, spec={"inputs": large_inputs()}),
            "spec.task_version: must be at least 1 characters (string.min_len)",
        ),
        (
            "DeployTask",
            task.DeployTaskRequest(triggers=[{"spec": {"inputs": large_inputs()}}]),
            "task_id: value is required (required)",
        ),
    ],
    ids=["one trigger", "a task with triggers"],
)
def test_large_inputs_are_not_looked_through_and_the_rest_still_is(method: str, request_: Message, said: str) -> None:
    before = request_.SerializeToString(deterministic=True)
    refusal(method, type(request_)())
    started = time.process_time()
    assert said in refusal(method, request_)
    assert time.process_time() - started < 0.1
    assert request_.SerializeToString(deterministic=True) == before


async def test_a_refusal_reaches_the_client_as_invalid_argument(edge: Edge) -> None:
    response = await edge.post_json(f"{TRIGGERS}/UpdateTriggers", {"names": []})
    assert response.status_code == 400
    assert response.json() == {
        "code": "invalid_argument",
        "message": "names: must contain at least 1 item(s) (repeated.min_items)",
    }


async def test_a_stream_is_refused_before_it_begins(edge: Edge) -> None:
    response = await edge.http.post(
        "/flyteidl2.workflow.RunService/WatchRuns",
        content=envelope(b"{}"),
        headers={"content-type": "application/connect+json"},
    )
    (end,) = messages(response.content)
    assert end["error"]["code"] == "invalid_argument"
    assert not edge.runs.opened.is_set()


def test_a_project_request_has_no_rules_to_break() -> None:
    assert refusal("CreateProject", project.CreateProjectRequest()) == ""


def connect_modules() -> list[ModuleType]:
    names = [module.name for module in pkgutil.walk_packages(flyteidl2.__path__, "flyteidl2.")]
    return [importlib.import_module(name) for name in names if name.endswith("_connect")]


def request_types() -> list[type[Message]]:
    endpoints = [
        endpoint
        for module in connect_modules()
        for name, protocol in vars(module).items()
        if f"{name}ASGIApplication" in vars(module)
        for endpoint in endpoints_of(protocol).values()
    ]
    return sorted({endpoint.method.input for endpoint in endpoints}, key=lambda kind: kind.DESCRIPTOR.full_name)


@pytest.mark.parametrize("kind", request_types(), ids=lambda kind: kind.DESCRIPTOR.full_name)
def test_the_rules_of_every_request_can_be_compiled(kind: type[Message]) -> None:
    refusal("Get", kind())
