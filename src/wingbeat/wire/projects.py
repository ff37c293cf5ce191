"""Projects: proto <-> core, and the filter language of ListProjects.

A filter is `function(field, value)`, several are joined by `+` and must all match: `eq(state, 0)+contains(name, bird)`.
The functions are eq, ne, contains and value_in, whose values are separated by `;`.
"""

import re

from flyteidl2.project import project_service_pb2
from flyteidl2.task import run_pb2

from wingbeat.core.listing import Filter, Function, ListQuery, Page
from wingbeat.core.project import ARCHIVED_STATES, Domains, Project, ProjectState
from wingbeat.errors import InvalidArgument
from wingbeat.wire.listing import sort_from_proto

MAX_PAGE = 1000
"""Projects in one answer; more follow by token, also when no limit was given."""

_FUNCTIONS = {
    "eq": Function.EQUAL,
    "ne": Function.NOT_EQUAL,
    "contains": Function.CONTAINS,
    "value_in": Function.VALUE_IN,
}
_BETWEEN_FILTERS = re.compile(r"(?<=\))\s*\+")
_FILTER = re.compile(r"\s*(\w+)\s*\(\s*(\w+)\s*,\s*(.*?)\s*\)\s*", re.DOTALL)
_NOT_ARCHIVED = Filter("state", Function.VALUE_NOT_IN, tuple(str(int(state)) for state in ARCHIVED_STATES))


def from_proto(project: project_service_pb2.Project, domains: Domains) -> Project:
    """The organisation is ignored; domains, which no project has of its own, must be configured.

    Raises InvalidArgument.
    """
    if not project.id:
        raise InvalidArgument("project.id must not be empty")
    for domain in project.domains:
        domains.require(domain.id)
    try:
        state = ProjectState(project.state)
    except ValueError:
        raise InvalidArgument(f"project.state {int(project.state)} is unknown") from None
    return Project(project.id, project.name, project.description, project.labels.SerializeToString(), state)


def to_proto(project: Project, domains: Domains) -> project_service_pb2.Project:
    return project_service_pb2.Project(
        id=project.id,
        name=project.name,
        domains=[project_service_pb2.Domain(id=domain.id, name=domain.name) for domain in domains.all],
        description=project.description,
        labels=run_pb2.Labels.FromString(project.labels) if project.labels else None,
        state=project_service_pb2.ProjectState.Name(project.state),
    )


def page_to_proto(page: Page[Project], domains: Domains) -> project_service_pb2.ListProjectsResponse:
    projects = [to_proto(project, domains) for project in page.items]
    return project_service_pb2.ListProjectsResponse(
        projects=project_service_pb2.Projects(projects=projects, token=page.next_token)
    )


def query_from_proto(request: project_service_pb2.ListProjectsRequest) -> ListQuery:
    """Without filters archived projects are left out. Raises InvalidArgument."""
    return ListQuery(
        limit=min(request.limit or MAX_PAGE, MAX_PAGE),
        token=request.token,
        sort=(sort_from_proto(request.sort_by),) if request.sort_by.key else (),
        filters=parse_filters(request.filters) if request.filters.strip() else (_NOT_ARCHIVED,),
    )


def parse_filters(text: str) -> tuple[Filter, ...]:
    """Raises InvalidArgument, naming the part that is wrong."""
    return tuple(_parse_filter(part) for part in _BETWEEN_FILTERS.split(text))


def _parse_filter(text: str) -> Filter:
    parts = _FILTER.fullmatch(text)
    if not parts:
        raise InvalidArgument(f"filter {text!r} is not of the form function(field, value)")
    name, field, value = parts.groups()
    function = _FUNCTIONS.get(name.lower())
    if function is None:
        raise InvalidArgument(f"filter {text!r}: unknown function {name!r}, expected one of {', '.join(_FUNCTIONS)}")
    values = value.split(";") if function is Function.VALUE_IN else [value]
    return Filter(field, function, tuple(each.strip() for each in values))
