import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.executors.conformance import launch_of
from wingbeat.core.launch import ExecutionPhase, ExitReason
from wingbeat.executors.local.action_dir import ActionDir, Spec
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


@pytest.mark.parametrize("name", ["spec.json", "exit.json"])
@pytest.mark.parametrize("content", ["{}", "[]", "1", '{"reason": "no such"}'])
async def test_what_somebody_else_has_written_into_an_attempt_keeps_no_agent_from_starting(
    tmp_path: Path, name: str, content: str
) -> None:
    spec = Spec(launch_of("true"), warm=False)
    tampered = ActionDir.create(tmp_path, spec)
    (tampered.path / name).write_text(content)
    zygotes: Any = BrokenZygotes()
    attempts = Attempts(tmp_path, zygotes)
    attempts.adopt()
    assert attempts.status([spec.launch.key]) == {spec.launch.key: None}
