"""Whether what one node returns may go into a parameter of another, by their annotations alone.

Its one rule: what cannot be known fits; what is known to be something else does not.
"""

from collections.abc import Iterable, Sequence
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NewType, TypeVar, Union, get_args, get_origin, is_typeddict

_WIDER = {int: (float, complex), float: (complex,)}
"""Numbers that stand for others without being their subclasses."""


def is_known(annotation: object) -> bool:
    """Whether it says anything: no annotation, `Any`, `object`, a text and a type variable do not."""
    return not (
        annotation is None or annotation is Any or annotation is object or isinstance(annotation, str | TypeVar)
    )


def is_nothing(annotation: object) -> bool:
    """Whether it says that there is no value."""
    return annotation is NoneType


def fits(given: object, wanted: object) -> bool:
    """Whether a value annotated `given` may be passed where `wanted` is: also an `Optional[T]` as a `T`."""
    given, wanted = _plain(given), _plain(wanted)
    if not is_known(given) or not is_known(wanted) or given == wanted:
        return True
    if (several := _members(given)) is not None:
        return all(fits(each, wanted) for each in several if each is not NoneType)
    if (several := _members(wanted)) is not None:
        return any(fits(given, each) for each in several)
    return _class_fits(given, wanted)


def element_of(annotation: object) -> Any:
    """The X of `list[X]`, Any for a bare `list`, and None for what is no list."""
    annotation = _plain(annotation)
    if annotation is list:
        return Any
    return get_args(annotation)[0] if get_origin(annotation) is list else None


def is_mapping(annotation: object) -> bool:
    """Whether it is a dict with text for keys, as far as is known."""
    annotation = _plain(annotation)
    keys = get_args(annotation)[:1]
    return is_typeddict(annotation) or ((get_origin(annotation) or annotation) is dict and keys in ((), (str,), (Any,)))


def items_of(annotation: object) -> tuple[Any, ...] | None:
    """What a tuple of a known length has in it."""
    items = get_args(_plain(annotation)) if get_origin(_plain(annotation)) is tuple else ()
    return items if items and Ellipsis not in items else None


def any_of(annotations: Sequence[Any]) -> Any:
    """The union of types, of which there is one at least."""
    union = annotations[0]
    for each in annotations[1:]:
        union |= each
    return union


def _plain(annotation: Any) -> Any:
    while True:
        if get_origin(annotation) is Annotated:
            annotation = get_args(annotation)[0]
        elif isinstance(annotation, NewType):
            annotation = annotation.__supertype__
        else:
            return annotation


def _members(annotation: Any) -> Iterable[Any] | None:
    origin = get_origin(annotation)
    if origin in (Union, UnionType):
        return get_args(annotation)
    if origin is Literal:
        return [type(each) for each in get_args(annotation)]
    return None


def _class_fits(given: Any, wanted: Any) -> bool:
    kind, wanted_kind = _class_of(given), _class_of(wanted)
    if kind is None or wanted_kind is None:
        return True
    if not (issubclass(kind, wanted_kind) or wanted_kind in _WIDER.get(kind, ())):
        return False
    items, wanted_items = get_args(given), get_args(wanted)
    if len(items) != len(wanted_items) or (kind is not wanted_kind and len(items) != 1):
        return True
    return all(fits(one, other) for one, other in zip(items, wanted_items, strict=True))


def _class_of(annotation: Any) -> type | None:
    """None for what no `issubclass` can tell, such as a Protocol."""
    kind: Any = dict if is_typeddict(annotation) else get_origin(annotation) or annotation
    return kind if isinstance(kind, type) and not vars(kind).get("_is_protocol") else None
