"""Cron as people write it for embedded triggers: 5 fields, or 6 with seconds first, in any time zone."""

from wingbeat.core import schedule
from wingbeat.core.cron import Cron
from wingbeat.errors import InvalidArgument


def check_schedule(expression: str, timezone: str | None = None) -> None:
    """Raise ValueError that names the field, unless this is a schedule that fires some time."""
    try:
        found = schedule.parse_embedded(expression.strip(), timezone or "")
    except InvalidArgument as error:
        raise ValueError(str(error)) from error
    if isinstance(found, Cron) and not found.fires:
        raise ValueError(f"cron expression {expression!r} names a date that never comes")
