"""The S3 endpoint as tasks see it: through the SDK's own storage code, told where it is by the environment alone."""

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
from flyte.storage import exists, get, get_stream, put, put_stream

from tests.http.blob_servers import CREDENTIALS, BlobServer, blob_server


@pytest.fixture(params=["127.0.0.1", "localhost"])
async def server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> AsyncGenerator[BlobServer]:
    async with blob_server(tmp_path / "blobs") as server:
        monkeypatch.setenv("FLYTE_AWS_ENDPOINT", server.url.replace("127.0.0.1", request.param) + "/s3")
        monkeypatch.setenv("FLYTE_AWS_ACCESS_KEY_ID", CREDENTIALS.access_key_id)
        monkeypatch.setenv("FLYTE_AWS_SECRET_ACCESS_KEY", CREDENTIALS.secret_access_key)
        yield server


async def test_a_directory_of_a_task_comes_back(server: BlobServer, tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "below").mkdir(parents=True)
    (source / "below/b=c d%20.txt").write_text("small")
    (source / "large.bin").write_bytes(b"large" * (2 << 20))
    where = server.blobs.uri("raw/data")
    await put(str(source), where, recursive=True)
    back = Path(await get(where, str(tmp_path / "back"), recursive=True))
    assert (back / "below/b=c d%20.txt").read_text() == "small"
    assert (back / "large.bin").read_bytes() == b"large" * (2 << 20)
    assert await server.blobs.get("raw/data/below/b=c d%20.txt") == b"small"


async def test_what_a_task_streams_is_there_at_its_uri(server: BlobServer) -> None:
    where = server.blobs.uri("m/p/d/run/a0/1/outputs.pb")
    assert not await exists(where)
    await put_stream(b"outputs", to_path=where)
    assert await exists(where)
    assert b"".join([chunk async for chunk in get_stream(where)]) == b"outputs"
    assert await server.blobs.get(where) == b"outputs"
