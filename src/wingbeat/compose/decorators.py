"""Marks that functions carry: they change nothing by themselves, whoever registers or runs the function reads them.

A mark is an attribute of the function, so wrappers made with `functools.wraps` and bound methods have it, too.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from wingbeat.compose import tags as tags_
from wingbeat.compose.callables import unwrapped

F = TypeVar("F", bound=Callable[..., Any])

_INLINE = "_wingbeat_inline"
_DAG_FACTORY = "_is_dag_factory"
_MOUNTABLE = "_is_mountable"
_MOUNT_REQUIRED = "_is_mount_required"
_REQUIRE_CACHE = "_require_cache"
_NSNODE = "_is_nsnode"
_TAGS = "_nsnode_tags"


@dataclass(frozen=True, slots=True)
class Marks:
    """What was said of a function by decorators."""

    inline: bool
    dag_factory: bool
    mountable: bool
    mount_required: bool
    require_cache: bool
    nsnode: bool
    tags: tuple[str, ...]


def marks_of(c: Callable[..., Any]) -> Marks:
    """The marks of a callable, through the partials that it may be in."""
    inner = unwrapped(c)
    return Marks(
        inline=_has(inner, _INLINE),
        dag_factory=_has(inner, _DAG_FACTORY),
        mountable=_has(inner, _MOUNTABLE),
        mount_required=_has(inner, _MOUNT_REQUIRED),
        require_cache=_has(inner, _REQUIRE_CACHE),
        nsnode=_has(inner, _NSNODE),
        tags=tuple(getattr(inner, _TAGS, ())) if _has(inner, _NSNODE) else (),
    )


def inline(fn: F) -> F:
    """Run it on the event loop itself, not in a thread: it is short and does not block."""
    return _marked(fn, _INLINE)


def dag_factory(fn: F) -> F:
    """It takes nothing and returns a Dag. What is registered, as `name__`, or put into another Dag, is that Dag."""
    return _marked(fn, _DAG_FACTORY)


def mountable(fn: F) -> F:
    """It is better off in a namespace that is mounted."""
    return _marked(fn, _MOUNTABLE)


def mount_required(fn: F) -> F:
    """It works only in a namespace that is mounted."""
    return _marked(fn, _MOUNT_REQUIRED)


def require_cache(fn: F) -> F:
    """It may only be registered with a `NsCacheConfig`."""
    return _marked(fn, _REQUIRE_CACHE)


def nsnode(tags: Iterable[str] | None = None) -> Callable[[F], F]:
    """It becomes a node when its fragment is registered. Raises TypeError and ValueError for what is no tag."""
    said = tags if tags is None or isinstance(tags, str) else list(tags)
    tags_.checked(said)

    def mark(fn: F) -> F:
        setattr(fn, _TAGS, said or [])
        return _marked(fn, _NSNODE)

    return mark


def _marked(fn: F, mark: str) -> F:
    setattr(fn, mark, True)
    return fn


def _has(c: Callable[..., Any], mark: str) -> bool:
    return getattr(c, mark, False) is True
