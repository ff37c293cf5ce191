"""Actions that running actions ask for. The parent's row in the queue is locked first: its end crosses no wish."""

from dataclasses import replace

from wingbeat.core.action import Action, ActionType, Attempt, Phase
from wingbeat.core.cache import CachePolicy
from wingbeat.core.child import Child, TaskChild, TraceChild
from wingbeat.core.ids import ActionId, AttemptId, Scope
from wingbeat.core.lane import lane_of
from wingbeat.errors import AlreadyExists, Conflict
from wingbeat.operations.current import get
from wingbeat.operations.current import record as record_phase
from wingbeat.operations.planning import PRIORITY
from wingbeat.store import actions, queue, runs, tasks, timers
from wingbeat.store.database import Transaction
from wingbeat.store.queue import Entry
from wingbeat.wire.caching import policy
from wingbeat.wire.runs import run_spec_traits, task_traits


async def enqueue(tx: Transaction, child: TaskChild) -> None:
    """The child waits for a node. A parent that is tried again asks for the same children: those are left as they are.

    Raises AlreadyExists, NotFound: there is no such parent; Conflict: the parent is over.
    """
    parent = await living_parent(tx, child)
    if await actions.find(tx, child.id) is not None:
        raise AlreadyExists(f"action {child.id.name!r} of run {child.id.run.name!r} exists already")
    await tasks.put_spec(tx, child.task.spec_digest, child.spec)
    waiting = below(tx, child, parent, ActionType.TASK, Phase.QUEUED)
    action = replace(waiting, timeouts=child.timeouts, cache=await _cache_policy(tx, child))
    await actions.insert(tx, [action])
    of_run, limit = await queue.terms_of_run(tx, child.id.run)
    lane = lane_of(child.lane) if child.lane else of_run
    first = AttemptId(child.id, 1)
    await record_phase(tx, first, action.phase, tx.now)
    entry = Entry(first, PRIORITY, lane, None, tx.now, parent=child.parent, action_limit=limit)
    await queue.add(tx, [entry])
    await timers.add(tx, action.timeouts.when_created(first, tx.now))


async def record(tx: Transaction, trace: TraceChild) -> None:
    """Write down a trace, over at once. One that failed may be recorded again: the parent has tried it again.

    Raises AlreadyExists for one that succeeded, and what `enqueue` raises.
    """
    parent = await living_parent(tx, trace)
    known = await actions.find(tx, trace.id)
    if known is not None and known.phase is not Phase.FAILED:
        raise AlreadyExists(f"trace {trace.id.name!r} of run {trace.id.run.name!r} is recorded already")
    await tasks.put_spec(tx, trace.task.spec_digest, trace.spec)
    if known is not None:
        await actions.remove(tx, trace.id)
    await actions.insert(tx, [_trace(tx, trace, parent, version=known.version + 1 if known else 1)])
    await actions.save_attempt(tx, _attempt(trace))


async def living_parent(tx: Transaction, child: Child) -> Action:
    """With its entry locked. Raises NotFound, and Conflict when it is over."""
    parent_id = ActionId(child.id.run, child.parent)
    await queue.find(tx, parent_id)  # the lock
    parent = await get(tx, parent_id)
    if parent.phase.terminal:
        raise Conflict(
            f"action {child.parent!r} of run {child.id.run.name!r} is {parent.phase.name} and starts nothing"
        )
    return parent


def below(tx: Transaction, child: Child, parent: Action, kind: ActionType, phase: Phase) -> Action:
    """The action that `child` becomes."""
    return Action(
        id=child.id,
        parent=child.parent,
        group=child.group,
        type=kind,
        phase=phase,
        attempts=1,
        cache_status=0,
        task=child.task,
        source=parent.source,
        trigger=None,
        created_by_subject=parent.created_by_subject,
        input_uri=child.input_uri,
        output_uri=None,
        abort_reason=None,
        created_at=tx.now,
        updated_at=tx.now,
        ended_at=None,
        duration_ms=None,
        version=1,
    )


async def _cache_policy(tx: Transaction, child: TaskChild) -> CachePolicy | None:
    """By the key that the parent has made; the rest is for the task to say, and for the run."""
    caching = task_traits(child.spec).caching if child.cache_key else None
    if caching is None:
        return None
    asked = run_spec_traits(await runs.run_spec(tx, child.id.run) or b"").caching
    return policy(child.cache_key, caching, asked, Scope(child.id.run.project, child.id.run.domain))


def _trace(tx: Transaction, trace: TraceChild, parent: Action, *, version: int) -> Action:
    lasted = trace.ended_at - trace.started_at
    return replace(
        below(tx, trace, parent, ActionType.TRACE, trace.phase),
        output_uri=trace.output_uri,
        created_at=trace.started_at,
        ended_at=trace.ended_at,
        duration_ms=round(lasted.total_seconds() * 1000),
        version=version,
    )


def _attempt(trace: TraceChild) -> Attempt:
    """Its only one, which no node has begun: the parent's own process made it."""
    return Attempt(
        id=AttemptId(trace.id, 1),
        phase=trace.phase,
        node="",
        token=0,
        output_prefix=trace.error_uri.removesuffix("/error.pb"),
        created_at=trace.started_at,
        started_at=None,
        ended_at=trace.ended_at,
        failure=trace.failure,
        log_uri=None,
    )
