"""A keeper is killed at the worst moments."""

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.executors.conformance import LIMIT, shell
from wingbeat.executors.local import keeper
from wingbeat.executors.local.action_dir import ActionDir, Processes, Spec


@pytest.fixture
def action(tmp_path: Path) -> ActionDir:
    return ActionDir.create(tmp_path, Spec(shell("echo ran"), warm=False))


def killed_while_it_keeps(action: ActionDir, sabotage: Callable[[], None]) -> None:
    """Run a keeper in a fork of this process, and wait until it has died of SIGKILL."""
    pid = os.fork()
    if pid == 0:
        sabotage()
        keeper.keep(action, warm=False, announce=lambda: None)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL


def until_dead(action: ActionDir) -> None:
    patience = time.monotonic() + LIMIT
    while action.alive():
        assert time.monotonic() < patience
        time.sleep(0.01)


@pytest.mark.skipif(sys.platform != "linux", reason="forks a process with threads")
def test_what_a_keeper_could_not_tell_of_never_runs(action: ActionDir, monkeypatch: pytest.MonkeyPatch) -> None:
    def die(action: ActionDir, processes: Processes) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    killed_while_it_keeps(action, lambda: monkeypatch.setattr(ActionDir, "write_processes", die))
    assert action.claimed()
    until_dead(action)
    assert not action.log.exists()


@pytest.mark.skipif(sys.platform != "linux", reason="forks a process with threads")
def test_what_a_keeper_has_told_of_runs_without_it(action: ActionDir, monkeypatch: pytest.MonkeyPatch) -> None:
    def die(main: int, *_: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    killed_while_it_keeps(action, lambda: monkeypatch.setattr(keeper, "_wait", die))
    assert action.processes()
    until_dead(action)
    assert action.log.read_text() == "ran\n"
