"""Tasks that start tasks: their shapes, what they pass on, and what becomes of those that fail.

All runs go at the same time, on a server with two slots.
"""

from collections import Counter
from collections.abc import Generator

import pytest

from tests.e2e.running import Client
from tests.e2e.workflows import Outcome, Wanted, outcomes, serving

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(200)]

SLOTS = 2
DEPTH = 4
CAUGHT = {
    "mistake": ["RuntimeUserError", "KeyError", "user", "'no such plan'"],
    "fault": ["RuntimeSystemError", "DiskFull", "system", "nothing can be written"],
    "out of memory": ["OOMError", "OOMKilled", "user", "too much was asked for"],
    "hopeless": ["RuntimeUserError", "Hopeless", "user", "no use in trying again"],
}
"""What a parent catches, by how its child breaks down."""
SHAPES = {
    "fan_out": Wanted("shapes.fan_out", {"width": 50}),
    "nest": Wanted("shapes.nest", {"depth": DEPTH}),
    "double_all": Wanted("shapes.double_all", {"numbers": [1, 2, 3]}),
    "group_by_parity": Wanted("shapes.group_by_parity", {"width": 3}),
    "surroundings": Wanted(
        "shapes.surroundings_of_a_grandchild", environment={"FLAVOUR": "salty"}, context={"tenant": "acme"}
    ),
}
TROUBLES = ("succeed_at_last", "give_up", "never_succeed", "die_once", "resume")
"""The tasks that keep a diary."""


@pytest.fixture(scope="module")
def user(tmp_path_factory: pytest.TempPathFactory) -> Generator[Client]:
    with serving(tmp_path_factory.mktemp("workflows"), "shapes.py", "troubles.py", slots=SLOTS) as client:
        yield client


@pytest.fixture(scope="module")
def ended(user: Client) -> dict[str, Outcome]:
    """All runs, by name. Those that wait longest come first."""
    runs = {how: Wanted("troubles.catch", {"how": how}) for how in reversed(CAUGHT)}
    runs |= {task: Wanted(f"troubles.{task}", {"diary": str(user.directory / task)}) for task in TROUBLES}
    runs |= {"checkpoint": Wanted("troubles.continue_from_checkpoint")}
    return outcomes(user, runs | SHAPES)


def groups(run: Outcome) -> Counter[str]:
    return Counter(child["metadata"]["group"] for child in run.children)


def diary(user: Client, task: str) -> Counter[str]:
    return Counter((user.directory / task).read_text().splitlines())


def test_a_task_fans_out_to_fifty(ended: dict[str, Outcome]) -> None:
    run = ended["fan_out"]
    assert run.output == sum(number * number for number in range(50))
    assert len(run.children) == 50
    assert {child["status"]["phase"] for child in run.children} == {"ACTION_PHASE_SUCCEEDED"}
    assert {child["metadata"]["parent"] for child in run.children} == {"a0"}


def test_more_parents_than_slots_do_not_wait_for_ever(ended: dict[str, Outcome]) -> None:
    assert DEPTH > SLOTS
    assert ended["nest"].output == 2 * DEPTH


def test_a_task_is_mapped_over_a_list(ended: dict[str, Outcome]) -> None:
    assert ended["double_all"].output == [2, 4, 6]
    assert groups(ended["double_all"]) == {"shapes.double_doubles": 3}


def test_children_are_filed_under_their_groups(ended: dict[str, Outcome]) -> None:
    assert ended["group_by_parity"].output == 0 + 1 + 4
    assert groups(ended["group_by_parity"]) == {"even": 2, "odd": 1}


def test_variables_and_context_of_a_run_reach_its_grandchildren(ended: dict[str, Outcome]) -> None:
    assert ended["surroundings"].output == ["salty", "acme"]


@pytest.mark.parametrize("how", CAUGHT)
def test_a_parent_catches_what_its_child_raised(how: str, ended: dict[str, Outcome]) -> None:
    assert ended[how].output == CAUGHT[how]


def test_a_task_is_tried_again_until_it_succeeds(user: Client, ended: dict[str, Outcome]) -> None:
    run = ended["succeed_at_last"]
    assert run.output == 3
    (action,) = run.actions
    status = action["status"]
    assert status["attempts"] == 3
    assert int(status["durationMs"]) > 500 + 1000, "the task said how long to wait before its retries"
    shown = user.flyte("get", "action", run.run, "a0")
    assert "attempt 1 was not good enough" in shown
    assert "attempt 2 was not good enough" in shown


def test_a_run_fails_as_its_last_attempt_did(user: Client, ended: dict[str, Outcome]) -> None:
    run = ended["never_succeed"]
    assert (run.phase, run.error, run.text) == ("failed", "RuntimeUserError", "attempt 2 failed")
    assert diary(user, "never_succeed") == {"in vain": 2}


def test_what_cannot_be_recovered_is_not_tried_again(user: Client, ended: dict[str, Outcome]) -> None:
    run = ended["give_up"]
    assert (run.phase, run.text) == ("failed", "tried 1 times")
    assert diary(user, "give_up") == {"hopeless": 1}


def test_a_killed_task_is_tried_again_though_it_asked_for_no_retries(ended: dict[str, Outcome]) -> None:
    assert ended["die_once"].output == 2


def test_a_parent_that_is_tried_again_keeps_what_children_and_traces_did(
    user: Client, ended: dict[str, Outcome]
) -> None:
    run = ended["resume"]
    assert run.output == [1, 1, 1]
    assert diary(user, "resume") == {"parent": 2, "child": 1, "other child": 1, "trace": 1, "hopeless trace": 1}
    (failed,) = (child for child in run.children if child["status"]["phase"] == "ACTION_PHASE_FAILED")
    assert "noted 1 times" in user.flyte("get", "action", run.run, failed["id"]["name"])


def test_a_retry_continues_from_the_checkpoint_of_the_attempt_before(ended: dict[str, Outcome]) -> None:
    assert ended["checkpoint"].output == 41 + 1
