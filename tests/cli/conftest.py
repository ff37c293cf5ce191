from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from tests.cli.terminal import Site
from tests.conftest import FakeClock
from tests.fake_executor import FakeExecutor
from tests.listening import listening
from tests.loops.node import blobs_in
from tests.planting import DEFAULTS, DOMAINS
from wingbeat.config.variables import NOT_SETTINGS
from wingbeat.rpc.app import build
from wingbeat.rpc.dataproxy_service import DataProxy, DataProxyLimits
from wingbeat.rpc.draining import Draining
from wingbeat.rpc.log_tail import LogTail
from wingbeat.rpc.retention_service import Retention
from wingbeat.rpc.run_service.service import Runs
from wingbeat.store.database import open_database
from wingbeat.telemetry import Metrics


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory of somebody who has configured nothing."""
    for name in (*NOT_SETTINGS, "UCTL_CONFIG", "FLYTECTL_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TZ", "UTC")
    directory = tmp_path / "desk"
    directory.mkdir()
    monkeypatch.chdir(directory)
    return directory


@pytest.fixture
async def site(desk: Path, tmp_path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[Site]:
    database = await open_database(str(tmp_path / "wingbeat.db"), clock)
    blobs, executor, draining = blobs_in(tmp_path), FakeExecutor(), Draining()
    logs = LogTail(database, blobs, executor, node="n1", pulse_seconds=0.05)
    proxy = DataProxy(database, blobs, logs, domains=DOMAINS, limits=DataProxyLimits(), clock=clock)
    app = build([Runs(database, DOMAINS, DEFAULTS), proxy, Retention(database)], draining=draining, metrics=Metrics())
    try:
        async with listening(app, on_stopping=draining.begin) as address:
            monkeypatch.setenv("WINGBEAT_URL", address.url)
            monkeypatch.setenv("WINGBEAT_PROJECT", "p")
            monkeypatch.setenv("WINGBEAT_DOMAIN", "development")
            yield Site(address.url, database, executor, blobs)
    finally:
        await database.close()
