"""References by text: where a thing is in a namespace (`NsRef`) and where Python finds it (`GlobalRef`, `ModuleRef`).

Their one rule: a reference is its text. It is equal to that text, sorts like it, and is stored as it; nothing is
imported before somebody asks for the thing itself.
"""

from collections.abc import Callable
from importlib import import_module
from inspect import isbuiltin, isclass, isfunction, ismethod, ismodule
from types import ModuleType
from typing import Any, Self, cast

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from wingbeat.compose.callables import is_async

FACTORY_SUFFIX = "__"
"""`module:name__` is what the function `name` of the module returns, when the module has no `name__` itself."""


class Reference:
    """What references have in common: they are compared, hashed, ordered and serialised as their text."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return str(self) == str(other) if isinstance(other, Reference | str) else NotImplemented

    def __hash__(self) -> int:
        return hash(str(self))

    def __lt__(self, other: object) -> bool:
        return str(self) < str(other) if isinstance(other, Reference | str) else NotImplemented

    @classmethod
    def __get_pydantic_core_schema__(cls, source_type: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            cls._read, serialization=core_schema.plain_serializer_function_ser_schema(str)
        )

    @classmethod
    def _read(cls, value: Any) -> Self:
        if isinstance(value, cls):
            return value
        try:
            return cast("Callable[[Any], Self]", cls)(value)
        except TypeError as error:
            raise ValueError(str(error)) from error


class NsRef(Reference):
    """`"a.b:leaf"`: a name in a scope of a namespace; without a colon the scope is empty.

    The first colon separates. Nothing is checked: any text is the reference to something, if somebody registers it.
    """

    __module__ = "wingbeat"
    __slots__ = ("name", "scope")

    def __init__(self, s: "NsRef | str") -> None:
        self.scope: list[str]
        self.name: str
        if isinstance(s, NsRef):
            self.scope, self.name = list(s.scope), s.name
            return
        scope, colon, name = s.partition(":")
        self.scope = scope.split(".") if colon and scope else []
        self.name = name if colon else s

    def __str__(self) -> str:
        return f"{'.'.join(self.scope)}:{self.name}" if self.scope else self.name


class GlobalRef(NsRef):
    """`"package.module:name"`: something that can be imported; with an empty name, the module itself.

    Made from that text, another reference, a module, a class, a function, a method or a builtin. Raises ValueError
    for other text, and TypeError for a thing that no import finds, such as a `functools.partial`.
    """

    __module__ = "wingbeat"
    __slots__ = ()

    def __init__(self, s: Any) -> None:
        if isinstance(s, NsRef):
            super().__init__(s)
        else:
            module, name = _parsed(s) if isinstance(s, str) else _whereabouts(s)
            self.scope, self.name = module.split(".") if module else [], name

    @property
    def module(self) -> str:
        return ".".join(self.scope)

    def get_module(self) -> ModuleType:
        """Import the module; raises ModuleNotFoundError when there is none."""
        return import_module(self.module)

    def get_instance(self) -> Any:
        """Import the module and take the name out of it: the thing itself, not an instance of it.

        `name__` is what `name()` returns, made anew each time, unless the module has a `name__`. Raises ValueError
        for a reference to a module, ModuleNotFoundError or AttributeError when there is no such thing.
        """
        if self.is_module():
            raise ValueError(f"{self!r} names a module and nothing in it: use get_module()")
        module = self.get_module()
        if not hasattr(module, self.name) and self.name.endswith(FACTORY_SUFFIX):
            return getattr(module, self.name.removesuffix(FACTORY_SUFFIX))()
        return getattr(module, self.name)

    def is_module(self) -> bool:
        return not self.name

    def is_class(self) -> bool:
        return not self.is_module() and isclass(self.get_instance())

    def is_function(self) -> bool:
        return not self.is_module() and isfunction(self.get_instance())

    def is_async(self) -> bool:
        """Whether a call of it (for a class: of its instances) is to be awaited."""
        if self.is_module():
            return False
        thing = self.get_instance()
        return is_async(thing.__call__ if isclass(thing) else thing)


class ModuleRef(Reference):
    """A module by its path of import, from that text, the module or a reference; raises TypeError for anything else."""

    __module__ = "wingbeat"
    __slots__ = ("path",)

    def __init__(self, s: Any) -> None:
        self.path: str
        if isinstance(s, ModuleRef):
            self.path = s.path
        elif isinstance(s, NsRef):
            self.path = ".".join(s.scope)
        elif ismodule(s):
            self.path = s.__name__
        elif isinstance(s, str):
            self.path = s
        else:
            raise TypeError(f"a {type(s).__name__} is no reference to a module: give the module or its path")

    def __str__(self) -> str:
        return self.path

    def import_module(self) -> ModuleType:
        return import_module(self.path)


def _parsed(text: str) -> tuple[str, str]:
    module, colon, name = text.partition(":")
    if not text or ":" in name:
        raise ValueError(f"{text!r} is no reference: write 'package.module:name', or 'package.module' for a module")
    return (module, name) if colon else (text, "")


def _whereabouts(thing: Any) -> tuple[str, str]:
    if ismodule(thing):
        return thing.__name__, ""
    if isclass(thing) or isfunction(thing) or ismethod(thing) or isbuiltin(thing):
        return thing.__module__ or "", thing.__name__
    raise TypeError(f"{thing!r} has no name that can be imported: write 'package.module:name', or name a function")
