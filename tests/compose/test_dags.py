"""Building DAGs, and what is refused before anything runs."""

from typing import Any

import pytest

from wingbeat.compose.dags import Dag
from wingbeat.compose.graph import cycle, links, ordered
from wingbeat.compose.namespace import Namespace, dag_factory
from wingbeat.compose.wiring import WiringError


def fetch(url: str) -> list[int]:
    return [len(url)]


def total(numbers: list[int]) -> int:
    return sum(numbers)


def text(number: int) -> str:
    return str(number)


def note(message: str = "none") -> str:
    return message


@dag_factory
def pipeline() -> Dag:
    dag = Dag()
    _ = dag.node(total) >> dag.node(text)
    return dag


@dag_factory
def no_dag() -> str:
    return "not a Dag"


def test_nodes_have_the_names_of_their_callables_unless_said_otherwise() -> None:
    with Dag() as dag:
        first, second = dag.node(fetch), dag.node(total, label="sum")
        assert first >> second is second
    assert (list(dag.nodes), [(edge.upstream, edge.downstream) for edge in dag.edges]) == (
        ["fetch", "sum"],
        [("fetch", "sum")],
    )
    assert (dag.sources(), dag.sinks(), dag.topological_order()) == ([first], [second], [first, second])


def test_the_same_callable_is_a_node_under_several_labels() -> None:
    dag = Dag()
    assert dag.node(fetch, label="a").ns_node is dag.node(fetch, label="b").ns_node
    with pytest.raises(ValueError, match="Label 'a' already exists"):
        dag.node(total, label="a")


def test_two_lambdas_are_two_nodes() -> None:
    dag = Dag()
    one, two = dag.node(lambda: 1, label="one"), dag.node(lambda: 2, label="two")
    assert (one.ns_node(), two.ns_node()) == (1, 2)


def test_an_edge_that_is_said_twice_is_one() -> None:
    dag = Dag()
    first, second = dag.node(fetch), dag.node(total)
    _ = first >> second, first >> second
    assert len(dag.edges) == 1


def test_a_cycle_is_named() -> None:
    dag = Dag()
    first, second = dag.node(note, label="a"), dag.node(note, label="b")
    _ = first >> second >> first
    with pytest.raises(ValueError, match="DAG contains a cycle: a -> b -> a"):
        dag.validate()
    with pytest.raises(ValueError, match="cycle"):
        Namespace().register(dag, nsref="m:d")


def test_an_edge_to_itself_is_a_cycle() -> None:
    dag = Dag()
    node = dag.node(note, label="a")
    _ = node >> node
    with pytest.raises(ValueError, match="cycle: a -> a"):
        dag.validate()


async def test_a_cycle_does_not_run() -> None:
    dag = Dag()
    first, second = dag.node(note, label="a"), dag.node(note, label="b")
    _ = first >> second >> first
    with pytest.raises(ValueError, match="cycle"):
        await dag()


def test_edges_join_nodes_of_one_dag() -> None:
    one, other = Dag(), Dag()
    with pytest.raises(ValueError, match="'total' is not in this Dag"):
        _ = one.node(fetch) >> other.node(total)


@pytest.mark.parametrize("several", [True, False], ids=["a list of nodes", "a callable"])
def test_an_edge_to_what_is_no_node_says_what_to_write(several: bool) -> None:
    dag = Dag()
    first, second = dag.node(fetch), dag.node(total)
    other: Any = [second] if several else note
    with pytest.raises(TypeError, match=r"is none: write dag.node\(...\) .* such as a >> b and a >> c"):
        _ = first >> other
    with pytest.raises(TypeError, match="an edge joins two nodes"):
        dag.add_edge(other, first)
    assert dag.edges == []


async def test_what_is_wrong_with_a_dag_comes_before_what_is_wrong_with_its_inputs() -> None:
    looped, headless = Dag(), Dag()
    node = looped.node(note, label="a")
    _ = node >> node
    inner = Dag()
    inner.node(note)
    headless.node(inner, label="inner")
    for dag, message in ((looped, "cycle: a -> a"), (headless, "'inner' must have exactly one upstream edge")):
        with pytest.raises(ValueError, match=message):
            await dag(message="x")


def test_wrong_wiring_is_an_error_when_the_block_ends() -> None:
    with pytest.raises(WiringError, match="no parameter takes the output of 'fetch'"), Dag() as dag:
        _ = dag.node(fetch) >> dag.node(note)


def test_an_edge_may_be_for_the_order_alone() -> None:
    with Dag() as dag:
        dag.add_edge(dag.node(fetch), dag.node(note), order_only=True)
    assert dag.edges[0].order_only


@pytest.mark.parametrize(
    ("says", "options"),
    [
        ("retries is -1", {"retries": -1}),
        ("retry_delay is -1", {"retry_delay": -1}),
        ("timeout is 0", {"timeout": 0}),
        ("cache is -1", {"cache": -1.0}),
    ],
)
def test_options_that_mean_nothing_are_refused(says: str, options: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=says):
        Dag().node(fetch, **options)  # pyright: ignore[reportArgumentType]


def test_a_composite_works_on_one_node() -> None:
    dag = Dag()
    dag.map(pipeline, label="each")
    with pytest.raises(ValueError, match="MapNode 'each' must have exactly one upstream edge, found 0"):
        dag.validate()


def test_a_dag_inside_has_one_source_and_one_sink() -> None:
    inner = Dag()
    inner.node(note, label="a")
    inner.node(note, label="b")
    with pytest.raises(ValueError, match="exactly one source, found 2"):
        Dag().node(inner, label="x")
    with pytest.raises(ValueError, match="Branch 'b'"):
        Dag().switch({"b": inner}, label="s")


def test_a_dag_does_not_run_itself() -> None:
    dag = Dag()
    dag.node(total)
    inner = Dag()
    inner.node(dag, label="outer")
    _ = dag.nodes["total"] >> dag.node(inner, label="inner")
    with pytest.raises(ValueError, match="runs itself"):
        dag.validate()


def test_labels_and_kinds_of_inner_dags_are_checked() -> None:
    dag = Dag()
    with pytest.raises(ValueError, match="label is required"):
        dag.node(Dag())
    with pytest.raises(ValueError, match="label is required for map"):
        dag.map(pipeline())
    with pytest.raises(TypeError, match="must return a Dag"):
        dag.node(no_dag)
    with pytest.raises(TypeError, match="map\\(\\) takes a Dag"):
        dag.map(total, label="x")
    with pytest.raises(ValueError, match="limit is 0"):
        dag.map(pipeline, limit=0)
    with pytest.raises(ValueError, match="two branches 'text'"):
        dag.switch([text, text], label="s")
    assert dag.node(pipeline).label == "pipeline"


def test_a_failed_registration_leaves_the_dag_usable() -> None:
    namespace, dag = Namespace(), Dag()
    dag.node(note)
    namespace.register(note, nsref="m:taken")
    with pytest.raises(ValueError, match="already exists"):
        namespace.register(dag, nsref="m:taken")
    assert namespace.register(dag, nsref="m:free").dag is dag


def test_order_is_linear_in_edges_and_by_name() -> None:
    edges = [(str(n), str(n + 1)) for n in range(2_000)] + [("0", str(n)) for n in range(2, 2_000)]
    before, after = links([*edges, *edges])
    labels = [str(n) for n in range(2_001)]
    assert ordered(labels[::-1], before=before, after=after) == labels
    assert cycle(labels, before=before, after=after) == []
