"""Firing by the clock. One transaction claims what is due, starts the runs, writes the ledger and moves the watermarks.

So any number of schedulers may do it at once, and one that dies at any moment has done all of it or nothing. Locks are
taken in this order: schedules, groups, queued actions, backlogs.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from itertools import islice

from wingbeat.core.backlog import Backlog, Cause
from wingbeat.core.ids import Scope, TaskId, fire_name
from wingbeat.core.project import Domains
from wingbeat.core.run import Run
from wingbeat.core.task import StoredTask
from wingbeat.core.trigger import Due, Trigger, back_off, catch_up, due, moved
from wingbeat.errors import FailedPrecondition, InvalidArgument, NotFound
from wingbeat.operations import lines, planning, projects, runs, standing
from wingbeat.operations.lines import LeftOut, Others
from wingbeat.operations.planning import RunDefaults, RunOrder
from wingbeat.store import backlogs, fires, firings, tasks, triggers
from wingbeat.store.database import Transaction
from wingbeat.store.fires import Fire, Outcome

SOURCE = "RUN_SOURCE_SCHEDULE_TRIGGER"
STALE_BATCH = 1000
PERMANENT = (InvalidArgument, NotFound, FailedPrecondition)
"""What no retry of the same slot can mend."""


@dataclass(frozen=True, slots=True)
class Firer:
    """What starting a run needs to know besides the trigger."""

    defaults: RunDefaults
    domains: Domains


@dataclass(frozen=True, slots=True)
class Round:
    """What one transaction did."""

    claimed: int
    """Triggers or backlogs that were looked at: fewer than asked for means that no more are due."""
    lags: tuple[timedelta, ...]
    """For each run that was started, how long after its slot."""
    missed: LeftOut
    """Slots whose turn it was and that can never fire."""
    left_out: LeftOut
    """Slots that policies leave out."""

    @property
    def fired(self) -> int:
        return len(self.lags)

    @property
    def decided(self) -> int:
        """Slots: as many as asked for means that more may be due."""
        return self.fired + self.missed.total()

    def and_then(self, other: "Round") -> "Round":
        """What both did."""
        return Round(
            self.claimed + other.claimed,
            self.lags + other.lags,
            self.missed + other.missed,
            self.left_out + other.left_out,
        )


NOTHING = Round(0, (), Counter(), Counter())


@dataclass(frozen=True, slots=True)
class _Slots:
    """Slots to fire for a trigger as it was at the revision that owes them."""

    trigger_id: int
    revision: int
    slots: tuple[datetime, ...]

    @property
    def key(self) -> tuple[int, int]:
        return self.trigger_id, self.revision


@dataclass(frozen=True, slots=True)
class _Started:
    runs: Sequence[Run]
    triggers: frozenset[int]
    """Whose runs they are."""
    unable: LeftOut

    def round(self, now: datetime, *, claimed: int, left_out: LeftOut) -> Round:
        lags = tuple(now - run.slot for run in self.runs if run.slot)
        return Round(claimed, lags, self.unable, left_out)


async def fire_due(tx: Transaction, firer: Firer, *, limit: int, only: int | None = None) -> Round:
    """Start at most `limit` runs for the live slots of triggers, and put late slots into the backlog."""
    claimed = await standing.claim(tx, lambda without: firings.claim_due(tx, limit, only=only, without=without))
    before = await lines.before(tx, claimed)
    standings = await standing.read(tx, claimed, waiting=before)
    decisions: list[Due] = []
    left = limit
    for firing in claimed:
        decision = due(firing, tx.now, left, standings.of(firing))
        standings.count(firing, fired=len(decision.fires), cancelled=decision.cancels)
        left -= len(decision.fires)
        decisions.append(decision)
    cancelling = [each.firing for each in decisions if each.cancels]
    slots = [_Slots(each.firing.trigger_id, each.firing.revision, each.fires) for each in decisions if each.fires]
    started = await _start(tx, firer, slots, others=await lines.others(tx, cancelling))
    superseded = await lines.supersede(tx, cancelling, before)
    await backlogs.add(tx, [each.backlog for each in decisions if each.backlog])
    await backlogs.park(tx, [each.waiting for each in decisions if each.waiting])
    await firings.advance(tx, [each.firing for each in decisions], fired=started.triggers)
    unfired = [*superseded, *(unfired for each in decisions for unfired in each.unfired)]
    return started.round(tx.now, claimed=len(claimed), left_out=await lines.leave_out(tx, unfired))


async def fire_backlogs(tx: Transaction, firer: Firer, *, limit: int, only: int | None = None) -> Round:
    """Start at most `limit` runs for late slots, in turn over all triggers that have some."""
    held = await standing.claim(tx, lambda without: firings.claim_late(tx, limit, only=only, without=without))
    claimed = await backlogs.ready(tx, [each.trigger_id for each in held], limit)
    share = max(1, limit // len(claimed)) if claimed else 0
    lined_up = {each.trigger_id: each for each in held if each.policies.ordered or each.policies.max_runs}
    slots: list[_Slots] = []
    left: list[Backlog] = []
    done: list[Backlog] = []
    for backlog in (each for each in claimed if each.trigger_id not in lined_up):
        moments, rest = catch_up(backlog, share)
        if moments:
            slots.append(_Slots(backlog.trigger_id, backlog.revision, moments))
        if rest:
            left.append(rest)
        else:
            done.append(backlog)
    served = await lines.serve_lines(tx, list(lined_up.values()), share)
    slots += [
        _Slots(each.trigger_id, each.revision, admitted.fires) for each, admitted in served.decided if admitted.fires
    ]
    started = await _start(tx, firer, slots, others=await lines.others(tx, served.cancelling))
    await backlogs.serve(tx, left=left, done=done)
    await firings.touch(tx, started.triggers)
    return started.round(tx.now, claimed=len(claimed), left_out=await lines.leave_out(tx, served.unfired))


async def postpone(tx: Transaction, trigger_id: int, error: str) -> None:
    """A decision about this trigger failed: leave it alone for a while, visibly; its slots stay due."""
    for firing in (await firings.lock(tx, [trigger_id])).values():
        failures = firing.failures + 1
        await firings.postpone(tx, trigger_id, until=tx.now + back_off(failures), error=error)


async def recompute_stale(tx: Transaction) -> int:
    """Bring next fires up to date with the time zones of this program; how many there were in this batch."""
    stale = await firings.stale(tx, STALE_BATCH)
    await firings.save(tx, [moved(firing, firing.decided_until) for firing in stale])
    return len(stale)


def cause_of(error: InvalidArgument | NotFound | FailedPrecondition) -> Cause:
    """Of `PERMANENT`, in one word."""
    match error:
        case NotFound():
            return Cause.GONE
        case FailedPrecondition():
            return Cause.CLOSED
        case InvalidArgument():
            return Cause.INVALID


async def _start(tx: Transaction, firer: Firer, wanted: Sequence[_Slots], *, others: Others) -> _Started:
    """Start a run for each slot in the place of `others`; what can never start is missed, as the ledger says."""
    snapshots = await _snapshots(tx, wanted)
    needs = {key: _needs(trigger) for key, trigger in snapshots.items()}
    obstacles, tasks_found = await _prepare(tx, firer, needs.values())
    named = [
        (needs[each.key][0], partial(fire_name, snapshots[each.key].name, slot))
        for each in wanted
        for slot in each.slots
    ]
    names = iter(await runs.free_names(tx, named))
    started: list[Run] = []
    ledger: list[Fire] = []
    unable: LeftOut = Counter()
    for each in wanted:
        trigger = snapshots[each.key]
        scope, task = needs[each.key]
        slots = list(zip(each.slots, islice(names, len(each.slots)), strict=True))
        try:
            for obstacle in (obstacles.get(scope), obstacles.get(task)):
                if obstacle:
                    raise obstacle
            planned = [
                planning.plan(
                    _order(scope, tasks_found[task], trigger, slot), defaults=firer.defaults, now=tx.now, name=name
                )
                for slot, name in slots
            ]
        except PERMANENT as error:
            ledger.append(_missed(each, str(error)))
            unable[Outcome.MISSED, cause_of(error)] += len(each.slots)
        else:
            started.extend(planned)
            ledger.extend(_fired(each, planned))
    triggered = frozenset(run.trigger.id for run in started if run.trigger)
    await lines.cancel(tx, others, started=triggered)
    await runs.start(tx, started)
    await fires.insert(tx, ledger)
    return _Started(started, triggered, unable)


async def _snapshots(tx: Transaction, wanted: Iterable[_Slots]) -> dict[tuple[int, int], Trigger]:
    """The triggers at the revisions that owe the slots: almost always the latest."""
    keys = {each.key for each in wanted}
    latest = await triggers.find_many(tx, sorted({trigger_id for trigger_id, _ in keys}))
    snapshots: dict[tuple[int, int], Trigger] = {}
    for trigger_id, revision in keys:
        trigger = latest[trigger_id]
        if trigger.revision != revision:
            trigger = await triggers.at_revision(tx, trigger_id, revision) or trigger
        snapshots[trigger_id, revision] = trigger
    return snapshots


async def _prepare(
    tx: Transaction, firer: Firer, needs: Collection[tuple[Scope, TaskId]]
) -> tuple[dict[Scope | TaskId, Exception], dict[TaskId, StoredTask]]:
    """Look each project's domain and each task version up once: why nothing can start there, or what is started."""
    obstacles: dict[Scope | TaskId, Exception] = {}
    found: dict[TaskId, StoredTask] = {}
    for scope in {scope for scope, _ in needs}:
        try:
            await projects.require_active(tx, scope.project, scope.domain, domains=firer.domains)
        except PERMANENT as error:
            obstacles[scope] = error
    for wanted in {task for _, task in needs}:
        task = await tasks.find(tx, wanted)
        if task is None:
            obstacles[wanted] = NotFound(f"version {wanted.version!r} of task {wanted.name!r} does not exist")
        else:
            found[wanted] = task
    return obstacles, found


def _needs(trigger: Trigger) -> tuple[Scope, TaskId]:
    name = trigger.name
    return Scope(name.project, name.domain), TaskId(name.project, name.domain, name.task, trigger.task_version)


def _order(scope: Scope, task: StoredTask, trigger: Trigger, slot: datetime) -> RunOrder:
    return RunOrder(
        scope=scope,
        task=task,
        trigger=trigger,
        source=SOURCE,
        run_start_time=slot,
        slot=slot,
    )


def _fired(each: _Slots, planned: Iterable[Run]) -> list[Fire]:
    return [
        fires.fired(each.trigger_id, each.revision, slot, run.id.name)
        for slot, run in zip(each.slots, planned, strict=True)
    ]


def _missed(each: _Slots, reason: str) -> Fire:
    first, last = each.slots[0], each.slots[-1]
    return fires.missed(each.trigger_id, each.revision, first, last, len(each.slots), reason)
