"""Fires that this process carries out stay its own while it is alive: their leases are renewed together."""

import asyncio
import logging

from wingbeat.clock import Clock
from wingbeat.compose.firing.claimants import Claimant
from wingbeat.errors import WingbeatError
from wingbeat.store.compose import ticks
from wingbeat.store.compose.connection import File
from wingbeat.store.compose.transaction import Transaction

_log = logging.getLogger("wingbeat.compose.trigger")


class Leases:
    def __init__(self, file: File, by: Claimant, clock: Clock) -> None:
        self._file = file
        self._by = by
        self._clock = clock
        self._held = by.held
        self._renewal: asyncio.Task[None] | None = None

    def hold(self, event_id: str) -> None:
        self._held.add(event_id)
        if self._renewal is None or self._renewal.done() or self._renewal.get_loop().is_closed():
            self._renewal = asyncio.get_running_loop().create_task(self._keep())

    def drop(self, event_id: str) -> None:
        self._held.discard(event_id)
        if not self._held and self._renewal is not None:
            self._renewal.cancel()
            self._renewal = None

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(self._by.lease.total_seconds() / 3)
            try:
                await self._file.awrite(self._renew)
            except WingbeatError as error:
                _log.warning("leases of fires could not be renewed, which is tried again: %s", error)

    def _renew(self, tx: Transaction) -> None:
        ticks.renew(tx, self._held.copy(), owner=self._by.owner, lease_until=self._by.until(self._clock()))
