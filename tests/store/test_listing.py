from dataclasses import replace
from datetime import UTC, datetime
from itertools import permutations, product

import pytest

from wingbeat.core.listing import Filter, Function, ListQuery, Page, Sort
from wingbeat.errors import InvalidArgument
from wingbeat.store.database import Database, Row, Transaction, to_micros
from wingbeat.store.filters import MAX_VALUES, Arguments, Column, Columns, Kind
from wingbeat.store.listing import Listing, Split, fetch_page

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
BIRDS = Listing(
    select="b.name, b.size",
    source="bird b WHERE {where}",
    columns=Columns(
        {
            "name": Column("b.name"),
            "size": Column("b.size", Kind.INTEGER),
            "seen_at": Column("b.seen_at", Kind.MOMENT, nullable=True),
            "call": Column("b.call", nullable=True),
            "rare": Column("b.rare", Kind.FLAG),
        },
        open_columns={"labels.": Column("CASE WHEN b.name = {key} THEN 'self' END", nullable=True)},
    ),
    key=("name",),
    default_sort=(Sort("size"),),
)
FLOCK = [
    (
        f"bird-{number:02}",
        number % 4,
        None if number % 3 == 0 else to_micros(NOON) + number % 5,
        (None, "tweet", "50% off\nü", "TWEET")[number % 4],
        number % 2 == 0,
    )
    for number in range(30)
]


@pytest.fixture
async def flock(database: Database) -> Database:
    async def hatch(tx: Transaction) -> None:
        await tx.execute(
            "CREATE TABLE bird (name TEXT PRIMARY KEY, size BIGINT NOT NULL, seen_at BIGINT, call TEXT,"
            " rare BOOLEAN NOT NULL)"
        )
        columns = {"name": "TEXT", "size": "BIGINT", "seen_at": "BIGINT", "call": "TEXT", "rare": "BOOLEAN"}
        await tx.insert("bird", columns, FLOCK)

    await database.write(hatch)
    return database


async def page(database: Database, query: ListQuery, listing: Listing = BIRDS) -> Page[Row]:
    return await database.read(lambda tx: fetch_page(tx, listing, query))


async def names(database: Database, *filters: Filter) -> list[int]:
    found = await page(database, ListQuery(limit=100, filters=filters, sort=(Sort("name", ascending=True),)))
    return [int(row["name"].removeprefix("bird-")) for row in found.items]


async def walk(database: Database, sort: tuple[Sort, ...], limit: int) -> tuple[list[str], int]:
    seen: list[str] = []
    token, pages = "", 0
    while True:
        found = await page(database, ListQuery(limit=limit, token=token, sort=sort))
        seen += [row["name"] for row in found.items]
        token, pages = found.next_token, pages + 1
        if not token:
            return seen, pages


def orders() -> list[tuple[Sort, ...]]:
    fields = ["name", "size", "seen_at", "call", "rare"]
    pairs = [pair for count in (1, 2) for pair in permutations(fields, count)]
    return [
        tuple(Sort(field, ascending=up) for field, up in zip(pair, ups, strict=True))
        for pair in pairs
        for ups in product([True, False], repeat=len(pair))
    ]


async def test_paging_through_any_order_gives_every_row_once(flock: Database) -> None:
    for sort in [(), *orders()]:
        seen, _ = await walk(flock, sort, limit=7)
        whole = await page(flock, ListQuery(limit=100, sort=sort))
        assert seen == [row["name"] for row in whole.items], sort
        assert sorted(seen) == [bird[0] for bird in FLOCK], sort


@pytest.mark.parametrize("sort", [(), (Sort("name"),), (Sort("size"), Sort("name", ascending=True)), (Sort("call"),)])
@pytest.mark.parametrize(
    "filters",
    [
        (),
        (Filter("size", Function.VALUE_IN, ("1", "3")),),
        (Filter("size", Function.VALUE_NOT_IN, ("1", "3")),),
        (Filter("size", Function.GREATER_THAN, ("0",)), Filter("size", Function.NOT_EQUAL, ("2",))),
        (Filter("size", Function.EQUAL, ("2",)), Filter("rare", Function.EQUAL, ("true",))),
        (Filter("size", Function.NOT_EXISTS),),
        (Filter("size", Function.EQUAL, ("1", "0")),),
    ],
)
async def test_a_list_that_is_split_shows_the_same(
    flock: Database, sort: tuple[Sort, ...], filters: tuple[Filter, ...]
) -> None:
    split = replace(BIRDS, split=Split("size", range(4), ("name",), "bird b WHERE TRUE"))
    query = ListQuery(limit=100, sort=sort, filters=filters)
    whole = [row["name"] for row in (await page(flock, query)).items]
    seen: list[str] = []
    query, more = replace(query, limit=3), True
    while more:
        found = await page(flock, query, split)
        seen += [row["name"] for row in found.items]
        query, more = replace(query, token=found.next_token), bool(found.next_token)
    assert seen == whole


async def test_order_is_the_same_each_time_although_rows_tie(flock: Database) -> None:
    seen, _ = await walk(flock, (Sort("size", ascending=True),), limit=100)
    assert seen == [bird[0] for bird in sorted(FLOCK, key=lambda bird: (bird[1], bird[0]))]


async def test_what_is_not_set_counts_as_greatest(flock: Database) -> None:
    up, _ = await walk(flock, (Sort("seen_at", ascending=True),), limit=100)
    down, _ = await walk(flock, (Sort("seen_at"),), limit=100)
    unset = [bird[0] for bird in FLOCK if bird[2] is None]
    assert up[-len(unset) :] == unset
    assert down == up[::-1]


async def test_token_is_given_only_when_there_is_another_row(flock: Database) -> None:
    for limit, pages in [(10, 3), (15, 2), (29, 2), (30, 1), (31, 1)]:
        assert (await walk(flock, (), limit))[1] == pages


async def test_row_inserted_before_the_page_shifts_nothing(flock: Database) -> None:
    sort = (Sort("name", ascending=True),)
    first = await page(flock, ListQuery(limit=3, sort=sort))
    await flock.write(lambda tx: tx.execute("INSERT INTO bird VALUES ('bird-0', 1, NULL, NULL, $1)", True))
    second = await page(flock, ListQuery(limit=3, sort=sort, token=first.next_token))
    assert [row["name"] for row in second.items] == ["bird-03", "bird-04", "bird-05"]


async def test_token_of_another_order_is_refused(flock: Database) -> None:
    first = await page(flock, ListQuery(limit=3, sort=(Sort("size"),)))
    with pytest.raises(InvalidArgument, match="another order"):
        await page(flock, ListQuery(limit=3, sort=(Sort("size", ascending=True),), token=first.next_token))


NOT_OURS = [
    "50",
    "-1",
    "ö",
    "a",
    "bnVsbA",
    "W10",
    "WyItc2l6ZSwtbmFtZSIsMV0",  # ["-size,-name",1]: too short
    "WyItc2l6ZSwtbmFtZSIsIngiLCJiIl0",  # the size is a text
    "WyItc2l6ZSwtbmFtZSIsMWU5OTksImIiXQ",  # the size is infinite
    "WyItc2l6ZSwtbmFtZSIsOTIyMzM3MjAzNjg1NDc3NTgwOCwiYiJd",  # the size needs more than 64 bits
    "WyItc2l6ZSwtbmFtZSIsMSwiXHVkODAwIl0",  # the name is half of a surrogate pair
    "W" * 8000,
    "W" * 9000,
]


async def test_token_that_is_not_ours_is_refused(flock: Database) -> None:
    for token in NOT_OURS:
        with pytest.raises(InvalidArgument, match="token"):
            await page(flock, ListQuery(token=token))


SIZES = {size: [n for n in range(30) if n % 4 == size] for size in range(4)}


MATCHES: list[tuple[str, str, list[str], list[int]]] = [
    ("size", "EQUAL", ["3"], SIZES[3]),
    ("size", "EQUAL", ["1", "0"], []),
    ("size", "NOT_EQUAL", ["3"], [n for n in range(30) if n % 4 != 3]),
    ("size", "GREATER_THAN", ["2"], SIZES[3]),
    ("size", "GREATER_THAN_OR_EQUAL", ["3"], SIZES[3]),
    ("size", "LESS_THAN", ["1"], SIZES[0]),
    ("size", "LESS_THAN_OR_EQUAL", ["0"], SIZES[0]),
    ("size", "VALUE_IN", ["3"], SIZES[3]),
    ("size", "VALUE_IN", ["2", "3"], sorted(SIZES[2] + SIZES[3])),
    ("size", "VALUE_NOT_IN", ["0", "1", "2"], SIZES[3]),
    ("size", "EQUAL", ["-9223372036854775808"], []),
    ("name", "EQUAL", ["bird-07"], [7]),
    ("name", "CONTAINS", ["-07"], [7]),
    ("name", "CONTAINS", ["BIRD"], []),
    ("name", "CONTAINS", ["bird_07"], []),
    ("name", "CONTAINS_CASE_INSENSITIVE", ["BIRD-07"], [7]),
    ("name", "CONTAINS_CASE_INSENSITIVE", ["%"], []),
    ("name", "ENDS_WITH", ["rd-07"], [7]),
    ("name", "ENDS_WITH", ["a very long bird-07"], []),
    ("name", "ENDS_WITH", ["_7"], []),
    ("name", "NOT_ENDS_WITH", ["7"], [n for n in range(30) if n % 10 != 7]),
    ("call", "CONTAINS", ["0%"], SIZES[2]),
    ("call", "ENDS_WITH", ["\nü"], SIZES[2]),
    ("call", "NOT_ENDS_WITH", ["\nü"], sorted(SIZES[1] + SIZES[3])),
    ("call", "NOT_EQUAL", ["tweet"], sorted(SIZES[2] + SIZES[3])),
    ("call", "VALUE_NOT_IN", ["tweet"], sorted(SIZES[2] + SIZES[3])),
    ("call", "EXISTS", [], [n for n in range(30) if n % 4]),
    ("call", "NOT_EXISTS", [], SIZES[0]),
    ("rare", "EQUAL", ["true"], list(range(0, 30, 2))),
    ("rare", "VALUE_IN", ["False"], list(range(1, 30, 2))),
    ("seen_at", "EQUAL", [str(to_micros(NOON) + 1)], [n for n in range(30) if n % 5 == 1 and n % 3]),
    ("seen_at", "EQUAL", ["2026-01-01T12:00:00.000001Z"], [n for n in range(30) if n % 5 == 1 and n % 3]),
    ("seen_at", "LESS_THAN", ["2026-01-01T14:00:00.000001+02:00"], [n for n in range(30) if n % 5 == 0 and n % 3]),
    ("seen_at", "GREATER_THAN", ["2026-01-01T12:00:00.000003"], [n for n in range(30) if n % 5 == 4 and n % 3]),
    ("labels.bird-03", "EXISTS", [], [3]),
    ("labels.bird-03", "EQUAL", ["self"], [3]),
]


async def test_filter_matches_what_it_says_and_never_what_is_not_set(flock: Database) -> None:
    for field, function, values, expected in MATCHES:
        found = await names(flock, Filter(field, Function(function), tuple(values)))
        assert found == expected, (field, function, values)


async def test_filters_narrow_together_and_with_the_scope(flock: Database) -> None:
    query = ListQuery(
        filters=(Filter("size", Function.EQUAL, ("3",)), Filter("name", Function.ENDS_WITH, ("7",))), limit=1
    )

    async def in_scope(tx: Transaction) -> Page[Row]:
        args = Arguments("bird-1")
        return await fetch_page(tx, BIRDS, query, scope=["b.name > $1"], args=args)

    found = await flock.read(in_scope)
    assert [row["name"] for row in found.items] == ["bird-27"]
    assert found.next_token == ""


NONSENSE: list[tuple[str, str, list[str]]] = [
    ("colour", "EQUAL", ["red"]),
    ("labels.", "EXISTS", []),
    ("size", "EQUAL", []),
    ("size", "EQUAL", ["big"]),
    ("size", "EQUAL", ["9223372036854775808"]),
    ("size", "EQUAL", ["1" * 5000]),
    ("size", "EQUAL", ["10", "11"]),
    ("size", "CONTAINS", ["1"]),
    ("size", "VALUE_IN", []),
    ("size", "VALUE_IN", ["1"] * (MAX_VALUES + 1)),
    ("name", "EQUAL", ["a", "b"]),
    ("name", "EQUAL", ["1", "0"]),
    ("name", "EQUAL", ["\0"]),
    ("name", "CONTAINS", [""]),
    ("labels.\0", "EXISTS", []),
    ("rare", "EQUAL", ["maybe"]),
    ("seen_at", "EQUAL", ["yesterday"]),
    ("seen_at", "EQUAL", ["9" * 19]),
]


async def test_filter_that_makes_no_sense_is_refused(flock: Database) -> None:
    for field, function, values in NONSENSE:
        with pytest.raises(InvalidArgument):
            await names(flock, Filter(field, Function(function), tuple(values)))


async def test_unknown_field_is_named_with_the_known_ones(flock: Database) -> None:
    with pytest.raises(InvalidArgument, match=r"'colour'.*call, name, rare, seen_at, size"):
        await page(flock, ListQuery(sort=(Sort("colour"),)))
