from collections.abc import AsyncGenerator

import pytest
from flyteidl2.common import list_pb2
from flyteidl2.project import project_service_pb2 as pb
from flyteidl2.task import run_pb2

from tests.rpc.calling import Client, RpcError, serving
from wingbeat.core.project import Domains
from wingbeat.rpc.project_service import Projects
from wingbeat.rpc.service import broken_promises
from wingbeat.store.database import Database

SERVICE = "project.ProjectService"


@pytest.fixture
async def client(database: Database) -> AsyncGenerator[Client]:
    async with serving([Projects(database, Domains.of(["development", "production"]))]) as client:
        yield client


async def create(client: Client, **fields: object) -> None:
    project = pb.Project(**fields)  # pyright: ignore[reportArgumentType]
    await client.call(f"{SERVICE}/CreateProject", pb.CreateProjectRequest(project=project), pb.CreateProjectResponse)


async def update(client: Client, project: pb.Project) -> None:
    await client.call(f"{SERVICE}/UpdateProject", pb.UpdateProjectRequest(project=project), pb.UpdateProjectResponse)


async def get(client: Client, project: str) -> pb.Project:
    request = pb.GetProjectRequest(id=project, org="any")
    return (await client.call(f"{SERVICE}/GetProject", request, pb.GetProjectResponse)).project


async def listed(client: Client, request: pb.ListProjectsRequest) -> pb.Projects:
    return (await client.call(f"{SERVICE}/ListProjects", request, pb.ListProjectsResponse)).projects


async def ids(client: Client, **fields: object) -> list[str]:
    request = pb.ListProjectsRequest(**fields)  # pyright: ignore[reportArgumentType]
    return [project.id for project in (await listed(client, request)).projects]


def test_service_keeps_its_promises() -> None:
    assert broken_promises(Projects) == []


async def test_project_comes_back_with_its_labels_and_the_configured_domains(client: Client) -> None:
    labels = run_pb2.Labels(values={"team": "sky"})
    await create(client, id="birds", name="Birds", description="What flies", labels=labels, org="mine")
    project = await get(client, "birds")
    assert [(domain.id, domain.name) for domain in project.domains] == [
        ("development", "Development"),
        ("production", "Production"),
    ]
    assert (project.name, project.description, dict(project.labels.values), project.org) == (
        "Birds",
        "What flies",
        {"team": "sky"},
        "",
    )


async def test_update_as_the_sdk_does_it_archives_and_activates(client: Client) -> None:
    await create(client, id="birds", name="Birds")
    project = await get(client, "birds")
    for state in (pb.PROJECT_STATE_ARCHIVED, pb.PROJECT_STATE_ACTIVE):
        project.state = state
        del project.domains[:]
        await update(client, project)
        assert (await get(client, "birds")).state == state


async def test_absent_labels_clear_them(client: Client) -> None:
    await create(client, id="birds", labels=run_pb2.Labels(values={"a": "b"}))
    await update(client, pb.Project(id="birds"))
    assert not (await get(client, "birds")).HasField("labels")


async def test_refusals_have_codes_that_the_sdk_does_not_retry(client: Client) -> None:
    await create(client, id="birds")
    with pytest.raises(RpcError, match="already_exists"):
        await create(client, id="birds")
    with pytest.raises(RpcError, match="not_found"):
        await get(client, "fish")
    with pytest.raises(RpcError, match="not_found"):
        await update(client, pb.Project(id="fish"))
    with pytest.raises(RpcError, match="invalid_argument"):
        await create(client)
    with pytest.raises(RpcError, match="invalid_argument"):
        await get(client, "")
    with pytest.raises(RpcError, match="invalid_argument"):
        await create(client, id="fish", description="x" * 301)


async def test_domains_of_a_request_must_be_configured(client: Client) -> None:
    await create(client, id="birds", domains=[pb.Domain(id="development")])
    with pytest.raises(RpcError, match="'staging' is not configured"):
        await create(client, id="fish", domains=[pb.Domain(id="staging")])
    await update(client, pb.Project(id="birds", name="Birds", domains=[pb.Domain(id="production")]))
    with pytest.raises(RpcError, match="'staging' is not configured"):
        await update(client, pb.Project(id="birds", domains=[pb.Domain(id="production"), pb.Domain(id="staging")]))
    assert (await get(client, "birds")).name == "Birds"


async def test_texts_are_measured_in_characters(client: Client) -> None:
    await create(client, id="birds", description="€" * 300)
    assert (await get(client, "birds")).description == "€" * 300
    with pytest.raises(RpcError, match="has 301 characters"):
        await update(client, pb.Project(id="birds", description="€" * 301))


async def test_list_leaves_archived_projects_out_unless_it_is_filtered(client: Client) -> None:
    await create(client, id="birds", name="Birds")
    await create(client, id="fish", state=pb.PROJECT_STATE_ARCHIVED)
    assert await ids(client) == ["birds"]
    assert await ids(client, filters="value_in(state, 0;1;2)") == ["birds", "fish"]
    assert await ids(client, filters="eq(state, 1)") == ["fish"]
    assert await ids(client, filters="ne(state,1)+contains(name,ird)") == ["birds"]
    with pytest.raises(RpcError, match=r"invalid_argument.*'colour'"):
        await ids(client, filters="eq(colour, red)")


async def test_list_goes_page_by_page_and_limit_zero_is_no_limit(client: Client) -> None:
    names = [f"p{number:02}" for number in range(60)]
    for name in names:
        await create(client, id=name)
    assert await ids(client) == names
    sort = list_pb2.Sort(key="created_at", direction=list_pb2.Sort.ASCENDING)
    first = await listed(client, pb.ListProjectsRequest(limit=50, sort_by=sort))
    second = await listed(client, pb.ListProjectsRequest(limit=50, sort_by=sort, token=first.token))
    assert [project.id for project in (*first.projects, *second.projects)] == names
    assert second.token == ""
    newest = list_pb2.Sort(key="identifier", direction=list_pb2.Sort.DESCENDING)
    assert await ids(client, limit=2, sort_by=newest) == ["p59", "p58"]
    assert await ids(client, filters="value_in(name,;)+eq(state,0)+contains(identifier,p1)") == names[10:20]
    with pytest.raises(RpcError, match="invalid_argument: token '10abc'"):
        await listed(client, pb.ListProjectsRequest(limit=50, token="10abc"))
