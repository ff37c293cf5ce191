"""Triggers of real DAGs: what is wrong is known when they are activated, and what they ran is in the history."""

import asyncio
import logging
import sqlite3
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.compose.fired import MINUTE, T0
from wingbeat.compose.dag_provenance import SCHEDULER, DagProvenance, NullProvenance, initiated_by
from wingbeat.compose.dag_runner import DagRunner
from wingbeat.compose.firing.claims import run_id_of
from wingbeat.compose.namespace import Dag, Namespace
from wingbeat.compose.trigger import TriggerManager, TriggerStore
from wingbeat.testing import FakeClock


async def fetch(url: str, pages: int = 1) -> int:
    return len(url) * pages


async def report(pages: int) -> str:
    return f"{pages} pages"


class World:
    def __init__(self, folder: Path) -> None:
        self.clock = FakeClock(T0)
        self.folder = folder
        self.namespace = Namespace()
        self.store = TriggerStore(folder / "triggers.db", clock=self.clock)
        self.history = DagProvenance(folder / "runs.db")
        self.manager = TriggerManager(self.namespace, self.store, self.history)

    def register(self) -> None:
        dag = Dag()
        _ = dag.node(fetch) >> dag.node(report)
        self.namespace.register(dag, nsref="a:dag")


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_what_it_runs_may_be_registered_later_and_must_be_there_when_it_is_activated(world: World) -> None:
    world.namespace.register_trigger("t", "a:dag", "push")
    with pytest.raises(KeyError, match="'a:dag' not found"):
        world.manager.activate("t")
    world.register()
    world.manager.activate("t")


def test_a_payload_that_no_source_takes_is_refused_when_it_is_activated(world: World) -> None:
    world.register()
    world.namespace.register_trigger("t", "a:dag", "poll", "* * * * *", payload={"uri": "x"})
    with pytest.raises(ValueError, match=r"nothing takes uri: the sources of the DAG take \['pages', 'url'\]"):
        world.manager.activate("t")
    assert world.store.get_activation("t") is None


def test_of_several_triggers_none_is_activated_when_one_is_wrong(world: World) -> None:
    world.register()
    world.namespace.register_trigger("good", "a:dag", "push")
    world.namespace.register_trigger("wrong", "a:dag", "push", payload={"uri": "x"})
    with pytest.raises(ValueError, match="nothing takes uri"):
        world.manager.activate_configured()
    assert world.store.get_activation("good") is None


async def test_an_input_that_is_missing_is_warned_of_and_begins_no_run(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.register()
    world.namespace.register_trigger("t", "a:dag", "poll", "* * * * *")
    with caplog.at_level(logging.WARNING):
        world.manager.activate("t")
    assert (
        "trigger 't' will fail by its schedule, without a payload: source 'fetch' needs a value for url" in caplog.text
    )
    world.clock.forward(MINUTE)
    await world.manager.tick()
    (event,) = world.store.get_events("t")
    assert (event["status"], event["error"]) == ("failed", "ValueError: source 'fetch' needs a value for url")
    assert world.history.get_recent_runs() == []


async def test_firing_without_an_input_is_refused_before_anything_happens(world: World) -> None:
    world.register()
    world.namespace.register_trigger("t", "a:dag", "push", inputs={"pages": 2})
    world.manager.activate("t")
    with pytest.raises(ValueError, match="needs a value for url"):
        await world.manager.fire("t")
    assert world.store.get_events("t") == []
    result = await world.manager.fire("t", {"url": "abc"})
    assert result.outputs == {"report": "6 pages"}


async def test_a_run_says_which_trigger_and_who_started_it(world: World) -> None:
    world.register()
    world.namespace.register_trigger("t", "a:dag", "poll", "* * * * *", payload={"url": "x"})
    world.manager.activate("t")
    world.clock.forward(MINUTE)
    await world.manager.tick()
    with initiated_by("ann"):
        fired = await world.manager.fire("t")
    runs = {run.run_id: run for run in world.history.get_recent_runs(trigger_name="t")}
    assert runs[fired.run_id].initiated_by == "ann"
    assert [run.initiated_by for run in runs.values() if run.run_id != fired.run_id] == [SCHEDULER]
    assert {event["run_id"] for event in world.store.get_events("t")} == set(runs)
    with sqlite3.connect(world.folder / "runs.db") as file:
        assert file.execute("SELECT DISTINCT trigger_name FROM dag_runs").fetchall() == [("t",)]


async def test_nothing_is_recorded_unless_a_history_is_given(world: World) -> None:
    world.register()
    manager = TriggerManager(world.namespace, world.store)
    assert isinstance(manager.provenance, NullProvenance)
    world.namespace.register_trigger("t", "a:dag", "push", payload={"url": "x"})
    manager.activate("t")
    assert (await manager.fire("t")).status == "completed"
    assert world.history.get_recent_runs() == []


def test_threads_that_share_the_files_fire_each_slot_once(world: World) -> None:
    """Each with an event loop and a manager of its own."""
    world.register()
    world.namespace.register_trigger("t", "a:dag", "poll", "* * * * *", payload={"url": "x"}, overlap="allow")
    world.manager.activate("t")

    def tick() -> None:
        asyncio.run(TriggerManager(world.namespace, world.store, world.history).tick())

    with ThreadPoolExecutor(4) as threads:
        for _ in range(8):
            world.clock.forward(MINUTE)
            for each in [threads.submit(tick) for _ in range(4)]:
                each.result()
    events = world.store.get_events("t", status="completed")
    assert Counter(event["scheduled_for"] for event in events) == {
        (T0 + n * MINUTE).timestamp(): 1 for n in range(1, 9)
    }
    assert len(world.history.get_recent_runs(100)) == 8


async def test_a_slot_whose_run_is_in_the_history_takes_its_end_and_does_not_run_it_again(world: World) -> None:
    world.register()
    world.namespace.register_trigger("t", "a:dag", "poll", "* * * * *", payload={"url": "x"})
    world.manager.activate("t")
    run_id = run_id_of("t", "a:dag", T0 + MINUTE)
    dag = world.namespace.get("a:dag").dag
    assert dag
    await DagRunner(dag, world.history).run({"fetch": {"url": "before"}}, "a:dag", run_id=run_id)
    world.clock.forward(MINUTE)
    await world.manager.tick()
    (event,) = world.store.get_events("t")
    assert (event["status"], event["run_id"], event["error"]) == ("completed", run_id, None)
    (run,) = world.history.get_recent_runs()
    assert run.initiated_by is None, "it is the one that was there"


async def test_a_dag_that_became_wrong_neither_fires_nor_is_activated(world: World) -> None:
    dag = Dag()
    source = dag.node(report)
    world.namespace.register(dag, nsref="a:looped")
    for name in ("before", "after"):
        world.namespace.register_trigger(name, "a:looped", "push")
    world.manager.activate("before")
    _ = source >> source
    with pytest.raises(ValueError, match="cycle: report -> report"):
        await world.manager.fire("before", {"pages": 1})
    with pytest.raises(ValueError, match="cycle: report -> report"):
        world.manager.activate("after")
    assert world.store.get_events("before") == []
