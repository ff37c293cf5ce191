"""The actions of a run as a tree: how those below each of them stand, and what of it a change touches.

An action is held back until its parent is known, so that whoever walks up from one always comes to a root.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from wingbeat.core.action import Action, Phase
from wingbeat.core.ids import ROOT_ACTION


@dataclass(frozen=True, slots=True)
class ActionFilter:
    """All of it must match; the default matches everything. `words` are in the action's name, whatever the case."""

    phases: frozenset[Phase] | None = None
    words: tuple[str, ...] = ()

    def matches(self, action: Action) -> bool:
        if self.phases is not None and action.phase not in self.phases:
            return False
        name = (action.task.short_name or action.id.name).lower()
        return all(word.lower() in name for word in self.words)


@dataclass(frozen=True, slots=True)
class Shown:
    """An action as a watcher sees it. Not `visible`: it was shown before and is to be taken away."""

    action: Action
    below: Mapping[Phase, int]
    """How many of all below it are in which phase."""
    visible: bool


@dataclass(slots=True)
class _Node:
    action: Action
    below: Counter[Phase] = field(default_factory=Counter[Phase])


class ActionTree:
    def __init__(self) -> None:
        self._nodes: dict[str, _Node] = {}
        self._held_back: dict[str, dict[str, Action]] = {}
        """By the name of the parent that is not known."""
        self._versions: dict[str, int] = {}
        self._unfinished: set[str] = set()

    def __getitem__(self, name: str) -> Action:
        return self._nodes[name].action

    def __contains__(self, name: str) -> bool:
        return name in self._nodes

    @property
    def names(self) -> Collection[str]:
        return self._nodes.keys()

    @property
    def over(self) -> bool:
        """Whether the run has ended, and all of its actions with it: nothing will ever change."""
        return ROOT_ACTION in self._nodes and not self._unfinished

    def knows(self, name: str, version: int) -> bool:
        return self._versions.get(name, 0) >= version

    def below(self, name: str) -> Mapping[Phase, int]:
        return {phase: count for phase, count in self._nodes[name].below.items() if count}

    def put(self, action: Action) -> set[str]:
        """The names of what is another than before: the action, those it was the parent of, and all above them."""
        name = action.id.name
        if self.knows(name, action.version):
            return set()
        self._versions[name] = action.version
        (self._unfinished.discard if action.phase.terminal else self._unfinished.add)(name)
        if action.parent is not None and action.parent not in self._nodes:
            self._held_back.setdefault(action.parent, {})[name] = action
            return set()
        return self._placed(action)

    def above(self, name: str) -> Iterator[str]:
        """Its parent, and so on up to the root."""
        parent = self._nodes[name].action.parent
        while parent is not None:
            yield parent
            parent = self._nodes[parent].action.parent

    def parents_first(self, names: Collection[str]) -> Iterator[str]:
        """The oldest first, and none before its parent. `names` have with each name all that are above it."""
        placed: set[str] = set()
        for name in sorted(names, key=self._age):
            way: list[str] = []
            for each in (name, *self.above(name)):
                if each in placed:
                    break
                way.append(each)
            placed.update(way)
            yield from reversed(way)

    def _age(self, name: str) -> tuple[float, str]:
        return self._nodes[name].action.created_at.timestamp(), name

    def _placed(self, action: Action) -> set[str]:
        touched: set[str] = set()
        placing = [action]
        while placing:
            each = placing.pop()
            touched.update(self._place(each))
            placing.extend(self._held_back.pop(each.id.name, {}).values())
        return touched

    def _place(self, action: Action) -> Sequence[str]:
        name = action.id.name
        known = self._nodes.get(name)
        before = known.action.phase if known else None
        if known:
            known.action = action
        else:
            self._nodes[name] = _Node(action)
        above = list(self.above(name))
        for each in above:
            below = self._nodes[each].below
            below[action.phase] += 1
            if before is not None:
                below[before] -= 1
        return [name, *above]


class TreeView:
    """What one watcher sees of a tree through its filter: what matches, and all above it. Remembers what was shown.

    What nobody has taken yet is a set of names: however slow the watcher, it never grows beyond the tree.
    """

    def __init__(self, tree: ActionTree, wanted: ActionFilter) -> None:
        self._tree = tree
        self._wanted = wanted
        self._touched: set[str] = set(tree.names)
        self._matching: Counter[str] = Counter()
        """How many in the part of the tree that begins at a name match; nothing is counted where everything does."""
        self._matches: set[str] = set()
        self._shown: set[str] = set()

    def touch(self, names: Iterable[str]) -> None:
        """`names` have with each name all that are above it."""
        self._touched.update(names)

    @property
    def waiting(self) -> bool:
        """Whether there is something to take."""
        return bool(self._touched)

    def take(self) -> Sequence[Shown]:
        """What the watcher does not know yet; it knows it from now on."""
        touched, self._touched = self._touched, set()
        if self._wanted == ActionFilter():
            return [self._seen(name, visible=True) for name in self._tree.parents_first(touched)]
        for name in touched:
            self._match(name)
        return [shown for name in self._tree.parents_first(touched) if (shown := self._change(name))]

    def _match(self, name: str) -> None:
        matches = self._wanted.matches(self._tree[name])
        if matches == (name in self._matches):
            return
        (self._matches.add if matches else self._matches.discard)(name)
        for each in (name, *self._tree.above(name)):
            self._matching[each] += 1 if matches else -1

    def _change(self, name: str) -> Shown | None:
        visible = self._matching[name] > 0
        if not visible and name not in self._shown:
            return None
        (self._shown.add if visible else self._shown.discard)(name)
        return self._seen(name, visible=visible)

    def _seen(self, name: str, *, visible: bool) -> Shown:
        return Shown(self._tree[name], self._tree.below(name), visible)
