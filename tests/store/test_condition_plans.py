"""However many conditions there are, what becomes of one reads no table of theirs from one end to the other."""

from datetime import timedelta

from flyteidl2.workflow import run_definition_pb2

from tests.conftest import FakeClock
from tests.crowd import copy
from tests.deployed import DEFAULTS, DOMAINS, TASK, deploy_task
from tests.recorded import Recorded
from wingbeat.core.action import TaskRef
from wingbeat.core.callback import Callbacks
from wingbeat.core.condition import ConditionChild
from wingbeat.core.ids import ActionId, RunId, Scope
from wingbeat.core.value import ValueType
from wingbeat.core.webhook import Letter
from wingbeat.loops.notifier import Notifier
from wingbeat.loops.timekeeper import Timekeeper
from wingbeat.operations import conditions, runs
from wingbeat.operations.runs import RunRequest
from wingbeat.store import children, signals
from wingbeat.store.database import Database, Transaction, to_micros

MANY = 20_000
MINUTE = timedelta(minutes=1)
RUN = RunId(TASK.project, TASK.domain, "r")


async def enqueue(database: Database, name: str) -> None:
    spec = run_definition_pb2.ConditionAction(name="ok")
    spec.webhook.url = "https://hooks.example.org"
    ref = TaskRef(TASK, "condition", "ok", "ok", "", "digest")
    condition = ConditionChild(
        ActionId(RUN, name), "a0", "", "", ref, spec.SerializeToString(), ValueType.BOOLEAN, MINUTE, notifies=True
    )
    await database.write(lambda tx: conditions.enqueue(tx, condition))


async def crowd(tx: Transaction) -> None:
    later = {"run": "'r' || n", "action": "'c' || n"}
    at = f"{to_micros(tx.now + MINUTE)} + n"
    await copy(tx, "signal", MANY, **later)
    await copy(tx, "webhook", MANY, due_at=at, **later)
    await copy(tx, "timer", MANY, at=at, **later)
    await tx.execute("ANALYZE")


async def test_the_life_of_a_condition_scans_no_table(database: Database, clock: FakeClock) -> None:
    await deploy_task(database)
    request = RunRequest(scope=Scope(TASK.project, TASK.domain), wanted=TASK, name="r")
    await database.write(lambda tx: runs.create(tx, request, defaults=DEFAULTS, domains=DOMAINS, fresh_name="x"))
    await enqueue(database, "first")
    await enqueue(database, "second")
    await database.write(lambda tx: conditions.signal(tx, ActionId(RUN, "first"), True, by=""))
    await database.write(crowd)

    recorded, answers = Recorded(database), [503, 200]
    await enqueue(recorded, "third")

    async def post(letter: Letter) -> int:
        return answers.pop()

    await Notifier(recorded, post, Callbacks("https://here", b"s" * 32)).tick()
    assert answers == []
    await recorded.write(lambda tx: conditions.signal(tx, ActionId(RUN, "second"), True, by=""))
    await recorded.read(lambda tx: children.of_parent(tx, ActionId(RUN, "a0"), since=None))
    await recorded.read(lambda tx: signals.find(tx, ActionId(RUN, "second")))
    await recorded.write(lambda tx: signals.copy(tx, RUN, RunId(TASK.project, TASK.domain, "again")))
    clock.forward(MINUTE)
    await Timekeeper(recorded).tick()
    assert await recorded.scans(("signal", "webhook", "timer")) == {}
