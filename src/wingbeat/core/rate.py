"""A token bucket: how many runs may start now. Pure: the caller says what time it is, in seconds of a steady clock."""

from dataclasses import dataclass


@dataclass(slots=True)
class TokenBucket:
    """`rate` tokens a second, at most `burst` at once; a rate of 0 is no limit. It begins full."""

    rate: float
    burst: int
    _tokens: float = 0.0
    _at: float | None = None

    def take(self, wanted: int, now: float) -> int:
        """As many of the `wanted` tokens as there are."""
        if self.rate <= 0:
            return wanted
        self._fill(now)
        taken = min(wanted, int(self._tokens))
        self._tokens -= taken
        return taken

    def give_back(self, unused: int) -> None:
        """Return tokens that were taken and not used. Negative: more was used than taken, and is owed."""
        if self.rate > 0:
            self._tokens = min(self._tokens + unused, self._most)

    def seconds_to_next(self, now: float) -> float:
        """How long until there is a whole token."""
        if self.rate <= 0:
            return 0.0
        self._fill(now)
        return max(0.0, (1 - self._tokens) / self.rate)

    @property
    def _most(self) -> float:
        return max(1, self.burst)

    def _fill(self, now: float) -> None:
        passed = 0.0 if self._at is None else max(0.0, now - self._at)
        self._tokens = self._most if self._at is None else min(self._most, self._tokens + passed * self.rate)
        self._at = now
