import pytest

from wingbeat.core.project import Domain, Domains, Project, ProjectState, check_project
from wingbeat.errors import InvalidArgument


def project(project_id: str, description: str = "") -> Project:
    return Project(project_id, "", description, b"", ProjectState.ACTIVE)


@pytest.mark.parametrize("project_id", ["b", "birds", "my-birds-2", "2", "b" * 63])
def test_legal_id(project_id: str) -> None:
    check_project(project(project_id))


@pytest.mark.parametrize("project_id", ["", "Birds", "my_birds", "-birds", "birds-", "b" * 64, "a/b", "..", "birds\n"])
def test_illegal_id_is_refused(project_id: str) -> None:
    with pytest.raises(InvalidArgument, match="project id"):
        check_project(project(project_id))


def test_description_counts_characters_up_to_300() -> None:
    check_project(project("birds", "ü" * 300))
    with pytest.raises(InvalidArgument, match="301 characters"):
        check_project(project("birds", "ü" * 301))


def test_domain_that_is_not_configured_is_refused_with_those_that_are() -> None:
    domains = Domains.of(["development", "pre-production"])
    assert domains.all[1] == Domain("pre-production", "Pre production")
    domains.require("pre-production")
    with pytest.raises(InvalidArgument, match=r"'staging'.*development, pre-production"):
        domains.require("staging")
