"""How many next fires a second the cron engine computes; others are measured beside it where they are installed.

Run it with `python benchmarks/bench_cron.py`. It takes a few seconds: each cell is the best of some slices of fixed
length, for a neighbour on the machine can only slow them down.
"""

import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from importlib import import_module
from importlib.util import find_spec
from itertools import cycle
from time import perf_counter
from zoneinfo import ZoneInfo

from wingbeat.core.cron import parse

NOW = datetime(2026, 11, 20, 12, 3, 7, tzinfo=UTC)
SLICES = 5
SECONDS_A_SLICE = 0.1
TARGET = 300_000
"""Of ours a second, for the first `NEAR` expressions, whose next fire is within the hour."""
NEAR = 2
MOMENTS = [NOW + timedelta(seconds=137 * step) for step in range(1000)]
EXPRESSIONS = ("*/5 * * * *", "0 * * * *", "30 2 * * *", "0 9 * * 1-5", "0 0 1 * *", "0 0 29 2 *", "0 0 31 2 *")
ZONES = ("UTC", "Europe/Berlin")

Next = Callable[[datetime], datetime | None]
Engine = Callable[[str, str], Next]


def wingbeat(expression: str, zone: str) -> Next:
    return parse(expression, zone).next_after


def brute_force(expression: str, zone: str) -> Next:
    """Every minute is asked whether it matches, for two days at most: what the bit masks save."""
    cron, rules = parse(expression, zone), ZoneInfo(zone)
    minutes, hours, months, days = cron._minutes, cron._hours, cron._months, cron._days

    def next_after(moment: datetime) -> datetime | None:
        at = moment.replace(second=0, microsecond=0)
        for _ in range(2 * 24 * 60):
            at += timedelta(minutes=1)
            wall = at.astimezone(rules)
            first_weekday = (wall.isoweekday() - wall.day + 1) % 7
            if (
                minutes >> wall.minute & 1
                and hours >> wall.hour & 1
                and months >> wall.month & 1
                and days[first_weekday] >> wall.day - 1 & 1
            ):
                return at
        return None

    return next_after


def croniter(expression: str, zone: str) -> Next:
    library, rules = import_module("croniter"), ZoneInfo(zone)
    iterator = library.croniter(expression, NOW.astimezone(rules))
    return lambda moment: iterator.get_next(datetime, start_time=moment.astimezone(rules))


def cronsim(expression: str, zone: str) -> Next:
    """An iterator of cronsim cannot be moved, so each call reads the expression again."""
    library, rules = import_module("cronsim"), ZoneInfo(zone)

    def next_after(moment: datetime) -> datetime | None:
        try:
            return next(library.CronSim(expression, moment.astimezone(rules)))
        except library.CronSimError as refused:
            raise ValueError(expression) from refused

    return next_after


def rate(next_after: Next) -> float:
    """Calls a second over moments near now, after a first call that fills the caches."""
    next_after(NOW)
    return max(sliced(next_after) for _ in range(SLICES))


def sliced(next_after: Next) -> float:
    began = perf_counter()
    for calls, moment in enumerate(cycle(MOMENTS), 1):
        next_after(moment)
        elapsed = perf_counter() - began
        if elapsed > SECONDS_A_SLICE:
            return calls / elapsed
    raise AssertionError("cycle never ends")


def cell(engine: Engine, expression: str, zone: str) -> float | None:
    try:
        return rate(engine(expression, zone))
    except (ValueError, StopIteration):  # how croniter and cronsim say that it never fires
        return None


def main() -> None:
    engines: list[Engine] = [wingbeat, brute_force]
    engines += [engine for engine in (croniter, cronsim) if find_spec(engine.__name__)]
    print(f"{'next fires a second':32}" + "".join(f"{engine.__name__:>14}" for engine in engines))
    missed: list[str] = []
    for zone in ZONES:
        for expression in EXPRESSIONS:
            rates = [cell(engine, expression, zone) for engine in engines]
            cells = "".join(f"{'refused' if found is None else f'{found:,.0f}':>14}" for found in rates)
            print(f"{expression:16}{zone:16}{cells}")
            if expression in EXPRESSIONS[:NEAR] and (rates[0] or 0) < TARGET:
                missed.append(f"{expression} in {zone}")
    if missed:
        sys.exit(f"fewer than {TARGET:,} a second: {', '.join(missed)}")


if __name__ == "__main__":
    main()
