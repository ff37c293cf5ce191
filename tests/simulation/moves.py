"""The moves of the adversary: what happens to programs, to the clock, and to triggers."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta

from tests.conftest import T0
from tests.deployed import DEFAULTS as RUN_DEFAULTS
from tests.deployed import DOMAINS, TASK, trigger
from tests.simulation.model import History
from tests.simulation.simulation import SECOND, Simulation
from tests.simulation.world import Fault, Killed, Program, interrupted, killed
from wingbeat.core import policy
from wingbeat.core.ids import Scope, fire_name
from wingbeat.core.policy import DEFAULTS, CatchUp, Overlap, Policies
from wingbeat.core.project import Project, ProjectState
from wingbeat.core.schedule import next_after
from wingbeat.errors import AlreadyExists, FailedPrecondition, Unavailable
from wingbeat.operations import projects, runs, triggers
from wingbeat.operations.runs import RunRequest
from wingbeat.store import triggers as stored
from wingbeat.store.database import Body, Transaction

MOST_STATEMENTS = 30
POLICIES = (
    *(DEFAULTS for _ in range(10)),
    Policies(catch_up=CatchUp.LATEST),
    Policies(catch_up=CatchUp.NONE),
    Policies(catch_up_window=90 * SECOND),
    Policies(jitter=4 * SECOND),
    Policies(jitter=1200 * SECOND, catch_up=CatchUp.LATEST),
    Policies(start=T0 + 300 * SECOND, end=T0 + 600 * SECOND),
    Policies(start=T0 + 7200 * SECOND),
    Policies(end=T0 + 7200 * SECOND, overlap=Overlap.BUFFER_ALL),
    Policies(max_runs=5),
    Policies(overlap=Overlap.SKIP),
    Policies(overlap=Overlap.BUFFER_ONE, jitter=4 * SECOND),
    Policies(overlap=Overlap.BUFFER_ALL, max_runs=20),
    Policies(overlap=Overlap.CANCEL_OTHER),
    Policies(concurrency_key="shared", concurrency_limit=2),
    Policies(concurrency_key="shared", concurrency_limit=3, overlap=Overlap.BUFFER_ONE),
)

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


async def deploy(world: Simulation) -> None:
    history = world.random.choice(world.histories)
    same = bool(history.eras) and world.random.random() < 0.4
    schedule = history.current.schedule if same else world.random.choice(world.tempo.schedules)
    active = world.random.random() < 0.85
    policies = history.current.policies if same else world.random.choice(POLICIES)
    task = world.task_of(history, world.random.choice(("v1", "v2")))
    wanted = replace(trigger(history.name.name, schedule, task=task, active=active), policies=policies)
    world.tell(
        f"deploy {history.name.name} {'active' if active else 'inactive'} with {schedule} {policy.encode(policies)}"
    )

    async def body(tx: Transaction) -> int:
        return (await triggers.deploy(tx, wanted, by="adversary", domains=DOMAINS)).id

    try:
        if not await _change(world, body):
            return
    except FailedPrecondition:
        assert history.name.project in world.archived
        return
    history.changed(schedule, active=active, policies=policies, now=world.clock.now, latest=world.clock.latest)
    found = await world.database.read(lambda tx: stored.find(tx, history.name))
    assert found is not None
    assert found.revision == history.current.revision
    history.id, history.deleted = found.id, False
    await world.observe(by_change=history)


async def pause(world: Simulation) -> None:
    await _set_active(world, active=False)


async def resume(world: Simulation) -> None:
    await _set_active(world, active=True)


async def delete(world: Simulation) -> None:
    history = _one_of(world, lambda each: not each.deleted)
    if history is None:
        return
    world.tell(f"delete {history.name.name}")
    if await _change(world, lambda tx: triggers.delete(tx, [history.name], by="adversary")):
        _end_era(world, history, active=False)
        history.deleted = True
        await world.observe(by_change=history)


async def fire_by_hand(world: Simulation) -> None:
    history = _one_of(world, lambda each: not each.deleted)
    if history is None or history.name.project in world.archived:
        return
    world.tell(f"fire {history.name.name} by hand")
    name = history.name
    await _create_run(world, RunRequest(Scope(name.project, name.domain), name), "m" + world.random.randbytes(8).hex())
    await world.observe()


async def take_a_name(world: Simulation) -> None:
    """The name that the run of a future slot would get."""
    history = _one_of(world, lambda each: each.active and each.current.schedule is not None)
    if history is None or history.name.project in world.archived:
        return
    era, name, slot = history.current, history.name, world.clock.now
    for _ in range(world.random.randint(1, 3)):
        slot = era.schedule and slot and next_after(era.schedule, slot, era.anchor)
    if slot is None:
        return
    salt = world.random.randint(0, 1)
    world.tell(f"take the name of {name.name} for {slot}, salt {salt}")
    request = RunRequest(Scope(name.project, name.domain), world.task_of(history, "v1"))
    await _create_run(world, request, fire_name(name, slot, salt))


async def end_runs(world: Simulation) -> None:
    count = world.random.randint(1, 50)
    world.tell(f"{count} runs end")
    await world.end_runs(count)


async def poison(world: Simulation) -> None:
    history = _one_of(world, lambda each: each.id not in world.poisoned)
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
    deploy: 6,
    pause: 3,
    resume: 4,
    delete: 1,
    fire_by_hand: 1,
    take_a_name: 3,
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


async def _set_active(world: Simulation, *, active: bool) -> None:
    history = _one_of(world, lambda each: not each.deleted)
    if history is None:
        return
    world.tell(f"{'resume' if active else 'pause'} {history.name.name}")
    changed = await _change(world, lambda tx: triggers.set_active(tx, [history.name], active, by="adversary"))
    if changed and history.active != active:
        _end_era(world, history, active=active)
    await world.observe(by_change=history)


async def _set_state(world: Simulation, state: ProjectState) -> None:
    name = "other" if world.random.random() < 0.5 else TASK.project
    world.tell(f"make project {name} {state.name.lower()}")
    project = Project(name, name, "", b"", state)
    if await _change(world, lambda tx: projects.update(tx, project)):
        (world.archived.add if state.archived else world.archived.discard)(name)


async def _create_run(world: Simulation, request: RunRequest, name: str) -> None:
    try:
        await _change(
            world,
            lambda tx: runs.create(tx, request, defaults=RUN_DEFAULTS, domains=DOMAINS, fresh_name=name),
        )
    except AlreadyExists:
        world.tell("the name is taken already")


async def _change(world: Simulation, body: Body[object]) -> bool:
    """Whether it came about: the server may die on the way, even after the COMMIT."""
    chance = world.random.random()
    if chance < 0.1:
        world.operator.fault = killed(world.random.randint(0, 10))
        world.tell("... and the server dies before the COMMIT")
    elif chance < 0.2:
        world.operator.fault = killed(0, after_commit=True)
        world.tell("... and the server dies after the COMMIT")
    try:
        await world.operator.write(body)
    except Killed:
        return chance >= 0.1
    return True


def _end_era(world: Simulation, history: History, *, active: bool) -> None:
    era = history.current
    history.changed(era.schedule, active=active, policies=era.policies, now=world.clock.now, latest=world.clock.latest)


def _one_of(world: Simulation, wanted: Callable[[History], bool]) -> History | None:
    """A trigger that was ever deployed, if one is like that."""
    choices = [history for history in world.histories if history.id and wanted(history)]
    return world.random.choice(choices) if choices else None


def _time_to_a_slot(world: Simulation) -> timedelta | None:
    """To the very moment, where mistakes of one instant show."""
    history = _one_of(world, lambda each: each.active)
    if history is None or history.current.schedule is None:
        return None
    slot = next_after(history.current.schedule, world.clock.now, history.current.anchor)
    return slot and min(slot - world.clock.now, world.tempo.longest_pause)


def _some_time(world: Simulation, longest: timedelta) -> timedelta:
    """Whole seconds half of the time, because slots are."""
    seconds = world.random.uniform(0, longest / SECOND)
    return timedelta(seconds=round(seconds) if world.random.random() < 0.5 else round(seconds, 3))
