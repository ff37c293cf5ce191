"""Starting runs. A fire of a trigger and a user's request are the same: `plan` decides, `start` writes it down."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from wingbeat.core.action import Action, ActionType, Phase, PhaseChange, TaskRef, TriggerRef
from wingbeat.core.ids import ROOT_ACTION, ActionId, AttemptId, RunId, Scope, TaskId, TriggerName, check_run_name
from wingbeat.core.lane import lane_of, no_node_for
from wingbeat.core.project import Domains
from wingbeat.core.relation import Relation, RelationType
from wingbeat.core.run import Run
from wingbeat.core.trigger import Trigger
from wingbeat.errors import AlreadyExists, InvalidArgument, WingbeatError
from wingbeat.operations import projects, recovery, tasks, triggers
from wingbeat.store import actions, events, nodes, queue, runs, timers
from wingbeat.store import tasks as stored_tasks
from wingbeat.store.database import Transaction
from wingbeat.store.queue import Entry
from wingbeat.store.runs import Listed
from wingbeat.wire import runs as wire
from wingbeat.wire.runs import RunSpecTraits, TaskTraits, TriggerTraits, Uploaded
from wingbeat.wire.unhonoured import SEPARATOR

DEFAULT_SOURCE = "RUN_SOURCE_WEB"
PRIORITY = 0
_NO_TRIGGER = TriggerTraits(inputs=None, offloaded=None, run_spec=None, kickoff_arg="")


class Runnable(Protocol):
    """What a run runs: a task that was deployed, or one that came with the request."""

    @property
    def ref(self) -> TaskRef: ...

    @property
    def spec(self) -> bytes:
        """The serialized flyteidl2.task.TaskSpec."""
        ...


@dataclass(frozen=True, slots=True)
class InlineTask:
    """A task that came with the request and is deployed nowhere."""

    ref: TaskRef
    spec: bytes


@dataclass(frozen=True, slots=True)
class RunDefaults:
    """Where runs put their inputs and outputs."""

    base: str
    """The URI below which each run has its directory, and the default for raw data."""
    allowed_bases: tuple[str, ...] = ()
    """A RunSpec may choose its own base at or below one of these."""


@dataclass(frozen=True, slots=True)
class RunOrder:
    """A run that shall start, with everything that is known of it; the rest comes from the trigger and the task."""

    scope: Scope
    task: Runnable
    trigger: Trigger | None = None
    inputs: bytes | None = None
    """The serialized flyteidl2.task.Inputs that go over the trigger's."""
    offloaded: Uploaded | None = None
    """Inputs that the caller has uploaded: used as they are."""
    run_spec: bytes | None = None
    """The serialized flyteidl2.task.RunSpec in the place of the trigger's."""
    source: str = DEFAULT_SOURCE
    run_start_time: datetime | None = None
    slot: datetime | None = None
    caller: str = ""
    request_id: str | None = None


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
    if request.relation is not None and request.relation.type is RelationType.RECOVER:
        await recovery.recover(tx, root, request.relation, request.force_rerun)
    return Listed(root, run.labels)


async def _insert(
    tx: Transaction, request: RunRequest, *, defaults: RunDefaults, domains: Domains, fresh_name: str
) -> tuple[Run, Trigger | None]:
    """The run's row alone; when it raises there is none."""
    await projects.require_active(tx, request.scope.project, request.scope.domain, domains=domains)
    task, trigger = await _resolve(tx, request.wanted)
    planned = plan(request.order(task, trigger), defaults=defaults, now=tx.now, name=request.name or fresh_name)
    run = replace(planned, relation=request.relation)
    if request.relation is not None:
        await recovery.check(tx, request.relation, request.force_rerun)
    if not await runs.insert_if_free(tx, run):
        raise AlreadyExists(f"run {run.id.name!r} exists already in {run.id.project}/{run.id.domain}")
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


async def start(tx: Transaction, planned: Sequence[Run]) -> None:
    """Write down all of them at once, queued. Raises Conflict for a taken name."""
    await runs.insert(tx, planned)
    await _enqueue(tx, planned)


def plan(order: RunOrder, *, defaults: RunDefaults, now: datetime, name: str) -> Run:
    """What the run will be. Nothing is written, nothing is read. Raises InvalidArgument."""
    check_run_name(name)
    task = wire.task_traits(order.task.spec)
    offer = wire.trigger_traits(order.trigger.spec, order.trigger.automation) if order.trigger else _NO_TRIGGER
    run_spec = order.run_spec if order.run_spec is not None else offer.run_spec or b""
    asked = wire.run_spec_traits(run_spec)
    meant_for = order.slot or asked.start_time or order.run_start_time or now
    start_time = meant_for if task.knows_start_time else None
    base = asked.base_dir if _allowed(asked.base_dir, defaults) else defaults.base.rstrip("/")
    run_id = RunId(order.scope.project, order.scope.domain, name)
    output_base = _output_base(base, run_id)
    uploaded = _uploaded(order, offer, task)
    inputs = None
    if uploaded is None:
        inputs = wire.inline_inputs(
            base=offer.inputs, given=order.inputs, task=task, kickoff_arg=offer.kickoff_arg, kickoff=meant_for
        )
    return Run(
        id=run_id,
        task=order.task.ref,
        run_spec=wire.completed_run_spec(run_spec, start_time=start_time, raw_data_prefix=defaults.base),
        inputs=inputs,
        input_uri=uploaded.uri if uploaded else _input_uri(output_base),
        output_base=output_base,
        kickoff_arg=offer.kickoff_arg,
        start_time=start_time,
        source=order.source,
        trigger=order.trigger and TriggerRef(order.trigger.id, order.trigger.name, order.trigger.revision),
        slot=order.slot,
        created_by=wire.identity(order.caller),
        created_by_subject=order.caller,
        request_id=order.request_id,
        priority=PRIORITY,
        lane=lane_of(asked.lane),
        not_honoured=tuple(_not_honoured(task, asked, offer, defaults, uploaded)),
        created_at=now,
        labels=asked.labels,
        timeouts=task.timeouts,
        action_limit=asked.action_limit,
        cache=wire.cache_policy(
            task, asked, order.scope, uploaded or inputs or b"", kickoff_arg=offer.kickoff_arg, start_time=start_time
        ),
    )


async def _resolve(tx: Transaction, wanted: TaskId | TriggerName | InlineTask) -> tuple[Runnable, Trigger | None]:
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
    unserved = await nodes.unserved(tx, {run.lane for run in planned})
    await events.record(tx, [(root.id, _queued(run, unserved)) for run, root in zip(planned, roots, strict=True)])
    await queue.add(tx, [_entry(run, root) for run, root in zip(planned, roots, strict=True)])
    await timers.add(
        tx, [timer for root in roots for timer in root.timeouts.when_created(AttemptId(root.id, 1), root.created_at)]
    )
    return roots


def _queued(run: Run, unserved: Collection[str]) -> PhaseChange:
    """Every caller reads the history of an attempt: there it stands what the run will not get, or waits for."""
    words = [*run.not_honoured, *([no_node_for(run.lane)] if run.lane in unserved else [])]
    return PhaseChange(1, Phase.QUEUED, run.created_at, SEPARATOR.join(words))


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


def _uploaded(order: RunOrder, offer: TriggerTraits, task: TaskTraits) -> Uploaded | None:
    """The inputs that somebody has uploaded, if they are used as they are."""
    if order.offloaded is not None or offer.offloaded is None:
        return order.offloaded
    if not wire.has_literals(order.inputs):
        return offer.offloaded
    missing = wire.missing_inputs(order.inputs or b"", task=task, kickoff_arg=offer.kickoff_arg)
    if missing:
        raise InvalidArgument(
            f"the trigger's inputs are a file at {offer.offloaded.uri!r} and cannot be completed here: give all inputs,"
            f" or none; missing: {', '.join(missing)}"
        )
    return None


def _allowed(base: str, defaults: RunDefaults) -> bool:
    return ".." not in base.split("/") and any(
        base == allowed.rstrip("/") or base.startswith(allowed.rstrip("/") + "/") for allowed in defaults.allowed_bases
    )


def _not_honoured(
    task: TaskTraits, asked: RunSpecTraits, offer: TriggerTraits, defaults: RunDefaults, uploaded: Uploaded | None
) -> list[str]:
    words = [*task.not_honoured, *asked.not_honoured]
    if asked.base_dir and not _allowed(asked.base_dir, defaults):
        words.append(f"run_base_dir {asked.base_dir!r} is not allowed here: {defaults.base!r} is used")
    if task.caching and uploaded is not None and not uploaded.hash:
        words.append("the cache is not asked: offloaded_input_data has no inputs_hash to compare the inputs by")
    if uploaded is not None and offer.kickoff_arg and not task.knows_start_time:
        words.append(
            f"input {offer.kickoff_arg!r} does not get the kickoff time: the inputs are a file, the SDK is old"
        )
    return words


def _output_base(base: str, run: RunId) -> str:
    return f"{base}/{run.project}/{run.domain}/{run.name}/"


def _input_uri(output_base: str) -> str:
    return f"{output_base}inputs"
