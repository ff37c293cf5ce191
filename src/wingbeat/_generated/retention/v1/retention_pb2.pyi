from buf.validate import validate_pb2 as _validate_pb2
from flyteidl2.common import identifier_pb2 as _identifier_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class KeptReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    KEPT_REASON_UNSPECIFIED: _ClassVar[KeptReason]
    KEPT_REASON_UNFINISHED: _ClassVar[KeptReason]
    KEPT_REASON_NEEDED: _ClassVar[KeptReason]
    KEPT_REASON_CACHED: _ClassVar[KeptReason]
    KEPT_REASON_BUSY: _ClassVar[KeptReason]
KEPT_REASON_UNSPECIFIED: KeptReason
KEPT_REASON_UNFINISHED: KeptReason
KEPT_REASON_NEEDED: KeptReason
KEPT_REASON_CACHED: KeptReason
KEPT_REASON_BUSY: KeptReason

class PruneRunsRequest(_message.Message):
    __slots__ = ("older_than", "project", "domain", "dry_run", "token")
    OLDER_THAN_FIELD_NUMBER: _ClassVar[int]
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    DOMAIN_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    older_than: _duration_pb2.Duration
    project: str
    domain: str
    dry_run: bool
    token: str
    def __init__(self, older_than: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., project: _Optional[str] = ..., domain: _Optional[str] = ..., dry_run: bool = ..., token: _Optional[str] = ...) -> None: ...

class KeptRuns(_message.Message):
    __slots__ = ("reason", "runs")
    REASON_FIELD_NUMBER: _ClassVar[int]
    RUNS_FIELD_NUMBER: _ClassVar[int]
    reason: KeptReason
    runs: int
    def __init__(self, reason: _Optional[_Union[KeptReason, str]] = ..., runs: _Optional[int] = ...) -> None: ...

class PruneRunsResponse(_message.Message):
    __slots__ = ("runs", "actions", "kept", "token")
    RUNS_FIELD_NUMBER: _ClassVar[int]
    ACTIONS_FIELD_NUMBER: _ClassVar[int]
    KEPT_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    runs: _containers.RepeatedCompositeFieldContainer[_identifier_pb2.RunIdentifier]
    actions: int
    kept: _containers.RepeatedCompositeFieldContainer[KeptRuns]
    token: str
    def __init__(self, runs: _Optional[_Iterable[_Union[_identifier_pb2.RunIdentifier, _Mapping]]] = ..., actions: _Optional[int] = ..., kept: _Optional[_Iterable[_Union[KeptRuns, _Mapping]]] = ..., token: _Optional[str] = ...) -> None: ...

class GetRemovalsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetRemovalsResponse(_message.Message):
    __slots__ = ("runs",)
    RUNS_FIELD_NUMBER: _ClassVar[int]
    runs: int
    def __init__(self, runs: _Optional[int] = ...) -> None: ...
