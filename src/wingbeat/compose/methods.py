"""A callable and what its signature says: its parameters, what it returns, and where Python finds it."""

import inspect
from collections.abc import Callable
from typing import Any, ClassVar, Generic, TypeVar, get_type_hints

from pydantic import BaseModel, ConfigDict, Field

from wingbeat.compose.callables import importable, name_of, unwrapped
from wingbeat.compose.refs import GlobalRef
from wingbeat.compose.simple_types import column_type


class ParamInfo(BaseModel):
    """One parameter of a callable."""

    model_config: ClassVar[ConfigDict] = ConfigDict(arbitrary_types_allowed=True)

    name: str
    type_str: str = "Any"
    default: Any | None = None
    is_optional: bool = False
    """Whether it has a default."""
    description: str = ""
    annotation: Any = Field(default=None, exclude=True)
    """The type, and None when there is none; it does not survive serialisation, unlike `type_str`."""

    @classmethod
    def from_param(cls, param: inspect.Parameter, origin: Any, hints: dict[str, Any] | None = None) -> "ParamInfo":
        """What is known of a parameter of `origin`; `hints` has the types of those that were written as text."""
        annotation = (hints or {}).get(param.name, _given(param.annotation))
        info = cls(
            name=param.name,
            type_str=_type_str(annotation),
            annotation=annotation,
            default=_given(param.default),
            is_optional=param.default is not inspect.Parameter.empty,
        )
        field = _model_fields(origin).get(param.name)
        if field is None:
            return info
        known = {"description": field.description or "", "is_optional": not field.is_required()}
        return info.model_copy(update={**known, "default": field.default if known["is_optional"] else None})


class MethodInterface(BaseModel):
    """What goes into a callable and what comes out, as plain data."""

    model_config: ClassVar[ConfigDict] = ConfigDict(arbitrary_types_allowed=True)

    params: list[ParamInfo]
    return_type: str | None = None
    doc: str | None = None
    return_annotation: Any = Field(default=None, exclude=True)

    @classmethod
    def from_callable(cls, o: Callable[..., Any]) -> "MethodInterface":
        """Raises ValueError for a builtin that does not tell its signature."""
        signature = inspect.signature(o)
        hints = _hints(o)
        has_return = "return" in hints or signature.return_annotation is not inspect.Signature.empty
        returned = hints.get("return", _given(signature.return_annotation))
        return cls(
            params=[ParamInfo.from_param(each, origin=o, hints=hints) for each in signature.parameters.values()],
            return_type=_type_str(returned) if has_return else None,
            return_annotation=returned,
            doc=unwrapped(o).__doc__,
        )

    def validate_simple_type_args(self, func_name: str = "<unknown>") -> None:
        """Raise ValueError unless every parameter has a type that fits into a column as it is."""
        for param in self.params:
            of = f"Parameter `{param.name}` on `{func_name}`"
            if param.annotation is None:
                raise ValueError(f"{of} has no type annotation: it needs a simple_type")
            if column_type(param.annotation) is None:
                raise ValueError(
                    f"{of} has type `{param.type_str}`, which is no simple_type: "
                    "use str, int, float, bool, an enumeration of them, a date or time, a path or a reference"
                )


class Method:
    """A callable with its interface. `gref` is None for what cannot be imported: closures, lambdas, partials."""

    def __init__(self, o: Callable[..., Any] | GlobalRef, *, name: str | None = None) -> None:
        """A reference is imported now; raises what `GlobalRef.get_instance` and `MethodInterface.from_callable` do."""
        self.o: Callable[..., Any]
        self.gref: GlobalRef | None
        if isinstance(o, GlobalRef):
            self.o, self.gref = o.get_instance(), o
            self.name = name or o.name
        else:
            self.o, self.gref = o, GlobalRef(o) if importable(o) else None
            self.name = name or name_of(o)
        self.interface = MethodInterface.from_callable(self.o)

    @property
    def args(self) -> list[ParamInfo]:
        return self.interface.params

    @property
    def args_by_name(self) -> dict[str, ParamInfo]:
        return {param.name: param for param in self.interface.params}

    @property
    def return_annotation(self) -> Any | None:
        return self.interface.return_annotation

    @property
    def doc(self) -> str | None:
        return self.interface.doc

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.o(*args, **kwargs)

    def validate_simple_type_args(self) -> None:
        """Raise ValueError unless every parameter has a type that fits into a column as it is."""
        self.interface.validate_simple_type_args(self.name)


T = TypeVar("T", bound=Method)


class MethodDict(dict[str, T], Generic[T]):
    """Methods by their names in lower case."""

    def __init__(self, method_type: type[T]) -> None:
        super().__init__()
        self.method_type = method_type

    def add(self, o: Callable[..., Any]) -> T:
        method = self.method_type(o)
        self[method.name.lower()] = method
        return method

    def wrap(self, o: Callable[..., Any]) -> T:
        """`add`, as a decorator: the name now means the method."""
        return self.add(o)


def _given(value: Any) -> Any:
    return None if value is inspect.Parameter.empty else value


def _type_str(annotation: Any) -> str:
    return "Any" if annotation is None else str(getattr(annotation, "__name__", annotation))


def _model_fields(origin: Any) -> dict[str, Any]:
    return dict(origin.model_fields) if isinstance(origin, type) and issubclass(origin, BaseModel) else {}


def _hints(o: Callable[..., Any]) -> dict[str, Any]:
    """The types of parameters; those as written when one of them cannot be resolved (yet)."""
    inner = unwrapped(o)
    if not (inspect.isroutine(inner) or inspect.isclass(inner)):
        inner = type(inner).__call__
    try:
        return get_type_hints(inner)
    except (NameError, TypeError, AttributeError, SyntaxError):
        return {}
