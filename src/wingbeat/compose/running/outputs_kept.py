"""Outputs of a node that stand for further calls with equal inputs, for a while, in this process.

Its one rule: who gets one may change it; the next one gets what the node returned.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from copy import Error as CopyError
from copy import deepcopy
from functools import partial
from time import monotonic
from typing import Any
from weakref import WeakKeyDictionary

from wingbeat.compose.running.input_keys import Key, key_of
from wingbeat.compose.steps import DagNode
from wingbeat.errors import InvalidArgument

MOST_OUTPUTS = 1_000
"""Of one node; those that were used the longest ago go first."""
_UNCOPYABLE = (TypeError, ValueError, AttributeError, RuntimeError, CopyError)


class Kept:
    def __init__(self) -> None:
        self._outputs: OrderedDict[Key, tuple[float, Callable[[], Any]]] = OrderedDict()

    @classmethod
    def of(cls, node: DagNode) -> "Kept":
        """The same for all runs of the node."""
        return _by_node.setdefault(node, cls())

    def key(self, node: DagNode, inputs: Mapping[str, Any]) -> Key:
        """Raises InvalidArgument for inputs that cannot be compared."""
        try:
            return key_of(inputs)
        except ValueError as error:
            raise InvalidArgument(
                f"node {node.label!r} has cache={node.options.cache:g}, which compares its inputs: {error}: pass a"
                " value that has a JSON, such as a model or a dataclass, or take the cache away"
            ) from error

    def get(self, key: Key) -> tuple[Any] | None:
        """The output alone in a tuple, which may be None itself."""
        until, output = self._outputs.get(key, (0.0, None))
        if output is None or until <= monotonic():
            return None
        self._outputs.move_to_end(key)
        return (output(),)

    def put(self, key: Key, output: Any, *, seconds: float) -> None:
        """What can be read once only is not kept, and what cannot be copied, such as a connection, is shared."""
        if isinstance(output, Iterator):
            return
        self._outputs[key] = (monotonic() + seconds, _copies(output))
        self._outputs.move_to_end(key)
        while len(self._outputs) > MOST_OUTPUTS:
            self._outputs.popitem(last=False)


def _copies(output: Any) -> Callable[[], Any]:
    try:
        return partial(deepcopy, deepcopy(output))
    except _UNCOPYABLE:
        return lambda: output


_by_node: WeakKeyDictionary[DagNode, Kept] = WeakKeyDictionary()
