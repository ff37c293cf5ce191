"""Calls that several want at the same time are made once: the first makes it, the others wait for what it brings."""

from collections.abc import Generator, Hashable
from concurrent.futures import Future
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from threading import Lock

_making: ContextVar[tuple[Hashable, ...]] = ContextVar("_making", default=())


@dataclass(slots=True)
class Flight:
    """One call. `landed` gets what it brought, its error, or None when it was given up: then somebody else may try."""

    first: bool = True
    landed: Future[str | None] = field(default_factory=Future[str | None])


class Flights:
    """The calls that are being made, by their keys; for all threads and event loops of the process."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._landed: dict[Hashable, Future[str | None]] = {}

    def join(self, key: Hashable) -> Flight:
        """Raises RuntimeError when the call that is being made asks for itself, which would wait for ever."""
        with self._lock:
            landed = self._landed.get(key)
            if landed is None:
                flight = Flight()
                self._landed[key] = flight.landed
                return flight
        if key in _making.get():
            raise RuntimeError(f"the call {key!r} waits for its own result")
        return Flight(first=False, landed=landed)

    @contextmanager
    def made(self, key: Hashable, flight: Flight) -> Generator[None]:
        """Around the call of whoever is first; the body sets the result."""
        token = _making.set((*_making.get(), key))
        try:
            yield
        except Exception as error:
            flight.landed.set_exception(error)
            raise
        finally:
            _making.reset(token)
            with self._lock:
                del self._landed[key]
            if not flight.landed.done():
                flight.landed.set_result(None)


def making_a_call() -> bool:
    """Whether this code runs inside of such a call."""
    return bool(_making.get())
