"""The local executor passes the suite of all executors, warm and cold, and survives the death of each of its parts."""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest

import wingbeat
from tests.executors.conformance import (
    LIMIT,
    ExecutorConformance,
    launch_of,
    log_of,
    outcome,
    run,
    shell,
    until,
    until_logged,
)
from wingbeat.core.launch import ExecutionPhase, ExitReason, Launch
from wingbeat.errors import StartError
from wingbeat.executors.local.action_dir import ActionDir, Processes
from wingbeat.executors.local.executor import LocalExecutor
from wingbeat.executors.local.home import AgentHome


class TestWarm(ExecutorConformance):
    @pytest.fixture
    async def executor(self, home: Path) -> AsyncGenerator[LocalExecutor]:
        async with started(home, warm=True) as executor:
            yield executor


class TestCold(ExecutorConformance):
    @pytest.fixture
    async def executor(self, home: Path) -> AsyncGenerator[LocalExecutor]:
        async with started(home, warm=False) as executor:
            yield executor


@asynccontextmanager
async def started(home: Path, *, warm: bool = False) -> AsyncGenerator[LocalExecutor]:
    executor = LocalExecutor(home, warm=warm)
    await executor.start()
    yield executor
    await executor.close()


@pytest.fixture(scope="class")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A directory whose agent is gone when the tests are."""
    directory = tmp_path_factory.mktemp("executor")
    yield directory
    end(directory)


@pytest.fixture
def own_home(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    end(tmp_path)


def end(home: Path) -> None:
    """Without its directory an agent ends, and all that it runs."""
    with contextlib.suppress(FileNotFoundError, psutil.NoSuchProcess):
        agent = agent_of(home)
        shutil.rmtree(home)
        agent.terminate()
        # A zombie has ended, too; how soon it is buried is the business of the machine's first process.
        while agent.status() != psutil.STATUS_ZOMBIE:
            time.sleep(0.02)


def agent_of(home: Path) -> psutil.Process:
    return psutil.Process(json.loads((home / "agent.json").read_text())["pid"])


def zygotes_of(home: Path) -> list[psutil.Process]:
    return [child for child in agent_of(home).children() if "wingbeat.executors.local.zygote" in child.cmdline()]


async def processes_of(executor: LocalExecutor, home: Path, launch: Launch) -> Processes:
    await until(executor, launch.key, ExecutionPhase.RUNNING)
    processes = ActionDir.of(home / "actions", launch.key).processes()
    assert processes is not None
    return processes


async def until_gone(*pids: int) -> None:
    async with asyncio.timeout(LIMIT):
        while any(psutil.pid_exists(pid) and psutil.Process(pid).status() != "zombie" for pid in pids):
            await asyncio.sleep(0.02)


async def test_an_agent_that_is_killed_is_replaced_and_its_attempts_go_on(own_home: Path) -> None:
    async with started(own_home) as executor:
        running, queued = shell("echo up; while [ ! -e go ]; do sleep 0.02; done; exit 5"), shell("exit 6")
        await executor.launch(running)
        await until_logged(executor, running, b"up")
        agent_of(own_home).kill()
        await executor.launch(queued)
        assert (await outcome(executor, queued)).exit_code == 6
        assert (await until(executor, running.key, ExecutionPhase.RUNNING)).phase is ExecutionPhase.RUNNING
        (ActionDir.of(own_home / "actions", running.key).cwd / "go").touch()
        assert (await outcome(executor, running)).exit_code == 5


async def test_an_attempt_that_ends_without_an_agent_keeps_its_exit_code(own_home: Path) -> None:
    async with started(own_home) as executor:
        launch = shell("echo up; sleep 0.1; exit 5")
        await executor.launch(launch)
        await until_logged(executor, launch, b"up")
        keeper = (await processes_of(executor, own_home, launch)).keeper.pid
    agent_of(own_home).kill()
    await until_gone(keeper)
    async with started(own_home) as executor:
        status = await outcome(executor, launch)
        assert (status.reason, status.exit_code) == (ExitReason.ERROR, 5)


async def test_an_attempt_is_lost_when_nobody_saw_its_end(own_home: Path) -> None:
    async with started(own_home) as executor:
        launch = shell("echo up; while [ ! -e go ]; do sleep 0.02; done")
        await executor.launch(launch)
        await until_logged(executor, launch, b"up")
        os.kill((await processes_of(executor, own_home, launch)).keeper.pid, signal.SIGKILL)
        assert (await until(executor, launch.key, ExecutionPhase.RUNNING)).phase is ExecutionPhase.RUNNING
        (ActionDir.of(own_home / "actions", launch.key).cwd / "go").touch()
        assert (await outcome(executor, launch)).reason is ExitReason.LOST


async def test_an_attempt_without_keeper_can_still_be_stopped(own_home: Path) -> None:
    async with started(own_home) as executor:
        launch = shell("trap '' TERM; echo up; while true; do sleep 0.05; done", grace=0.2)
        await executor.launch(launch)
        await until_logged(executor, launch, b"up")
        processes = await processes_of(executor, own_home, launch)
        os.kill(processes.keeper.pid, signal.SIGKILL)
        await executor.stop(launch.key, "enough")
        assert (await outcome(executor, launch)).reason is ExitReason.ABORTED
        assert not processes.main.alive


async def test_a_server_that_is_killed_leaves_its_attempts_to_the_next(own_home: Path) -> None:
    launch = shell("echo up; while [ ! -e go ]; do sleep 0.02; done; exit 5")
    server = f"""
        import asyncio
        from pathlib import Path
        from wingbeat.core.launch import Launch
        from wingbeat.executors.local.executor import LocalExecutor

        async def main():
            executor = LocalExecutor(Path({str(own_home)!r}), warm=False)
            await executor.start()
            await executor.launch({launch!r})
            async for chunk in executor.logs({launch.key!r}):
                print("launched", flush=True)
            await asyncio.sleep(60)

        asyncio.run(main())
    """
    with subprocess.Popen([sys.executable, "-c", textwrap.dedent(server)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"launched\n"
        process.kill()
    async with started(own_home) as executor:
        [status] = (await executor.status([launch.key])).values()
        assert status is not None
        assert status.phase is ExecutionPhase.RUNNING
        (ActionDir.of(own_home / "actions", launch.key).cwd / "go").touch()
        assert (await outcome(executor, launch)).exit_code == 5


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux hands orphans to the keeper")
@pytest.mark.parametrize(
    "script",
    [
        pytest.param("setsid sleep 61 & echo $!; wait", id="a child with a session of its own"),
        pytest.param("(setsid sleep 61 & echo $!); sleep 60", id="an orphan with a session of its own"),
        pytest.param("trap '' TERM; (sleep 61 & echo $!); sleep 60", id="an orphan of its group that ignores SIGTERM"),
    ],
)
async def test_stop_leaves_no_process(own_home: Path, script: str) -> None:
    async with started(own_home) as executor:
        launch = shell(script, grace=0.2)
        await executor.launch(launch)
        grandchild = int(await until_logged(executor, launch, b"\n"))
        await executor.stop(launch.key, "enough")
        assert (await outcome(executor, launch)).reason is ExitReason.ABORTED
        await until_gone(grandchild)


async def test_what_an_attempt_leaves_behind_ends_with_it(own_home: Path) -> None:
    async with started(own_home) as executor:
        launch = shell("setsid sleep 61 & echo $!")
        status = await run(executor, launch)
        assert status.reason is ExitReason.COMPLETED
        await until_gone(int(await log_of(executor, launch)))


async def test_nothing_of_the_servers_environment_leaks_in(own_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("UCTL_CONFIG", "FLYTECTL_CONFIG", "PYTHONPATH", "VIRTUAL_ENV", "SECRET"):
        monkeypatch.setenv(name, "/of/the/server")
    async with started(own_home) as executor:
        launch = launch_of("env", env={"OWN": "1", "FLYTE_DISABLE_SENTRY": "0"})
        await run(executor, launch)
        variables = dict(line.split("=", 1) for line in (await log_of(executor, launch)).decode().splitlines())
    assert variables.keys() <= {"FLYTE_DISABLE_SENTRY", "HOME", "LANG", "OWN", "PATH", "PYTHONUNBUFFERED", "TMPDIR"}
    assert variables["PATH"].startswith(str(Path(sys.executable).parent))
    assert variables["FLYTE_DISABLE_SENTRY"] == "0"


@pytest.mark.parametrize("warm", [pytest.param(True, id="warm"), pytest.param(False, id="cold")])
async def test_the_runtime_of_the_sdk_runs(own_home: Path, *, warm: bool) -> None:
    async with started(own_home, warm=warm) as executor:
        launch = launch_of("a0", "--help")
        assert (await run(executor, launch)).reason is ExitReason.COMPLETED
        assert b"Usage: a0 [OPTIONS]" in await log_of(executor, launch)
        assert ["--warm" in zygote.cmdline() for zygote in zygotes_of(own_home)] == [warm]
        wrong = launch_of("a0", "--no-such-option")
        assert (await run(executor, wrong)).exit_code == 2


async def test_variables_of_the_interpreter_make_a_cold_start(own_home: Path) -> None:
    async with started(own_home, warm=True) as executor:
        launch = launch_of("a0", "--help", env={"PYTHONWARNINGS": "ignore"})
        assert (await run(executor, launch)).reason is ExitReason.COMPLETED
        assert ["--warm" in zygote.cmdline() for zygote in zygotes_of(own_home)].count(False) == 1


async def test_a_zygote_that_is_killed_is_replaced_and_what_it_forked_goes_on(own_home: Path) -> None:
    async with started(own_home) as executor:
        running = shell("echo up; while [ ! -e go ]; do sleep 0.02; done; exit 5")
        await executor.launch(running)
        await until_logged(executor, running, b"up")
        [zygote] = zygotes_of(own_home)
        zygote.kill()
        assert (await run(executor, shell("exit 6"))).exit_code == 6
        (ActionDir.of(own_home / "actions", running.key).cwd / "go").touch()
        assert (await outcome(executor, running)).exit_code == 5


async def test_no_launch_pays_for_the_zygotes_that_others_lost(own_home: Path) -> None:
    async with started(own_home) as executor:
        launches = [shell("echo ran; exit 4") for _ in range(32)]
        await asyncio.gather(*(executor.launch(launch) for launch in launches))
        for number in (2, 8, 14, 20):
            await outcome(executor, launches[number])
            for zygote in zygotes_of(own_home):
                zygote.kill()
        for launch in launches:
            assert (await outcome(executor, launch)).exit_code == 4
            assert await log_of(executor, launch) == b"ran\n"


async def test_the_agent_ends_when_told_but_not_while_something_runs(own_home: Path) -> None:
    executor = LocalExecutor(own_home, warm=False)
    await executor.start()
    agent = agent_of(own_home)
    launch = shell("sleep 60")
    await executor.launch(launch)
    assert not await executor.end_agent()
    await executor.start()
    await executor.stop(launch.key, "end of the day")
    await outcome(executor, launch)
    assert await executor.end_agent()
    await until_gone(agent.pid)


async def test_the_agent_ends_when_nobody_needs_it(own_home: Path) -> None:
    executor = LocalExecutor(own_home, warm=False, agent_idle_limit=0.1)
    await executor.start()
    agent = agent_of(own_home)
    await executor.close()
    await until_gone(agent.pid)


async def test_the_agent_ends_with_its_directory_and_so_does_what_it_runs(own_home: Path) -> None:
    async with started(own_home) as executor:
        launch = shell("echo up; sleep 60")
        await executor.launch(launch)
        await until_logged(executor, launch, b"up")
        agent, processes = agent_of(own_home), await processes_of(executor, own_home, launch)
    shutil.rmtree(own_home)
    await until_gone(agent.pid, processes.keeper.pid, processes.main.pid)


async def test_an_agent_of_another_release_is_replaced_while_its_attempts_go_on(
    own_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with started(own_home) as executor:
        launch = shell("echo up; while [ ! -e go ]; do sleep 0.02; done; exit 5")
        await executor.launch(launch)
        await until_logged(executor, launch, b"up")
        old = agent_of(own_home)
    monkeypatch.setattr(wingbeat, "__version__", "99")
    async with started(own_home) as executor:
        assert agent_of(own_home).pid != old.pid
        (ActionDir.of(own_home / "actions", launch.key).cwd / "go").touch()
        assert (await outcome(executor, launch)).exit_code == 5


async def test_two_executors_that_start_at_once_share_one_agent(own_home: Path) -> None:
    async with started(own_home) as first, started(own_home) as second:
        launch = shell("exit 3")
        await first.launch(launch)
        assert (await outcome(second, launch)).exit_code == 3


async def test_a_directory_with_a_long_name_is_fine(own_home: Path) -> None:
    directory = own_home / ("long" * 40)
    async with started(directory) as executor:
        assert AgentHome(directory).socket() != directory / "agent.sock"
        assert (await run(executor, shell("true"))).exit_code == 0
        agent = agent_of(directory)
    shutil.rmtree(directory)
    await until_gone(agent.pid)


async def test_only_its_user_can_reach_the_agent_or_read_a_launch(own_home: Path) -> None:
    async with started(own_home) as executor:
        launch = shell("true", env={"TOKEN": "secret"})
        await run(executor, launch)
        socket = AgentHome(own_home).socket()
        assert socket is not None
        private = [own_home, ActionDir.of(own_home / "actions", launch.key).path]
        assert [path.stat().st_mode & 0o777 for path in private] == [0o700, 0o700]
        assert socket.stat().st_mode & 0o777 == 0o600


async def test_a_directory_that_cannot_be_used_is_said_to_be_so(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StartError, match="file"):
        await LocalExecutor(tmp_path / "file").start()


async def test_a_quiet_log_gives_signs_of_life(own_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wingbeat.executors.local.executor._SIGN_OF_LIFE", 0.1)
    async with started(own_home) as executor:
        launch = shell("sleep 0.5; echo late")
        await executor.launch(launch)
        chunks = [chunk async for chunk in executor.logs(launch.key)]
        assert chunks[0] is None
        assert chunks[-1] is not None


async def test_each_launch_runs_once_however_often_the_agent_is_killed(own_home: Path) -> None:
    async with started(own_home) as executor:
        launches = [shell("echo ran; exit 4") for _ in range(24)]

        async def launch_all() -> None:
            for launch in launches:
                await asyncio.gather(executor.launch(launch), executor.launch(launch))

        launching = asyncio.create_task(launch_all())
        for number in (3, 10, 17):
            await until(executor, launches[number].key, ExecutionPhase.STARTING)
            agent_of(own_home).kill()
        await launching
        for launch in launches:
            status = await outcome(executor, launch)
            assert (status.reason, status.exit_code) == (ExitReason.ERROR, 4)
            assert await log_of(executor, launch) == b"ran\n"


@pytest.mark.parametrize(
    "fork",
    [
        pytest.param("subprocess.Popen(['sleep', '61']).pid", id="without the lock"),
        pytest.param("os.fork() or time.sleep(61)", id="an heir of the lock"),
        pytest.param("os.fork() or os.setsid() or time.sleep(61)", id="an heir of the lock with its own session"),
    ],
)
async def test_an_attempt_without_keeper_is_over_when_its_process_is(own_home: Path, fork: str) -> None:
    async with started(own_home) as executor:
        code = f"import os, subprocess, time; print({fork}, flush=True); time.sleep(60)"
        launch = launch_of("python", "-c", code)
        await executor.launch(launch)
        left_behind = int(await until_logged(executor, launch, b"\n"))
        processes = await processes_of(executor, own_home, launch)
        os.kill(processes.keeper.pid, signal.SIGKILL)
        os.kill(processes.main.pid, signal.SIGKILL)
        try:
            assert (await outcome(executor, launch)).reason is ExitReason.LOST
            if "setsid" not in fork:
                await until_gone(left_behind)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(left_behind, signal.SIGKILL)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux starts warm")
async def test_a_zygote_that_cannot_import_the_sdk_makes_a_cold_start(own_home: Path) -> None:
    async with started(own_home, warm=True) as executor:
        # Most of the SDK, which is not needed for help, reads this number when it is imported.
        launch = launch_of("a0", "--help", env={"_F_TE_MAX_COROS": "none"})
        assert (await run(executor, launch)).reason is ExitReason.COMPLETED
        assert b"ValueError" in (own_home / "agent.log").read_bytes()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux starts warm")
async def test_attempts_share_a_zygote_unless_the_sdk_reads_a_difference_at_import(own_home: Path) -> None:
    alike = [{"_F_PN": "one", "_F_SYS_PATH": "./a"}, {"_F_PN": "two", "RUN_NAME": "r"}]
    async with started(own_home, warm=True) as executor:
        for env in alike:
            await run(executor, launch_of("a0", "--help", env=env))
        assert len(zygotes_of(own_home)) == 1
        await run(executor, launch_of("a0", "--help", env={"LOG_LEVEL": "10"}))
        assert len(zygotes_of(own_home)) == 2
