from datetime import timedelta

import pytest

from wingbeat.core.ids import ActionId, RunId
from wingbeat.core.webhook import BACKOFF, TRIES, Letter, is_allowed


@pytest.mark.parametrize(
    ("host", "hosts", "allowed"),
    [
        ("anything", (), True),
        ("hooks.example.org", ("hooks.example.org",), True),
        ("HOOKS.example.org.", ("hooks.example.org",), True),
        ("example.org", ("hooks.example.org",), False),
        ("a.b.example.org", ("*.example.org",), True),
        ("example.org", ("*.example.org",), False),
        ("badexample.org", ("*.example.org",), False),
        ("", ("*.example.org",), False),
    ],
)
def test_hosts_are_named_wholly_or_by_what_they_are_below(host: str, hosts: tuple[str, ...], allowed: bool) -> None:
    assert is_allowed(host, hosts) is allowed


def test_tries_go_on_for_hours_and_then_end() -> None:
    waits = [BACKOFF.delay(number) for number in range(TRIES - 1)]
    assert waits[0] == timedelta(seconds=1)
    assert timedelta(hours=4) < sum(waits, timedelta()) < timedelta(hours=12)


def test_a_letter_shows_its_host_and_not_its_secret_url() -> None:
    letter = Letter(ActionId(RunId("p", "d", "r"), "c"), "https://hooks.example.org/secret", b"{}")
    assert (letter.host, letter.key) == ("hooks.example.org", "p/d/r/c")
    assert "secret" not in repr(letter)
