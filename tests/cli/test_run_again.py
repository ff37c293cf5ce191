import asyncio

import pytest
from flyteidl2.core import literals_pb2
from flyteidl2.task import common_pb2, run_pb2

from tests.cli.terminal import Site
from tests.planting import integer
from tests.queued_runs import root_of
from wingbeat.core.action import ErrorKind, Failure, Phase
from wingbeat.core.cache import CachePolicy
from wingbeat.core.ids import ActionId, RunId, Scope
from wingbeat.core.project import Project, ProjectState
from wingbeat.core.run import Run
from wingbeat.operations import actions as claiming
from wingbeat.operations import projects
from wingbeat.rpc.app import MAX_MESSAGE_BYTES
from wingbeat.store import actions, runs
from wingbeat.store.changes import QUEUE
from wingbeat.store.database import Transaction

FAILED = Failure("ValueError", ErrorKind.USER, "no")
INPUTS = common_pb2.Inputs(literals=[common_pb2.NamedLiteral(name="x", value=integer(1))]).SerializeToString()


@pytest.fixture(autouse=True)
async def failed(site: Site) -> None:
    """Run r, whose child c has succeeded, and which has failed."""
    spec = run_pb2.RunSpec(labels=run_pb2.Labels(values={"team": "owls"}), related_to={"name": "older"})
    await site.database.write(lambda tx: projects.create(tx, Project("p", "p", "", b"", ProjectState.ACTIVE)))
    await site.start("r", inputs=INPUTS, run_spec=spec.SerializeToString(), labels={"team": "owls"})
    root = await site.begin()
    await site.ask_for_child("r", "c")
    await site.end(await site.begin())
    await site.end(root, FAILED)


async def found(site: Site, name: str) -> Run:
    run = await site.database.read(lambda tx: runs.find(tx, RunId("p", "development", name)))
    assert run is not None
    return run


async def phase_of_child(site: Site, name: str) -> Phase | None:
    async def body(tx: Transaction) -> Phase | None:
        child = await actions.find(tx, ActionId(root_of(name).run, "c"))
        return child.phase if child else None

    return await site.database.read(body)


async def test_a_rerun_has_the_inputs_and_the_settings_and_begins_anew(site: Site) -> None:
    started = (await site.wingbeat("run", "rerun", "r", "--name", "again", "-o", "json")).json
    assert (started["run"]["name"], started["run"]["phase"], started["run"]["source"]) == ("again", "QUEUED", "CLI")
    assert (started["relation"], started["related_run"]) == ("RERUN", "r")
    run = await found(site, "again")
    assert (run.inputs, run.labels) == (INPUTS, {"team": "owls"})
    assert await phase_of_child(site, "again") is None


async def test_inputs_that_no_message_holds_stay_where_they_are(site: Site) -> None:
    directory = f"{site.blobs.base_uri}/uploads/p/development/offloaded-inputs/ab"
    await site.blobs.put(f"{directory}/inputs.pb", bytes(MAX_MESSAGE_BYTES + 1))
    await site.start("large", inputs=None, input_uri=directory)
    assert (await site.wingbeat("run", "rerun", "large", "--name", "again")).code == 0
    run = await found(site, "again")
    assert (run.inputs, run.input_uri) == (None, directory)


async def test_inputs_that_a_message_hardly_held_stay_where_they_are(site: Site) -> None:
    words = literals_pb2.Scalar(primitive=literals_pb2.Primitive(string_value="w" * (MAX_MESSAGE_BYTES - 100)))
    large = common_pb2.NamedLiteral(name="x", value=literals_pb2.Literal(scalar=words))
    await site.start("large", inputs=common_pb2.Inputs(literals=[large]).SerializeToString())
    assert (await site.wingbeat("run", "rerun", "large", "--name", "again")).code == 0
    run = await found(site, "again")
    assert (run.inputs, run.input_uri) == (None, (await found(site, "large")).input_uri)


async def test_a_recovery_takes_over_what_succeeded(site: Site) -> None:
    started = (await site.wingbeat("run", "recover", "r", "-o", "json")).json
    assert started["relation"] == "RECOVER"
    assert await phase_of_child(site, started["run"]["name"]) is Phase.RECOVERED
    shown = (await site.wingbeat("run", "show", started["run"]["name"])).out
    assert "came from" in shown
    assert "r (RECOVER)" in shown
    tree = (await site.wingbeat("run", "tree", started["run"]["name"])).out
    assert "c env.f RECOVERED" in tree


async def test_an_action_can_be_forced_to_run_again(site: Site) -> None:
    await site.wingbeat("run", "recover", "r", "--name", "again", "--force-rerun", "c")
    assert await phase_of_child(site, "again") is None
    complaint = (await site.wingbeat("run", "recover", "r", "--force-rerun", "x")).complaint
    assert "run 'r' has no actions 'x'" in complaint


async def test_says_what_it_started(site: Site) -> None:
    assert (await site.wingbeat("run", "rerun", "r", "--name", "again")).out == (
        "run again is QUEUED: `wingbeat run watch again` follows it\n"
    )


@pytest.mark.parametrize("well", [True, False], ids=["success", "failure"])
async def test_following_it_ends_as_the_run_does(site: Site, *, well: bool) -> None:
    with site.database.changes.subscribe(QUEUE) as queued:
        following = asyncio.create_task(site.wingbeat("run", "rerun", "r", "--name", "again", "--follow"))
        assert await queued.wait(5)
    await site.end(await site.begin(), None if well else FAILED)
    done = await asyncio.wait_for(following, 10)
    assert done.code == (0 if well else 1)
    assert done.out.startswith("run again of r\n")


async def test_refuses_what_the_server_refuses(site: Site) -> None:
    assert "run 'gone'" in (await site.wingbeat("run", "rerun", "gone")).complaint
    await site.start("busy")
    assert "run 'busy' is QUEUED" in (await site.wingbeat("run", "recover", "busy")).complaint
    assert "exists already" in (await site.wingbeat("run", "rerun", "r", "--name", "busy")).complaint


async def test_a_tree_shows_what_came_from_the_cache(site: Site) -> None:
    policy = CachePolicy("k", Scope("p", "development"))
    await site.start("one", cache=policy)
    await site.end(await site.begin())
    await site.start("two", cache=policy)
    assert await site.database.write(lambda tx: claiming.claim(tx, "n1", 1)) == []
    tree = (await site.wingbeat("run", "tree", "two", "-o", "json")).json
    assert (tree["root"]["phase"], tree["root"]["cache"]) == ("SUCCEEDED", "HIT")
    assert "from the cache" in (await site.wingbeat("run", "tree", "two")).out
    assert "from the cache" not in (await site.wingbeat("run", "tree", "one")).out
