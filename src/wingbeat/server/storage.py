"""Blobs, the secrets that guard them, and the S3 endpoint through which the SDK opens those of a directory."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from wingbeat.blobs.signing import SigningKey
from wingbeat.blobs.store import Blobs, open_blobs
from wingbeat.clock import system_clock
from wingbeat.config.settings import Settings
from wingbeat.http import s3
from wingbeat.http.asgi import App
from wingbeat.http.blobs import SignedBlobs
from wingbeat.http.s3_auth import Credentials
from wingbeat.store import keyring
from wingbeat.store.database import Database, Transaction
from wingbeat.wire.launch import S3Access

REGION = "us-east-1"
"""S3's default: a signature names a region, whichever."""


@dataclass(frozen=True, slots=True)
class Storage:
    blobs: Blobs
    parts: Mapping[str, App]
    """What must be served, by first segment of the path."""
    _credentials: Credentials | None

    @property
    def private(self) -> bool:
        """Whether only this server can read them."""
        return self.blobs.directory is not None

    def s3_access(self, url: str) -> S3Access | None:
        """How the SDK's runtime opens files of the storage, when it reaches this server at `url`.

        None: they are in a bucket, which has its own ways.
        """
        if self._credentials is None:
            return None
        return S3Access(
            endpoint=url + s3.PATH,
            access_key=self._credentials.access_key_id,
            secret_key=self._credentials.secret_access_key,
            region=REGION,
        )

    def environment(self, url: str) -> Mapping[str, str]:
        """The same as variables of the environment."""
        access = self.s3_access(url)
        if access is None:
            return {}
        return {
            "FLYTE_AWS_ENDPOINT": access.endpoint,
            "FLYTE_AWS_ACCESS_KEY_ID": access.access_key,
            "FLYTE_AWS_SECRET_ACCESS_KEY": access.secret_key,
            "AWS_REGION": access.region,
        }


async def open_storage(settings: Settings, database: Database, *, public_url: str) -> Storage:
    """Raises StartError."""
    candidates = [secrets.token_bytes(32), secrets.token_hex(10).upper().encode(), secrets.token_hex(20).encode()]

    async def find_keys(tx: Transaction) -> tuple[bytes, bytes, bytes]:
        signing, access_key, secret_key = candidates
        return (
            await keyring.secret(tx, "blobs.signing", signing),
            await keyring.secret(tx, "s3.access-key-id", access_key),
            await keyring.secret(tx, "s3.secret-access-key", secret_key),
        )

    signing_secret, access_key, secret_key = await database.write(find_keys)
    signing = SigningKey(signing_secret)
    blobs = open_blobs(settings.blobs_uri, signing=signing, public_url=public_url)
    directory = blobs.directory
    if directory is None:
        return Storage(blobs, {}, None)
    credentials = Credentials(access_key.decode(), secret_key.decode())
    parts: dict[str, App] = {
        "s3": s3.S3Endpoint(directory, credentials, clock=system_clock),
        "blobs": SignedBlobs(directory, signing, clock=system_clock, max_upload=settings.limits.upload),
    }
    return Storage(blobs, parts, credentials)
