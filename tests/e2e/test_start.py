"""What an operator sees when the server starts, cannot start, and stops."""

import json
import os
import sqlite3
import urllib.request
from pathlib import Path

import pytest

from tests.e2e.running import Client, Server
from tests.postgresql import free_port

pytestmark = pytest.mark.e2e


def refusal(client: Client, *options: str) -> str:
    done = client.run("wingbeat", "serve", *options, check=False)
    assert done.returncode == 1, done
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1, done.stderr
    return done.stderr


@pytest.fixture
def operator(tmp_path: Path) -> Client:
    (tmp_path / "work").mkdir()
    return Client(Server(tmp_path / "server"), tmp_path / "work")


def test_a_taken_port_is_told_in_one_line(operator: Client) -> None:
    operator.server.start()
    try:
        port = str(operator.server.port)
        assert f"cannot listen on 127.0.0.1:{port}: " in refusal(operator, "--port", port)
    finally:
        operator.server.close()


def test_a_data_directory_in_use_is_told_in_one_line(operator: Client) -> None:
    operator.server.start()
    try:
        message = refusal(operator, "--port", "0", "--data", str(operator.server.directory / "data"))
        assert operator.server.process
        assert f"is in use by process {operator.server.process.pid}" in message
    finally:
        operator.server.close()


def test_an_unreadable_database_is_told_in_one_line(operator: Client) -> None:
    operator.write("wingbeat.db", "this is no database at all" * 100)
    message = refusal(operator, "--port", "0", "--database", "sqlite:///wingbeat.db".replace("///", "///./"))
    assert "cannot be used: file is not a database" in message


def test_a_database_that_is_not_there_is_told_in_one_line_without_its_password(operator: Client) -> None:
    message = refusal(operator, "--port", "0", "--database", f"postgresql://me:hidden@127.0.0.1:{free_port()}/wingbeat")
    assert "database postgresql://me@127.0.0.1" in message
    assert "hidden" not in message


def test_a_newer_schema_is_told_in_one_line(operator: Client) -> None:
    operator.server.start()
    operator.server.stop()
    database = operator.server.directory / "data" / "wingbeat.db"
    with sqlite3.connect(database) as connection:
        connection.execute("INSERT INTO schema_migration (version, name, applied_at) VALUES (9999, 'future', '')")
    connection.close()
    message = refusal(operator, "--port", "0", "--data", str(database.parent))
    assert "the database has schema 9999, newer than" in message


def test_a_second_server_on_one_database_needs_blobs_that_both_can_read(operator: Client) -> None:
    operator.server.start()
    database = str(operator.server.directory / "data" / "wingbeat.db")
    try:
        message = refusal(operator, "--port", "0", "--database", database, "--data", "another")
        assert "a directory of blobs cannot be shared" in message
    finally:
        operator.server.stop()
    second = Server(operator.directory / "second", options=("--database", database))
    second.start()
    second.stop()


def test_a_wrong_setting_is_told_in_one_line(operator: Client) -> None:
    operator.write("wingbeat.yaml", "server: {prot: 1}")
    assert "did you mean 'server.port'?" in refusal(operator, "--config", "wingbeat.yaml")


def test_other_machines_are_let_in_only_when_it_was_said(operator: Client) -> None:
    assert "refusing to listen on 0.0.0.0" in refusal(operator, "--port", "0", "--host", "0.0.0.0")


def test_a_wrong_option_is_a_mistake_of_usage(operator: Client) -> None:
    assert operator.run("wingbeat", "serve", "--prot", "1", check=False).returncode == 2


def test_the_server_says_where_it_listens_and_how_to_reach_it_and_stops_when_told(operator: Client) -> None:
    server = operator.server
    server.start()
    variables = operator.configure()
    with urllib.request.urlopen(f"{server.url}/readyz") as ready:
        assert ready.status == 200
    printed = server.stop()
    assert f"wingbeat config --url {server.url}" in printed
    assert str(server.directory / "data" / "wingbeat.db") in printed
    assert f"endpoint: dns:///127.0.0.1:{server.port}" in operator.config.read_text()
    assert "builder: remote" in operator.config.read_text()
    assert variables["FLYTE_AWS_ENDPOINT"] == f"{server.url}/s3"
    assert "Traceback" not in server.log.read_text()


def test_a_configuration_of_another_server_is_not_overwritten(operator: Client) -> None:
    operator.server.start()
    try:
        operator.write("mine.yaml", "admin: {endpoint: dns:///elsewhere}\n")
        done = operator.run("wingbeat", "config", "--url", operator.server.url, "--file", "mine.yaml", check=False)
        assert done.returncode == 1
        assert "says something else: use --force" in done.stderr
        assert "elsewhere" in (operator.directory / "mine.yaml").read_text()
    finally:
        operator.server.close()


def test_without_a_server_the_configuration_command_says_what_to_do(operator: Client) -> None:
    done = operator.run("wingbeat", "config", "--url", f"http://127.0.0.1:{free_port()}", check=False)
    assert done.returncode == 1
    assert "start one with `wingbeat serve`" in done.stderr


def test_settings_come_from_the_environment_too(operator: Client) -> None:
    done = operator.run(
        "wingbeat", "serve", check=False, variables={"WINGBEAT_RUNS__TRIGGERSCHEDULER__EXECUTIONQPS": "many"}
    )
    assert done.returncode == 1
    assert "setting runs.triggerScheduler.executionQps" in done.stderr


def test_a_caller_is_known_by_the_header_that_the_settings_name(operator: Client) -> None:
    settings = operator.directory / operator.write("wingbeat.yaml", "server: {identityHeader: X-User}")
    server = Server(operator.directory / "known", options=("--config", str(settings)))
    server.start()
    try:
        request = urllib.request.Request(
            f"{server.url}/flyteidl2.auth.IdentityService/UserInfo",
            data=b"{}",
            headers={"content-type": "application/json", "x-user": "ada"},
        )
        with urllib.request.urlopen(request) as answer:
            assert json.load(answer)["subject"] == "ada"
    finally:
        server.close()


def test_metrics_say_what_waits(operator: Client) -> None:
    operator.server.start()
    try:
        with urllib.request.urlopen(f"{operator.server.url}/metrics") as answer:
            assert "wingbeat_overdue_triggers 0.0" in answer.read().decode()
    finally:
        operator.server.close()


def test_the_keys_of_the_storage_stay_the_same_over_a_restart(operator: Client) -> None:
    operator.server.start()
    before = operator.configure()
    operator.server.stop()
    operator.server.start()
    try:
        assert operator.configure() == before
        with urllib.request.urlopen(f"{operator.server.url}/wingbeat/config") as answer:
            assert json.load(answer)["project"] == "flytesnacks"
    finally:
        operator.server.close()


def test_nothing_but_the_data_directory_is_written(operator: Client) -> None:
    operator.server.start()
    operator.server.stop()
    assert set(os.listdir(operator.server.directory)) == {"data", "home", "server.log", "server.out"}
    assert os.listdir(operator.server.directory / "home") == []
