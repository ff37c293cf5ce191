from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wingbeat.core.action import ErrorKind, Failure
from wingbeat.core.retry import LONGEST, LOST, SYSTEM_RETRIES, Backoff, RetryPolicy, jittered, retry_after

USER = Failure("ValueError", ErrorKind.USER, "no", retryable=True)
UNKNOWN = Failure("KeyError", ErrorKind.UNSPECIFIED, "no", retryable=True)
FINAL = Failure("ValueError", ErrorKind.USER, "no", retryable=False)
NOW = timedelta(0)


@pytest.mark.parametrize(
    ("failures", "retries", "again"),
    [
        pytest.param([USER], 0, False, id="a task that asks for none gets no retry"),
        pytest.param([USER], 1, True, id="the first failure of one retry"),
        pytest.param([USER, USER], 1, False, id="the retries are used up"),
        pytest.param([UNKNOWN, UNKNOWN], 1, False, id="errors of unknown origin use up the user's retries"),
        pytest.param([FINAL], 5, False, id="what says it is final is final"),
        pytest.param([LOST], 0, True, id="a lost attempt is tried again though nobody asked"),
        pytest.param([LOST] * SYSTEM_RETRIES, 0, True, id="the last retry of the system"),
        pytest.param([LOST] * (SYSTEM_RETRIES + 1), 0, False, id="the system gives up"),
        pytest.param([LOST, LOST, LOST, USER], 1, True, id="faults of the system use up no retry of the user"),
        pytest.param([USER, USER, LOST], 2, True, id="and the other way round"),
    ],
)
def test_who_may_retry(failures: list[Failure], retries: int, again: bool) -> None:
    assert (retry_after(failures, RetryPolicy(retries), chance=0.5) is not None) is again


def test_retries_without_back_off_follow_at_once() -> None:
    assert retry_after([USER], RetryPolicy(1), chance=0.9) == NOW


def test_the_users_back_off_is_what_the_user_wrote() -> None:
    policy = RetryPolicy(9, Backoff(timedelta(seconds=2), 3.0, timedelta(seconds=15)))
    delays = [retry_after([USER] * n, policy, chance=0.3) for n in (1, 2, 3)]
    assert delays == [timedelta(seconds=2), timedelta(seconds=6), timedelta(seconds=15)]


@given(st.floats(0, 1, exclude_max=True), st.integers(1, SYSTEM_RETRIES))
def test_the_systems_back_off_has_jitter(chance: float, number: int) -> None:
    delay = retry_after([LOST] * number, RetryPolicy(), chance=chance)
    assert delay is not None
    assert timedelta(seconds=0.5) <= delay <= timedelta(minutes=1)


@given(st.floats(1, 1e300), st.integers(0, 10**6), st.timedeltas(timedelta(0), timedelta(days=10**6)))
def test_no_back_off_is_too_large_to_compute(factor: float, n: int, base: timedelta) -> None:
    assert NOW <= Backoff(base, factor).delay(n) <= LONGEST


@given(st.timedeltas(timedelta(0), LONGEST), st.floats(0, 1, exclude_max=True))
def test_jitter_takes_at_most_half(delay: timedelta, chance: float) -> None:
    assert delay / 2 <= jittered(delay, chance) <= delay
