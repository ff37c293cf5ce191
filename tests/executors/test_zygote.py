"""A fork of a warm zygote is like a program that was started: it has its own variables, main module and exit code."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Generator
from pathlib import Path

import pytest

from tests.executors.conformance import LIMIT, launch_of
from wingbeat.executors.local import protocol
from wingbeat.executors.local.action_dir import ActionDir, Exit, Spec

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux forks warm")

PROBE = """
import sys

def main():
    exec(sys.argv[1], {"sys": sys})
"""
START = """
from wingbeat.executors.local import runtime, zygote
runtime.ENTRY_POINTS["probe"] = ("probe", "main")
zygote.main()
"""


class Zygote:
    """A warm zygote with one more program, `probe`, which runs the Python code it is given."""

    def __init__(self, place: Path) -> None:
        self._actions = place / "actions"
        self._actions.mkdir()
        (place / "probe.py").write_text(PROBE)
        self._socket, theirs = socket.socketpair()
        self._socket.settimeout(LIMIT)
        self.process = subprocess.Popen(
            [sys.executable, "-c", START, "--socket", str(theirs.fileno()), "--warm"],
            env={"PYTHONPATH": str(place), "PATH": os.environ["PATH"], "OF_THE_ZYGOTE": "1"},
            pass_fds=[theirs.fileno()],
        )
        theirs.close()
        self._answers = self._socket.makefile("rb")
        self.refused = protocol.decode(self._answers.readline())["refused"]

    def close(self) -> None:
        self._answers.close()
        self._socket.close()
        assert self.process.wait(LIMIT) == 0

    def run(self, code: str, env: dict[str, str] | None = None) -> tuple[Exit, str]:
        """The outcome of the code and what it has written."""
        action = ActionDir.create(self._actions, Spec(launch_of("probe", code, env=env), warm=True))
        self._socket.sendall(protocol.encode({"path": str(action.path)}))
        assert protocol.decode(self._answers.readline()) == {"path": str(action.path)}
        patience = time.monotonic() + LIMIT
        while (outcome := action.exit()) is None:
            assert time.monotonic() < patience
            time.sleep(0.005)
        return outcome, action.log.read_text()


@pytest.fixture(scope="module")
def zygote(tmp_path_factory: pytest.TempPathFactory) -> Generator[Zygote]:
    zygote = Zygote(tmp_path_factory.mktemp("zygote"))
    assert zygote.refused is None
    yield zygote
    zygote.close()


@pytest.mark.parametrize(
    ("code", "exit_code"),
    [
        pytest.param("pass", 0, id="returning is success"),
        pytest.param("sys.exit()", 0, id="sys.exit without argument is success"),
        pytest.param("sys.exit(3)", 3, id="sys.exit with a number is that number"),
        pytest.param("sys.exit('no')", 1, id="sys.exit with a text is 1"),
        pytest.param("1 / 0", 1, id="an exception is 1"),
        pytest.param("import os; os._exit(9)", 9, id="os._exit is obeyed"),
    ],
)
def test_exit_codes(zygote: Zygote, code: str, exit_code: int) -> None:
    assert zygote.run(code)[0].exit_code == exit_code


def test_a_signal_ends_it(zygote: Zygote) -> None:
    assert zygote.run("import os; os.kill(os.getpid(), 15)")[0].signal == 15


def test_last_words_are_written(zygote: Zygote) -> None:
    assert zygote.run("sys.exit('no')")[1] == "no\n"
    assert zygote.run("sys.stdout.write('no newline')")[1] == "no newline"
    assert "ZeroDivisionError: division by zero\n" in zygote.run("1 / 0")[1]
    assert "wingbeat" not in zygote.run("1 / 0")[1]


def test_threads_are_waited_for_and_exit_functions_run(zygote: Zygote) -> None:
    code = """
import atexit, threading, time
atexit.register(print, 'exit function')
threading.Thread(target=lambda: (time.sleep(0.1), print('thread'))).start()
"""
    assert zygote.run(code)[1] == "thread\nexit function\n"


def test_variables_are_those_of_the_zygote_and_the_launch_only(zygote: Zygote) -> None:
    show = "import os; print(sorted(k for k in os.environ if k.startswith('OF_')), os.getenv('OF_THE_LAUNCH'))"
    assert zygote.run(show, {"OF_THE_LAUNCH": "x"})[1] == "['OF_THE_LAUNCH', 'OF_THE_ZYGOTE'] x\n"
    assert zygote.run(show)[1] == "['OF_THE_ZYGOTE'] None\n"


def test_what_one_fork_does_to_its_modules_the_next_does_not_see(zygote: Zygote) -> None:
    assert zygote.run("import flyte; flyte.spoiled = True")[0].exit_code == 0
    assert zygote.run("import flyte; print(hasattr(flyte, 'spoiled'))")[1] == "False\n"


def test_forks_do_not_share_their_random_numbers(zygote: Zygote) -> None:
    numbers = {zygote.run("import random; print(random.random())")[1] for _ in range(3)}
    assert len(numbers) == 3


def test_a_fork_is_alone(zygote: Zygote) -> None:
    code = """
import os, signal
from flyte.syncify import syncify

def target(descriptor):
    return os.readlink(f'/proc/self/fd/{descriptor}')

assert os.getpid() == os.getpgid(0) == os.getsid(0)
assert signal.getsignal(signal.SIGTERM) == signal.getsignal(signal.SIGCHLD) == signal.SIG_DFL
assert not signal.pthread_sigmask(signal.SIG_BLOCK, [])
loop = syncify._bg_loop.loop
own = {target(end.fileno()) for end in (loop._ssock, loop._csock)}
sockets = {target(entry.name) for entry in os.scandir('/proc/self/fd') if os.path.exists(entry.path)}
print({name for name in sockets if name.startswith(('socket:', 'pipe:'))} - own)
"""
    assert zygote.run(code)[1] == "set()\n"


def test_calls_into_the_background_loop_of_the_sdk_work(zygote: Zygote) -> None:
    code = """
from flyte.syncify import syncify

@syncify
async def answer():
    return 42

print(answer())
"""
    assert zygote.run(code)[1] == "42\n"


def test_the_main_module_is_its_own(zygote: Zygote) -> None:
    code = "import __main__; print(sys.argv[0], __main__.__name__, hasattr(__main__, 'zygote'))"
    assert zygote.run(code)[1] == "probe __main__ False\n"
