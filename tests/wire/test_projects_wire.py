import pytest

from wingbeat.core.listing import Filter, Function
from wingbeat.errors import InvalidArgument
from wingbeat.wire.projects import parse_filters


@pytest.mark.parametrize(
    ("text", "filters"),
    [
        ("eq(state, 0)", (Filter("state", Function.EQUAL, ("0",)),)),
        ("EQ ( state,0 )", (Filter("state", Function.EQUAL, ("0",)),)),
        ("value_in(state, 0; 1 ;2)", (Filter("state", Function.VALUE_IN, ("0", "1", "2")),)),
        (
            "ne(name, a+b) + contains(description, (x), y)",
            (
                Filter("name", Function.NOT_EQUAL, ("a+b",)),
                Filter("description", Function.CONTAINS, ("(x), y",)),
            ),
        ),
        ("eq(description, )", (Filter("description", Function.EQUAL, ("",)),)),
    ],
)
def test_filter_language(text: str, filters: tuple[Filter, ...]) -> None:
    assert parse_filters(text) == filters


@pytest.mark.parametrize("text", ["state", "eq(state)", "eq(state, 0", "eq(a, 1)+", "like(name, x)", "eq(a b, 1)"])
def test_filter_that_is_none_is_refused_by_what_is_wrong(text: str) -> None:
    with pytest.raises(InvalidArgument, match="filter"):
        parse_filters(text)
