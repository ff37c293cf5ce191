"""A served RunService with a run whose actions tests move about, for tests of its streams."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import TypeVar

from flyteidl2.common import identifier_pb2
from flyteidl2.workflow.run_service_connect import RunServiceClient

from tests.listening import listening
from tests.planting import DEFAULTS, DOMAINS, TASK, plant, spec
from wingbeat.core.action import Action, ActionType, Phase
from wingbeat.core.ids import ROOT_ACTION, ActionId, RunId, Scope
from wingbeat.operations import runs
from wingbeat.operations.runs import RunRequest
from wingbeat.rpc.app import build
from wingbeat.rpc.draining import Draining
from wingbeat.rpc.run_service.service import Runs
from wingbeat.store import actions
from wingbeat.store.database import Database, Transaction
from wingbeat.telemetry import Metrics

T = TypeVar("T")

RUN = RunId("birds", "development", "r1")
RUN_ID = identifier_pb2.RunIdentifier(project=RUN.project, domain=RUN.domain, name=RUN.name)
PATIENCE_SECONDS = 10


@dataclass(frozen=True)
class Watched:
    database: Database
    client: RunServiceClient

    async def start(self, name: str = RUN.name) -> None:
        request = RunRequest(scope=Scope(RUN.project, RUN.domain), wanted=TASK, name=name)
        await self.database.write(
            lambda tx: runs.create(tx, request, defaults=DEFAULTS, domains=DOMAINS, fresh_name="x")
        )

    async def add(self, *names: str, parent: str = ROOT_ACTION) -> None:
        """Actions below `parent`."""

        async def body(tx: Transaction) -> None:
            above = await self._find(tx, ROOT_ACTION)
            await actions.insert(tx, [_child(tx, above, name, parent) for name in names])

        await self.database.write(body)

    async def move(self, phase: Phase, *names: str, run: RunId = RUN) -> None:
        async def body(tx: Transaction) -> None:
            for name in names:
                action = await self._find(tx, name, run)
                await actions.save(tx, replace(action, phase=phase, ended_at=tx.now if phase.terminal else None))

        await self.database.write(body)

    async def _find(self, tx: Transaction, name: str, run: RunId = RUN) -> Action:
        found = await actions.find(tx, ActionId(run, name))
        assert found is not None
        return found


def _child(tx: Transaction, above: Action, name: str, parent: str) -> Action:
    return replace(
        above,
        id=ActionId(RUN, name),
        parent=parent,
        type=ActionType.TASK,
        phase=Phase.QUEUED,
        task=replace(above.task, short_name=f"fly_{name}"),
        created_at=tx.now,
        updated_at=tx.now,
        version=1,
    )


@asynccontextmanager
async def watched(database: Database) -> AsyncGenerator[Watched]:
    await plant(database, spec())
    draining = Draining()
    app = build([Runs(database, DOMAINS, DEFAULTS)], draining=draining, metrics=Metrics())
    async with listening(app, on_stopping=draining.begin) as address, RunServiceClient(address.url) as client:
        yield Watched(database, client)


async def take(stream: AsyncIterator[T]) -> T:
    return await asyncio.wait_for(anext(stream), PATIENCE_SECONDS)
