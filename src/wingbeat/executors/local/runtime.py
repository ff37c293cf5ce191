"""The SDK's runtime inside a process that forks: imported ahead, made quiet before the fork, awakened after it.

Only this file knows the insides of the SDK; whatever it does not find as expected makes its actions start cold.
"""

import atexit
import gc
import importlib
import os
import random
import shutil
import sys
import tempfile
import threading
import time
import types
from pathlib import Path
from typing import Any, NoReturn

from wingbeat.executors.local import process

ENTRY_POINTS = {"a0": ("flyte._bin.runtime", "main")}
"""Programs that can run in a fork, and the function that their console script calls."""

_PRELOADED = (
    "anyio",
    "certifi",
    "faulthandler",
    "flyte._code_bundle.bundle",
    "flyte._internal.controllers.remote._client",
    "flyte._internal.resolvers.default",
    "flyte._internal.runtime.convert",
    "flyte._internal.runtime.entrypoints",
    "flyte._internal.runtime.io",
    "flyte._internal.runtime.taskrunner",
    "flyte._utils.asyncify",
    "flyte.git",
    "flyte.remote._client.auth._interceptors.default_metadata",
    "flyte.remote._client.auth._interceptors.retry",
    "flyte.remote._client.auth._session",
    "flyte.remote._client.controlplane",
    "flyte.storage._storage",
    "httpcore._backends.auto",
    "obstore.fsspec",
    "obstore.store",
    "opentelemetry.metrics",
    "opentelemetry.propagate",
    "opentelemetry.trace",
    "pyqwest._glue",
)
_HTTP_CLIENTS_OF_A_RUN = 2
_PATIENCE = 5.0
"""Seconds that a thread of the SDK may take to end."""
_SSL_VARIABLES = {"SSL_CERT_FILE", "SSL_CERT_DIR", "SSLKEYLOGFILE"}


class NotQuiet(Exception):
    """The process cannot be forked safely."""


def preload() -> None:
    """Import what a real run imports and leave exactly one thread behind. Raises NotQuiet, or what an import raises."""
    for module, _ in ENTRY_POINTS.values():
        importlib.import_module(module)
    for module in _PRELOADED:
        _import_if_there(module)
    _stock_ssl_contexts()
    _stop_background_loop()
    _check_alone()
    gc.collect()
    gc.freeze()


def run(argv: tuple[str, ...]) -> NoReturn:
    """Be the program `argv[0]`, in a fork, as its console script would; ends the process with its exit code."""
    gc.enable()
    _start_background_loop()
    _become_main_module(argv)
    random.seed()
    tempfile.tempdir = None
    module, function = ENTRY_POINTS[argv[0]]
    entry_point = getattr(importlib.import_module(module), function)
    with _Ending() as ending:
        ending.code = _as_exit_code(entry_point())
    _finish(ending.code)


class _Ending:
    """Does what the interpreter does with what a program does not catch."""

    code = 0

    def __enter__(self) -> "_Ending":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: types.TracebackType | None
    ) -> bool:
        if isinstance(error, SystemExit):
            self.code = _as_exit_code(error.code)
        elif kind is not None and error is not None:
            sys.excepthook(kind, error, traceback.tb_next if traceback else None)
            self.code = 1
        return True


def _import_if_there(module: str) -> None:
    """Another release of the SDK may have moved it: the action imports it then."""
    try:
        importlib.import_module(module)
    except ImportError:
        return


def _stock_ssl_contexts() -> None:
    """Read the certificates before the fork: 40 ms of CPU for each of two HTTP clients that a run makes, seldom uses.

    Each context is given away once, so that no two clients share one, as they would not without us.
    """
    transports: Any = importlib.import_module("httpx._transports.default")
    create = transports.create_ssl_context
    stock = [create(trust_env=False) for _ in range(_HTTP_CLIENTS_OF_A_RUN)]

    def take(verify: Any = True, cert: Any = None, trust_env: bool = True) -> Any:
        as_usual = verify is True and cert is None and not (trust_env and _SSL_VARIABLES & os.environ.keys())
        return stock.pop() if as_usual and stock else create(verify, cert, trust_env)

    transports.create_ssl_context = take


def _background_loop() -> Any:
    return importlib.import_module("flyte.syncify").syncify._bg_loop


def _stop_background_loop() -> None:
    """The SDK starts a thread when it is imported, which a fork would not have: calls into it would hang for ever."""
    background = _background_loop()
    background.stop()
    background.thread.join(_PATIENCE)
    background.loop.close()
    atexit.unregister(background.stop)


def _check_alone() -> None:
    # A thread that was joined may need a moment to leave the kernel.
    patience = time.monotonic() + _PATIENCE
    while (threads := process.thread_count()) > 1:
        if time.monotonic() > patience:
            raise NotQuiet(f"{threads} threads are left after the imports, a fork would keep one of them")
        time.sleep(0.005)


def _start_background_loop() -> None:
    background = _background_loop()
    background.__init__(name=background.thread.name)


def _become_main_module(argv: tuple[str, ...]) -> None:
    script = shutil.which(argv[0], path=os.environ.get("PATH")) or argv[0]
    main = types.ModuleType("__main__")
    main.__file__ = script
    sys.modules["__main__"] = main
    # The first entry is where the interpreter found the program it was started with.
    sys.path[0] = str(Path(script).parent)
    sys.argv = [script, *argv[1:]]


def _as_exit_code(value: object) -> int:
    """What the interpreter makes of the argument of `sys.exit`."""
    if value is None:
        return 0
    if isinstance(value, int):
        return value & 0xFF
    sys.stderr.write(f"{value}\n")
    return 1


def _finish(code: int) -> NoReturn:
    """End as the interpreter would, without the time it takes to destroy what was imported."""
    shutdown_of_threads: Any = vars(threading)["_shutdown"]
    run_exit_functions: Any = vars(atexit)["_run_exitfuncs"]
    try:
        shutdown_of_threads()
        run_exit_functions()
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)
