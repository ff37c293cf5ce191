from buf.validate import validate_pb2 as _validate_pb2
from flyteidl2.common import identifier_pb2 as _identifier_pb2
from flyteidl2.common import phase_pb2 as _phase_pb2
from flyteidl2.task import common_pb2 as _common_pb2
from flyteidl2.workflow import run_definition_pb2 as _run_definition_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class FireKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FIRE_KIND_UNSPECIFIED: _ClassVar[FireKind]
    FIRE_KIND_SCHEDULE: _ClassVar[FireKind]
    FIRE_KIND_MANUAL: _ClassVar[FireKind]
    FIRE_KIND_BACKFILL: _ClassVar[FireKind]
    FIRE_KIND_HOOK: _ClassVar[FireKind]
    FIRE_KIND_SENSOR: _ClassVar[FireKind]
    FIRE_KIND_ARTIFACT: _ClassVar[FireKind]
    FIRE_KIND_AFTER: _ClassVar[FireKind]

class FireOutcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FIRE_OUTCOME_UNSPECIFIED: _ClassVar[FireOutcome]
    FIRE_OUTCOME_FIRED: _ClassVar[FireOutcome]
    FIRE_OUTCOME_SKIPPED: _ClassVar[FireOutcome]
    FIRE_OUTCOME_MISSED: _ClassVar[FireOutcome]

class BackfillState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    BACKFILL_STATE_UNSPECIFIED: _ClassVar[BackfillState]
    BACKFILL_STATE_RUNNING: _ClassVar[BackfillState]
    BACKFILL_STATE_PAUSED: _ClassVar[BackfillState]
    BACKFILL_STATE_DONE: _ClassVar[BackfillState]
    BACKFILL_STATE_CANCELLED: _ClassVar[BackfillState]
FIRE_KIND_UNSPECIFIED: FireKind
FIRE_KIND_SCHEDULE: FireKind
FIRE_KIND_MANUAL: FireKind
FIRE_KIND_BACKFILL: FireKind
FIRE_KIND_HOOK: FireKind
FIRE_KIND_SENSOR: FireKind
FIRE_KIND_ARTIFACT: FireKind
FIRE_KIND_AFTER: FireKind
FIRE_OUTCOME_UNSPECIFIED: FireOutcome
FIRE_OUTCOME_FIRED: FireOutcome
FIRE_OUTCOME_SKIPPED: FireOutcome
FIRE_OUTCOME_MISSED: FireOutcome
BACKFILL_STATE_UNSPECIFIED: BackfillState
BACKFILL_STATE_RUNNING: BackfillState
BACKFILL_STATE_PAUSED: BackfillState
BACKFILL_STATE_DONE: BackfillState
BACKFILL_STATE_CANCELLED: BackfillState

class PreviewScheduleRequest(_message.Message):
    __slots__ = ("trigger", "schedule", "after", "count")
    TRIGGER_FIELD_NUMBER: _ClassVar[int]
    SCHEDULE_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    trigger: _identifier_pb2.TriggerName
    schedule: InlineSchedule
    after: _timestamp_pb2.Timestamp
    count: int
    def __init__(self, trigger: _Optional[_Union[_identifier_pb2.TriggerName, _Mapping]] = ..., schedule: _Optional[_Union[InlineSchedule, _Mapping]] = ..., after: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., count: _Optional[int] = ...) -> None: ...

class InlineSchedule(_message.Message):
    __slots__ = ("schedule", "policies")
    class PoliciesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    SCHEDULE_FIELD_NUMBER: _ClassVar[int]
    POLICIES_FIELD_NUMBER: _ClassVar[int]
    schedule: _common_pb2.Schedule
    policies: _containers.ScalarMap[str, str]
    def __init__(self, schedule: _Optional[_Union[_common_pb2.Schedule, _Mapping]] = ..., policies: _Optional[_Mapping[str, str]] = ...) -> None: ...

class PreviewScheduleResponse(_message.Message):
    __slots__ = ("slots", "timezone", "tzdata_version", "inactive")
    SLOTS_FIELD_NUMBER: _ClassVar[int]
    TIMEZONE_FIELD_NUMBER: _ClassVar[int]
    TZDATA_VERSION_FIELD_NUMBER: _ClassVar[int]
    INACTIVE_FIELD_NUMBER: _ClassVar[int]
    slots: _containers.RepeatedCompositeFieldContainer[Slot]
    timezone: str
    tzdata_version: str
    inactive: bool
    def __init__(self, slots: _Optional[_Iterable[_Union[Slot, _Mapping]]] = ..., timezone: _Optional[str] = ..., tzdata_version: _Optional[str] = ..., inactive: bool = ...) -> None: ...

class Slot(_message.Message):
    __slots__ = ("at", "local", "note", "fires_at")
    AT_FIELD_NUMBER: _ClassVar[int]
    LOCAL_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    FIRES_AT_FIELD_NUMBER: _ClassVar[int]
    at: _timestamp_pb2.Timestamp
    local: str
    note: str
    fires_at: _timestamp_pb2.Timestamp
    def __init__(self, at: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., local: _Optional[str] = ..., note: _Optional[str] = ..., fires_at: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class GetTriggerStatesRequest(_message.Message):
    __slots__ = ("names", "fires")
    NAMES_FIELD_NUMBER: _ClassVar[int]
    FIRES_FIELD_NUMBER: _ClassVar[int]
    names: _containers.RepeatedCompositeFieldContainer[_identifier_pb2.TriggerName]
    fires: int
    def __init__(self, names: _Optional[_Iterable[_Union[_identifier_pb2.TriggerName, _Mapping]]] = ..., fires: _Optional[int] = ...) -> None: ...

class GetTriggerStatesResponse(_message.Message):
    __slots__ = ("states",)
    STATES_FIELD_NUMBER: _ClassVar[int]
    states: _containers.RepeatedCompositeFieldContainer[TriggerState]
    def __init__(self, states: _Optional[_Iterable[_Union[TriggerState, _Mapping]]] = ...) -> None: ...

class TriggerState(_message.Message):
    __slots__ = ("name", "revision", "active", "next_fire_at", "pause", "failures", "error", "fires")
    NAME_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    ACTIVE_FIELD_NUMBER: _ClassVar[int]
    NEXT_FIRE_AT_FIELD_NUMBER: _ClassVar[int]
    PAUSE_FIELD_NUMBER: _ClassVar[int]
    FAILURES_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    FIRES_FIELD_NUMBER: _ClassVar[int]
    name: _identifier_pb2.TriggerName
    revision: int
    active: bool
    next_fire_at: _timestamp_pb2.Timestamp
    pause: Pause
    failures: int
    error: str
    fires: _containers.RepeatedCompositeFieldContainer[Fire]
    def __init__(self, name: _Optional[_Union[_identifier_pb2.TriggerName, _Mapping]] = ..., revision: _Optional[int] = ..., active: bool = ..., next_fire_at: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., pause: _Optional[_Union[Pause, _Mapping]] = ..., failures: _Optional[int] = ..., error: _Optional[str] = ..., fires: _Optional[_Iterable[_Union[Fire, _Mapping]]] = ...) -> None: ...

class Pause(_message.Message):
    __slots__ = ("reason", "until", "paused_at", "paused_by")
    REASON_FIELD_NUMBER: _ClassVar[int]
    UNTIL_FIELD_NUMBER: _ClassVar[int]
    PAUSED_AT_FIELD_NUMBER: _ClassVar[int]
    PAUSED_BY_FIELD_NUMBER: _ClassVar[int]
    reason: str
    until: _timestamp_pb2.Timestamp
    paused_at: _timestamp_pb2.Timestamp
    paused_by: str
    def __init__(self, reason: _Optional[str] = ..., until: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., paused_at: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., paused_by: _Optional[str] = ...) -> None: ...

class ListFiresRequest(_message.Message):
    __slots__ = ("name", "limit", "token", "outcomes", "kinds", "since", "before")
    NAME_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    OUTCOMES_FIELD_NUMBER: _ClassVar[int]
    KINDS_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    BEFORE_FIELD_NUMBER: _ClassVar[int]
    name: _identifier_pb2.TriggerName
    limit: int
    token: str
    outcomes: _containers.RepeatedScalarFieldContainer[FireOutcome]
    kinds: _containers.RepeatedScalarFieldContainer[FireKind]
    since: _timestamp_pb2.Timestamp
    before: _timestamp_pb2.Timestamp
    def __init__(self, name: _Optional[_Union[_identifier_pb2.TriggerName, _Mapping]] = ..., limit: _Optional[int] = ..., token: _Optional[str] = ..., outcomes: _Optional[_Iterable[_Union[FireOutcome, str]]] = ..., kinds: _Optional[_Iterable[_Union[FireKind, str]]] = ..., since: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., before: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ListFiresResponse(_message.Message):
    __slots__ = ("fires", "token")
    FIRES_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    fires: _containers.RepeatedCompositeFieldContainer[Fire]
    token: str
    def __init__(self, fires: _Optional[_Iterable[_Union[Fire, _Mapping]]] = ..., token: _Optional[str] = ...) -> None: ...

class Fire(_message.Message):
    __slots__ = ("kind", "outcome", "reason", "first_slot", "last_slot", "count", "revision", "run", "decided_at", "lag", "phase")
    KIND_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    FIRST_SLOT_FIELD_NUMBER: _ClassVar[int]
    LAST_SLOT_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    RUN_FIELD_NUMBER: _ClassVar[int]
    DECIDED_AT_FIELD_NUMBER: _ClassVar[int]
    LAG_FIELD_NUMBER: _ClassVar[int]
    PHASE_FIELD_NUMBER: _ClassVar[int]
    kind: FireKind
    outcome: FireOutcome
    reason: str
    first_slot: _timestamp_pb2.Timestamp
    last_slot: _timestamp_pb2.Timestamp
    count: int
    revision: int
    run: _identifier_pb2.RunIdentifier
    decided_at: _timestamp_pb2.Timestamp
    lag: _duration_pb2.Duration
    phase: _phase_pb2.ActionPhase
    def __init__(self, kind: _Optional[_Union[FireKind, str]] = ..., outcome: _Optional[_Union[FireOutcome, str]] = ..., reason: _Optional[str] = ..., first_slot: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., last_slot: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., count: _Optional[int] = ..., revision: _Optional[int] = ..., run: _Optional[_Union[_identifier_pb2.RunIdentifier, _Mapping]] = ..., decided_at: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., lag: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., phase: _Optional[_Union[_phase_pb2.ActionPhase, str]] = ...) -> None: ...

class FireTriggerRequest(_message.Message):
    __slots__ = ("name", "inputs", "run_start_time", "dry_run", "source")
    NAME_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    RUN_START_TIME_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    name: _identifier_pb2.TriggerName
    inputs: _common_pb2.Inputs
    run_start_time: _timestamp_pb2.Timestamp
    dry_run: bool
    source: _run_definition_pb2.RunSource
    def __init__(self, name: _Optional[_Union[_identifier_pb2.TriggerName, _Mapping]] = ..., inputs: _Optional[_Union[_common_pb2.Inputs, _Mapping]] = ..., run_start_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., dry_run: bool = ..., source: _Optional[_Union[_run_definition_pb2.RunSource, str]] = ...) -> None: ...

class FireTriggerResponse(_message.Message):
    __slots__ = ("run", "inputs", "input_uri")
    RUN_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    INPUT_URI_FIELD_NUMBER: _ClassVar[int]
    run: _identifier_pb2.RunIdentifier
    inputs: _common_pb2.Inputs
    input_uri: str
    def __init__(self, run: _Optional[_Union[_identifier_pb2.RunIdentifier, _Mapping]] = ..., inputs: _Optional[_Union[_common_pb2.Inputs, _Mapping]] = ..., input_uri: _Optional[str] = ...) -> None: ...

class PauseTriggerRequest(_message.Message):
    __slots__ = ("name", "reason", "until")
    NAME_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    UNTIL_FIELD_NUMBER: _ClassVar[int]
    name: _identifier_pb2.TriggerName
    reason: str
    until: _timestamp_pb2.Timestamp
    def __init__(self, name: _Optional[_Union[_identifier_pb2.TriggerName, _Mapping]] = ..., reason: _Optional[str] = ..., until: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class PauseTriggerResponse(_message.Message):
    __slots__ = ("state",)
    STATE_FIELD_NUMBER: _ClassVar[int]
    state: TriggerState
    def __init__(self, state: _Optional[_Union[TriggerState, _Mapping]] = ...) -> None: ...

class ResumeTriggerRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: _identifier_pb2.TriggerName
    def __init__(self, name: _Optional[_Union[_identifier_pb2.TriggerName, _Mapping]] = ...) -> None: ...

class ResumeTriggerResponse(_message.Message):
    __slots__ = ("state",)
    STATE_FIELD_NUMBER: _ClassVar[int]
    state: TriggerState
    def __init__(self, state: _Optional[_Union[TriggerState, _Mapping]] = ...) -> None: ...

class DiffRevisionsRequest(_message.Message):
    __slots__ = ("name", "old", "new", "count")
    NAME_FIELD_NUMBER: _ClassVar[int]
    OLD_FIELD_NUMBER: _ClassVar[int]
    NEW_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    name: _identifier_pb2.TriggerName
    old: int
    new: int
    count: int
    def __init__(self, name: _Optional[_Union[_identifier_pb2.TriggerName, _Mapping]] = ..., old: _Optional[int] = ..., new: _Optional[int] = ..., count: _Optional[int] = ...) -> None: ...

class DiffRevisionsResponse(_message.Message):
    __slots__ = ("old", "new", "differences", "old_slots", "new_slots")
    OLD_FIELD_NUMBER: _ClassVar[int]
    NEW_FIELD_NUMBER: _ClassVar[int]
    DIFFERENCES_FIELD_NUMBER: _ClassVar[int]
    OLD_SLOTS_FIELD_NUMBER: _ClassVar[int]
    NEW_SLOTS_FIELD_NUMBER: _ClassVar[int]
    old: int
    new: int
    differences: _containers.RepeatedCompositeFieldContainer[FieldDifference]
    old_slots: _containers.RepeatedCompositeFieldContainer[Slot]
    new_slots: _containers.RepeatedCompositeFieldContainer[Slot]
    def __init__(self, old: _Optional[int] = ..., new: _Optional[int] = ..., differences: _Optional[_Iterable[_Union[FieldDifference, _Mapping]]] = ..., old_slots: _Optional[_Iterable[_Union[Slot, _Mapping]]] = ..., new_slots: _Optional[_Iterable[_Union[Slot, _Mapping]]] = ...) -> None: ...

class FieldDifference(_message.Message):
    __slots__ = ("field", "before", "after")
    FIELD_FIELD_NUMBER: _ClassVar[int]
    BEFORE_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    field: str
    before: str
    after: str
    def __init__(self, field: _Optional[str] = ..., before: _Optional[str] = ..., after: _Optional[str] = ...) -> None: ...

class RollbackTriggerRequest(_message.Message):
    __slots__ = ("name", "revision", "expected_revision")
    NAME_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_REVISION_FIELD_NUMBER: _ClassVar[int]
    name: _identifier_pb2.TriggerName
    revision: int
    expected_revision: int
    def __init__(self, name: _Optional[_Union[_identifier_pb2.TriggerName, _Mapping]] = ..., revision: _Optional[int] = ..., expected_revision: _Optional[int] = ...) -> None: ...

class RollbackTriggerResponse(_message.Message):
    __slots__ = ("state",)
    STATE_FIELD_NUMBER: _ClassVar[int]
    state: TriggerState
    def __init__(self, state: _Optional[_Union[TriggerState, _Mapping]] = ...) -> None: ...

class ForecastLoadRequest(_message.Message):
    __slots__ = ("project_id", "begin", "horizon", "bucket")
    PROJECT_ID_FIELD_NUMBER: _ClassVar[int]
    BEGIN_FIELD_NUMBER: _ClassVar[int]
    HORIZON_FIELD_NUMBER: _ClassVar[int]
    BUCKET_FIELD_NUMBER: _ClassVar[int]
    project_id: _identifier_pb2.ProjectIdentifier
    begin: _timestamp_pb2.Timestamp
    horizon: _duration_pb2.Duration
    bucket: _duration_pb2.Duration
    def __init__(self, project_id: _Optional[_Union[_identifier_pb2.ProjectIdentifier, _Mapping]] = ..., begin: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., horizon: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., bucket: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class ForecastLoadResponse(_message.Message):
    __slots__ = ("buckets", "triggers", "trigger_count")
    BUCKETS_FIELD_NUMBER: _ClassVar[int]
    TRIGGERS_FIELD_NUMBER: _ClassVar[int]
    TRIGGER_COUNT_FIELD_NUMBER: _ClassVar[int]
    buckets: _containers.RepeatedCompositeFieldContainer[LoadBucket]
    triggers: _containers.RepeatedCompositeFieldContainer[TriggerLoad]
    trigger_count: int
    def __init__(self, buckets: _Optional[_Iterable[_Union[LoadBucket, _Mapping]]] = ..., triggers: _Optional[_Iterable[_Union[TriggerLoad, _Mapping]]] = ..., trigger_count: _Optional[int] = ...) -> None: ...

class LoadBucket(_message.Message):
    __slots__ = ("begin", "fires")
    BEGIN_FIELD_NUMBER: _ClassVar[int]
    FIRES_FIELD_NUMBER: _ClassVar[int]
    begin: _timestamp_pb2.Timestamp
    fires: int
    def __init__(self, begin: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., fires: _Optional[int] = ...) -> None: ...

class TriggerLoad(_message.Message):
    __slots__ = ("name", "fires", "by_bucket")
    NAME_FIELD_NUMBER: _ClassVar[int]
    FIRES_FIELD_NUMBER: _ClassVar[int]
    BY_BUCKET_FIELD_NUMBER: _ClassVar[int]
    name: _identifier_pb2.TriggerName
    fires: int
    by_bucket: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, name: _Optional[_Union[_identifier_pb2.TriggerName, _Mapping]] = ..., fires: _Optional[int] = ..., by_bucket: _Optional[_Iterable[int]] = ...) -> None: ...

class GetSchedulerHealthRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetSchedulerHealthResponse(_message.Message):
    __slots__ = ("oldest_undecided_slot", "overdue_triggers", "backlogs", "triggers_with_backlog", "oldest_backlog", "failing_triggers", "failing", "active_triggers", "nodes", "now")
    OLDEST_UNDECIDED_SLOT_FIELD_NUMBER: _ClassVar[int]
    OVERDUE_TRIGGERS_FIELD_NUMBER: _ClassVar[int]
    BACKLOGS_FIELD_NUMBER: _ClassVar[int]
    TRIGGERS_WITH_BACKLOG_FIELD_NUMBER: _ClassVar[int]
    OLDEST_BACKLOG_FIELD_NUMBER: _ClassVar[int]
    FAILING_TRIGGERS_FIELD_NUMBER: _ClassVar[int]
    FAILING_FIELD_NUMBER: _ClassVar[int]
    ACTIVE_TRIGGERS_FIELD_NUMBER: _ClassVar[int]
    NODES_FIELD_NUMBER: _ClassVar[int]
    NOW_FIELD_NUMBER: _ClassVar[int]
    oldest_undecided_slot: _timestamp_pb2.Timestamp
    overdue_triggers: int
    backlogs: int
    triggers_with_backlog: int
    oldest_backlog: _timestamp_pb2.Timestamp
    failing_triggers: int
    failing: _containers.RepeatedCompositeFieldContainer[FailingTrigger]
    active_triggers: int
    nodes: _containers.RepeatedCompositeFieldContainer[NodeState]
    now: _timestamp_pb2.Timestamp
    def __init__(self, oldest_undecided_slot: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., overdue_triggers: _Optional[int] = ..., backlogs: _Optional[int] = ..., triggers_with_backlog: _Optional[int] = ..., oldest_backlog: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., failing_triggers: _Optional[int] = ..., failing: _Optional[_Iterable[_Union[FailingTrigger, _Mapping]]] = ..., active_triggers: _Optional[int] = ..., nodes: _Optional[_Iterable[_Union[NodeState, _Mapping]]] = ..., now: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class FailingTrigger(_message.Message):
    __slots__ = ("name", "failures", "error")
    NAME_FIELD_NUMBER: _ClassVar[int]
    FAILURES_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    name: _identifier_pb2.TriggerName
    failures: int
    error: str
    def __init__(self, name: _Optional[_Union[_identifier_pb2.TriggerName, _Mapping]] = ..., failures: _Optional[int] = ..., error: _Optional[str] = ...) -> None: ...

class NodeState(_message.Message):
    __slots__ = ("id", "host", "started_at", "lease_until", "scheduled_at")
    ID_FIELD_NUMBER: _ClassVar[int]
    HOST_FIELD_NUMBER: _ClassVar[int]
    STARTED_AT_FIELD_NUMBER: _ClassVar[int]
    LEASE_UNTIL_FIELD_NUMBER: _ClassVar[int]
    SCHEDULED_AT_FIELD_NUMBER: _ClassVar[int]
    id: str
    host: str
    started_at: _timestamp_pb2.Timestamp
    lease_until: _timestamp_pb2.Timestamp
    scheduled_at: _timestamp_pb2.Timestamp
    def __init__(self, id: _Optional[str] = ..., host: _Optional[str] = ..., started_at: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., lease_until: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., scheduled_at: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class BackfillTriggerRequest(_message.Message):
    __slots__ = ("name", "begin", "end", "dry_run", "again", "max_running")
    NAME_FIELD_NUMBER: _ClassVar[int]
    BEGIN_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    AGAIN_FIELD_NUMBER: _ClassVar[int]
    MAX_RUNNING_FIELD_NUMBER: _ClassVar[int]
    name: _identifier_pb2.TriggerName
    begin: _timestamp_pb2.Timestamp
    end: _timestamp_pb2.Timestamp
    dry_run: bool
    again: bool
    max_running: int
    def __init__(self, name: _Optional[_Union[_identifier_pb2.TriggerName, _Mapping]] = ..., begin: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., end: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., dry_run: bool = ..., again: bool = ..., max_running: _Optional[int] = ...) -> None: ...

class BackfillTriggerResponse(_message.Message):
    __slots__ = ("backfill", "slots", "left_out")
    BACKFILL_FIELD_NUMBER: _ClassVar[int]
    SLOTS_FIELD_NUMBER: _ClassVar[int]
    LEFT_OUT_FIELD_NUMBER: _ClassVar[int]
    backfill: Backfill
    slots: _containers.RepeatedCompositeFieldContainer[Slot]
    left_out: int
    def __init__(self, backfill: _Optional[_Union[Backfill, _Mapping]] = ..., slots: _Optional[_Iterable[_Union[Slot, _Mapping]]] = ..., left_out: _Optional[int] = ...) -> None: ...

class Backfill(_message.Message):
    __slots__ = ("id", "name", "revision", "begin", "end", "again", "max_running", "state", "reason", "slots", "started", "left_out", "missed", "running", "created_by", "created_at", "ended_at")
    ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    BEGIN_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    AGAIN_FIELD_NUMBER: _ClassVar[int]
    MAX_RUNNING_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    SLOTS_FIELD_NUMBER: _ClassVar[int]
    STARTED_FIELD_NUMBER: _ClassVar[int]
    LEFT_OUT_FIELD_NUMBER: _ClassVar[int]
    MISSED_FIELD_NUMBER: _ClassVar[int]
    RUNNING_FIELD_NUMBER: _ClassVar[int]
    CREATED_BY_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    ENDED_AT_FIELD_NUMBER: _ClassVar[int]
    id: str
    name: _identifier_pb2.TriggerName
    revision: int
    begin: _timestamp_pb2.Timestamp
    end: _timestamp_pb2.Timestamp
    again: bool
    max_running: int
    state: BackfillState
    reason: str
    slots: int
    started: int
    left_out: int
    missed: int
    running: int
    created_by: str
    created_at: _timestamp_pb2.Timestamp
    ended_at: _timestamp_pb2.Timestamp
    def __init__(self, id: _Optional[str] = ..., name: _Optional[_Union[_identifier_pb2.TriggerName, _Mapping]] = ..., revision: _Optional[int] = ..., begin: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., end: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., again: bool = ..., max_running: _Optional[int] = ..., state: _Optional[_Union[BackfillState, str]] = ..., reason: _Optional[str] = ..., slots: _Optional[int] = ..., started: _Optional[int] = ..., left_out: _Optional[int] = ..., missed: _Optional[int] = ..., running: _Optional[int] = ..., created_by: _Optional[str] = ..., created_at: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., ended_at: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class GetBackfillRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class GetBackfillResponse(_message.Message):
    __slots__ = ("backfill",)
    BACKFILL_FIELD_NUMBER: _ClassVar[int]
    backfill: Backfill
    def __init__(self, backfill: _Optional[_Union[Backfill, _Mapping]] = ...) -> None: ...

class ListBackfillsRequest(_message.Message):
    __slots__ = ("name", "limit", "token", "states")
    NAME_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    STATES_FIELD_NUMBER: _ClassVar[int]
    name: _identifier_pb2.TriggerName
    limit: int
    token: str
    states: _containers.RepeatedScalarFieldContainer[BackfillState]
    def __init__(self, name: _Optional[_Union[_identifier_pb2.TriggerName, _Mapping]] = ..., limit: _Optional[int] = ..., token: _Optional[str] = ..., states: _Optional[_Iterable[_Union[BackfillState, str]]] = ...) -> None: ...

class ListBackfillsResponse(_message.Message):
    __slots__ = ("backfills", "token")
    BACKFILLS_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    backfills: _containers.RepeatedCompositeFieldContainer[Backfill]
    token: str
    def __init__(self, backfills: _Optional[_Iterable[_Union[Backfill, _Mapping]]] = ..., token: _Optional[str] = ...) -> None: ...

class PauseBackfillRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class PauseBackfillResponse(_message.Message):
    __slots__ = ("backfill",)
    BACKFILL_FIELD_NUMBER: _ClassVar[int]
    backfill: Backfill
    def __init__(self, backfill: _Optional[_Union[Backfill, _Mapping]] = ...) -> None: ...

class ResumeBackfillRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class ResumeBackfillResponse(_message.Message):
    __slots__ = ("backfill",)
    BACKFILL_FIELD_NUMBER: _ClassVar[int]
    backfill: Backfill
    def __init__(self, backfill: _Optional[_Union[Backfill, _Mapping]] = ...) -> None: ...

class CancelBackfillRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class CancelBackfillResponse(_message.Message):
    __slots__ = ("backfill",)
    BACKFILL_FIELD_NUMBER: _ClassVar[int]
    backfill: Backfill
    def __init__(self, backfill: _Optional[_Union[Backfill, _Mapping]] = ...) -> None: ...
