from dataclasses import replace
from datetime import timedelta
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from tests.conftest import T0
from wingbeat.core.callback import Callback, Callbacks
from wingbeat.core.ids import ActionId, RunId
from wingbeat.errors import PermissionDenied

CALLBACKS = Callbacks("https://wingbeat.example.org", b"s" * 32)
CALLBACK = Callback(ActionId(RunId("p", "development", "r"), "c1"), T0)


def verified(uri: str, callbacks: Callbacks = CALLBACKS) -> Callback:
    parts = urlsplit(uri)
    query = {name: values[0] for name, values in parse_qs(parts.query).items()}
    return callbacks.verified(unquote(parts.path), since=query.get("since", ""), signature=query.get("signature", ""))


def test_an_address_names_the_condition_for_which_it_was_made() -> None:
    uri = CALLBACKS.uri(CALLBACK)
    assert uri.startswith("https://wingbeat.example.org/callbacks/p/development/r/c1?since=1767225600000000&signature=")
    assert verified(uri) == CALLBACK


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("/c1?", "/c2?"),
        ("/r/", "/other/"),
        ("since=1", "since=2"),
        ("since=1", "since=x1"),
        ("since=1", "since=" + "9" * 30),
        ("signature=", "signature=é"),
        ("&signature=", "&nothing="),
        ("/callbacks/p/", "/callbacks/"),
        ("/callbacks/", "/callbacks/more/"),
    ],
)
def test_an_address_that_was_changed_is_refused(old: str, new: str) -> None:
    with pytest.raises(PermissionDenied, match="not made here"):
        verified(CALLBACKS.uri(CALLBACK).replace(old, new))


def test_another_servers_address_is_refused() -> None:
    with pytest.raises(PermissionDenied):
        verified(replace(CALLBACKS, secret=b"t" * 32).uri(CALLBACK))


def test_a_condition_of_another_time_has_another_address() -> None:
    assert CALLBACKS.uri(CALLBACK) != CALLBACKS.uri(replace(CALLBACK, since=T0 + timedelta(microseconds=1)))
