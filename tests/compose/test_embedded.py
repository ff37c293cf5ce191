"""The short form: decorators register, one file keeps everything, and the long form is always there."""

import asyncio
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from wingbeat.compose.embedded import Embedded
from wingbeat.compose.namespace import Dag, dag_factory
from wingbeat.compose.trigger import PollContext, Skip
from wingbeat.testing import FakeClock

MINUTE = timedelta(minutes=1)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(datetime(2026, 3, 2, 12, tzinfo=UTC))


@pytest.fixture
def app(tmp_path: Path, clock: FakeClock) -> Embedded:
    return Embedded(tmp_path / "app.db", clock=clock)


def one() -> int:
    return 1


@dataclass
class Unhashable:
    def __call__(self) -> int:
        return 1


def more(number: int) -> str:
    return f"{number} and more"


async def test_a_schedule_fires_a_function(app: Embedded, clock: FakeClock) -> None:
    done: list[int] = []

    @app.on("*/5 * * * *", tz="Europe/Paris", payload={"number": 7})
    def note(number: int) -> None:
        done.append(number)

    app.manager.activate_configured()
    clock.forward(5 * MINUTE)
    await app.manager.tick()
    assert done == [7]
    assert [run.trigger_name for run in app.provenance.get_recent_runs()] == ["note"]
    assert app.namespace.get_trigger("note").definition.timezone == "Europe/Paris"
    note(8)
    assert done == [7, 8]


async def test_a_factory_of_a_dag_is_a_task(app: Embedded) -> None:
    @app.task
    @dag_factory
    def both() -> Dag:
        with Dag() as dag:
            _ = dag.node(one) >> dag.node(more)
        return dag

    result = await app.run("both")
    assert result.outputs == {"more": "1 and more"}
    assert [(run.run_id, run.dag_nsref) for run in app.provenance.get_recent_runs()] == [(result.run_id, "both")]


async def test_a_task_takes_inputs_and_is_found_by_its_tags(app: Embedded) -> None:
    app.task(name="count", tags=["slow"])(more)
    assert (await app.run("count", number=3)).outputs == {"count": "3 and more"}
    assert [str(node.nsref) for node in app.namespace.query("slow")] == ["count"]
    with pytest.raises(ValueError, match="nothing takes size"):
        await app.run("count", size=3)
    with pytest.raises(KeyError, match="nobody"):
        await app.run("nobody")


async def test_a_trigger_without_a_schedule_is_fired_by_hand(app: Embedded) -> None:
    app.on()(more)
    async with app:
        assert (await app.fire("more", number=2)).outputs == {"more": "2 and more"}


async def test_a_task_may_have_several_triggers(app: Embedded, clock: FakeClock) -> None:
    app.on("0 * * * *")(app.on("30 * * * *", name="half")(one))
    app.manager.activate_configured()
    clock.forward(60 * MINUTE)
    assert await app.manager.tick() == 2
    with pytest.raises(ValueError, match="already registered"):
        app.on("* * * * *")(one)


async def test_a_poll_function_decides(app: Embedded, clock: FakeClock) -> None:
    def ask(ctx: PollContext) -> Skip:
        return Skip(f"not at {ctx.scheduled_for:%H:%M}")

    app.on("* * * * *", poll_fn=ask)(one)
    app.manager.activate_configured()
    clock.forward(MINUTE)
    await app.manager.tick()
    assert [event["error"] for event in app.store.get_events("one")] == ["not at 12:01"]


@pytest.mark.parametrize("in_a_loop", [True, False], ids=["in an event loop", "without one"])
def test_it_fires_for_as_long_as_it_is_open(tmp_path: Path, in_a_loop: bool) -> None:
    app = Embedded(tmp_path / "app.db")
    fired = asyncio.Event()
    seen: list[int] = []

    @app.on("* * * * * *")
    async def note() -> None:
        seen.append(1)
        fired.set()

    async def until_it_fires() -> None:
        async with app:
            await asyncio.wait_for(fired.wait(), 10)

    if in_a_loop:
        asyncio.run(until_it_fires())
    else:
        with app:
            while not seen:
                time.sleep(0.01)
    assert seen


@pytest.mark.parametrize(
    ("schedule", "options"),
    [
        ("bad cron", {}),
        ("* * * * *", {"name": "taken"}),
        ("* * * * *", {"tz": "Mars/Base"}),
        ("* * * * *", {"overlap": "sometimes"}),
        (None, {"poll_fn": "json:loads"}),
    ],
    ids=["no cron", "a name that is taken", "an unknown zone", "an unknown word", "a poll of nothing"],
)
def test_a_trigger_that_is_refused_leaves_nothing(app: Embedded, schedule: str | None, options: dict[str, Any]) -> None:
    app.on(name="taken")(app.task(name="other")(more))
    before = app.namespace.to_dict()
    with pytest.raises(ValueError, match="rigger"):
        app.on(schedule, **options)(one)
    assert app.namespace.to_dict() == before
    app.on("* * * * *")(one)
    assert app.namespace.get_trigger("one").dag_nsref == "one"


def test_what_cannot_be_found_again_is_no_task(app: Embedded) -> None:
    with pytest.raises(TypeError, match="unhashable"):
        app.task(name="one")(Unhashable())
    app.task(one)


def test_what_somebody_paused_stays_so(tmp_path: Path) -> None:
    for state in ("active", "disabled"):
        app = Embedded(tmp_path / "app.db")
        app.on("0 * * * *")(one)
        with app:
            activation = app.store.get_activation("one")
            assert activation is not None
            assert activation["status"] == state
            app.manager.pause("one")
