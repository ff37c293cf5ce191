from dataclasses import replace

import pytest

from wingbeat.core.project import Domains, Project, ProjectState
from wingbeat.errors import AlreadyExists, FailedPrecondition, InvalidArgument, NotFound
from wingbeat.operations import projects
from wingbeat.store.database import Database

DOMAINS = Domains.of(["development", "production"])
BIRDS = Project("birds", "Birds", "What flies", b"\n\x06\n\x01a\x12\x01b", ProjectState.ACTIVE)


async def get(database: Database, project: str) -> Project:
    return await database.read(lambda tx: projects.get(tx, project))


async def test_project_is_read_back_as_it_was_created(database: Database) -> None:
    await database.write(lambda tx: projects.create(tx, BIRDS))
    assert await get(database, "birds") == BIRDS


async def test_second_project_of_a_name_is_refused_and_the_first_kept(database: Database) -> None:
    await database.write(lambda tx: projects.create(tx, BIRDS))
    with pytest.raises(AlreadyExists, match="birds"):
        await database.write(lambda tx: projects.create(tx, replace(BIRDS, name="Other")))
    assert await get(database, "birds") == BIRDS


async def test_project_with_an_illegal_id_is_not_created(database: Database) -> None:
    with pytest.raises(InvalidArgument, match="project id"):
        await database.write(lambda tx: projects.create(tx, replace(BIRDS, id="a/b")))


async def test_update_replaces_everything(database: Database) -> None:
    await database.write(lambda tx: projects.create(tx, BIRDS))
    bare = Project("birds", "", "", b"", ProjectState.ARCHIVED)
    await database.write(lambda tx: projects.update(tx, bare))
    assert await get(database, "birds") == bare


async def test_unknown_project_is_neither_updated_nor_found(database: Database) -> None:
    with pytest.raises(NotFound, match="birds"):
        await database.write(lambda tx: projects.update(tx, BIRDS))
    with pytest.raises(NotFound, match="birds"):
        await get(database, "birds")


async def test_project_is_not_updated_to_a_description_too_long(database: Database) -> None:
    await database.write(lambda tx: projects.create(tx, BIRDS))
    with pytest.raises(InvalidArgument, match="301 characters"):
        await database.write(lambda tx: projects.update(tx, replace(BIRDS, description="ü" * 301)))
    assert await get(database, "birds") == BIRDS


async def test_seeding_again_leaves_what_exists_alone(database: Database) -> None:
    await database.write(lambda tx: projects.create(tx, BIRDS))
    for _ in range(2):
        await database.write(lambda tx: projects.seed(tx, ["birds", "fish"]))
    assert await get(database, "birds") == BIRDS
    assert (await get(database, "fish")).state is ProjectState.ACTIVE


@pytest.mark.parametrize(
    ("state", "open_for_new"),
    [
        (ProjectState.ACTIVE, True),
        (ProjectState.SYSTEM_GENERATED, True),
        (ProjectState.ARCHIVED, False),
        (ProjectState.SYSTEM_ARCHIVED, False),
    ],
)
async def test_archived_projects_take_nothing_new(database: Database, state: ProjectState, open_for_new: bool) -> None:
    await database.write(lambda tx: projects.create(tx, replace(BIRDS, state=state)))
    if open_for_new:
        await database.read(lambda tx: projects.require_active(tx, "birds", "production", domains=DOMAINS))
        return
    with pytest.raises(FailedPrecondition, match="archived"):
        await database.read(lambda tx: projects.require_active(tx, "birds", "production", domains=DOMAINS))


async def test_unknown_project_or_domain_takes_nothing(database: Database) -> None:
    await database.write(lambda tx: projects.create(tx, BIRDS))
    with pytest.raises(NotFound, match="fish"):
        await database.read(lambda tx: projects.require_active(tx, "fish", "production", domains=DOMAINS))
    with pytest.raises(InvalidArgument, match=r"'staging'.*development, production"):
        await database.read(lambda tx: projects.require_active(tx, "birds", "staging", domains=DOMAINS))
