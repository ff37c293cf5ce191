"""What is ended from outside or by its own parent: all below it ends too, and no process is left."""

from collections.abc import Generator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.e2e.running import Client, wait_for
from tests.e2e.workflows import Wanted, outcomes, serving

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(200)]

SLOTS = 3
ABORTED = "ACTION_PHASE_ABORTED"


@pytest.fixture(scope="module")
def user(tmp_path_factory: pytest.TempPathFactory) -> Generator[Client]:
    with serving(tmp_path_factory.mktemp("aborts"), "families.py", slots=SLOTS) as client:
        yield client


def diary_of(user: Client, task: str) -> Path:
    return user.directory / f"{task}.diary"


def start(user: Client, task: str) -> str:
    return user.started("families.py", task, "--diary", str(diary_of(user, task)))


def workers(diary: Path) -> list[psutil.Process]:
    """The processes of the tasks that have begun to work, and those that they started."""
    pids = diary.read_text().split() if diary.exists() else []
    return [psutil.Process(int(pid)) for pid in pids if psutil.pid_exists(int(pid))]


def descendants(run: str) -> list[psutil.Process]:
    """Programs started by tasks of the run: they have inherited what its attempts were told."""
    return [process for process in psutil.process_iter() if variables(process).get("RUN_NAME") == run]


def variables(process: psutil.Process) -> dict[str, str]:
    try:
        return process.environ()
    except psutil.Error:
        return {}


def gone(run: str, processes: list[psutil.Process]) -> bool:
    return not descendants(run) and not any(process.is_running() for process in processes)


def actions(user: Client, run: str) -> dict[str, list[dict[str, Any]]]:
    """By name of the task."""
    found: dict[str, list[dict[str, Any]]] = {}
    for action in user.json("get", "action", run):
        found.setdefault(action["metadata"]["task"]["shortName"], []).append(action)
    return found


def test_aborting_a_run_ends_its_running_and_its_queued_grandchildren(user: Client) -> None:
    run, diary = start(user, "found"), diary_of(user, "found")
    wait_for(lambda: len(workers(diary)) == 2 * SLOTS, seconds=60, what="the start of the grandchildren", every=0.1)
    working = workers(diary)
    assert len(descendants(run)) == SLOTS

    user.flyte("abort", "run", run, "--reason", "no longer needed")

    wait_for(lambda: gone(run, working), seconds=15, what="the end of all processes", every=0.1)
    found = actions(user, run)
    assert {name: len(named) for name, named in found.items()} == {"found": 1, "supervise": 2, "work": 4}
    assert {action["status"]["phase"] for named in found.values() for action in named} == {ABORTED}
    assert "no longer needed" in user.flyte("get", "action", run, "a0")
    assert len(diary.read_text().splitlines()) == SLOTS, "what was queued never began"


def test_a_parent_that_cancels_a_child_goes_on_without_it(user: Client) -> None:
    wanted = Wanted("families.lose_patience", {"diary": str(diary_of(user, "lose_patience"))})
    ended = outcomes(user, {"lose_patience": wanted})["lose_patience"]
    assert ended.output == "cancelled"
    assert [action["status"]["phase"] for action in actions(user, ended.run)["work"]] == [ABORTED]
    wait_for(lambda: not descendants(ended.run), seconds=15, what="the end of all processes", every=0.1)


def test_a_parent_hears_that_its_child_was_aborted(user: Client) -> None:
    run, diary = start(user, "lose_a_child"), diary_of(user, "lose_a_child")
    wait_for(diary.exists, seconds=60, what="the start of the child", every=0.1)
    (child,) = actions(user, run)["work"]
    user.flyte("abort", "action", run, child["id"]["name"])
    wait_for(lambda: user.phase(run) == "SUCCEEDED", seconds=60, what="the end of the run")
    assert "ActionAbortedError" in user.flyte("get", "io", run)
    assert not descendants(run)
