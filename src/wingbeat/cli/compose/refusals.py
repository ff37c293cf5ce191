"""What the library refuses, in the words of the command line."""

from collections.abc import Generator
from contextlib import contextmanager

from pydantic import ValidationError

from wingbeat.errors import InvalidArgument, NotFound, Unavailable


@contextmanager
def refusals() -> Generator[None]:
    """KeyError, ValueError and TimeoutError of the library become errors that end a command with one line."""
    try:
        yield
    except KeyError as error:
        raise NotFound(str(error.args[0])) from error
    except ValueError as error:
        raise InvalidArgument(in_one_line(error)) from error
    except TimeoutError as error:
        raise Unavailable(str(error)) from error


def in_one_line(error: Exception) -> str:
    """What pydantic says over many lines, with the places where it is wrong."""
    if not isinstance(error, ValidationError):
        return " ".join(str(error).split())
    return "; ".join(": ".join(filter(None, (_place(each["loc"]), each["msg"]))) for each in error.errors())


def _place(steps: tuple[int | str, ...]) -> str:
    return ".".join(map(str, steps))
