"""What is ended from outside or by its own parent: all below it ends too, and no process is left."""

from collections import Counter
from collections.abc import Generator
from pathlib import Path

import psutil
import pytest

from tests.e2e.running import Client, wait_for
from tests.e2e.workflows import Outcome, Started, Wanted, outcomes, serving, started

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(200)]

SLOTS = 3
TASKS = ("found", "lose_patience", "lose_a_child")


@pytest.fixture(scope="module")
def user(tmp_path_factory: pytest.TempPathFactory) -> Generator[Client]:
    with serving(tmp_path_factory.mktemp("aborts"), "families.py", slots=SLOTS) as client:
        yield client


@pytest.fixture(scope="module")
def begun(user: Client) -> dict[str, Started]:
    """One run of each task, by its name."""
    return started(user, {task: Wanted(f"families.{task}", {"diary": str(diary(user, task))}) for task in TASKS})


def diary(user: Client, task: str) -> Path:
    return user.directory / f"{task}.diary"


def workers(user: Client, task: str) -> list[psutil.Process]:
    """The processes of the tasks that work, and those that they started."""
    pids = diary(user, task).read_text().split() if diary(user, task).exists() else []
    return [psutil.Process(int(pid)) for pid in pids if psutil.pid_exists(int(pid))]


def programs(run: Started) -> list[psutil.Process]:
    """What tasks of the run have started: it has inherited the variables of its attempt."""
    return [process for process in psutil.process_iter() if variables(process).get("RUN_NAME") == run.run]


def variables(process: psutil.Process) -> dict[str, str]:
    try:
        return process.environ()
    except psutil.Error:
        return {}


def wait_until_gone(run: Started, working: list[psutil.Process]) -> None:
    def gone() -> bool:
        return not programs(run) and not any(process.is_running() for process in working)

    wait_for(gone, seconds=20, what="the end of all processes", every=0.1)


def phases(run: Outcome) -> Counter[tuple[str, str]]:
    """By the task's name."""
    return Counter((action["metadata"]["task"]["shortName"], action["status"]["phase"]) for action in run.actions)


def test_a_parent_that_cancels_a_child_goes_on_without_it(user: Client, begun: dict[str, Started]) -> None:
    run = begun["lose_patience"]
    ended = outcomes(user, {"run": run})["run"]
    assert ended.output == "cancelled"
    assert phases(ended) == {("lose_patience", "ACTION_PHASE_SUCCEEDED"): 1, ("work", "ACTION_PHASE_ABORTED"): 1}
    wait_until_gone(run, workers(user, "lose_patience"))


def test_a_parent_hears_that_its_child_was_aborted(user: Client, begun: dict[str, Started]) -> None:
    run = begun["lose_a_child"]
    wait_for(lambda: workers(user, "lose_a_child"), seconds=60, what="the start of the child", every=0.1)
    (program,) = programs(run)
    user.flyte("abort", "action", run.run, variables(program)["ACTION_NAME"])
    ended = outcomes(user, {"run": run})["run"]
    assert ended.output == "ActionAbortedError"
    assert phases(ended) == {("lose_a_child", "ACTION_PHASE_SUCCEEDED"): 1, ("work", "ACTION_PHASE_ABORTED"): 1}
    wait_until_gone(run, [program])


def test_aborting_a_run_ends_its_running_and_its_queued_grandchildren(user: Client, begun: dict[str, Started]) -> None:
    run = begun["found"]
    wait_for(lambda: len(programs(run)) == SLOTS, seconds=60, what="the start of the grandchildren", every=0.1)
    working = workers(user, "found")
    assert len(working) == 2 * SLOTS

    user.flyte("abort", "run", run.run, "--reason", "no longer needed")

    wait_until_gone(run, working)
    ended = outcomes(user, {"run": run})["run"]
    assert phases(ended) == {
        (task, "ACTION_PHASE_ABORTED"): n for task, n in (("found", 1), ("supervise", 2), ("work", 4))
    }
    assert "no longer needed" in ended.text
    assert len(diary(user, "found").read_text().splitlines()) == SLOTS, "what was queued never began"
