from datetime import timedelta
from pathlib import Path

import pytest

from wingbeat.config.settings import duration
from wingbeat.config.sources import leaves, load, variable
from wingbeat.errors import StartError

QPS = "WINGBEAT_RUNS__TRIGGERSCHEDULER__EXECUTIONQPS"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30s", 30), ("1h30m", 5400), ("1.5h", 5400), ("250ms", 0.25), (".5m", 30), ("10us", 1e-5), ("90d", 7776000)],
)
def test_a_duration_reads_as_go_writes_it(text: str, seconds: float) -> None:
    assert duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "30", "s", "1h 30m", "-1s", "1w", "1s,"])
def test_anything_else_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        duration(text)


def test_without_anything_the_defaults_of_the_flyte_scheduler_are_in_force() -> None:
    scheduler = load().runs.trigger_scheduler
    assert scheduler.enabled
    assert scheduler.resync_interval == timedelta(seconds=30)
    assert scheduler.max_catchup_runs_per_loop == 100
    assert scheduler.execution_qps == 10
    assert scheduler.execution_burst == 20


def test_a_flag_wins_over_the_environment_and_that_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "wingbeat.yaml"
    file.write_text("server: {port: 1, host: file}\ndata: from-file\nruns: {triggerScheduler: {executionQps: 5}}\n")
    environment = {"WINGBEAT_SERVER__PORT": "2", "WINGBEAT_SERVER__HOST": "environment", QPS: "7"}
    settings = load(flags={"server.port": 3, "server.host": None}, environment=environment, file=file)
    assert settings.server.port == 3
    assert settings.server.host == "environment"
    assert settings.runs.trigger_scheduler.execution_qps == 7
    assert settings.data == Path("from-file")


@pytest.mark.parametrize("key", ["executionQps", "execution_qps", "EXECUTIONQPS", "execution-qps"])
def test_case_and_dashes_do_not_matter_in_a_name(key: str, tmp_path: Path) -> None:
    file = tmp_path / "wingbeat.yaml"
    file.write_text(f"runs: {{triggerScheduler: {{{key}: 3}}}}")
    assert load(file=file).runs.trigger_scheduler.execution_qps == 3


def test_the_environment_may_name_the_file(tmp_path: Path) -> None:
    file = tmp_path / "wingbeat.yaml"
    file.write_text("data: /var/lib/wingbeat")
    assert load(environment={"WINGBEAT_CONFIG": str(file)}).data == Path("/var/lib/wingbeat")


def test_a_list_in_the_environment_is_separated_by_commas() -> None:
    settings = load(environment={"WINGBEAT_SERVER__ALLOWEDORIGINS": "https://a.example, https://b.example"})
    assert settings.server.allowed_origins == ("https://a.example", "https://b.example")


def test_other_variables_are_nobodys_business() -> None:
    assert load(environment={"PATH": "/bin", "FLYTE_X": "1"}) == load()


def test_what_tells_commands_where_the_server_is_does_not_disturb_the_server() -> None:
    assert load(environment={"WINGBEAT_URL": "http://a:1", "WINGBEAT_PROJECT": "p", "WINGBEAT_DOMAIN": "d"}) == load()


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        (
            {"WINGBEAT_RUNS__TRIGERSCHEDULER__ENABLED": "1"},
            "environment variable WINGBEAT_RUNS__TRIGERSCHEDULER__ENABLED: unknown setting 'runs.TRIGERSCHEDULER'; did",
        ),
        ({"WINGBEAT_ZZZ": "1"}, "environment variable WINGBEAT_ZZZ: unknown setting 'ZZZ'; expected one of blobs, "),
        ({"WINGBEAT_RUNS": "1"}, "environment variable WINGBEAT_RUNS: runs is a section of settings, not a value"),
        ({"WINGBEAT_SERVER__PORT": "x"}, "setting server.port: Input should be a valid integer"),
        ({QPS: "-1"}, "setting runs.triggerScheduler.executionQps: Input should be greater than or equal to 0, not"),
        ({"WINGBEAT_SERVER__STOPGRACE": "30"}, "setting server.stopGrace: '30' is not a duration such as 30s"),
        ({"WINGBEAT_SERVER__STOPGRACE": "0s"}, "setting server.stopGrace: a duration must be longer than 0s"),
        ({"WINGBEAT_CONFIG": "/nowhere.yaml"}, "configuration '/nowhere.yaml' cannot be read: No such file"),
    ],
)
def test_a_mistake_is_named_in_one_line(environment: dict[str, str], message: str) -> None:
    with pytest.raises(StartError) as refused:
        load(environment=environment)
    assert str(refused.value).startswith(message)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("server: {prot: 1}", "unknown setting 'server.prot'; did you mean 'server.port'?"),
        ("- a", "expected settings by name, found list"),
        ("{", "is not YAML"),
        ("server: 1", "server is a section of settings, not a value"),
    ],
)
def test_a_mistake_in_the_file_names_the_file(text: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "wingbeat.yaml"
    file.write_text(text)
    with pytest.raises(StartError) as refused:
        load(file=file)
    assert str(file) in str(refused.value)
    assert message in str(refused.value)


def test_an_empty_file_changes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "wingbeat.yaml"
    file.write_text("# nothing yet\nserver:\n")
    assert load(file=file) == load()


def test_every_setting_says_what_it_is_for() -> None:
    settings = dict(leaves())
    assert [name for name, field in settings.items() if not field.description] == []
    assert variable("runs.triggerScheduler.executionQps") == QPS


@pytest.mark.parametrize(
    ("text", "age"), [("2160h", timedelta(days=90)), ("90m", timedelta(minutes=90)), ("0s", None), ("0h", None)]
)
def test_what_is_kept_for_no_time_at_all_is_kept_for_ever(text: str, age: timedelta | None) -> None:
    environment = {"WINGBEAT_RUNS__RETENTION__LEDGER": text}
    assert load(environment=environment).runs.retention.ledger == age


def test_by_default_revisions_are_kept_for_ever_and_the_rest_for_months() -> None:
    kept = load().runs.retention
    assert (kept.ledger, kept.revisions, kept.events) == (timedelta(days=90), None, timedelta(days=30))


@pytest.mark.parametrize(
    ("bearer", "problem"),
    [
        pytest.param("{audience: a}", "issuer is missing", id="whose tokens"),
        pytest.param("{required: true}", "issuer is missing", id="whose tokens are required"),
        pytest.param("{issuer: i, keyFile: k}", "audience is missing", id="for whom"),
        pytest.param("{issuer: i, audience: a}", "either jwksUrl or keyFile", id="no keys"),
        pytest.param(
            "{issuer: i, audience: a, keyFile: k, jwksUrl: http://h}", "either jwksUrl or key", id="two kinds"
        ),
        pytest.param("{issuer: i, audience: a, jwksUrl: 'ftp://h'}", "jwksUrl", id="a URL nobody can ask"),
    ],
)
def test_half_of_what_tokens_are_checked_with_is_refused(bearer: str, problem: str, tmp_path: Path) -> None:
    file = tmp_path / "wingbeat.yaml"
    file.write_text(f"server: {{bearer: {bearer}}}")
    with pytest.raises(StartError, match=rf"setting server\.bearer.*{problem}"):
        load(file=file)


def test_who_calls_is_learned_in_one_way(tmp_path: Path) -> None:
    file = tmp_path / "wingbeat.yaml"
    bearer = "{issuer: i, audience: a, keyFile: k}"
    file.write_text(f"server: {{identityHeader: X-User, bearer: {bearer}}}")
    with pytest.raises(StartError, match="identityHeader or bearer, not both"):
        load(file=file)
    file.write_text(f"server: {{bearer: {bearer}}}")
    assert load(file=file).server.bearer.key_file == Path("k")


@pytest.mark.parametrize(
    ("text", "local"),
    [
        ("", True),
        ("webhooks: {allowLocal: false}", False),
        ("server: {identityHeader: X-User}", False),
        ("server: {bearer: {issuer: i, audience: a, keyFile: k}}", False),
        ("{server: {identityHeader: X-User}, webhooks: {allowLocal: true}}", True),
    ],
)
def test_webhooks_are_local_where_nobody_is_asked_who_calls_unless_it_is_said(
    text: str, local: bool, tmp_path: Path
) -> None:
    file = tmp_path / "wingbeat.yaml"
    file.write_text(text)
    assert load(file=file).local_webhooks is local
