"""Runs that come from other runs, with the stock SDK, its CLI and ours: again, recovered, started by a task."""

import json
from collections import Counter
from collections.abc import Generator
from typing import Any

import pytest

from tests.e2e.running import Client, run_of
from tests.e2e.workflows import Outcome, Started, Wanted, outcomes, serving

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(200)]

DONE = ["forest", "8 hours", "other side"]
ONCE = {"set off": 1, "walk to forest": 1, "rest": 1, "cross": 1, "walk to shore": 1}
"""What is written by a journey that does all of it."""


@pytest.fixture(scope="module")
def user(tmp_path_factory: pytest.TempPathFactory) -> Generator[Client]:
    with serving(tmp_path_factory.mktemp("recovery"), "recoverable.py") as client:
        yield client


@pytest.fixture(scope="module")
def failed(user: Client) -> Outcome:
    """A journey that has failed; the bridge is built after it."""
    run = outcomes(user, {"r": Wanted("recoverable.journey", {"diary": str(user.directory / "diary")})})["r"]
    assert (run.phase, run.text) == ("failed", "there is no bridge at the shore")
    user.write("diary.bridge", "")
    return run


@pytest.fixture(autouse=True)
def diary(user: Client, failed: Outcome) -> None:
    """A page of its own for each test."""
    user.write("diary", "")


def written(user: Client) -> Counter[str]:
    return Counter((user.directory / "diary").read_text().splitlines())


def over(user: Client, run: str) -> Outcome:
    return outcomes(user, {"r": Started(run)})["r"]


def named(run: Outcome, function: str) -> dict[str, Any]:
    (found,) = [action for action in run.actions if action["metadata"].get("funtionName") == function]
    return found


def phases(run: Outcome) -> Counter[str]:
    return Counter(child["status"]["phase"].removeprefix("ACTION_PHASE_") for child in run.children)


def relation(run: Outcome) -> tuple[str, str]:
    (root,) = [action for action in run.actions if action["id"]["name"] == "a0"]
    said = root["metadata"]["relation"]
    return said["relationType"], said["relatedTo"]["name"]


def test_a_recovery_runs_only_what_had_not_succeeded(user: Client, failed: Outcome) -> None:
    run = over(user, run_of(user.flyte("rerun", failed.run, "--recover")))
    assert (run.phase, run.output) == ("succeeded", DONE)
    assert written(user) == {"set off": 1, "cross": 1}
    assert relation(run) == ("RELATION_TYPE_RECOVER", failed.run)
    assert phases(run) == {"RECOVERED": 3, "SUCCEEDED": 1}
    recovered = [child for child in run.children if child["status"]["phase"] == "ACTION_PHASE_RECOVERED"]
    assert {child["metadata"]["recoveredFrom"]["run"]["name"] for child in recovered} == {failed.run}
    assert "forest" in user.flyte("get", "io", run.run, recovered_name(run))


def recovered_name(run: Outcome) -> str:
    names = [
        child["id"]["name"]
        for child in run.children
        if child["metadata"].get("funtionName") == "walk" and child["metadata"]["parent"] == "a0"
    ]
    return names[0]


def test_forced_actions_run_again(user: Client, failed: Outcome) -> None:
    again = recovered_name(failed)
    run = over(user, run_of(user.flyte("rerun", failed.run, "--recover", "--force-rerun-action", again)))
    assert run.output == DONE
    assert written(user) == {"set off": 1, "cross": 1, "walk to forest": 1}
    refused = user.flyte("rerun", failed.run, "--recover", "--force-rerun-action", "nothing")
    assert "has no actions 'nothing'" in " ".join(refused.split())


def test_a_rerun_does_all_again(user: Client, failed: Outcome) -> None:
    run = over(user, run_of(user.flyte("rerun", failed.run)))
    assert (run.output, written(user)) == (DONE, ONCE)
    assert relation(run) == ("RELATION_TYPE_RERUN", failed.run)


def test_a_single_action_runs_again_as_a_run(user: Client, failed: Outcome) -> None:
    run = over(user, run_of(user.flyte("rerun", failed.run, "--action-name", recovered_name(failed))))
    assert (run.output, written(user)) == ("forest", {"walk to forest": 1})


def test_a_rerun_may_have_other_inputs(user: Client, failed: Outcome) -> None:
    other = str(user.directory / "other")
    user.write("other.bridge", "")
    name = user.python(f"""
run = flyte.with_runcontext(labels={{"team": "owls"}}).rerun("{failed.run}", diary={other!r})
print(json.dumps(run.name))
""")
    assert over(user, name).output == DONE
    assert written(user) == {}


def test_our_own_commands_do_the_same(user: Client, failed: Outcome) -> None:
    done = user.run("wingbeat", "run", "recover", failed.run, "--follow", "--output", "json", check=True)
    tree = json.loads(done.stdout)
    assert tree["run"]["phase"] == "SUCCEEDED"
    assert written(user) == {"set off": 1, "cross": 1}
    user.write("diary", "")
    assert over(user, tree["run"]["name"]).output == DONE
    again = json.loads(user.run("wingbeat", "run", "rerun", failed.run, "--output", "json").stdout)
    run = over(user, again["run"]["name"])
    assert (run.output, written(user)) == (DONE, ONCE)
    assert relation(run) == ("RELATION_TYPE_RERUN", failed.run)


def test_a_run_that_a_task_starts_says_so(user: Client) -> None:
    sender = outcomes(user, {"r": Wanted("recoverable.send_somebody", {"diary": str(user.directory / "diary")})})["r"]
    sent = over(user, sender.output)
    assert sent.output == "sea"
    assert relation(sent) == ("RELATION_TYPE_SPAWN", sender.run)


def test_what_is_deployed_runs_by_name_and_by_trigger(user: Client) -> None:
    user.flyte("deploy", "recoverable.py", "env")
    page = str(user.directory / "diary")
    by_name = run_of(user.flyte("run", "deployed-task", "recoverable.wander", "--place", "hill", "--diary", page))
    assert over(user, by_name).output == "hill"
    fired = user.python(
        f"""
trigger = flyte.remote.Trigger.get(name="by_hand", task_name="recoverable.wander")
run = flyte.run(trigger, diary={page!r})
run.wait(quiet=True)
print(json.dumps([run.outputs()[0], run.pb2.action.metadata.trigger_name]))
""",
        variables=user.configure(),
    )
    assert fired == ["lake", "by_hand"]
    assert written(user) == {"wander to hill": 1, "wander to lake": 1}
