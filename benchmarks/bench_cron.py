"""How many next fires a second the cron engine computes; others are measured beside it where they are installed.

Run it with `python benchmarks/bench_cron.py`. It takes a few seconds: each cell is measured for a fixed time.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from importlib import import_module
from importlib.util import find_spec
from itertools import cycle
from time import perf_counter
from zoneinfo import ZoneInfo

from wingbeat.core.cron import parse

NOW = datetime(2026, 11, 20, 12, 3, 7, tzinfo=UTC)
SECONDS_A_CELL = 0.25
MOMENTS = [NOW + timedelta(seconds=137 * step) for step in range(1000)]
EXPRESSIONS = ("*/5 * * * *", "0 * * * *", "30 2 * * *", "0 9 * * 1-5", "0 0 1 * *", "0 0 29 2 *", "0 0 31 2 *")
ZONES = ("UTC", "Europe/Berlin")

Next = Callable[[datetime], datetime | None]


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
    return lambda moment: library.croniter(expression, moment.astimezone(rules)).get_next(datetime)


def cronsim(expression: str, zone: str) -> Next:
    library, rules = import_module("cronsim"), ZoneInfo(zone)
    return lambda moment: next(library.CronSim(expression, moment.astimezone(rules)))


def rate(next_after: Next) -> float:
    """Calls a second over moments near now, after a first call that fills the caches."""
    next_after(NOW)
    began = perf_counter()
    for calls, moment in enumerate(cycle(MOMENTS), 1):
        next_after(moment)
        elapsed = perf_counter() - began
        if elapsed > SECONDS_A_CELL:
            return calls / elapsed
    raise AssertionError("cycle never ends")


def cell(engine: Callable[[str, str], Next], expression: str, zone: str) -> str:
    try:
        return f"{rate(engine(expression, zone)):,.0f}"
    except (ValueError, StopIteration) as error:  # how croniter and cronsim say that it never fires
        return type(error).__name__


def main() -> None:
    engines: list[Callable[[str, str], Next]] = [wingbeat, brute_force]
    engines += [engine for engine in (croniter, cronsim) if find_spec(engine.__name__)]
    print(f"{'next fires a second':32}" + "".join(f"{engine.__name__:>14}" for engine in engines))
    for zone in ZONES:
        for expression in EXPRESSIONS:
            cells = "".join(f"{cell(engine, expression, zone):>14}" for engine in engines)
            print(f"{expression:16}{zone:16}{cells}")


if __name__ == "__main__":
    main()
