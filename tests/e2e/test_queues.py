"""A machine that serves one queue only: what waits for another says so and times out; a run with a limit keeps it."""

from collections.abc import Generator
from pathlib import Path

import pytest

from tests.e2e.running import Client
from tests.e2e.workflows import Outcome, Wanted, outcomes, serving

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(200)]

LIMIT = 2
WORKERS = 6


@pytest.fixture(scope="module")
def user(tmp_path_factory: pytest.TempPathFactory) -> Generator[Client]:
    with serving(tmp_path_factory.mktemp("queues"), "lines.py", slots=8, queues=["default"]) as client:
        yield client


@pytest.fixture(scope="module")
def ended(user: Client) -> dict[str, Outcome]:
    inputs = {"diary": str(diary(user)), "workers": WORKERS}
    return outcomes(
        user,
        {
            "wait_for_the_night": Wanted("lines.wait_for_the_night"),
            "give_up": Wanted("lines.give_up"),
            "crowd": Wanted("lines.crowd", inputs, options={"max_action_concurrency": LIMIT}),
        },
    )


def diary(user: Client) -> Path:
    return user.directory / "crowd.diary"


def test_what_nobody_takes_in_time_ends_with_the_exception_of_the_sdk(ended: dict[str, Outcome]) -> None:
    assert ended["wait_for_the_night"].error == "MaxQueuedTimeExceededError"
    run = ended["give_up"]
    assert run.output.startswith("MaxQueuedTimeExceededError: ")
    (child,) = run.children
    assert child["status"]["phase"] == "ACTION_PHASE_TIMED_OUT"


def test_a_queue_that_no_node_serves_is_named_in_the_terminal(user: Client, ended: dict[str, Outcome]) -> None:
    shown = user.run("wingbeat", "run", "show", ended["wait_for_the_night"].run).stdout
    assert "no node that is alive serves the queue 'night'" in shown
    assert "max_queued_time" in shown


def test_a_run_with_a_limit_has_no_more_actions_at_work_than_that(user: Client, ended: dict[str, Outcome]) -> None:
    assert ended["crowd"].output == sum(range(WORKERS))
    spans = [tuple(map(float, line.split())) for line in diary(user).read_text().splitlines()]
    assert len(spans) == WORKERS
    at_work = [sum(began <= moment < end for began, end in spans) for moment, _ in spans]
    assert max(at_work) == LIMIT
