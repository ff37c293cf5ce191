"""Tasks that take too long: their processes end, and the SDK raises its own exceptions, in parents and for callers."""

from collections.abc import Generator
from pathlib import Path

import psutil
import pytest

from tests.e2e.running import Client, wait_for
from tests.e2e.workflows import Outcome, Wanted, outcomes, serving

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(200)]

WITH_DIARIES = ("wake", "oversleep", "oversleep_once", "hold")


@pytest.fixture(scope="module")
def user(tmp_path_factory: pytest.TempPathFactory) -> Generator[Client]:
    with serving(tmp_path_factory.mktemp("timeouts"), "late.py") as client:
        yield client


@pytest.fixture(scope="module")
def ended(user: Client) -> dict[str, Outcome]:
    """One run of each task, by its name."""
    wanted = {task: Wanted(f"late.{task}", {"diary": str(diary(user, task))}) for task in WITH_DIARIES}
    return outcomes(user, wanted | {"fail_for_ever": Wanted("late.fail_for_ever")})


def diary(user: Client, task: str) -> Path:
    return user.directory / f"{task}.diary"


def wait_until_gone(user: Client, task: str) -> None:
    """Whoever has written a line, and what they have started."""
    pids = [int(pid) for pid in diary(user, task).read_text().split()]
    assert pids
    wait_for(lambda: not any(psutil.pid_exists(pid) for pid in pids), seconds=20, what=f"the end of {task}", every=0.1)


def of(run: Outcome, action: str = "a0") -> dict[str, object]:
    return next(each["status"] for each in run.actions if each["id"]["name"] == action)


def test_a_parent_catches_what_its_child_ends_with(user: Client, ended: dict[str, Outcome]) -> None:
    run = ended["wake"]
    assert run.output.startswith("MaxRuntimeExceededError: ")
    assert "0:00:02" in run.output
    (child,) = run.children
    assert child["status"]["phase"] == "ACTION_PHASE_TIMED_OUT"
    wait_until_gone(user, "wake")


def test_a_caller_gets_the_same_exception_and_nothing_is_left_running(user: Client, ended: dict[str, Outcome]) -> None:
    run = ended["oversleep"]
    assert (run.phase, run.error) == ("timed_out", "MaxRuntimeExceededError")
    wait_until_gone(user, "oversleep")


def test_an_attempt_that_runs_too_long_is_tried_again(user: Client, ended: dict[str, Outcome]) -> None:
    run = ended["oversleep_once"]
    assert (run.output, of(run)["attempts"]) == (1, 2)
    wait_until_gone(user, "oversleep_once")


def test_a_deadline_ends_an_action_that_has_retries_left(ended: dict[str, Outcome]) -> None:
    run = ended["fail_for_ever"]
    assert (run.phase, run.error) == ("timed_out", "DeadlineExceededError")


def test_children_end_with_a_parent_that_is_late(user: Client, ended: dict[str, Outcome]) -> None:
    run = ended["hold"]
    assert run.error == "DeadlineExceededError"
    (child,) = run.children
    assert child["status"]["phase"] == "ACTION_PHASE_ABORTED"
    wait_until_gone(user, "hold")
