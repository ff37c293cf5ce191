"""The only module that reads the wall clock."""

import time
from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]
"""Says what time it is: an aware datetime in UTC."""


def system_clock() -> datetime:
    """By `time.time`, which tests of programs may have patched."""
    return datetime.fromtimestamp(time.time(), UTC)
