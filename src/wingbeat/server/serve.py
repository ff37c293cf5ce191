"""Start and stop, in order: what tells a mistake early comes before what takes long, and all of it stops in reverse."""

import math
import secrets
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AsyncExitStack

from opentelemetry.trace import TracerProvider

from wingbeat import __version__, telemetry
from wingbeat.config.settings import Retention, Settings, TriggerScheduler
from wingbeat.core import callback
from wingbeat.core.callback import Callbacks
from wingbeat.core.project import Domains
from wingbeat.errors import InvalidArgument, StartError
from wingbeat.http.asgi import App
from wingbeat.http.callbacks import CallbackEdge
from wingbeat.http.client_configuration import ClientConfiguration
from wingbeat.http.fence import Fence
from wingbeat.http.health import Readiness, alive
from wingbeat.http.listener import Listener, bind
from wingbeat.http.metrics import Exposition
from wingbeat.http.outgoing import Outgoing
from wingbeat.http.router import Router
from wingbeat.http.token_path import SEGMENT, TokenPath
from wingbeat.loops import upload_sweeper
from wingbeat.loops.backfiller import Backfiller
from wingbeat.loops.notifier import Notifier
from wingbeat.loops.pruner import REST_SECONDS, Pruner
from wingbeat.loops.resumer import Resumer
from wingbeat.loops.run_pruner import RunPruner
from wingbeat.loops.scheduler import Pace, Scheduler
from wingbeat.loops.surveyor import Surveyor
from wingbeat.loops.upload_sweeper import UploadSweeper
from wingbeat.operations import projects, retention
from wingbeat.operations.firing import Firer
from wingbeat.operations.planning import RunDefaults
from wingbeat.rpc import app as rpc
from wingbeat.rpc.draining import Draining
from wingbeat.server.address import Address, address_of, check_exposure
from wingbeat.server.authentication import authentication
from wingbeat.server.data_directory import open_data_directory
from wingbeat.server.garbage import leave_what_is_loaded
from wingbeat.server.keeping import Loop, kept_going
from wingbeat.server.node import running_node
from wingbeat.server.services import services
from wingbeat.server.storage import Storage, open_storage
from wingbeat.store import keyring
from wingbeat.store.changes import SCHEDULE
from wingbeat.store.database import Database, Transaction, open_database, without_password
from wingbeat.telemetry import Metrics, TelemetryError

Announce = Callable[[str], None]


async def serve(settings: Settings, announce: Announce) -> None:
    """Run until told to stop. Raises StartError."""
    check_exposure(settings.server)
    traces = _configure_telemetry(settings)
    async with AsyncExitStack() as stack:
        data = stack.enter_context(open_data_directory(settings.data))
        listening = stack.enter_context(bind(settings.server.host, settings.server.port))
        address = address_of(settings.server, listening)
        database = await open_database(settings.database_url)
        stack.push_async_callback(database.close)
        await _seed(database, settings)
        storage = await open_storage(settings, database, public_url=address.public_url)
        callers = await authentication(settings.server, database)
        callbacks = await _callbacks(database, address)
        metrics, draining = Metrics(), Draining()
        node = await stack.enter_async_context(running_node(settings, data, database, storage, address, callers))
        firer = Firer(_run_defaults(storage, settings.domains), Domains.of(settings.domains))
        api = rpc.build(
            services(settings, database, storage, node, firer, identify=callers.identify),
            draining=draining,
            metrics=metrics,
            traces=traces,
            interceptors=callers.interceptors,
            admit=callers.admit,
            max_message_bytes=settings.limits.message,
        )
        listener = Listener(
            Fence(
                _router(api, settings, storage, metrics, address, database, callbacks),
                hosts=address.hosts,
                origins=settings.server.allowed_origins,
            ),
            listening,
            grace_seconds=math.ceil(settings.server.stop_grace.total_seconds()),
            on_started=lambda: announce(_banner(settings, address)),
            on_stopping=draining.begin,
        )
        loops = [
            *node.loops,
            *_scheduler(settings.runs.trigger_scheduler, database, firer, metrics, traces, node=node.id),
            _notifier(settings, database, callbacks),
            Loop("resumer", Resumer(database).tick, Resumer.TOPICS),
            Loop("surveyor", Surveyor(database, metrics).tick),
            *_pruners(settings.runs.retention, database, storage, node.id, metrics),
            Loop("backfiller", Backfiller(database, firer, metrics).tick, Backfiller.TOPICS),
        ]
        leave_what_is_loaded()
        async with kept_going(loops, database.changes):
            await listener.serve()
        going_on = await node.leave()
        if going_on:
            announce(f"Stopped. {going_on} running actions go on; the next start takes them back.")


def _configure_telemetry(settings: Settings) -> TracerProvider | None:
    try:
        telemetry.configure_logging(json=settings.logging.json_lines, level=settings.logging.level)
        return telemetry.configure_tracing(service="wingbeat", version=__version__)
    except TelemetryError as error:
        raise StartError(str(error)) from error


async def _seed(database: Database, settings: Settings) -> None:
    try:
        await database.write(lambda tx: projects.seed(tx, settings.projects.seed))
    except InvalidArgument as error:
        raise StartError(f"setting projects.seed: {error}") from error


def _run_defaults(storage: Storage, domains: Iterable[str]) -> RunDefaults:
    base = storage.blobs.base_uri
    return RunDefaults(base=f"{base}/runs", allowed_bases=(base,), domains=frozenset(domains))


def _scheduler(
    settings: TriggerScheduler,
    database: Database,
    firer: Firer,
    metrics: Metrics,
    traces: TracerProvider | None,
    *,
    node: str,
) -> list[Loop]:
    if not settings.enabled:
        return []
    pace = Pace(
        cycle=settings.resync_interval,
        catch_up=settings.max_catchup_runs_per_loop,
        rate=settings.execution_qps,
        burst=settings.execution_burst,
    )
    scheduler = Scheduler(database, firer, pace=pace, steady=time.monotonic, metrics=metrics, traces=traces, node=node)
    return [Loop("scheduler", scheduler.tick, (SCHEDULE,), settings.resync_interval.total_seconds())]


def _pruners(settings: Retention, database: Database, storage: Storage, node: str, metrics: Metrics) -> Sequence[Loop]:
    rules = retention.rules(
        ledger=settings.ledger, revisions=settings.revisions, events=settings.events, cache=settings.cache
    )
    sweep = storage.blobs.directory.sweep if storage.blobs.directory else None
    pruner = Pruner(database, rules, node=node, metrics=metrics, sweep=sweep)
    runs = RunPruner(database, storage.blobs, age=settings.runs, node=node, metrics=metrics)
    loops = [
        Loop("pruner", pruner.tick, idle_seconds=REST_SECONDS),
        Loop("run pruner", runs.tick, RunPruner.TOPICS, idle_seconds=REST_SECONDS),
    ]
    if settings.uploads is not None:
        sweeper = UploadSweeper(database, storage.blobs, age=settings.uploads, node=node, metrics=metrics)
        loops.append(Loop("upload sweeper", sweeper.tick, idle_seconds=upload_sweeper.REST_SECONDS))
    return loops


async def _callbacks(database: Database, address: Address) -> Callbacks:
    candidate = secrets.token_bytes(32)
    secret = await database.write(lambda tx: keyring.secret(tx, "callbacks.signing", candidate))
    return Callbacks(address.public_url, secret)


def _notifier(settings: Settings, database: Database, callbacks: Callbacks) -> Loop:
    outgoing = Outgoing(local=settings.local_webhooks)
    notifier = Notifier(database, outgoing.post, callbacks, hosts=settings.webhooks.hosts)
    return Loop("notifier", notifier.tick, Notifier.TOPICS)


def _router(
    services: rpc.RpcApp,
    settings: Settings,
    storage: Storage,
    metrics: Metrics,
    address: Address,
    database: Database,
    callbacks: Callbacks,
) -> Router:
    async def database_answers() -> None:
        await database.read(_nothing)

    rpcs = dict[str, App].fromkeys(services.services, services)
    parts: dict[str, App] = {
        **storage.parts,
        **rpcs,
        callback.SEGMENT: CallbackEdge(database, callbacks),
        "healthz": alive,
        "readyz": Readiness({"database": database_answers}),
        "metrics": Exposition(metrics.registry),
        "wingbeat": ClientConfiguration(
            url=address.public_url,
            project=next(iter(settings.projects.seed), ""),
            domain=settings.domains[0],
            # The storage's keys are for callers who are known, and this page asks nobody.
            environment={} if settings.server.bearer.required else storage.environment(address.public_url),
        ),
    }
    return Router({**parts, SEGMENT: TokenPath(Router(rpcs))})


async def _nothing(tx: Transaction) -> None:
    await tx.fetchrow("SELECT 1")


def _banner(settings: Settings, address: Address) -> str:
    return "\n".join(
        (
            f"Wingbeat {__version__} listens on {address.public_url}",
            f"  database  {without_password(settings.database_url)}",
            f"  blobs     {settings.blobs_uri}",
            "In another terminal, point the flyte SDK and its CLI here, and start a task:",
            f"  wingbeat config --url {address.public_url}",
            "  flyte run examples/hello.py hello --name Ada",
        )
    )
