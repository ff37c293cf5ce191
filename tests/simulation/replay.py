"""Replay one seed and show every move: `python -m tests.simulation.replay SEED`."""

import argparse
import asyncio

from tests.simulation.scenario import MOVES, play


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("seed", type=int)
    options.add_argument("--moves", type=int, default=MOVES)
    chosen = options.parse_args()
    slots = asyncio.run(play(chosen.seed, print, moves=chosen.moves))
    print(f"seed {chosen.seed}: {slots} slots, every one covered once")


if __name__ == "__main__":
    main()
