"""Who calls, by a bearer token: what is wrong with one is refused with the reason, before a service sees the call."""

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from connectrpc.code import Code
from connectrpc.errors import ConnectError
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from flyteidl2.auth import identity_pb2
from flyteidl2.auth.identity_connect import IdentityServiceClient
from jwt.algorithms import ECAlgorithm, HMACAlgorithm, RSAAlgorithm

from tests.listening import listening
from wingbeat.core.ids import RunId
from wingbeat.errors import Unauthenticated, Unavailable
from wingbeat.http.asgi import Message, Receive, Response, Scope, Send, send_response, send_start
from wingbeat.rpc import signing_keys
from wingbeat.rpc.app import RpcApp, build
from wingbeat.rpc.bearer import SUBJECT_HEADER, Bearer, Verify
from wingbeat.rpc.draining import Draining
from wingbeat.rpc.identity import MAX_SUBJECT, by_header
from wingbeat.rpc.identity_service import Identity
from wingbeat.rpc.run_tokens import LIFETIME, RunTokens, is_of_run
from wingbeat.rpc.signing_keys import FLOOR_SECONDS, MAX_AGE_SECONDS, KeyOfFile, KeysOfUrl, download
from wingbeat.rpc.tokens import REMEMBERED_FOR, Demands, Tokens
from wingbeat.rpc.transport import STRANGERS_BYTES
from wingbeat.telemetry import Metrics

ISSUER, AUDIENCE = "https://login.example.org", "wingbeat"
DEMANDS = Demands(ISSUER, AUDIENCE)
OURS, OTHER = (rsa.generate_private_key(65537, 2048) for _ in range(2))
CURVE = ec.generate_private_key(ec.SECP256R1())
HEADER = "authorization"


def pem(key: rsa.RSAPrivateKey) -> str:
    public = key.public_key()
    return public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()


def jwks(**keys: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> bytes:
    return json.dumps({"keys": [{**_jwk(key), "kid": name, "use": "sig"} for name, key in keys.items()]}).encode()


def _jwk(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> Mapping[str, Any]:
    if isinstance(key, rsa.RSAPrivateKey):
        return RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
    return ECAlgorithm.to_jwk(key.public_key(), as_dict=True)


def now() -> datetime:
    return datetime.now(UTC)


def token(
    key: Any = OURS, *, key_id: str | None = "k1", algorithm: str | None = "RS256", without: str = "", **claims: Any
) -> str:
    said = {"iss": ISSUER, "aud": AUDIENCE, "sub": "ada", "exp": now() + timedelta(minutes=5)} | claims
    said.pop(without, None)
    return jwt.encode(said, key, algorithm=algorithm, headers={"kid": key_id} if key_id else None)


class KeyServer:
    """What the URL answers, and how often it was asked."""

    def __init__(self, document: bytes) -> None:
        self.document: bytes | None = document
        self.asked = 0
        self.steady = 1000.0
        self.keys = KeysOfUrl("http://keys", fetch=self.fetch, steady=lambda: self.steady)

    async def fetch(self, url: str) -> bytes:
        self.asked += 1
        if self.document is None:
            raise Unavailable("refused")
        return self.document


@pytest.fixture
def server() -> KeyServer:
    return KeyServer(jwks(k1=OURS, curve=CURVE))


@pytest.fixture
def tokens(server: KeyServer) -> Tokens:
    return Tokens(DEMANDS, server.keys, now)


async def test_the_subject_of_a_token_that_is_right_is_who_calls(tokens: Tokens) -> None:
    assert await tokens.subject(token()) == "ada"
    assert await tokens.subject(token(sub=" bob ")) == "bob"
    assert await tokens.subject(token(CURVE, key_id="curve", algorithm="ES256")) == "ada"
    assert await tokens.subject(token(aud=["other", AUDIENCE])) == "ada"
    assert await tokens.subject(token(exp=str(2**40))) == "ada"
    assert await tokens.subject(token(exp=10**15)) == "ada"


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        pytest.param(lambda: token(exp=now() - timedelta(minutes=1)), "it has expired", id="expired"),
        pytest.param(lambda: token(nbf=now() + timedelta(minutes=1)), "not yet valid", id="of the future"),
        pytest.param(lambda: token(aud="other"), "not meant for audience 'wingbeat'", id="for others"),
        pytest.param(lambda: token(sub=" run:p/d/r"), "begins with 'run:'", id="that speaks of a run"),
        pytest.param(lambda: token(iss="https://evil"), f"not of issuer '{ISSUER}'", id="of another issuer"),
        pytest.param(lambda: token(OTHER), "signature does not fit", id="signed with another key"),
        pytest.param(lambda: token(key_id="k9"), "has no key 'k9'", id="with an unknown key"),
        pytest.param(lambda: token(key_id=None), "has no key None", id="without saying which key of several"),
        pytest.param(lambda: token(None, algorithm=None), "none of those trusted", id="not signed"),
        pytest.param(
            lambda: token("k" * 64, algorithm="HS256"), "none of those trusted", id="signed with a shared secret"
        ),
        pytest.param(lambda: token(algorithm="RS512"), "none of those trusted", id="not by the key's own algorithm"),
        pytest.param(lambda: token(without="exp"), '"exp"', id="for ever"),
        pytest.param(lambda: token(without="aud"), '"aud"', id="for anybody"),
        pytest.param(lambda: token(without="sub"), '"sub"', id="of nobody"),
        pytest.param(lambda: token(sub=""), "'sub' names nobody", id="of an empty name"),
        pytest.param(lambda: token(sub=7), "Subject must be a string", id="of a number"),
        pytest.param(lambda: token(sub="a" * (MAX_SUBJECT + 1)), "more than 256 characters", id="of an endless name"),
        pytest.param(lambda: "abc", "Not enough segments", id="no token at all"),
        pytest.param(lambda: "", "Not enough segments", id="empty"),
    ],
)
async def test_a_token_that_is_wrong_is_refused_with_the_reason(tokens: Tokens, wrong: Any, reason: str) -> None:
    with pytest.raises(Unauthenticated, match=f"bearer token: .*{reason}"):
        await tokens.subject(wrong())


async def test_a_changed_token_is_not_the_one_that_was_right(tokens: Tokens) -> None:
    right = token()
    assert await tokens.subject(right) == "ada"
    head, _, signature = right.split(".")
    forged = token(OTHER, sub="root").split(".")[1]
    with pytest.raises(Unauthenticated, match="signature does not fit"):
        await tokens.subject(f"{head}.{forged}.{signature}")


async def test_a_clock_may_be_off_by_the_leeway(server: KeyServer) -> None:
    late = token(exp=now() - timedelta(seconds=40))
    with pytest.raises(Unauthenticated, match="expired"):
        await Tokens(DEMANDS, server.keys, now).subject(late)
    lenient = Demands(ISSUER, AUDIENCE, leeway=timedelta(minutes=1))
    assert await Tokens(lenient, server.keys, now).subject(late) == "ada"


async def test_what_was_right_is_wrong_when_its_time_is_over(server: KeyServer) -> None:
    later = timedelta()
    tokens = Tokens(DEMANDS, server.keys, lambda: now() + later)
    short = token(exp=now() + timedelta(seconds=60))
    assert await tokens.subject(short) == "ada"
    server.document, server.steady = jwks(k2=OTHER), server.steady + FLOOR_SECONDS
    with pytest.raises(Unauthenticated, match="no key 'k9'"):
        await tokens.subject(token(key_id="k9"))
    assert await tokens.subject(short) == "ada", "it was found right already"
    later = timedelta(seconds=60) + DEMANDS.leeway
    with pytest.raises(Unauthenticated, match="no key 'k1'"):
        await tokens.subject(short)


async def test_another_claim_may_say_who_it_is(server: KeyServer) -> None:
    tokens = Tokens(Demands(ISSUER, AUDIENCE, "email"), server.keys, now)
    assert await tokens.subject(token(email="ada@example.org")) == "ada@example.org"
    with pytest.raises(Unauthenticated, match="email"):
        await tokens.subject(token())


async def test_a_single_key_needs_no_name() -> None:
    alone = Tokens(DEMANDS, KeyServer(jwks(k1=OURS)).keys, now)
    assert await alone.subject(token(key_id=None)) == "ada"
    of_file = Tokens(DEMANDS, KeyOfFile(pem(OURS)), now)
    assert await of_file.subject(token(key_id="whatever")) == "ada"
    for wrong in (token(OTHER), token(CURVE, algorithm="ES256"), token(None, algorithm=None)):
        with pytest.raises(Unauthenticated):
            await of_file.subject(wrong)


async def test_the_public_key_is_no_shared_secret() -> None:
    confused = jwt.api_jws.PyJWS()
    confused.unregister_algorithm("HS256")
    confused.register_algorithm("HS256", _Unwary(HMACAlgorithm.SHA256))
    claims = json.dumps({"iss": ISSUER, "aud": AUDIENCE, "sub": "root", "exp": int(time.time()) + 60})
    forged = confused.encode(claims.encode(), pem(OURS), algorithm="HS256")
    with pytest.raises(Unauthenticated, match="none of those trusted"):
        await Tokens(DEMANDS, KeyOfFile(pem(OURS)), now).subject(forged)


class _Unwary(HMACAlgorithm):
    def prepare_key(self, key: Any) -> bytes:
        return key.encode()


async def test_keys_are_asked_for_once_for_all_who_wait(server: KeyServer, tokens: Tokens) -> None:
    assert await asyncio.gather(*(tokens.subject(token()) for _ in range(5))) == ["ada"] * 5
    assert server.asked == 1


async def test_a_new_key_is_found_when_a_token_names_it(server: KeyServer, tokens: Tokens) -> None:
    await tokens.subject(token())
    server.document = jwks(k2=OTHER)
    server.steady += FLOOR_SECONDS
    assert await tokens.subject(token(OTHER, key_id="k2")) == "ada"
    assert server.asked == 2


async def test_invented_key_ids_do_not_make_it_ask_all_the_time(server: KeyServer, tokens: Tokens) -> None:
    for number in range(20):
        with pytest.raises(Unauthenticated, match="has no key"):
            await tokens.subject(token(key_id=f"invented-{number}"))
    assert server.asked == 1


async def test_keys_that_are_withdrawn_do_not_hold_for_ever(server: KeyServer) -> None:
    await server.keys.find("k1")
    server.document = jwks(k2=OTHER)
    server.steady += MAX_AGE_SECONDS
    assert await server.keys.find("k1") is not None, "nobody waits for the answer"
    while await server.keys.find("k1") is not None:
        await asyncio.sleep(0.001)
    assert server.asked == 2


async def test_a_token_does_not_outlive_the_key_that_has_signed_it(server: KeyServer) -> None:
    later = timedelta()
    tokens = Tokens(DEMANDS, server.keys, lambda: now() + later)
    shown = token(exp=now() + timedelta(days=1))
    assert await tokens.subject(shown) == "ada"
    server.document = jwks(k2=OTHER)
    server.steady += MAX_AGE_SECONDS
    while await server.keys.find("k1") is not None:
        await asyncio.sleep(0.001)
    assert await tokens.subject(shown) == "ada"
    later = REMEMBERED_FOR
    with pytest.raises(Unauthenticated, match="has no key 'k1'"):
        await tokens.subject(shown)


@pytest.mark.parametrize("document", [None, b"", b"[]", b"{}", b'{"keys": []}', b"<html>"])
async def test_keys_that_cannot_be_read_are_no_mistake_of_the_caller(document: bytes | None) -> None:
    server = KeyServer(b"")
    server.document = document
    with pytest.raises(Unavailable, match="keys that tokens are checked with cannot be read now") as told:
        await Tokens(DEMANDS, server.keys, now).subject(token())
    assert "http" not in str(told.value), "where they are is nobody's business"


async def test_known_keys_hold_while_the_issuer_is_away(server: KeyServer, tokens: Tokens) -> None:
    await tokens.subject(token())
    server.document = None
    server.steady += MAX_AGE_SECONDS
    for name in ("ada", "bob", "eve"):
        assert await tokens.subject(token(sub=name)) == name
        await asyncio.sleep(0)


async def test_a_secret_that_an_issuer_publishes_by_mistake_signs_nothing() -> None:
    secret = {"kty": "oct", "k": "c2VjcmV0" * 6, "kid": "k1"}
    document = json.dumps({"keys": [secret]}).encode()
    with pytest.raises(Unauthenticated, match="none of those trusted"):
        await Tokens(DEMANDS, KeyServer(document).keys, now).subject(token(b"secret" * 6, algorithm="HS256"))


async def test_keys_come_over_the_network() -> None:
    async def key_server(scope: Scope, _receive: Receive, send: Send) -> None:
        await send_response(send, Response(200, {}, jwks(k1=OURS)))

    async with listening(key_server) as address:
        assert await Tokens(DEMANDS, KeysOfUrl(f"{address.url}/keys"), now).subject(token()) == "ada"
    with pytest.raises(Unavailable):
        await download(f"{address.url}/keys")


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/gone", "it answered 404"),
        ("/moved", "it answered 302"),
        ("/endless", "more than 1048576 bytes"),
        ("/slow", "it did not answer whole within 0.3 s"),
        ("/silent", "it did not answer whole within 0.3 s"),
    ],
)
async def test_a_download_of_keys_has_an_end(path: str, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signing_keys, "FETCH_SECONDS", 0.3)
    released = asyncio.Event()

    async def key_server(scope: Scope, _receive: Receive, send: Send) -> None:
        match scope["path"]:
            case "/moved":
                await send_response(send, Response(302, {"location": "/keys"}))
            case "/endless" | "/slow" as path:
                await send_start(send, 200, {"content-type": "application/json"})
                for _ in range(100):
                    await send({"type": "http.response.body", "body": b" " * (1 << 16), "more_body": True})
                    await asyncio.sleep(0 if path == "/endless" else 0.05)
            case "/silent":
                await released.wait()
            case _:
                await send_response(send, Response(200 if scope["path"] == "/keys" else 404))

    async with listening(key_server, grace_seconds=0) as address:
        with pytest.raises(Unavailable, match=words):
            await download(f"{address.url}{path}")
        released.set()


RUN = RunId("p", "development", "r1")


def test_a_task_says_of_which_run_it_is() -> None:
    tokens = RunTokens(b"s" * 32, now)
    issued = tokens.issue(RUN)
    assert is_of_run(issued)
    assert not is_of_run(token())
    assert not is_of_run("abc")
    assert tokens.read(issued).run == RUN


def test_only_servers_of_the_same_database_issue_tokens_of_runs() -> None:
    forged = RunTokens(b"o" * 32, now).issue(RUN)
    old = RunTokens(b"s" * 32, lambda: now() - LIFETIME).issue(RUN)
    for wrong in (forged, old):
        with pytest.raises(Unauthenticated, match="bearer token of a run"):
            RunTokens(b"s" * 32, now).read(wrong)


@asynccontextmanager
async def serving(verify: Verify, *, required: bool = False) -> AsyncGenerator[IdentityServiceClient]:
    app = build(
        [Identity(identify=by_header(SUBJECT_HEADER))],
        draining=Draining(),
        metrics=Metrics(),
        interceptors=[Bearer(verify, required=required)],
    )
    async with listening(app) as address, IdentityServiceClient(address.url) as client:
        yield client


async def subject(client: IdentityServiceClient, headers: Mapping[str, str]) -> str:
    return (await client.user_info(identity_pb2.UserInfoRequest(), headers=headers)).subject


@pytest.mark.parametrize("name", ["authorization", "proxy-authorization"])
@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER "])
async def test_a_token_may_come_in_either_header(tokens: Tokens, name: str, scheme: str) -> None:
    async with serving(tokens.subject) as client:
        assert await subject(client, {name: f"{scheme} {token()}"}) == "ada"


async def test_without_a_token_callers_are_nobody_unless_one_is_required(tokens: Tokens) -> None:
    basic = {HEADER: "Basic YTpi"}
    async with serving(tokens.subject) as client:
        assert await subject(client, {}) == await subject(client, basic) == "anonymous"
    async with serving(tokens.subject, required=True) as client:
        for headers in ({}, basic):
            with pytest.raises(ConnectError, match="a bearer token is needed, in header authorization") as refused:
                await subject(client, headers)
            assert refused.value.code == Code.UNAUTHENTICATED


async def test_a_wrong_token_is_refused_though_none_is_required(tokens: Tokens) -> None:
    async with serving(tokens.subject) as client:
        with pytest.raises(ConnectError, match="it has expired") as refused:
            await subject(client, {HEADER: f"Bearer {token(exp=now() - timedelta(hours=1))}"})
        assert refused.value.code == Code.UNAUTHENTICATED


async def test_nobody_tells_us_directly_who_he_is(tokens: Tokens) -> None:
    async with serving(tokens.subject) as client:
        assert await subject(client, {SUBJECT_HEADER: "root"}) == "anonymous"
        assert await subject(client, {SUBJECT_HEADER: "root", HEADER: f"Bearer {token()}"}) == "ada"


class Flood:
    """A body without an end."""

    PIECE = 16 * 1024

    def __init__(self, app: RpcApp, **headers: str) -> None:
        self._app = app
        self._headers = [(b"content-type", b"application/proto")]
        self._headers += [(name.encode(), value.encode()) for name, value in headers.items()]
        self.read = 0
        self.answer = b""

    async def _receive(self) -> Message:
        self.read += self.PIECE
        return {"type": "http.request", "body": bytes(self.PIECE), "more_body": True}

    async def _send(self, message: Message) -> None:
        self.answer += message.get("body", b"")

    async def error(self) -> str:
        path = "/flyteidl2.auth.IdentityService/UserInfo"
        scope: Message = {"type": "http", "method": "POST", "path": path, "root_path": "", "query_string": b""}
        await self._app({**scope, "headers": self._headers}, self._receive, self._send)
        return json.loads(self.answer)["code"]


@pytest.mark.parametrize(
    ("headers", "code", "most"),
    [
        pytest.param(dict, "unauthenticated", STRANGERS_BYTES, id="of nobody"),
        pytest.param(
            lambda: {HEADER: f"Bearer {token(OTHER)}"}, "unauthenticated", STRANGERS_BYTES, id="of who is wrong"
        ),
        pytest.param(lambda: {"content-length": str(2**20)}, "unauthenticated", 0, id="that is announced"),
        pytest.param(lambda: {HEADER: f"Bearer {token()}"}, "resource_exhausted", 2**20, id="of who is known"),
    ],
)
async def test_of_a_large_body_little_is_read_before_it_is_known_who_sends_it(
    tokens: Tokens, headers: Callable[[], dict[str, str]], code: str, most: int
) -> None:
    bearer = Bearer(tokens.subject, required=True)
    services = [Identity(identify=by_header(SUBJECT_HEADER))]
    app = build(
        services,
        draining=Draining(),
        metrics=Metrics(),
        interceptors=[bearer],
        admit=bearer.admit,
        max_message_bytes=2**20,
    )
    flood = Flood(app, **headers())
    assert await flood.error() == code
    assert most <= flood.read <= most + 2 * Flood.PIECE
