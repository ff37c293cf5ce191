"""Logs in one form, metrics in a registry of their own, traces when they are asked for."""

import json
import logging
import sys
from typing import Any

import pytest
import structlog

from wingbeat.telemetry import Metrics, TelemetryError, configure_logging, configure_tracing


@pytest.fixture(autouse=True)
def _no_otel(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_TRACES_EXPORTER"):
        monkeypatch.delenv(name, raising=False)


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_both_kinds_of_loggers_write_the_same_json(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(json=True, level="info")
    structlog.get_logger("ours").info("run started", run="r1")
    logging.getLogger("theirs").warning("port %d", 80)
    ours, theirs = lines(capsys)
    assert (ours["event"], ours["run"], ours["level"]) == ("run started", "r1", "info")
    assert (theirs["event"], theirs["level"], theirs["logger"]) == ("port 80", "warning", "theirs")
    assert ours.keys() & theirs.keys() >= {"event", "level", "timestamp"}


def test_an_exception_is_one_json_line(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(json=True, level="INFO")
    for logger in (structlog.get_logger("ours"), logging.getLogger("theirs")):
        try:
            raise ValueError("boom")
        except ValueError:
            logger.exception("failed")
    for line in lines(capsys):
        assert line["exception"][0]["exc_value"] == "boom"


def test_what_is_below_the_level_is_not_written(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(json=True, level="warning")
    structlog.get_logger().info("quiet")
    logging.getLogger().info("quiet")
    assert lines(capsys) == []


def test_text_is_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(json=False, level="INFO")
    structlog.get_logger().info("run started", run="r1")
    logging.getLogger().info("port 80")
    ours, theirs = capsys.readouterr().err.splitlines()
    assert "run started run=r1" in ours
    assert "port 80" in theirs


def test_an_unknown_level_is_refused() -> None:
    with pytest.raises(TelemetryError, match="log level 'loud' is unknown"):
        configure_logging(json=True, level="loud")


def test_two_servers_do_not_share_counters() -> None:
    first, second = Metrics(), Metrics()
    labels = {"service": "S", "method": "M", "code": "ok"}
    first.rpc_calls.labels(**labels).inc()
    assert first.registry.get_sample_value("wingbeat_rpc_calls_total", labels) == 1
    assert second.registry.get_sample_value("wingbeat_rpc_calls_total", labels) is None


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4318"},
        {"OTEL_SDK_DISABLED": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4318"},
    ],
    ids=["nothing set", "exporter none", "disabled"],
)
def test_no_traces_are_made_unless_asked_for(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert configure_tracing(service="wingbeat", version="1") is None


def test_traces_are_made_when_an_endpoint_is_configured(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("opentelemetry.sdk")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:4318")
    assert configure_tracing(service="wingbeat", version="1") is not None


def test_traces_that_cannot_be_exported_stop_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:4318")
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(TelemetryError, match=r"pip install 'wingbeat\[otel\]'"):
        configure_tracing(service="wingbeat", version="1")
