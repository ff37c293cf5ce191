"""What owners do to their triggers, on a server that may die on the way."""

from collections.abc import Callable
from dataclasses import replace
from unittest import mock

from tests.conftest import T0
from tests.deployed import DEFAULTS as RUN_DEFAULTS
from tests.deployed import DOMAINS, trigger
from tests.simulation.backfilling import Asked, slots_within
from tests.simulation.model import History, Pause
from tests.simulation.simulation import SECOND, Simulation
from tests.simulation.world import Killed, killed
from wingbeat.core import policy
from wingbeat.core.backfill import BackfillState, Wanted
from wingbeat.core.ids import Scope, fire_name
from wingbeat.core.policy import DEFAULTS, CatchUp, Overlap, Policies
from wingbeat.core.schedule import next_after
from wingbeat.core.trigger import Deployment, Trigger
from wingbeat.errors import AlreadyExists, FailedPrecondition, InvalidArgument
from wingbeat.operations import automation, backfills, pauses, runs, triggers
from wingbeat.operations.runs import RunRequest
from wingbeat.store import triggers as stored
from wingbeat.store.database import Body, Transaction

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
    Policies(concurrency_key="shared", concurrency_limit=1, overlap=Overlap.BUFFER_ALL),
    Policies(concurrency_key="other", concurrency_limit=1, overlap=Overlap.SKIP),
    Policies(pause_after_failures=1),
    Policies(pause_after_failures=3, overlap=Overlap.BUFFER_ALL),
    Policies(pause_after_failures=2, concurrency_key="shared", concurrency_limit=3),
    Policies(concurrency_key="shared", concurrency_limit=3, overlap=Overlap.BUFFER_ONE),
)


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
        if not await change(world, body):
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


async def pause_for_a_while(world: Simulation) -> None:
    history = one_of(world, lambda each: not each.deleted)
    if history is None:
        return
    lasting = SECOND * world.random.randint(1, 2 * (world.tempo.longest_pause // SECOND))
    until = None if world.random.random() < 0.2 else world.clock.now + lasting
    world.tell(f"pause {history.name.name} until {until}")
    if await change(world, lambda tx: pauses.pause(tx, history.name, reason="tired", until=until, by="adversary")):
        if history.active:
            world.end_era(history, active=False)
        history.paused = Pause(history.current.revision, until)
        await world.observe(by_change=history)


async def roll_back(world: Simulation) -> None:
    history = one_of(world, lambda each: not each.deleted)
    if history is None or history.name.project in world.archived:
        return
    held, old = history.held, world.random.choice(history.eras)
    world.tell(f"roll {history.name.name} back to revision {old.revision}")

    async def body(tx: Transaction) -> None:
        with mock.patch.object(automation.wire, "redeployment", again):
            await automation.roll_back(
                tx, history.name, old.revision, expected_revision=0, by="adversary", domains=DOMAINS
            )

    def again(revision: Trigger, *, active: bool) -> Deployment:
        """The schedules here are denser than protos can say."""
        assert revision.revision == old.revision
        task = world.task_of(history, revision.task_version)
        return replace(trigger(history.name.name, old.schedule, task=task, active=active), policies=old.policies)

    if await change(world, body):
        now, latest = world.clock.now, world.clock.latest
        history.changed(old.schedule, active=history.active, policies=old.policies, now=now, latest=latest)
        history.paused = held and replace(held, revision=history.current.revision)
        await world.observe(by_change=history)


async def ask_for_backfill(world: Simulation) -> None:
    history = one_of(world, lambda each: not each.deleted)
    if history is None:
        return
    end = world.clock.now - world.random.choice((0, 1)) * world.random.random() * world.tempo.longest_pause
    begin = end - SECOND - world.random.random() * 2 * world.tempo.longest_pause
    wanted = Wanted(begin, end, again=world.random.random() < 0.3, max_running=world.random.randint(1, 3))
    era, backfill_id = history.current, "b" + world.random.randbytes(8).hex()
    world.tell(f"backfill {history.name.name} as {backfill_id}: {wanted}")
    possible = bool(slots_within(era, wanted))
    try:
        done = await change(
            world,
            lambda tx: backfills.start(
                tx, history.name, wanted, backfill_id=backfill_id, by="adversary", domains=DOMAINS
            ),
        )
    except (FailedPrecondition, InvalidArgument):
        assert not possible or history.name.project in world.archived
        return
    if done:
        assert possible
        world.backfills[backfill_id] = Asked(backfill_id, history, era, wanted, world.clock.now)


async def steer_backfill(world: Simulation) -> None:
    going = [each for each in world.backfills.values() if not each.state.over]
    if not going:
        return
    asked = world.random.choice(going)
    state = world.random.choice((BackfillState.RUNNING, BackfillState.PAUSED, BackfillState.CANCELLED))
    world.tell(f"let backfill {asked.id} be {state}")
    await world.audit()
    try:
        if await change(world, lambda tx: backfills.change(tx, asked.id, state, domains=DOMAINS)):
            asked.state = state
    except FailedPrecondition:
        resumed = state is BackfillState.RUNNING
        assert asked.state.over or (resumed and asked.history.name.project in world.archived)


async def delete(world: Simulation) -> None:
    history = one_of(world, lambda each: not each.deleted)
    if history is None:
        return
    world.tell(f"delete {history.name.name}")
    if await change(world, lambda tx: triggers.delete(tx, [history.name], by="adversary")):
        world.end_era(history, active=False)
        history.deleted = True
        await world.observe(by_change=history)


async def fire_by_hand(world: Simulation) -> None:
    history = one_of(world, lambda each: not each.deleted)
    if history is None or history.name.project in world.archived:
        return
    world.tell(f"fire {history.name.name} by hand")
    name = history.name
    await _create_run(world, RunRequest(Scope(name.project, name.domain), name), "m" + world.random.randbytes(8).hex())
    await world.observe()


async def take_a_name(world: Simulation) -> None:
    """The name that the run of a future slot would get."""
    history = one_of(world, lambda each: each.active and each.current.schedule is not None)
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


async def _set_active(world: Simulation, *, active: bool) -> None:
    history = one_of(world, lambda each: not each.deleted)
    if history is None:
        return
    world.tell(f"{'resume' if active else 'pause'} {history.name.name}")
    changed = await change(world, lambda tx: triggers.set_active(tx, [history.name], active, by="adversary"))
    if changed and history.active != active:
        world.end_era(history, active=active)
    await world.observe(by_change=history)


async def _create_run(world: Simulation, request: RunRequest, name: str) -> None:
    try:
        await change(
            world,
            lambda tx: runs.create(tx, request, defaults=RUN_DEFAULTS, domains=DOMAINS, fresh_name=name),
        )
    except AlreadyExists:
        world.tell("the name is taken already")


async def change(world: Simulation, body: Body[object]) -> bool:
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


def one_of(world: Simulation, wanted: Callable[[History], bool]) -> History | None:
    """A trigger that was ever deployed, if one is like that."""
    choices = [history for history in world.histories if history.id and wanted(history)]
    return world.random.choice(choices) if choices else None
