from hypothesis import given
from hypothesis import strategies as st

from wingbeat.core.rate import TokenBucket


def test_begins_with_a_burst_and_then_keeps_the_rate() -> None:
    bucket = TokenBucket(rate=10, burst=20)
    assert bucket.take(100, 0.0) == 20
    assert bucket.take(100, 0.05) == 0
    assert bucket.seconds_to_next(0.05) == 0.05
    assert bucket.take(100, 1.0) == 10


def test_what_is_not_used_comes_back() -> None:
    bucket = TokenBucket(rate=10, burst=20)
    bucket.give_back(bucket.take(5, 0.0))
    assert bucket.take(100, 0.0) == 20


def test_a_rate_of_zero_is_no_limit() -> None:
    bucket = TokenBucket(rate=0, burst=0)
    assert bucket.take(10_000, 0.0) == 10_000
    assert bucket.seconds_to_next(0.0) == 0


@given(st.lists(st.tuples(st.floats(0, 2), st.integers(0, 50)), max_size=50))
def test_never_gives_more_than_the_rate_and_one_burst(calls: list[tuple[float, int]]) -> None:
    bucket, now, taken = TokenBucket(rate=10, burst=20), 0.0, 0
    for step, wanted in calls:
        now += step
        taken += bucket.take(wanted, now)
        assert taken <= 20 + 10 * now + 1e-6
