"""A journey that fails until somebody builds the bridge. Whoever does something writes a line in a diary."""

from pathlib import Path

import flyte

env = flyte.TaskEnvironment(name="recoverable")


def write(diary: str, entry: str) -> None:
    with Path(diary).open("a") as opened:
        print(entry, file=opened)


@env.task
async def walk(place: str, diary: str) -> str:
    write(diary, f"walk to {place}")
    return place


@flyte.trace
async def rest(diary: str) -> int:
    write(diary, "rest")
    return 8


@env.task
async def cross(diary: str) -> str:
    write(diary, "cross")
    shore = await walk("shore", diary)
    if not Path(f"{diary}.bridge").exists():
        raise RuntimeError(f"there is no bridge at the {shore}")
    return "other side"


@env.task
async def journey(diary: str) -> list[str]:
    write(diary, "set off")
    forest = await walk("forest", diary)
    hours = await rest(diary)
    return [forest, f"{hours} hours", await cross(diary)]


@env.task
async def send_somebody(diary: str) -> str:
    run = await flyte.run.aio(walk, place="sea", diary=diary)
    return run.name


by_hand = flyte.Trigger(name="by_hand", inputs={"place": "lake", "diary": "nowhere"})


@env.task(triggers=by_hand)
async def wander(place: str, diary: str) -> str:
    write(diary, f"wander to {place}")
    return place
