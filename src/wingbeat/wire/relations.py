"""How a run says that it came from another one, and what of that one it does again."""

from collections.abc import Sequence

from flyteidl2.common import identifier_pb2
from flyteidl2.common import run_pb2 as common_run_pb2
from flyteidl2.task import run_pb2

from wingbeat.core.ids import RunId, Scope
from wingbeat.core.relation import Relation, RelationType
from wingbeat.errors import InvalidArgument

MAX_FORCED = 1000
"""Names in one request."""


def asked(spec: run_pb2.RunSpec, scope: Scope) -> Relation | None:
    """A run that is named without its project and domain is one of `scope`. Raises InvalidArgument."""
    if not spec.HasField("relation"):
        return _by_older_field(spec, scope)
    relation = Relation(_type(spec.relation), _run(spec.relation.related_to, scope, "relation.related_to"))
    if spec.HasField("related_to") and _run(spec.related_to, scope, "related_to") != relation.run:
        raise InvalidArgument(
            f"run_spec.related_to names run {spec.related_to.name!r}, run_spec.relation.related_to run"
            f" {relation.run.name!r}: leave the older field out"
        )
    return relation


def force_rerun(spec: run_pb2.RunSpec, relation: Relation | None) -> Sequence[str]:
    """Names of actions that a recovery does again although they have succeeded. Raises InvalidArgument."""
    names = spec.recover.force_rerun_actions
    if names and (relation is None or relation.type is not RelationType.RECOVER):
        raise InvalidArgument("run_spec.recover.force_rerun_actions needs a relation of RELATION_TYPE_RECOVER")
    if len(names) > MAX_FORCED:
        raise InvalidArgument(
            f"run_spec.recover.force_rerun_actions has {len(names)} names: {MAX_FORCED} are the most, and a run that"
            " does all again is a rerun"
        )
    return list(dict.fromkeys(names))


def to_proto(relation: Relation) -> common_run_pb2.Relation:
    run = relation.run
    return common_run_pb2.Relation(
        related_to=identifier_pb2.RunIdentifier(project=run.project, domain=run.domain, name=run.name),
        relation_type=common_run_pb2.RelationType.Name(relation.type.value),
    )


def _by_older_field(spec: run_pb2.RunSpec, scope: Scope) -> Relation | None:
    """From before there were types of relations: it says for itself only that the run is another one's again."""
    if not spec.HasField("related_to"):
        return None
    kind = RelationType.RECOVER if spec.HasField("recover") else RelationType.RERUN
    return Relation(kind, _run(spec.related_to, scope, "related_to"))


def _type(relation: common_run_pb2.Relation) -> RelationType:
    try:
        return RelationType(relation.relation_type)
    except ValueError:
        known = ", ".join(f"RELATION_TYPE_{kind.name}" for kind in RelationType)
        raise InvalidArgument(
            f"run_spec.relation.relation_type is {int(relation.relation_type)}: it must be one of {known}"
        ) from None


def _run(run: identifier_pb2.RunIdentifier, scope: Scope, field: str) -> RunId:
    if not run.name:
        raise InvalidArgument(f"run_spec.{field} names no run: set its name")
    return RunId(run.project or scope.project, run.domain or scope.domain, run.name)
