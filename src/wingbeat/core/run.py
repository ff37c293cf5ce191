"""A run: what it was started with. Its state is the state of its root action."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from wingbeat.core.action import TaskRef, TriggerRef
from wingbeat.core.cache import CachePolicy
from wingbeat.core.ids import RunId
from wingbeat.core.relation import Relation
from wingbeat.core.timer import UNLIMITED, Timeouts


@dataclass(frozen=True, slots=True)
class Run:
    id: RunId
    task: TaskRef
    run_spec: bytes
    """The serialized flyteidl2.task.RunSpec, passed on as it is."""
    inputs: bytes | None
    """The serialized flyteidl2.task.Inputs; None when they were offloaded to `input_uri` by the caller."""
    input_uri: str
    """The directory of inputs.pb. The dispatcher writes `inputs` there before the first launch."""
    output_base: str
    """The URI below which each attempt has its output prefix `<action>/<attempt>`; ends with `/`."""
    kickoff_arg: str
    """The input that receives the slot's time, or empty."""
    start_time: datetime | None
    """What `{{.runStartTime}}` becomes; None for tasks of SDKs before 2.3.6."""
    source: str
    """The name of flyteidl2.workflow.RunSource."""
    trigger: TriggerRef | None
    slot: datetime | None
    """The moment a schedule meant this run for."""
    created_by: bytes | None
    """The serialized flyteidl2.common.EnrichedIdentity of the caller."""
    created_by_subject: str
    request_id: str | None
    """The caller's `x-request-id`: a repeated request finds its run again."""
    priority: int
    lane: str
    """The name of the queue the caller asked for, or empty."""
    not_honoured: tuple[str, ...]
    """What the task or the caller asked for and this server does not do, in words."""
    created_at: datetime
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    timeouts: Timeouts = UNLIMITED
    """Of its root action."""
    action_limit: int = 0
    """How many of its actions nodes may hold at once, those that wait for children not counted; 0 for any number."""
    cache: CachePolicy | None = None
    """Of its first action."""
    relation: Relation | None = None
    """To the run that it came from."""
