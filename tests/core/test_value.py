import math

import pytest

from wingbeat.core.value import MAX_TEXT, Value, ValueType, check, same, type_of, widened
from wingbeat.errors import InvalidArgument


@pytest.mark.parametrize(
    ("value", "declared"),
    [
        (True, ValueType.BOOLEAN),
        (-(2**63), ValueType.INTEGER),
        (0.5, ValueType.FLOAT),
        (math.inf, ValueType.FLOAT),
        ("", ValueType.STRING),
    ],
)
def test_a_value_fits_its_own_type_and_no_other(value: Value, declared: ValueType) -> None:
    assert type_of(value) is declared
    check(value, declared)
    for other in set(ValueType) - {declared}:
        with pytest.raises(InvalidArgument, match=f"is of type {declared.name}, and {other.name} is declared"):
            check(value, other)


@pytest.mark.parametrize("value", [2**63, -(2**63) - 1, "x" * (MAX_TEXT + 1)], ids=["large", "small", "long"])
def test_what_is_too_large_is_refused(value: Value) -> None:
    with pytest.raises(InvalidArgument, match=r"64 bits|are the most"):
        check(value, type_of(value))


def test_a_text_that_no_message_can_carry_is_refused() -> None:
    check("\U0001f426", ValueType.STRING)
    with pytest.raises(InvalidArgument, match="half of a character"):
        check("a\ud83d", ValueType.STRING)


def test_only_integers_become_floats_and_only_where_floats_are_declared() -> None:
    assert repr(widened(3, ValueType.FLOAT)) == "3.0"
    assert repr(widened(3, ValueType.INTEGER)) == "3"
    assert widened(True, ValueType.FLOAT) is True
    assert widened("3", ValueType.FLOAT) == "3"
    assert widened(10**400, ValueType.FLOAT) == 10**400


def test_sameness_is_of_value_and_type() -> None:
    assert same(math.nan, math.nan)
    assert same("a", "a")
    assert not same(1, True)
    assert not same(1, 1.0)
    assert not same(0.1, 0.2)
