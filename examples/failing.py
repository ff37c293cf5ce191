"""A task that fails: the error reaches whoever started it, and stays with the run.

See it fail:

    flyte run --follow examples/failing.py divide --numerator 1 --denominator 0
"""

import flyte

env = flyte.TaskEnvironment(name="failing")


@env.task
async def divide(numerator: int, denominator: int) -> float:
    if denominator == 0:
        raise ValueError(f"cannot divide {numerator} by nothing")
    return numerator / denominator
