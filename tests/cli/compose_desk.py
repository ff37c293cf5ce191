"""`wingbeat compose` typed at a terminal, in this process or in one of its own."""

import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wingbeat.cli.compose.command import main

REPOSITORY = Path(__file__).parent.parent.parent
APP = ("--app", "tests.cli.market:program")


@dataclass(frozen=True)
class Typed:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        assert self.code == 0, self.err
        return json.loads(self.out)

    @property
    def complaint(self) -> str:
        """The one line that a command which failed has said."""
        assert self.code == 1, self
        assert self.err.startswith("wingbeat: ")
        assert self.err.count("\n") == 1
        return self.err

    @property
    def usage(self) -> str:
        """What the last line says of a command that was typed wrong."""
        assert self.code == 2, self
        return self.err.splitlines()[-1]


@dataclass(frozen=True)
class ComposeDesk:
    data: Path = Path("data")
    says_so: bool = True

    def __call__(self, *arguments: str) -> Typed:
        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err):
            try:
                code = main([*self._place, *arguments])
            except SystemExit as end:
                code = int(end.code or 0)
        return Typed(code, out.getvalue(), err.getvalue())

    @property
    def _place(self) -> tuple[str, ...]:
        return ("--data", str(self.data)) if self.says_so else ()

    def process(self, *arguments: str, **environment: str) -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", "wingbeat", "compose", *self._place, *arguments]
        return subprocess.Popen(
            command,
            cwd=REPOSITORY,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY), **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


def wait_until(happened: Callable[[], bool], *, seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)
