"""Starting runs. A fire of a trigger and a user's request are the same: `plan` decides, `start` writes it down."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import count

from wingbeat.core.action import Action, ActionType, Phase, PhaseChange
from wingbeat.core.ids import ROOT_ACTION, ActionId, AttemptId, RunId, Scope, TaskId, TriggerName, check_run_name
from wingbeat.core.project import Domains
from wingbeat.core.relation import Relation
from wingbeat.core.run import Run
from wingbeat.core.trigger import Trigger
from wingbeat.errors import AlreadyExists, InvalidArgument, WingbeatError
from wingbeat.operations import projects, recovery, tasks, triggers
from wingbeat.operations.planning import DEFAULT_SOURCE, InlineTask, RunDefaults, Runnable, RunOrder, plan
from wingbeat.store import actions, clearing, events, queue, runs, timers
from wingbeat.store import tasks as stored_tasks
from wingbeat.store.database import Transaction
from wingbeat.store.queue import Entry
from wingbeat.store.runs import Listed
from wingbeat.wire.runs import Uploaded
from wingbeat.wire.unhonoured import SEPARATOR


@dataclass(frozen=True, slots=True)
class RunRequest:
    """What a caller asks to run, by name: a deployed task, a trigger, or a task that comes along."""

    scope: Scope
    wanted: TaskId | TriggerName | InlineTask
    name: str | None = None
    """The caller's own name for the run."""
    inputs: bytes | None = None
    offloaded: Uploaded | None = None
    run_spec: bytes | None = None
    source: str = DEFAULT_SOURCE
    run_start_time: datetime | None = None
    caller: str = ""
    request_id: str | None = None
    relation: Relation | None = None
    force_rerun: Sequence[str] = ()
    """Of a recovery: actions that run again although they have succeeded."""

    def order(self, task: Runnable, trigger: Trigger | None) -> RunOrder:
        return RunOrder(
            scope=self.scope,
            task=task,
            trigger=trigger,
            inputs=self.inputs,
            offloaded=self.offloaded,
            run_spec=self.run_spec,
            source=self.source,
            run_start_time=self.run_start_time,
            caller=self.caller,
            request_id=self.request_id,
        )


async def create(
    tx: Transaction, request: RunRequest, *, defaults: RunDefaults, domains: Domains, fresh_name: str
) -> Listed:
    """Start a run and return it; a request that is repeated gets its first run, as it is by now.

    Raises InvalidArgument, NotFound, FailedPrecondition, and AlreadyExists for a name that is taken.
    """
    try:
        run, trigger = await _insert(tx, request, defaults=defaults, domains=domains, fresh_name=fresh_name)
    except WingbeatError:
        # Whatever has become of what it needs. Hardly any request is repeated, so this is not asked first.
        first = await repeated(tx, request)
        if first is None:
            raise
        return first
    if trigger is not None:
        await triggers.record_manual_fire(tx, trigger, run)
    (root,) = await _enqueue(tx, [run])
    if request.relation is not None:
        await recovery.relate(tx, root, request.relation, request.force_rerun)
    return Listed(root, run.labels)


async def _insert(
    tx: Transaction, request: RunRequest, *, defaults: RunDefaults, domains: Domains, fresh_name: str
) -> tuple[Run, Trigger | None]:
    """The run's row alone; when it raises there is none."""
    name = fresh_name if request.name is None else request.name
    check_run_name(name)
    task, trigger = await _resolve(tx, request, domains)
    run = plan(request.order(task, trigger), defaults=defaults, now=tx.now, name=name)
    if request.relation is not None:
        run = replace(run, relation=request.relation)
        await recovery.check(tx, request.relation, request.force_rerun)
    if not await runs.insert_if_free(tx, run):
        pruned = await clearing.pruned_at(tx, run.id)
        why = "was pruned lately and its name is not free yet" if pruned else "exists already"
        raise AlreadyExists(f"run {run.id.name!r} {why} in {run.id.project}/{run.id.domain}")
    return run, trigger


async def repeated(tx: Transaction, request: RunRequest) -> Listed | None:
    """The run that the same request has started before. Raises InvalidArgument: it asks for another one now."""
    if request.request_id is None:
        return None
    run = await runs.find_by_request(tx, request.scope, request.request_id)
    if run is None:
        return None
    if request.name not in (None, run.name):
        raise InvalidArgument(
            f"request id {request.request_id!r} has started run {run.name!r} and cannot start {request.name!r} too:"
            " a new request needs a new id"
        )
    root = await actions.find(tx, ActionId(run, ROOT_ACTION))
    return None if root is None else await runs.listed(tx, root)


async def free_names(tx: Transaction, wanted: Sequence[tuple[Scope, Callable[[int], str]]]) -> list[str]:
    """Of each the first name, counted from 0, that no other run of its scope has."""
    names = [RunId(scope.project, scope.domain, name(0)) for scope, name in wanted]
    for salt in count(1):
        taken = await runs.taken(tx, names)
        if not taken:
            break
        names = [
            RunId(scope.project, scope.domain, name(salt)) if run in taken else run
            for (scope, name), run in zip(wanted, names, strict=True)
        ]
    return [run.name for run in names]


async def start(tx: Transaction, planned: Sequence[Run]) -> None:
    """Write down all of them at once, queued. Raises Conflict for a taken name."""
    if not planned:
        return
    await runs.insert(tx, planned)
    await _enqueue(tx, planned)


async def _resolve(tx: Transaction, request: RunRequest, domains: Domains) -> tuple[Runnable, Trigger | None]:
    """What shall run, where something new may be put."""
    scope, wanted = request.scope, request.wanted
    if isinstance(wanted, TaskId) and wanted.project == scope.project:
        # By far the most usual: both are found at once, and only a refusal has to know which of them it is about.
        domains.require(scope.domain)
        task = await stored_tasks.find(tx, wanted)
        if task is not None and not task.archived:
            return task, None
    await projects.require_active(tx, scope.project, scope.domain, domains=domains)
    match wanted:
        case InlineTask():
            await stored_tasks.put_spec(tx, wanted.ref.spec_digest, wanted.spec)
            return wanted, None
        case TaskId():
            return await tasks.get(tx, wanted), None
        case TriggerName():
            trigger = await triggers.get(tx, wanted)
            task = TaskId(wanted.project, wanted.domain, wanted.task, trigger.task_version)
            return await tasks.get(tx, task), trigger


async def _enqueue(tx: Transaction, planned: Sequence[Run]) -> list[Action]:
    roots = [_root(run) for run in planned]
    await actions.insert(tx, roots)
    await events.record(tx, [(root.id, _queued(run)) for run, root in zip(planned, roots, strict=True)])
    await queue.add(tx, [_entry(run, root) for run, root in zip(planned, roots, strict=True)])
    await timers.add(
        tx, [timer for root in roots for timer in root.timeouts.when_created(AttemptId(root.id, 1), root.created_at)]
    )
    return roots


def _queued(run: Run) -> PhaseChange:
    """Every caller reads the history of an attempt: there it stands what the run will not get."""
    return PhaseChange(1, Phase.QUEUED, run.created_at, SEPARATOR.join(run.not_honoured))


def _entry(run: Run, root: Action) -> Entry:
    return Entry(
        AttemptId(root.id, 1),
        run.priority,
        run.lane,
        run.trigger and run.trigger.id,
        run.created_at,
        action_limit=run.action_limit,
    )


def _root(run: Run) -> Action:
    return Action(
        id=ActionId(run.id, ROOT_ACTION),
        parent=None,
        group="",
        type=ActionType.TASK,
        phase=Phase.QUEUED,
        attempts=1,
        cache_status=0,
        task=run.task,
        source=run.source,
        trigger=run.trigger,
        created_by_subject=run.created_by_subject,
        input_uri=run.input_uri,
        output_uri=None,
        abort_reason=None,
        created_at=run.created_at,
        updated_at=run.created_at,
        ended_at=None,
        duration_ms=None,
        version=1,
        timeouts=run.timeouts,
        cache=run.cache,
        relation=run.relation,
    )
