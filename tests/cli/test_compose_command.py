"""`wingbeat compose`: inputs, exit codes, what it says and changes; all but the processes that fire."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.compose_desk import APP, REPOSITORY, ComposeDesk
from wingbeat.cli.compose.grammar import parser
from wingbeat.compose.trigger import TriggerStore

NAMESPACE_IN_YAML = """
namespace: [{gref: "tests.cli.market:double", nsref: "market:double"}]
storage: {dags_db: elsewhere.db}
"""


@pytest.fixture
def compose(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ComposeDesk:
    monkeypatch.setenv("MARKET_NOTES", str(tmp_path / "notes"))
    return ComposeDesk(tmp_path / "data")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The current directory, whose modules nobody knows before and after."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [each for each in sys.path if each])
    known = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - known:
        if (getattr(sys.modules[name], "__file__", None) or "").startswith(str(tmp_path)):
            del sys.modules[name]


class TestRun:
    def test_a_dag_runs_and_is_recorded(self, compose: ComposeDesk) -> None:
        done = compose(*APP, "run", "market:summary", "--output", "json").json
        assert (done["status"], done["outputs"]) == ("completed", {"describe": "AAPL at 185.0"})
        (run,) = compose("history", "--output", "json").json["runs"]
        assert (run["run"], run["dag"], run["initiated_by"]) == (done["run"], "market:summary", "cli")

    def test_people_see_the_outputs(self, compose: ComposeDesk) -> None:
        assert compose(*APP, "run", "market:summary").out.splitlines()[1:] == ['describe: "AAPL at 185.0"']

    def test_inputs_have_the_types_of_their_parameters(self, compose: ComposeDesk) -> None:
        done = compose(*APP, "run", "market:summary", "--input", "symbol=7", "--input", "day=2026-03-05", "-o", "json")
        assert done.json["outputs"] == {"describe": "7 at 5.0"}

    @pytest.mark.parametrize("tags", ['["a"]', "null"])
    def test_what_is_no_word_is_json(self, compose: ComposeDesk, tags: str) -> None:
        done = compose(*APP, "run", "market:double", "--input", "amount=4", "--input", f"tags={tags}", "-o", "json")
        assert done.json["outputs"] == {"double": {"amount": 8, "tags": json.loads(tags)}}

    @pytest.mark.parametrize("inputs", ['{"symbol": "X"}', '{"fetch": {"symbol": "X"}}'])
    def test_inputs_may_be_one_document(self, compose: ComposeDesk, inputs: str) -> None:
        done = compose(*APP, "run", "market:summary", "--inputs", inputs, "-o", "json")
        assert done.json["outputs"] == {"describe": "X at 185.0"}

    def test_a_run_that_fails_is_shown_and_is_an_error(self, compose: ComposeDesk) -> None:
        done = compose(*APP, "run", "market:fail", "--output", "json")
        assert done.complaint.endswith("failed at node 'fail': the source is down\n")
        assert json.loads(done.out)["status"] == "failed"

    @pytest.mark.parametrize(
        ("arguments", "complaint"),
        [
            (["market:nothing"], "'market:nothing' not found in namespace"),
            (["market:double"], "source 'double' needs a value for amount"),
            (["market:double", "--input", "amount=x"], "input 'amount' is 'x', which is no int"),
            (["market:double", "--input", "size=1"], "nothing takes 'size': the sources of the DAG take amount, tags"),
            (["market:describe", "--input", 'quote={"symbol": 1}'], "input 'quote'"),
        ],
        ids=lambda value: " ".join(value) if isinstance(value, list) else "",
    )
    def test_what_cannot_run_is_an_error_in_one_line(
        self, compose: ComposeDesk, arguments: list[str], complaint: str
    ) -> None:
        done = compose(*APP, "run", *arguments)
        assert complaint in done.complaint
        assert done.out == ""
        assert compose("history", "--output", "json").json["runs"] == []

    @pytest.mark.parametrize(
        ("arguments", "complaint"),
        [
            (["--input", "amount"], "argument --input: 'amount' is not of the form NAME=VALUE"),
            (["--input", "=5"], "argument --input: '=5' is not of the form NAME=VALUE"),
            (["--inputs", "[1]"], "argument --inputs: is no JSON object"),
            (["--inputs", "{"], "argument --inputs: is no JSON: "),
        ],
        ids=lambda value: " ".join(value) if isinstance(value, list) else "",
    )
    def test_inputs_of_another_form_are_wrong_usage(
        self, compose: ComposeDesk, arguments: list[str], complaint: str
    ) -> None:
        assert complaint in compose(*APP, "run", "market:double", *arguments).usage

    def test_wrong_usage_has_another_exit_code(self, compose: ComposeDesk) -> None:
        assert [compose(*words).code for words in (["nonsense"], ["run"], ["run", "a", "--nonsense"], [])] == [
            2,
            2,
            2,
            2,
        ]


class TestFire:
    def test_an_active_trigger_fires_with_its_payload_or_with_what_is_typed(self, compose: ComposeDesk) -> None:
        compose(*APP, "resume", "by_hand")
        outputs = [
            compose(*APP, "fire", "by_hand", *words, "--output", "json").json["outputs"]["describe"]
            for words in ([], ["--input", "symbol=X"])
        ]
        assert outputs == ["MSFT at 185.0", "X at 185.0"]
        events = compose("history", "by_hand", "--output", "json").json["events"]
        assert [(each["kind"], each["status"], each["initiated_by"]) for each in events] == [
            ("manual", "completed", "cli")
        ] * 2

    def test_a_failing_dag_is_an_error(self, compose: ComposeDesk) -> None:
        compose(*APP, "resume", "broken")
        assert "failed at node 'fail'" in compose(*APP, "fire", "broken").complaint

    def test_a_trigger_that_is_not_active_does_not_fire(self, compose: ComposeDesk) -> None:
        assert "never activated" in compose(*APP, "fire", "by_hand").complaint
        compose(*APP, "resume", "by_hand")
        compose("pause", "by_hand")
        assert "by_hand' is disabled" in compose(*APP, "fire", "by_hand").complaint
        assert compose("history", "--output", "json").json["runs"] == []


class TestPauseAndResume:
    def test_they_need_nothing_but_the_files(self, compose: ComposeDesk) -> None:
        compose(*APP, "resume", "hourly")
        states = [compose(word, "hourly", "-o", "json").json["trigger"]["active"] for word in ("pause", "resume")]
        assert states == [False, True]
        changes = compose("history", "hourly", "--changes", "-o", "json").json["changes"]
        assert [(each["action"], each["by"]) for each in changes] == [
            ("activate", "cli"),
            ("deactivate", "cli"),
            ("activate", "cli"),
        ]

    @pytest.mark.parametrize("command", ["pause", "resume"])
    def test_a_trigger_that_nobody_knows_is_an_error(self, compose: ComposeDesk, command: str) -> None:
        assert "nobody" in compose(command, "nobody").complaint
        assert "nobody" in compose(*APP, command, "nobody").complaint


class TestReading:
    def test_it_makes_no_files(self, compose: ComposeDesk) -> None:
        assert compose("status").code == 0
        assert compose("history").code == 0
        assert "never activated" in compose("history", "hourly").complaint
        assert not compose.data.exists()

    def test_status_has_all_triggers_that_were_activated(self, compose: ComposeDesk) -> None:
        compose(*APP, "resume", "hourly")
        compose(*APP, "resume", "by_hand")
        compose("pause", "by_hand")
        shown = compose("status", "--output", "json").json
        assert (shown["running"], shown["pid"]) == (False, None)
        found = {each["name"]: (each["active"], each["schedule"], each["timezone"]) for each in shown["triggers"]}
        assert found == {"by_hand": (False, None, "UTC"), "hourly": (True, "0 * * * *", "Europe/Paris")}
        assert "hourly   active    0 * * * * Europe/Paris" in compose("status").out

    def test_a_preview_says_what_the_clock_of_the_zone_shows(self, compose: ComposeDesk) -> None:
        shown = compose(*APP, "preview", "hourly", "-n", "2", "--output", "json").json
        assert shown["inactive"] is True
        assert [slot["local"][13:19] for slot in shown["slots"]] == [":00:00", ":00:00"]
        compose(*APP, "resume", "hourly")
        assert compose("preview", "hourly", "--output", "json").json["inactive"] is False
        assert "nobody" in compose(*APP, "preview", "nobody").complaint

    def test_history_is_bounded_and_narrowed(self, compose: ComposeDesk) -> None:
        for nsref in ("market:double", "market:fail", "market:summary"):
            compose(*APP, "run", nsref, *(["--input", "amount=1"] if nsref == "market:double" else []))
        latest = compose("history", "--limit", "1", "-o", "json").json["runs"]
        assert [each["dag"] for each in latest] == ["market:summary"]
        failed = compose("history", "--status", "failed", "-o", "json").json["runs"]
        assert [(each["dag"], each["error"]) for each in failed] == [("market:fail", "the source is down")]
        assert compose("history", "--since", "2999-01-01").out == "there are no runs\n"
        assert compose("history", "--since", "2026-01-01T08:00:00").code == 2

    def test_a_status_that_nothing_has_is_wrong_usage(self, compose: ComposeDesk) -> None:
        compose(*APP, "resume", "hourly")
        runs = "'bogus' is unknown: runs have running, paused, completed, failed, cancelled"
        assert compose("history", "--status", "bogus").usage.endswith(runs)
        assert "'bogus' is unknown: events of a trigger have" in compose("history", "hourly", "--status", "bogus").usage
        assert compose("history", "hourly", "--status", "missed").out == "nothing has happened yet\n"

    def test_changes_are_those_of_a_trigger(self, compose: ComposeDesk) -> None:
        assert compose("history", "--changes").usage.endswith("--changes needs a TRIGGER")


class TestADirectoryThatIsSeenFromTheCurrentOne:
    @pytest.mark.parametrize(
        "compose",
        [ComposeDesk(says_so=False), ComposeDesk(Path("own")), ComposeDesk(Path("own/deep"))],
        ids=["by default", "a name", "a path"],
    )
    def test_has_all_files_and_they_are_found_again(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compose: ComposeDesk
    ) -> None:
        monkeypatch.chdir(tmp_path)
        assert compose(*APP, "run", "market:double", "--input", "amount=1").code == 0
        assert compose(*APP, "resume", "by_hand").code == 0
        assert compose(*APP, "fire", "by_hand").code == 0
        assert [each["dag"] for each in compose("history", "-o", "json").json["runs"]] == [
            "market:summary",
            "market:double",
        ]
        assert len(compose("history", "by_hand", "-o", "json").json["events"]) == 1
        assert [each["name"] for each in compose("status", "-o", "json").json["triggers"]] == ["by_hand"]
        assert compose("pause", "by_hand").code == compose("resume", "by_hand").code == 0
        found = {each.relative_to(tmp_path) for each in tmp_path.rglob("*.db")}
        assert found == {compose.data / name for name in ("dags.db", "triggers.db")}

    def test_has_the_files_of_its_configuration(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        Path("data").mkdir()
        storage = {"dags_db": "runs.db", "triggers_db": "deep/t.db"}
        Path("data/wingbeat.json").write_text(json.dumps({"app": APP[1], "storage": storage}))
        compose = ComposeDesk(says_so=False)
        assert compose("resume", "by_hand").code == compose("fire", "by_hand").code == 0
        assert len(compose("history", "-o", "json").json["runs"]) == 1
        assert {str(each) for each in Path("data").rglob("*.db")} == {"data/runs.db", "data/deep/t.db"}


class TestTheProgram:
    def test_nothing_runs_when_nothing_says_which_namespace(self, compose: ComposeDesk) -> None:
        assert "use --app MODULE:NAME" in compose("run", "market:summary").complaint

    @pytest.mark.parametrize(
        ("name", "complaint"),
        [
            ("tests.cli.nowhere:program", "No module named"),
            ("tests.cli.market:nothing", "no attribute 'nothing'"),
            ("tests.cli.market:APP:x", "is no reference"),
            ("tests.cli.market:Quote.__name__", "no attribute"),
            ("tests.cli.compose_desk:REPOSITORY", "name a Namespace, an Embedded"),
        ],
    )
    def test_a_program_that_cannot_be_had_is_an_error(self, compose: ComposeDesk, name: str, complaint: str) -> None:
        assert complaint in compose("--app", name, "run", "x").complaint

    @pytest.mark.parametrize(
        ("text", "complaint"),
        [
            ("def program():\n    raise RuntimeError('the desk\\nis closed')\n",
             "cannot be called: RuntimeError: the desk is closed (broken_market.py, line 2)\n"),
            ("def program():\n    return {}['desk']\n",
             "cannot be called: KeyError: 'desk' (broken_market.py, line 2)\n"),
            ("raise RuntimeError('closed')\n", "be imported: RuntimeError: closed (broken_market.py, line 1)\n"),
            ("x = = 1\n", "cannot be imported: SyntaxError: invalid syntax (broken_market.py, line 1)\n"),
        ],
        ids=["when it is called", "with a key", "when it is imported", "when it is read"],
    )  # fmt: skip
    def test_a_program_that_raises_is_an_error_in_one_line_with_its_place(
        self, here: Path, compose: ComposeDesk, text: str, complaint: str
    ) -> None:
        (here / "broken_market.py").write_text(text)
        assert compose("--app", "broken_market:program", "run", "x").complaint.endswith(complaint)
        (here / "c.json").write_text('{"namespace": [{"gref": "broken_market:program__", "nsref": "a"}]}')
        done = compose("--config", "c.json", "run", "x")
        assert done.complaint.startswith("wingbeat: the namespace of the configuration: ")

    @pytest.mark.parametrize("command", [["resume", "t"], ["start"]], ids=["resume", "start"])
    def test_a_poll_function_whose_module_raises_is_an_error_in_one_line(
        self, here: Path, compose: ComposeDesk, command: list[str]
    ) -> None:
        (here / "broken_poll.py").write_text("raise RuntimeError('closed')\n")
        trigger = {"name": "t", "schedule": "0 * * * *", "poll_fn": "broken_poll:asked"}
        (here / "c.json").write_text(json.dumps({"namespace": [{"gref": "json:dumps", "triggers": [trigger]}]}))
        done = compose("--config", "c.json", *command)
        assert done.complaint.endswith("cannot be activated: RuntimeError: closed (broken_poll.py, line 1)\n")

    def test_a_configuration_finds_modules_of_the_current_directory(self, here: Path, compose: ComposeDesk) -> None:
        (here / "market_here.py").write_text("def fetch_prices():\n    return 7\n")
        (here / "c.json").write_text('{"namespace": [{"gref": "market_here:fetch_prices", "nsref": "market:fetch"}]}')
        assert compose("--config", "c.json", "run", "market:fetch", "-o", "json").json["outputs"] == {"fetch": 7}

    @pytest.mark.parametrize("name", ["managed", "short"])
    def test_a_manager_says_where_the_files_are(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compose: ComposeDesk, name: str
    ) -> None:
        monkeypatch.setenv("MARKET_FOLDER", str(tmp_path / "own"))
        app = ("--app", f"tests.cli.market:{name}")
        assert compose(*app, "resume", "by_hand").code == 0
        assert compose(*app, "fire", "by_hand").code == 0
        assert compose(*app, "run", "market:summary").code == 0
        assert len(compose(*app, "history", "-o", "json").json["runs"]) == 2
        assert TriggerStore(tmp_path / "own" / "t.db").get_activation("by_hand") is not None
        assert not compose.data.exists()

    @pytest.mark.parametrize(
        ("name", "text"),
        [
            ("wingbeat.json", '{"app": "tests.cli.market:program", "storage": {"dags_db": "elsewhere.db"}}'),
            ("wingbeat.yaml", "app: tests.cli.market:program\nstorage:\n  dags_db: elsewhere.db\n"),
            ("wingbeat.yaml", NAMESPACE_IN_YAML),
        ],
        ids=["JSON", "YAML", "a namespace"],
    )  # fmt: skip
    def test_a_configuration_file_says_what_and_where(self, compose: ComposeDesk, name: str, text: str) -> None:
        compose.data.mkdir()
        (compose.data / name).write_text(text)
        assert compose("run", "market:double", "--input", "amount=1").code == 0
        assert (compose.data / "elsewhere.db").exists()
        assert len(compose("history", "-o", "json").json["runs"]) == 1

    def test_a_configuration_file_may_be_anywhere(self, compose: ComposeDesk, tmp_path: Path) -> None:
        (tmp_path / "c.json").write_text('{"app": "tests.cli.market:program"}')
        assert compose("--config", str(tmp_path / "c.json"), "run", "market:summary").code == 0
        assert (compose.data / "dags.db").exists()

    @pytest.mark.parametrize(
        ("name", "text", "complaint"),
        [
            ("c.json", None, "cannot be read"),
            ("c.json", "{", "is no JSON"),
            ("c.yaml", "a: [", "is no YAML"),
            ("c.json", '{"storage": 1}', "storage"),
            ("c.json", '{"namespace": [{"gref": "tests.cli.market:nothing"}]}', "no attribute 'nothing'"),
            ("c.json", '{"namespace": [{"gref": "nowhere:at_all"}]}', "No module named"),
            ("c.json", '{"namespace": [{"tags": ["x"]}]}', "neither nsref nor gref"),
            ("c.json", '{"namespace": [{"gref": "json:loads", "triggers": ["x"]}]}', "triggers.0: "),
            ("c.json", '{"app": "a:b", "namespace": [{"gref": "c:d"}]}', "leave one of them out"),
        ],
    )
    def test_a_configuration_that_is_wrong_is_an_error(
        self, compose: ComposeDesk, tmp_path: Path, name: str, text: str | None, complaint: str
    ) -> None:
        if text is not None:
            (tmp_path / name).write_text(text)
        done = compose("--config", str(tmp_path / name), "run", "x")
        assert complaint in done.complaint

    def test_yaml_is_refused_where_nothing_can_read_it(
        self, compose: ComposeDesk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "c.yaml").write_text("namespace: []")
        monkeypatch.setitem(sys.modules, "yaml", None)
        assert "pip install pyyaml" in compose("--config", str(tmp_path / "c.yaml"), "run", "x").complaint


def test_every_command_says_what_it_is_for() -> None:
    text = parser().format_help()
    for name in ("start", "stop", "run", "fire", "status", "preview", "pause", "resume", "history"):
        assert f"    {name} " in text


@pytest.mark.parametrize("blocked", ["", "rich_click"], ids=["with the server", "with the library alone"])
def test_the_program_has_it_in_every_installation(tmp_path: Path, blocked: str) -> None:
    script = f"import sys; sys.modules[{blocked!r} or 'nothing'] = None; from wingbeat.__main__ import main; main()"
    command = [sys.executable, "-c", script, "compose", "--data", str(tmp_path), *APP, "run"]
    done = [
        subprocess.run(
            [*command, nsref], cwd=REPOSITORY, env={**os.environ}, capture_output=True, text=True, check=False
        )
        for nsref in ("market:summary", "market:fail")
    ]
    assert [each.returncode for each in done] == [0, 1]
    assert 'describe: "AAPL at 185.0"' in done[0].stdout
