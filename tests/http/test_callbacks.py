"""Signals by address, through the ASGI application; the conditions themselves are on the database."""

import json
from collections.abc import AsyncGenerator
from typing import Any, cast

import httpx
import pytest

from tests.conftest import T0, FakeClock
from tests.deployed import DEFAULTS, DOMAINS, TASK, deploy_task
from wingbeat.core.action import Phase, TaskRef
from wingbeat.core.callback import Callback, Callbacks
from wingbeat.core.condition import ConditionChild, Signal
from wingbeat.core.ids import ActionId, RunId, Scope
from wingbeat.core.value import ValueType
from wingbeat.errors import Conflict, Unstorable, WingbeatError
from wingbeat.http import callbacks as edge
from wingbeat.http.callbacks import CallbackEdge
from wingbeat.operations import conditions, ending, runs
from wingbeat.operations.runs import RunRequest
from wingbeat.store import actions, signals
from wingbeat.store.database import Database, open_database

CALLBACKS = Callbacks("http://wingbeat", b"s" * 32)
RUN = RunId(TASK.project, TASK.domain, "r")
CONDITION = ActionId(RUN, "c1")
ADDRESS = CALLBACKS.uri(Callback(CONDITION, T0))


@pytest.fixture
async def database(tmp_path: Any, clock: FakeClock) -> AsyncGenerator[Database]:
    """With a condition of type FLOAT that waits."""
    database = await open_database(str(tmp_path / "wingbeat.db"), clock)
    await deploy_task(database)
    request = RunRequest(scope=Scope(TASK.project, TASK.domain), wanted=TASK, name="r")
    await database.write(lambda tx: runs.create(tx, request, defaults=DEFAULTS, domains=DOMAINS, fresh_name="x"))
    ref = TaskRef(TASK, "condition", "price", "price", "", "digest")
    child = ConditionChild(CONDITION, "a0", "", "s3://b", ref, b"", ValueType.FLOAT, timeout=None, notifies=False)
    await database.write(lambda tx: conditions.enqueue(tx, child))
    try:
        yield database
    finally:
        await database.close()


@pytest.fixture
async def client(database: Database) -> AsyncGenerator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=cast("Any", CallbackEdge(database, CALLBACKS)))
    async with httpx.AsyncClient(transport=transport) as client:
        yield client


async def phase(database: Database) -> Phase:
    action = await database.read(lambda tx: actions.find(tx, CONDITION))
    assert action
    return action.phase


async def test_a_post_signals_the_condition_once(client: httpx.AsyncClient, database: Database) -> None:
    first = await client.post(ADDRESS, json={"value": 3, "comment": "cheap"})
    assert (first.status_code, first.text) == (200, "signalled\n")
    again = await client.post(ADDRESS, json={"value": 3.0})
    assert (again.status_code, again.text) == (200, "signalled before with the same value\n")
    given = await database.read(lambda tx: signals.find(tx, CONDITION))
    assert given == Signal(3.0, edge.SIGNALLER, T0)
    assert (await client.post(ADDRESS, json={"value": 4})).status_code == 409


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("", "the body must be JSON such as"),
        ("value=3", "the body must be JSON such as"),
        ("[3]", "the body must be JSON such as"),
        ("3", "the body must be JSON such as"),
        ('{"Value": 3}', "the body must be JSON such as"),
        ('{"value": NaN}', "the body must be JSON such as"),
        ("[" * 100_000, "the body must be JSON such as"),
        ('{"value": null}', "value must be true, false, a number or a text"),
        ('{"value": [3]}', "value must be true, false, a number or a text"),
        ('{"value": "3"}', "is of type STRING, and FLOAT is declared"),
        ('{"value": true}', "is of type BOOLEAN, and FLOAT is declared"),
        ('{"value": 1' + "0" * 400 + "}", "is of type INTEGER, and FLOAT is declared"),
        ('{"value": "\\ud800"}', "is of type STRING"),
        (b'{"value": "\xff"}', "the body must be JSON such as"),
    ],
)
async def test_what_is_no_value_of_the_type_is_refused(
    client: httpx.AsyncClient, database: Database, body: str | bytes, words: str
) -> None:
    answer = await client.post(ADDRESS, content=body)
    assert (answer.status_code, words in answer.text) == (400, True), answer.text
    assert await phase(database) is Phase.PAUSED


async def test_only_a_post_of_moderate_size_has_an_effect(client: httpx.AsyncClient, database: Database) -> None:
    for method in ("GET", "HEAD", "PUT", "DELETE"):
        answer = await client.request(method, ADDRESS)
        assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    large = json.dumps({"value": 3, "more": "x" * edge.MAX_BODY})
    assert (await client.post(ADDRESS, content=large)).status_code == 413
    assert await phase(database) is Phase.PAUSED


@pytest.mark.parametrize(
    ("old", "new"), [("/c1", "/a0"), ("since=1", "since=2"), ("signature=", "signature=0"), ("?since", "?then")]
)
async def test_addresses_that_were_not_made_here_are_refused(client: httpx.AsyncClient, old: str, new: str) -> None:
    answer = await client.post(ADDRESS.replace(old, new), json={"value": 3})
    assert answer.status_code == 403


async def test_an_address_is_good_as_long_as_its_condition_waits(client: httpx.AsyncClient, database: Database) -> None:
    await database.write(lambda tx: ending.abort(tx, ActionId(RUN, "a0"), "enough"))
    answer = await client.post(ADDRESS, json={"value": 3})
    assert (answer.status_code, "is over: ABORTED" in answer.text) == (409, True)


async def test_an_address_of_a_run_that_is_gone_finds_nothing(client: httpx.AsyncClient) -> None:
    gone = CALLBACKS.uri(Callback(ActionId(RUN, "c2"), T0))
    assert (await client.post(gone, json={"value": 3})).status_code == 404


@pytest.mark.parametrize(("error", "status"), [(Unstorable("no column holds it"), 400), (Conflict("changed"), 409)])
async def test_every_mistake_of_a_caller_is_told_as_one(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, error: WingbeatError, status: int
) -> None:
    async def call_back(*_: Any, **__: Any) -> bool:
        raise error

    monkeypatch.setattr(conditions, "call_back", call_back)
    answer = await client.post(ADDRESS, json={"value": 3})
    assert (answer.status_code, answer.text) == (status, f"{error}\n")
