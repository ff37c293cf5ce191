"""The tables that other projects publish with their engines; tests/data/README.md says whose, and what we made of them.

A row whose `differs` gives a reason expects our answer and keeps the other's as `theirs`; all others are theirs too.
"""

import json
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from wingbeat.core.cron import Cron, DstGap, DstOverlap, parse
from wingbeat.core.cron_syntax import parse_fields
from wingbeat.errors import InvalidArgument

DATA = Path(__file__).parents[1] / "data"
ROWS: list[dict[str, Any]] = [
    json.loads(line) for line in (DATA / "cron-published.jsonl").read_text(encoding="utf-8").splitlines()
]


def rows(*holding: str) -> list[Any]:
    """The rows that hold one of these keys, which say what is expected."""
    return [
        pytest.param(row, id=f"{row['source']} row {number} {row['expression']!r}")
        for number, row in enumerate(ROWS, 1)
        if not row.keys().isdisjoint(holding)
    ]


def engine(row: dict[str, Any]) -> Cron:
    gap, overlap = DstGap(row.get("dst_gap", "skip")), DstOverlap(row.get("dst_overlap", "both"))
    return parse(row["expression"], row.get("zone", ""), dst_gap=gap, dst_overlap=overlap)


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


@pytest.mark.parametrize("row", rows("next"))
def test_the_fires_are_those_of_the_table(row: dict[str, Any]) -> None:
    cron, at = engine(row), moment(row["after"])
    for expected in row["next"]:
        fire = cron.next_after(at)
        assert fire == (moment(expected) if expected else None)
        at = fire or at


@pytest.mark.parametrize("row", rows("not_next"))
def test_a_moment_that_does_not_match_is_no_fire(row: dict[str, Any]) -> None:
    assert engine(row).next_after(moment(row["after"])) != moment(row["not_next"])


@pytest.mark.parametrize("row", rows("numbers"))
def test_a_field_names_the_numbers_of_the_table(row: dict[str, Any]) -> None:
    bits = getattr(parse_fields(row["expression"]), row["field"])
    assert [number for number in range(bits.bit_length()) if bits >> number & 1] == row["numbers"]


@pytest.mark.parametrize("row", rows("refused"))
def test_what_the_table_refuses_is_refused(row: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument):
        engine(row)


def test_every_row_is_tested_and_no_reason_to_differ_hides_an_agreement() -> None:
    kinds = ("next", "not_next", "numbers", "refused")
    assert all(sum(kind in row for kind in kinds) == 1 for row in ROWS)
    assert all(("differs" in row) == ("theirs" in row) for row in ROWS)
    assert all(row["theirs"] != row.get("next", row.get("numbers")) for row in ROWS if "differs" in row)
    assert Counter(row["source"] for row in ROWS) == {"robfig/cron": 100, "cronsim": 202, "croniter": 69}
