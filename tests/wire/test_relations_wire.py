import pytest
from flyteidl2.common import identifier_pb2
from flyteidl2.common import run_pb2 as common_run_pb2
from flyteidl2.task import run_pb2

from wingbeat.core.ids import RunId, Scope
from wingbeat.core.relation import Relation, RelationType
from wingbeat.errors import InvalidArgument
from wingbeat.wire import relations

SCOPE = Scope("birds", "development")
OTHER = identifier_pb2.RunIdentifier(name="r1")
RERUN, RECOVER = common_run_pb2.RELATION_TYPE_RERUN, common_run_pb2.RELATION_TYPE_RECOVER
FORCED = run_pb2.Recover(force_rerun_actions=["x", "y", "x"])


def related(kind: common_run_pb2.RelationType, run: identifier_pb2.RunIdentifier = OTHER) -> common_run_pb2.Relation:
    return common_run_pb2.Relation(related_to=run, relation_type=kind)


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        pytest.param(run_pb2.RunSpec(), None, id="none"),
        pytest.param(run_pb2.RunSpec(relation=related(RECOVER)), RelationType.RECOVER, id="as it is said today"),
        pytest.param(run_pb2.RunSpec(related_to=OTHER), RelationType.RERUN, id="by the older field"),
        pytest.param(run_pb2.RunSpec(related_to=OTHER, recover=FORCED), RelationType.RECOVER, id="to be recovered"),
        pytest.param(run_pb2.RunSpec(related_to=OTHER, relation=related(RERUN)), RelationType.RERUN, id="twice alike"),
    ],
)
def test_a_relation_is_said_in_one_of_two_fields(spec: run_pb2.RunSpec, expected: RelationType | None) -> None:
    run = RunId("birds", "development", "r1")
    assert relations.asked(spec, SCOPE) == (Relation(expected, run) if expected else None)


def test_another_project_is_named_in_full() -> None:
    elsewhere = identifier_pb2.RunIdentifier(project="fish", domain="production", name="r1")
    found = relations.asked(run_pb2.RunSpec(relation=related(RERUN, elsewhere)), SCOPE)
    assert found
    assert found == Relation(RelationType.RERUN, RunId("fish", "production", "r1"))
    assert relations.to_proto(found) == related(RERUN, elsewhere)


def test_names_of_actions_are_taken_once() -> None:
    spec = run_pb2.RunSpec(relation=related(RECOVER), recover=FORCED)
    assert relations.force_rerun(spec, relations.asked(spec, SCOPE)) == ["x", "y"]


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (run_pb2.RunSpec(relation=common_run_pb2.Relation(related_to=OTHER)), "relation_type is 0: it must be one of"),
        (
            run_pb2.RunSpec(relation=related(RERUN, identifier_pb2.RunIdentifier())),
            r"relation\.related_to names no run",
        ),
        (
            run_pb2.RunSpec(related_to=identifier_pb2.RunIdentifier(name="r2"), relation=related(RERUN)),
            "leave the older field out",
        ),
        (run_pb2.RunSpec(recover=FORCED), "needs a relation of RELATION_TYPE_RECOVER"),
        (run_pb2.RunSpec(recover=FORCED, relation=related(RERUN)), "needs a relation of RELATION_TYPE_RECOVER"),
        (
            run_pb2.RunSpec(
                relation=related(RECOVER), recover=run_pb2.Recover(force_rerun_actions=map(str, range(1001)))
            ),
            "1000 are the most",
        ),
    ],
    ids=["no type", "no run", "two runs", "no relation", "another relation", "too many actions"],
)
def test_refuses(spec: run_pb2.RunSpec, words: str) -> None:
    with pytest.raises(InvalidArgument, match=words):
        relations.force_rerun(spec, relations.asked(spec, SCOPE))
