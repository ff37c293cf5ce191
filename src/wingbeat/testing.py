"""For tests of programs that use Wingbeat: a clock that stands still until it is moved."""

from datetime import UTC, datetime, timedelta

__all__ = ["FakeClock"]

T0 = datetime(2026, 1, 1, tzinfo=UTC)


class FakeClock:
    """`TriggerStore(path, clock=FakeClock())`, then `clock.forward(...)` and `await manager.tick()`."""

    def __init__(self, now: datetime = T0) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def forward(self, step: timedelta) -> None:
        """Backward, when it is negative."""
        self.now += step
