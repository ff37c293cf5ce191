"""Runs and actions as the API describes them -> the documents that commands show."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

from flyteidl2.common import phase_pb2
from flyteidl2.workflow import run_definition_pb2 as pb
from google.protobuf.timestamp_pb2 import Timestamp

from wingbeat.cli.run_documents import ActionNode, AttemptShown, Event, Failure, RunShown, RunSummary, RunTree
from wingbeat.errors import NotFound
from wingbeat.wire import times, unhonoured

MILLISECONDS = 1000


def summary(root: pb.Action) -> RunSummary:
    return RunSummary(**_summary(root))


def shown(details: pb.RunDetails) -> RunShown:
    root, spec = details.action, details.run_spec
    metadata = root.metadata
    return RunShown(
        **_summary(root),
        trigger_revision=metadata.trigger_id.revision or None,
        created_by=metadata.executed_by.user.id.subject or None,
        meant_for=times.from_proto(spec.run_start_time) if spec.HasField("run_start_time") else None,
        labels=dict(spec.labels.values),
        error=_failure(root.error_info) if root.HasField("error_info") else None,
        abort_reason=root.abort_info.reason if root.HasField("abort_info") else None,
        not_honoured=_not_honoured(root),
        attempts=tuple(_attempt(each) for each in root.attempts),
    )
