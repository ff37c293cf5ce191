"""Our own service's words <-> core, and what revisions of triggers say, field by field."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, cast

from flyteidl2.common import identifier_pb2
from flyteidl2.task import common_pb2
from flyteidl2.trigger import trigger_definition_pb2, trigger_service_pb2
from google.protobuf import json_format
from google.protobuf.message import Message

from wingbeat._generated.automation.v1 import automation_pb2 as pb
from wingbeat.core.ids import TriggerName
from wingbeat.core.preview import Slot
from wingbeat.core.trigger import Deployment, Trigger
from wingbeat.wire import runs, times, triggers

UNDEPLOYED = TriggerName("", "", "", "preview")


def inline_schedule(inline: pb.InlineSchedule) -> Deployment:
    """A trigger that would fire like this. Raises InvalidArgument."""
    request = trigger_service_pb2.DeployTriggerRequest(
        name={"name": UNDEPLOYED.name}, automation_spec={"schedule": inline.schedule}, spec={"active": True}
    )
    if inline.policies:
        request.spec.run_spec.annotations.values.update(inline.policies)
    return triggers.deployment(request)


def redeployment(trigger: Trigger, *, active: bool) -> Deployment:
    """What was deployed as this revision, to be deployed again. Raises InvalidArgument, Unimplemented."""
    request = trigger_service_pb2.DeployTriggerRequest(
        name=name_to_proto(trigger.name),
        spec=trigger_definition_pb2.TriggerSpec.FromString(trigger.spec),
        automation_spec=common_pb2.TriggerAutomationSpec.FromString(trigger.automation),
    )
    request.spec.active = active
    request.spec.task_version = trigger.task_version
    request.spec.description = trigger.description
    return triggers.deployment(request)


def fields(trigger: Trigger) -> Mapping[str, str]:
    """What a revision says: JSON by the path of the field, such as `automation_spec.schedule.cron.expression`."""
    details = triggers.details(trigger)
    return {
        path: json.dumps(value, ensure_ascii=False, sort_keys=True)
        for part in ("spec", "automation_spec")
        for path, value in _leaves(part, _plain(getattr(details, part)))
    } | {"deleted": json.dumps(trigger.deleted_at is not None)}


def unknown_inputs(given: bytes | None, *, task_spec: bytes) -> list[str]:
    """The names of inputs that the task does not have."""
    names = [literal.name for literal in common_pb2.Inputs.FromString(given or b"").literals]
    known = runs.task_traits(task_spec).inputs
    return [name for name in names if name not in known]


def name_to_proto(name: TriggerName) -> identifier_pb2.TriggerName:
    return identifier_pb2.TriggerName(project=name.project, domain=name.domain, task_name=name.task, name=name.name)


def slot_to_proto(slot: Slot) -> pb.Slot:
    late = slot.fires_at > slot.at
    return pb.Slot(
        at=times.to_proto(slot.at),
        local=slot.local.isoformat(),
        note=slot.note,
        fires_at=times.to_proto(slot.fires_at) if late else None,
    )


def _plain(message: Message) -> dict[str, Any]:
    return json_format.MessageToDict(message, preserving_proto_field_name=True)


def _leaves(path: str, value: object) -> Iterator[tuple[str, object]]:
    """Lists whose items have a name or a key are taken apart by it, others count as one value."""
    match value:
        case dict():
            for name, each in cast("dict[str, object]", value).items():
                yield from _leaves(f"{path}.{name}", each)
        case list():
            items = cast("list[object]", value)
            named = {_name(item): item for item in items}
            if None in named or len(named) < len(items):
                yield path, items
            else:
                for name, item in named.items():
                    yield from _leaves(f"{path}.{name}", item)
        case _:
            yield path, value


def _name(item: object) -> str | None:
    match item:
        case {"name": str(name)} | {"key": str(name)}:
            return name
        case _:
            return None
