"""How a fresh fork becomes the action: own session, own directory, its log as stdout and stderr, nothing inherited."""

import contextlib
import os
import shutil
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

from wingbeat.core.launch import Launch
from wingbeat.executors.local import runtime
from wingbeat.executors.local.action_dir import ActionDir

_NEVER_RAN = 127
"""The exit code that a shell gives for this."""


def become(action: ActionDir, launch: Launch, *, warm: bool, lock: int, permission: int, failure: int) -> NoReturn:
    """Never returns. The action runs once `permission` says something, and not at all when that closes in silence.

    What keeps it from starting is written to `failure`, which closes when it runs.
    """
    os.setsid()
    _reset_signals()
    if not os.read(permission, 1):
        os._exit(_NEVER_RAN)
    env = {**os.environ, **launch.env}
    try:
        _redirect(action)
        os.chdir(action.cwd)
        if not warm:
            _execute(launch.argv, env, lock)
    except OSError as error:
        os.write(failure, str(error).encode())
        os._exit(_NEVER_RAN)
    _close_inherited(but=lock)
    _replace_environment(env)
    runtime.run(launch.argv)


def find_program(program: str, env: Mapping[str, str]) -> str:
    """Where `program` is: in the action's PATH, else beside the environment's Python. Raises FileNotFoundError."""
    beside = str(Path(sys.executable).parent)
    found = shutil.which(program, path=os.pathsep.join([env.get("PATH", os.defpath), beside]))
    if found is None:
        raise FileNotFoundError(f"there is no program {program!r} in the PATH of the action")
    return found


def _execute(argv: tuple[str, ...], env: Mapping[str, str], lock: int) -> NoReturn:
    program = find_program(argv[0], env)
    os.set_inheritable(lock, True)
    # Python ignores SIGPIPE, and a program that we become would inherit that.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    os.execve(program, argv, env)


def _reset_signals() -> None:
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGTERM, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])


def _redirect(action: ActionDir) -> None:
    """The action writes to its log itself: no reader whose end would end it too."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    log = os.open(action.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.dup2(nothing, 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(nothing)
    os.close(log)


def _close_inherited(*, but: int) -> None:
    for entry in list(Path("/dev/fd").iterdir()):
        descriptor = int(entry.name)
        if descriptor > 2 and descriptor != but:
            # The listing had a descriptor of its own.
            with contextlib.suppress(OSError):
                os.close(descriptor)


def _replace_environment(env: Mapping[str, str]) -> None:
    os.environ.clear()
    os.environ.update(env)
