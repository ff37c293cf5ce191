"""What the signature of a callable says."""

import math
from datetime import date, datetime
from enum import Enum, IntEnum
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, Field

from wingbeat import GlobalRef
from wingbeat.compose import Method, MethodDict, MethodInterface, ParamInfo
from wingbeat.compose.simple_types import column_type, to_column


def sample(x: int, y: "str" = "hello", *, z=None) -> bool:  # type: ignore[no-untyped-def]
    """A sample."""
    return bool(x and y and z)


class Model(BaseModel):
    name: str = Field(description="The name")
    count: int = Field(default=0, description="How many")


class Scale:
    """Multiplies."""

    def __call__(self, value: float) -> float:
        return 2 * value

    def by(self, factor: int) -> int:
        return factor


def shown(params: list[ParamInfo]) -> list[tuple[str, str, Any, Any, bool]]:
    return [(each.name, each.type_str, each.annotation, each.default, each.is_optional) for each in params]


def test_a_function_says_what_it_takes_and_returns() -> None:
    interface = MethodInterface.from_callable(sample)
    assert shown(interface.params) == [
        ("x", "int", int, None, False),
        ("y", "str", str, "hello", True),
        ("z", "Any", None, None, True),
    ]
    assert (interface.return_type, interface.return_annotation, interface.doc) == ("bool", bool, "A sample.")


def test_a_model_says_what_its_fields_mean() -> None:
    name, count = MethodInterface.from_callable(Model).params
    assert (name.description, name.is_optional, name.default) == ("The name", False, None)
    assert (count.description, count.is_optional, count.default) == ("How many", True, 0)


def test_an_interface_is_plain_data() -> None:
    data = MethodInterface.from_callable(sample).model_dump()
    assert "return_annotation" not in data
    assert "annotation" not in data["params"][0]
    again = MethodInterface.model_validate(data)
    assert (again.params[0].type_str, again.return_type, again.return_annotation) == ("int", "bool", None)


def test_nothing_said_is_nothing_known() -> None:
    def unsaid(a):  # type: ignore[no-untyped-def]
        return a

    method = Method(unsaid)
    assert (method.interface.return_type, method.return_annotation, method.doc) == (None, None, None)
    assert method.args_by_name["a"].annotation is None


def test_a_type_that_is_not_there_leaves_the_text() -> None:
    def later(x: "Missing") -> int:  # type: ignore[name-defined]  # noqa: F821
        return 1

    assert Method(later).args[0].annotation == "Missing"


def test_what_cannot_be_imported_has_no_reference() -> None:
    def closure(x: int) -> int:
        return x

    assert Method(sample).gref == f"{__name__}:sample"
    assert Method(math.sqrt).gref == "math:sqrt"
    for each in (closure, lambda: None, partial(sample, 1), Scale(), Scale().by, "text".upper):
        assert Method(each).gref is None


@pytest.mark.parametrize(
    ("o", "name", "params"),
    [
        pytest.param(partial(sample, 1), "sample", ["y", "z"], id="a partial has the rest of the parameters"),
        pytest.param(Scale(), "Scale", ["value"], id="an object is called by its class"),
        pytest.param(Scale().by, "by", ["factor"], id="a method leaves out its object"),
        pytest.param(math.sqrt, "sqrt", ["x"], id="a builtin"),
    ],
)
def test_anything_callable_is_a_method(o: Any, name: str, params: list[str]) -> None:
    assert (Method(o).name, list(Method(o).args_by_name)) == (name, params)


def test_types_are_seen_through_partials_and_objects() -> None:
    assert Method(partial(sample, 1)).args_by_name["y"].annotation is str
    assert Method(Scale()).args[0].annotation is float
    assert Method(Scale()).return_annotation is float


def test_a_reference_is_imported_when_the_method_is_made() -> None:
    method = Method(GlobalRef("json:dumps"))
    assert (method.name, method.gref, method([1])) == ("dumps", "json:dumps", "[1]")
    assert Method(sample, name="other").name == "other"
    with pytest.raises(AttributeError):
        Method(GlobalRef("json:nothing"))


def test_methods_are_found_by_their_names_in_lower_case() -> None:
    methods = MethodDict(Method)
    methods.wrap(Scale)
    assert methods["scale"].o is Scale
    assert methods.add(sample) is methods["sample"]


class Color(Enum):
    RED = "red"


class Level(IntEnum):
    LOW = 1


@pytest.mark.parametrize(
    ("annotation", "column", "value", "stored"),
    [
        (str, "TEXT", "a", "a"),
        (bool, "INTEGER", True, 1),
        (int, "INTEGER", 3, 3),
        (float, "REAL", 0.5, 0.5),
        (date, "TEXT", date(2026, 1, 2), "2026-01-02"),
        (datetime, "TEXT", datetime(2026, 1, 2, 3), "2026-01-02T03:00:00"),  # noqa: DTZ001
        (Path, "TEXT", Path("a/b"), "a/b"),
        (GlobalRef, "TEXT", GlobalRef("a:b"), "a:b"),
        (Color, "TEXT", Color.RED, "red"),
        (Level, "INTEGER", Level.LOW, 1),
        (bytes, None, None, None),
        (list[int], None, None, None),
    ],
)
def test_simple_types_fit_into_a_column(annotation: Any, column: str | None, value: Any, stored: Any) -> None:
    assert column_type(annotation) == column
    if column:
        assert to_column(value) == stored


def test_what_does_not_fit_is_named() -> None:
    def wrong(data: bytes) -> None: ...

    def unsaid(data) -> None: ...  # type: ignore[no-untyped-def]

    Method(Scale()).validate_simple_type_args()
    with pytest.raises(ValueError, match=r"`data` on `wrong` has type `bytes`, which is no simple_type"):
        Method(wrong).validate_simple_type_args()
    with pytest.raises(ValueError, match="`data` on `unsaid` has no type annotation"):
        Method(unsaid).validate_simple_type_args()
