"""Outputs that stand for calls with equal inputs: equal in everything, and what somebody does to one is theirs."""

import threading
from collections import OrderedDict, deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from pydantic import BaseModel

from wingbeat.compose.namespace import Dag


class Letter(Enum):
    A = "a"


@dataclass
class Point:
    at: Any


@dataclass
class Size:
    at: Any


class Model(BaseModel):
    at: Any


def kept(source: Any) -> Dag:
    dag = Dag()
    dag.node(source, label="node", cache=60)
    return dag


async def seen_by(*inputs: Any) -> list[Any]:
    seen: list[Any] = []

    def note(value: Any) -> None:
        seen.append(value)

    dag = kept(note)
    for each in inputs:
        assert (await dag(value=each)).status == "completed"
    return seen


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ((1,), [1]), ("1.5", Decimal("1.5")), (b"x", "eA=="), ("a", Letter.A), (Point(1), Size(1)),
        (Point(1), {"at": 1}), ({1: 2}, {"1": 2}), (datetime(2026, 1, 1, tzinfo=UTC), "2026-01-01T00:00:00Z"),
        (date(2026, 1, 1), "2026-01-01"),
        (None, "null"), (timedelta(1), "P1D"), (UUID(int=1), str(UUID(int=1))), (1, 1.0), (True, 1), ({1}, [1]),
        ({1}, frozenset({1})), ({"a": 1}, OrderedDict(a=1)), ([1], deque([1])), (Path("a"), "a"),
        (Point((1,)), Point([1])), (Model(at=(1,)), Model(at=[1])), ([(1,), [1]], [[1], (1,)]), ({"1": [1]}, (1,)),
        ("caf\udce9", "caf\\udce9"),
    ],
)  # fmt: skip
async def test_values_that_only_look_alike_are_told_apart(one: Any, other: Any) -> None:
    assert await seen_by(one, other) == [one, other]


@pytest.mark.parametrize(
    "make",
    [
        lambda: [1, {"a": (2, 3)}],
        lambda: {f"word {each}" for each in range(40)},
        lambda: Point([datetime(2026, 1, 1, tzinfo=UTC), Letter.A, Decimal(1), None, float("nan")]),
        lambda: Model(at={1: Size(b"x")}),
    ],
)
async def test_equal_values_are_the_same_input(make: Any) -> None:
    assert len(await seen_by(make(), make())) == 1


@pytest.mark.parametrize("value", [object(), iter([1]), {"a": [threading.Lock()]}])
async def test_an_input_that_cannot_be_compared_fails_the_node_and_is_named(value: Any) -> None:
    def take(value: object) -> None:
        return

    result = await kept(take)(value=value)
    assert result.failed_node == "node"
    assert result.error
    assert result.error.startswith("node 'node' has cache=60, which compares its inputs: parameter 'value': ")


async def test_who_gets_a_kept_output_may_change_it() -> None:
    def numbers() -> list[list[int]]:
        return [[1]]

    def more(values: list[list[int]]) -> list[list[int]]:
        values[0].append(99)
        return values

    dag = Dag()
    _ = dag.node(numbers, cache=60) >> dag.node(more)
    assert [(await dag()).outputs["more"] for _ in range(3)] == [[[1, 99]]] * 3


async def test_a_kept_output_that_cannot_be_copied_is_shared() -> None:
    def lock() -> Any:
        return threading.Lock()

    dag = kept(lock)
    first, second = (await dag()).outputs["node"], (await dag()).outputs["node"]
    assert first is second


async def test_an_output_that_can_be_read_once_is_not_kept() -> None:
    def numbers() -> Iterator[int]:
        return iter([1, 2])

    dag = kept(numbers)
    assert [list((await dag()).outputs["node"]) for _ in range(2)] == [[1, 2], [1, 2]]
