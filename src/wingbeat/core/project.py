"""Projects and their domains. The domains are configuration, the same for every project, and never stored."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

from wingbeat.errors import InvalidArgument

MAX_DESCRIPTION = 300
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


class ProjectState(IntEnum):
    """The numbers of flyteidl2.project.ProjectState."""

    ACTIVE = 0
    ARCHIVED = 1
    SYSTEM_GENERATED = 2
    SYSTEM_ARCHIVED = 3

    @property
    def archived(self) -> bool:
        """Whether the project only keeps what it has: nothing new is deployed or run in it."""
        return self in ARCHIVED_STATES


ARCHIVED_STATES = (ProjectState.ARCHIVED, ProjectState.SYSTEM_ARCHIVED)


@dataclass(frozen=True, slots=True)
class Project:
    id: str
    name: str
    description: str
    labels: bytes
    """The serialized flyteidl2.task.Labels, passed on as they are."""
    state: ProjectState


@dataclass(frozen=True, slots=True)
class Domain:
    id: str
    name: str
    """For people."""


@dataclass(frozen=True, slots=True)
class Domains:
    """The domains that every project has."""

    all: tuple[Domain, ...]

    @classmethod
    def of(cls, ids: Iterable[str]) -> "Domains":
        """With names made from the ids: `development` is shown as Development."""
        return cls(tuple(Domain(each, each.replace("-", " ").capitalize()) for each in ids))

    def require(self, domain: str) -> None:
        """Raise InvalidArgument unless the domain is configured."""
        known = [each.id for each in self.all]
        if domain not in known:
            raise InvalidArgument(f"domain {domain!r} is not configured: this server has {', '.join(known)}")


def check_project(project: Project) -> None:
    """Raise InvalidArgument unless the id, which becomes part of paths, and the description are legal."""
    if not _LABEL.fullmatch(project.id):
        raise InvalidArgument(
            f"project id {project.id!r} must be 1 to 63 lower-case letters, digits and '-', not at its ends"
        )
    check_description(project)


def check_description(project: Project) -> None:
    """Raise InvalidArgument when the description is too long."""
    if len(project.description) > MAX_DESCRIPTION:
        raise InvalidArgument(
            f"project {project.id!r}: the description has {len(project.description)} characters,"
            f" the maximum is {MAX_DESCRIPTION}"
        )
