"""One seed from its beginning to its end."""

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.simulation.moves import WEIGHTS, let_time_pass
from tests.simulation.owners import deploy
from tests.simulation.simulation import Simulation

MOVES = 150
AUDIT_EVERY = 15


async def play(seed: int, tell: Callable[[str], None], *, moves: int = MOVES) -> int:
    """Raises Violation. How many slots there were."""
    directory = Path(tempfile.mkdtemp(prefix="wingbeat-simulation-", dir=_memory()))
    world = Simulation(seed, directory, tell)
    try:
        with world.poisoning():
            await world.open(programs=world.random.randint(1, 4), triggers=world.random.randint(1, 5))
            for _ in world.histories:
                await deploy(world)
                await let_time_pass(world)
            for number in range(moves):
                (move,) = world.random.choices(list(WEIGHTS), list(WEIGHTS.values()))
                await move(world)
                if number % AUDIT_EVERY == 0:
                    await world.audit()
            await world.settle()
            return sum(len(history.owed(world.clock.now)) for history in world.histories)
    finally:
        await world.close()
        shutil.rmtree(directory)


def _memory() -> str | None:
    """Simulated crashes do not cut the power, so nothing needs to reach a disk."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None
