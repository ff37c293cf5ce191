"""What leaves the server, to a receiver in a thread of the test."""

import threading
from collections.abc import Generator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from wingbeat.core.ids import ActionId, RunId
from wingbeat.core.webhook import Letter
from wingbeat.errors import Unavailable
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
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        released.set()
        server.shutdown()
        server.server_close()
        thread.join()


async def test_a_letter_is_posted_with_its_key(receiver: str) -> None:
    assert await Outgoing().post(Letter(CONDITION, f"{receiver}/taken", b"{}")) == 202
    assert Handler.seen == [("/taken", "p/d/r/c", b"{}")]


async def test_redirects_are_not_followed(receiver: str) -> None:
    assert await Outgoing().post(Letter(CONDITION, f"{receiver}/moved", b"{}")) == 307
    assert len(Handler.seen) == 1


async def test_without_an_answer_it_says_so_and_keeps_the_url_to_itself(
    receiver: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outgoing, "SECONDS", 0.3)
    sender = Outgoing()
    for url, words in (
        (f"{receiver}/silent", "no answer within"),
        ("http://127.0.0.1:1/secret", "no connection"),
        ("http://nobody.invalid/secret", "no connection"),
        (f"{receiver}/garbled", "HTTP"),
    ):
        with pytest.raises(Unavailable, match=words) as caught:
            await sender.post(Letter(CONDITION, url, b"{}"))
        assert "secret" not in str(caught.value)
