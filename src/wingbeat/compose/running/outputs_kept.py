"""Outputs of a node that stand for further calls with equal inputs, for a while, in this process."""

from collections import OrderedDict
from collections.abc import Mapping
from time import monotonic
from typing import Any
from weakref import WeakKeyDictionary

from wingbeat.compose.json_text import json_text
from wingbeat.compose.steps import DagNode

MOST_OUTPUTS = 1_000
"""Of one node; those that were used the longest ago go first."""


class Kept:
    def __init__(self) -> None:
        self._outputs: OrderedDict[str, tuple[float, Any]] = OrderedDict()

    @classmethod
    def of(cls, node: DagNode) -> "Kept":
        """The same for all runs of the node."""
        return _by_node.setdefault(node, cls())

    def key(self, inputs: Mapping[str, Any]) -> str:
        """Raises InvalidArgument for inputs that cannot be compared, which have no JSON."""
        return json_text(dict(sorted(inputs.items())))

    def get(self, key: str) -> tuple[Any] | None:
        """The output alone in a tuple, which may be None itself."""
        until, output = self._outputs.get(key, (0.0, None))
        if until <= monotonic():
            return None
        self._outputs.move_to_end(key)
        return (output,)

    def put(self, key: str, output: Any, *, seconds: float) -> None:
        self._outputs[key] = (monotonic() + seconds, output)
        self._outputs.move_to_end(key)
        while len(self._outputs) > MOST_OUTPUTS:
            self._outputs.popitem(last=False)


_by_node: WeakKeyDictionary[DagNode, Kept] = WeakKeyDictionary()
