"""Values of payloads reach a run as what they are: from the code, from the file, and on a retry."""

import asyncio
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel
from pydantic_core import core_schema

from wingbeat.compose.namespace import Namespace
from wingbeat.compose.tagged import tagged
from wingbeat.compose.trigger import Fire, TriggerManager, TriggerStore, TriggerTime
from wingbeat.testing import FakeClock

T0 = datetime(2026, 3, 2, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


class Colour(Enum):
    RED = "red"
    BLUE = 2


@dataclass(frozen=True)
class Point:
    x: int
    at: datetime | None = None


class Order(BaseModel):
    number: int
    price: Decimal


class Handle:
    """Nothing that JSON can say, but where it is declared."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Handle) and other.number == self.number

    def __hash__(self) -> int:
        return self.number

    @classmethod
    def __get_pydantic_core_schema__(cls, source_type: object, handler: object) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(
            cls, serialization=core_schema.plain_serializer_function_ser_schema(lambda handle: handle.number)
        )


class Got(list[Any]):
    """What a function was called with; a call whose number is in `failing` fails."""

    failing: tuple[int, ...] = ()

    def take(self, value: object) -> None:
        self.append(value)
        if len(self) in self.failing:
            raise RuntimeError("not yet")


class Programs:
    """Programs that share a file of triggers."""

    def __init__(self, folder: Path | str, annotation: object = object) -> None:
        self.path, self.annotation = Path(folder) / "triggers.db", annotation
        self.clock, self.got = FakeClock(T0), Got()

    def program(self, **options: Any) -> TriggerManager:
        """With a trigger that has these options, or without any."""

        def work(x: Any = None) -> None:
            self.got.take(x)

        work.__annotations__["x"] = self.annotation
        namespace = Namespace()
        namespace.register(work, "jobs:work")
        if options:
            namespace.register_trigger("t", "jobs:work", "poll", "0 * * * *", **options)
        return TriggerManager(namespace, TriggerStore(self.path, clock=self.clock))

    def active(self, **options: Any) -> TriggerManager:
        manager = self.program(**options)
        manager.activate("t")
        return manager

    async def an_hour_later(self, manager: TriggerManager) -> None:
        self.clock.forward(HOUR)
        await manager.tick()

    async def a_retry_later(self, manager: TriggerManager) -> None:
        self.clock.forward(timedelta(seconds=2))
        await manager.tick()

    def events(self) -> list[dict[str, Any]]:
        return TriggerStore(self.path, clock=self.clock).get_events("t")


@pytest.fixture
def programs(tmp_path: Path) -> Programs:
    return Programs(tmp_path)


def shown(value: Any) -> Any:
    """What two values share that are the same, NaN and types included."""
    match value:
        case dict():
            return "dict", [(shown(key), shown(each)) for key, each in value.items()]
        case list() | tuple():
            return type(value).__name__, [shown(each) for each in value]
        case datetime():
            return "datetime", value.isoformat()
        case Point():
            return "Point", value.x, shown(value.at)
        case set() | frozenset():
            return type(value).__name__, sorted(map(repr, value))
        case _:
            return type(value).__name__, repr(value)


moments = st.datetimes(timezones=st.just(UTC))
keys = st.one_of(
    st.text(), st.integers(), st.sampled_from(Colour), st.dates(), st.tuples(st.integers(), st.text()), st.booleans()
)
scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.sampled_from(("TriggerTime", "\udcff")),
    st.binary(), st.dates(),
    moments, st.timedeltas(), st.decimals(allow_nan=False, allow_infinity=False), st.uuids(), st.sampled_from(Colour),
    st.sampled_from((Path("/a b"), Path("c.txt"), Path("\udcff"))),
    st.builds(Point, st.integers(), st.one_of(st.none(), moments)),
    st.builds(Order, number=st.integers(), price=st.decimals(allow_nan=False, allow_infinity=False, places=2)),
    st.frozensets(keys), st.sets(st.integers()),
)  # fmt: skip
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.tuples(inner, inner), st.dictionaries(keys, inner, max_size=3)
    ),
    max_leaves=6,
)


@settings(max_examples=60, deadline=None)
@given(value=values, declared=st.booleans(), field=st.sampled_from(("payload", "inputs")))
def test_a_value_is_the_same_from_the_code_from_the_file_and_on_a_retry(value: Any, declared: bool, field: str) -> None:
    async def story(programs: Programs) -> None:
        options: dict[str, Any] = {field: {"x": value}, "retries": 1}
        programs.got.failing = (1, 4)
        first = programs.active(**options)
        await programs.an_hour_later(first)
        await programs.a_retry_later(first)
        await programs.an_hour_later(programs.program(**options))
        without_definition = programs.program()
        await programs.an_hour_later(without_definition)
        await programs.a_retry_later(without_definition)
        assert programs.got[0] is value
        assert programs.got[2] is value
        assert [shown(each) for each in programs.got] == [shown(value)] * 5

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(story(Programs(folder, type(value) if declared else object)))


@pytest.mark.parametrize(
    "value",
    [T0, date(2026, 3, 2), Decimal("1.50"), b"\x00\xff", (1, 2), {3, 4}, Colour.RED, UUID(int=7), Path("a"), Point(1),
     Order(number=1, price=Decimal("2.5")), {1: 2}, {(1, 2): Colour.BLUE}],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
@pytest.mark.parametrize("declared", [True, False], ids=["declared", "not declared"])
async def test_what_a_poll_function_brings_is_the_same_on_a_retry(tmp_path: Path, value: Any, declared: bool) -> None:
    programs = Programs(tmp_path, type(value) if declared else object)
    programs.got.failing = (1,)
    manager = programs.active(poll_fn=lambda: {"x": value}, retries=1)
    await programs.an_hour_later(manager)
    await programs.a_retry_later(manager)
    assert [shown(each) for each in programs.got] == [shown(value)] * 2


async def test_a_value_that_only_its_parameter_can_say_is_left_to_programs_with_the_definition(tmp_path: Path) -> None:
    programs = Programs(tmp_path, Handle)
    manager = programs.active(payload={"x": Handle(7)})
    await programs.an_hour_later(programs.program())
    assert programs.got == []
    await manager.tick()
    assert programs.got == [Handle(7)]


async def test_events_show_the_values_of_declared_parameters_plainly(tmp_path: Path) -> None:
    programs = Programs(tmp_path, datetime)
    await programs.an_hour_later(programs.active(payload={"x": TriggerTime}))
    assert [event["payload_json"] for event in programs.events()] == ['{"x": "2026-03-02T13:00:00Z"}']


async def test_the_slot_stands_for_trigger_time_in_a_program_without_the_definition(programs: Programs) -> None:
    programs.active(payload={"x": TriggerTime})
    await programs.an_hour_later(programs.program())
    assert programs.got == [T0 + HOUR]


async def test_what_a_poll_function_brings_stands_above_trigger_time(programs: Programs) -> None:
    await programs.an_hour_later(programs.active(inputs={"x": TriggerTime}, poll_fn=lambda: {"x": 5}))
    assert programs.got == [5]


@pytest.fixture
def open_file(tmp_path: Path) -> Iterator[Any]:
    with (tmp_path / "a.txt").open("w") as file:
        yield file


@pytest.mark.parametrize("field", ["payload", "inputs"])
def test_a_value_that_cannot_be_stored_is_an_error_at_activate(programs: Programs, open_file: Any, field: str) -> None:
    for value, kind in ((object(), "builtins.object"), (open_file, "_io.TextIOWrapper"), ([TriggerTime], "list")):
        manager = programs.program(**{field: {"x": value}})
        with pytest.raises(ValueError, match=f"trigger 't', parameter 'x': a .*{kind}.* cannot be written as JSON"):
            manager.activate("t")
    assert programs.events() == []


@pytest.mark.parametrize(
    ("payload", "problem"),
    [
        ({"x": TriggerTime()}, r"has a TriggerTime\(\) as 'x': give the class itself"),
        ({1: 2}, "has the key 1, a int: the names of parameters are text"),
        ([1], r"is \[1\]: give a dict of values"),
    ],
    ids=["an instance of TriggerTime", "a number for a name", "no dict"],
)
async def test_a_payload_that_is_none_says_what_is_wrong(programs: Programs, payload: Any, problem: str) -> None:
    for field in ("payload", "inputs"):
        with pytest.raises(ValueError, match=f"trigger 't': {field} {problem}"):
            programs.program(**{field: payload})
    answer: Callable[[], Any] = lambda: Fire(payload)  # noqa: E731
    manager = programs.active(poll_fn=answer)
    fired: Awaitable[Any] = manager.fire("t", payload)
    with pytest.raises(ValueError, match=f"trigger 't': its payload {problem}"):
        await fired
    await programs.an_hour_later(manager)
    assert [event["status"] for event in programs.events()] == ["failed"]
    assert programs.events()[0]["error"].startswith("InvalidArgument: poll_fn returned a payload that ")


async def test_a_retry_says_which_value_it_was_not_given(programs: Programs) -> None:
    programs.got.failing = (1,)
    manager = programs.active(poll_fn=lambda: {"x": object()}, retries=1)
    await programs.an_hour_later(manager)
    await programs.a_retry_later(manager)
    assert programs.events()[0]["error"] == (
        "NotWritten: parameter 'x' is a builtins.object, which only the program has that brought it"
    )


def test_a_set_has_one_text_however_it_is_hashed() -> None:
    assert tagged({"b", "c", "a"}) == {"__type__": "set", "value": ["a", "b", "c"]}
