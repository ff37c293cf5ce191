import asyncio
import json
from datetime import timedelta

import pytest
from flyteidl2.workflow import run_definition_pb2

from tests.conftest import T0, FakeClock
from tests.deployed import DEFAULTS, DOMAINS, TASK, deploy_task
from wingbeat.core.action import Phase, TaskRef
from wingbeat.core.callback import Callback, Callbacks
from wingbeat.core.condition import ConditionChild
from wingbeat.core.ids import ActionId, RunId, Scope
from wingbeat.core.value import ValueType
from wingbeat.core.webhook import TRIES, Letter
from wingbeat.errors import PermissionDenied, Unavailable
from wingbeat.loops.notifier import LEASE, Notifier
from wingbeat.operations import conditions, runs
from wingbeat.operations.runs import RunRequest
from wingbeat.store import actions, events, webhooks
from wingbeat.store.database import Database

CALLBACKS = Callbacks("https://wingbeat.example.org", b"s" * 32)
RUN = RunId(TASK.project, TASK.domain, "r")
CONDITION = ActionId(RUN, "c1")
HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
async def condition(database: Database) -> None:
    """One that waits, and whose webhook is to be told."""
    await deploy_task(database)
    request = RunRequest(scope=Scope(TASK.project, TASK.domain), wanted=TASK, name="r")
    await database.write(lambda tx: runs.create(tx, request, defaults=DEFAULTS, domains=DOMAINS, fresh_name="x"))
    await enqueue(database, CONDITION)


async def enqueue(database: Database, named: ActionId) -> None:
    spec = run_definition_pb2.ConditionAction(name="ok")
    spec.webhook.url = "https://hooks.example.org/secret"
    spec.webhook.payload.update({"text": "go to {callback_uri}!", "list": [{"n": 1}, 2.5, None, True]})
    ref = TaskRef(TASK, "condition", "ok", "ok", "", f"digest of {spec.name}")
    child = ConditionChild(
        named, "a0", "", "s3://b", ref, spec.SerializeToString(), ValueType.BOOLEAN, timeout=None, notifies=True
    )
    await database.write(lambda tx: conditions.enqueue(tx, child))


class Post:
    """Answers with the next of `answers`; the last one again and again."""

    def __init__(self, *answers: int | Unavailable) -> None:
        self._answers = list(answers)
        self.letters: list[Letter] = []

    async def __call__(self, letter: Letter) -> int:
        self.letters.append(letter)
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Unavailable):
            raise answer
        return answer


async def history(database: Database) -> list[str]:
    entered = await database.read(lambda tx: events.first_entries(tx, CONDITION))
    return [change.message for change in entered if change.message]


async def test_a_webhook_is_told_once_with_the_address_of_its_condition(database: Database) -> None:
    post = Post(204)
    notifier = Notifier(database, post, CALLBACKS)
    assert await notifier.tick() is None
    assert await notifier.tick() is None
    (letter,) = post.letters
    assert (letter.url, letter.key) == (
        "https://hooks.example.org/secret",
        f"{RUN.project}/{RUN.domain}/r/c1",
    )
    uri = CALLBACKS.uri(Callback(CONDITION, T0))
    assert json.loads(letter.body) == {"text": f"go to {uri}!", "list": [{"n": 1}, 2.5, None, True]}
    assert await history(database) == ["the webhook at hooks.example.org was told"]


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        (500, "it answered 500"),
        (404, "it answered 404"),
        (302, "it answered 302, and redirects are not followed"),
        (Unavailable("no connection"), "no connection"),
    ],
)
async def test_one_that_does_not_take_it_is_told_again_later(
    database: Database, clock: FakeClock, failure: int | Unavailable, words: str
) -> None:
    post = Post(failure, 200)
    notifier = Notifier(database, post, CALLBACKS)
    assert await notifier.tick() == 1.0
    assert await notifier.tick() == 1.0
    clock.forward(timedelta(seconds=1))
    assert await notifier.tick() is None
    first, second = post.letters
    assert first == second
    assert await history(database) == [
        f"the webhook at hooks.example.org is not told yet: {words}",
        "the webhook at hooks.example.org was told",
    ]


async def test_one_that_never_takes_it_is_given_up_and_the_condition_says_so(
    database: Database, clock: FakeClock
) -> None:
    post = Post(503)
    notifier = Notifier(database, post, CALLBACKS)
    while await notifier.tick() is not None:
        clock.forward(HOUR)
    assert len(post.letters) == TRIES
    assert (await history(database))[-1] == (
        f"the webhook at hooks.example.org was not told: {TRIES} times, the last time it answered 503"
    )
    action = await database.read(lambda tx: actions.find(tx, CONDITION))
    assert action is not None
    assert action.phase is Phase.PAUSED


async def test_a_host_that_is_not_allowed_is_never_called(database: Database) -> None:
    post = Post(200)
    assert await Notifier(database, post, CALLBACKS, hosts=("example.net",)).tick() is None
    assert post.letters == []
    assert await history(database) == [
        "the webhook at hooks.example.org was not told: the setting webhooks.hosts does not name hooks.example.org"
    ]


async def test_what_must_not_be_told_is_given_up_at_once(database: Database) -> None:
    async def post(letter: Letter) -> int:
        raise PermissionDenied("hooks.example.org has a loopback address")

    assert await Notifier(database, post, CALLBACKS).tick() is None
    assert await history(database) == [
        "the webhook at hooks.example.org was not told: hooks.example.org has a loopback address"
    ]


async def test_nobody_is_told_of_a_condition_that_is_over(database: Database) -> None:
    await database.write(lambda tx: conditions.signal(tx, CONDITION, True, by=""))
    post = Post(200)
    assert await Notifier(database, post, CALLBACKS).tick() is None
    assert post.letters == []


async def test_nothing_is_said_of_a_condition_that_was_signalled_by_the_answer_itself(database: Database) -> None:
    async def post(letter: Letter) -> int:
        await database.write(lambda tx: conditions.signal(tx, CONDITION, True, by="it"))
        return 200

    assert await Notifier(database, post, CALLBACKS).tick() is None
    assert await history(database) == ["signalled by it"]


async def test_of_several_nodes_one_tells_it(database: Database) -> None:
    post = Post(200)
    await asyncio.gather(*(Notifier(database, post, CALLBACKS).tick() for _ in range(4)))
    assert len(post.letters) == 1


async def test_a_node_that_died_while_it_told_leaves_it_to_another(database: Database, clock: FakeClock) -> None:
    await database.write(lambda tx: webhooks.claim(tx, 9, lease=LEASE))
    post = Post(200)
    notifier = Notifier(database, post, CALLBACKS)
    assert await notifier.tick() == LEASE.total_seconds()
    clock.forward(LEASE)
    assert await notifier.tick() is None
    assert len(post.letters) == 1


async def test_a_node_that_took_too_long_does_not_put_off_the_try_of_another(
    database: Database, clock: FakeClock
) -> None:
    (late,) = await database.write(lambda tx: webhooks.claim(tx, 9, lease=LEASE))
    clock.forward(LEASE)
    await database.write(lambda tx: webhooks.claim(tx, 9, lease=LEASE))
    await database.write(lambda tx: webhooks.retry(tx, late, at=clock() + HOUR))
    assert await database.read(webhooks.next_at) == clock() + LEASE


async def test_a_delivery_that_fails_in_a_way_nobody_thought_of_fails_no_other(database: Database) -> None:
    await enqueue(database, ActionId(RUN, "c2"))
    told: list[str] = []

    async def post(letter: Letter) -> int:
        if letter.key.endswith("c1"):
            raise RuntimeError("surprise")
        told.append(letter.key)
        return 204

    assert await Notifier(database, post, CALLBACKS).tick() == LEASE.total_seconds()
    assert [key.rsplit("/", 1)[-1] for key in told] == ["c2"]
