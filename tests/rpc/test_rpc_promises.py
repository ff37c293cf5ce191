"""A mounted service writes each of its methods or says why not."""

from collections.abc import Mapping
from typing import ClassVar

import pytest
from flyteidl2.project import project_service_pb2 as project
from flyteidl2.project.project_service_connect import ProjectService

from tests.rpc.edge_services import Projects
from wingbeat.rpc.app import build
from wingbeat.rpc.draining import Draining
from wingbeat.rpc.generated import protocol_of
from wingbeat.rpc.service import broken_promises
from wingbeat.telemetry import Metrics


class Forgetful(ProjectService):
    NOT_YET: ClassVar[Mapping[str, str]] = {
        "GetProject": "it is written all the same",
        "ListProjects": "",
        "ListPlanets": "there is no such method",
    }

    async def get_project(self, request: project.GetProjectRequest, ctx: object) -> project.GetProjectResponse:
        return project.GetProjectResponse()


def test_a_service_in_order_has_no_broken_promises() -> None:
    assert broken_promises(Projects) == []


def test_every_way_to_break_a_promise_is_found() -> None:
    assert broken_promises(Forgetful) == [
        "Forgetful.CreateProject is neither written nor in NOT_YET",
        "Forgetful.UpdateProject is neither written nor in NOT_YET",
        "Forgetful.NOT_YET lists GetProject, which is written",
        "Forgetful.NOT_YET lists ListPlanets, which no RPC is called",
        "Forgetful.NOT_YET gives no reason for ListProjects",
    ]


def test_a_method_written_by_an_ancestor_is_written() -> None:
    class Heir(Projects): ...

    assert broken_promises(Heir) == []


def test_a_class_that_implements_no_service_is_named() -> None:
    with pytest.raises(TypeError, match="str implements no service"):
        protocol_of(str)


def test_two_services_cannot_serve_one_path() -> None:
    with pytest.raises(ValueError, match="/CreateProject is served twice"):
        build([Projects(), Projects()], draining=Draining(), metrics=Metrics())


def test_an_app_knows_the_services_it_serves() -> None:
    app = build([Projects()], draining=Draining(), metrics=Metrics())
    assert app.services == {"flyteidl2.project.ProjectService"}
