"""What a task, a trigger and a RunSpec say about a run, read once from their serialized protos.

A storm of fires plans thousands of runs of a few tasks, so what is read is cached by the bytes it was read from.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from types import MappingProxyType

from flyteidl2.common import run_pb2 as common_run_pb2
from flyteidl2.task import common_pb2, run_pb2, task_definition_pb2
from flyteidl2.trigger import trigger_definition_pb2

from wingbeat.core.cache import CachePolicy
from wingbeat.core.ids import Scope
from wingbeat.core.timer import Timeouts
from wingbeat.wire import caching, identities, inputs, timeouts, times, unhonoured
from wingbeat.wire.caching import RunCaching, TaskCaching

START_TIME_SINCE = (2, 3, 6)
"""The first SDK whose tasks take the time their run is meant for from the control plane."""

INPUTS_FILE = "/inputs.pb"

_VERSION = re.compile(r"([0-9]+)\.([0-9]+)\.([0-9]+)")
_CACHED = 1024


@dataclass(frozen=True, slots=True, eq=False)
class TaskTraits:
    """What of a TaskSpec decides how its runs are planned. Equal to nothing but itself: messages have no hash."""

    inputs: tuple[str, ...]
    defaults: tuple[common_pb2.NamedLiteral, ...]
    knows_start_time: bool
    not_honoured: tuple[str, ...]
    timeouts: Timeouts
    ignored: frozenset[str]
    """Inputs that the cache does not compare."""
    caching: TaskCaching | None


@dataclass(frozen=True, slots=True)
class Uploaded:
    """Inputs that somebody has uploaded ahead of the run."""

    uri: str
    """The directory of inputs.pb."""
    hash: str
    """By which the cache compares them; empty when nobody can tell."""


@dataclass(frozen=True, slots=True)
class TriggerTraits:
    """What a trigger gives its runs."""

    inputs: bytes | None
    offloaded: Uploaded | None
    run_spec: bytes | None
    kickoff_arg: str


@dataclass(frozen=True, slots=True)
class RunSpecTraits:
    base_dir: str
    start_time: datetime | None
    labels: Mapping[str, str]
    lane: str
    action_limit: int
    not_honoured: tuple[str, ...]
    caching: RunCaching


@lru_cache(_CACHED)
def task_traits(spec: bytes) -> TaskTraits:
    """Of a serialized flyteidl2.task.TaskSpec."""
    task = task_definition_pb2.TaskSpec.FromString(spec)
    return TaskTraits(
        inputs=tuple(variable.key for variable in task.task_template.interface.inputs.variables),
        defaults=tuple(
            common_pb2.NamedLiteral(name=each.name, value=each.parameter.default)
            for each in task.default_inputs
            if each.parameter.HasField("default")
        ),
        knows_start_time=_knows_start_time(task.task_template.metadata.runtime.version),
        not_honoured=unhonoured.of_task(task),
        timeouts=timeouts.of_task(task),
        ignored=frozenset(task.task_template.metadata.cache_ignore_input_vars),
        caching=caching.of_task(task),
    )


@lru_cache(_CACHED)
def trigger_traits(spec: bytes, automation: bytes) -> TriggerTraits:
    """Of a serialized flyteidl2.trigger.TriggerSpec and flyteidl2.task.TriggerAutomationSpec."""
    trigger = trigger_definition_pb2.TriggerSpec.FromString(spec)
    schedule = common_pb2.TriggerAutomationSpec.FromString(automation).schedule
    return TriggerTraits(
        inputs=trigger.inputs.SerializeToString() if trigger.HasField("inputs") else None,
        offloaded=offloaded(trigger.offloaded_input_data) if trigger.HasField("offloaded_input_data") else None,
        run_spec=trigger.run_spec.SerializeToString() if trigger.HasField("run_spec") else None,
        kickoff_arg=schedule.kickoff_time_input_arg,
    )


@lru_cache(_CACHED)
def run_spec_traits(run_spec: bytes) -> RunSpecTraits:
    """Of a serialized flyteidl2.task.RunSpec."""
    spec = run_pb2.RunSpec.FromString(run_spec)
    return RunSpecTraits(
        base_dir=spec.run_base_dir.rstrip("/"),
        start_time=times.from_proto(spec.run_start_time) if spec.HasField("run_start_time") else None,
        labels=MappingProxyType(dict(spec.labels.values)),
        lane=spec.queue,
        action_limit=spec.max_action_concurrency,
        not_honoured=unhonoured.of_run(spec),
        caching=caching.of_run(spec),
    )


def completed_run_spec(run_spec: bytes, *, start_time: datetime | None, raw_data_prefix: str) -> bytes:
    """The RunSpec with the start time, if there is one, and with the place for raw data unless it names its own."""
    if start_time is None:
        return _placed(run_spec, raw_data_prefix, with_start_time=True)
    # A message behind a message is both of them merged: what all runs of a trigger share is written once.
    return _placed(run_spec, raw_data_prefix, with_start_time=False) + _start_time(start_time)


def raw_data_prefix(run_spec: bytes) -> str:
    """The URI below which tasks of the run keep their raw data, each run in a directory of its own; may be empty."""
    return run_pb2.RunSpec.FromString(run_spec).raw_data_storage.raw_data_prefix


@lru_cache(_CACHED)
def _start_time(moment: datetime) -> bytes:
    """The same for all triggers that fire on the hour."""
    return run_pb2.RunSpec(run_start_time=times.to_proto(moment)).SerializeToString()


@lru_cache(_CACHED)
def _placed(run_spec: bytes, raw_data_prefix: str, *, with_start_time: bool) -> bytes:
    spec = run_pb2.RunSpec.FromString(run_spec)
    if not with_start_time:
        spec.ClearField("run_start_time")
    if not spec.raw_data_storage.raw_data_prefix:
        spec.raw_data_storage.raw_data_prefix = raw_data_prefix
    return spec.SerializeToString()


def inline_inputs(
    *, base: bytes | None, given: bytes | None, task: TaskTraits, kickoff_arg: str, kickoff: datetime
) -> bytes:
    """The inputs of a run: those of the trigger, those of the caller over them, and the defaults of what is missing.

    The kickoff input is left to the runtime where the runtime fills it, and is set to `kickoff` otherwise, unless the
    caller gave it a value.
    """
    shared = _shared_inputs(base, task, kickoff_arg) if given is None else None
    if shared is not None:
        return shared
    merged = inputs.merged(base, given)
    name = _to_fill(merged, task, kickoff_arg)
    if name and name not in _names(given):
        inputs.fill_kickoff(merged, name, kickoff)
    inputs.add_defaults(merged, task.defaults)
    return merged.SerializeToString()


@lru_cache(_CACHED)
def _shared_inputs(base: bytes | None, task: TaskTraits, kickoff_arg: str) -> bytes | None:
    """The inputs of all runs of a trigger; None when each gets its own kickoff time."""
    merged = inputs.merged(base, None)
    if _to_fill(merged, task, kickoff_arg):
        return None
    inputs.add_defaults(merged, task.defaults)
    return merged.SerializeToString()


def _to_fill(merged: common_pb2.Inputs, task: TaskTraits, kickoff_arg: str) -> str:
    """The kickoff input that the runtime leaves to us, or empty."""
    marked = inputs.kickoff_arg(merged)
    return "" if task.knows_start_time and marked else marked or kickoff_arg


def has_literals(given: bytes | None) -> bool:
    return bool(_names(given))


def missing_inputs(given: bytes, *, task: TaskTraits, kickoff_arg: str) -> list[str]:
    """The inputs that neither the caller nor a default nor the kickoff time gives."""
    there = {*_names(given), *(default.name for default in task.defaults), kickoff_arg}
    return [name for name in task.inputs if name not in there]


def offloaded(data: common_run_pb2.OffloadedInputData) -> Uploaded:
    """Some callers name the file in the directory."""
    return Uploaded(data.uri.removesuffix(INPUTS_FILE).rstrip("/"), data.inputs_hash)


def cache_policy(
    task: TaskTraits,
    asked: RunSpecTraits,
    scope: Scope,
    given: bytes | Uploaded,
    *,
    kickoff_arg: str,
    start_time: datetime | None,
) -> CachePolicy | None:
    """Of a run's first action, for serialized flyteidl2.task.Inputs or uploaded ones; None: it always runs."""
    if task.caching is None:
        return None
    if isinstance(given, Uploaded):
        hashed = given.hash
    else:
        hashed = caching.inputs_hash(common_pb2.Inputs.FromString(given), task.ignored)
    if not hashed:
        return None
    key = caching.root_key(task.caching, hashed, kickoff_arg=kickoff_arg, start_time=start_time)
    return caching.policy(key, task.caching, asked.caching, scope)


def identity(subject: str) -> bytes | None:
    """The serialized flyteidl2.common.EnrichedIdentity of a caller; None for one nobody knows."""
    found = identities.to_proto(subject)
    return None if found is None else found.SerializeToString()


def _names(given: bytes | None) -> set[str]:
    return {literal.name for literal in common_pb2.Inputs.FromString(given or b"").literals}


def _knows_start_time(version: str) -> bool:
    found = _VERSION.search(version)
    return found is not None and tuple(map(int, found.groups())) >= START_TIME_SINCE
