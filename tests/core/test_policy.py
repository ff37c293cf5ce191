from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wingbeat.core.cron import DstGap, DstOverlap
from wingbeat.core.policy import DEFAULTS, KEYS, PREFIX, CatchUp, Overlap, Policies, decode, encode, parse
from wingbeat.errors import InvalidArgument

MINUTE = timedelta(minutes=1)
NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("overlap", "buffer-one", Policies(overlap=Overlap.BUFFER_ONE)),
        ("overlap", "allow", DEFAULTS),
        ("catch-up", "latest", Policies(catch_up=CatchUp.LATEST)),
        ("catch-up-window", "1h30m", Policies(catch_up_window=90 * MINUTE)),
        ("jitter", "90s", Policies(jitter=1.5 * MINUTE)),
        ("dst-gap", "shift", Policies(dst_gap=DstGap.SHIFT)),
        ("dst-overlap", "first", Policies(dst_overlap=DstOverlap.FIRST)),
        ("start", "2026-01-01T02:00:00+02:00", Policies(start=NEW_YEAR)),
        ("end", "2026-01-01T00:00:00Z", Policies(end=NEW_YEAR)),
        ("max-runs", "12", Policies(max_runs=12)),
        ("pause-after-failures", "3", Policies(pause_after_failures=3)),
    ],
)
def test_an_annotation_says_a_policy(name: str, text: str, expected: Policies) -> None:
    assert parse({PREFIX + name: text, "team": "blue"}) == expected


@pytest.mark.parametrize(
    ("annotations", "words"),
    [
        pytest.param({"wingbeat/overlop": "skip"}, "overlop.*unknown.*wingbeat/overlap", id="an unknown key"),
        pytest.param({"wingbeat/overlap": "Skip"}, "overlap' is 'Skip'.*allow, skip", id="an unknown word"),
        pytest.param({"wingbeat/overlap": "terminate-other"}, "grace.*cancel-other", id="what we do not do"),
        pytest.param({"wingbeat/jitter": "5 minutes"}, "jitter' is '5 minutes'.*90s", id="no Go duration"),
        pytest.param({"wingbeat/jitter": "-5m"}, "at least one second", id="a negative duration"),
        pytest.param({"wingbeat/catch-up-window": "500ms"}, "at least one second", id="less than a second"),
        pytest.param({"wingbeat/start": "2026-01-01"}, "start' is '2026-01-01'.*offset", id="a day is no instant"),
        pytest.param({"wingbeat/end": "2026-01-01T00:00:00"}, "offset", id="an instant without an offset"),
        pytest.param({"wingbeat/end": "2026-02-30T00:00:00Z"}, "no calendar", id="a day that does not exist"),
        pytest.param({"wingbeat/max-runs": "0"}, "max-runs' is '0'.*from 1", id="nothing at all"),
        pytest.param({"wingbeat/pause-after-failures": "many"}, "number", id="no number"),
        pytest.param({"wingbeat/concurrency-key": "a"}, "belong together", id="a key without a limit"),
        pytest.param({"wingbeat/concurrency-limit": "1"}, "belong together", id="a limit without a key"),
        pytest.param(
            {"wingbeat/concurrency-key": "a/b", "wingbeat/concurrency-limit": "1"}, "letters", id="a key with a slash"
        ),
        pytest.param(
            {"wingbeat/start": "2026-01-02T00:00:00Z", "wingbeat/end": "2026-01-01T00:00:00Z"},
            "must not be before",
            id="an end before the start",
        ),
    ],
)
def test_what_is_wrong_is_named_with_what_would_be_right(annotations: dict[str, str], words: str) -> None:
    with pytest.raises(InvalidArgument, match=words):
        parse(annotations)


def test_the_defaults_cost_nothing() -> None:
    assert encode(DEFAULTS) == ""
    assert decode("") is DEFAULTS
    assert not DEFAULTS.ordered
    assert not DEFAULTS.watching


seconds = st.integers(1, 10**6).map(lambda n: timedelta(seconds=n))
instants = st.integers(0, 10**9).map(lambda n: NEW_YEAR + timedelta(seconds=n))


@given(
    policies=st.builds(
        Policies,
        overlap=st.sampled_from(Overlap),
        catch_up=st.sampled_from(CatchUp),
        catch_up_window=st.none() | seconds,
        jitter=st.just(timedelta()) | seconds,
        dst_gap=st.sampled_from(DstGap),
        dst_overlap=st.sampled_from(DstOverlap),
        max_runs=st.none() | st.integers(1, 2**31),
        pause_after_failures=st.none() | st.integers(1, 2**31),
    ),
    bounds=st.lists(instants, min_size=2, max_size=2).map(sorted),
    limit=st.none() | st.integers(1, 99),
)
def test_what_is_stored_is_read_again(policies: Policies, bounds: list[datetime], limit: int | None) -> None:
    key = "" if limit is None else "gpu"
    policies = replace(policies, start=bounds[0], end=bounds[1], concurrency_key=key, concurrency_limit=limit)
    assert decode(encode(policies)) == policies


def test_every_field_is_said_by_a_key() -> None:
    assert [name.replace("-", "_") for name in KEYS] == list(Policies.__dataclass_fields__)
