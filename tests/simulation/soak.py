"""Thousands of simulations: `python -m tests.simulation.soak --seeds 2000 --seconds 600`.

Ends with the first seed that violates an invariant, and with the command that replays it.
"""

import argparse
import asyncio
import itertools
import sys
import time

from tests.simulation.scenario import play


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seeds", type=int, default=2000, help="how many")
    options.add_argument("--first", type=int, default=0, help="the first one")
    options.add_argument("--seconds", type=float, default=600.0, help="end after this time whatever is left")
    chosen = options.parse_args()
    began = time.monotonic()
    slots = played = 0
    for seed in itertools.islice(itertools.count(chosen.first), chosen.seeds):
        if time.monotonic() - began > chosen.seconds:
            break
        outcome = asyncio.run(_outcome(seed))
        if isinstance(outcome, BaseException):
            sys.exit(f"seed {seed}: {outcome!r}\n{sys.executable} -m tests.simulation.replay {seed}")
        slots += outcome
        played += 1
    print(f"{played} seeds, {slots} slots, every one covered once, in {time.monotonic() - began:.0f} s")


async def _outcome(seed: int) -> int | BaseException:
    (outcome,) = await asyncio.gather(play(seed, lambda _: None), return_exceptions=True)
    return outcome


if __name__ == "__main__":
    main()
