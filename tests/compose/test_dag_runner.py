"""Runs of DAGs: what runs when, with what, and how a run ends."""

import asyncio
import logging
import sqlite3
import sys
import threading
from collections.abc import Sequence
from contextvars import ContextVar
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from wingbeat.compose.changes import Change
from wingbeat.compose.dag_provenance import DagProvenance, NullProvenance, initiated_by
from wingbeat.compose.dag_runner import DagPause, DagRunner
from wingbeat.compose.log_context import get_node_run_context
from wingbeat.compose.namespace import Dag, DagContext, Namespace, inline
from wingbeat.compose.running.threads import Threads
from wingbeat.errors import Unavailable

word: ContextVar[str] = ContextVar("word", default="unset")


@inline
def one() -> int:
    return 1


def three_numbers() -> list[int]:
    return [1, 2, 3]


def double(n: int) -> int:
    return 2 * n


def hundred_more(n: int) -> int:
    return 100 + double(n)


async def as_text(n: int) -> str:
    return str(n)


def join(left: str, right: str) -> str:
    return left + right


def broken(n: int) -> int:
    raise RuntimeError(f"no luck with {n}")


@pytest.fixture
def history(tmp_path: Path) -> DagProvenance:
    return DagProvenance(tmp_path / "dags.db")


def statuses(history: DagProvenance, run_id: str) -> dict[str, str]:
    return {each["node_label"]: each["status"] for each in history.get_node_executions(run_id)}


def chain(*callables: Any) -> Dag:
    dag = Dag()
    nodes = [dag.node(each) for each in callables]
    for before, after in pairwise(nodes):
        _ = before >> after
    return dag


# What runs


async def test_threads_the_loop_and_inline_code_are_one_chain() -> None:
    result = await chain(one, double, as_text)()
    assert (result.status, result.outputs, result.failed_node) == ("completed", {"as_text": "2"}, None)


async def test_outputs_of_the_same_type_are_told_apart_by_name() -> None:
    dag = Dag()
    join_ = dag.node(join)
    _ = dag.node(lambda: "R", label="right") >> join_
    _ = dag.node(lambda: "L", label="left") >> join_
    assert (await dag()).outputs == {"join": "LR"}


async def test_independent_nodes_run_at_the_same_time() -> None:
    met = asyncio.Barrier(3)

    async def meet() -> None:
        await met.wait()

    dag = Dag()
    for label in "abc":
        dag.node(meet, label=label)
    assert (await asyncio.wait_for(dag(), 5)).status == "completed"


async def test_independent_threads_run_at_the_same_time() -> None:
    met = threading.Barrier(12)

    def meet() -> None:
        met.wait(5)

    dag = Dag()
    for number in range(12):
        dag.node(meet, label=str(number))
    assert (await dag()).status == "completed"


async def test_a_node_that_ends_its_thread_takes_none_from_others(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = threading.Semaphore(0)

    def note(_: threading.ExceptHookArgs) -> None:
        ended.release()

    monkeypatch.setattr(threading, "excepthook", note)
    threads = Threads(most=1)
    for _ in range(3):
        with pytest.raises(KeyboardInterrupt):
            await threads.run(interrupted)
        await asyncio.to_thread(ended.acquire)
    assert await threads.run(lambda: 5) == 5


def interrupted() -> None:
    raise KeyboardInterrupt


def leave(n: int = 3) -> int:
    sys.exit(n)


@inline
def leave_inline(n: int = 3) -> int:
    sys.exit(n)


async def leave_awaited(n: int = 3) -> int:
    sys.exit(n)


@pytest.mark.parametrize("exits", [leave, leave_inline, leave_awaited])
async def test_a_node_that_calls_sys_exit_fails_and_ends_nothing_else(history: DagProvenance, exits: Any) -> None:
    dag = Dag()
    dag.node(exits)
    _ = dag.node(one) >> dag.node(as_text)
    result = await DagRunner(dag, history).run()
    assert (result.status, result.failed_node) == ("failed", exits.__name__)
    assert result.error == "the node called sys.exit(3)"
    assert statuses(history, result.run_id)[exits.__name__] == "failed"


@pytest.mark.parametrize("exits", [leave, leave_inline, leave_awaited])
async def test_a_node_that_calls_sys_exit_is_tried_again(exits: Any) -> None:
    dag = Dag()
    dag.node(exits, retries=1, timeout=5)
    assert (await dag()).error == "the node called sys.exit(3)"


@pytest.mark.parametrize("exits", [leave, leave_inline, leave_awaited])
async def test_a_node_inside_of_a_node_that_calls_sys_exit_fails_both(exits: Any) -> None:
    inner, dag = Dag(), Dag()
    inner.node(exits)
    _ = dag.node(three_numbers) >> dag.map(inner, label="each")
    result = await dag()
    assert (result.status, result.failed_node) == ("failed", "each")
    assert "the node called sys.exit(" in (result.error or "")


async def test_the_loop_goes_on_while_a_node_is_in_a_thread() -> None:
    go = threading.Event()
    run = asyncio.create_task(chain(lambda: go.wait(5))())
    await asyncio.sleep(0)
    assert not run.done()
    go.set()
    assert (await run).status == "completed"


async def test_a_long_chain_of_inline_nodes_leaves_turns_to_others() -> None:
    dag = Dag()
    before = dag.node(one)
    for number in range(3_000):
        after = dag.node(inline_step, label=str(number))
        _ = before >> after
        before = after
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    result = await dag()
    counting.cancel()
    assert (result.outputs, turns > 1) == ({"2999": 3_001}, True)


@inline
def inline_step(n: int) -> int:
    return n + 1


async def test_context_variables_and_the_node_of_a_record_reach_threads() -> None:
    def look() -> list[str]:
        found = get_node_run_context()
        return [word.get(), found.node_label if found else "none"]

    word.set("set")
    assert (await chain(look)()).outputs == {"look": ["set", "look"]}
    assert get_node_run_context() is None


async def test_a_context_says_where_a_node_runs() -> None:
    class Mine(DagContext):
        extra: str = "said"

    def look(ctx: Mine, n: int) -> list[Any]:
        return [str(ctx.dag_nsref), ctx.node_label, ctx.run_id, ctx.extra, ctx.scheduled_for, n, ctx.ns_call("m:one")]

    namespace, dag = Namespace(), chain(look)
    namespace.register(one, nsref="m:one")
    namespace.register(dag, nsref="m:look__")
    at = datetime(2026, 1, 1, tzinfo=UTC)
    result = await DagRunner(dag).run({"look": {"n": 5}}, dag_nsref="m:look__", run_id="r1", scheduled_for=at)
    assert result.outputs == {"look": ["m:look__", "look", "r1", "said", at, 5, 1]}


async def test_what_is_registered_at_the_same_place_runs_instead() -> None:
    namespace, dag = Namespace(), chain(one, double)
    namespace.register(double, decorate=lambda fn: hundred_more)
    namespace.register(dag, nsref="m:d")
    assert (await namespace.get("m:d")()).outputs == {"double": 102}


async def test_a_dict_gives_several_parameters_and_its_lack_fails_the_node() -> None:
    def halves(given: str) -> dict[str, str]:
        return {key: key.upper() for key in given.split()}

    dag = chain(halves, join)
    assert (await dag(given="left right")).outputs == {"join": "LEFTRIGHT"}
    failed = await dag(given="left")
    assert (failed.status, failed.failed_node) == ("failed", "join")
    assert "has no 'right'" in str(failed.error)


# What goes into sources


@pytest.mark.parametrize(
    ("inputs", "says"),
    [
        ({"nowhere": {"n": 1}}, "there is no source nowhere"),
        ({"double": {"n": 1, "m": 2}}, "has no parameter m"),
        ({}, "needs a value for n"),
    ],
)
async def test_wrong_inputs_begin_no_run(inputs: dict[str, dict[str, int]], says: str, history: DagProvenance) -> None:
    with pytest.raises(ValueError, match=says):
        await DagRunner(chain(double), history).run(inputs)
    assert history.get_recent_runs() == []


async def test_values_that_no_source_takes_are_refused() -> None:
    with pytest.raises(ValueError, match="nothing takes m"):
        await chain(double)(n=1, m=2)


# Options of nodes


async def test_a_node_is_called_again_as_often_as_said() -> None:
    calls = 0

    def flaky() -> int:
        nonlocal calls
        calls += 1
        if calls < 3:
            raise OSError("away")
        return calls

    dag = Dag()
    dag.node(flaky, retries=2)
    assert (await dag()).outputs == {"flaky": 3}
    calls = -5
    assert (await dag()).error == "away"
    assert calls == -2


@pytest.mark.parametrize("slow", ["async", "thread"])
async def test_a_node_that_takes_too_long_fails(slow: str) -> None:
    never = threading.Event()

    async def forever() -> None:
        await asyncio.Event().wait()

    dag = Dag()
    dag.node(forever if slow == "async" else lambda: never.wait(5), label="slow", timeout=0.01)
    result = await dag()
    never.set()
    assert (result.status, result.error) == ("failed", "node 'slow' took longer than 0.01 s")


async def test_an_output_stands_for_equal_inputs_while_it_is_kept() -> None:
    calls: list[int] = []

    def costly(n: int) -> int:
        calls.append(n)
        return n

    dag = Dag()
    dag.node(costly, cache=60)
    assert [(await dag(n=n)).outputs["costly"] for n in (1, 1, 2, 1)] == [1, 1, 2, 1]
    assert calls == [1, 2]


async def test_any_number_of_arguments_take_what_leads_to_them() -> None:
    def total(scale: int = 10, *numbers: int) -> int:
        return scale + sum(numbers)

    def named(**numbers: int) -> dict[str, int]:
        return numbers

    dag = Dag()
    scale, a, b = dag.node(one, label="scale"), dag.node(one, label="a"), dag.node(one, label="b")
    total_, named_ = dag.node(total), dag.node(named)
    for each in (scale, a, b):
        _ = each >> total_
    for each in (b, a):
        _ = each >> named_
    assert (await dag()).outputs == {"total": 3, "named": {"a": 1, "b": 1}}


async def test_a_default_stays_before_any_number_of_arguments() -> None:
    def joined(sep: str = "-", /, *numbers: int) -> str:
        return sep.join(map(str, numbers))

    assert (await chain(one, joined)()).outputs == {"joined": "1"}


async def test_a_mapped_element_goes_into_any_number_of_arguments() -> None:
    def pairs() -> list[dict[str, int]]:
        return [{"a": 1}]

    def by_place(*found: dict[str, int]) -> int:
        return len(found)

    def by_name(**found: int) -> str:
        return str(found)

    dag = Dag()
    source = dag.node(pairs)
    _, _ = source >> dag.map(chain(by_place), label="place"), source >> dag.map(chain(by_name), label="name")
    assert (await dag()).outputs == {"place": [1], "name": ["{'a': 1}"]}


# How a run ends


async def test_a_failing_node_fails_the_run_with_its_traceback(history: DagProvenance) -> None:
    result = await DagRunner(chain(one, broken, as_text), history).run(dag_nsref="m:d")
    assert (result.status, result.failed_node, result.error) == ("failed", "broken", "no luck with 1")
    run = history.inspect_run(result.run_id)
    assert run is not None
    assert (run.status, run.finished_at is not None) == ("failed", True)
    assert "RuntimeError: no luck with 1" in (run.nodes["broken"].error or "")
    assert statuses(history, result.run_id) == {"one": "completed", "broken": "failed"}


async def test_others_that_run_end_in_peace_when_one_fails(history: DagProvenance) -> None:
    failed = asyncio.Event()

    async def fail() -> None:
        failed.set()
        raise RuntimeError("no")

    async def other() -> int:
        await failed.wait()
        return 1

    dag = Dag()
    dag.node(fail)
    _ = dag.node(other) >> dag.node(double)
    result = await DagRunner(dag, history).run()
    assert result.failed_node == "fail"
    assert statuses(history, result.run_id) == {"fail": "failed", "other": "completed"}


async def test_an_output_that_cannot_come_back_fails_its_node(history: DagProvenance) -> None:
    thing = object()

    async def odd() -> object:
        return thing

    assert (await chain(odd)()).outputs == {"odd": thing}
    result = await DagRunner(chain(odd), history).run()
    assert (result.status, result.failed_node) == ("failed", "odd")
    assert "declare its exact type" in str(result.error)


async def test_without_a_history_nothing_need_be_writable() -> None:
    async def odd() -> dict[object, object]:
        return {1: float("nan"), (2, 3): {4}, None: iter([])}

    result = await chain(odd)()
    assert result.status == "completed"
    assert set(result.outputs["odd"]) == {1, (2, 3), None}


async def test_a_cancelled_run_is_cancelled_in_its_history(history: DagProvenance) -> None:
    started = asyncio.Event()

    async def forever() -> None:
        started.set()
        await asyncio.Event().wait()

    run = asyncio.create_task(DagRunner(chain(forever), history).run(run_id="r1"))
    await started.wait()
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    found = history.get_run("r1")
    assert found is not None
    assert found["status"] == "cancelled"
    assert found["finished_at"] is not None
    assert statuses(history, "r1") == {"forever": "failed"}


async def test_nodes_side_by_side_end_with_a_cancelled_run(history: DagProvenance) -> None:
    met, ended = asyncio.Barrier(3), 0

    async def forever() -> None:
        nonlocal ended
        await met.wait()
        try:
            await asyncio.Event().wait()
        finally:
            ended += 1

    dag = Dag()
    dag.node(forever, label="a")
    dag.node(forever, label="b")
    run = asyncio.create_task(DagRunner(dag, history).run(run_id="r1"))
    await met.wait()
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert (ended, statuses(history, "r1")) == (2, {"a": "failed", "b": "failed"})


async def test_a_node_that_cancels_itself_fails() -> None:
    async def cancels() -> None:
        raise asyncio.CancelledError

    result = await chain(cancels)()
    assert (result.status, result.failed_node) == ("failed", "cancels")


class Away(NullProvenance):
    """A history that cannot be written for a while, after its first transaction."""

    def __init__(self, *, fails: int) -> None:
        self.fails = fails
        self.seen: list[list[Change]] = []
        self.durable: list[bool] = []

    @property
    def records(self) -> bool:
        return True

    async def arecord(self, changes: Any, *, durable: bool = True) -> None:
        if self.seen and self.fails:
            self.fails -= 1
            raise Unavailable("file is locked")
        self.seen.append(list(changes))
        self.durable.append(durable)


async def test_a_locked_history_fails_the_run_and_not_the_node_that_ran() -> None:
    away = Away(fails=1)
    result = await DagRunner(chain(one, double), away).run(run_id="r")
    assert (result.status, result.failed_node, result.error) == ("failed", None, "file is locked")
    told = [type(change).__name__ for change in away.seen[-1]]
    assert told[0] == "NodeCompleted"
    assert told[-1] == "RunFinished"


async def test_a_node_that_returns_while_another_program_holds_the_history_has_run(
    history: DagProvenance, tmp_path: Path
) -> None:
    other = sqlite3.connect(tmp_path / "dags.db", isolation_level=None, check_same_thread=False)

    async def locks() -> int:
        other.execute("BEGIN IMMEDIATE")
        asyncio.get_running_loop().call_later(0.3, other.execute, "ROLLBACK")
        return 1

    result = await DagRunner(chain(locks, double), history).run()
    assert (result.status, result.outputs) == ("completed", {"double": 2})
    assert statuses(history, result.run_id) == {"locks": "completed", "double": "completed"}
    other.close()


async def test_a_run_whose_end_cannot_be_recorded_raises() -> None:
    with pytest.raises(Unavailable, match="file is locked"):
        await DagRunner(chain(one, double), Away(fails=9)).run(run_id="r")


async def test_a_run_does_not_begin_again_while_it_goes_on(history: DagProvenance) -> None:
    calls: list[str] = []
    begun, going = asyncio.Event(), asyncio.Event()

    async def slow() -> int:
        calls.append("slow")
        begun.set()
        await going.wait()
        return 1

    dag = chain(slow)
    first = asyncio.create_task(DagRunner(dag, history).run(run_id="r"))
    await begun.wait()
    for again in (history, DagProvenance(history.db_path)):
        with pytest.raises(ValueError, match=r"Run 'r' cannot begin: .* is going on: wait for its end"):
            await DagRunner(dag, again).run(run_id="r")
    going.set()
    assert (await first).status == "completed"
    assert calls == ["slow"]
    assert statuses(history, "r") == {"slow": "completed"}


async def test_a_run_that_is_over_does_not_begin_again(history: DagProvenance) -> None:
    runner = DagRunner(chain(one), history)
    await runner.run(run_id="r")
    with pytest.raises(ValueError, match=r"Run 'r' cannot begin: .* is completed: replay it"):
        await runner.run(run_id="r")
    run = history.get_run("r")
    assert run
    assert (run["status"], run["sink_outputs_json"]) == ("completed", '{"one":1}')


async def test_a_run_that_is_cancelled_while_it_is_created_is_cancelled_in_its_history(tmp_path: Path) -> None:
    class Slow(DagProvenance):
        async def arecord(self, changes: Sequence[Change], *, durable: bool = True) -> None:
            await super().arecord(changes, durable=durable)
            if len(changes) == 2:
                task = asyncio.current_task()
                assert task
                task.cancel()
                await asyncio.sleep(0)

    history = Slow(tmp_path / "dags.db")
    with pytest.raises(asyncio.CancelledError):
        await asyncio.create_task(DagRunner(chain(one), history).run(run_id="r"))
    run = history.get_run("r")
    assert run
    assert run["status"] == "cancelled"


# Text that no file can hold: odd names of files, as os.listdir returns them

ODD = "caf\udce9.txt"


async def test_an_output_with_an_odd_name_is_read_back_as_it_was(history: DagProvenance) -> None:
    seen: list[object] = []

    def names() -> list[str]:
        return [ODD, "\\" + ODD]

    def once(names: list[str]) -> str:
        seen.append(names)
        if len(seen) == 1:
            raise RuntimeError("not yet")
        return names[0]

    runner = DagRunner(chain(names, once), history)
    failed = await runner.run()
    assert (failed.status, failed.failed_node) == ("failed", "once")
    assert (await runner.restart(failed.run_id)).outputs == {"once": ODD}
    assert seen == [names(), names()]


async def test_an_odd_name_goes_in_and_comes_back(history: DagProvenance) -> None:
    def size(name: str) -> int:
        return len(name)

    runner = DagRunner(chain(size), history)
    result = await runner.run({"size": {"name": ODD}})
    assert result.outputs == {"size": len(ODD)}
    assert (await runner.replay(result.run_id, {"size"})).outputs == {"size": len(ODD)}


@pytest.mark.parametrize("recorded", [True, False])
async def test_an_error_with_an_odd_name_is_told_with_its_escape(
    history: DagProvenance, recorded: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL, "wingbeat")  # a report of pytest cannot hold it

    def opens() -> None:
        raise ValueError(f"no file {ODD}")

    result = await DagRunner(chain(opens), history if recorded else None).run(run_id="r")
    assert (result.status, result.error) == ("failed", "no file caf\\udce9.txt")
    if recorded:
        run = history.get_run("r")
        assert run
        assert (run["status"], run["error"]) == ("failed", "no file caf\\udce9.txt")
        assert statuses(history, "r") == {"opens": "failed"}


async def test_a_run_inside_of_a_run_may_be_of_an_odd_name(history: DagProvenance) -> None:
    dag = Dag()
    _ = dag.node(lambda: {ODD: 4}, label="sizes") >> dag.map(chain(double), label="each")
    result = await DagRunner(dag, history).run()
    assert result.outputs == {"each": {ODD: 8}}
    (child,) = history.get_child_runs(result.run_id)
    assert child.dag_nsref == "unknown/each[caf\\udce9.txt]"


def test_a_label_that_no_history_can_hold_is_refused() -> None:
    with pytest.raises(ValueError, match=r"label 'caf.*' has half of a surrogate pair"):
        Dag().node(one, label=ODD)


async def test_a_run_id_that_no_history_can_hold_is_refused(history: DagProvenance) -> None:
    with pytest.raises(ValueError, match=r"run_id 'caf.*' has half of a surrogate pair"):
        await DagRunner(chain(one), history).run(run_id=ODD)


async def test_one_transaction_for_each_node() -> None:
    away = Away(fails=0)
    await DagRunner(chain(one, double, as_text), away).run(run_id="r")
    assert [[type(change).__name__ for change in changes] for changes in away.seen] == [
        ["RunCreated", "NodeStarted"],
        ["NodeCompleted", "NodeStarted"],
        ["NodeCompleted", "NodeStarted"],
        ["NodeCompleted", "RunFinished"],
    ]
    assert away.durable == [False, False, False, True], "the end is told to somebody, and only the end"


async def test_runs_inside_of_a_run_wait_for_no_disk() -> None:
    away, dag = Away(fails=0), Dag()
    _ = dag.node(lambda: [1, 2, 3], label="numbers") >> dag.map(chain(double), label="each")
    result = await DagRunner(dag, away).run(run_id="r")
    assert result.outputs == {"each": [2, 4, 6]}
    assert away.durable.count(True) == 1
    assert away.durable[-1]


async def test_the_history_has_what_went_in_and_came_out(history: DagProvenance) -> None:
    with initiated_by("usr_1"):
        result = await DagRunner(chain(double, as_text), history).run(
            {"double": {"n": 4}}, dag_nsref="m:d", trigger_name="hourly"
        )
    found = history.get_run(result.run_id)
    assert found is not None
    assert (found["source_inputs_json"], found["sink_outputs_json"]) == ('{"double":{"n":4}}', '{"as_text":"8"}')
    assert found["initiated_by"] == "usr_1"
    assert [run.run_id for run in history.get_recent_runs(trigger_name="hourly")] == [result.run_id]
    edges = history.get_edge_traversals(result.run_id)
    assert [(each["upstream_label"], each["downstream_label"]) for each in edges] == [("double", "as_text")]
    assert [each["input_json"] for each in history.get_node_executions(result.run_id)] == ['{"n": 4}', '{"n": 8}']


# Pauses


async def test_a_pause_lets_running_nodes_end(history: DagProvenance) -> None:
    runner = DagRunner(Dag(), history)

    @inline
    def pauses() -> int:
        runner.pause()
        return 1

    runner.dag = chain(pauses, double)
    result = await runner.run()
    assert (result.status, result.outputs) == ("paused", {})
    assert statuses(history, result.run_id) == {"pauses": "completed"}
    again = await runner.restart(result.run_id)
    assert (again.run_id, again.status, again.outputs) == (result.run_id, "completed", {"double": 2})


async def test_a_node_may_pause_and_runs_again(history: DagProvenance) -> None:
    ready = False

    def wait_for_it(n: int) -> int:
        if not ready:
            raise DagPause("not yet")
        return n

    runner = DagRunner(chain(one, wait_for_it), history)
    result = await runner.run()
    assert (result.status, statuses(history, result.run_id)) == (
        "paused",
        {"one": "completed", "wait_for_it": "running"},
    )
    ready = True
    assert (await runner.restart(result.run_id)).outputs == {"wait_for_it": 1}


async def test_a_failing_node_is_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        await chain(one, broken)()
    assert "no luck with 1" in caplog.text
