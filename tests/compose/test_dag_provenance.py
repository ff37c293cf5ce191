"""What is recorded of runs, by whom, and who keeps them going."""

import asyncio
import contextlib
import json
import math
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import BaseModel

from wingbeat.compose import lease, process
from wingbeat.compose.changes import (
    Change,
    Ending,
    NodeCompleted,
    NodeFailed,
    NodeSkipped,
    NodeStarted,
    Recorder,
    RunCreated,
    RunFinished,
    RunPaused,
    RunTaken,
    are_brief,
)
from wingbeat.compose.dag_provenance import (
    SCHEDULER,
    DagProvenance,
    NullProvenance,
    initiated_by,
    json_default,
    run_initiator,
    safe_json_dumps,
)
from wingbeat.compose.lease import LEASE
from wingbeat.compose.process import this_process
from wingbeat.errors import AlreadyExists, Conflict, FailedPrecondition, InvalidArgument, NotFound

CREATED = RunCreated("r1", "etl:pipeline", "{}", initiated_by="me", trigger_name="hourly")
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


class Hands:
    """A clock that stands where it was put."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Hands:
    return Hands()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "dags.db"


@pytest.fixture
def provenance(path: Path, clock: Hands) -> DagProvenance:
    return DagProvenance(path, clock=clock)


def rows(path: Path, sql: str) -> list[tuple[object, ...]]:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return connection.execute(sql).fetchall()


def test_the_life_of_a_run_is_in_the_tables_that_the_documentation_queries(
    provenance: DagProvenance, path: Path, clock: Hands
) -> None:
    provenance.create_run("r1", "etl:pipeline", {"fetch": {"url": "x"}})
    provenance.record_node_start("r1", "fetch", '{"url": "x"}', is_source=True)
    clock.now += timedelta(seconds=2)
    provenance.complete_node_with_edges("r1", "fetch", "[1]", [("fetch", "store")])
    provenance.record_node_start("r1", "store", "{}", is_sink=True)
    provenance.complete_node_with_edges("r1", "store", "null", [])
    provenance.finish_run("r1", "completed", '{"store": null}')
    assert rows(
        path,
        "SELECT run_id, dag_nsref, parent_run_id, status, finished_at - started_at, source_inputs_json,"
        " sink_outputs_json FROM dag_runs",
    ) == [("r1", "etl:pipeline", None, "completed", 2.0, '{"fetch": {"url": "x"}}', '{"store": null}')]
    assert rows(
        path,
        "SELECT node_label, status, is_source, is_sink, input_json, output_json FROM node_executions ORDER BY 1",
    ) == [("fetch", "completed", 1, 0, '{"url": "x"}', "[1]"), ("store", "completed", 0, 1, "{}", "null")]
    assert rows(path, "SELECT upstream_label, downstream_label, traversed_at FROM edge_traversals") == [
        ("fetch", "store", clock.now.timestamp())
    ]


def test_a_node_that_fails_ends_its_run(provenance: DagProvenance) -> None:
    provenance.create_run("r1", "etl:pipeline", {})
    provenance.record_node_start("r1", "fetch", "{}")
    provenance.fail_node_and_finish_run("r1", "fetch", "no network")
    run, node = provenance.get_run("r1"), provenance.get_node_executions("r1")[0]
    assert run
    assert (run["status"], run["finished_at"]) == ("failed", NOON.timestamp())
    assert (node["status"], node["error"]) == ("failed", "no network")


def test_an_edge_that_is_gone_along_twice_counts_once(provenance: DagProvenance) -> None:
    """D5: it failed, kept its own file locked and left the run running."""
    provenance.create_run("r1", "etl:pipeline", {})
    provenance.record_node_start("r1", "a", "{}")
    provenance.complete_node_with_edges("r1", "a", "1", [("a", "b"), ("a", "b")])
    provenance.complete_node_with_edges("r1", "a", "1", [("a", "b")])
    assert len(provenance.get_edge_traversals("r1")) == 1


def test_a_node_that_is_started_again_has_nothing_of_before(provenance: DagProvenance) -> None:
    provenance.create_run("r1", "etl:pipeline", {})
    provenance.record_node_start("r1", "a", "{}")
    provenance.fail_node_and_finish_run("r1", "a", "no network")
    provenance.update_run_status("r1", "running")
    provenance.record_node_start("r1", "a", "{}")
    assert provenance.get_node_executions("r1")[0]["error"] is None
    run = provenance.get_run("r1")
    assert run
    assert (run["status"], run["finished_at"]) == ("running", None)


def test_a_run_is_made_once(provenance: DagProvenance) -> None:
    provenance.create_run("r1", "etl:pipeline", {})
    with pytest.raises(AlreadyExists, match="'r1'"):
        provenance.create_run("r1", "other:pipeline", {})


class Order(BaseModel):
    due: datetime
    amount: float


def test_models_and_dates_are_written_as_json(provenance: DagProvenance) -> None:
    provenance.create_run("r1", "etl:pipeline", {"fetch": {"order": Order(due=NOON, amount=1)}})
    run = provenance.get_run("r1")
    assert run
    assert json.loads(run["source_inputs_json"]) == {"fetch": {"order": {"due": "2026-01-01T12:00:00Z", "amount": 1}}}


@pytest.mark.parametrize("value", [object(), math.nan, math.inf, lambda: 0], ids=["object", "nan", "inf", "function"])
def test_what_has_no_json_is_refused_and_never_its_text(provenance: DagProvenance, value: object) -> None:
    """D10."""
    with pytest.raises(InvalidArgument, match="cannot be written as JSON"):
        provenance.create_run("r1", "etl:pipeline", {"fetch": {"value": value}})
    assert provenance.get_run("r1") is None


def test_the_helpers_of_json_never_fall_back_to_text(caplog: pytest.LogCaptureFixture) -> None:
    assert json.dumps({"at": NOON, "some": {1}}, default=json_default) == '{"at": "2026-01-01T12:00:00Z", "some": [1]}'
    with pytest.raises(TypeError, match="object has no JSON"):
        json_default(object())
    assert safe_json_dumps(object()) == '{"unserializable": "builtins.object"}'
    assert "builtins.object" in caplog.text


def test_a_run_says_who_started_it(provenance: DagProvenance) -> None:
    provenance.create_run("nobody", "etl:pipeline", {})
    with initiated_by("usr_1"):
        provenance.create_run("somebody", "etl:pipeline", {})
        provenance.create_run("told", "etl:pipeline", {}, initiator="usr_2")
        with initiated_by(None):
            provenance.create_run("cleared", "etl:pipeline", {})
    with initiated_by(SCHEDULER):
        provenance.create_run("scheduled", "etl:pipeline", {})
    assert run_initiator.get() is None
    found = {run.run_id: run.initiated_by for run in provenance.get_recent_runs()}
    expected = {"nobody": None, "somebody": "usr_1", "told": "usr_2", "cleared": None, "scheduled": "scheduler"}
    assert found == expected


async def test_the_synchronous_calls_work_inside_of_a_loop_and_reads_need_not_wait_there(
    provenance: DagProvenance,
) -> None:
    provenance.create_run("r1", "etl:pipeline", {})
    found = await provenance.aread(lambda history: history.get_run("r1"))
    assert found
    assert found["status"] == "running"


def test_a_busy_file_is_waited_for(provenance: DagProvenance, path: Path) -> None:
    """D11: a node that had run was marked failed because another program held the file."""
    provenance.create_run("r1", "etl:pipeline", {})
    provenance.record_node_start("r1", "a", "{}")
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    release = threading.Timer(0.2, other.execute, ["COMMIT"])
    release.start()
    provenance.complete_node_with_edges("r1", "a", "1", [])
    release.join()
    assert provenance.get_node_output("r1", "a") == "1"


def test_what_another_program_changes_is_seen(provenance: DagProvenance, path: Path) -> None:
    provenance.create_run("r1", "etl:pipeline", {})
    with contextlib.closing(sqlite3.connect(path)) as other, other:
        other.execute("UPDATE dag_runs SET status = 'failed'")
    run = provenance.get_run("r1")
    assert run
    assert run["status"] == "failed"


def test_a_file_of_lythonic_gets_what_it_lacks(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as old, old:
        old.execute(
            "CREATE TABLE dag_runs (run_id TEXT PRIMARY KEY, dag_nsref TEXT NOT NULL, parent_run_id TEXT, status TEXT"
            " NOT NULL, started_at REAL NOT NULL, finished_at REAL, source_inputs_json TEXT, sink_outputs_json TEXT)"
        )
        old.execute("INSERT INTO dag_runs VALUES ('old', 'etl:pipeline', NULL, 'running', 1.0, NULL, '{}', NULL)")
    provenance = DagProvenance(path)
    provenance.create_run("new", "etl:pipeline", {}, initiator="me")
    assert [(run.run_id, run.initiated_by) for run in provenance.get_recent_runs()] == [("new", "me"), ("old", None)]
    assert [run.run_id for run in provenance.get_crashed_runs()] == ["old"], "nobody says that he keeps it going"


def test_many_threads_make_runs_of_one_file(provenance: DagProvenance) -> None:
    def create(number: int) -> None:
        provenance.create_run(f"r{number}", "etl:pipeline", {})

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(create, range(100)))
    assert len(provenance.get_recent_runs(limit=200)) == 100


def test_the_null_history_has_every_method_and_keeps_nothing(provenance: DagProvenance) -> None:
    public = {name for name in dir(DagProvenance) if not name.startswith("_")}
    assert public <= set(dir(NullProvenance))
    nothing = NullProvenance()
    recorders: list[Recorder] = [provenance, nothing]
    assert [recorder.records for recorder in recorders] == [True, False]
    nothing.create_run("r1", "etl:pipeline", {})
    assert (nothing.get_run("r1"), nothing.get_recent_runs()) == (None, [])


START_RUNS = """
import sys, time
from pathlib import Path
from wingbeat.compose.dag_provenance import DagProvenance
provenance = DagProvenance(Path(sys.argv[1]))
for run_id in sys.argv[2:]:
    provenance.create_run(run_id, "etl:pipeline", {})
    provenance.record_node_start(run_id, "a", "{}")
print("started", flush=True)
time.sleep(60)
"""


TAKE_RUN = """
import sys
from pathlib import Path
from wingbeat.compose.changes import RunTaken
from wingbeat.compose.dag_provenance import DagProvenance
from wingbeat.errors import FailedPrecondition
try:
    DagProvenance(Path(sys.argv[1])).record([RunTaken("r1")])
    print("taken", flush=True)
except FailedPrecondition:
    print("refused", flush=True)
sys.stdin.read()
"""


@contextlib.contextmanager
def other_process(path: Path, *run_ids: str) -> Generator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", START_RUNS, str(path), *run_ids]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as started:
        try:
            assert started.stdout
            assert started.stdout.readline() == "started\n"
            yield started
        finally:
            started.kill()


def test_a_run_of_a_process_that_was_killed_is_found_at_once_and_taken_by_one(path: Path) -> None:
    """D12: it was running for ever, and could not be restarted."""
    provenance = DagProvenance(path)
    with other_process(path, "r1", "r2") as other:
        assert provenance.get_crashed_runs() == []
        with pytest.raises(FailedPrecondition, match=f"kept going by process {other.pid}:"):
            provenance.record([RunTaken("r1")])
        other.send_signal(signal.SIGKILL)
        other.wait()
    assert [run.run_id for run in provenance.get_crashed_runs()] == ["r1", "r2"]
    provenance.record([RunTaken("r1"), NodeStarted("r1", "a", "{}")])
    with pytest.raises(FailedPrecondition, match="kept going by this process"):
        provenance.record([RunTaken("r1")])
    assert [run.run_id for run in provenance.get_crashed_runs()] == ["r2"]
    assert provenance.get_pending_nodes("r1") == ["a"]


def test_a_run_of_another_machine_is_crashed_when_its_lease_is_over(
    provenance: DagProvenance, clock: Hands, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = replace(this_process(), name="elsewhere", place="another machine")
    with monkeypatch.context() as there:
        for module in ("lease", "process"):
            there.setattr(f"wingbeat.compose.{module}.this_process", lambda: elsewhere)
        provenance.create_run("r1", "etl:pipeline", {})
    clock.now += LEASE
    assert provenance.get_crashed_runs() == []
    clock.now += timedelta(seconds=1)
    assert [run.run_id for run in provenance.get_crashed_runs()] == ["r1"]
    provenance.record([RunTaken("r1")])


def test_a_lease_is_renewed_while_a_run_is_running_and_no_longer(provenance: DagProvenance, clock: Hands) -> None:
    provenance.create_run("r1", "etl:pipeline", {})
    clock.now += timedelta(hours=1)
    assert provenance._lease.renew_if_needed()
    [(until,)] = provenance._file.read(lambda tx: tx.fetch("SELECT lease_until FROM run_owners"))
    assert until == (clock.now + LEASE).timestamp()
    provenance.finish_run("r1", "completed")
    assert not provenance._lease.renew_if_needed()


@pytest.mark.parametrize(
    ("changes", "brief"),
    [
        ([NodeCompleted("r1", "a", "1", (("a", "b"),)), NodeStarted("r1", "b", "{}")], True),
        ([NodeCompleted("r1", "a", "1" * 100_000)], False),
        ([NodeStarted("r1", "a", "1" * 100_000)], False),
        ([NodeCompleted("r1", "a", "1", tuple(("a", f"b{number}") for number in range(100)))], False),
        ([NodeStarted("r1", f"a{number}", "{}") for number in range(100)], False),
        ([CREATED, NodeStarted("r1", "a", "{}")], False),
        ([RunTaken("r1")], False),
    ],
)
def test_the_loop_itself_writes_only_what_takes_no_time(changes: list[Change], brief: bool) -> None:
    assert are_brief(changes) == brief


def test_a_lease_that_was_rolled_back_is_not_held(provenance: DagProvenance) -> None:
    with pytest.raises(Conflict):
        provenance.record([CREATED, replace(CREATED, run_id="r2"), NodeStarted("nobody's", "a", "{}")])
    provenance.record([CREATED])
    assert provenance._file.read(lambda tx: tx.fetch("SELECT owner FROM run_owners")) == [(this_process().name,)]


def test_a_long_step_does_not_cost_a_run_its_lease(path: Path, clock: Hands, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "_RENEW_EVERY", timedelta(milliseconds=5))
    provenance, before = DagProvenance(path, clock=clock), set(threading.enumerate())
    provenance.record([CREATED, NodeStarted("r1", "long", "{}")])
    [beating] = [each for each in set(threading.enumerate()) - before if each.name == "compose-lease"]
    clock.now += timedelta(hours=1)
    deadline = time.monotonic() + 30
    while rows(path, "SELECT lease_until FROM run_owners") != [((clock.now + LEASE).timestamp(),)]:
        assert time.monotonic() < deadline
    provenance.record([RunPaused("r1")])
    beating.join(timeout=30)
    assert not beating.is_alive(), "nothing is written for runs that are not running"


@pytest.mark.parametrize("status", ["failed", "cancelled"])
def test_a_run_that_has_not_completed_goes_on_without_its_end(provenance: DagProvenance, status: Ending) -> None:
    provenance.record([CREATED, RunFinished("r1", status, error="no network")])
    asyncio.run(provenance.arecord([RunTaken("r1")]))
    run = provenance.get_run("r1")
    assert run
    assert (run["status"], run["finished_at"], run["error"]) == ("running", None, None)


def test_a_run_that_has_completed_does_not_go_on(provenance: DagProvenance) -> None:
    provenance.record([CREATED, RunFinished("r1", "completed")])
    with pytest.raises(FailedPrecondition, match="'r1' is completed"):
        provenance.record([RunTaken("r1")])


def test_a_run_that_is_unknown_cannot_be_taken(provenance: DagProvenance) -> None:
    with pytest.raises(NotFound, match="'r1'"):
        provenance.record([RunTaken("r1")])


def test_a_run_that_another_process_took_cannot_be_changed_here(provenance: DagProvenance, path: Path) -> None:
    provenance.record([CREATED, NodeStarted("r1", "a", "{}")])
    with contextlib.closing(sqlite3.connect(path)) as other, other:
        other.execute("UPDATE dag_runs SET owner = 'another'")
    with pytest.raises(Conflict, match="'r1' is not kept going by this process"):
        provenance.record([RunCreated("r2", "etl:pipeline", "{}"), NodeCompleted("r1", "a", "1")])
    assert provenance.get_run("r2") is None, "all or nothing"
    assert provenance.get_pending_nodes("r1") == ["a"]


async def test_changes_of_one_call_are_one_transaction_in_their_order(provenance: DagProvenance, clock: Hands) -> None:
    await provenance.arecord([CREATED, NodeStarted("r1", "a", '{"x": 1}', is_source=True)])
    clock.now += timedelta(seconds=1)
    await provenance.arecord(
        [
            NodeCompleted("r1", "a", "1", (("a", "b"), ("a", "c"))),
            NodeStarted("r1", "b", "{}", is_sink=True),
            NodeSkipped("r1", "c", "7"),
            NodeFailed("r1", "b", "Traceback"),
            RunFinished("r1", "failed", None, "node 'b' failed"),
        ]
    )
    found = provenance.inspect_run("r1")
    assert found
    assert (found.status, found.error, found.initiated_by, found.trigger_name) == (
        "failed",
        "node 'b' failed",
        "me",
        "hourly",
    )
    assert {label: node.status for label, node in found.nodes.items()} == {
        "a": "completed",
        "b": "failed",
        "c": "skipped",
    }
    assert [edge.downstream_label for edge in found.nodes["a"].edges] == ["b", "c"]
    assert [run.run_id for run in provenance.get_recent_runs(trigger_name="hourly")] == ["r1"]


@pytest.mark.parametrize(
    ("ending", "advice"),
    [
        (RunFinished("r1", "completed"), "is completed: replay it"),
        (RunFinished("r1", "failed"), "has not completed: restart it"),
        (RunPaused("r1"), "has not completed: restart it"),
        (NodeStarted("r1", "a", "{}"), "is going on: wait for its end"),
    ],
)
def test_a_run_that_exists_is_not_created_and_the_error_says_what_can_be_done(
    provenance: DagProvenance, ending: Change, advice: str
) -> None:
    provenance.record([CREATED, ending])
    with pytest.raises(AlreadyExists, match=f"run 'r1' exists and {advice}, or choose another run_id"):
        provenance.record([RunCreated("r1", "other:pipeline", "{}")])
    run = provenance.get_run("r1")
    assert run
    assert run["dag_nsref"] == "etl:pipeline"


def test_a_run_that_was_perhaps_created_already_is_left_as_it_is(provenance: DagProvenance) -> None:
    provenance.record([CREATED, RunPaused("r1")])
    provenance.record([RunCreated("r1", "other:pipeline", "{}", again=True)])
    run = provenance.get_run("r1")
    assert run
    assert (run["dag_nsref"], run["status"]) == ("etl:pipeline", "paused")


def test_of_two_processes_that_want_a_paused_run_one_gets_it(path: Path) -> None:
    provenance = DagProvenance(path)
    provenance.create_run("r1", "etl:pipeline", {})
    provenance.update_run_status("r1", "paused")
    command = [sys.executable, "-c", TAKE_RUN, str(path)]
    both = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    answers = sorted(each.stdout.readline() for each in both if each.stdout)
    for each in both:
        each.communicate()
    assert answers == ["refused\n", "taken\n"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_child_of_a_fork_keeps_its_own_runs_going(path: Path) -> None:
    provenance = DagProvenance(path)
    provenance.create_run("parent", "etl:pipeline", {})
    child = os.fork()
    if child == 0:
        signal.alarm(30)  # nobody else ends it when it waits for ever
        provenance.create_run("child", "etl:pipeline", {})
        os._exit(0)
    os.waitpid(child, 0)
    assert [run.run_id for run in provenance.get_crashed_runs()] == ["child"]


def test_a_number_of_a_process_that_was_given_again_is_not_the_same_process() -> None:
    mine = this_process()
    assert mine.identity
    assert process._identity(os.getpid()) == mine.identity
    assert mine.identity.startswith(f"{os.getpid()}:")
