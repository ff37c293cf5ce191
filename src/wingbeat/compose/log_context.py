"""Which run and node a log record comes from: in async code, in threads of a run, and inline alike."""

import logging
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar, Token
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class NodeRunContext:
    """A node of a run."""

    run_id: str
    node_label: str


_current: ContextVar[NodeRunContext | None] = ContextVar("node_run_context", default=None)


def get_node_run_context() -> NodeRunContext | None:
    """The node whose code this is; None outside of nodes."""
    return _current.get()


def set_node_run_context(run_id: str, node_label: str) -> Token[NodeRunContext | None]:
    """For code that cannot use `node_run_context`: the token is for `reset_node_run_context`."""
    return _current.set(NodeRunContext(run_id=run_id, node_label=node_label))


def reset_node_run_context(token: Token[NodeRunContext | None]) -> None:
    _current.reset(token)


@contextmanager
def node_run_context(run_id: str, node_label: str) -> Generator[NodeRunContext]:
    """Within the block, records are from this node."""
    context = NodeRunContext(run_id=run_id, node_label=node_label)
    token = _current.set(context)
    try:
        yield context
    finally:
        _current.reset(token)


class NodeRunLogFilter(logging.Filter):
    """Lets every record pass, with `run_id` and `node_label`, which are empty outside of nodes."""

    def filter(self, record: logging.LogRecord) -> bool:
        context = _current.get()
        vars(record).update(run_id=context.run_id if context else "", node_label=context.node_label if context else "")
        return True


def install_node_run_log_filter(handler: logging.Handler | None = None) -> NodeRunLogFilter:
    """Add the filter to a handler, or to the root logger (whose filters see only its own records)."""
    added = NodeRunLogFilter()
    (logging.getLogger() if handler is None else handler).addFilter(added)
    return added
