"""How long events are kept: what goes is what is over and too old, or too much, and what stays costs nothing."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.compose.fired import MINUTE, World
from wingbeat.errors import InvalidArgument
from wingbeat.store.compose.transaction import Transaction


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "triggers.db")


def plant(world: World, *, triggers: int, events: int) -> None:
    def write(tx: Transaction) -> None:
        tx.executemany(
            "INSERT INTO trigger_activations (name, dag_nsref, trigger_type, status, created_at)"
            " VALUES (?, 'a:dag', 'push', 'active', 0)",
            ((f"t{n}",) for n in range(triggers)),
        )
        tx.executemany(
            "INSERT INTO trigger_events (event_id, trigger_name, fired_at, status, finished_at)"
            " VALUES (?, ?, ?, 'completed', 0)",
            ((f"e{n:06}", f"t{n % triggers}", float(n)) for n in range(triggers * events)),
        )

    world.store.file.write(write)


def ids(world: World, name: str) -> list[str]:
    return [event["event_id"] for event in world.store.get_events(name)]


def test_the_latest_of_each_trigger_stay(world: World) -> None:
    plant(world, triggers=3, events=500)
    assert world.store.prune(2) == 3 * 498
    assert ids(world, "t1") == ["e001498", "e001495"]
    assert world.store.prune(2) == 0
    assert world.store.prune(0) == 6


def test_a_fire_that_goes_on_stays_and_takes_no_place_from_others(world: World) -> None:
    plant(world, triggers=1, events=5)
    world.store.file.write(
        lambda tx: tx.execute("UPDATE trigger_events SET finished_at = NULL WHERE event_id = 'e000001'")
    )
    assert world.store.prune(1) == 3
    assert ids(world, "t0") == ["e000004", "e000001"]
    world.clock.forward(MINUTE)
    assert world.store.prune(timedelta()) == 1
    assert ids(world, "t0") == ["e000001"]


@pytest.mark.parametrize("keep", [-1, timedelta(seconds=-1), None, "x", 1.5, True, False])
def test_an_age_or_a_number_from_zero_on_is_kept_and_nothing_else(world: World, keep: Any) -> None:
    plant(world, triggers=1, events=2)
    shown = keep if isinstance(keep, timedelta) else repr(keep)
    with pytest.raises(InvalidArgument, match=f"^keep is {shown}: an age .* number of events, not below zero"):
        world.store.prune(keep)
    assert len(ids(world, "t0")) == 2


def test_the_work_grows_with_what_goes_and_not_with_what_stays(world: World) -> None:
    """By what SQLite's machine does, which does not depend on how busy this one is."""
    plant(world, triggers=20, events=1_000)
    steps = 0

    def count() -> int:
        nonlocal steps
        steps += 1
        return 0

    shared = world.store.file._shared
    assert shared.writer._connection is not None
    for connection in (shared.writer._connection, *shared.readers._idle):
        connection.set_progress_handler(count, 100)
    assert world.store.prune(999) == 20
    assert steps * 100 < 500_000
