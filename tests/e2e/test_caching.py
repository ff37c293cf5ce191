"""Results that are kept, with the stock SDK: what is computed, and what is taken from who computed it."""

from collections import Counter
from collections.abc import Generator

import pytest

from tests.e2e.running import Client
from tests.e2e.workflows import Outcome, Wanted, outcomes, serving

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(200)]

CALLERS = 4


@pytest.fixture(scope="module")
def user(tmp_path_factory: pytest.TempPathFactory) -> Generator[Client]:
    with serving(tmp_path_factory.mktemp("caching"), "cached.py") as client:
        yield client


def written(user: Client, diary: str) -> Counter[str]:
    path = user.directory / diary
    return Counter(path.read_text().splitlines() if path.exists() else [])


def wanted(user: Client, task: str, diary: str, options: dict[str, object] | None = None, **inputs: object) -> Wanted:
    return Wanted(f"cached.{task}", inputs | {"diary": str(user.directory / diary)}, options=options or {})


@pytest.fixture(scope="module")
def first(user: Client) -> dict[str, Outcome]:
    """Runs that find nothing."""
    return outcomes(
        user,
        {
            "root": wanted(user, "square", "first", number=7),
            "squares": wanted(user, "squares", "first", numbers=[1, 2]),
            "version": wanted(user, "square_of_version", "first", version="1"),
            "serial": wanted(user, "slowly_for_all", "first", callers=CALLERS),
            "groups": Wanted("cached.groups_of_the_same"),
        },
    )


@pytest.fixture(scope="module")
def second(user: Client, first: dict[str, Outcome]) -> dict[str, Outcome]:
    """The same again, more or less."""
    return outcomes(
        user,
        {
            "root": wanted(user, "square", "second", number=7),
            "squares": wanted(user, "squares", "second", numbers=[1, 2, 3]),
            "same version": wanted(user, "square_of_version", "second", version="1"),
            "other version": wanted(user, "square_of_version", "second", version="2"),
            "serial": wanted(user, "slowly_for_all", "second", callers=1),
        },
    )


def served(run: Outcome) -> Counter[str]:
    return Counter(child["status"]["cacheStatus"] for child in run.children)


def root_of(run: Outcome) -> dict[str, object]:
    (action,) = [action for action in run.actions if action["id"]["name"] == "a0"]
    return action["status"]


def test_what_is_not_there_is_computed_and_kept(user: Client, first: dict[str, Outcome]) -> None:
    assert (first["root"].output, first["squares"].output, first["version"].output) == (49, 5, 121)
    assert root_of(first["root"])["cacheStatus"] == "CACHE_POPULATED"
    assert served(first["squares"]) == {"CACHE_POPULATED": 2}
    assert {"square 1", "square 2", "square 7", "square 11"} < set(written(user, "first"))


def test_another_run_has_the_results(user: Client, second: dict[str, Outcome]) -> None:
    assert second["squares"].output == 1 + 4 + 9
    assert served(second["squares"]) == {"CACHE_HIT": 2, "CACHE_POPULATED": 1}
    assert written(user, "second")["square 1"] == 0
    assert written(user, "second")["square 3"] == 1


def test_the_first_action_of_a_run_is_served_too(user: Client, second: dict[str, Outcome]) -> None:
    run = second["root"]
    assert (run.output, run.phase) == (49, "succeeded")
    assert root_of(run)["cacheStatus"] == "CACHE_HIT"
    assert written(user, "second")["square 7"] == 0
    assert "49" in user.flyte("get", "io", run.run)


def test_another_version_computes_anew(user: Client, second: dict[str, Outcome]) -> None:
    assert served(second["same version"]) == {"CACHE_HIT": 1}
    assert served(second["other version"]) == {"CACHE_POPULATED": 1}
    assert written(user, "second")["square 11"] == 1


def test_of_many_that_ask_for_the_same_one_computes(user: Client, first: dict[str, Outcome]) -> None:
    assert first["serial"].output == CALLERS * 3
    assert served(first["serial"]) == {"CACHE_POPULATED": 1, "CACHE_HIT": CALLERS - 1}
    assert sum(written(user, "first")[f"slowly 3 for {caller}"] for caller in range(CALLERS)) == 1


def test_what_was_computed_for_many_serves_later_ones(second: dict[str, Outcome]) -> None:
    assert served(second["serial"]) == {"CACHE_HIT": 1}


def test_lists_that_only_look_alike_are_told_apart(first: dict[str, Outcome]) -> None:
    assert first["groups"].output == [2, 1]


def test_who_overwrites_computes_and_leaves_the_result(user: Client, second: dict[str, Outcome]) -> None:
    root, all_of_them = "square", "squares"
    third = outcomes(
        user,
        {
            "root": wanted(user, root, "third", {"overwrite_cache": True}, number=7),
            "squares": wanted(user, all_of_them, "third", {"overwrite_cache": True}, numbers=[1, 2]),
        },
    )
    assert root_of(third["root"])["cacheStatus"] == "CACHE_POPULATED"
    assert served(third["squares"]) == {"CACHE_POPULATED": 2}
    assert written(user, "third") == {"square 1": 1, "square 2": 1, "square 7": 1}
    run = outcomes(user, {"root": wanted(user, root, "third", number=7)})["root"]
    details = user.python(f"""
from google.protobuf.json_format import MessageToDict
details = flyte.remote.Run.get("{run.run}").details()
print(json.dumps(MessageToDict(details.action_details.pb2)["attempts"]))
""")
    (attempt,) = details
    source = attempt["cacheMetadata"]["sourceActionAttempt"]
    assert source["actionId"]["run"]["name"] == third["root"].run
    assert third["root"].run in attempt["outputs"]["outputUri"]
