from datetime import timedelta

import pytest

pytest.importorskip("opentelemetry.sdk")
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from tests.conftest import FakeClock
from tests.deployed import DEFAULTS, DOMAINS, deploy_task, trigger
from wingbeat.loops.scheduler import Pace, Scheduler
from wingbeat.operations.firing import Firer
from wingbeat.store.database import Database
from wingbeat.telemetry import Metrics


async def test_the_creation_of_scheduled_runs_is_a_span(database: Database, clock: FakeClock) -> None:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    await deploy_task(database, triggers=[trigger("one"), trigger("two")])
    scheduler = Scheduler(
        database,
        Firer(DEFAULTS, DOMAINS),
        pace=Pace(cycle=timedelta(seconds=30), catch_up=0, rate=0, burst=0),
        steady=lambda: 0.0,
        metrics=Metrics(),
        traces=provider,
    )
    clock.forward(timedelta(minutes=1))
    await scheduler.tick()
    spans = [dict(span.attributes or {}) for span in exporter.get_finished_spans() if span.name == "fire triggers"]
    assert spans == [{"wingbeat.runs": 2, "wingbeat.triggers": 2}], "rounds with nothing to do leave none"
