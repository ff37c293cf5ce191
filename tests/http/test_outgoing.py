"""What leaves the server, to a receiver in a thread of the test."""

import threading
from collections.abc import Generator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from wingbeat.core.addresses import Address
from wingbeat.core.ids import ActionId, RunId
from wingbeat.core.webhook import Letter
from wingbeat.errors import PermissionDenied, Unavailable
from wingbeat.http import outgoing
from wingbeat.http.outgoing import Outgoing

CONDITION = ActionId(RunId("p", "d", "r"), "c")


class Handler(BaseHTTPRequestHandler):
    seen: list[tuple[str, str, bytes]]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.seen.append((self.path, self.headers["idempotency-key"], body))
        match self.path:
            case "/moved":
                self.send_response(307)
                self.send_header("location", "/taken")
            case "/garbled":
                self.wfile.write(b"what?\r\n\r\n")
                return
            case "/silent":
                released.wait(10)
                return
            case _:
                self.send_response(202)
        self.end_headers()

    def log_request(self, code: Any = "-", size: Any = "-") -> None:
        pass


released = threading.Event()


@pytest.fixture
def receiver() -> Generator[str]:
    Handler.seen = []
    released.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        released.set()
        server.shutdown()
        server.server_close()
        thread.join()


async def test_a_letter_is_posted_with_its_key(receiver: str) -> None:
    assert await Outgoing(local=True).post(Letter(CONDITION, f"{receiver}/taken", b"{}")) == 202
    assert Handler.seen == [("/taken", "p/d/r/c", b"{}")]


async def test_redirects_are_not_followed(receiver: str) -> None:
    assert await Outgoing(local=True).post(Letter(CONDITION, f"{receiver}/moved", b"{}")) == 307
    assert len(Handler.seen) == 1


async def test_without_an_answer_it_says_so_and_keeps_the_url_to_itself(
    receiver: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outgoing, "SECONDS", 0.3)
    sender = Outgoing(local=True)
    for url, words in (
        (f"{receiver}/silent", "no answer within"),
        ("http://127.0.0.1:1/secret", "no connection"),
        ("http://nobody.invalid/secret", "no connection"),
        (f"{receiver}/garbled", "HTTP"),
    ):
        with pytest.raises(Unavailable, match=words) as caught:
            await sender.post(Letter(CONDITION, url, b"{}"))
        assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("host", "kind"),
    [
        ("127.0.0.1", "loopback"),
        ("[::1]", "loopback"),
        ("0.0.0.0", "loopback"),
        ("[::ffff:127.0.0.1]", "loopback"),
        ("localhost", "loopback"),
        ("169.254.169.254", "link-local"),
        ("[fd00:ec2::254]", "metadata"),
    ],
)
async def test_what_trusts_this_machine_is_not_spoken_to(receiver: str, host: str, kind: str) -> None:
    port = receiver.rpartition(":")[2]
    with pytest.raises(
        PermissionDenied, match=f"has a {kind} address, and the setting webhooks.allowLocal is off"
    ) as e:
        await Outgoing(local=False).post(Letter(CONDITION, f"http://{host}:{port}/secret", b"{}"))
    assert "secret" not in str(e.value)
    assert Handler.seen == []


@pytest.mark.parametrize("host", ["127.1", "0x7f.0.0.1", "0x7f000001", "2130706433", "127.0.0.1.", "a..b", "%31"])
async def test_an_address_in_disguise_is_not_spoken_to(receiver: str, host: str) -> None:
    port = receiver.rpartition(":")[2]
    with pytest.raises(PermissionDenied, match="neither the name of a host nor an address"):
        await Outgoing(local=False).post(Letter(CONDITION, f"http://{host}:{port}/", b"{}"))
    assert Handler.seen == []


async def test_a_name_of_which_one_address_is_inside_is_not_spoken_to() -> None:
    async def resolve(name: str) -> list[str]:
        return ["192.0.2.1", "::1"]

    with pytest.raises(PermissionDenied, match=r"rebound\.example has a loopback address"):
        await Outgoing(local=False, resolve=resolve).post(Letter(CONDITION, "http://rebound.example/", b"{}"))


async def test_a_request_goes_to_the_address_that_was_looked_at(receiver: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked once: a second answer for the same name is never heard."""
    asked: list[str] = []

    async def resolve(name: str) -> list[str]:
        asked.append(name)
        return ["127.0.0.1"]

    def ordinary(_: Address) -> None:
        return None

    monkeypatch.setattr(outgoing, "kind_inside", ordinary)
    url = receiver.replace("127.0.0.1", "Rebound.example")
    assert await Outgoing(local=False, resolve=resolve).post(Letter(CONDITION, f"{url}/taken", b"{}")) == 202
    assert (asked, len(Handler.seen)) == (["rebound.example"], 1)


async def test_a_name_that_nobody_knows_is_tried_again_later() -> None:
    with pytest.raises(Unavailable, match="no connection"):
        await Outgoing(local=False).post(Letter(CONDITION, "http://nobody.invalid/", b"{}"))
