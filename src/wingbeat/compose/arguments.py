"""What the library is called with, checked where it comes in: InvalidArgument names it, its value and what is right."""

from datetime import datetime, timedelta

from wingbeat.errors import InvalidArgument


def check_moment(name: str, moment: object) -> None:
    if not isinstance(moment, datetime):
        raise InvalidArgument(f"{name} is {moment!r}: an aware datetime would be right")
    if moment.utcoffset() is None:
        raise InvalidArgument(f"{name} {moment} has no time zone: add tzinfo=UTC, or the zone you mean")


def checked_limit(limit: object) -> int:
    """A number of rows: a database takes a negative one for no limit."""
    if type(limit) is not int or limit < 0:
        raise InvalidArgument(f"limit is {limit!r}: a whole number of rows, not below zero, would be right")
    return limit


def check_keep(keep: object, *, of: str) -> None:
    """An age, or a number of what is kept."""
    match keep:
        case timedelta() if keep >= timedelta(0):
            return
        case int() if keep >= 0 and not isinstance(keep, bool):
            return
        case _:
            shown = keep if isinstance(keep, timedelta) else repr(keep)
            raise InvalidArgument(
                f"keep is {shown}: an age (a timedelta) or a number of {of}, not below zero, would be right"
            )
