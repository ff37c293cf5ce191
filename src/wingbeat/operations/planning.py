"""What a run will be, from what the caller, the trigger and the task say of it. Nothing is read or written here."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from wingbeat.blobs.keys import is_legal
from wingbeat.core.action import TaskRef, TriggerRef
from wingbeat.core.ids import RunId, Scope, check_run_name
from wingbeat.core.lane import lane_of
from wingbeat.core.run import Run
from wingbeat.core.trigger import Deployment, Trigger
from wingbeat.core.uploads import UPLOADS
from wingbeat.errors import InvalidArgument
from wingbeat.wire import runs as wire
from wingbeat.wire.runs import RunSpecTraits, TaskTraits, TriggerTraits, Uploaded

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
    domains: frozenset[str] = frozenset()
    """No folder of a chosen base has such a name: it could be one in the directory of a run."""

    def chosen(self, asked: str, scope: Scope) -> str:
        """The base of runs of the scope that ask for `asked`: that one, or the default where nobody may choose.

        Raises InvalidArgument where the directory of a run could be in that of another run, or in that of an upload:
        who prunes a run removes whatever is in its directory.
        """
        default = self.base.rstrip("/")
        places = [each.rstrip("/") for each in self.allowed_bases]
        place = next((each for each in places if f"{asked}/".startswith(f"{each}/")), None)
        if place is None or asked == default:
            return default
        below = asked.removeprefix(place).removeprefix("/")
        # What a run has below `place` begins with these: its directory is named after its project, domain and name.
        folders = [*(below.split("/") if below else []), scope.project]
        of_others = {UPLOADS}
        if default.startswith(f"{place}/"):
            of_others.add(default.removeprefix(f"{place}/").split("/")[0])
        if not is_legal("/".join(folders)) or folders[0] in of_others or self.domains.intersection(folders):
            raise InvalidArgument(
                f"run_spec.run_base_dir {asked!r}, project {scope.project!r}: the base is {default!r}, or {place!r} or"
                f" a folder in it but for {' and '.join(map(repr, sorted(of_others)))}, and no folder, nor project in"
                " it, has the name of a domain: what is in the directory of another run is removed with that run"
            )
        return asked


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


def check_trigger(wanted: Deployment, defaults: RunDefaults) -> None:
    """Raise InvalidArgument where none of its runs could have its directory."""
    run_spec = wire.trigger_traits(wanted.spec, wanted.automation).run_spec
    try:
        defaults.chosen(wire.run_spec_traits(run_spec or b"").base_dir, Scope(wanted.name.project, wanted.name.domain))
    except InvalidArgument as error:
        raise InvalidArgument(f"trigger {wanted.name.name!r}: {error}") from error


def plan(order: RunOrder, *, defaults: RunDefaults, now: datetime, name: str) -> Run:
    """What the run will be. Nothing is written, nothing is read. Raises InvalidArgument."""
    check_run_name(name)
    task = wire.task_traits(order.task.spec)
    offer = wire.trigger_traits(order.trigger.spec, order.trigger.automation) if order.trigger else _NO_TRIGGER
    run_spec = order.run_spec if order.run_spec is not None else offer.run_spec or b""
    asked = wire.run_spec_traits(run_spec)
    meant_for = order.slot or asked.start_time or order.run_start_time or now
    start_time = meant_for if task.knows_start_time else None
    base = defaults.chosen(asked.base_dir, order.scope)
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
        not_honoured=tuple(_not_honoured(task, asked, offer, base, uploaded)),
        created_at=now,
        labels=asked.labels,
        timeouts=task.timeouts,
        action_limit=asked.action_limit,
        cache=wire.cache_policy(
            task, asked, order.scope, uploaded or inputs or b"", kickoff_arg=offer.kickoff_arg, start_time=start_time
        ),
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


def _not_honoured(
    task: TaskTraits, asked: RunSpecTraits, offer: TriggerTraits, base: str, uploaded: Uploaded | None
) -> list[str]:
    words = [*task.not_honoured, *asked.not_honoured]
    if asked.base_dir not in ("", base):
        words.append(f"run_base_dir {asked.base_dir!r} is not allowed here: {base!r} is used")
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
