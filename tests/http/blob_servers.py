"""A real uvicorn with the blob edges on it, and clients for it."""

import asyncio
import shutil
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import uvicorn
from obstore.store import S3Store

from wingbeat.blobs import signing, store
from wingbeat.blobs.directory import Directory
from wingbeat.blobs.walk import HIDDEN
from wingbeat.http.asgi import Receive, Scope, Send
from wingbeat.http.blobs import SignedBlobs
from wingbeat.http.s3 import PATH, S3Endpoint
from wingbeat.http.s3_auth import Credentials

CREDENTIALS = Credentials("AKIATEST", "secret/with+odd=characters")
SIGNING = signing.SigningKey(b"k" * 32)
MAX_UPLOAD = 1 << 20


@dataclass
class BlobServer:
    url: str
    root: Path
    directory: Directory
    blobs: store.Blobs

    def client(self, secret: str = CREDENTIALS.secret_access_key) -> S3Store:
        return S3Store(
            store.BUCKET,
            endpoint=f"{self.url}{PATH}",
            access_key_id=CREDENTIALS.access_key_id,
            secret_access_key=secret,
            region="us-east-1",
            client_options={"allow_http": True},
            retry_config={"max_retries": 0},
        )

    def empty(self) -> None:
        """Forget all blobs, so that the next test may use the same server."""
        for entry in self.root.iterdir():
            if entry.name == HIDDEN:
                continue
            if entry.is_dir():
                shutil.rmtree(entry)
            else:
                entry.unlink()


class Front:
    """Dispatches by path prefix, as the composition root does."""

    def __init__(self, directory: Directory) -> None:
        self.s3 = S3Endpoint(directory, CREDENTIALS, clock=lambda: datetime.now(UTC))
        self.blobs = SignedBlobs(directory, SIGNING, clock=lambda: datetime.now(UTC), max_upload=MAX_UPLOAD)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = self.s3 if scope["path"].startswith(PATH) else self.blobs
        await app(scope, receive, send)


@asynccontextmanager
async def blob_server(root: Path, *, http: str = "h11") -> AsyncGenerator[BlobServer]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        blobs = store.open_blobs(str(root), signing=SIGNING, public_url=url, fsync=False)
        assert blobs.directory
        config = uvicorn.Config(
            Front(blobs.directory), http=http, lifespan="off", log_level="warning", timeout_graceful_shutdown=1
        )
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        while not server.started:
            await asyncio.sleep(0)
        try:
            yield BlobServer(url, root, blobs.directory, blobs)
        finally:
            server.should_exit = True
            await serving
