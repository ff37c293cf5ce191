"""The token in the path: what is reached below it, and as whom."""

from typing import Any, cast

import httpx
import pytest

from wingbeat.http.asgi import Receive, Scope, Send, send_response, text_response
from wingbeat.http.router import Router
from wingbeat.http.token_path import MAX_TOKEN, SEGMENT, TokenPath, path_of

CLIENT = "http://wingbeat"


async def echo(scope: Scope, _receive: Receive, send: Send) -> None:
    shown = [value.decode() for name, value in scope["headers"] if name == b"authorization"]
    await send_response(send, text_response(200, f"{scope['path']} {scope['raw_path'].decode()} {shown}"))


@pytest.fixture
def client() -> httpx.AsyncClient:
    """Beside what is served below tokens is something that is not."""
    app = Router({"service": echo, "metrics": echo, SEGMENT: TokenPath(Router({"service": echo}))})
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=cast("Any", app)), base_url=CLIENT)


async def test_the_token_goes_over_the_one_that_came_along(client: httpx.AsyncClient) -> None:
    answer = await client.get(f"{path_of('a.b-c_d')}/service/%20x?q", headers={"authorization": "Bearer other"})
    assert answer.text == "/service/ x /service/%20x ['Bearer a.b-c_d']\n"


@pytest.mark.parametrize("path", ["/metrics", "/as/y/service", "/healthz", "", "/"])
async def test_only_what_asks_for_tokens_is_below_them(client: httpx.AsyncClient, path: str) -> None:
    assert (await client.get("/metrics")).status_code == 200
    assert (await client.get(f"/as/x{path}")).status_code == 404


@pytest.mark.parametrize("token", ["%0d%0aHost:x", "a%20b", "a%2Fb", "ü", "t" * (MAX_TOKEN + 1)])
async def test_what_is_no_token_is_refused(client: httpx.AsyncClient, token: str) -> None:
    answer = await client.get(f"/as/{token}/service")
    assert (answer.status_code, "URL-safe" in answer.text) == (400, True)
