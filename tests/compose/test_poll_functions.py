"""What a `poll_fn` answers becomes runs, reasons or nothing, and how long it takes is nobody else's business."""

import asyncio
import logging
import sys
import threading
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.compose.fired import MINUTE, T0, Ended, World
from wingbeat.compose.firing.runs import Start
from wingbeat.compose.trigger import Fire, PollContext, Skip


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "triggers.db")


async def _poll(world: World, poll_fn: Any, *, times: int = 1, **options: Any) -> None:
    world.active(poll_fn=poll_fn, **options)
    for _ in range(times):
        world.clock.forward(MINUTE)
        await world.manager.tick()


async def test_a_dict_becomes_the_inputs(world: World) -> None:
    await _poll(world, lambda: {"message": "new order"})
    assert world.runs.started[0].inputs == {"message": "new order"}
    assert world.events()[0]["payload_json"] == '{"message": "new order"}'


async def test_none_fires_nothing_and_counts_as_the_check(world: World) -> None:
    await _poll(world, lambda: None)
    assert world.events() == []
    activation = world.store.get_activation("t")
    assert activation is not None
    assert activation["last_checked_at"] == (T0 + MINUTE).timestamp()


async def test_a_reason_to_skip_is_kept(world: World) -> None:
    await _poll(world, lambda: Skip("market closed"))
    (event,) = world.events()
    assert (event["status"], event["error"]) == ("skipped", "market closed")


async def test_an_async_function_is_awaited(world: World) -> None:
    async def poll() -> dict[str, int]:
        await asyncio.sleep(0)
        return {"n": 1}

    await _poll(world, poll)
    assert world.runs.started[0].inputs == {"n": 1}


async def test_a_list_fires_each(world: World) -> None:
    await _poll(world, lambda: [{"n": 1}, {"n": 2}], overlap="allow")
    assert sorted(start.inputs["n"] for start in world.runs.started) == [1, 2]
    assert len({start.run_id for start in world.runs.started}) == 2


@pytest.mark.parametrize("overlap", ["skip", "queue"])
@pytest.mark.parametrize("most", [1, 2])
async def test_a_list_runs_so_many_at_a_time_as_the_trigger_may_and_none_is_skipped(
    world: World, overlap: str, most: int
) -> None:
    going: list[str] = []
    seen: list[int] = []

    async def run(start: Start) -> Ended:
        going.append(start.run_id)
        seen.append(len(going))
        await asyncio.sleep(0.01)
        going.remove(start.run_id)
        return Ended(start.run_id)

    world.runs.end = run
    world.active(poll_fn=lambda: [{"n": n} for n in range(5)], overlap=overlap, max_instances=most)
    world.clock.forward(MINUTE)
    assert await world.manager.tick() == 5
    assert max(seen) == most
    assert sorted(start.inputs["n"] for start in world.runs.started) == [0, 1, 2, 3, 4]
    assert world.statuses() == ["completed"] * 5


async def test_a_list_runs_one_after_the_other_in_its_order(world: World) -> None:
    await _poll(world, lambda: [{"n": n} for n in range(5)])
    assert [start.inputs["n"] for start in world.runs.started] == [0, 1, 2, 3, 4]


async def test_a_run_that_fails_gives_its_place_to_the_next_of_the_list(world: World) -> None:
    async def fail(start: Start) -> Ended:
        return Ended(start.run_id, "failed", "no luck")

    world.runs.end = fail
    await _poll(world, lambda: [{"n": 1}, {"n": 2}])
    assert world.statuses() == ["failed", "failed"]


async def test_what_waits_of_a_list_begins_when_there_is_a_place_and_not_at_the_next_slot(world: World) -> None:
    all_ran = asyncio.Event()

    async def note(start: Start) -> Ended:
        if len(world.runs.started) == 3:
            all_ran.set()
        return Ended(start.run_id)

    world.runs.end = note
    world.active(poll_fn=lambda: [{"n": n} for n in range(3)])
    world.clock.forward(MINUTE)
    async with world.manager:
        await asyncio.wait_for(all_ran.wait(), 10)


async def test_what_waits_of_a_list_outlives_its_process(world: World) -> None:
    async def hang(start: Start) -> Ended:
        await asyncio.Event().wait()
        return Ended(start.run_id)

    world.runs.end = hang
    world.active(poll_fn=lambda: [{"n": 1}, {"n": 2}])
    world.clock.forward(MINUTE)
    ticking = asyncio.create_task(world.manager.tick())
    while not world.runs.started:
        await asyncio.sleep(0)
    ticking.cancel()
    await asyncio.wait([ticking])
    assert sorted(world.statuses()) == ["running", "waiting"]
    world.runs.end = None
    await world.another(at_least_once=True).tick()
    assert [start.inputs["n"] for start in world.runs.started] == [1, 1, 2]


async def test_the_number_of_a_tick_is_that_of_the_runs_it_began(world: World) -> None:
    answers: list[Any] = [None, Skip("nothing new"), [{"n": 1}, {"n": 2}, {"n": 3}]]
    world.active(poll_fn=lambda: answers.pop(0))
    begun: list[int] = []
    for _ in range(3):
        world.clock.forward(MINUTE)
        begun.append(await world.manager.tick())
    assert begun == [0, 0, 3]


async def test_a_key_fires_once_and_its_repetition_is_seen(world: World) -> None:
    await _poll(world, lambda: Fire({"n": 1}, key="order-7"), times=2)
    assert len(world.runs.started) == 1
    assert world.statuses() == ["completed", "skipped"]
    assert "'order-7' has fired already" in world.events()[0]["error"]


async def test_a_cursor_is_there_next_time(world: World) -> None:
    seen: list[Any] = []

    def poll(ctx: PollContext) -> None:
        seen.append((ctx.cursor, ctx.scheduled_for))
        ctx.cursor = {"page": len(seen)}

    await _poll(world, poll, times=2)
    assert seen == [(None, T0 + MINUTE), ({"page": 1}, T0 + 2 * MINUTE)]


@pytest.mark.parametrize("answer", [pytest.param(0, id="zero"), pytest.param("text", id="a text")])
async def test_what_is_no_answer_is_an_error(world: World, answer: object) -> None:
    await _poll(world, lambda: answer)
    assert world.runs.started == []
    assert "return None, a dict" in world.events()[0]["error"]


async def test_what_raises_is_an_event_and_asked_again_at_the_next_slot_only(world: World) -> None:
    asked: list[int] = []

    def poll() -> None:
        asked.append(1)
        raise OSError("no network")

    await _poll(world, poll)
    for _ in range(5):
        world.clock.forward(timedelta(seconds=1))
        await world.manager.tick()
    assert len(asked) == 1
    assert "OSError: no network" in world.events()[0]["error"]


def leave() -> None:
    sys.exit(3)


async def leave_awaited() -> None:
    sys.exit(3)


@pytest.mark.parametrize("poll", [leave, leave_awaited])
async def test_one_that_calls_sys_exit_fails_its_check_and_no_other_trigger(world: World, poll: Any) -> None:
    world.active(name="other")
    await _poll(world, poll)
    (event,) = world.events()
    assert (event["status"], event["error"]) == ("failed", "RuntimeError: poll_fn called sys.exit(3)")
    assert world.statuses("other") == ["completed"]


async def test_one_that_hangs_ends_with_its_time_out(world: World) -> None:
    stuck = threading.Event()
    await _poll(world, lambda: stuck.wait(10), timeout=0.05)
    stuck.set()
    assert "had not answered after 0.05 s" in world.events()[0]["error"]


async def test_a_slow_function_never_blocks_the_loop(world: World) -> None:
    gaps: list[float] = []

    async def watch() -> None:
        while True:
            before = time.perf_counter()
            await asyncio.sleep(0.001)
            gaps.append(time.perf_counter() - before)

    watching = asyncio.create_task(watch())
    await _poll(world, lambda: time.sleep(0.4))
    watching.cancel()
    assert len(gaps) > 20
    assert max(gaps) < 0.3


@pytest.mark.parametrize("answer", [Skip("no caf\udce9"), Fire({"name": "caf\udce9"}, key="caf\udce9")])
async def test_odd_names_of_files_are_kept_with_their_escapes(world: World, answer: Any) -> None:
    await _poll(world, lambda: answer, times=2)
    assert all("udce9" in event["error"] for event in world.events() if event["status"] == "skipped")
    assert "skipped" in world.statuses()
    assert "failed" not in world.statuses()
    if isinstance(answer, Fire):
        assert [start.inputs for start in world.runs.started] == [answer.payload]


async def test_an_error_with_an_odd_name_is_that_of_the_event(world: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "wingbeat")  # a report of pytest cannot hold it

    def poll() -> None:
        raise ValueError("no caf\udce9")

    await _poll(world, poll)
    assert world.events()[0]["error"] == "ValueError: no caf\\udce9"
