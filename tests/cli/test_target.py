import asyncio
from pathlib import Path

import pytest

from tests.cli.terminal import type_in
from tests.listening import listening
from tests.postgresql import free_port
from wingbeat.cli import target
from wingbeat.cli.config import sdk_configuration
from wingbeat.cli.target import Target, find_target
from wingbeat.errors import InvalidArgument, Unavailable
from wingbeat.http.client_configuration import ClientConfiguration


def found(url: str | None = None, project: str | None = None, domain: str | None = None) -> Target:
    return find_target(url=url, project=project, domain=domain)


def configured(path: Path, url: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(sdk_configuration(url, project="birds", domain="production"))


@pytest.mark.parametrize("url", ["http://10.0.0.1:8090", "https://wingbeat.example"])
def test_the_file_that_the_config_command_writes_is_enough(desk: Path, url: str) -> None:
    configured(desk / ".flyte" / "config.yaml", url)
    assert found() == Target(url, "birds", "production")


@pytest.mark.parametrize("url", ["https://wingbeat.example", "http://127.0.0.1:80", "http://localhost", "http://[::1]"])
def test_a_token_is_sent_where_nobody_else_reads_it(desk: Path, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("WINGBEAT_TOKEN", "t")
    assert found(url, "p", "d").token == "t"


@pytest.mark.parametrize("url", ["http://wingbeat.example", "http://10.0.0.1:80", "http://localhost.example.org"])
def test_over_plain_http_a_token_is_sent_only_to_who_says_so(
    desk: Path, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    assert found(url, "p", "d").token is None
    monkeypatch.setenv("WINGBEAT_TOKEN", "t")
    with pytest.raises(InvalidArgument, match=f"WINGBEAT_TOKEN is not sent to {url}: .* WINGBEAT_TOKEN_IN_CLEAR=1"):
        found(url, "p", "d")
    monkeypatch.setenv("WINGBEAT_TOKEN_IN_CLEAR", "1")
    assert found(url, "p", "d").token == "t"


def test_an_option_wins_over_the_file(desk: Path) -> None:
    configured(desk / ".flyte" / "config.yaml", "http://10.0.0.1:8090")
    assert found("http://a:1/", "fish", "development") == Target("http://a:1", "fish", "development")
    assert found(domain="development") == Target("http://10.0.0.1:8090", "birds", "development")


def test_the_environment_stands_for_an_option(desk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    configured(desk / ".flyte" / "config.yaml", "http://10.0.0.1:8090")
    monkeypatch.setenv("WINGBEAT_URL", f"http://127.0.0.1:{free_port()}")
    assert "no Wingbeat server answers at http://127.0.0.1" in type_in("run", "list").complaint


def test_the_file_is_found_where_the_sdk_finds_it(desk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The nearer place wins."""
    places = [
        tmp_path / "home" / ".flyte" / "config.yaml",
        tmp_path / "named.yaml",
        desk / ".flyte" / "config.yaml",
        desk / "below" / ".flyte" / "config.yaml",
        desk / "below" / "config.yaml",
    ]
    (desk / ".git").mkdir()
    (desk / "below").mkdir()
    monkeypatch.chdir(desk / "below")
    monkeypatch.setenv("FLYTECTL_CONFIG", str(tmp_path / "named.yaml"))
    for number, place in enumerate(places, start=1):
        configured(place, f"http://10.0.0.{number}:80")
        assert found().url == f"http://10.0.0.{number}:80"


async def test_the_server_says_what_nobody_else_says(desk: Path) -> None:
    known = ClientConfiguration(url="", project="fish", domain="staging", environment={})
    async with listening(known) as address:
        assert await asyncio.to_thread(found, address.url) == Target(address.url, "fish", "staging")
        assert (await asyncio.to_thread(found, address.url, "birds")).project == "birds"


def test_where_nobody_says_anything_the_server_of_this_machine_is_meant(
    desk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ask(url: str) -> dict[str, str]:
        return {"project": "p", "domain": "d", "url": url}

    monkeypatch.setattr(target, "ask", ask)
    assert found() == Target("http://127.0.0.1:8080", "p", "d")


@pytest.mark.parametrize("text", ["", "- a list", "admin: words", "admin: {insecure: true}"])
def test_a_file_that_says_nothing_of_the_server_changes_nothing(desk: Path, text: str) -> None:
    (desk / "config.yaml").write_text(text)
    assert found(project="p", domain="d") == Target("http://127.0.0.1:8080", "p", "d")


def test_a_file_that_is_no_yaml_is_named(desk: Path) -> None:
    (desk / "config.yaml").write_text("{")
    with pytest.raises(InvalidArgument, match="the SDK") as refused:
        found()
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("url", ["127.0.0.1:8080", "ftp://a", "http://[::1", "http://", "http://a:99999"])
def test_what_is_no_url_is_refused(desk: Path, url: str) -> None:
    with pytest.raises(InvalidArgument, match="is no URL of a server, such as http"):
        found(url, "p", "d")


def test_without_a_server_it_is_said_what_to_do(desk: Path) -> None:
    with pytest.raises(Unavailable, match="start one with `wingbeat serve`, or name another with --url"):
        found(f"http://127.0.0.1:{free_port()}")
    complaint = type_in(
        "run", "list", "--url", f"http://127.0.0.1:{free_port()}", "--project", "p", "--domain", "d"
    ).complaint
    assert "start one with `wingbeat serve`, or name another with --url" in complaint
