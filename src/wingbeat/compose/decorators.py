"""Marks that functions carry: they change nothing by themselves, whoever registers or runs the function reads them."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from wingbeat.compose import tags as tags_
from wingbeat.compose.callables import unwrapped

F = TypeVar("F", bound=Callable[..., Any])

_ATTRIBUTE = "__wingbeat_marks__"


@dataclass(frozen=True, slots=True)
class Marks:
    """What was said of a function by decorators."""

    inline: bool = False
    dag_factory: bool = False
    mountable: bool = False
    mount_required: bool = False
    require_cache: bool = False
    nsnode: bool = False
    tags: frozenset[str] = frozenset()


def marks_of(c: Callable[..., Any]) -> Marks:
    """The marks of a callable, through the partials that it may be in."""
    found = getattr(unwrapped(c), _ATTRIBUTE, None)
    return found if isinstance(found, Marks) else Marks()


def inline(fn: F) -> F:
    """Run it on the event loop itself, not in a thread: it is short and does not block."""
    return _marked(fn, replace(marks_of(fn), inline=True))


def dag_factory(fn: F) -> F:
    """It takes nothing and returns a Dag. What is registered, as `name__`, or put into another Dag, is that Dag."""
    return _marked(fn, replace(marks_of(fn), dag_factory=True))


def mountable(fn: F) -> F:
    """It is better off in a namespace that is mounted."""
    return _marked(fn, replace(marks_of(fn), mountable=True))


def mount_required(fn: F) -> F:
    """It works only in a namespace that is mounted."""
    return _marked(fn, replace(marks_of(fn), mount_required=True))


def require_cache(fn: F) -> F:
    """It may only be registered with a `NsCacheConfig`."""
    return _marked(fn, replace(marks_of(fn), require_cache=True))


def nsnode(tags: Iterable[str] | None = None) -> Callable[[F], F]:
    """It becomes a node when its fragment is registered. Raises TypeError and ValueError for what is no tag."""
    found = tags_.checked(tags)

    def mark(fn: F) -> F:
        return _marked(fn, replace(marks_of(fn), nsnode=True, tags=found))

    return mark


def _marked(fn: F, marks: Marks) -> F:
    setattr(fn, _ATTRIBUTE, marks)
    return fn
