"""Fixtures of the whole suite: a clock that tests move, and every database that the product runs on."""

import logging
from collections.abc import AsyncGenerator, Generator
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest
import structlog
from hypothesis import HealthCheck, settings

from tests.postgresql import postgresql_server
from wingbeat.store.database import Database, open_database
from wingbeat.telemetry import configure_logging
from wingbeat.testing import FakeClock

configure_logging(json=False, level="WARNING")
# How long an example takes says how busy the machine is, and no test is about that.
settings.register_profile("any-machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any-machine")

T0 = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Generator[None]:
    """Programs configure the logging of their process: for the test that calls them, and none after it."""
    root, ours = logging.getLogger(), structlog.get_config()
    handlers, level = list(root.handlers), root.level
    yield
    structlog.configure(**ours)
    for added in [each for each in root.handlers if each not in handlers]:
        root.removeHandler(added)
        added.close()
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(scope="session")
def postgresql() -> Generator[str]:
    with postgresql_server() as url:
        yield url


@pytest.fixture
async def postgresql_url(postgresql: str) -> AsyncGenerator[str]:
    """An empty database of its own for each test."""
    name = f"test_{uuid4().hex}"
    admin = await asyncpg.connect(postgresql)
    try:
        await admin.execute(f"CREATE DATABASE {name}")
        yield postgresql.removesuffix("postgres") + name
    finally:
        await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
        await admin.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Every test that takes this runs on both databases."""
    if request.param == "sqlite":
        return str(tmp_path / "wingbeat.db")
    return request.getfixturevalue("postgresql_url")


@pytest.fixture
async def database(database_url: str, clock: FakeClock) -> AsyncGenerator[Database]:
    opened = await open_database(database_url, clock)
    try:
        yield opened
    finally:
        await opened.close()
