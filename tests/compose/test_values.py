"""Values become JSON and the same values again, or it is said that they do not."""

import json
import math
import sys
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, PlainSerializer, PlainValidator

from wingbeat.compose.values import Codec, UnstorableValue


class Colour(StrEnum):
    RED = "red"


class Model(BaseModel):
    x: int
    at: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    ratio: float = 1.0


class Wider(Model):
    more: int = 1


@dataclass
class Pair:
    one: int
    others: set[int]


class Opaque:
    def __init__(self, name: str) -> None:
        self.name = name

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Opaque) and other.name == self.name

    def __hash__(self) -> int:
        return hash(self.name)


Spelled = Annotated[
    Opaque,
    PlainValidator(lambda value: value if isinstance(value, Opaque) else Opaque(value)),
    PlainSerializer(lambda opaque: opaque.name),
]


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        pytest.param(Model, Model(x=1), id="a model"),
        pytest.param(list[Model], [Model(x=1)], id="models in a list"),
        pytest.param(Model | None, None, id="an optional model"),
        pytest.param(Pair, Pair(1, {2}), id="a dataclass"),
        pytest.param(datetime, datetime(2026, 1, 1, tzinfo=UTC), id="a moment"),
        pytest.param(dict[date, timedelta], {date(2026, 1, 1): timedelta(hours=1)}, id="dates as keys"),
        pytest.param(dict[int, str], {1: "a"}, id="numbers as keys"),
        pytest.param(set[int], {1, 2}, id="a set"),
        pytest.param(frozenset, frozenset([Colour.RED]), id="enumerations in a set of which only that was declared"),
        pytest.param(bytes, b"\xff\x00", id="bytes that are no text"),
        pytest.param(tuple[int, str], (1, "a"), id="a tuple"),
        pytest.param(Decimal, Decimal("1.10"), id="a decimal"),
        pytest.param(UUID, UUID(int=1), id="an id"),
        pytest.param(Path, Path("a/b"), id="a path"),
        pytest.param(Colour, Colour.RED, id="an enumeration"),
        pytest.param(float, 1, id="an int where a float was declared"),
        pytest.param(float, math.inf, id="infinity"),
        pytest.param(Spelled, Opaque("a"), id="a type with a serializer of its own"),
        pytest.param(str, None, id="None where a text was declared"),
        pytest.param(int, "text", id="a text where a number was declared"),
        pytest.param(None, {"a": [1, 2.5, None, True, "b"]}, id="plain JSON without an annotation"),
        pytest.param("Unresolved", [1], id="an annotation that is only text"),
    ],
)
def test_a_value_comes_back_as_it_was(annotation: Any, value: Any) -> None:
    text = Codec(annotation).encode(value)
    json.loads(text, parse_constant=pytest.fail)
    restored = Codec(annotation).decode(text)
    assert restored == value
    assert isinstance(restored, type(value)) or (isinstance(value, int) and isinstance(restored, float))


@pytest.mark.parametrize("annotation", [float, list[float], Model])
def test_not_a_number_is_json_and_comes_back(annotation: Any) -> None:
    value = {float: math.nan, list[float]: [math.nan], Model: Model(x=1, ratio=math.nan)}[annotation]
    text = Codec(annotation).encode(value)
    json.loads(text, parse_constant=pytest.fail)
    assert repr(Codec(annotation).decode(text)).count("nan") == 1


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        pytest.param(dict, Counter("a"), id="a class of dicts"),
        pytest.param(Opaque, Opaque("a"), id="a class that pydantic does not know"),
        pytest.param(object, object(), id="an object"),
        pytest.param(None, (each for each in ()), id="a generator"),
    ],
)
def test_a_value_that_would_change_is_refused(annotation: Any, value: Any) -> None:
    with pytest.raises(UnstorableValue, match="declare its exact type"):
        Codec(annotation).encode(value)


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        pytest.param(None, {1, 2}, id="a set without an annotation"),
        pytest.param(None, (1, ("a", frozenset({2}))), id="tuples without an annotation"),
        pytest.param(None, {1: "a", (2, 3): b"b\xff"}, id="keys that are no text"),
        pytest.param(None, [math.inf, -math.inf], id="infinity without an annotation"),
        pytest.param(None, [Colour.RED, Path("a"), UUID(int=1), Decimal("1.10")], id="types of the standard library"),
        pytest.param(dict, {"at": datetime(2026, 1, 1, tzinfo=UTC), "for": timedelta(1)}, id="moments in a bare dict"),
        pytest.param(None, [Model(x=1), Pair(1, {2})], id="models and dataclasses without an annotation"),
        pytest.param(Model, Wider(x=1), id="a subclass with more in it"),
        pytest.param(None, {"__type__": "set", "value": [1]}, id="what looks like a tag"),
    ],
)
def test_what_no_annotation_says_the_text_says(annotation: Any, value: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, Model.__module__, SimpleNamespace(**globals()))
    text = Codec(annotation).encode(value)
    json.loads(text, parse_constant=pytest.fail)
    restored = Codec(annotation).decode(text)
    assert (restored, type(restored)) == (value, type(value))


@pytest.mark.parametrize(
    "name", ["os:system", "subprocess:Popen", "builtins:object", "os:getpid__", "no.such.module:Thing"]
)
def test_a_text_cannot_call_what_it_likes(name: str) -> None:
    with pytest.raises(ValueError, match="is no model, dataclass or enumeration"):
        Codec().decode(json.dumps({"__type__": name, "value": "true"}))


plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.binary()
    | st.decimals(allow_nan=False, allow_infinity=False)
    | st.uuids(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.text() | st.integers() | st.just("__type__"), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(plain)
def test_values_need_no_annotation(value: Any) -> None:
    restored = Codec().decode(Codec().encode(value))
    assert repr(restored) == repr(value)
