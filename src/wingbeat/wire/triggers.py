"""Triggers: proto <-> core. The automation's type follows from what is set in it, whatever the request says."""

from flyteidl2.common import identifier_pb2
from flyteidl2.task import common_pb2, task_definition_pb2
from flyteidl2.trigger import trigger_definition_pb2, trigger_service_pb2

from wingbeat.core import policy
from wingbeat.core import schedule as schedules
from wingbeat.core.cron import Cron
from wingbeat.core.ids import TaskId, TriggerName
from wingbeat.core.launch import inputs_object
from wingbeat.core.policy import Policies
from wingbeat.core.schedule import RateUnit, Schedule
from wingbeat.core.trigger import Deployment, Revision, Trigger
from wingbeat.core.zones import EPOCH
from wingbeat.errors import InvalidArgument, Unimplemented
from wingbeat.wire import identities, times

MAX_DESCRIPTION_BYTES = 255

_UNITS = {
    common_pb2.FIXED_RATE_UNIT_MINUTE: RateUnit.MINUTE,
    common_pb2.FIXED_RATE_UNIT_HOUR: RateUnit.HOUR,
    common_pb2.FIXED_RATE_UNIT_DAY: RateUnit.DAY,
}


def name_from_proto(name: identifier_pb2.TriggerName) -> TriggerName:
    return TriggerName(name.project, name.domain, name.task_name, name.name)


def deployment(request: trigger_service_pb2.DeployTriggerRequest) -> Deployment:
    """Raises InvalidArgument, naming the trigger."""
    return _deployment(name_from_proto(request.name), request.spec, request.automation_spec)


def task_trigger(task: TaskId, trigger: task_definition_pb2.TaskTrigger) -> Deployment:
    """A trigger that is deployed with its task: it runs the version of the task beside it. Raises InvalidArgument."""
    spec = trigger_definition_pb2.TriggerSpec(
        run_spec=trigger.spec.run_spec if trigger.spec.HasField("run_spec") else None,
        active=trigger.spec.active,
        task_version=task.version,
        description=trigger.spec.description,
    )
    match trigger.spec.WhichOneof("input_wrapper"):
        case "inputs":
            spec.inputs.CopyFrom(trigger.spec.inputs)
        case "offloaded_input_data":
            spec.offloaded_input_data.CopyFrom(trigger.spec.offloaded_input_data)
        case _:
            pass
    name = TriggerName(task.project, task.domain, task.name, trigger.name)
    return _deployment(name, spec, trigger.automation_spec)


def details(trigger: Trigger) -> trigger_definition_pb2.TriggerDetails:
    """Its inputs are named as a file: the SDK reads them there when somebody fires it with other values for some."""
    spec = trigger_definition_pb2.TriggerSpec.FromString(trigger.spec)
    if spec.offloaded_input_data.uri:
        spec.offloaded_input_data.uri = inputs_object(spec.offloaded_input_data.uri)
    spec.active = trigger.active
    spec.task_version = trigger.task_version
    spec.description = trigger.description
    return trigger_definition_pb2.TriggerDetails(
        id=_identifier(trigger),
        metadata=_metadata(trigger),
        spec=spec,
        status=_status(trigger),
        automation_spec=_automation(trigger),
        description=trigger.description or None,
    )


def listed(trigger: Trigger) -> trigger_definition_pb2.Trigger:
    return trigger_definition_pb2.Trigger(
        id=_identifier(trigger),
        metadata=_metadata(trigger),
        status=_status(trigger),
        active=trigger.active,
        automation_spec=_automation(trigger),
    )


def revision(revision: Revision) -> trigger_definition_pb2.TriggerRevision:
    return trigger_definition_pb2.TriggerRevision(
        id=_identifier(revision.trigger),
        metadata=_metadata(revision.trigger),
        status=_status(revision.trigger),
        action=f"TRIGGER_REVISION_ACTION_{revision.action}",
        created_at=times.to_proto(revision.created_at),
    )


def shorten(text: str, most: int) -> str:
    """At most `most` bytes of UTF-8, cut between characters."""
    return text.encode()[:most].decode(errors="ignore")


def _deployment(
    name: TriggerName, spec: trigger_definition_pb2.TriggerSpec, automation: common_pb2.TriggerAutomationSpec
) -> Deployment:
    kept = common_pb2.TriggerAutomationSpec()
    kept.CopyFrom(automation)
    policies = _policies(name, spec)
    schedule = _schedule(name, automation, policies)
    kept.type = common_pb2.TYPE_SCHEDULE if schedule else common_pb2.TYPE_NONE
    return Deployment(
        name=name,
        task_version=spec.task_version,
        active=spec.active,
        automation_type=common_pb2.TriggerAutomationSpecType.Name(kept.type),
        schedule=schedule,
        spec=spec.SerializeToString(deterministic=True),
        automation=kept.SerializeToString(deterministic=True),
        description=shorten(spec.description, MAX_DESCRIPTION_BYTES),
        policies=policies,
    )


def _policies(name: TriggerName, spec: trigger_definition_pb2.TriggerSpec) -> Policies:
    try:
        return policy.parse(spec.run_spec.annotations.values)
    except InvalidArgument as error:
        raise InvalidArgument(f"trigger {name.name!r}: {error}") from error


def _schedule(name: TriggerName, automation: common_pb2.TriggerAutomationSpec, policies: Policies) -> Schedule | None:
    match automation.WhichOneof("automation"):
        case "artifact":
            raise Unimplemented(f"trigger {name.name!r}: triggers on artifacts are not implemented yet; use a schedule")
        case "schedule":
            try:
                schedule = _schedule_from_proto(automation.schedule, policies)
            except InvalidArgument as error:
                raise InvalidArgument(f"trigger {name.name!r} has an invalid schedule: {error}") from error
            if policies.of_cron_only and not isinstance(schedule, Cron):
                raise InvalidArgument(
                    f"trigger {name.name!r}: annotations 'wingbeat/dst-gap' and 'wingbeat/dst-overlap' are for cron"
                    " schedules: an interval does not look at the clock on the wall"
                )
            return schedule
        case _:
            return None


def _schedule_from_proto(schedule: common_pb2.Schedule, policies: Policies) -> Schedule:
    match schedule.WhichOneof("expression"):
        case "cron":
            return _cron(schedule.cron.expression, schedule.cron.timezone, policies)
        case "cron_expression":
            return _cron(schedule.cron_expression, "", policies)
        case "rate":
            start = times.from_proto(schedule.rate.start_time) if schedule.rate.HasField("start_time") else None
            return schedules.fixed_rate(schedule.rate.value, _UNITS.get(schedule.rate.unit), start=start)
        case _:
            raise InvalidArgument("it is empty: set `cron`, `cron_expression` or `rate`")


def _cron(expression: str, timezone: str, policies: Policies) -> Schedule:
    schedule = schedules.parse(expression, timezone, dst_gap=policies.dst_gap, dst_overlap=policies.dst_overlap)
    if isinstance(schedule, Cron) and schedule.next_after(EPOCH) is None:
        raise InvalidArgument(f"cron expression {expression!r} names a date that never comes")
    return schedule


def _identifier(trigger: Trigger) -> identifier_pb2.TriggerIdentifier:
    name = trigger.name
    return identifier_pb2.TriggerIdentifier(
        name=identifier_pb2.TriggerName(project=name.project, domain=name.domain, task_name=name.task, name=name.name),
        revision=trigger.revision,
    )


def _metadata(trigger: Trigger) -> trigger_definition_pb2.TriggerMetadata:
    return trigger_definition_pb2.TriggerMetadata(
        deployed_by=identities.to_proto(trigger.deployed_by), updated_by=identities.to_proto(trigger.updated_by)
    )


def _status(trigger: Trigger) -> trigger_definition_pb2.TriggerStatus:
    return trigger_definition_pb2.TriggerStatus(
        deployed_at=times.to_proto(trigger.deployed_at),
        updated_at=times.to_proto(trigger.updated_at),
        triggered_at=times.maybe_to_proto(trigger.triggered_at),
        deleted_at=times.maybe_to_proto(trigger.deleted_at),
    )


def _automation(trigger: Trigger) -> common_pb2.TriggerAutomationSpec:
    return common_pb2.TriggerAutomationSpec.FromString(trigger.automation)
