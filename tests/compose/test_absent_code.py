"""Triggers whose code is in another program: left to it, and told of when nobody fires them."""

import sys
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.compose.fired import MINUTE, T0, Runs, World
from wingbeat.compose.firing.claimants import Claimant
from wingbeat.compose.firing.claims import claim_due
from wingbeat.compose.firing.code import Code
from wingbeat.compose.firing.stored_definitions import stored as decoded
from wingbeat.compose.namespace import Namespace, TriggerConfig
from wingbeat.compose.trigger import TriggerManager
from wingbeat.store.compose.transaction import Transaction

SECOND = timedelta(seconds=1)
answers: list[dict[str, Any]] = []


def poll() -> dict[str, Any]:
    answers.append({"n": len(answers)})
    return answers[-1]


class NoRuns(Runs):
    """Of a program in which nothing is registered."""

    def has(self, dag_nsref: str) -> bool:
        return False


@pytest.fixture
def world(tmp_path: Path) -> World:
    answers.clear()
    return World(tmp_path / "triggers.db")


def stranger(world: World) -> TriggerManager:
    return TriggerManager(Namespace(), world.store, runner=NoRuns())


def errors(world: World) -> list[str]:
    return [event["error"] for event in reversed(world.events(status="error"))]


def activation(world: World) -> Mapping[str, Any]:
    found = world.store.get_activation("t")
    assert found is not None
    return found


async def test_who_has_no_code_leaves_slots_to_those_who_have_it(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.active()
    other = stranger(world)
    for _ in range(5):
        world.clock.forward(MINUTE)
        assert await other.tick() == 0
        await world.manager.tick()
    assert world.runs.slots == [T0 + n * MINUTE for n in range(1, 6)]
    assert errors(world) == []
    assert caplog.text.count("slots of trigger 't' are left to programs that have its code") == 1


async def test_a_slot_that_nobody_can_fire_is_told_of_ever_more_rarely_and_stays_due(world: World) -> None:
    world.active("0 * * * *")
    other = stranger(world)
    world.clock.forward(60 * MINUTE)
    for _ in range(600):
        await other.tick()
        world.clock.forward(SECOND)
    assert 5 < len(errors(world)) < 12
    assert "'a:dag' is not in this program" in errors(world)[0]
    assert activation(world)["failures"] == len(errors(world))
    await world.manager.tick()
    assert world.runs.slots == [T0 + 60 * MINUTE]
    assert activation(world)["failures"] == 0


async def test_a_look_that_is_rolled_back_has_seen_nothing(world: World) -> None:
    """Or what it told would be gone, and nobody would tell it again."""
    world.active("0 * * * *")
    code, by = Code(decoded, lambda _: False, lambda _: {}), Claimant(MINUTE)
    world.clock.forward(60 * MINUTE)
    code.saw(world.store.file.write(lambda tx: claim_due(tx, tx.now, by=by, code=code)).code)
    world.clock.forward(MINUTE)

    def look_in_vain(tx: Transaction) -> None:
        claim_due(tx, tx.now, by=by, code=code)
        raise KeyError

    with pytest.raises(KeyError):
        world.store.file.write(look_in_vain)
    assert errors(world) == []
    world.store.file.write(lambda tx: claim_due(tx, tx.now, by=by, code=code))
    assert len(errors(world)) == 1


async def test_a_retry_waits_for_who_has_the_code(world: World) -> None:
    world.active("0 * * * *")
    world.clock.forward(60 * MINUTE)
    world.store.file.write(
        lambda tx: tx.execute(
            "INSERT INTO trigger_events (event_id, trigger_name, fired_at, run_id, status, kind, slot_key, lease_until)"
            " VALUES ('e', 't', 0, 'r', 'waiting', 'schedule', 'x', ?)",
            tx.now.timestamp(),
        )
    )
    assert await stranger(world).tick() == 0
    await world.manager.tick()
    assert {start.run_id for start in world.runs.started} >= {"r"}


async def test_a_function_that_is_known_by_its_name_is_imported_and_asked(world: World) -> None:
    config = TriggerConfig.model_validate({"name": "t", "schedule": "0 * * * *", "poll_fn": poll})
    world.store.activate(config, "a:dag")
    world.clock.forward(60 * MINUTE)
    await world.manager.tick()
    assert [start.inputs for start in world.runs.started] == [{"n": 0}]


async def test_a_function_that_cannot_be_imported_is_told_of_and_asked_once_it_is_elsewhere(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "breaks_when_imported.py").write_text("raise RuntimeError('half written')")
    monkeypatch.syspath_prepend(tmp_path)
    config = TriggerConfig.model_validate({"name": "t", "schedule": "0 * * * *", "poll_fn": "breaks_when_imported:f"})
    world.store.activate(config, "a:dag")
    world.active("0 * * * *", name="other")
    world.clock.forward(60 * MINUTE)
    for _ in range(10):
        await world.manager.tick()
        world.clock.forward(SECOND)
    assert world.runs.slots == [T0 + 60 * MINUTE], "the other trigger goes on"
    assert "half written" in errors(world)[0]
    assert len(errors(world)) < 5
    assert activation(world)["failures"] == len(errors(world))
    (tmp_path / "breaks_when_imported.py").write_text("def f(): return {'n': 1}")
    sys.modules.pop("breaks_when_imported", None)
    await world.another().tick()
    assert [start.inputs for start in world.runs.started if start.trigger_name == "t"] == [{"n": 1}]


def test_a_function_that_cannot_be_imported_is_an_error_at_activate(world: World) -> None:
    world.namespace.register_trigger("t", "a:dag", "poll", "* * * * *", "no_such_module:f")
    with pytest.raises(ValueError, match="poll_fn 'no_such_module:f' cannot be imported"):
        world.manager.activate("t")


async def test_a_trigger_is_looked_into_and_switched_without_its_code(world: World) -> None:
    world.active("0 * * * *", poll_fn=lambda: {"n": 1}, inputs={"at": T0})
    other, before = stranger(world), activation(world)["config_json"]
    other.pause("t")
    assert activation(world)["status"] == "disabled"
    other.resume("t")
    assert [slot.at for slot in other.preview("t", 1)] == [T0 + 60 * MINUTE]
    assert activation(world)["config_json"] == before
    world.clock.forward(60 * MINUTE)
    assert await other.tick() == 0
    await world.manager.tick()
    assert world.runs.slots == [T0 + 60 * MINUTE]


async def test_a_backfill_is_asked_for_without_the_code_and_carried_out_with_it(world: World) -> None:
    world.active("0 * * * *", inputs={"at": T0})
    other = stranger(world)
    assert other.backfill("t", T0 - 60 * MINUTE, T0) == [T0 - 60 * MINUTE]
    assert await other.tick() == 0
    await world.manager.tick()
    assert world.runs.slots == [T0 - 60 * MINUTE]


async def test_a_function_of_another_program_is_left_to_it(world: World) -> None:
    world.active("0 * * * *", poll_fn=lambda: {"n": 1})
    other = TriggerManager(Namespace(), world.store, runner=world.runs)
    world.clock.forward(60 * MINUTE)
    await other.tick()
    assert world.events() == []
    await world.manager.tick()
    assert [start.inputs for start in world.runs.started] == [{"n": 1}]


async def test_a_module_that_calls_sys_exit_is_no_code_to_have(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "leaves.py").write_text("import sys\nsys.exit(4)\n")
    with pytest.raises(ValueError, match=r"'leaves:poll' cannot be imported: its module called"):
        world.active(poll_fn="leaves:poll")
