import pytest

from tests.simulation.scenario import play

SEEDS = range(16)


@pytest.mark.parametrize("seed", SEEDS)
async def test_nothing_an_adversary_does_loses_or_doubles_a_slot(seed: int) -> None:
    moves: list[str] = []
    try:
        await play(seed, moves.append)
    except AssertionError as violation:
        violation.add_note("\n".join([*moves[-30:], f"python -m tests.simulation.replay {seed}"]))
        raise
