"""A process that forks keepers, one per attempt, one at a time. It ends with the agent that started it.

A plain zygote starts programs; a warm one has imported the SDK's runtime, so that `a0` need not be started at all.
"""

import argparse
import contextlib
import gc
import logging
import os
import signal
import socket
from pathlib import Path

from wingbeat.executors.local import protocol, runtime
from wingbeat.executors.local.action_dir import ActionDir
from wingbeat.executors.local.keeper import keep

# Not configured: an action would inherit the handlers. Errors reach stderr, which is the agent's log, without.
log = logging.getLogger(__name__)


def main() -> None:
    parser = argparse.ArgumentParser(description="forks the actions of a Wingbeat agent; started by the agent")
    parser.add_argument("--socket", type=int, required=True, help="descriptor of the socket to the agent")
    parser.add_argument("--warm", action="store_true", help="import the SDK's runtime first")
    options = parser.parse_args()
    agent = socket.socket(fileno=options.socket)
    agent.sendall(protocol.encode({"refused": _prepare(warm=options.warm)}))
    # Keepers are not waited for: the kernel buries them.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with agent.makefile("rb") as requests:
        for line in requests:
            action = ActionDir(Path(protocol.decode(line)["path"]))
            _fork_keeper(action, agent, warm=options.warm)
            agent.sendall(protocol.encode({"path": str(action.path)}))


def _prepare(*, warm: bool) -> str | None:
    """Why this process may not fork actions, if so."""
    gc.disable()
    if not warm:
        return None
    try:
        runtime.preload()
    except Exception as error:
        log.exception("not warm")
        return repr(error)
    return None


def _fork_keeper(action: ActionDir, agent: socket.socket, *, warm: bool) -> None:
    """Returns when the attempt runs, or when its keeper has ended."""
    begun, announcement = os.pipe()
    # The keeper must not die of the wish to stop before it listens for it.
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    if os.fork() == 0:
        os.close(begun)
        os.close(agent.detach())
        _be_keeper(action, announcement, warm=warm)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
    os.close(announcement)
    os.read(begun, 1)
    os.close(begun)


def _be_keeper(action: ActionDir, announcement: int, *, warm: bool) -> None:
    def announce() -> None:
        # The zygote may have been killed meanwhile.
        with contextlib.suppress(BrokenPipeError):
            os.write(announcement, b".")

    try:
        keep(action, warm=warm, announce=announce)
    except Exception:
        log.exception("keeper failed: path=%s", action.path)
    finally:
        os._exit(0)


if __name__ == "__main__":
    main()
