"""Code of the program that a command is about: found from the current directory, and free to raise what it likes."""

import sys
import traceback
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from wingbeat.cli.compose.refusals import in_one_line
from wingbeat.errors import InvalidArgument, WingbeatError

_TELLING = (ImportError, AttributeError, ValueError, TypeError)
"""Errors whose text says what is wrong with a reference; of others the kind and the place are worth knowing."""


@contextmanager
def called(what: str) -> Generator[None]:
    """Modules of the current directory are found here; whatever their code raises is an InvalidArgument in one line.

    `what` is what could not be done.
    """
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, here)
    try:
        yield
    except WingbeatError:
        raise
    except _TELLING as error:
        raise InvalidArgument(f"{what}: {in_one_line(error)}") from error
    except Exception as error:
        raise InvalidArgument(f"{what}: {_kind_and_place(error)}") from error


def _kind_and_place(error: Exception) -> str:
    said = " ".join(f"{type(error).__name__}: {error}".split())
    if isinstance(error, SyntaxError):
        return said
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{said} ({Path(last.filename).name}, line {last.lineno})"
