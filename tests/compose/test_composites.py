"""DAGs inside of nodes: once, for each element, or by choice."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from wingbeat.compose.dag_provenance import DagProvenance
from wingbeat.compose.dag_runner import DagPause, DagRunner
from wingbeat.compose.namespace import Dag, DagContext, MapSwitchNode, Namespace, dag_factory, inline
from wingbeat.compose.wiring import WiringError


@inline
def numbers(count: int) -> list[int]:
    return list(range(count))


@inline
def named(count: int) -> dict[str, int]:
    return {f"n{each}": each for each in range(count)}


@inline
def double(n: int) -> int:
    return 2 * n


@inline
def twice(n: int) -> list[int]:
    return [n, n]


@inline
def text(n: int) -> str:
    return str(n)


@dag_factory
def doubled_text() -> Dag:
    dag = Dag()
    _ = dag.node(double) >> dag.node(text)
    return dag


@inline
def in_brackets(given: str) -> str:
    return f"<{given}>"


@inline
def length(given: list[str]) -> int:
    return len(given)


def add_hundred(n: int) -> int:
    return n + 100


@inline
def choices() -> list[tuple[str, int]]:
    return [("double", 1), ("text", 2)]


def single(callable_: Any) -> Dag:
    dag = Dag()
    dag.node(callable_)
    return dag


@pytest.fixture
def history(tmp_path: Path) -> DagProvenance:
    return DagProvenance(tmp_path / "dags.db")


async def mapped(source: Any, inner: Any, count: int = 3, **options: Any) -> Any:
    dag = Dag()
    _ = dag.node(source, label="s") >> dag.map(inner, label="each", **options)
    result = await dag(count=count)
    return result.outputs.get("each", result.error)


async def test_a_map_runs_for_each_element() -> None:
    assert await mapped(numbers, doubled_text) == ["0", "2", "4"]
    assert await mapped(named, doubled_text) == {"n0": "0", "n1": "2", "n2": "4"}
    assert await mapped(numbers, single(twice)) == [0, 0, 1, 1, 2, 2]
    assert await mapped(numbers, doubled_text, count=0) == []


async def test_a_map_runs_only_so_many_at_once() -> None:
    running = most = 0

    async def watched(n: int) -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1
        return n

    assert await mapped(numbers, single(watched), count=20, limit=4) == list(range(20))
    assert most == 4


async def test_a_failing_element_starts_no_others() -> None:
    seen: list[int] = []

    async def fails(n: int) -> int:
        seen.append(n)
        raise RuntimeError(f"no {n}")

    assert await mapped(numbers, single(fails), count=9, limit=1) == "Sub-DAG [each[0]] failed: no 0"
    assert seen == [0]


async def test_a_map_of_something_else_fails() -> None:
    def scalar(count: int) -> Any:
        return count

    assert "expected list or dict" in await mapped(scalar, doubled_text)


async def test_a_dag_is_one_step_of_another() -> None:
    dag = Dag()
    step = dag.node(doubled_text, label="inner")
    _ = dag.node(double, label="first") >> step >> dag.node(in_brackets, label="last")
    assert (await dag(n=2)).outputs == {"last": "<8>"}


async def test_a_registered_dag_is_one_step_of_another() -> None:
    namespace, dag = Namespace(), Dag()
    node = namespace.register(doubled_text, nsref="m:doubled")
    _ = dag.node(double, label="first") >> dag.node(node)
    assert (await dag(n=2)).outputs == {"doubled": "8"}


@pytest.mark.parametrize("as_dict", [True, False])
async def test_a_switch_runs_the_branch_that_is_named(as_dict: bool) -> None:
    @inline
    def choose(n: int) -> Any:
        label = "double" if n > 1 else "text"
        return {"__switch__": label, "n": n} if as_dict else (label, n)

    @inline
    def of_dict(given: dict[str, int]) -> int:
        return given["n"]

    dag = Dag()
    branches: Any = {"double": of_dict, "text": of_dict} if as_dict else [double, text]
    _ = dag.node(choose) >> dag.switch(branches, label="way")
    wanted = [1, 2] if as_dict else ["1", 4]
    assert [(await dag(n=n)).outputs["way"] for n in (1, 2)] == wanted


@pytest.mark.parametrize(
    ("value", "says"),
    [(("nowhere", 1), "has no branch 'nowhere': it has \\['double', 'text'\\]"), (1, "needs a LabelSwitch")],
)
async def test_a_choice_of_nothing_fails(value: Any, says: str) -> None:
    dag = Dag()
    _ = dag.node(lambda: value, label="choose") >> dag.switch([double, text], label="way")
    result = await dag()
    assert result.failed_node == "way"
    with pytest.raises(AssertionError, match=says):
        raise AssertionError(result.error)


async def test_each_element_may_choose_its_branch(history: DagProvenance) -> None:
    dag = Dag()
    switch = dag.switch([double, text], label="way")
    each = dag.map(switch)
    assert isinstance(each, MapSwitchNode)
    assert list(dag.nodes) == ["way"]
    _ = dag.node(choices) >> each
    result = await DagRunner(dag, history).run(dag_nsref="m:d")
    assert result.outputs == {"way": [2, "2"]}
    children = history.get_child_runs(result.run_id)
    assert sorted(child.dag_nsref for child in children) == ["m:d/way[0:double]", "m:d/way[1:text]"]


async def test_runs_inside_are_children_of_the_run(history: DagProvenance) -> None:
    dag = Dag()
    _ = dag.node(numbers) >> dag.map(doubled_text, label="each") >> dag.node(length, label="n")
    result = await DagRunner(dag, history).run({"numbers": {"count": 2}}, dag_nsref="m:d")
    run = history.inspect_run(result.run_id)
    assert run is not None
    inner = run.nodes["each"].sub_dags
    assert inner is not None
    assert {key: child.status for key, child in inner.items()} == {"each[0]": "completed", "each[1]": "completed"}
    assert result.outputs == {"n": 2}


async def test_inner_dags_see_the_namespace_of_the_outer_one() -> None:
    def asks(ctx: DagContext, n: int) -> int:
        return ctx.ns_call("m:add", n)

    namespace, dag = Namespace(), Dag()
    namespace.register(add_hundred, nsref="m:add")
    _ = dag.node(double) >> dag.node(single(asks), label="inner")
    namespace.register(dag, nsref="m:d")
    assert (await namespace.get("m:d")(n=1)).outputs == {"inner": 102}


async def test_a_pause_inside_pauses_the_whole(history: DagProvenance) -> None:
    ready = False

    def waits(n: int) -> int:
        if not ready:
            raise DagPause
        return n

    dag = Dag()
    _ = dag.node(double) >> dag.node(single(waits), label="inner")
    runner = DagRunner(dag, history)
    result = await runner.run({"double": {"n": 1}})
    assert result.status == "paused"
    ready = True
    assert (await runner.restart(result.run_id)).outputs == {"inner": 2}


async def test_runs_inside_end_with_a_cancelled_run(history: DagProvenance) -> None:
    started = asyncio.Event()

    async def forever(n: int) -> None:
        started.set()
        await asyncio.Event().wait()

    dag = Dag()
    _ = dag.node(numbers) >> dag.map(single(forever), label="each")
    run = asyncio.create_task(DagRunner(dag, history).run({"numbers": {"count": 3}}, run_id="r"))
    await started.wait()
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    found = history.get_child_runs("r")
    assert {child.status for child in found} == {"cancelled"}
    assert history.get_active_runs() == []


def ints() -> list[int]:
    return [1]


def texts() -> list[str]:
    return ["a"]


def pairs() -> list[tuple[int, int]]:
    return [(1, 2)]


def dicts() -> list[dict[str, int]]:
    return [{"a": 1, "b": 2}]


def either() -> list[int | str]:
    return [1]


def sequence() -> Sequence[int]:
    return [1]


def no_list() -> int:
    return 1


def added(a: int, b: int) -> int:
    return a + b


def total(values: list[int]) -> int:
    return sum(values)


def as_is(values: Any) -> Any:
    return values


@pytest.mark.parametrize(
    ("source", "inner", "after", "says"),
    [
        (texts, double, as_is, "parameter 'n' of 'double' is <class 'int'>, and gets <class 'str'>"),
        (pairs, added, as_is, "'added' needs 'b' as well, and gets tuple"),
        (no_list, double, as_is, "'each' needs a list or dict, and gets <class 'int'>"),
        (ints, text, total, r"parameter 'values' is list\[int\], and the result of 'each' is list\[str\]"),
    ],
)
def test_what_can_never_fit_a_map_is_noticed_when_it_is_defined(source: Any, inner: Any, after: Any, says: str) -> None:
    dag = Dag()
    _ = dag.node(source) >> dag.map(single(inner), label="each") >> dag.node(after, label="after")
    with pytest.raises(WiringError, match=says):
        dag.validate()


@pytest.mark.parametrize(
    ("source", "inner", "after"),
    [
        (dicts, added, total), (either, double, total), (sequence, double, total), (ints, twice, total),
        (as_is, double, total), (ints, as_is, total), (pairs, as_is, as_is),
    ],
)  # fmt: skip
def test_what_may_fit_a_map_is_let_through(source: Any, inner: Any, after: Any) -> None:
    dag = Dag()
    _ = dag.node(source) >> dag.map(single(inner), label="each") >> dag.node(after, label="after")
    dag.validate()


def test_what_can_never_fit_an_inner_dag_is_noticed_when_it_is_defined() -> None:
    dag = Dag()
    _ = dag.node(texts) >> dag.node(single(double), label="inner")
    with pytest.raises(WiringError, match="parameter 'n' of 'double'"):
        dag.validate()
