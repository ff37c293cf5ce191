"""Workflows that wait for people: signals by the SDK, by its CLI, by `wingbeat run signal` and by webhooks."""

import json
import threading
from collections.abc import Generator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest

from tests.e2e.running import Client, wait_for
from tests.e2e.workflows import Started, Wanted, outcomes, serving, started

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(200)]


@pytest.fixture(scope="module")
def user(tmp_path_factory: pytest.TempPathFactory) -> Generator[Client]:
    """Of a server with one slot."""
    with serving(tmp_path_factory.mktemp("conditions"), "approvals.py", slots=1) as client:
        yield client


class Receiver:
    """Somebody's server: notes what is posted to it. The first time it has no time."""

    def __init__(self) -> None:
        self.posts: list[tuple[str, Any]] = []
        """(idempotency key, body) of each."""
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                receiver.posts.append((self.headers["idempotency-key"], body))
                self.send_response(503 if len(receiver.posts) == 1 else 204)
                self.end_headers()

            def log_request(self, code: Any = "-", size: Any = "-") -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/hook"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def receiver() -> Generator[Receiver]:
    receiver = Receiver()
    try:
        yield receiver
    finally:
        receiver.close()


def begun(user: Client, *tasks: Wanted) -> list[Started]:
    return list(started(user, {str(number): task for number, task in enumerate(tasks)}).values())


def output(user: Client, run: Started) -> Any:
    ended = outcomes(user, {"run": run})["run"]
    assert not ended.error, ended.text
    return ended.output


def waiting(user: Client, run: Started, count: int = 1) -> dict[str, Any]:
    """The conditions that the run waits for, by name, once there are so many."""

    def found() -> dict[str, Any] | None:
        shown = json.loads(user.run("wingbeat", "run", "show", run.run, "-o", "json").stdout)
        conditions = {each["name"]: each for each in shown["waits_for"]}
        return conditions if len(conditions) == count else None

    return wait_for(found, seconds=60, what="the conditions", every=0.1)


def test_values_of_every_type_reach_the_task_whoever_gives_them(user: Client) -> None:
    (run,) = begun(user, Wanted("approvals.ask_all"))
    asked = waiting(user, run, 4)
    assert asked["a_int"]["prompt"] == "Which int?"
    refused = user.run("wingbeat", "run", "signal", run.run, "a_int", "many", check=False)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "'many' is no INTEGER" in refused.stderr

    user.run("wingbeat", "run", "signal", run.run, "a_int", "-3")
    user.flyte("signal", "condition", run.run, asked["a_bool"]["action"], "true")
    listed = user.json("get", "condition", run.run)
    assert {each["metadata"]["condition"]["name"] for each in listed} == set(asked)
    script = f"""
async def main():
    import flyte.remote
    condition = await flyte.remote.Condition.get.aio("a_float", run_name={run.run!r})
    try:
        await condition.signal.aio("half")
    except Exception as error:
        refused = str(error)
    await condition.signal.aio(0.5)
    text = await flyte.remote.Condition.get.aio("a_str", run_name={run.run!r})
    await text.signal.aio("über")
    print(json.dumps([condition.expected_type.__name__, refused]))
import asyncio
asyncio.run(main())
"""
    kind, refusal = user.python(script)
    assert kind == "float"
    assert "is of type STRING, and FLOAT is declared" in refusal
    assert output(user, run) == ["bool True", "int -3", "float 0.5", "str über"]


def test_a_task_that_waits_holds_no_slot(user: Client) -> None:
    (run,) = begun(user, Wanted("approvals.ask", {"name": "hold_on"}))
    (condition,) = waiting(user, run).values()
    other = outcomes(user, {"other": Wanted("approvals.at_once")})["other"]
    assert other.output == 1
    tree = user.run("wingbeat", "run", "tree", run.run).stdout
    assert "hold_on PAUSED" in tree
    assert "Is it good?" in tree
    paused = json.loads(user.run("wingbeat", "run", "list", "--paused", "-o", "json").stdout)
    assert [each["name"] for each in paused["runs"]] == [run.run]
    user.run("wingbeat", "run", "signal", run.run, condition["action"], "no")
    assert output(user, run) is False


def test_a_condition_that_nobody_signals_in_time_raises_in_the_task(user: Client) -> None:
    (run,) = begun(user, Wanted("approvals.ask_in_vain"))
    ended = outcomes(user, {"run": run})["run"]
    assert ended.output == "ConditionTimedoutError"
    (condition,) = ended.children
    assert condition["status"]["phase"] == "ACTION_PHASE_TIMED_OUT"
    late = user.run("wingbeat", "run", "signal", run.run, "nobody_answers", "true", check=False)
    assert (late.returncode, "is over: TIMED_OUT" in late.stderr) == (1, True)


def test_a_condition_waits_through_the_death_of_its_server(user: Client) -> None:
    (run,) = begun(user, Wanted("approvals.ask", {"name": "patience"}))
    waiting(user, run)
    user.server.kill()
    user.server.start()
    assert list(waiting(user, run)) == ["patience"]
    signalled = user.run("wingbeat", "run", "signal", run.run, "patience", "yes", "-o", "json")
    assert json.loads(signalled.stdout)["phase"] == "SUCCEEDED"
    assert output(user, run) is True


def test_a_run_that_recovers_another_one_asks_nothing_again(user: Client) -> None:
    needed = user.directory / "needed"
    (run,) = begun(user, Wanted("approvals.ask_and_need", {"path": str(needed)}))
    waiting(user, run)
    user.run("wingbeat", "run", "signal", run.run, "once", "yes")
    assert outcomes(user, {"run": run})["run"].error
    needed.touch()
    again = Started(user.python(f"print(json.dumps(flyte.rerun({run.run!r}, recover=True).name))"))
    ended = outcomes(user, {"run": again})["run"]
    assert ended.output is True, ended.text
    assert [action["status"]["phase"] for action in ended.children] == ["ACTION_PHASE_RECOVERED"]


def test_a_webhook_is_told_and_its_answer_signals_the_condition(user: Client, receiver: Receiver) -> None:
    (run,) = begun(user, Wanted("approvals.ask_by_webhook", {"url": receiver.url}))
    wait_for(lambda: len(receiver.posts) == 2, seconds=60, what="the webhook", every=0.05)
    (first, body), (second, again) = receiver.posts
    assert (first, body) == (second, again)
    assert body["count"] == 3
    (address,) = body["answer_to"]

    assert httpx.post(address, json={"value": "seven"}).status_code == 400
    assert httpx.post(address.replace("signature=", "signature=0"), json={"value": 7}).status_code == 403
    assert httpx.get(address).status_code == 405
    assert httpx.post(address, json={"value": 7}).status_code == 200
    assert httpx.post(address, json={"value": 7}).status_code == 200
    assert httpx.post(address, json={"value": 8}).status_code == 409
    assert output(user, run) == 7


def test_a_failed_attempt_keeps_its_error_after_a_retry_and_links_are_rendered(user: Client) -> None:
    run = outcomes(user, {"run": Wanted("approvals.watch_it_stumble")})["run"]
    assert run.output == 2
    (child,) = run.children
    script = f"""
import flyte.remote
from google.protobuf.json_format import MessageToDict
details = flyte.remote.ActionDetails.get(run_name={run.run!r}, name={child["id"]["name"]!r})
print(json.dumps(MessageToDict(details.pb2)["attempts"]))
"""
    first, second = user.python(script)
    assert (first["phase"], second["phase"]) == ("ACTION_PHASE_FAILED", "ACTION_PHASE_SUCCEEDED")
    assert first["errorInfo"]["message"].startswith("the first try fails")
    assert "errorInfo" not in second
    for attempt, last in ((first, "FAILED"), (second, "SUCCEEDED")):
        assert [each["phase"].removeprefix("ACTION_PHASE_") for each in attempt["phaseTransitions"]] == [
            "QUEUED",
            "INITIALIZING",
            "RUNNING",
            last,
        ]
        assert attempt["startTime"] <= attempt["endTime"]
        assert attempt["logsAvailable"]
    name = child["id"]["name"]
    assert [attempt["logInfo"][0]["uri"] for attempt in (first, second)] == [
        f"https://pages.example.org/{run.run}/{name}/{run.run}-{name}-{number}/{run.run}/flytesnacks/development"
        for number in (0, 1)
    ]
