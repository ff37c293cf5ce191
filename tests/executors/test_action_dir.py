"""Whoever finds an action directory can tell what became of the attempt, at whatever moment a crash has left it."""

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.executors.conformance import launch_of
from wingbeat.core.launch import ExitReason
from wingbeat.executors.local.action_dir import ActionDir, Exit, Processes, Spec
from wingbeat.executors.local.process import ProcessId

T0 = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def action(tmp_path: Path) -> ActionDir:
    return ActionDir.create(tmp_path, Spec(launch_of("true", env={"A": "é\n"}), warm=True))


def test_a_launch_comes_back_as_it_was_accepted(tmp_path: Path) -> None:
    spec = Spec(launch_of("sh", "-c", "echo 'hi'", env={"A": "é\n"}, image="i", grace=0.5), warm=False)
    assert ActionDir.create(tmp_path, spec).spec() == spec


def test_a_known_key_keeps_its_first_launch(tmp_path: Path, action: ActionDir) -> None:
    spec = action.spec()
    assert ActionDir.create(tmp_path, Spec(spec.launch, warm=False)) == action
    assert action.spec() == spec


def test_a_draft_was_never_accepted_and_is_swept_away(tmp_path: Path, action: ActionDir) -> None:
    (tmp_path / "abc.draft" / "cwd").mkdir(parents=True)
    assert ActionDir.list(tmp_path) == [action]
    assert sorted(path.name for path in tmp_path.iterdir()) == [action.path.name]


def test_an_attempt_is_begun_by_one_and_alive_until_its_descriptor_closes(action: ActionDir) -> None:
    assert (action.claimed(), action.alive()) == (False, False)
    lock = action.claim()
    assert lock is not None
    assert (action.claimed(), action.alive()) == (True, True)
    assert action.claim() is None
    os.close(lock)
    assert (action.claimed(), action.alive()) == (True, False)
    assert action.claim() is None


def test_a_process_that_inherits_the_lock_keeps_the_attempt_alive(action: ActionDir) -> None:
    lock = action.claim()
    assert lock is not None
    with subprocess.Popen(["sleep", "60"], pass_fds=[lock]) as heir:
        os.close(lock)
        assert action.alive()
        heir.kill()
    assert not action.alive()


def test_an_exit_comes_back_as_it_was_written(action: ActionDir) -> None:
    assert action.exit() is None
    assert not action.ended()
    outcome = Exit(ExitReason.SIGNAL, signal=9, started_at=T0, ended_at=T0, message="m")
    action.write_exit(outcome)
    assert action.exit() == outcome
    assert action.ended()


def test_an_exit_that_a_power_cut_has_emptied_is_none(action: ActionDir) -> None:
    (action.path / "exit.json").touch()
    assert action.exit() is None


def test_processes_come_back_as_they_were_written(action: ActionDir) -> None:
    assert action.processes() is None
    processes = Processes(ProcessId(1, 2.0), ProcessId(3, 4.0), T0)
    action.write_processes(processes)
    assert action.processes() == processes


def test_the_first_reason_to_stop_stays(action: ActionDir) -> None:
    assert action.stop_reason() is None
    action.request_stop("first")
    action.request_stop("second")
    assert action.stop_reason() == "first"


def test_a_removed_attempt_has_ended_and_leaves_nothing(tmp_path: Path, action: ActionDir) -> None:
    action.remove()
    action.remove()
    assert action.ended()
    assert list(tmp_path.iterdir()) == []


async def test_a_process_is_told_from_a_later_one_with_its_pid() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        identity = ProcessId.of(process.pid)
        assert identity is not None
        assert identity.alive
        assert not ProcessId(identity.pid, identity.started + 1).alive
        process.kill()
        await identity.gone()
        assert not identity.alive
    assert ProcessId.of(process.pid) is None
    await identity.gone()
