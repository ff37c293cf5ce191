"""The moves of the adversary: what happens to programs, to the clock, and to triggers."""

from collections.abc import Awaitable, Callable
from datetime import timedelta

from tests.deployed import TASK
from tests.simulation import owners
from tests.simulation.owners import change, one_of
from tests.simulation.simulation import SECOND, Simulation
from tests.simulation.world import Fault, Killed, Program, interrupted, killed
from wingbeat.core.project import Project, ProjectState
from wingbeat.core.schedule import next_after
from wingbeat.errors import Unavailable
from wingbeat.operations import projects

MOST_STATEMENTS = 30
Move = Callable[[Simulation], Awaitable[None]]


async def let_one_go_on(world: Simulation) -> None:
    """Some database calls of one program; so it is often amid a round when others move."""
    program = world.random.choice(world.programs)
    calls = world.random.randint(1, 3)
    world.tell(f"{program.name} goes on for {calls}")
    for _ in range(calls):
        await _go_on(world, program)


async def let_one_do_a_round(world: Simulation) -> None:
    program = world.random.choice(world.programs)
    world.tell(f"{program.name} does a round")
    while program.amid:
        await _go_on(world, program)
    pause = await program.round()
    world.tell(f"{program.name} would sleep for {pause}")
    await world.observe()
    await world.check_prompt(program)


async def kill_one(world: Simulation) -> None:
    program = world.random.choice(world.programs)
    statements = world.random.randint(0, MOST_STATEMENTS)
    after_commit = world.random.random() < 0.3
    world.tell(f"{program.name} dies " + ("after a COMMIT" if after_commit else f"after {statements} statements"))
    fault = killed(statements, after_commit=after_commit)
    try:
        while not await program.go_on(fault):
            pass
    except Killed:
        pass
    await world.observe()
    await world.replace_program(program)


async def interrupt_one(world: Simulation) -> None:
    program = world.random.choice(world.programs)
    statements = world.random.randint(0, MOST_STATEMENTS)
    world.tell(f"{program.name} loses the database after {statements} statements")
    await _go_on(world, program, interrupted(statements))


async def let_time_pass(world: Simulation) -> None:
    step = _some_time(world, world.tempo.longest_pause)
    if world.random.random() < 0.25:
        step = _time_to_a_slot(world) or step
    world.tell(f"{step} pass")
    world.clock.forward(step)


async def step_the_clock(world: Simulation) -> None:
    longest = world.random.choice((SECOND, world.tempo.longest_pause, world.tempo.longest_jump))
    step = _some_time(world, longest) * world.random.choice((1, -1))
    world.tell(f"the clock steps by {step / SECOND:+} s")
    world.clock.step(step)
    for asked in world.backfills.values():
        asked.earliest = min(asked.earliest, world.clock.now)


async def end_runs(world: Simulation) -> None:
    count = world.random.randint(1, 50)
    world.tell(f"{count} runs end")
    await world.end_runs(count)


async def poison(world: Simulation) -> None:
    history = one_of(world, lambda each: each.id not in world.poisoned)
    if history is not None:
        world.tell(f"poison {history.name.name}")
        world.poisoned.add(history.id)


async def heal(world: Simulation) -> None:
    if world.poisoned:
        healed = world.random.choice(sorted(world.poisoned))
        world.tell(f"heal {world.by_id()[healed].name.name}")
        world.poisoned.remove(healed)


async def archive(world: Simulation) -> None:
    await _set_state(world, ProjectState.ARCHIVED)


async def make_active_again(world: Simulation) -> None:
    await _set_state(world, ProjectState.ACTIVE)


WEIGHTS: dict[Move, int] = {
    let_one_go_on: 30,
    let_one_do_a_round: 15,
    let_time_pass: 30,
    step_the_clock: 4,
    kill_one: 6,
    interrupt_one: 3,
    owners.deploy: 6,
    owners.pause: 3,
    owners.pause_for_a_while: 2,
    owners.resume: 4,
    owners.delete: 1,
    owners.roll_back: 2,
    owners.fire_by_hand: 1,
    owners.take_a_name: 3,
    owners.ask_for_backfill: 3,
    owners.steer_backfill: 2,
    end_runs: 6,
    poison: 2,
    heal: 3,
    archive: 1,
    make_active_again: 2,
}


async def _go_on(world: Simulation, program: Program, fault: Fault | None = None) -> None:
    try:
        await program.go_on(fault)
    except Unavailable:
        world.tell(f"{program.name} gives up its round")
    await world.observe()


async def _set_state(world: Simulation, state: ProjectState) -> None:
    name = "other" if world.random.random() < 0.5 else TASK.project
    world.tell(f"make project {name} {state.name.lower()}")
    project = Project(name, name, "", b"", state)
    if await change(world, lambda tx: projects.update(tx, project)):
        (world.archived.add if state.archived else world.archived.discard)(name)


def _time_to_a_slot(world: Simulation) -> timedelta | None:
    """To the very moment, where mistakes of one instant show."""
    history = one_of(world, lambda each: each.active)
    if history is None or history.current.schedule is None:
        return None
    slot = next_after(history.current.schedule, world.clock.now, history.current.anchor)
    return slot and min(slot - world.clock.now, world.tempo.longest_pause)


def _some_time(world: Simulation, longest: timedelta) -> timedelta:
    """Whole seconds half of the time, because slots are."""
    seconds = world.random.uniform(0, longest / SECOND)
    return timedelta(seconds=round(seconds) if world.random.random() < 0.5 else round(seconds, 3))
