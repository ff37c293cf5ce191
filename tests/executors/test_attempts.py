import asyncio
from pathlib import Path
from typing import Any

from tests.executors.conformance import launch_of
from wingbeat.core.launch import ExecutionPhase, ExitReason
from wingbeat.executors.local.action_dir import Spec
from wingbeat.executors.local.attempts import Attempts


class BrokenZygotes:
    async def start(self, *_: object) -> None:
        raise KeyError("nobody has thought of this")


async def test_an_attempt_that_fails_of_anything_is_reported_lost(tmp_path: Path) -> None:
    zygotes: Any = BrokenZygotes()
    attempts = Attempts(tmp_path, zygotes)
    spec = Spec(launch_of("true"), warm=True)
    await attempts.launch(spec)
    watch = attempts.watch()
    async with asyncio.timeout(5):
        while attempts.unfinished:
            await watch.changed()
            watch.take()
    status = attempts.status([spec.launch.key])[spec.launch.key]
    assert status is not None
    assert (status.phase, status.reason) == (ExecutionPhase.EXITED, ExitReason.LOST)
    assert "nobody has thought of this" in status.message
