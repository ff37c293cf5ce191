"""Runs as callers: their tokens are good while they go on. One look at the database does for many calls."""

from collections import OrderedDict
from datetime import datetime, timedelta

from wingbeat.clock import Clock
from wingbeat.errors import Unauthenticated
from wingbeat.operations.run_callers import may_call
from wingbeat.rpc.run_tokens import Claim, RunTokens, subject_of
from wingbeat.store.database import Database

ASK_AGAIN = timedelta(seconds=30)
"""How long a run that went on is believed to go on."""
REMEMBERED = 4096


class RunCallers:
    def __init__(self, database: Database, tokens: RunTokens, clock: Clock) -> None:
        self._database = database
        self._tokens = tokens
        self._clock = clock
        self._going: OrderedDict[Claim, datetime] = OrderedDict()

    async def subject(self, token: str) -> str:
        """Raises Unauthenticated, also when the run is over."""
        claim = self._tokens.read(token)
        until = self._going.get(claim)
        if until is None or until <= self._clock():
            await self._ask(claim)
        return subject_of(claim.run)

    async def _ask(self, claim: Claim) -> None:
        run = claim.run
        if not await self._database.read(lambda tx: may_call(tx, run, issued_at=claim.issued_at)):
            self._going.pop(claim, None)
            raise Unauthenticated(f"bearer token of a run: run {run.name!r} is over in {run.project}/{run.domain}")
        self._going[claim] = self._clock() + ASK_AGAIN
        self._going.move_to_end(claim)
        if len(self._going) > REMEMBERED:
            self._going.popitem(last=False)
