"""Groups that are moved on by changes come to the same as groups that are counted anew."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import T0
from tests.core.test_action_tree import ROOT
from wingbeat.core.action import Action, ErrorKind, Phase
from wingbeat.core.ids import ActionId, RunId
from wingbeat.core.task_group import TaskGroups

LIFE = (Phase.QUEUED, Phase.RUNNING, Phase.FAILED)


def root(name: str, task: str, phase: Phase, *, age: int) -> Action:
    ended = phase.terminal
    return replace(
        ROOT,
        id=ActionId(RunId("birds", "development", name), "a0"),
        task=replace(ROOT.task, id=replace(ROOT.task.id, name=task)),
        phase=phase,
        created_by_subject=f"by {age % 3}" if age % 3 else "",
        created_at=T0 + timedelta(seconds=age),
        ended_at=T0 + timedelta(seconds=2 * age) if ended else None,
        duration_ms=1000 * age if ended else None,
    )


def nothing() -> TaskGroups:
    return TaskGroups(T0, {}, {})


@given(
    runs=st.lists(st.tuples(st.sampled_from(["fly", "sing"]), st.integers(1, 3)), max_size=8),
    order=st.randoms(use_true_random=False),
)
def test_changes_one_by_one_come_to_the_same_as_the_last_of_each_run(
    runs: list[tuple[str, int]], order: Random
) -> None:
    lives = [[root(f"r{n}", task, phase, age=n + 1) for phase in LIFE[:far]] for n, (task, far) in enumerate(runs)]
    moved, counted = nothing(), nothing()
    waiting = [list(life) for life in lives]
    while any(waiting):
        life = order.choice([life for life in waiting if life])
        count(moved, life.pop(0))
    for life in lives:
        count(counted, life[-1])
    assert moved.groups == counted.groups
    assert moved.unfinished == counted.unfinished == unfinished(lives)
    assert moved.changed == {task for task, _ in runs}


def count(groups: TaskGroups, each: Action) -> None:
    assert not groups.doubtful(each)
    groups.count(each, ErrorKind.USER if each.phase is Phase.FAILED else None)


def unfinished(lives: list[list[Action]]) -> Mapping[RunId, Phase]:
    return {life[-1].id.run: life[-1].phase for life in lives if not life[-1].phase.terminal}


def test_a_run_that_may_have_been_counted_is_doubtful() -> None:
    groups = nothing()
    assert groups.doubtful(root("r", "fly", Phase.SUCCEEDED, age=0))
    assert not groups.doubtful(root("r", "fly", Phase.SUCCEEDED, age=1))
    known = TaskGroups(T0, {}, {RunId("birds", "development", "r"): Phase.RUNNING})
    assert not known.doubtful(root("r", "fly", Phase.SUCCEEDED, age=0))


def test_a_change_that_is_none_changes_no_group() -> None:
    groups = nothing()
    count(groups, root("r", "fly", Phase.RUNNING, age=1))
    groups.changed.clear()
    count(groups, root("r", "fly", Phase.RUNNING, age=1))
    assert groups.changed == set()
    assert groups.groups["fly"].total == 1
