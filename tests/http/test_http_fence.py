"""Which requests of browsers come through, through a real server."""

from collections.abc import AsyncGenerator

import httpx
import pytest
import pytest_asyncio

from tests.listening import Address, listening
from wingbeat.http.asgi import Receive, Scope, Send, send_response, text_response
from wingbeat.http.fence import Fence

pytestmark = pytest.mark.asyncio(loop_scope="module")

HOSTS = ["Wingbeat.example", "wingbeat"]
ORIGINS = ["https://console.example/"]
CROSS = {"sec-fetch-site": "cross-site"}
VISIT = {"sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}


async def page(scope: Scope, _receive: Receive, send: Send) -> None:
    await send_response(send, text_response(200, "came through"))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def fenced() -> AsyncGenerator[Address]:
    async with listening(Fence(page, hosts=HOSTS, origins=ORIGINS)) as address:
        yield address


async def ask(address: Address, headers: dict[str, str], method: str = "GET") -> httpx.Response:
    async with httpx.AsyncClient(base_url=address.url, verify=False) as client:
        return await client.request(method, "/", headers=headers)


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:8090", 200),
        ("LOCALHOST.:8090", 200),
        ("127.0.0.1:8090", 200),
        ("[::1]:8090", 200),
        ("10.1.2.3", 200),
        ("wingbeat.example", 200),
        ("WINGBEAT.example.:443", 200),
        ("wingbeat:8090", 200),
        ("evil.example", 403),
        ("evil.example:8090", 403),
        ("localhost.evil.example", 403),
        ("127.0.0.1.evil.example", 403),
        ("sub.wingbeat.example", 403),
        ("localhost@evil.example", 403),
        ("[::1", 403),
        ("", 403),
    ],
)
async def test_a_host_that_a_page_could_have_rebound_is_refused(fenced: Address, host: str, status: int) -> None:
    assert (await ask(fenced, {"host": host})).status_code == status


@pytest.mark.parametrize(
    ("host", "origin", "status"),
    [
        ("localhost:8090", "http://localhost:8090", 200),
        ("wingbeat.example", "https://wingbeat.example", 200),
        ("wingbeat.example:443", "https://wingbeat.example", 200),
        ("wingbeat.example", "https://console.example", 200),
        ("localhost:8090", "http://localhost:3000", 403),
        ("localhost:8090", "http://127.0.0.1:8090", 403),
        ("localhost:8090", "https://evil.example", 403),
        ("localhost:8090", "http://localhost", 403),
        ("localhost:8090", "null", 403),
        ("localhost:8090", "", 403),
        ("localhost:8090", "http://localhost:8090, https://evil.example", 403),
        ("localhost:8090", "http://localhost:notaport", 403),
        ("localhost:8090", "chrome-extension://localhost:8090", 403),
        ("wingbeat.example", "https://console.example.evil.example", 403),
        ("evil.example", "http://evil.example", 403),
    ],
    ids=[
        "same origin",
        "same origin behind a proxy that ends TLS",
        "same origin with the default port written",
        "an allowed origin",
        "another port of localhost",
        "another name of the same machine",
        "another site",
        "the default port of localhost",
        "a sandboxed page",
        "no origin's name",
        "two origins",
        "no port",
        "an extension",
        "an allowed origin as a prefix",
        "a page that rebound its own name",
    ],
)
async def test_a_page_of_another_origin_is_refused(fenced: Address, host: str, origin: str, status: int) -> None:
    assert (await ask(fenced, {"host": host, "origin": origin}, "POST")).status_code == status


@pytest.mark.parametrize(
    ("method", "headers", "status"),
    [
        ("GET", {"sec-fetch-site": "none"}, 200),
        ("GET", {"sec-fetch-site": "same-origin"}, 200),
        ("GET", CROSS | VISIT, 200),
        ("GET", CROSS | {"sec-fetch-mode": "no-cors", "sec-fetch-dest": "image"}, 403),
        ("GET", {"sec-fetch-site": "same-site", "sec-fetch-mode": "no-cors", "sec-fetch-dest": "script"}, 403),
        ("GET", CROSS | VISIT | {"sec-fetch-dest": "iframe"}, 403),
        ("POST", CROSS | VISIT, 403),
    ],
    ids=["typed", "our own page", "a link", "an image", "a script of localhost:3000", "a frame", "a form"],
)
async def test_a_request_without_origin_is_judged_by_what_the_browser_says_of_it(
    fenced: Address, method: str, headers: dict[str, str], status: int
) -> None:
    assert (await ask(fenced, headers, method)).status_code == status


async def test_a_refusal_says_what_to_configure(fenced: Address) -> None:
    response = await ask(fenced, {"host": "evil.example"})
    assert response.json() == {
        "code": "permission_denied",
        "message": "Host 'evil.example' is not served here: add it to the server's host names if it is yours",
    }


async def test_any_host_can_be_allowed() -> None:
    async with listening(Fence(page, hosts=["*"])) as address:
        assert (await ask(address, {"host": "anything.example"})).status_code == 200


async def test_an_allowed_origin_is_told_so_and_may_ask_first(fenced: Address) -> None:
    headers = {"origin": "https://console.example", "access-control-request-method": "POST"}
    preflight = await ask(fenced, headers, "OPTIONS")
    assert preflight.status_code == 204
    assert preflight.headers["access-control-allow-origin"] == "https://console.example"
    assert "Connect-Timeout-Ms" in preflight.headers["access-control-allow-headers"]
    answer = await ask(fenced, {"origin": "https://console.example"}, "POST")
    assert answer.headers["access-control-allow-origin"] == "https://console.example"
    assert answer.headers["vary"] == "Origin"


@pytest.mark.parametrize("origin", [None, "https://evil.example"], ids=["no origin", "another origin"])
async def test_nobody_else_is_given_cors_headers(fenced: Address, origin: str | None) -> None:
    headers = {"access-control-request-method": "POST"} | ({"origin": origin} if origin else {})
    response = await ask(fenced, headers, "OPTIONS")
    assert not [name for name in response.headers if name.startswith("access-control")]
