"""Start and stop, in order: what takes long or fails comes after what tells early, and stops in reverse."""

import math
from collections.abc import Callable
from contextlib import AsyncExitStack

from wingbeat import __version__, telemetry
from wingbeat.config.settings import Settings
from wingbeat.http.asgi import App
from wingbeat.http.client_configuration import ClientConfiguration
from wingbeat.http.fence import Fence
from wingbeat.http.health import Readiness, alive
from wingbeat.http.listener import Listener, bind
from wingbeat.http.metrics import Exposition
from wingbeat.http.router import Router
from wingbeat.rpc import app as rpc
from wingbeat.rpc.draining import Draining
from wingbeat.server.address import Address, address_of, check_exposure
from wingbeat.server.data_directory import open_data_directory
from wingbeat.server.storage import Storage, open_storage
from wingbeat.store.database import Database, Transaction, open_database
from wingbeat.telemetry import Metrics

Announce = Callable[[str], None]


async def serve(settings: Settings, announce: Announce) -> None:
    """Run until told to stop. Raises StartError."""
    check_exposure(settings.server)
    telemetry.configure_logging(json=settings.logging.json_lines, level=settings.logging.level)
    traces = telemetry.configure_tracing(service="wingbeat", version=__version__)
    async with AsyncExitStack() as stack:
        stack.enter_context(open_data_directory(settings.data))
        listening = stack.enter_context(bind(settings.server.host, settings.server.port))
        address = address_of(settings.server, listening)
        database = await open_database(settings.database_url)
        stack.push_async_callback(database.close)
        storage = await open_storage(settings, database, public_url=address.public_url)
        metrics = Metrics()
        draining = Draining()
        services = rpc.build(
            [], draining=draining, metrics=metrics, traces=traces, max_message_bytes=settings.limits.message
        )
        router = _router(services, settings, storage, metrics, address, database)
        listener = Listener(
            Fence(router, hosts=address.hosts, origins=settings.server.allowed_origins),
            listening,
            grace_seconds=math.ceil(settings.server.stop_grace.total_seconds()),
            on_started=lambda: announce(_banner(settings, address)),
            on_stopping=draining.begin,
        )
        await listener.serve()


def _router(
    services: rpc.RpcApp, settings: Settings, storage: Storage, metrics: Metrics, address: Address, database: Database
) -> Router:
    async def database_answers() -> None:
        await database.read(_nothing)

    parts: dict[str, App] = {
        **storage.parts,
        **dict.fromkeys(services.services, services),
        "healthz": alive,
        "readyz": Readiness({"database": database_answers}),
        "metrics": Exposition(metrics.registry),
        "wingbeat": ClientConfiguration(
            url=address.public_url,
            project=next(iter(settings.projects.seed), ""),
            domain=settings.domains[0],
            environment=storage.environment(address.public_url),
        ),
    }
    return Router(parts)


async def _nothing(tx: Transaction) -> None:
    await tx.fetchrow("SELECT 1")


def _banner(settings: Settings, address: Address) -> str:
    return "\n".join(
        (
            f"Wingbeat {__version__} listens on {address.public_url}",
            f"  database  {settings.database_url}",
            f"  blobs     {settings.blobs_uri}",
            "In another terminal, point the flyte SDK and its CLI here, and start a task:",
            f"  wingbeat config --url {address.public_url}",
            "  flyte run examples/hello.py hello --name Ada",
        )
    )
