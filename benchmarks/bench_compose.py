"""The embedded library beside lythonic, in passes that take turns: fires and nodes that are recorded, nodes in memory.
Then ours alone: 100,000 triggers that have nothing to do, and 1,000 that are due at once.

    python benchmarks/bench_compose.py [passes]

The bare baseline is one connection that writes, for each fire, what must be written before its node runs and then the
rest, each with a durable commit. How much faster than lythonic anything can be depends on what the disk takes for one.
"""

import json
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

PASSES = 3
BARE_SECONDS = 0.5
HERE = Path(__file__).parent
Measured = Mapping[str, float]
AT_ONCE = "fires, 100 at once"
"""Lythonic, which ends most of so many with "database is locked", makes them one after the other."""
TABLES = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL;
CREATE TABLE tick (id TEXT PRIMARY KEY, status TEXT, lease REAL);
CREATE TABLE run (id TEXT PRIMARY KEY, status TEXT, started REAL, ended REAL, inputs TEXT, outputs TEXT);
CREATE TABLE node (run TEXT, label TEXT, status TEXT, output TEXT, PRIMARY KEY (run, label));
CREATE TABLE last (name TEXT PRIMARY KEY, run TEXT);
INSERT INTO last VALUES ('t', '');
"""


BLOCKED = "100,000 idle triggers, longest block of the loop, ms"
BLOCKED_ALONE = "longest block of a loop without triggers, ms"
"""What other programs do to it: nothing of ours can be better."""
TRIGGER_TARGETS = {
    "100,000 idle triggers, percent of a core": 1.0,
    BLOCKED: 10.0,
    "1,000 due at once, lateness of the last start, s": 0.5,
}


@dataclass(frozen=True)
class Row:
    """What is measured of both libraries; ours may be at most, or must be at least, so many times lythonic's."""

    name: str
    unit: str
    target: str
    met: Callable[[float, float], bool]


ROWS = (
    Row(AT_ONCE, "/s", "20 times", lambda ours, theirs: ours >= 20 * theirs),
    Row("inline node", "us", "a fifth", lambda ours, theirs: ours <= theirs / 5),
    Row("async node", "us", "a fifth", lambda ours, theirs: ours <= theirs / 5),
    Row("sync node", "us", "a fifth", lambda ours, theirs: ours <= theirs / 5),
    Row("recorded node", "us", "a tenth", lambda ours, theirs: ours <= theirs / 10),
    Row("fibo", "s", "0.2 s", lambda ours, _: ours < 0.2),
)


def measured(program: str, *arguments: str) -> Measured:
    """What a program that is started in an empty directory says at its end."""
    with tempfile.TemporaryDirectory(prefix="wingbeat-bench-") as directory:
        command = [sys.executable, str(HERE / program), *arguments, directory]
        output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return json.loads(output.splitlines()[-1])


def bare() -> Measured:
    """A second: durable commits of one row, and fires."""
    with (
        tempfile.TemporaryDirectory(prefix="wingbeat-bench-") as directory,
        closing(sqlite3.connect(Path(directory, "bare.db"), isolation_level=None)) as connection,
    ):
        connection.executescript(TABLES)
        return {
            "commit": rate(lambda: commit(connection, ("UPDATE last SET run = ?", (str(uuid4()),)))),
            "fire": rate(lambda: bare_fire(connection, str(uuid4()))),
        }


def rate(call: Callable[[], None]) -> float:
    count, began = 0, time.perf_counter()
    while time.perf_counter() < began + BARE_SECONDS:
        call()
        count += 1
    return count / (time.perf_counter() - began)


def bare_fire(connection: sqlite3.Connection, run: str) -> None:
    now = time.time()
    commit(
        connection,
        ("INSERT INTO tick VALUES (?, 'running', ?)", (run, now)),
        ("INSERT INTO run VALUES (?, 'running', ?, NULL, '{}', NULL)", (run, now)),
        ("INSERT INTO node VALUES (?, 'one', 'running', NULL)", (run,)),
    )
    commit(
        connection,
        ("UPDATE node SET status = 'completed', output = '2' WHERE run = ? AND label = 'one'", (run,)),
        ("UPDATE run SET status = 'completed', ended = ?, outputs = '2' WHERE id = ?", (now, run)),
        ("UPDATE tick SET status = 'completed', lease = NULL WHERE id = ?", (run,)),
        ("UPDATE last SET run = ?", (run,)),
    )


def commit(connection: sqlite3.Connection, *statements: tuple[str, Sequence[Any]]) -> None:
    connection.execute("BEGIN IMMEDIATE")
    for sql, values in statements:
        connection.execute(sql, values)
    connection.execute("COMMIT")


def medians(passes: Sequence[Measured]) -> Measured:
    return {name: statistics.median(each[name] for each in passes) for name in passes[0]}


def compared(ours: Measured, theirs: Measured) -> list[str]:
    """Prints each measurement, and returns the names of those that miss."""
    missed: list[str] = []
    for row in ROWS:
        mine, other = ours[row.name], theirs[row.name]
        times = max(mine, other) / min(mine, other)
        met = row.met(mine, other)
        print(
            f"{row.name}: {mine:,.4g} {row.unit}, lythonic {other:,.4g}: {times:.1f} times;"
            f" target {row.target}{'' if met else ': missed'}"
        )
        missed += [] if met else [row.name]
    return missed


def triggers_that_miss(found: Measured) -> list[str]:
    """Prints what was measured of many triggers, and returns what misses."""
    targets = TRIGGER_TARGETS | {BLOCKED: max(TRIGGER_TARGETS[BLOCKED], 2 * found[BLOCKED_ALONE])}
    for name, value in found.items():
        print(f"{name}: {value:.3g}{f', target {targets[name]:.3g}' if name in targets else ''}")
    return [name for name, most in targets.items() if found[name] >= most]


def main() -> None:
    count = int(sys.argv[1]) if sys.argv[1:] else PASSES
    ours: list[Measured] = []
    theirs: list[Measured] = []
    bares: list[Measured] = []
    for _ in range(count):
        bares.append(bare())
        ours.append(measured("compose_load.py", "wingbeat"))
        theirs.append(measured("compose_load.py", "lythonic"))
    mine, other, least = medians(ours), medians(theirs), medians(bares)
    print(f"a durable commit of one row: {1e6 / least['commit']:.0f} us")
    for name, fires in (("bare fire", least["fire"]), ("fires, one after the other", mine["fire"])):
        print(f"{name}: {fires:,.0f} /s: {fires / other['fire']:.1f} times lythonic's")
    missed = compared(mine, {**other, AT_ONCE: other["fire"]})
    missed += triggers_that_miss(measured("compose_triggers.py"))
    if missed:
        sys.exit(f"missed: {', '.join(missed)}")


if __name__ == "__main__":
    main()
