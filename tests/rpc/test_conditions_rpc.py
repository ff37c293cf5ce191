import math
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from flyteidl2.actions import actions_service_pb2 as actions_pb
from flyteidl2.common import identifier_pb2, identity_pb2, phase_pb2
from flyteidl2.core import types_pb2
from flyteidl2.core.types_pb2 import LiteralType
from flyteidl2.dataproxy import dataproxy_service_pb2 as data_pb
from flyteidl2.workflow import run_definition_pb2
from flyteidl2.workflow import run_service_pb2 as pb

from tests.conftest import T0, FakeClock
from tests.deployed import DEFAULTS, DOMAINS, TASK, deploy_task
from tests.loops.node import blobs_in
from tests.rpc.calling import Client, RpcError, serving
from wingbeat.core.action import Phase
from wingbeat.core.ids import Scope
from wingbeat.operations import actions, runs, timeouts
from wingbeat.operations.runs import RunRequest
from wingbeat.rpc.actions_service import Actions
from wingbeat.rpc.dataproxy_service import DataProxy, DataProxyLimits
from wingbeat.rpc.identity import Identify, by_header, nobody
from wingbeat.rpc.run_service.service import Runs
from wingbeat.store import timers
from wingbeat.store.database import Database
from wingbeat.wire import values

RUN = identifier_pb2.RunIdentifier(project=TASK.project, domain=TASK.domain, name="r")
CONDITION = identifier_pb2.ActionIdentifier(run=RUN, name="c1")
RUNS, ACTIONS, DATA = "workflow.RunService", "actions.ActionsService", "dataproxy.DataProxyService"
BOOLEAN = LiteralType(simple=types_pb2.BOOLEAN)


@pytest.fixture
async def client(database: Database, tmp_path: Path) -> AsyncGenerator[Client]:
    """Of a server with a run whose first action is running."""
    await deploy_task(database)
    request = RunRequest(scope=Scope(TASK.project, TASK.domain), wanted=TASK, name="r")
    await database.write(lambda tx: runs.create(tx, request, defaults=DEFAULTS, domains=DOMAINS, fresh_name="x"))
    await database.write(lambda tx: actions.claim(tx, "n1", 1))
    identify, blobs = by_header("x-user"), blobs_in(tmp_path)
    logs: Any = None
    data = DataProxy(database, blobs, logs, domains=DOMAINS, limits=DataProxyLimits())
    services = [
        Runs(database, DOMAINS, DEFAULTS, identify=identify),
        Actions(database, blobs, identify=identify),
        data,
    ]
    async with serving(services) as client:
        yield client


async def enqueue(client: Client, **fields: Any) -> None:
    wanted: dict[str, Any] = {"name": "approval", "prompt": "Good?", "type": BOOLEAN} | fields
    condition = run_definition_pb2.ConditionAction(**wanted)
    action = actions_pb.Action(
        action_id=CONDITION,
        parent_action_name="a0",
        input_uri="s3://b/i/inputs.pb",
        run_output_base="s3://b/",
        condition=condition,
    )
    await client.call(f"{ACTIONS}/Enqueue", actions_pb.EnqueueRequest(action=action), actions_pb.EnqueueResponse)


async def signal_event(client: Client, payload: pb.EventPayload, *, parent: str = "", by: str = "") -> None:
    client.http.headers["x-user"] = by
    request = pb.SignalEventRequest(action_id=CONDITION, parent_action_name=parent, payload=payload)
    await client.call(f"{RUNS}/SignalEvent", request, pb.SignalEventResponse)


async def details(client: Client) -> run_definition_pb2.ActionDetails:
    request = pb.GetActionDetailsRequest(action_id=CONDITION)
    return (await client.call(f"{RUNS}/GetActionDetails", request, pb.GetActionDetailsResponse)).details


async def test_a_condition_shows_what_it_waits_for(client: Client) -> None:
    await enqueue(client)
    shown = await details(client)
    assert shown.status.phase == phase_pb2.ACTION_PHASE_PAUSED
    assert (shown.condition.name, shown.condition.prompt) == ("approval", "Good?")
    assert (shown.metadata.condition.name, shown.metadata.condition.type) == ("approval", BOOLEAN)
    assert shown.metadata.action_type == run_definition_pb2.ACTION_TYPE_CONDITION
    assert shown.metadata.parent == "a0"
    listed = await client.call(f"{RUNS}/ListActions", pb.ListActionsRequest(run_id=RUN), pb.ListActionsResponse)
    assert [each.metadata.condition.type for each in listed.actions if each.id.name == "c1"] == [BOOLEAN]
    paused = pb.ListRunsRequest(paused_actions_only=True)
    paused.project_id.name, paused.project_id.domain = RUN.project, RUN.domain
    found = await client.call(f"{RUNS}/ListRuns", paused, pb.ListRunsResponse)
    assert [each.action.id.run.name for each in found.runs] == ["r"]


async def test_a_signalled_condition_shows_what_it_was_given_and_by_whom(client: Client, clock: FakeClock) -> None:
    await enqueue(client)
    clock.forward(timedelta(seconds=3))
    await signal_event(client, pb.EventPayload(bool_value=True), parent="a0", by="ada")
    shown = await details(client)
    assert shown.status.phase == phase_pb2.ACTION_PHASE_SUCCEEDED
    assert shown.signal_info.signalled_by.user.id.subject == "ada"
    assert values.literal_value(shown.signal_info.output) is True
    (attempt,) = shown.attempts
    assert [transition.phase for transition in attempt.phase_transitions] == [
        phase_pb2.ACTION_PHASE_PAUSED,
        phase_pb2.ACTION_PHASE_SUCCEEDED,
    ]
    assert attempt.end_time.ToDatetime(T0.tzinfo) == clock()
    assert [event.message for event in attempt.cluster_events] == ["signalled by ada"]


async def test_the_data_of_a_signalled_condition_is_its_value(client: Client) -> None:
    async def outputs() -> list[tuple[str, Any]]:
        request = data_pb.GetActionDataRequest(action_id=CONDITION)
        answer = await client.call(f"{DATA}/GetActionData", request, data_pb.GetActionDataResponse)
        return [(each.name, values.literal_value(each.value)) for each in answer.outputs.literals]

    await enqueue(client)
    assert await outputs() == []
    await signal_event(client, pb.EventPayload(bool_value=False))
    assert await outputs() == [("o0", False)]


@pytest.mark.parametrize(
    ("declared", "payload", "value"),
    [
        (LiteralType(simple=types_pb2.INTEGER), pb.EventPayload(int_value=-7), -7),
        (LiteralType(simple=types_pb2.FLOAT), pb.EventPayload(float_value=0.5), 0.5),
        (LiteralType(simple=types_pb2.STRING), pb.EventPayload(string_value=""), ""),
        (LiteralType(simple=types_pb2.BOOLEAN), pb.EventPayload(bool_value=False), False),
    ],
)
async def test_the_parent_gets_the_value_in_an_update(
    client: Client,
    database: Database,
    tmp_path: Path,
    declared: LiteralType,
    payload: pb.EventPayload,
    value: Any,
) -> None:
    await enqueue(client, type=declared)
    await signal_event(client, payload)
    parent = identifier_pb2.ActionIdentifier(run=RUN, name="a0")
    ctx: Any = None
    stream: Any = Actions(database, blobs_in(tmp_path)).watch_for_updates(
        actions_pb.WatchForUpdatesRequest(parent_action_id=parent), ctx
    )
    async with aclosing(stream) as updates:
        update = (await anext(updates)).action_update
    assert update.phase == phase_pb2.ACTION_PHASE_SUCCEEDED
    given = values.literal_value(update.value)
    assert (type(given), given) == (type(value), value)


async def test_a_condition_that_timed_out_shows_its_error(client: Client, database: Database, clock: FakeClock) -> None:
    await enqueue(client, timeout={"seconds": 60})
    clock.forward(timedelta(seconds=60))
    (timer,) = await database.read(lambda tx: timers.due(tx, 9))
    assert await database.write(lambda tx: timeouts.expire(tx, timer))
    shown = await details(client)
    assert (shown.status.phase, shown.error_info.code) == (phase_pb2.ACTION_PHASE_TIMED_OUT, "ConditionTimedOut")
    assert shown.attempts[0].error_info.code == "ConditionTimedOut"
    with pytest.raises(RpcError, match=r"failed_precondition: .* is over: TIMED_OUT"):
        await signal_event(client, pb.EventPayload(bool_value=True))


@pytest.mark.parametrize(
    ("identify", "caller", "signaller"),
    [(nobody, "", "bob"), (by_header("x-user"), "ada", "ada"), (by_header("x-user"), "", "")],
    ids=["nobody vouches for callers", "the caller is known", "the caller is not known"],
)
async def test_a_caller_cannot_sign_with_another_name(
    client: Client, database: Database, tmp_path: Path, identify: Identify, caller: str, signaller: str
) -> None:
    await enqueue(client)
    claimed = identity_pb2.EnrichedIdentity()
    claimed.user.id.subject = "bob"
    request = actions_pb.SignalRequest(
        action_id=CONDITION, parent_action_name="a0", value=values.literal(True), signalled_by=claimed
    )
    async with serving([Actions(database, blobs_in(tmp_path), identify=identify)]) as plain:
        plain.http.headers["x-user"] = caller
        await plain.call(f"{ACTIONS}/Signal", request, actions_pb.SignalResponse)
    assert (await details(client)).signal_info.signalled_by.user.id.subject == signaller


async def test_following_a_condition_ends_with_it(client: Client, database: Database, clock: FakeClock) -> None:
    """However it ends: here by its time-out."""
    await enqueue(client, timeout={"seconds": 60})
    ctx: Any = None
    service: Any = Runs(database, DOMAINS, DEFAULTS)
    stream = service.watch_action_details(pb.WatchActionDetailsRequest(action_id=CONDITION), ctx)
    first = await anext(stream)
    clock.forward(timedelta(seconds=60))
    (timer,) = await database.read(lambda tx: timers.due(tx, 9))
    await database.write(lambda tx: timeouts.expire(tx, timer))
    phases = [first.details.status.phase, *[each.details.status.phase async for each in stream]]
    assert phases == [phase_pb2.ACTION_PHASE_PAUSED, phase_pb2.ACTION_PHASE_TIMED_OUT]


@pytest.mark.parametrize(
    ("payload", "parent", "words"),
    [
        (pb.EventPayload(int_value=1), "", "invalid_argument: .*INTEGER, and BOOLEAN is declared"),
        (pb.EventPayload(bool_value=True), "b", "invalid_argument: parent_action_name is 'b'"),
        (pb.EventPayload(), "", "invalid_argument"),
    ],
    ids=["another type", "another parent", "no value"],
)
async def test_wrong_signals_are_the_callers_fault(
    client: Client, payload: pb.EventPayload, parent: str, words: str
) -> None:
    await enqueue(client)
    with pytest.raises(RpcError, match=words):
        await signal_event(client, payload, parent=parent)
    assert (await details(client)).status.phase == Phase.PAUSED


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"type": LiteralType(simple=types_pb2.DATETIME)}, "is of type DATETIME: it must be BOOLEAN"),
        ({"type": LiteralType(collection_type=BOOLEAN)}, "is of type collection_type"),
        ({"type": LiteralType()}, "is of type none"),
        ({"timeout": {"seconds": -1}}, "not from 0 s to 100 years"),
        ({"timeout": {"seconds": 315576000000}}, "not from 0 s to 100 years"),
        ({"webhook": {"url": "ftp://x/y"}}, "must begin with http:// or https://"),
        ({"webhook": {"url": "https:///path"}}, "must begin with http:// or https://"),
        ({"webhook": {"url": "http://[bad"}}, "must begin with http:// or https://"),
        ({"webhook": {"url": "http://inside\\@hooks.example.org/"}}, "write all but the characters of URLs as %XX"),
        ({"webhook": {"url": "http://x/a b"}}, "write all but the characters of URLs as %XX"),
        ({"webhook": {"url": "http://x", "payload": {"text": "x" * 2**20}}}, r"webhook\.payload has \d+ bytes"),
        ({"webhook": {"url": "http://x/y", "payload": {"n": math.nan}}}, "webhook.payload cannot be written as JSON"),
    ],
)
async def test_conditions_that_nobody_could_meet_are_refused(
    client: Client, fields: dict[str, Any], words: str
) -> None:
    with pytest.raises(RpcError, match=f"invalid_argument: .*{words}"):
        await enqueue(client, **fields)


async def test_a_repeated_condition_exists_already(client: Client) -> None:
    await enqueue(client)
    with pytest.raises(RpcError, match="already_exists"):
        await enqueue(client)
