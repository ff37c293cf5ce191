"""DAGs in a namespace: how they get there, what a call of one does, and what leaves them as they were."""

import sys
from pathlib import Path
from typing import Any

import pytest

from wingbeat.compose.dag_provenance import DagProvenance
from wingbeat.compose.engine import StorageConfig
from wingbeat.compose.namespace import Dag, DagContext, Namespace, NsNodeConfig, TriggerConfig, dag_factory


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    monkeypatch.setitem(sys.modules, __name__, request.module)


@pytest.fixture
def ns() -> Namespace:
    return Namespace()


def fetch(url: str, pages: int = 1) -> list[str]:
    return [url] * pages


def count(found: list[str]) -> int:
    return len(found)


def said(ctx: DagContext, url: str) -> str:
    return f"{url} by {ctx.dag_nsref}"


@dag_factory
def pipeline() -> Dag:
    dag = Dag()
    _ = dag.node(fetch) >> dag.node(count)
    return dag


made = pipeline()


def test_a_dag_is_a_node(ns: Namespace) -> None:
    dag = pipeline()
    node = ns.register(dag, nsref="pipelines:count", tags=["x"])
    assert node.dag is ns.get_as_dag("pipelines:count") is dag
    assert dag.parent_namespace is node.namespace is ns
    assert (ns.query("x"), ns.has_mountable, ns.requires_mount) == ([node], True, False)


async def test_a_call_of_it_is_a_run(ns: Namespace) -> None:
    node = ns.register(pipeline(), nsref="pipelines:count")
    assert (await node(url="u", pages=3)).outputs == {"count": 3}
    assert (await node(fetch={"url": "u"})).outputs == {"count": 1}


async def test_what_nothing_takes_is_refused(ns: Namespace) -> None:
    node = ns.register(pipeline(), nsref="pipelines:count")
    with pytest.raises(ValueError, match=r"nothing takes page: .* \['pages', 'url'\]"):
        await node(url="u", page=3)


async def test_a_dag_that_became_wrong_says_so_before_its_inputs_are_looked_at(ns: Namespace) -> None:
    dag = Dag()
    source = dag.node(fetch)
    node = ns.register(dag, nsref="pipelines:fetch")
    _ = source >> source
    with pytest.raises(ValueError, match="cycle: fetch -> fetch"):
        await node(url="u")


async def test_a_context_is_nothing_to_give(ns: Namespace) -> None:
    dag = Dag()
    dag.node(said)
    node = ns.register(dag, nsref="a:said")
    assert (await node(url="u")).outputs == {"said": "u by a:said"}
    with pytest.raises(ValueError, match="nothing takes ctx"):
        await node(url="u", ctx=1)


async def test_runs_are_recorded_where_the_namespace_is_mounted(ns: Namespace, tmp_path: Path) -> None:
    node = ns.register(pipeline(), nsref="pipelines:count")
    ns.mount(StorageConfig(dags_db=tmp_path / "dags.db"))
    result = await node(url="u")
    run = DagProvenance(tmp_path / "dags.db").inspect_run(result.run_id)
    assert run is not None
    assert (str(run.dag_nsref), run.status) == ("pipelines:count", "completed")


@pytest.mark.parametrize(
    ("c", "nsref"),
    [
        pytest.param(pipeline, f"{__name__}:pipeline__", id="a factory"),
        pytest.param(f"{__name__}:pipeline", f"{__name__}:pipeline__", id="the path of a factory"),
        pytest.param(f"{__name__}:pipeline__", f"{__name__}:pipeline__", id="the path of what a factory makes"),
        pytest.param(f"{__name__}:made", f"{__name__}:made", id="the path of a DAG"),
    ],
)
def test_dags_are_found_by_factories_and_paths(ns: Namespace, c: Any, nsref: str) -> None:
    made.parent_namespace = None
    node = ns.register(c)
    assert node.nsref == nsref
    assert node.dag is not None
    assert sorted(node.dag.nodes) == ["count", "fetch"]


def test_a_dag_must_be_told_its_place(ns: Namespace) -> None:
    with pytest.raises(ValueError, match="nsref is required"):
        ns.register(pipeline())


def test_a_dag_is_in_a_namespace_once(ns: Namespace) -> None:
    dag = pipeline()
    ns.register(dag, nsref="a:one")
    with pytest.raises(ValueError, match="already registered with this namespace"):
        ns.register(dag, nsref="a:two")


@pytest.mark.parametrize(
    ("config", "message"),
    [
        pytest.param(NsNodeConfig(nsref="a:taken"), "already exists", id="its place is taken"),
        pytest.param(
            NsNodeConfig(nsref="a:free", triggers=[TriggerConfig(name="taken", type="push")]),
            "Trigger 'taken' is already registered",
            id="the name of its trigger is taken",
        ),
    ],
)
def test_a_registration_that_fails_leaves_the_dag_free(ns: Namespace, config: NsNodeConfig, message: str) -> None:
    ns.register(count, config=NsNodeConfig(nsref="a:taken", triggers=[TriggerConfig(name="taken", type="push")]))
    dag = pipeline()
    with pytest.raises(ValueError, match=message):
        ns.register(dag, config=config)
    assert dag.parent_namespace is None
    assert ns.register(dag, nsref="a:later").dag is dag


def test_a_cycle_is_refused_when_it_is_registered(ns: Namespace) -> None:
    dag = Dag()
    one, two = dag.node(count, label="one"), dag.node(fetch, label="two")
    _ = one >> two
    _ = two >> one
    with pytest.raises(ValueError, match="cycle"):
        ns.register(dag, nsref="a:cycle")
    assert (ns.nodes(), dag.parent_namespace) == ([], None)


async def test_a_callable_is_a_dag_of_one_node(ns: Namespace) -> None:
    ns.register(fetch, nsref="a:fetch")
    dag = ns.get_as_dag("a:fetch")
    assert (list(dag.nodes), dag.parent_namespace) == (["fetch"], ns)
    assert (await dag(url="u")).outputs == {"fetch": ["u"]}


def test_factories_of_fragments_are_registered(ns: Namespace) -> None:
    entry = {"type": "fragment", "gref": __name__, "nsref": "here:"}
    namespace = Namespace.from_dict([entry])
    assert namespace.get("here:pipeline__").dag is not None
