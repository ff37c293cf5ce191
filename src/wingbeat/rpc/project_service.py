"""flyteidl2.project.ProjectService."""

from typing import Any

from connectrpc.request import RequestContext
from flyteidl2.project import project_service_pb2 as pb
from flyteidl2.project.project_service_connect import ProjectService

from wingbeat.core.project import Domains
from wingbeat.errors import InvalidArgument
from wingbeat.operations import projects
from wingbeat.store.database import Database
from wingbeat.store.projects import list_projects
from wingbeat.wire import projects as wire

Context = RequestContext[Any, Any]


class Projects(ProjectService):
    def __init__(self, database: Database, domains: Domains) -> None:
        self._database = database
        self._domains = domains

    async def create_project(self, request: pb.CreateProjectRequest, ctx: Context) -> pb.CreateProjectResponse:
        project = wire.from_proto(request.project, self._domains)
        await self._database.write(lambda tx: projects.create(tx, project))
        return pb.CreateProjectResponse()

    async def update_project(self, request: pb.UpdateProjectRequest, ctx: Context) -> pb.UpdateProjectResponse:
        project = wire.from_proto(request.project, self._domains)
        await self._database.write(lambda tx: projects.update(tx, project))
        return pb.UpdateProjectResponse()

    async def get_project(self, request: pb.GetProjectRequest, ctx: Context) -> pb.GetProjectResponse:
        if not request.id:
            raise InvalidArgument("id must not be empty")
        project = await self._database.read(lambda tx: projects.get(tx, request.id))
        return pb.GetProjectResponse(project=wire.to_proto(project, self._domains))

    async def list_projects(self, request: pb.ListProjectsRequest, ctx: Context) -> pb.ListProjectsResponse:
        query = wire.query_from_proto(request)
        page = await self._database.read(lambda tx: list_projects(tx, query))
        return wire.page_to_proto(page, self._domains)
