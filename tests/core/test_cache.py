from dataclasses import replace
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import T0
from wingbeat.core.cache import CachePolicy, digest
from wingbeat.core.ids import Scope

POLICY = CachePolicy("k", Scope("birds", "development"))
PARTS = st.lists(st.text(), max_size=5)


@given(PARTS, PARTS)
def test_a_digest_tells_any_two_lists_of_parts_apart(one: list[str], other: list[str]) -> None:
    assert (digest(*one) == digest(*other)) == (one == other)


def test_scopes_whose_names_run_into_each_other_have_reservations_of_their_own() -> None:
    policies = [
        CachePolicy("k", Scope("a", "b-c")),
        CachePolicy("k", Scope("a-b", "c")),
        CachePolicy("k", None),
        CachePolicy("a", Scope("b", "c")),
    ]
    assert len({policy.reservation for policy in policies}) == len(policies)


def test_what_a_policy_does_besides_is_no_part_of_its_reservation() -> None:
    assert replace(POLICY, overwrite=True, max_age=timedelta(1)).reservation == POLICY.reservation


def test_results_grow_old_only_where_there_is_an_age() -> None:
    assert replace(POLICY, max_age=timedelta(hours=1)).fresh_since(T0) == T0 - timedelta(hours=1)
    assert POLICY.fresh_since(T0).year == 1
