"""What can be known of a callable without calling it, through the shells that it may be in."""

from collections.abc import Callable
from functools import partial
from inspect import iscoroutinefunction
from typing import Any

Anything = Callable[..., Any]


def is_async(c: Anything) -> bool:
    """Whether what a call returns is to be awaited, also for partials and objects with an `async def __call__`."""
    inner = unwrapped(c)
    return iscoroutinefunction(inner) or iscoroutinefunction(type(inner).__call__)


def unwrapped(c: Anything) -> Anything:
    """The callable inside of `functools.partial`s."""
    while isinstance(c, partial):
        c = c.func
    return c


def name_of(c: Anything) -> str:
    """The name of a function or a class; for other objects that of their class."""
    inner = unwrapped(c)
    return str(getattr(inner, "__name__", type(inner).__name__))


def module_of(c: Anything) -> str:
    """The module that defines it; empty for what belongs to none, such as the methods of builtin objects."""
    return str(getattr(unwrapped(c), "__module__", None) or "")


def importable(c: Anything) -> bool:
    """Whether the module that defines it has it under its own name: no lambda, closure, partial or method."""
    if isinstance(c, partial) or not module_of(c):
        return False
    return name_of(c).isidentifier() and getattr(c, "__qualname__", "") == name_of(c)
