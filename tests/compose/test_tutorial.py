"""The tutorial and the pages about `wingbeat.compose` do what they say, each block in its order."""

import asyncio
import subprocess
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest.mock import patch

import pytest
import time_machine

from tests import documents
from tests.documents import REPOSITORY, Block
from wingbeat.compose.trigger import TriggerStore

TUTORIAL = REPOSITORY / "docs" / "tutorials" / "scheduled-dags.md"
PAGES = [
    REPOSITORY / "README.md",
    REPOSITORY / "docs" / "reference" / "compose.md",
    *sorted((REPOSITORY / "docs" / "how-to").glob("compose-*.md")),
]
HOUR = timedelta(hours=1)
TEN_SECONDS = timedelta(seconds=10)


class Clock:
    """The wall clock, which sleeping for long moves, and which is just before the next ten seconds at every block."""

    def __init__(self, folder: Path, traveller: time_machine.Traveller) -> None:
        self._folder = folder
        self._traveller = traveller
        self._sleep: Callable[[float], Awaitable[None]] = asyncio.sleep

    def before(self, block: Block) -> None:
        del block
        now = datetime.now(UTC)
        self._traveller.move_to(now + TEN_SECONDS - timedelta(seconds=now.timestamp() % 10 + 0.2))

    async def sleep(self, seconds: float) -> None:
        """An hour is over as soon as what it brought has happened."""
        if seconds < HOUR.total_seconds():
            return await self._sleep(seconds)
        self._traveller.shift(seconds)
        store = TriggerStore(self._folder / "triggers.db")
        while not any(event["finished_at"] for event in store.get_events("hourly_market")):
            await self._sleep(0.02)
        return None


def test_the_tutorial_runs_as_it_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with time_machine.travel(datetime(2026, 3, 2, 10, 30, tzinfo=UTC)) as traveller:
        clock = Clock(tmp_path, traveller)
        with patch.object(asyncio, "sleep", clock.sleep):
            tutorial = documents.run(TUTORIAL, before=clock.before)
    store: TriggerStore = tutorial.store
    (event,) = store.get_events("hourly_market")
    assert datetime.fromtimestamp(event["scheduled_for"], UTC) == datetime(2026, 3, 2, 11, tzinfo=UTC)
    (order,) = store.get_events("queue_check")
    assert (order["kind"], order["payload_json"]) == ("schedule", '{"message": "new order"}')
    activation = store.get_activation("hourly_market")
    assert activation is not None
    assert activation["status"] == "disabled"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_runs_as_it_is_written(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    documents.run(page)


def test_the_example_fires_by_the_second(tmp_path: Path) -> None:
    command = [sys.executable, str(REPOSITORY / "examples" / "embedded.py"), "2.1"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True)
    assert "every_second: completed" in done.stdout
    assert "orders: completed" in done.stdout
    assert "orders: skipped" in done.stdout
    assert '"Portfolio value: $325.00"' in done.stdout
