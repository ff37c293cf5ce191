"""Cron as people write it for embedded triggers: 5 fields, or 6 with seconds first, in any time zone."""

from wingbeat.core import schedule
from wingbeat.errors import InvalidArgument

_FIELDS_WITH_SECONDS = 6


def check_schedule(expression: str, timezone: str | None = None) -> None:
    """Raise ValueError that names the field, unless this is a schedule."""
    try:
        for minutely in _with_minutes(expression.strip()):
            schedule.parse(minutely, timezone or "")
    except InvalidArgument as error:
        raise ValueError(str(error)) from error


def _with_minutes(expression: str) -> list[str]:
    fields = expression.split()
    if len(fields) != _FIELDS_WITH_SECONDS or "=" in fields[0]:
        return [expression]
    return [" ".join(fields[1:]), f"{fields[0]} * * * *"]
