"""The agent: a process of its own that starts actions and tells of them, whatever becomes of the server that asked.

It answers on a socket that only its user can reach, keeps nothing but what is in its directory, and may be killed at
any time.
"""

import argparse
import asyncio
import logging
import os
import signal
import sys
import time
from pathlib import Path

from wingbeat.executors.local.attempts import Attempts
from wingbeat.executors.local.commands import Commands
from wingbeat.executors.local.daemon import daemonize, report_ready
from wingbeat.executors.local.home import AgentHome
from wingbeat.executors.local.protocol import LINE_LIMIT
from wingbeat.executors.local.zygotes import Zygotes

log = logging.getLogger(__name__)

_BUSY_TICK = 0.25
"""Seconds between two notes of how far the logs have grown."""
_IDLE_TICK = 1.0
_IDLE_LIMIT = 600.0


def main() -> None:
    parser = argparse.ArgumentParser(description="the agent of Wingbeat's local executor; started by the executor")
    parser.add_argument("--dir", type=Path, required=True, help="directory of the agent and its actions")
    parser.add_argument("--idle-limit", type=float, default=_IDLE_LIMIT, help="seconds without client and work")
    options = parser.parse_args()
    home = AgentHome(options.dir.absolute())
    home.prepare()
    ready = daemonize(home.log)
    logging.basicConfig(format="%(asctime)s agent %(process)d %(levelname)s %(message)s", level=logging.INFO)
    lock = home.lock()
    if lock is None:
        report_ready(ready)
        sys.exit(0)
    asyncio.run(_serve(home, ready, options.idle_limit))
    os.close(lock)


async def _serve(home: AgentHome, ready: int, idle_limit: float) -> None:
    zygotes = Zygotes(os.environ)
    attempts = Attempts(home.actions, zygotes)
    commands = Commands(attempts, zygotes)
    attempts.adopt()
    socket = home.choose_socket()
    server = await asyncio.start_unix_server(commands.serve, socket, limit=LINE_LIMIT)
    socket.chmod(0o600)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, commands.ending.set)
    log.info("listening: socket=%s unfinished=%s", socket, attempts.unfinished)
    report_ready(ready)
    await _live(home, attempts, commands, idle_limit)
    log.info("ending: unfinished=%s", attempts.unfinished)
    server.close()
    await zygotes.close()
    home.discard_socket()


async def _live(home: AgentHome, attempts: Attempts, commands: Commands, idle_limit: float) -> None:
    """Until told to end, without a home, or of no use for `idle_limit` seconds."""
    identity = home.identity()
    last_use = time.monotonic()
    while not commands.ending.is_set() and time.monotonic() - last_use < idle_limit and home.identity() == identity:
        attempts.index_logs()
        if attempts.unfinished or commands.clients:
            last_use = time.monotonic()
        await _either(commands.ending, _BUSY_TICK if attempts.unfinished else _IDLE_TICK)
    if home.identity() != identity:
        attempts.stop_all("the directory of the agent is gone")


async def _either(event: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return


if __name__ == "__main__":
    main()
