"""Where a callable runs: the path of its DAG, and the context that it gets when its first parameter asks for one."""

import asyncio
from datetime import datetime
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from wingbeat.compose.callables import is_async
from wingbeat.compose.decorators import marks_of
from wingbeat.compose.refs import NsRef, Reference

if TYPE_CHECKING:
    from wingbeat.compose.nodes import NamespaceNode


class DagPath(Reference):
    """`"mod:dag__/chunks[0]"`: the DAG that was started, and the way from it into nested ones."""

    __slots__ = ("nsref", "path")

    def __init__(self, s: "str | NsRef | DagPath") -> None:
        self.nsref: NsRef
        self.path: str
        if isinstance(s, DagPath):
            self.nsref, self.path = s.nsref, s.path
        else:
            nsref, slash, path = str(s).partition("/")
            self.nsref, self.path = NsRef(nsref), slash + path

    def __str__(self) -> str:
        return f"{self.nsref}{self.path}"


class DagContext(BaseModel):
    """Given to callables whose first parameter is of this type or of a subclass, which may have fields of its own."""

    model_config: ClassVar[ConfigDict] = ConfigDict(arbitrary_types_allowed=True)

    dag_nsref: DagPath
    node_label: str
    run_id: str
    scheduled_for: datetime | None = None
    """The moment in UTC that the run was due, when a schedule started it."""
    namespace: Any = Field(default=None, exclude=True)

    def ns_call(self, nsref: str, *args: Any, **kwargs: Any) -> Any:
        """Call another node. Raises TypeError when it is async, RuntimeError without a namespace, KeyError."""
        node = self._node(nsref)
        if is_async(node.target):
            raise TypeError(f"{nsref!r} is async: use await ctx.ns_acall({nsref!r}, ...)")
        return node(*args, **kwargs)

    async def ns_acall(self, nsref: str, *args: Any, **kwargs: Any) -> Any:
        """Call another node from async code: it is awaited, or runs in a thread when it is neither async nor inline."""
        target = self._node(nsref).target
        if is_async(target) or marks_of(target).inline:
            result = target(*args, **kwargs)
            return await result if isawaitable(result) else result
        return await asyncio.to_thread(target, *args, **kwargs)

    def _node(self, nsref: str) -> "NamespaceNode":
        if self.namespace is None:
            raise RuntimeError(f"there is no namespace to find {nsref!r} in (not mounted)")
        return self.namespace.get(nsref)
