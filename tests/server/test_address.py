import pytest

from wingbeat.config.settings import BearerTokens, Server
from wingbeat.errors import StartError
from wingbeat.http.listener import bind
from wingbeat.server.address import address_of, check_exposure


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.10", "localhost", "::1"])
def test_loopback_needs_no_authentication(host: str) -> None:
    check_exposure(Server(host=host))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "192.168.1.2", "example.org"])
def test_anything_else_must_be_wanted(host: str) -> None:
    with pytest.raises(StartError, match=r"refusing to listen on .* --allow-unauthenticated"):
        check_exposure(Server(host=host))
    check_exposure(Server(host=host, allow_unauthenticated=True))
    tokens = BearerTokens(issuer="https://i", audience="a", jwks_url="https://i/keys")
    with pytest.raises(StartError):
        check_exposure(Server(host=host, bearer=tokens))
    check_exposure(Server(host=host, bearer=tokens.model_copy(update={"required": True})))


def test_a_server_on_every_address_is_called_by_loopback_from_its_own_tasks() -> None:
    with bind("0.0.0.0", 0) as listening:
        address = address_of(Server(host="0.0.0.0", public_url="https://flyte.example.org/"), listening)
        assert address.local_url == f"http://127.0.0.1:{listening.getsockname()[1]}"
    assert address.public_url == "https://flyte.example.org"
    assert "flyte.example.org" in address.hosts
