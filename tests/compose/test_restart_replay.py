"""Runs that go on after they stopped, and runs that are done again in part."""

import asyncio
import subprocess
import sys
import textwrap
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import BaseModel

from wingbeat.compose.dag_provenance import DagProvenance
from wingbeat.compose.dag_runner import DagRunner
from wingbeat.compose.namespace import Dag, inline

calls: list[str] = []
luck = True


class Order(BaseModel):
    number: int
    at: datetime = datetime(2026, 1, 1, tzinfo=UTC)


@inline
def order(number: int) -> Order:
    calls.append("order")
    return Order(number=number)


@inline
def moment(order: Order) -> datetime:
    calls.append("moment")
    return order.at


@inline
def year(at: datetime) -> int:
    calls.append("year")
    if not luck:
        raise RuntimeError("no luck")
    return at.year


@inline
def other() -> str:
    calls.append("other")
    return "other"


@inline
def report(year: int, other: str) -> str:
    calls.append("report")
    return f"{year} {other}"


@pytest.fixture(autouse=True)
def fresh() -> None:
    calls.clear()
    set_luck(True)


@pytest.fixture
def history(tmp_path: Path) -> DagProvenance:
    return DagProvenance(tmp_path / "dags.db")


@pytest.fixture
def dag() -> Dag:
    with Dag() as dag:
        end = dag.node(report)
        _ = dag.node(order) >> dag.node(moment) >> dag.node(year) >> end
        _ = dag.node(other) >> end
    return dag


def set_luck(value: bool) -> None:
    globals()["luck"] = value


async def test_a_restart_goes_on_with_values_of_their_types(dag: Dag, history: DagProvenance) -> None:
    set_luck(False)
    runner = DagRunner(dag, history)
    failed = await runner.run({"order": {"number": 7}}, dag_nsref="m:d")
    assert (failed.status, failed.failed_node) == ("failed", "year")
    calls.clear()
    set_luck(True)
    result = await runner.restart(failed.run_id)
    assert (result.run_id, result.status, result.outputs) == (failed.run_id, "completed", {"report": "2026 other"})
    assert calls == ["year", "report"]
    found = history.get_run(result.run_id)
    assert found is not None
    assert (found["status"], found["sink_outputs_json"]) == ("completed", '{"report":"2026 other"}')


async def test_a_completed_or_unknown_run_is_not_restarted(dag: Dag, history: DagProvenance) -> None:
    runner = DagRunner(dag, history)
    done = await runner.run({"order": {"number": 7}})
    with pytest.raises(ValueError, match="has status 'completed'"):
        await runner.restart(done.run_id)
    with pytest.raises(ValueError, match="not found"):
        await runner.restart("none")
    with pytest.raises(ValueError, match="not found"):
        await DagRunner(dag).restart(done.run_id)


async def test_a_run_that_goes_on_is_not_restarted(history: DagProvenance) -> None:
    started, end = asyncio.Event(), asyncio.Event()

    async def waits() -> None:
        started.set()
        await end.wait()

    dag = Dag()
    dag.node(waits)
    runner = DagRunner(dag, history)
    run = asyncio.create_task(runner.run(run_id="r"))
    await started.wait()
    with pytest.raises(ValueError, match="cannot go on here"):
        await runner.restart("r")
    end.set()
    assert (await run).status == "completed"


async def test_a_cancelled_run_goes_on(dag: Dag, history: DagProvenance) -> None:
    begun, end = asyncio.Event(), asyncio.Event()

    async def waits(text: str) -> str:
        begun.set()
        await end.wait()
        return text

    _ = dag.nodes["report"] >> dag.node(waits)
    runner = DagRunner(dag, history)
    run = asyncio.create_task(runner.run({"order": {"number": 7}}, run_id="r"))
    await begun.wait()
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    calls.clear()
    end.set()
    assert (await runner.restart("r")).outputs == {"waits": "2026 other"}
    assert calls == []


KILLED = """
    import asyncio, os, sys
    from pathlib import Path
    from wingbeat.compose.dag_provenance import DagProvenance
    from wingbeat.compose.dag_runner import DagRunner
    from wingbeat.compose.namespace import Dag

    async def first() -> int:
        return 1

    async def second(n: int) -> int:
        os.kill(os.getpid(), 9)

    dag = Dag()
    dag.node(first) >> dag.node(second)
    asyncio.run(DagRunner(dag, DagProvenance(Path(sys.argv[1]))).run(run_id="r"))
"""


async def test_a_run_whose_process_was_killed_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "dags.db"
    killed = subprocess.run([sys.executable, "-c", textwrap.dedent(KILLED), str(path)], check=False, timeout=60)
    assert killed.returncode == -9
    history = DagProvenance(path)
    assert [run.status for run in history.get_crashed_runs()] == ["running"]

    async def first() -> int:
        raise AssertionError("it was completed")

    async def second(n: int) -> int:
        return n + 1

    dag = Dag()
    _ = dag.node(first) >> dag.node(second)
    result = await DagRunner(dag, history).restart("r")
    assert (result.status, result.outputs) == ("completed", {"second": 2})


async def test_a_replay_computes_all_that_comes_after(dag: Dag, history: DagProvenance) -> None:
    runner = DagRunner(dag, history)
    done = await runner.run({"order": {"number": 7}}, dag_nsref="m:d")
    calls.clear()
    again = await runner.replay(done.run_id, {"year"})
    assert (again.status, again.outputs, again.run_id != done.run_id) == ("completed", done.outputs, True)
    assert calls == ["year", "report"]
    found = {each["node_label"]: each["status"] for each in history.get_node_executions(again.run_id)}
    assert found == {
        "order": "skipped", "moment": "skipped", "other": "skipped", "year": "completed", "report": "completed",
    }  # fmt: skip


async def test_a_replay_of_a_replay_that_failed_goes_on(dag: Dag, history: DagProvenance) -> None:
    runner = DagRunner(dag, history)
    done = await runner.run({"order": {"number": 7}})
    set_luck(False)
    failed = await runner.replay(done.run_id, {"year"})
    set_luck(True)
    calls.clear()
    assert (await runner.restart(failed.run_id)).outputs == done.outputs
    assert calls == ["year", "report"]


async def test_a_replay_of_nodes_that_are_not_there_is_refused(dag: Dag, history: DagProvenance) -> None:
    runner = DagRunner(dag, history)
    done = await runner.run({"order": {"number": 7}})
    with pytest.raises(ValueError, match="there is no node nowhere"):
        await runner.replay(done.run_id, {"nowhere"})
    assert len(history.get_recent_runs()) == 1


async def test_an_output_that_is_not_of_its_type_any_more_is_no_plain_dict(history: DagProvenance) -> None:
    runs: list[int] = []

    def dag_of(model: type[BaseModel]) -> Dag:
        async def order() -> BaseModel:
            return model()

        async def ship(order: BaseModel) -> str:
            runs.append(1)
            if len(runs) == 1:
                raise RuntimeError("no luck")
            return "shipped"

        order.__annotations__["return"] = ship.__annotations__["order"] = model
        dag = Dag()
        _ = dag.node(order) >> dag.node(ship)
        return dag

    class Before(BaseModel):
        number: int = 7

    class After(BaseModel):
        number: int = 7
        customer: str

    failed = await DagRunner(dag_of(Before), history).run(run_id="r")
    with pytest.raises(ValueError, match=r"the output of node 'order' cannot be read: .*\n.*customer"):
        await DagRunner(dag_of(After), history).restart(failed.run_id)
    assert (await DagRunner(dag_of(Before), history).restart(failed.run_id)).outputs == {"ship": "shipped"}
