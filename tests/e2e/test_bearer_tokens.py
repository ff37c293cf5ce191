"""A server that answers nobody without a token: the stock SDK shows one, and so do the tasks it starts."""

import json
import re
from collections.abc import Generator
from pathlib import Path

import httpx
import pytest

from tests.e2e.running import Client, Server
from tests.rpc.test_bearer import AUDIENCE, ISSUER, OTHER, OURS, pem, token

pytestmark = pytest.mark.e2e

FLOW = """
import flyte

env = flyte.TaskEnvironment("guarded")

@env.task
async def double(x: int) -> int:
    return x * 2

@env.task
async def main(x: int) -> int:
    return await double(x) + await double(x)
"""
SETTINGS = """
server: {{bearer: {{issuer: "{issuer}", audience: {audience}, keyFile: "{key}", required: true}}}}
"""


@pytest.fixture
def client(tmp_path: Path) -> Generator[Client]:
    key, settings = tmp_path / "key.pem", tmp_path / "wingbeat.yaml"
    key.write_text(pem(OURS))
    settings.write_text(SETTINGS.format(issuer=ISSUER, audience=AUDIENCE, key=key))
    server = Server(tmp_path / "server", options=("--config", str(settings)))
    server.start()
    client = Client(server, tmp_path / "work")
    try:
        client.configure()
        yield client
        server.stop()
        assert "Traceback" not in server.log.read_text()
    finally:
        server.close()


def show(client: Client, shown: str) -> None:
    """In the path: the SDK's command for tokens needs TLS, and its command for a proxy's tokens fails in 2.12.1."""
    config = client.config.read_text()
    endpoint = f"{client.server.url}/as/{shown}"
    client.config.write_text(re.sub(r"endpoint: .*", f"endpoint: {endpoint}", config))


def test_only_who_shows_a_token_is_answered_and_runs_say_who_started_them(client: Client) -> None:
    client.write("guarded.py", FLOW)
    assert "a bearer token is needed" in client.flyte("get", "run", check=False)
    show(client, token(OTHER))
    assert "signature does not fit" in client.flyte("get", "run", check=False)

    show(client, token())
    assert "ada" in client.flyte("whoami")
    run = client.started("--follow", "guarded.py", "main", "--x", "3")
    assert client.phase(run) == "SUCCEEDED"

    at = ("--url", client.server.url)
    shown = client.run(
        "wingbeat", "run", "show", run, *at, "--output", "json", variables={"WINGBEAT_TOKEN": token()}
    ).stdout
    assert json.loads(shown)["created_by"] == "ada"
    refused = client.run("wingbeat", "run", "list", *at, check=False)
    assert refused.returncode != 0
    assert "a bearer token is needed" in refused.stderr
    below_a_token = f"{client.server.url}/as/{token()}"
    assert [httpx.get(f"{below_a_token}/{part}").status_code for part in ("metrics", "s3", "as/x")] == [404] * 3
