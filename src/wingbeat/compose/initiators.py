"""Who starts runs, and changes triggers, in the current context."""

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar

SCHEDULER = "scheduler"
"""`initiated_by` of runs that a schedule starts. All other names are the application's."""

run_initiator: ContextVar[str | None] = ContextVar("run_initiator", default=None)
"""Who is starting runs here. Tasks inherit it; a thread that a step starts by itself does not."""


@contextmanager
def initiated_by(initiator: str | None) -> Generator[None]:
    """Runs started, and triggers changed, inside the block are this one's. None: nobody's, whatever is outside."""
    token = run_initiator.set(initiator)
    try:
        yield
    finally:
        run_initiator.reset(token)
