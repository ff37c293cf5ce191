"""`Result`: what came out or what went wrong, as a value; and the time of day."""

from typing import Generic, TypeVar, final

from wingbeat.clock import system_clock as utc_now

__all__ = ["Result", "utc_now"]

TOk = TypeVar("TOk")
TErr = TypeVar("TErr")


@final
class Result(Generic[TOk, TErr]):
    """Success (`Result.Ok(value)`) or failure (`Result.Err(error)`); neither a value nor an error is ever None."""

    __module__ = "wingbeat"
    __slots__ = ("_err", "_ok")

    def __init__(self, ok: TOk | None = None, err: TErr | None = None) -> None:
        """Raises ValueError unless exactly one of the two is given."""
        if (ok is None) == (err is None):
            raise ValueError(f"a result has a value or an error: ok is {ok!r} and err is {err!r}")
        self._ok = ok
        self._err = err

    @classmethod
    def _of_value(cls, value: TOk) -> "Result[TOk, TErr]":
        return cls(ok=value)

    @classmethod
    def _of_error(cls, error: TErr) -> "Result[TOk, TErr]":
        return cls(err=error)

    Ok = _of_value
    Err = _of_error

    def is_ok(self) -> bool:
        return self._ok is not None

    def is_err(self) -> bool:
        return self._err is not None

    def ok(self) -> TOk | None:
        return self._ok

    def err(self) -> TErr | None:
        return self._err

    def unwrap(self) -> TOk:
        """The value; raises ValueError that says the error."""
        if self._ok is None:
            raise ValueError(f"Called unwrap on Err: {self._err}")
        return self._ok

    def unwrap_err(self) -> TErr:
        """The error; raises ValueError that says the value."""
        if self._err is None:
            raise ValueError(f"Called unwrap_err on Ok: {self._ok}")
        return self._err

    def __repr__(self) -> str:
        return f"Ok({self._ok!r})" if self.is_ok() else f"Err({self._err!r})"
