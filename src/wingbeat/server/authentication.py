"""How this server learns who calls: from a proxy's header, from bearer tokens, or not at all."""

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.serialization import load_pem_public_key

from wingbeat.clock import system_clock
from wingbeat.config.settings import BearerTokens, Server
from wingbeat.core.ids import RunId
from wingbeat.errors import StartError
from wingbeat.http.token_path import path_of
from wingbeat.rpc.app import Interceptor
from wingbeat.rpc.bearer import SUBJECT_HEADER, Bearer, Verify
from wingbeat.rpc.identity import Identify, by_header, nobody
from wingbeat.rpc.run_callers import RunCallers
from wingbeat.rpc.run_tokens import RunTokens, is_of_run
from wingbeat.rpc.signing_keys import KeyOfFile, KeysOfUrl, SigningKeys
from wingbeat.rpc.tokens import Demands, Tokens
from wingbeat.rpc.transport import Admit
from wingbeat.store import keyring
from wingbeat.store.database import Database


@dataclass(frozen=True, slots=True)
class Authentication:
    identify: Identify
    interceptors: Sequence[Interceptor] = ()
    """Between the transport and the services."""
    admit: Admit | None = None
    """Of whom large bodies are read; None: of everybody."""
    path_of: Callable[[RunId], str] | None = None
    """Below which the tasks of a run call, so that they say who they are; None: nobody asks them."""


async def authentication(server: Server, database: Database) -> Authentication:
    """Raises StartError."""
    if server.bearer.issuer:
        tokens = _tokens(server.bearer, issuer=server.bearer.issuer, audience=server.bearer.audience or "")
        run_tokens = RunTokens(await _secret(database), system_clock)
        runs = RunCallers(database, run_tokens, system_clock)
        bearer = Bearer(_either(runs, tokens), required=server.bearer.required)
        return Authentication(
            by_header(SUBJECT_HEADER), [bearer], bearer.admit, lambda run: path_of(run_tokens.issue(run))
        )
    return Authentication(by_header(server.identity_header) if server.identity_header else nobody)


def _either(runs: RunCallers, people: Tokens) -> Verify:
    async def verify(token: str) -> str:
        return await (runs if is_of_run(token) else people).subject(token)

    return verify


async def _secret(database: Database) -> bytes:
    candidate = secrets.token_bytes(32)
    return await database.write(lambda tx: keyring.secret(tx, "runs.tokens", candidate))


def _tokens(settings: BearerTokens, *, issuer: str, audience: str) -> Tokens:
    demands = Demands(issuer, audience, settings.subject_claim, settings.leeway)
    return Tokens(demands, _keys(settings), system_clock)


def _keys(settings: BearerTokens) -> SigningKeys:
    return KeysOfUrl(settings.jwks_url) if settings.jwks_url else KeyOfFile(_pem(settings.key_file or Path()))


def _pem(path: Path) -> str:
    try:
        content = path.read_bytes()
        load_pem_public_key(content)
    except OSError as error:
        raise StartError(f"setting server.bearer.keyFile: {str(path)!r} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise StartError(f"setting server.bearer.keyFile: {str(path)!r} is no public key in PEM") from error
    return content.decode()
