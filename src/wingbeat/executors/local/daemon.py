"""Leaving the process that called: nobody's child, in a session of its own, telling the caller when it is ready."""

import os
import sys
from pathlib import Path

_READY = b"ready"
_FIRST_OWN_DESCRIPTOR = 3


def daemonize(log: Path) -> int:
    """Return in the daemon; the calling process waits for `report_ready` and ends, with 1 if it never comes.

    The daemon's stdout and stderr are appended to `log`. Returns what `report_ready` takes.
    """
    # A caller on uvloop leaves copies of our standard streams open in us, and would wait for their end.
    os.closerange(_FIRST_OWN_DESCRIPTOR, os.sysconf("SC_OPEN_MAX"))
    reader, writer = os.pipe()
    if os.fork() > 0:
        os.close(writer)
        with os.fdopen(reader, "rb") as pipe:
            ready = pipe.read() == _READY
        os._exit(0 if ready else 1)
    os.close(reader)
    os.setsid()
    os.chdir("/")
    _redirect(log)
    return writer


def report_ready(writer: int) -> None:
    os.write(writer, _READY)
    os.close(writer)


def _redirect(log: Path) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    nothing = os.open(os.devnull, os.O_RDONLY)
    output = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    for source, target in ((nothing, 0), (output, 1), (output, 2)):
        os.dup2(source, target)
    os.close(nothing)
    os.close(output)
