"""Metrics, logs and traces: named once here, passed down to whoever counts, writes or measures."""

import logging
import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

if TYPE_CHECKING:
    from opentelemetry.trace import TracerProvider

RPC_SECONDS_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class TelemetryError(Exception):
    """What is configured cannot be had; one line says why and what to do."""


FIRE_LAG_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30, 60, 600, 3600, 86400)


@dataclass(frozen=True, slots=True)
class Named:
    """What is measured, before anybody has measured anything."""

    name: str
    meaning: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()

    def counter(self, registry: CollectorRegistry) -> Counter:
        return Counter(self.name, self.meaning, self.labels, registry=registry)

    def gauge(self, registry: CollectorRegistry) -> Gauge:
        return Gauge(self.name, self.meaning, self.labels, registry=registry)

    def histogram(self, registry: CollectorRegistry) -> Histogram:
        return Histogram(self.name, self.meaning, self.labels, registry=registry, buckets=self.buckets)


COUNTERS = {
    "rpc_calls": Named("wingbeat_rpc_calls", "RPCs that ended, streams included.", ("service", "method", "code")),
    "fires": Named(
        "wingbeat_fires",
        "Slots of triggers that this server decided, those of backfills too: fired, skipped or missed, and why not.",
        ("outcome", "cause"),
    ),
    "pruned": Named(
        "wingbeat_pruned",
        "What was removed because of its age: rows, runs, blobs of runs, uploads, abandoned multipart uploads.",
        ("what",),
    ),
}
HISTOGRAMS = {
    "rpc_seconds": Named(
        "wingbeat_rpc_seconds",
        "How long unary RPCs took, in seconds.",
        ("service", "method", "code"),
        buckets=RPC_SECONDS_BUCKETS,
    ),
    "fire_lag_seconds": Named(
        "wingbeat_fire_lag_seconds",
        "How long after its slot a run was created, in seconds.",
        buckets=FIRE_LAG_BUCKETS,
    ),
}
GAUGES = {
    "rpc_streams": Named("wingbeat_rpc_streams", "Server streams that are open now.", ("service", "method")),
    "overdue_triggers": Named(
        "wingbeat_overdue_triggers", "Triggers whose slot is due and that no scheduler has decided about yet."
    ),
    "oldest_undecided_slot_seconds": Named(
        "wingbeat_oldest_undecided_slot_seconds", "How long ago the longest overdue slot was due; 0 when none is."
    ),
    "failing_triggers": Named("wingbeat_failing_triggers", "Triggers whose last decision failed and is tried again."),
    "backlogs": Named(
        "wingbeat_backlogs",
        "Ranges of slots that are owed: `late` ones are caught up, `waiting` ones wait for the end of a run.",
        ("lane",),
    ),
    "backfills": Named("wingbeat_backfills", "Backfills that start runs."),
    "runs_to_clear": Named(
        "wingbeat_runs_to_clear",
        "Runs that are pruned, by age or by hand, and whose rows and files are still there; at most 10000 are counted.",
    ),
    "queued_actions": Named(
        "wingbeat_queued_actions",
        "Actions that wait for a node, by the queue that their run asked for; those of the 51st and later are `other`.",
        ("lane",),
    ),
}


@dataclass(frozen=True, slots=True)
class Metrics:
    """Every metric of one server, in a registry of its own: two servers in one process do not mix."""

    registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    rpc_calls: Counter = field(init=False)
    rpc_seconds: Histogram = field(init=False)
    rpc_streams: Gauge = field(init=False)
    fires: Counter = field(init=False)
    fire_lag_seconds: Histogram = field(init=False)
    pruned: Counter = field(init=False)
    overdue_triggers: Gauge = field(init=False)
    oldest_undecided_slot_seconds: Gauge = field(init=False)
    failing_triggers: Gauge = field(init=False)
    backlogs: Gauge = field(init=False)
    backfills: Gauge = field(init=False)
    runs_to_clear: Gauge = field(init=False)
    queued_actions: Gauge = field(init=False)

    def __post_init__(self) -> None:
        built = {
            **{name: named.counter(self.registry) for name, named in COUNTERS.items()},
            **{name: named.histogram(self.registry) for name, named in HISTOGRAMS.items()},
            **{name: named.gauge(self.registry) for name, named in GAUGES.items()},
        }
        for name, metric in built.items():
            object.__setattr__(self, name, metric)
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)

    def count_fires(self, fired: int, unfired: Iterable[tuple[tuple[str, str], int]]) -> None:
        """Slots that were decided; `unfired` by outcome and cause."""
        self.fires.labels("fired", "").inc(fired)
        for (outcome, cause), number in unfired:
            self.fires.labels(outcome, cause).inc(number)


def configure_logging(*, json: bool, level: str) -> None:
    """Send structlog's and the standard library's records to stderr in one form: JSON lines, or text for people.

    `level` is a standard name such as "INFO"; anything else raises TelemetryError.
    """
    number = logging.getLevelNamesMapping().get(level.upper())
    if number is None:
        raise TelemetryError(f"log level {level!r} is unknown: use DEBUG, INFO, WARNING or ERROR")
    render: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if json
        else structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), pad_event_to=0, exception_formatter=structlog.dev.plain_traceback
        )
    )
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if json:
        shared.append(structlog.processors.dict_tracebacks)
    structlog.configure(
        processors=[*shared, render],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    _send_standard_records(shared, render, number)


def _send_standard_records(
    shared: list[structlog.typing.Processor], render: structlog.typing.Processor, level: int
) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, render],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)


def configure_tracing(*, service: str, version: str) -> "TracerProvider | None":
    """The provider of traces that the OTEL_* environment asks for, or None when it asks for none.

    Raises TelemetryError when traces are asked for and the `otel` extra is not installed.
    """
    if not _traces_wanted():
        return None
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise TelemetryError(
            "OTEL_* variables ask for traces, but their exporter is not installed: pip install 'wingbeat[otel]'"
        ) from error
    name = os.environ.get("OTEL_SERVICE_NAME", service)
    provider = TracerProvider(resource=Resource.create({"service.name": name, "service.version": version}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider


def _traces_wanted() -> bool:
    exporter = os.environ.get("OTEL_TRACES_EXPORTER", "")
    if exporter == "none" or os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return False
    endpoints = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
    return bool(exporter) or any(os.environ.get(name) for name in endpoints)
