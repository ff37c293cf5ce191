"""What a node of a DAG runs: its callable, or what stands in its place where the DAG is registered."""

import sys
from functools import partial
from pathlib import Path
from types import FunctionType

import pytest

from wingbeat.compose.cached import CacheProhibitDirectCall
from wingbeat.compose.dag_runner import DagRunner
from wingbeat.compose.engine import StorageConfig
from wingbeat.compose.namespace import Dag, DagContext, Namespace, NsCacheConfig, inline

calls: list[str] = []


def fetch(ticker: str) -> float:
    """Refuses to be called but through a cache."""
    CacheProhibitDirectCall.require()
    calls.append(ticker)
    return 1.5 * len(calls)


async def awaited(ticker: str) -> float:
    CacheProhibitDirectCall.require()
    calls.append(ticker)
    return 1.5 * len(calls)


def text(price: float) -> str:
    return f"price {price}"


@inline
def three() -> int:
    return 3


class Adds:
    def __call__(self, n: int) -> int:
        return n + 1


def times(factor: int, n: int) -> int:
    return factor * n


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    calls.clear()
    monkeypatch.setitem(sys.modules, __name__, request.module)


@pytest.mark.parametrize("c", [pytest.param(fetch, id="in a thread"), pytest.param(awaited, id="on the loop")])
@pytest.mark.parametrize("mounted_first", [True, False])
async def test_a_cached_node_is_cached_in_the_dags_of_its_namespace(
    tmp_path: Path, c: FunctionType, mounted_first: bool
) -> None:
    ns, dag = Namespace(), Dag()
    storage = StorageConfig(cache_db=tmp_path / "cache.db", dags_db=tmp_path / "dags.db")
    if mounted_first:
        ns.mount(storage)
    node = ns.register(c, config=NsCacheConfig(nsref=f"{__name__}:{c.__name__}", min_ttl=1, max_ttl=2))
    _ = dag.node(c) >> dag.node(text)
    ns.register(dag, nsref="a:by_callable")
    other = Dag()
    _ = other.node(node) >> other.node(text)
    ns.register(other, nsref="a:by_node")
    if not mounted_first:
        ns.mount(storage)
    for nsref in ("a:by_callable", "a:by_callable", "a:by_node"):
        assert (await ns.get(nsref)(ticker="A")).outputs == {"text": "price 1.5"}
    assert calls == ["A"]


async def test_a_dag_of_no_namespace_calls_its_own(tmp_path: Path) -> None:
    dag = Dag()
    dag.node(fetch)
    result = await DagRunner(dag).run({"fetch": {"ticker": "A"}})
    assert (result.status, result.failed_node) == ("failed", "fetch")
    assert "through its cache wrapper" in str(result.error)


async def test_what_runs_is_what_resolve_says(tmp_path: Path) -> None:
    ns, dag = Namespace(), Dag()
    node = dag.node(three)
    ns.register(dag, nsref="a:dag")
    assert dag.resolve(f"{__name__}:three") is node.ns_node
    replaced = ns.register(lambda: 4, nsref=f"{__name__}:three")
    assert dag.resolve(f"{__name__}:three") is replaced
    assert (await ns.get("a:dag")()).outputs == {"three": 4}
    with pytest.raises(KeyError):
        dag.resolve("a:nowhere")


async def test_a_replacement_gets_the_context_that_it_asks_for(tmp_path: Path) -> None:
    ns, dag = Namespace(), Dag()
    dag.node(three)
    ns.register(dag, nsref="a:dag")

    def with_context(ctx: DagContext) -> int:
        return len(ctx.node_label)

    ns.register(with_context, nsref=f"{__name__}:three")
    assert (await ns.get("a:dag")()).outputs == {"three": 5}


async def test_partials_objects_and_builtins_are_nodes() -> None:
    dag = Dag()
    _ = dag.node(three) >> dag.node(partial(times, 7), label="seven") >> dag.node(Adds()) >> dag.node(abs)
    result = await dag()
    assert (result.status, result.outputs) == ("completed", {"abs": 22})
