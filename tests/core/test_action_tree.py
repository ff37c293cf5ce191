"""A tree that is told of changes one by one shows what a tree that was read anew would show."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import T0
from wingbeat.core.action import Action, ActionType, Phase, TaskRef
from wingbeat.core.action_tree import ActionFilter, ActionTree, Shown, TreeView
from wingbeat.core.ids import ROOT_ACTION, ActionId, RunId, TaskId

RUN = RunId("birds", "development", "r")
EVERYTHING = ActionFilter()
FAILED = ActionFilter(phases=frozenset({Phase.FAILED}))

State = dict[str, tuple[str, Mapping[Phase, int]]]
"""What a watcher knows: phase and counts by name."""


def action(
    name: str, parent: str | None = ROOT_ACTION, phase: Phase = Phase.RUNNING, *, version: int = 1, age: int = 0
) -> Action:
    return Action(
        id=ActionId(RUN, name),
        parent=None if name == ROOT_ACTION else parent,
        group="",
        type=ActionType.TASK,
        phase=phase,
        attempts=1,
        cache_status=0,
        task=TaskRef(TaskId("birds", "development", f"env.{name}", "v1"), "python", f"fly_{name}", "fly", "env", "d"),
        source="RUN_SOURCE_CLI",
        trigger=None,
        created_by_subject="",
        input_uri="",
        output_uri=None,
        abort_reason=None,
        created_at=T0 + timedelta(seconds=age),
        updated_at=T0,
        ended_at=None,
        duration_ms=None,
        version=version,
    )


ROOT = action(ROOT_ACTION)


def tree_of(*actions: Action) -> ActionTree:
    tree = ActionTree()
    for each in actions:
        tree.put(each)
    return tree


def told(view: TreeView, tree: ActionTree, *actions: Action) -> Sequence[Shown]:
    for each in actions:
        view.touch(tree.put(each))
    return view.take()


def seen(shown: Sequence[Shown]) -> list[tuple[str, bool]]:
    return [(each.action.id.name, each.visible) for each in shown]


def test_counts_are_of_all_below() -> None:
    tree = tree_of(ROOT, action("b"), action("c", "b", Phase.FAILED), action("d", "c", Phase.FAILED))
    assert tree.below(ROOT_ACTION) == {Phase.RUNNING: 1, Phase.FAILED: 2}
    assert tree.below("b") == {Phase.FAILED: 2}
    assert tree.below("d") == {}


def test_a_change_sends_the_action_and_all_above_it_and_nothing_else() -> None:
    tree = tree_of(ROOT, action("b"), action("c", "b"), action("other"))
    view = TreeView(tree, EVERYTHING)
    view.take()
    shown = told(view, tree, action("c", "b", Phase.SUCCEEDED, version=2))
    assert seen(shown) == [(ROOT_ACTION, True), ("b", True), ("c", True)]
    assert shown[1].below == {Phase.SUCCEEDED: 1}


def test_what_is_known_already_is_not_sent_again() -> None:
    tree = tree_of(ROOT, action("b", version=3))
    view = TreeView(tree, EVERYTHING)
    view.take()
    assert told(view, tree, action("b", phase=Phase.QUEUED, version=2), action("b", version=3)) == []


def test_parents_come_first_even_when_they_are_younger() -> None:
    view = TreeView(tree_of(action(ROOT_ACTION, age=9), action("b", age=5), action("c", "b", age=1)), EVERYTHING)
    assert [name for name, _ in seen(view.take())] == [ROOT_ACTION, "b", "c"]


def test_an_action_without_a_parent_waits_for_it() -> None:
    tree = tree_of(ROOT, action("d", "c"), action("c", "b"))
    view = TreeView(tree, EVERYTHING)
    assert seen(view.take()) == [(ROOT_ACTION, True)]
    assert [name for name, _ in seen(told(view, tree, action("b")))] == [ROOT_ACTION, "b", "c", "d"]
    assert tree.below(ROOT_ACTION) == {Phase.RUNNING: 3}


def test_what_stands_above_a_match_is_shown_with_it_and_leaves_with_it() -> None:
    tree = tree_of(ROOT, action("b"), action("c", "b", Phase.FAILED), action("other"))
    view = TreeView(tree, FAILED)
    assert seen(view.take()) == [(ROOT_ACTION, True), ("b", True), ("c", True)]
    assert seen(told(view, tree, action("c", "b", Phase.QUEUED, version=2))) == [
        (ROOT_ACTION, False),
        ("b", False),
        ("c", False),
    ]
    assert told(view, tree, action("c", "b", Phase.RUNNING, version=3)) == []


@pytest.mark.parametrize(
    ("wanted", "matches"),
    [
        (EVERYTHING, True),
        (ActionFilter(words=("FLY_b",)), True),
        (ActionFilter(words=("fly", "c")), False),
        (ActionFilter(phases=frozenset()), False),
        (ActionFilter(frozenset({Phase.RUNNING}), ("b",)), True),
        (ActionFilter(frozenset({Phase.FAILED}), ("b",)), False),
    ],
)
def test_a_filter_matches_when_all_of_it_does(wanted: ActionFilter, *, matches: bool) -> None:
    assert wanted.matches(action("b")) is matches


def test_an_action_without_a_short_name_is_found_by_its_own() -> None:
    nameless = replace(action("b77"), task=replace(ROOT.task, short_name=""))
    assert ActionFilter(words=("B7",)).matches(nameless)


def test_a_run_is_over_when_all_of_it_is() -> None:
    tree = tree_of(action(ROOT_ACTION, phase=Phase.FAILED), action("b"))
    assert not tree.over
    tree.put(action("b", phase=Phase.ABORTED, version=2))
    assert tree.over
    tree.put(action("d", "nobody"))
    assert not tree.over


@st.composite
def histories(draw: st.DrawFn) -> list[Action]:
    """Actions of one run in any order, their parents among them, each several times with growing versions."""
    count = draw(st.integers(1, 12))
    names = [ROOT_ACTION, *(f"n{number}" for number in range(1, count))]
    parents = {name: names[draw(st.integers(0, index))] for index, name in enumerate(names[1:])}
    phases = st.sampled_from([Phase.QUEUED, Phase.RUNNING, Phase.FAILED, Phase.SUCCEEDED])
    events = draw(st.lists(st.tuples(st.sampled_from(names), phases), max_size=40))
    versions = Counter[str]()
    history: list[Action] = []
    for name, phase in [*draw(st.permutations([(name, Phase.QUEUED) for name in names])), *events]:
        versions[name] += 1
        age = draw(st.integers(0, 5)) if versions[name] == 1 else 0
        history.append(action(name, parents.get(name), phase, version=versions[name], age=age))
    return history


def scratch(actions: Mapping[str, Action], wanted: ActionFilter) -> State:
    """What is to be seen of the actions, the slow way."""

    def above(name: str | None) -> list[str]:
        return [] if name is None or name not in actions else [name, *above(actions[name].parent)]

    attached = [name for name in actions if above(name)[-1] == ROOT_ACTION]
    visible = {each for name in attached if wanted.matches(actions[name]) for each in above(name)}
    below = {name: Counter(actions[n].phase for n in attached if name in above(n)[1:]) for name in visible}
    return {name: (actions[name].phase.name, dict(below[name])) for name in visible}


@given(
    history=histories(),
    wanted=st.sampled_from([EVERYTHING, FAILED, ActionFilter(words=("n1",)), ActionFilter(words=(ROOT_ACTION,))]),
    data=st.data(),
)
def test_changes_one_by_one_come_to_the_same_as_all_at_once(
    history: list[Action], wanted: ActionFilter, data: st.DataObject
) -> None:
    tree, actions, known = ActionTree(), dict[str, Action](), State()
    view = TreeView(tree, wanted)
    for each in history:
        actions[each.id.name] = each
        view.touch(tree.put(each))
        if data.draw(st.booleans()):
            apply(known, view.take())
            assert known == scratch(actions, wanted)
    apply(known, view.take())
    assert known == scratch(actions, wanted)
    late: State = {}
    apply(late, TreeView(tree, wanted).take())
    assert late == known


def apply(known: State, shown: Sequence[Shown]) -> None:
    """As a watcher does it, who must know every parent, and be told only of what it sees."""
    for each in shown:
        name, parent = each.action.id.name, each.action.parent
        if each.visible:
            assert parent is None or parent in known
            known[name] = (each.action.phase.name, each.below)
        else:
            known.pop(name)
