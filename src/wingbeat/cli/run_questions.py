"""What a run that is watched asks of people, and how they answer: its conditions that wait for their values."""

import shlex
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from flyteidl2.workflow import run_definition_pb2 as pb

from wingbeat.cli import run_calls
from wingbeat.cli.client import Api
from wingbeat.cli.plain import printable
from wingbeat.cli.run_documents import ActionNode, RunTree
from wingbeat.core.action import Phase

EXAMPLES = {"BOOLEAN": "yes"}
"""What one types, by the type of the value."""
MOST = 5
"""That are told at once: more of them nobody answers one by one."""


class Asked:
    """The details of conditions that wait. Each is asked for once, for as long as it waits."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._known: dict[str, pb.ActionDetails] = {}

    async def of(self, actions: Mapping[str, pb.Action]) -> Mapping[str, pb.ActionDetails]:
        """Of those of a run's `actions` that wait now, by name."""
        waiting = {name: action for name, action in actions.items() if _waits(action)}
        new = [action for name, action in waiting.items() if name not in self._known]
        found = {**self._known, **(await run_calls.asked(self._api, new) if new else {})}
        self._known = {name: found[name] for name in waiting}
        return self._known


@dataclass(frozen=True, slots=True)
class Question:
    action: str
    line: str


def questions(tree: RunTree) -> list[Question]:
    """Of all conditions that wait, in the order of the tree."""
    waiting = [node for node in nodes(tree.root) if node.prompt is not None]
    named = Counter(node.task for node in waiting)
    clear = {name for name, count in named.items() if count == 1 and name == printable(name)}
    return [_question(tree.run.name, node, node.task if node.task in clear else node.name) for node in waiting]


def lines(asked: list[Question]) -> list[str]:
    """The first of them, and how many more there are."""
    more = [f"and {len(asked) - MOST} more"] if len(asked) > MOST else []
    return [*(question.line for question in asked[:MOST]), *more]


def nodes(node: ActionNode) -> Iterator[ActionNode]:
    """The node and all below it."""
    yield node
    for child in node.children:
        yield from nodes(child)


def _question(run: str, node: ActionNode, name: str) -> Question:
    value = EXAMPLES.get(node.value_type or "", node.value_type or "VALUE")
    said = f"{node.task}: {node.prompt}" if node.prompt else node.task
    # A task chooses the name, and somebody will copy the command.
    answer = shlex.join(["wingbeat", "run", "signal", run, name, value])
    return Question(node.name, f"waits for {' '.join(printable(said).split())}  (answer: {answer})")


def _waits(action: pb.Action) -> bool:
    is_condition = action.metadata.action_type == pb.ACTION_TYPE_CONDITION
    return is_condition and action.status.phase == Phase.PAUSED
