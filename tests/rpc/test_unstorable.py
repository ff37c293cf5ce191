"""Values that no column holds are refused by the name of their field; for numbers see test_automation_service.py."""

import pytest
from flyteidl2.project import project_service_pb2 as project

from tests.planting import DOMAINS
from tests.rpc.calling import RpcError, serving
from wingbeat.rpc.project_service import Projects
from wingbeat.store.database import open_database


async def test_a_text_that_cannot_be_stored_is_told_with_its_field(postgresql_url: str) -> None:
    database = await open_database(postgresql_url)
    request = project.CreateProjectRequest(project={"id": "p", "name": "a\0b"})
    try:
        async with serving([Projects(database, DOMAINS)]) as client:
            with pytest.raises(RpcError, match=r"^invalid_argument: project\.name is 'a\\x00b': .* cannot be stored"):
                await client.call("project.ProjectService/CreateProject", request, project.CreateProjectResponse)
    finally:
        await database.close()
