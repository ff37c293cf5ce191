"""The tables of triggers are public, remember every change, and notice those of other programs."""

import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from tests.compose.fired import MINUTE, T0, World
from wingbeat.compose.initiators import initiated_by
from wingbeat.compose.namespace import TriggerConfig
from wingbeat.compose.trigger import TriggerStore
from wingbeat.errors import InvalidArgument
from wingbeat.store.compose import ticks
from wingbeat.store.compose.transaction import Row, Transaction, Value


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "triggers.db")


def test_a_config_is_activated_with_its_node(world: World) -> None:
    assert world.store.activate(TriggerConfig(name="c", schedule="0 * * * *"), dag_nsref="a:dag")
    activation = world.store.get_activation("c")
    assert activation is not None
    assert (activation["dag_nsref"], activation["status"]) == ("a:dag", "active")
    assert [each["name"] for each in world.store.get_active_poll_triggers()] == ["c"]


def test_a_config_without_its_node_is_refused(world: World) -> None:
    with pytest.raises(ValueError, match="give dag_nsref"):
        world.store.activate(TriggerConfig(name="c", schedule="0 * * * *"))


def test_lists_take_no_negative_limit(world: World) -> None:
    store = world.store
    for listed in (lambda: store.get_events("t", limit=-1), lambda: store.history("t", limit=-1),
                   lambda: store.get_activations(limit=-1)):  # fmt: skip
        with pytest.raises(InvalidArgument, match="limit is -1: a whole number of rows, not below zero"):
            listed()
    assert store.get_events("t", limit=0) == []


def test_a_second_activation_changes_nothing(world: World) -> None:
    world.active()
    before = world.store.get_activation("t")
    world.clock.forward(MINUTE / 2)
    world.manager.activate("t")
    assert world.store.get_activation("t") == before
    assert len(world.store.history("t")) == 1


def test_what_was_deactivated_stays_so_where_asked(world: World) -> None:
    world.active()
    world.manager.deactivate("t")
    result = world.manager.activate_configured()
    assert (result.activated, result.left_disabled) == ([], ["t"])
    world.manager.activate("t")
    assert world.manager.activate_configured().activated == ["t"]


def test_changes_are_signed(world: World) -> None:
    world.active()
    with initiated_by("ann"):
        world.manager.deactivate("t")
    activation = world.store.get_activation("t")
    assert activation is not None
    assert (activation["status"], activation["changed_by"]) == ("disabled", "ann")
    assert [(each["action"], each["changed_by"]) for each in world.store.history("t")] == [
        ("deactivate", "ann"),
        ("activate", None),
    ]


def test_an_unknown_trigger_is_deactivated_without_notice(world: World) -> None:
    world.store.deactivate("nobody")
    assert world.store.get_activation("nobody") is None


def test_events_are_listed_latest_first_within_limits(world: World) -> None:
    world.active()
    for status in ("completed", "failed", "completed"):
        world.store.record_event("t", {"n": 1}, "run", status)
        world.clock.forward(MINUTE)
    assert [event["status"] for event in world.events(limit=2)] == ["completed", "failed"]
    assert len(world.events(status="completed")) == 2
    assert len(world.events(since=T0 + MINUTE)) == 2


def test_pruning_keeps_what_is_young_or_few(world: World) -> None:
    world.active()
    for _ in range(5):
        world.store.record_event("t")
        world.clock.forward(MINUTE)
    assert world.store.prune(timedelta(minutes=3)) == 2
    assert world.store.prune(1) == 2
    assert len(world.events()) == 1


def test_the_slots_of_a_backfill_are_found_by_their_moments(world: World) -> None:
    plans: list[str] = []

    class Explained(Transaction):
        def fetch(self, sql: str, *values: Value) -> list[Row]:
            plans.extend(row[-1] for row in super().fetch(f"EXPLAIN QUERY PLAN {sql}", *values))
            return super().fetch(sql, *values)

    with sqlite3.connect(world.store.db_path) as connection:
        assert ticks.slots_taken(Explained(connection, T0), "t", T0, T0 + MINUTE) == set()
    (plan,) = plans
    assert "INDEX trigger_events_by_moment (trigger_name=? AND scheduled_for>? AND scheduled_for<?)" in plan


def test_a_file_that_lacks_an_index_gets_it(world: World) -> None:
    with closing(sqlite3.connect(world.store.db_path)) as connection:
        connection.execute("DROP INDEX trigger_events_by_moment")
        TriggerStore(world.path)
        connection.execute("DROP INDEX trigger_events_by_moment")


async def test_another_program_may_disable_a_trigger(world: World) -> None:
    world.active()
    with sqlite3.connect(world.path) as other:
        other.execute("UPDATE trigger_activations SET status = 'disabled'")
    world.clock.forward(MINUTE)
    assert await world.manager.tick() == 0


async def test_another_program_may_change_a_schedule(world: World) -> None:
    world.active("0 0 1 1 *")
    with sqlite3.connect(world.path) as other:
        other.execute('UPDATE trigger_activations SET config_json = \'{"schedule": "* * * * *"}\'')
    world.clock.forward(MINUTE)
    await world.manager.tick()
    assert world.runs.slots == [T0 + MINUTE]


def test_a_file_of_lythonic_is_taken_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    with sqlite3.connect(path) as old:
        old.execute(
            "CREATE TABLE trigger_activations (name TEXT PRIMARY KEY, dag_nsref TEXT NOT NULL, trigger_type TEXT NOT"
            " NULL, status TEXT NOT NULL, last_run_at REAL, next_run_at REAL, last_run_id TEXT, created_at REAL NOT"
            " NULL, config_json TEXT)"
        )
        old.execute(
            "CREATE TABLE trigger_events (event_id TEXT PRIMARY KEY, trigger_name TEXT NOT NULL, fired_at REAL NOT"
            " NULL, run_id TEXT, payload_json TEXT, status TEXT NOT NULL)"
        )
        old.execute("INSERT INTO trigger_events VALUES ('e', 't', 1.0, 'r', NULL, 'completed')")
    assert TriggerStore(path).get_events("t")[0]["run_id"] == "r"
