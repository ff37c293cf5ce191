"""What every executor must do: the test class of one inherits `ExecutorConformance` and has a fixture `executor`."""

import asyncio
import contextlib
import itertools
import re
import sys
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta

import pytest

from wingbeat.core.launch import ExecutionPhase, ExitReason, Launch, Status
from wingbeat.errors import FailedPrecondition
from wingbeat.executors.base import Executor, Synced

LIMIT = 30.0
"""Seconds after which a test that waits has failed."""

_numbers = itertools.count(1)


def shell(script: str, *, env: dict[str, str] | None = None, image: str = "", grace: float = 5.0) -> Launch:
    """A launch with a key of its own that runs a shell script."""
    return launch_of("sh", "-c", script, env=env, image=image, grace=grace)


def launch_of(*argv: str, env: dict[str, str] | None = None, image: str = "", grace: float = 5.0) -> Launch:
    key = f"project/development/run{next(_numbers)}/a0/1"
    return Launch(key=key, argv=argv, env=env or {}, image=image, output_prefix="file:///nowhere", grace=grace)


async def until(executor: Executor, key: str, phase: ExecutionPhase) -> Status:
    """The first status in this phase or a later one."""
    phases = list(ExecutionPhase)
    async with asyncio.timeout(LIMIT):
        while True:
            async with contextlib.aclosing(watching(executor)) as statuses:
                async for status in statuses:
                    if (
                        isinstance(status, Status)
                        and status.key == key
                        and phases.index(status.phase) >= phases.index(phase)
                    ):
                        return status


async def watching(executor: Executor) -> AsyncGenerator[Status | Synced]:
    async for status in executor.watch():
        yield status


async def outcome(executor: Executor, launch: Launch) -> Status:
    return await until(executor, launch.key, ExecutionPhase.EXITED)


async def run(executor: Executor, launch: Launch) -> Status:
    await executor.launch(launch)
    return await outcome(executor, launch)


async def log_of(executor: Executor, launch: Launch, offset: int = 0, *, follow: bool = True) -> bytes:
    async with asyncio.timeout(LIMIT):
        return b"".join([chunk.data async for chunk in executor.logs(launch.key, offset, follow=follow) if chunk])


async def until_logged(executor: Executor, launch: Launch, text: bytes) -> bytes:
    """What was logged up to and including a line with `text`."""
    logged = b""
    async with asyncio.timeout(LIMIT):
        while True:
            async for chunk in executor.logs(launch.key, len(logged)):
                logged += chunk.data if chunk else b""
                if text in logged:
                    return logged
            # The launch was accepted and its log may not exist yet.
            await asyncio.sleep(0.02)


class ExecutorConformance:
    @pytest.mark.parametrize(
        ("script", "reason", "exit_code"),
        [
            pytest.param("true", ExitReason.COMPLETED, 0, id="exit code 0 is completed"),
            pytest.param("exit 7", ExitReason.ERROR, 7, id="another exit code is an error"),
        ],
    )
    async def test_exit_codes(self, executor: Executor, script: str, reason: ExitReason, exit_code: int) -> None:
        status = await run(executor, shell(script))
        assert (status.reason, status.exit_code, status.signal) == (reason, exit_code, None)

    async def test_a_signal_is_told_from_an_exit_code(self, executor: Executor) -> None:
        status = await run(executor, shell("kill -SEGV $$"))
        assert (status.reason, status.exit_code, status.signal) == (ExitReason.SIGNAL, None, 11)

    async def test_the_times_of_an_attempt_enclose_its_run(self, executor: Executor) -> None:
        before = datetime.now(UTC)
        status = await run(executor, shell("true"))
        assert status.started_at is not None
        assert status.ended_at is not None
        assert before <= status.started_at <= status.ended_at <= datetime.now(UTC)

    async def test_a_program_that_is_not_there_fails_to_start_and_says_so(self, executor: Executor) -> None:
        status = await run(executor, launch_of("no-such-program"))
        assert status.reason is ExitReason.START_FAILED
        assert "no-such-program" in status.message

    async def test_launching_a_key_twice_at_once_runs_it_once(self, executor: Executor) -> None:
        launch = shell("echo ran")
        await asyncio.gather(executor.launch(launch), executor.launch(launch), executor.launch(launch))
        await outcome(executor, launch)
        assert await log_of(executor, launch) == b"ran\n"

    async def test_launching_a_finished_key_leaves_its_outcome(self, executor: Executor) -> None:
        launch = shell("echo ran; exit 3")
        first = await run(executor, launch)
        await executor.launch(launch)
        assert (await executor.status([launch.key]))[launch.key] == first
        assert await log_of(executor, launch) == b"ran\n"

    async def test_stop_ends_a_running_attempt(self, executor: Executor) -> None:
        launch = shell("echo up; sleep 60")
        await executor.launch(launch)
        await until_logged(executor, launch, b"up")
        await executor.stop(launch.key, "no longer wanted")
        status = await outcome(executor, launch)
        assert (status.reason, status.signal, status.message) == (ExitReason.ABORTED, 15, "no longer wanted")

    async def test_stop_kills_what_ignores_it_after_the_grace(self, executor: Executor) -> None:
        launch = shell("trap '' TERM; echo up; while true; do sleep 0.1; done", grace=0.3)
        await executor.launch(launch)
        await until_logged(executor, launch, b"up")
        await executor.stop(launch.key, "enough")
        status = await outcome(executor, launch)
        assert (status.reason, status.signal) == (ExitReason.ABORTED, 9)

    async def test_stop_right_after_launch_ends_it_before_or_while_it_starts(self, executor: Executor) -> None:
        launches = [shell("sleep 60") for _ in range(5)]
        for launch in launches:
            await executor.launch(launch)
            await executor.stop(launch.key, "changed my mind")
        for launch in launches:
            assert (await outcome(executor, launch)).reason is ExitReason.ABORTED

    async def test_stop_of_an_unknown_or_finished_key_is_fine(self, executor: Executor) -> None:
        launch = shell("true")
        finished = await run(executor, launch)
        await executor.stop("project/development/never/a0/1", "why not")
        await executor.stop(launch.key, "too late")
        assert (await executor.status([launch.key]))[launch.key] == finished

    async def test_an_unknown_key_has_no_status_and_an_empty_log(self, executor: Executor) -> None:
        unknown = shell("true")
        assert await executor.status([unknown.key]) == {unknown.key: None}
        assert await log_of(executor, unknown) == b""

    async def test_watch_replays_what_is_known_then_says_so_then_tells_changes(self, executor: Executor) -> None:
        old, new = shell("true"), shell("true")
        await run(executor, old)
        replayed: list[Status] = []
        told: list[Status] = []
        synced = False
        async with asyncio.timeout(LIMIT), contextlib.aclosing(watching(executor)) as statuses:
            async for status in statuses:
                if isinstance(status, Synced):
                    synced = True
                    await executor.launch(new)
                elif not synced:
                    replayed.append(status)
                elif status.key == new.key:
                    told.append(status)
                    if status.phase is ExecutionPhase.EXITED:
                        break
        assert [status.phase for status in replayed if status.key == old.key] == [ExecutionPhase.EXITED]
        revisions = [status.rev for status in told]
        assert revisions == sorted(set(revisions))

    async def test_a_log_is_followed_while_it_is_written(self, executor: Executor) -> None:
        launch = shell("echo one; sleep 0.3; echo two; echo three >&2; printf end")
        await executor.launch(launch)
        seen = [chunk async for chunk in executor.logs(launch.key) if chunk]
        assert b"".join(chunk.data for chunk in seen) == b"one\ntwo\nthree\nend"
        assert seen[0].data == b"one\n"

    async def test_chunks_of_a_log_are_whole_lines_at_their_offsets_and_times(self, executor: Executor) -> None:
        launch = shell("i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done")
        before = datetime.now(UTC)
        await executor.launch(launch)
        offset = 0
        async for chunk in executor.logs(launch.key):
            if chunk is not None:
                assert chunk.offset == offset
                assert chunk.data.endswith(b"\n")
                assert chunk.at is not None
                assert before - timedelta(seconds=1) <= chunk.at <= datetime.now(UTC) + timedelta(seconds=1)
                offset += len(chunk.data)
        assert offset == sum(len(f"line {i}\n") for i in range(20000))

    async def test_a_log_is_read_from_an_offset(self, executor: Executor) -> None:
        launch = shell("echo one; echo two; echo three")
        await run(executor, launch)
        assert await log_of(executor, launch, 4) == b"two\nthree\n"
        assert await log_of(executor, launch, 4, follow=False) == b"two\nthree\n"
        assert await log_of(executor, launch, 14) == b""

    async def test_a_log_that_is_not_followed_ends_while_the_attempt_goes_on(self, executor: Executor) -> None:
        launch = shell("echo up; sleep 60")
        await executor.launch(launch)
        await until_logged(executor, launch, b"up\n")
        assert await log_of(executor, launch, follow=False) == b"up\n"
        await executor.stop(launch.key, "seen enough")
        await outcome(executor, launch)

    @pytest.mark.parametrize(
        ("image", "says"),
        [
            pytest.param("docker.io/library/redis:7", "docker.io/library/redis:7", id="a foreign image"),
            pytest.param(
                "ghcr.io/flyteorg/flyte:py3.7-v2.12.1",
                f"Python 3.7, the server runs Python {sys.version_info.major}.{sys.version_info.minor}",
                id="another Python",
            ),
        ],
    )
    async def test_an_image_it_cannot_provide(self, executor: Executor, image: str, says: str) -> None:
        status = await run(executor, shell("true", image=image))
        assert status.reason is ExitReason.INVALID_IMAGE
        assert re.search(re.escape(says), status.message)

    async def test_the_release_image_of_this_python_is_provided(self, executor: Executor) -> None:
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        script = "python -c 'import sys; print(sys.prefix)'"
        launch = shell(script, image=f"ghcr.io/flyteorg/flyte:py{version}-v2.12.1")
        assert (await run(executor, launch)).reason is ExitReason.COMPLETED
        assert await log_of(executor, launch) == f"{sys.prefix}\n".encode()

    async def test_an_attempt_has_its_variables_and_no_input(self, executor: Executor) -> None:
        launch = shell('echo "$GREETING $(cat)"', env={"GREETING": "hello\nworld"})
        await run(executor, launch)
        assert await log_of(executor, launch) == b"hello\nworld \n"

    async def test_each_attempt_has_an_empty_directory_of_its_own(self, executor: Executor) -> None:
        first, second = shell("ls -A; touch mine; pwd"), shell("ls -A; touch mine; pwd")
        await asyncio.gather(run(executor, first), run(executor, second))
        places = {await log_of(executor, first), await log_of(executor, second)}
        assert len(places) == 2
        assert all(place.count(b"\n") == 1 for place in places)

    async def test_forget_removes_a_finished_attempt(self, executor: Executor) -> None:
        launch = shell("echo gone soon")
        await run(executor, launch)
        await executor.forget(launch.key)
        await executor.forget(launch.key)
        assert await executor.status([launch.key]) == {launch.key: None}
        assert await log_of(executor, launch) == b""

    async def test_forget_refuses_an_attempt_that_goes_on(self, executor: Executor) -> None:
        launch = shell("sleep 60")
        await executor.launch(launch)
        with pytest.raises(FailedPrecondition, match="stop it"):
            await executor.forget(launch.key)
        await executor.stop(launch.key, "over")
        await outcome(executor, launch)
        await executor.forget(launch.key)

    async def test_many_attempts_at_once(self, executor: Executor) -> None:
        launches = [shell(f"exit {number % 3}") for number in range(40)]
        await asyncio.gather(*[executor.launch(launch) for launch in launches])
        for number, launch in enumerate(launches):
            assert (await outcome(executor, launch)).exit_code == number % 3

    async def test_a_closed_executor_is_started_again_and_finds_what_ran_on(self, executor: Executor) -> None:
        launch = shell("echo up; sleep 0.3; exit 5")
        await executor.launch(launch)
        await until_logged(executor, launch, b"up")
        await executor.close()
        await executor.start()
        assert (await outcome(executor, launch)).exit_code == 5
