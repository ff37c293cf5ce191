from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wingbeat.blobs.signing import Grant, SigningKey, verified
from wingbeat.errors import PermissionDenied

SIGNING = SigningKey(b"k" * 32)
NOW = datetime(2026, 1, 1, tzinfo=UTC)


@given(st.text("ab/", min_size=1, max_size=3), st.text("ab/", min_size=1, max_size=3))
def test_no_two_grants_share_a_signature(one: str, two: str) -> None:
    expiry = int(NOW.timestamp()) + 1
    query = dict(part.split("=") for part in Grant("GET", one, expiry).query(SIGNING).split("&"))
    assert verified(SIGNING, "GET", one, query, now=NOW).expires_at == expiry
    with pytest.raises(PermissionDenied):
        verified(SIGNING, "GET", one, query, now=NOW + timedelta(seconds=1))
    if one != two:
        with pytest.raises(PermissionDenied):
            verified(SIGNING, "GET", two, query, now=NOW)
