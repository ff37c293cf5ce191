import asyncio

from wingbeat.server.keeping import Loop, kept_going
from wingbeat.store.changes import Changes


async def test_loops_run_until_the_end_and_finish_the_round_they_are_in() -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def tick() -> float | None:
        begun.set()
        await asyncio.sleep(0)
        ended.set()
        return None

    async with kept_going([Loop("slow", tick)], Changes()):
        await begun.wait()
    assert ended.is_set()


async def test_a_change_wakes_the_loops_that_care() -> None:
    changes = Changes()
    rounds: asyncio.Queue[str] = asyncio.Queue()

    def loop(name: str, topic: str) -> Loop:
        async def tick() -> float | None:
            rounds.put_nowait(name)
            return None

        return Loop(name, tick, (topic,), idle_seconds=60)

    async with kept_going([loop("queue", "queue"), loop("schedule", "schedule")], changes):
        assert {await rounds.get(), await rounds.get()} == {"queue", "schedule"}
        await asyncio.sleep(0)
        changes.publish(["schedule"])
        assert await rounds.get() == "schedule"


async def test_one_that_only_listens_is_not_waited_for() -> None:
    listening = asyncio.Event()

    async def tick() -> float | None:
        listening.set()
        await asyncio.Event().wait()
        return None

    async with asyncio.timeout(5), kept_going([Loop("listener", tick, listens=True)], Changes()):
        await listening.wait()
