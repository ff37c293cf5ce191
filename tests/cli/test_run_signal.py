"""`wingbeat run signal`, and what the other commands show of conditions that wait."""

import asyncio
import re
import threading
from typing import Any

import pytest
from flyteidl2.workflow import run_definition_pb2

from tests.cli.terminal import Site
from tests.queued_runs import root_of, run_of, task_spec
from wingbeat.cli import run_calls, run_questions, run_reading, run_watch
from wingbeat.cli.client import connected
from wingbeat.cli.run_documents import RunTree
from wingbeat.cli.run_questions import MOST, Asked, Question, lines
from wingbeat.cli.target import Target
from wingbeat.core.action import TaskRef
from wingbeat.core.condition import ConditionChild
from wingbeat.core.ids import ActionId
from wingbeat.core.value import ValueType
from wingbeat.operations import conditions
from wingbeat.wire import values

TASK = run_of("r", task_spec()).task.id


@pytest.fixture(autouse=True)
async def running(site: Site) -> None:
    await site.start("r")
    await site.begin()


async def ask(
    site: Site,
    action: str,
    name: str = "approval",
    value_type: ValueType = ValueType.BOOLEAN,
    *,
    run: str = "r",
) -> None:
    prompt = f"Which {value_type.name}?"
    kind = values.literal_type(value_type)
    spec = run_definition_pb2.ConditionAction(name=name, prompt=prompt, type=kind).SerializeToString()
    ref = TaskRef(TASK, "condition", name, name, "", f"digest of {name} {prompt}")
    child = ConditionChild(
        ActionId(root_of(run).run, action), "a0", "", "s3://b", ref, spec, value_type, timeout=None, notifies=False
    )
    await site.database.write(lambda tx: conditions.enqueue(tx, child))


async def test_a_condition_is_signalled_by_its_name_or_its_actions(site: Site) -> None:
    await ask(site, "c1", "by_name")
    await ask(site, "c2", "by_action")
    told = (await site.wingbeat("run", "signal", "r", "by_name", "true", "-o", "json")).json
    assert told == {"run": "r", "action": "c1", "condition": "by_name", "value": True, "phase": "SUCCEEDED"}
    done = await site.wingbeat("run", "signal", "r", "c2", "no")
    assert (done.code, done.out) == (0, "condition by_action (action c2) of run r is SUCCEEDED\n")


@pytest.mark.parametrize(
    ("value_type", "text", "value"),
    [
        (ValueType.BOOLEAN, "False", False),
        (ValueType.INTEGER, "-7", -7),
        (ValueType.FLOAT, "-1e3", -1000.0),
        (ValueType.FLOAT, "2", 2.0),
        (ValueType.STRING, "--like an option", "--like an option"),
        (ValueType.STRING, "", ""),
    ],
)
async def test_the_value_is_of_the_type_that_the_condition_declares(
    site: Site, value_type: ValueType, text: str, value: Any
) -> None:
    await ask(site, "c1", value_type=value_type)
    given = (await site.wingbeat("run", "signal", "r", "c1", text, "-o", "json")).json["value"]
    assert repr(given) == repr(value)


@pytest.mark.parametrize(
    ("value_type", "text"),
    [(ValueType.BOOLEAN, "maybe"), (ValueType.INTEGER, "1.5"), (ValueType.FLOAT, "half"), (ValueType.INTEGER, "")],
)
async def test_what_is_no_such_value_is_not_sent(site: Site, value_type: ValueType, text: str) -> None:
    await ask(site, "c1", value_type=value_type)
    done = await site.wingbeat("run", "signal", "r", "c1", text)
    assert f"{text!r} is no {value_type.name}, the type that the condition declares" in done.complaint


async def test_a_name_of_several_conditions_means_the_one_that_waits(site: Site) -> None:
    await ask(site, "c1")
    await ask(site, "c2")
    assert (
        "has 2 conditions 'approval': name the action, c1 or c2"
        in (await site.wingbeat("run", "signal", "r", "approval", "yes")).complaint
    )
    await site.wingbeat("run", "signal", "r", "c1", "yes")
    assert (await site.wingbeat("run", "signal", "r", "approval", "no", "-o", "json")).json["action"] == "c2"
    assert "name the action" in (await site.wingbeat("run", "signal", "r", "approval", "no")).complaint


async def test_what_is_no_condition_of_the_run_is_not_signalled(site: Site) -> None:
    assert "is a TASK and no CONDITION" in (await site.wingbeat("run", "signal", "r", "a0", "yes")).complaint
    assert "no action 'other'" in (await site.wingbeat("run", "signal", "r", "other", "yes")).complaint
    assert "has no action 'c1'" in (await site.wingbeat("run", "signal", "nothing", "c1", "yes")).complaint


async def test_another_value_is_refused_and_the_same_is_not(site: Site) -> None:
    await ask(site, "c1")
    for _ in range(2):
        assert (await site.wingbeat("run", "signal", "r", "c1", "yes")).code == 0
    assert "signalled with another value" in (await site.wingbeat("run", "signal", "r", "c1", "no")).complaint


async def test_commands_show_what_a_run_waits_for(site: Site) -> None:
    await ask(site, "c1")
    await ask(site, "c2", "price", ValueType.FLOAT)
    shown = (await site.wingbeat("run", "show", "r", "-o", "json")).json
    assert shown["waits_for"] == [
        {
            "action": action,
            "name": name,
            "type": kind,
            "prompt": f"Which {kind}?",
            "since": "2026-01-01T00:00:00Z",
        }
        for action, name, kind in (("c1", "approval", "BOOLEAN"), ("c2", "price", "FLOAT"))
    ]
    assert "price (c2, FLOAT): Which FLOAT?" in (await site.wingbeat("run", "show", "r")).out
    tree = (await site.wingbeat("run", "tree", "r", "-o", "json")).json["root"]
    assert [(each["name"], each["task"], each["prompt"]) for each in tree["children"]] == [
        ("c1", "approval", "Which BOOLEAN?"),
        ("c2", "price", "Which FLOAT?"),
    ]
    assert re.search(r"c2 price PAUSED \S+ Which FLOAT\?", (await site.wingbeat("run", "tree", "r")).out)
    await site.wingbeat("run", "signal", "r", "c1", "yes")
    assert [each["action"] for each in (await site.wingbeat("run", "show", "r", "-o", "json")).json["waits_for"]] == [
        "c2"
    ]


async def test_only_runs_that_wait_are_listed_when_asked_for(site: Site) -> None:
    async def paused() -> list[str]:
        listed = (await site.wingbeat("run", "list", "--paused", "-o", "json")).json
        return [each["name"] for each in listed["runs"]]

    assert await paused() == []
    await ask(site, "c1")
    assert await paused() == ["r"]


@pytest.fixture
def noticed(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Set when somebody who watches a run knows what it asks."""
    event = threading.Event()

    def questions(tree: RunTree) -> list[Question]:
        found = run_questions.questions(tree)
        if len(found) == 2:
            event.set()
        return found

    monkeypatch.setattr(run_watch, "questions", questions)
    return event


@pytest.mark.parametrize("as_json", [False, True], ids=["for people", "as JSON"])
async def test_who_watches_a_run_is_told_what_it_asks_and_how_to_answer(
    site: Site, noticed: threading.Event, *, as_json: bool
) -> None:
    await site.start("s")
    claim = await site.begin()
    await ask(site, "c1", run="s")
    await ask(site, "c2", "price", ValueType.FLOAT, run="s")
    watching = asyncio.create_task(site.wingbeat("run", "watch", "s", *(["-o", "json"] if as_json else [])))
    assert await asyncio.to_thread(noticed.wait, 10)
    for action, value in (("c1", True), ("c2", 1.5)):
        condition = ActionId(root_of("s").run, action)
        await site.database.write(lambda tx, of=condition, value=value: conditions.signal(tx, of, value, by=""))
    await site.end(claim)
    done = await asyncio.wait_for(watching, 10)
    told = (done.err if as_json else done.out).splitlines()
    assert [line.strip() for line in told if "answer" in line] == [
        "waits for approval: Which BOOLEAN?  (answer: wingbeat run signal s approval yes)",
        "waits for price: Which FLOAT?  (answer: wingbeat run signal s price FLOAT)",
    ]
    assert not as_json or done.json["root"]["phase"] == "SUCCEEDED"


async def test_a_prompt_moves_nothing_on_the_terminal(site: Site) -> None:
    await ask(site, "c1", "a\x1b[2Kb\nc")
    async with connected(Target(site.url, "p", "development")) as api:
        actions = {each.id.name: each for each in await run_calls.actions(api, "r")}
        tree = run_reading.tree(list(actions.values()), await Asked(api).of(actions))
    told = "waits for a [2Kb c: Which BOOLEAN?  (answer: wingbeat run signal r c1 yes)"
    assert [question.line for question in run_questions.questions(tree)] == [told]
    for command in ("show", "tree"):
        assert "\x1b" not in (await site.wingbeat("run", command, "r")).out


async def test_a_command_to_copy_is_one_command(site: Site) -> None:
    await ask(site, "c1", "ok; rm -r x")
    async with connected(Target(site.url, "p", "development")) as api:
        actions = {each.id.name: each for each in await run_calls.actions(api, "r")}
        tree = run_reading.tree(list(actions.values()), await Asked(api).of(actions))
    assert "(answer: wingbeat run signal r 'ok; rm -r x' yes)" in run_questions.questions(tree)[0].line


def test_of_many_questions_some_are_told() -> None:
    asked = [Question(f"c{number}", f"line {number}") for number in range(MOST + 2)]
    assert lines(asked)[-2:] == [f"line {MOST - 1}", "and 2 more"]
    assert lines(asked[:MOST])[-1] == f"line {MOST - 1}"
