"""Results that are kept: when they are used, refreshed or refused, under which key, and by how many calls at once."""

import asyncio
import logging
import sqlite3
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from wingbeat.compose.cached import (
    CacheProhibitDirectCall,
    CacheRefreshPushback,
    CacheRefreshSuppressed,
    mount_cached_node,
    table_name_from_path,
)
from wingbeat.compose.engine import StorageConfig
from wingbeat.compose.kept_results import Lifetime, Verdict
from wingbeat.compose.methods import Method
from wingbeat.compose.namespace import Namespace, NamespaceNode, NsCacheConfig, NsNodeConfig
from wingbeat.store.compose.caches import Found

DAY = timedelta(days=1)


class Time:
    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Time:
    return Time()


@pytest.fixture
def mounted(tmp_path: Path, clock: Time) -> Callable[..., NamespaceNode]:
    def mount(c: Callable[..., Any], nsref: str = "market:fetch", least: float = 1, most: float = 3) -> NamespaceNode:
        node = NamespaceNode(Method(c), config=NsCacheConfig(nsref=nsref, min_ttl=least, max_ttl=most))
        mount_cached_node(node, tmp_path / "cache.db", clock=clock)
        return node

    return mount


class Source:
    """A function that counts its calls, and may fail."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.error: BaseException | None = None

    def fetch(self, ticker: str, year: int = 2026, *, exact: bool = False) -> dict[str, int]:
        self.calls.append((ticker, year, exact))
        if self.error:
            raise self.error
        return {ticker: len(self.calls)}

    async def later(self, ticker: str, year: int = 2026, *, exact: bool = False) -> dict[str, int]:
        await asyncio.sleep(0)
        return self.fetch(ticker, year, exact=exact)


@pytest.fixture
def source() -> Source:
    return Source()


@pytest.fixture(params=["called", "awaited"])
def call(
    request: pytest.FixtureRequest, source: Source, mounted: Callable[..., NamespaceNode]
) -> Callable[..., Awaitable[Any]]:
    """The source through its cache, in a thread or on the loop."""
    if request.param == "awaited":
        return mounted(source.later)
    node = mounted(source.fetch)

    async def in_thread(*args: Any, **kwargs: Any) -> Any:
        return await asyncio.to_thread(node, *args, **kwargs)

    return in_thread


async def test_a_call_is_made_once(call: Callable[..., Awaitable[Any]], source: Source) -> None:
    assert [await call(ticker="A") for _ in range(3)] == [{"A": 1}] * 3
    assert await call(ticker="B") == {"B": 2}
    assert source.calls == [("A", 2026, False), ("B", 2026, False)]


async def test_the_same_call_in_other_words_is_the_same(call: Callable[..., Awaitable[Any]], source: Source) -> None:
    for args, kwargs in ((("A",), {}), ((), {"ticker": "A"}), (("A", 2026), {}), (("A",), {"exact": False})):
        await call(*args, **kwargs)
    await call("A", exact=True)
    assert source.calls == [("A", 2026, False), ("A", 2026, True)]


def one_day(value: date) -> str:
    return repr(value)


def one_path(value: Path) -> str:
    return repr(value)


def one_number(value: float) -> str:
    return repr(value)


def one_count(value: int) -> str:
    return repr(value)


def one_text(value: str) -> str:
    return repr(value)


@pytest.mark.parametrize(
    ("c", "values"),
    [
        (one_day, [date(2026, 1, 1), "2026-01-01"]),
        (one_path, [Path("a"), "a", Path("caf\udce9"), Path("caf\\udce9")]),
        (one_number, [2.0**53, 2**53 + 1, 0.5, "0.5"]),
        (one_text, ["1", 1, "caf\udce9", "caf\\udce9"]),
    ],
)
def test_values_that_a_column_would_not_tell_apart_are_other_calls(
    c: Callable[..., str], values: list[Any], mounted: Callable[..., NamespaceNode]
) -> None:
    node = mounted(c)
    for _ in range(2):
        assert [node(each) for each in values] == [repr(each) for each in values]


def test_what_is_no_whole_number_is_refused_where_one_is_wanted(mounted: Callable[..., NamespaceNode]) -> None:
    node = mounted(one_count)
    assert node(1) == node(1.0) == "1"
    with pytest.raises(TypeError, match=r"parameter 'value' of 'market:fetch', .* '1' is a str, .* is for int"):
        node("1")


def test_a_whole_number_is_the_float_it_is_equal_to(mounted: Callable[..., NamespaceNode]) -> None:
    node = mounted(one_number)
    assert (node(1), node(1.0)) == ("1", "1")


async def test_a_wrong_call_is_refused_like_one_of_the_function(call: Callable[..., Awaitable[Any]]) -> None:
    with pytest.raises(TypeError, match="missing a required argument: 'ticker'"):
        await call()
    with pytest.raises(
        TypeError, match=r"parameter .ticker. of .market:fetch., .* None is a NoneType, which does not fit"
    ):
        await call(None)


@pytest.mark.parametrize(
    ("age", "chance", "suppressed", "verdict"),
    [
        pytest.param(0.5, 0.0, False, Verdict.USE, id="fresh"),
        pytest.param(-9.0, 0.0, False, Verdict.USE, id="from the future"),
        pytest.param(2.0, 0.49, False, Verdict.REFRESH, id="half way, by chance"),
        pytest.param(2.0, 0.51, False, Verdict.USE, id="half way, not by chance"),
        pytest.param(2.0, 0.0, True, Verdict.USE, id="half way, suppressed"),
        pytest.param(3.0, 0.99, False, Verdict.CALL, id="too old"),
        pytest.param(3.0, 0.0, True, Verdict.REFUSE, id="too old, suppressed"),
        pytest.param(None, 0.0, True, Verdict.CALL, id="nothing kept"),
    ],
)
def test_what_is_kept_is_used_by_its_age(age: float | None, chance: float, suppressed: bool, verdict: Verdict) -> None:
    found = Found(None if age is None else "1", age or 0.0, 9.0 if suppressed else None)
    assert Lifetime(1.0, 3.0).verdict(found, chance=chance) is verdict


async def test_what_is_too_old_is_fetched_and_its_failure_raised(
    call: Callable[..., Awaitable[Any]], source: Source, clock: Time
) -> None:
    await call("A")
    clock.now += 3 * DAY
    source.error = ValueError("away")
    with pytest.raises(ValueError, match="away"):
        await call("A")
    source.error = None
    assert await call("A") == {"A": 3}


@pytest.mark.parametrize("failure", [ValueError("away"), SystemExit(1)])
async def test_a_refresh_that_fails_leaves_the_old_result(
    call: Callable[..., Awaitable[Any]],
    source: Source,
    clock: Time,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    failure: BaseException,
) -> None:
    monkeypatch.setattr("random.random", lambda: 0.0)
    await call("A")
    clock.now += 2 * DAY
    source.error = failure
    with caplog.at_level(logging.WARNING):
        assert await call("A") == {"A": 1}
    assert "the refresh of a result failed" in caplog.text
    source.error = None
    assert await call("A") == {"A": 3}


async def test_a_push_back_lets_the_old_result_be_until_it_is_too_old(
    call: Callable[..., Awaitable[Any]], source: Source, clock: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("random.random", lambda: 0.0)
    await call("A")
    clock.now += 2 * DAY
    source.error = CacheRefreshPushback(2)
    assert [await call("A"), await call("A")] == [{"A": 1}] * 2
    assert len(source.calls) == 2
    clock.now += 1.5 * DAY
    source.error = None
    with pytest.raises(CacheRefreshSuppressed, match=r"no refresh of market\.fetch before") as refused:
        await call("A")
    assert refused.value.suppressed_until == (clock.now + 0.5 * DAY).timestamp()
    assert await call("B") == {"B": 3}
    clock.now += 0.5 * DAY
    assert await call("A") == {"A": 4}


def test_push_backs_of_several_hold_at_once(
    mounted: Callable[..., NamespaceNode], clock: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("random.random", lambda: 0.0)
    source = Source()

    async def one() -> int:
        return source.fetch("A")["A"]

    def two() -> int:
        return source.fetch("A")["A"]

    def three() -> int:
        return source.fetch("A")["A"]

    nodes = [mounted(two, "market.eu:two"), mounted(three, "marketing:three"), mounted(three, "other:three")]
    assert [node() for node in nodes] == [1, 2, 3]
    assert asyncio.run(mounted(one, "market.us:one")()) == 4
    clock.now += 2 * DAY
    source.error = CacheRefreshPushback(1, "market.eu:")
    nodes[0]()
    source.error = CacheRefreshPushback(1)
    nodes[2]()
    source.error = None
    assert [node() for node in nodes] == [1, 7, 3]


async def test_calls_at_the_same_time_are_one(source: Source, mounted: Callable[..., NamespaceNode]) -> None:
    node = mounted(source.later)
    results = await asyncio.gather(*(node("A") for _ in range(5)))
    assert results == [{"A": 1}] * 5
    results[0]["A"] = 99
    assert results[1] == {"A": 1}
    assert len(source.calls) == 1


def test_threads_at_the_same_time_make_one_call(mounted: Callable[..., NamespaceNode]) -> None:
    started, go = threading.Event(), threading.Event()
    calls: list[int] = []

    def slow(x: int) -> int:
        calls.append(x)
        started.set()
        assert go.wait(10)
        return x

    node = mounted(slow)
    with ThreadPoolExecutor(5) as pool:
        first = pool.submit(node, 1)
        assert started.wait(10)
        rest = [pool.submit(node, 1) for _ in range(4)]
        go.set()
        assert [each.result(10) for each in (first, *rest)] == [1] * 5
    assert calls == [1]


async def test_a_caller_that_gives_up_takes_nobody_along(mounted: Callable[..., NamespaceNode]) -> None:
    started, go, calls = asyncio.Event(), asyncio.Event(), list[int]()

    async def slow(x: int) -> int:
        calls.append(x)
        started.set()
        await go.wait()
        return x

    node = mounted(slow)
    first = asyncio.ensure_future(node(1))
    await started.wait()
    second, third = asyncio.ensure_future(node(1)), asyncio.ensure_future(node(1))
    await asyncio.to_thread(lambda: None)
    second.cancel()
    first.cancel()
    go.set()
    assert await asyncio.wait_for(third, 10) == 1
    assert calls == [1, 1]


async def test_all_who_wait_hear_of_the_failure(mounted: Callable[..., NamespaceNode]) -> None:
    async def fails(x: int) -> int:
        await asyncio.sleep(0.01)
        raise ValueError("away")

    node = mounted(fails)
    results = await asyncio.gather(node(1), node(1), return_exceptions=True)
    assert [str(each) for each in results] == ["away", "away"]


def test_a_call_that_asks_for_itself_says_so(mounted: Callable[..., NamespaceNode]) -> None:
    def endless(x: int) -> int:
        return node(x)

    node = mounted(endless)
    with pytest.raises(RuntimeError, match="waits for its own result"):
        node(1)


class Price(BaseModel):
    on: date
    value: float


def test_results_keep_their_types(mounted: Callable[..., NamespaceNode]) -> None:
    def prices(on: date) -> dict[date, Price]:
        return {on: Price(on=on, value=1.5)}

    node = mounted(prices)
    wanted = {date(2026, 1, 2): Price(on=date(2026, 1, 2), value=1.5)}
    assert [node(date(2026, 1, 2)), node(on=date(2026, 1, 2))] == [wanted, wanted]


def test_a_result_that_cannot_come_back_is_refused(mounted: Callable[..., NamespaceNode]) -> None:
    def unsaid():  # type: ignore[no-untyped-def]
        return {"when": threading.Event()}

    with pytest.raises(ValueError, match="the result of 'market:fetch' cannot be kept"):
        mounted(unsaid)()


def test_a_result_of_another_type_than_declared_comes_back_as_it_is(mounted: Callable[..., NamespaceNode]) -> None:
    calls: list[str] = []

    def fetch(ticker: str) -> dict[str, float]:
        calls.append(ticker)
        found: Any = {"price": 1.5, "ticker": ticker, "days": (1, 2)}
        return found

    node = mounted(fetch)
    assert node("A") == node("A") == {"price": 1.5, "ticker": "A", "days": (1, 2)}
    assert calls == ["A"]


def test_no_parameters_are_one_result(mounted: Callable[..., NamespaceNode], clock: Time, tmp_path: Path) -> None:
    source = Source()

    def alone() -> int:
        return source.fetch("A")["A"]

    node = mounted(alone)
    assert [node(), node()] == [1, 1]
    clock.now += 3 * DAY
    assert node() == 2
    assert len(rows(tmp_path, "SELECT * FROM market__fetch")) == 1


def rows(folder: Path, sql: str) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(folder / "cache.db")
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


def test_people_can_query_what_is_kept(
    mounted: Callable[..., NamespaceNode], source: Source, tmp_path: Path, clock: Time
) -> None:
    mounted(source.fetch, "market.data:fetch")("A")
    assert table_name_from_path("market.data:fetch") == "market__data__fetch"
    assert rows(tmp_path, "SELECT ticker, year, exact, value_json, fetched_at FROM market__data__fetch") == [
        ("A", 2026, 0, '{"A":1}', clock.now.timestamp())
    ]


def test_parameters_may_have_names_that_sql_keeps_for_itself(
    mounted: Callable[..., NamespaceNode], tmp_path: Path
) -> None:
    calls: list[str] = []

    def fetch(order: str, current_date: str, true: str, select: int) -> int:
        calls.append(order)
        return len(calls)

    node = mounted(fetch)
    assert [node("a", "x", "y", 1), node("a", "x", "y", 1), node("a", "z", "y", 1)] == [1, 1, 2]
    assert 'CREATE TABLE market__fetch ("order" TEXT NOT NULL, "current_date" TEXT NOT NULL, ' in str(
        rows(tmp_path, "SELECT sql FROM sqlite_schema WHERE name = 'market__fetch'")
    )


def test_other_parameters_are_another_table(mounted: Callable[..., NamespaceNode], tmp_path: Path) -> None:
    def before(x: int) -> int:
        return x

    def after(x: str, order: int = 1) -> str:
        return x

    assert mounted(before)(1) == 1
    assert mounted(before)(1) == 1
    assert mounted(after)("1") == "1"
    assert rows(tmp_path, "SELECT * FROM market__fetch")[0][:3] == ("1", 1, '"1"')


def test_what_cannot_be_read_any_more_is_fetched(mounted: Callable[..., NamespaceNode]) -> None:
    def before(x: int) -> str:
        return "text"

    def after(x: int) -> int:
        return x

    assert mounted(before)(1) == "text"
    assert mounted(after)(1) == 1


def test_two_callables_never_share_a_table(mounted: Callable[..., NamespaceNode], source: Source) -> None:
    mounted(source.fetch, "a.b:c")
    with pytest.raises(ValueError, match=r"table 'a__b__c' has results of 'a\.b:c': rename 'a:b__c'"):
        mounted(source.fetch, "a:b__c")


def takes_bytes(x: bytes) -> int:
    return 1


def takes_any_number(*x: int) -> int:
    return 1


def takes_a_column(fetched_at: int) -> int:
    return 1


def gives_an_object(x: int) -> threading.Event:
    return threading.Event()


@pytest.mark.parametrize(
    ("c", "message"),
    [
        (takes_bytes, "which is no simple_type"),
        (takes_any_number, "has no column"),
        (takes_a_column, "rename it"),
        (gives_an_object, "cannot be kept as JSON"),
    ],
)
def test_what_cannot_be_kept_is_refused_when_it_is_mounted(
    mounted: Callable[..., NamespaceNode], c: Callable[..., Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        mounted(c)


def test_only_a_node_with_a_cache_is_mounted(tmp_path: Path) -> None:
    node = NamespaceNode(Method(takes_bytes), config=NsNodeConfig(nsref="a:b"))
    with pytest.raises(TypeError, match="'a:b' has a NsNodeConfig: it needs a NsCacheConfig"):
        mount_cached_node(node, tmp_path / "cache.db")


def test_a_direct_call_can_be_prohibited(mounted: Callable[..., NamespaceNode]) -> None:
    def guarded(x: int) -> int:
        CacheProhibitDirectCall.require()
        return x

    assert mounted(guarded)(1) == 1
    with pytest.raises(CacheProhibitDirectCall, match="through its cache wrapper"):
        guarded(1)


def test_a_mounted_namespace_keeps_results_of_all_its_nodes(tmp_path: Path, source: Source) -> None:
    ns = Namespace()
    ns.register(source.fetch, config=NsCacheConfig(nsref="market:before", min_ttl=1, max_ttl=2))
    ns.register(source.fetch, nsref="market:plain")
    ns.mount(StorageConfig(cache_db=tmp_path / "new" / "cache.db"))
    ns.register(source.fetch, config=NsCacheConfig(nsref="market:after", min_ttl=1, max_ttl=2))
    for name in ("before", "after", "plain"):
        assert ns.get(f"market:{name}")("A") is not None
        ns.get(f"market:{name}")("A")
    assert len(source.calls) == 4
    assert ns.is_mounted
    assert ns.get("market:before").method.o == source.fetch


def test_a_node_that_cannot_be_kept_is_not_registered(tmp_path: Path) -> None:
    ns = Namespace()
    ns.mount(StorageConfig(cache_db=tmp_path / "cache.db"))
    with pytest.raises(ValueError, match="simple_type"):
        ns.register(takes_bytes, config=NsCacheConfig(nsref="a:b", min_ttl=1, max_ttl=2))
    assert ns.nodes() == []
