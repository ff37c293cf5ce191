"""What the library refuses, in the words of the command line."""

from collections.abc import Generator
from contextlib import contextmanager

from wingbeat.errors import InvalidArgument, NotFound, Unavailable


@contextmanager
def refusals() -> Generator[None]:
    """KeyError, ValueError and TimeoutError of the library become errors that end a command with one line."""
    try:
        yield
    except KeyError as error:
        raise NotFound(str(error.args[0])) from error
    except ValueError as error:
        raise InvalidArgument(str(error)) from error
    except TimeoutError as error:
        raise Unavailable(str(error)) from error
