"""Cron as people write it for embedded triggers: 5 fields, or 6 with seconds first, in any time zone."""

from wingbeat.core import schedule
from wingbeat.errors import InvalidArgument


def check_schedule(expression: str, timezone: str | None = None) -> None:
    """Raise ValueError that names the field, unless this is a schedule."""
    try:
        schedule.parse_embedded(expression.strip(), timezone or "")
    except InvalidArgument as error:
        raise ValueError(str(error)) from error
