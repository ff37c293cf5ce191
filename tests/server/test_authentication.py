from pathlib import Path

import jwt
import pytest
from connectrpc.errors import ConnectError
from flyteidl2.auth import identity_pb2
from flyteidl2.auth.identity_connect import IdentityServiceClient

from tests.deployed import DEFAULTS, DOMAINS, TASK, deploy_task
from tests.listening import listening
from tests.rpc.test_bearer import OURS, pem, token
from wingbeat.config.settings import BearerTokens, Server
from wingbeat.core.ids import RunId, Scope
from wingbeat.errors import StartError
from wingbeat.http.router import Router
from wingbeat.http.token_path import SEGMENT, TokenPath
from wingbeat.operations import runs
from wingbeat.operations.runs import RunRequest
from wingbeat.rpc.app import build
from wingbeat.rpc.draining import Draining
from wingbeat.rpc.identity_service import Identity
from wingbeat.server.authentication import authentication
from wingbeat.store.database import Database
from wingbeat.telemetry import Metrics

RUN = RunId(TASK.project, TASK.domain, "r1")
SUBJECT = f"run:{RUN.project}/{RUN.domain}/{RUN.name}"
ISSUER = "https://login.example.org"


def server(key_file: Path, *, required: bool = False) -> Server:
    bearer = BearerTokens(issuer=ISSUER, audience="wingbeat", key_file=key_file, required=required)
    return Server(bearer=bearer)


@pytest.fixture
async def running(database: Database) -> None:
    await deploy_task(database)
    request = RunRequest(scope=Scope(RUN.project, RUN.domain), wanted=TASK, name=RUN.name)
    await database.write(lambda tx: runs.create(tx, request, defaults=DEFAULTS, domains=DOMAINS, fresh_name="x"))


@pytest.mark.usefixtures("running")
async def test_people_and_tasks_show_tokens_of_different_issuers(database: Database, tmp_path: Path) -> None:
    key_file = tmp_path / "key.pem"
    key_file.write_text(pem(OURS))
    callers = await authentication(server(key_file, required=True), database)
    assert callers.path_of is not None
    path = callers.path_of(RUN)
    app = build(
        [Identity(identify=callers.identify)],
        draining=Draining(),
        metrics=Metrics(),
        interceptors=callers.interceptors,
    )
    forged = jwt.encode({"iss": "wingbeat", "aud": "wingbeat", "sub": "run:p/d/x"}, "k" * 32, algorithm="HS256")
    router = Router({**dict.fromkeys(app.services, app), SEGMENT: TokenPath(app)})
    async with listening(router) as address:

        async def subject(path: str, **headers: str) -> str:
            async with IdentityServiceClient(address.url + path) as client:
                return (await client.user_info(identity_pb2.UserInfoRequest(), headers=headers)).subject

        assert await subject("", authorization=f"Bearer {token()}") == "ada"
        assert await subject(path) == SUBJECT
        assert await subject(path, authorization=f"Bearer {token()}") == SUBJECT
        for wrong in (forged, "x", ""):
            with pytest.raises(ConnectError, match="bearer token"):
                await subject(f"/as/{wrong}")


@pytest.mark.usefixtures("running")
async def test_all_servers_of_a_database_know_the_tokens_of_its_tasks(database: Database, tmp_path: Path) -> None:
    key_file = tmp_path / "key.pem"
    key_file.write_text(pem(OURS))
    one, other = [await authentication(server(key_file), database) for _ in range(2)]
    assert one.path_of is not None
    app = build(
        [Identity(identify=other.identify)], draining=Draining(), metrics=Metrics(), interceptors=other.interceptors
    )
    path = one.path_of(RUN)
    async with listening(TokenPath(app)) as address, IdentityServiceClient(address.url + path) as client:
        found = await client.user_info(identity_pb2.UserInfoRequest())
    assert found.subject == SUBJECT


async def test_by_default_nobody_is_asked(database: Database) -> None:
    callers = await authentication(Server(), database)
    assert (callers.path_of, list(callers.interceptors)) == (None, [])


@pytest.mark.parametrize("content", [None, "", "secret", "-----BEGIN PUBLIC KEY-----\nx\n-----END PUBLIC KEY-----\n"])
async def test_a_file_without_a_key_keeps_it_from_starting(
    content: str | None, database: Database, tmp_path: Path
) -> None:
    key_file = tmp_path / "key.pem"
    if content is not None:
        key_file.write_text(content)
    with pytest.raises(StartError, match=r"server\.bearer\.keyFile: .*key\.pem"):
        await authentication(server(key_file), database)
