"""Runs as their readers see them: whole trees, and fast in a long history."""

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from wingbeat.compose import run_models
from wingbeat.compose.dag_provenance import DagProvenance
from wingbeat.errors import InvalidArgument
from wingbeat.store.compose.transaction import Transaction

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


class Hands:
    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Hands:
    return Hands()


@pytest.fixture
def provenance(tmp_path: Path, clock: Hands) -> DagProvenance:
    return DagProvenance(tmp_path / "dags.db", clock=clock)


def run(provenance: DagProvenance, run_id: str, nsref: str = "a:dag", parent: str | None = None) -> None:
    provenance.create_run(run_id, nsref, {"first": {}}, parent)
    provenance.record_node_start(run_id, "first", '{"x": 1}', is_source=True)
    provenance.complete_node_with_edges(run_id, "first", "2", [("first", "chunks")])
    provenance.record_node_start(run_id, "chunks", "[2]", is_sink=True)


def test_lists_take_no_negative_limit(provenance: DagProvenance) -> None:
    for listed in (lambda: provenance.get_recent_runs(-1), lambda: provenance.get_crashed_runs(-1),
                   lambda: provenance.get_child_runs("r", limit=-1)):  # fmt: skip
        with pytest.raises(InvalidArgument, match="limit is -1: a whole number of rows, not below zero"):
            listed()


def test_a_run_is_read_with_its_nodes_and_edges(provenance: DagProvenance, clock: Hands) -> None:
    provenance.create_run("r1", "a:dag", {})
    provenance.record_node_start("r1", "first", "{}", is_source=True)
    clock.now += timedelta(seconds=1)
    provenance.complete_node_with_edges("r1", "first", "2", [("first", "chunks")])
    clock.now += timedelta(seconds=1)
    provenance.record_node_start("r1", "chunks", "{}", is_sink=True)
    found = provenance.inspect_run("r1")
    assert found
    assert list(found.nodes) == ["first", "chunks"]
    first = found.nodes["first"]
    assert (first.status, first.is_source, first.is_sink, first.io) == ("completed", True, False, None)
    assert (first.started_at, first.finished_at) == (NOON, NOON + timedelta(seconds=1))
    assert [edge.downstream_label for edge in first.edges] == ["chunks"]
    assert found.latest_update() == NOON + timedelta(seconds=2)
    assert [node.node_label for node in found.nodes_changed_since(NOON + timedelta(seconds=1))] == ["chunks"]


def test_runs_below_a_run_are_in_the_node_that_started_them(provenance: DagProvenance) -> None:
    run(provenance, "r1")
    for index in range(2):
        run(provenance, f"r1-{index}", f"a:dag/chunks[{index}]", "r1")
    run(provenance, "r1-1-0", "a:dag/chunks[1]/chunks[0]", "r1-1")
    found = provenance.inspect_run("r1")
    assert found
    below = found.nodes["chunks"].sub_dags
    assert below
    assert {key: child.run_id for key, child in below.items()} == {"chunks[0]": "r1-0", "chunks[1]": "r1-1"}
    deepest = below["chunks[1]"].nodes["chunks"].sub_dags
    assert deepest
    assert deepest["chunks[0]"].run_id == "r1-1-0"
    assert found.nodes["first"].sub_dags is None
    assert [child.run_id for child in provenance.get_child_runs("r1")] == ["r1-0", "r1-1", "r1-1-0"]
    assert [child.run_id for child in provenance.get_child_runs("r1", limit=1)] == ["r1-0"]


def test_a_run_that_is_not_there_is_none_or_nothing(provenance: DagProvenance) -> None:
    assert provenance.inspect_run("r1") is None
    assert provenance.get_run("r1") is None
    assert provenance.get_node_output("r1", "a") is None
    assert (provenance.get_node_executions("r1"), provenance.get_child_runs("r1")) == ([], [])


def test_payloads_are_loaded_when_asked_for(provenance: DagProvenance) -> None:
    run(provenance, "r1")
    found = provenance.inspect_run("r1")
    assert found
    provenance.load_io(found, ["first"])
    assert found.io
    assert found.io.input_json == '{"first": {}}'
    first = found.nodes["first"].io
    assert first
    assert (first.input_json, first.output_json) == ('{"x": 1}', "2")
    assert found.nodes["chunks"].io is None
    provenance.load_io(found)
    assert found.nodes["chunks"].io


def test_recent_runs_come_latest_first_and_by_status(provenance: DagProvenance) -> None:
    for number in range(4):
        provenance.create_run(f"r{number}", "a:dag", {})
    provenance.finish_run("r1", "completed")
    provenance.finish_run("r3", "completed")
    assert [run.run_id for run in provenance.get_recent_runs(limit=3)] == ["r3", "r2", "r1"]
    assert [run.run_id for run in provenance.get_recent_runs(status="completed")] == ["r3", "r1"]
    assert [run.run_id for run in provenance.get_active_runs()] == ["r2", "r0"]


def test_nodes_that_have_begun_and_not_ended_well_are_pending(provenance: DagProvenance) -> None:
    run(provenance, "r1")
    provenance.record_node_skipped("r1", "copied", "3")
    assert provenance.get_pending_nodes("r1") == ["chunks"]
    assert provenance.get_node_output("r1", "copied") == "3"


def test_what_is_read_below_runs_has_a_bound(provenance: DagProvenance, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_models, "MOST_DESCENDANTS", 2)
    run(provenance, "r1")
    for index in range(3):
        run(provenance, f"r1-{index}", f"a:dag/chunks[{index}]", "r1")
    [found] = provenance.get_recent_runs(limit=5)[-1:]
    assert found.nodes["chunks"].sub_dags
    assert list(found.nodes["chunks"].sub_dags) == ["chunks[0]", "chunks[1]", "chunks[2]"], "asked for themselves"
    alone = provenance.inspect_run("r1")
    assert alone
    assert list(alone.nodes["chunks"].sub_dags or {}) == ["chunks[0]", "chunks[1]"]


def plant(provenance: DagProvenance, count: int) -> None:
    """A long history: runs of two nodes, of every tenth a child, one in a thousand running."""

    def write(tx: Transaction) -> None:
        tx.executemany(
            "INSERT INTO dag_runs (run_id, dag_nsref, parent_run_id, status, started_at, finished_at, trigger_name,"
            " owner) VALUES (?, 'a:dag', ?, ?, ?, ?, ?, 'gone')",
            (
                (
                    f"r{n}",
                    f"r{n - 1}" if n % 10 == 9 else None,
                    "running" if n % 1000 == 5 else "completed",
                    float(n),
                    n + 1.0,
                    f"t{n % 500}",
                )
                for n in range(count)
            ),
        )
        tx.executemany(
            "INSERT INTO node_executions (run_id, node_label, status, started_at) VALUES (?, ?, 'completed', ?)",
            ((f"r{n}", label, float(n)) for n in range(count) for label in "ab"),
        )
        tx.executemany(
            "INSERT INTO edge_traversals VALUES (?, 'a', 'b', ?)", ((f"r{n}", float(n)) for n in range(count))
        )

    provenance._file.write(write)


READS: dict[str, Callable[[DagProvenance], Sequence[object]]] = {
    "recent": lambda history: history.get_recent_runs(20),
    "recent by status": lambda history: history.get_recent_runs(20, status="completed"),
    "recent by trigger": lambda history: history.get_recent_runs(20, trigger_name="t7"),
    "active": lambda history: history.get_active_runs(),
    "children": lambda history: history.get_child_runs("r8"),
    "crashed": lambda history: history.get_crashed_runs(),
    "one": lambda history: [history.inspect_run("r8")],
}


def test_no_read_looks_at_the_whole_history(provenance: DagProvenance) -> None:
    """By what SQLite's machine does, which does not depend on how busy this one is."""
    plant(provenance, 20_000)
    costs: dict[str, int] = {}
    for name, read in READS.items():
        steps = 0

        def count() -> int:
            nonlocal steps
            steps += 1
            return 0

        provenance.get_run("r8")
        [reader] = provenance._file._shared.readers._idle
        reader.set_progress_handler(count, 100)
        assert read(provenance), name
        costs[name] = steps * 100
    assert {name: cost for name, cost in costs.items() if cost > 30_000} == {}


def test_recent_runs_of_a_long_history_come_at_once(provenance: DagProvenance) -> None:
    plant(provenance, 20_000)
    best = min(timed(provenance) for _ in range(5))
    assert best < 0.05


def timed(provenance: DagProvenance) -> float:
    start = time.perf_counter()
    assert len(provenance.get_recent_runs(20)) == 20
    return time.perf_counter() - start
