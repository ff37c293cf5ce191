"""Which runs `prune` removes, and what it leaves."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from wingbeat.compose import pruning
from wingbeat.compose.dag_provenance import DagProvenance
from wingbeat.errors import InvalidArgument

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
TABLES = ("dag_runs", "node_executions", "edge_traversals")


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


def run(provenance: DagProvenance, run_id: str, *, status: str = "completed", parent: str | None = None) -> None:
    provenance.create_run(run_id, "a:dag", {}, parent)
    provenance.record_node_start(run_id, "a", "{}")
    provenance.complete_node_with_edges(run_id, "a", "1", [("a", "b")])
    provenance.update_run_status(run_id, status)
    if status in ("completed", "failed"):
        provenance.finish_run(run_id, status)


def left(provenance: DagProvenance) -> list[str]:
    return sorted(run.run_id for run in provenance.get_recent_runs(limit=1000))


def counts(provenance: DagProvenance) -> list[int]:
    return provenance._file.read(lambda tx: [tx.fetch(f"SELECT count(*) FROM {table}")[0][0] for table in TABLES])


def test_runs_that_ended_long_ago_go_with_all_that_is_theirs(provenance: DagProvenance, clock: Hands) -> None:
    run(provenance, "old")
    run(provenance, "old-failed", status="failed")
    run(provenance, "old-child", parent="old")
    run(provenance, "old-grandchild", parent="old-child")
    clock.now += timedelta(days=40)
    run(provenance, "new")
    assert provenance.prune(keep=timedelta(days=30)) == 4
    assert left(provenance) == ["new"]
    assert counts(provenance) == [1, 1, 1]


@pytest.mark.parametrize("status", ["running", "paused"])
def test_a_run_that_has_not_ended_stays_however_old_it_is(provenance: DagProvenance, clock: Hands, status: str) -> None:
    run(provenance, "going", status=status)
    clock.now += timedelta(days=40)
    assert provenance.prune(keep=timedelta(days=30)) == 0
    assert provenance.prune(keep=0) == 0
    assert left(provenance) == ["going"]


def test_the_newest_runs_stay_and_children_are_not_counted(provenance: DagProvenance, clock: Hands) -> None:
    for number in range(5):
        clock.now += timedelta(seconds=1)
        run(provenance, f"r{number}")
        run(provenance, f"r{number}-child", parent=f"r{number}")
    assert provenance.prune(keep=2) == 6
    assert left(provenance) == ["r3", "r3-child", "r4", "r4-child"]
    assert provenance.prune(keep=2) == 0


def test_a_tree_larger_than_a_transaction_goes_as_a_whole(
    provenance: DagProvenance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pruning, "_BATCH", 3)
    for root in "ab":
        run(provenance, root)
        for number in range(10):
            run(provenance, f"{root}{number}", parent=root if number < 5 else f"{root}{number - 5}")
    assert asyncio.run(provenance.aprune(keep=0)) == 22
    assert counts(provenance) == [0, 0, 0]


def test_children_whose_parent_is_gone_are_not_kept_for_ever(provenance: DagProvenance) -> None:
    run(provenance, "orphan", parent="never-there")
    assert provenance.prune(keep=0) == 1


def test_owners_without_runs_are_forgotten(provenance: DagProvenance, clock: Hands) -> None:
    run(provenance, "r1")
    clock.now += timedelta(days=2)
    provenance.prune(keep=timedelta(days=1))
    assert provenance._file.read(lambda tx: tx.fetch("SELECT owner FROM run_owners")) == []


@pytest.mark.parametrize("keep", [-1, timedelta(seconds=-1), None, "x", 1.5, True, False])
def test_an_age_or_a_number_from_zero_on_is_kept_and_nothing_else(provenance: DagProvenance, keep: Any) -> None:
    shown = keep if isinstance(keep, timedelta) else repr(keep)
    with pytest.raises(InvalidArgument, match=f"^keep is {shown}: an age .* number of runs, not below zero"):
        provenance.prune(keep)
