"""Brings waiting actions to this node's executor: claims them, writes their inputs, asks for their launch.

A launch that may have been accepted is asked for again, never given to another node: the executor knows its keys.
"""

import os
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog

from wingbeat.blobs.store import Blobs
from wingbeat.core.action import ErrorKind, Failure, Phase
from wingbeat.core.launch import Launch, inputs_object, key_of
from wingbeat.core.retry import OUTSIDE_BACKOFF, jittered
from wingbeat.errors import InvalidArgument, Unavailable
from wingbeat.executors.base import Executor
from wingbeat.loops import checkpoints
from wingbeat.loops.launches import Launches
from wingbeat.loops.specs import Specs
from wingbeat.loops.statuses import EXECUTOR, Statuses
from wingbeat.operations import actions
from wingbeat.operations.actions import NO_RETRIES, Claim
from wingbeat.store import claims, queue
from wingbeat.store.changes import QUEUE
from wingbeat.store.database import Database, Transaction
from wingbeat.store.queue import Held
from wingbeat.wire.launch import BAD_SPEC, LaunchSettings, launch_of, missing_bundle
from wingbeat.wire.outcome import START_FAILED

MAX_CLAIMS = 32
"""Actions claimed in one transaction."""
RETRY_SECONDS = 1.0
HELD_SECONDS = 0.05
"""Until the next look at what may be claimed and is in the hands of another node at this moment."""

log = structlog.get_logger(__name__)


def default_slots() -> int:
    """Well above the number of cores: many actions only wait, for children of their own above all."""
    return max(8, 4 * (os.cpu_count() or 1))


@dataclass(frozen=True, slots=True)
class _Round:
    new: list[Claim]
    """What was claimed now."""
    left: list[Claim]
    """What was claimed before, perhaps by a server that died since, and may or may not have reached the executor."""
    pause: float | None
    """Seconds until there may be more to claim; None: when something changes."""


class Dispatcher:
    TOPICS = (QUEUE, EXECUTOR)
    """What changes of these wake it."""

    def __init__(
        self,
        database: Database,
        executor: Executor,
        blobs: Blobs,
        *,
        node: str,
        slots: int,
        lanes: Sequence[str] = (),
        settings: LaunchSettings,
        specs: Specs,
        statuses: Statuses,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """`slots` is how many actions the node runs at a time, `lanes` the queues it serves, none for all.

        `chance` gives random numbers in [0, 1).
        """
        self._database = database
        self._executor = executor
        self._blobs = blobs
        self._node = node
        self._slots = slots
        self._lanes = lanes
        self._settings = settings
        self._specs = specs
        self._statuses = statuses
        self._chance = chance
        self._launched: set[str] = set()
        self._launches = Launches(lambda: database.changes.publish([EXECUTOR]))
        self._replays = 0

    async def tick(self) -> float | None:
        failed = await self._launches.settle(patience=0)
        if self._replays != self._statuses.replays:
            # The executor may be another one than before: what is not running yet is asked for again.
            self._replays = self._statuses.replays
            self._launched.clear()
        found = await self._claimed()
        for claim in found.new:
            self._launches.add(key_of(claim.id), self._begin(claim))
        for claim in found.left:
            self._launches.add(key_of(claim.id), self._launch(claim))
        self._statuses.asked = self._launches.keys
        failed += await self._launches.settle()
        self._statuses.asked = self._launches.keys
        return RETRY_SECONDS if failed else found.pause

    async def stop(self) -> None:
        """Launch no more. What may have reached the executor is asked for again at the next start."""
        await self._launches.stop()

    async def _claimed(self) -> _Round:
        """Raises what claiming raises; by the next round the one that cannot be claimed holds up no other."""
        try:
            return await self._database.write(self._claim)
        except Unavailable:
            raise
        except Exception:
            await self._put_off_culprit()
            raise

    async def _put_off_culprit(self) -> None:
        """The others are this node's then, and launched by the next round."""
        for _ in range(await self._database.read(self._free)):
            try:
                await self._database.write(lambda tx: actions.claim(tx, self._node, 1, lanes=self._lanes))
            except Unavailable:
                raise
            except Exception as error:
                log.exception("an action cannot be claimed")
                await self._put_off(f"the action cannot be claimed ({type(error).__name__}): the server's log says why")
                return

    async def _put_off(self, why: str) -> None:
        await self._database.write(lambda tx: actions.put_off(tx, self._node, lanes=self._lanes, why=why))

    async def _free(self, tx: Transaction) -> int:
        return await self._free_beside(tx, await queue.held(tx, self._node))

    async def _free_beside(self, tx: Transaction, held: Sequence[Held]) -> int:
        """How many actions the node may take, of those that one transaction claims."""
        free = self._slots - len(held) + await queue.waiting_parents(tx, self._node)
        return min(max(free, 0), MAX_CLAIMS)

    async def _claim(self, tx: Transaction) -> _Round:
        held = await queue.held(tx, self._node)
        self._launched &= {key_of(item.attempt) for item in held}
        left = [
            await actions.find_claim(tx, item.attempt, item.token)
            for item in held
            if item.phase is Phase.INITIALIZING and key_of(item.attempt) not in self._launched | self._launches.keys
        ]
        limit = await self._free_beside(tx, held)
        begun = await actions.claim(tx, self._node, limit, lanes=self._lanes) if limit else []
        return _Round(begun, [*filter(None, left)], await self._pause(tx, claimed=len(begun), limit=limit))

    async def _pause(self, tx: Transaction, *, claimed: int, limit: int) -> float | None:
        if claimed == limit:
            return 0 if claimed == MAX_CLAIMS else None
        next_at = await claims.next_available_at(tx, self._lanes)
        return max((next_at - tx.now).total_seconds(), HELD_SECONDS) if next_at else None

    async def _begin(self, claim: Claim) -> None:
        """Launch what was claimed just now: if that cannot be prepared, nobody has launched it."""
        try:
            launch = await self._prepare(claim)
        except Unavailable as error:
            await self._release(claim, str(error))
        except Exception as error:
            log.exception("attempt not prepared", key=key_of(claim.id))
            await self._fail(claim, _unprepared(error))
        else:
            await self._ask(claim, launch)

    async def _launch(self, claim: Claim) -> None:
        """Raises what preparing raises: the attempt stays with this node, whose executor may have it."""
        launch = await self._prepare(claim)
        if await self._database.write(lambda tx: actions.find_claim(tx, claim.id, claim.token)):
            await self._ask(claim, launch)

    async def _ask(self, claim: Claim, launch: Launch | Failure) -> None:
        """Raises what the executor raises: then it is unknown whether the launch was accepted."""
        if isinstance(launch, Failure):
            await self._fail(claim, launch)
            return
        await self._executor.launch(launch)
        self._launched.add(launch.key)

    async def _prepare(self, claim: Claim) -> Launch | Failure:
        template = await self._specs.template(claim.action.task.spec_digest)
        if isinstance(template, Failure):
            return template
        try:
            bundle = template.code_bundle
            if bundle is not None and self._blobs.owns(bundle) and not await self._blobs.exists(bundle):
                return missing_bundle(bundle)
            checkpoint = await checkpoints.latest(self._blobs, claim.run, claim.id)
            launch = launch_of(template, claim.action, claim.run, claim.attempt, self._settings, checkpoint=checkpoint)
            if claim.action.parent is None and claim.run.inputs is not None:
                await self._blobs.put(inputs_object(claim.run.input_uri), claim.run.inputs)
        except InvalidArgument as error:
            return Failure(BAD_SPEC, ErrorKind.USER, str(error))
        return launch

    async def _fail(self, claim: Claim, failure: Failure) -> None:
        async def body(tx: Transaction) -> None:
            await actions.finished(tx, claim.id, claim.token, failure, retries=NO_RETRIES, chance=self._chance())

        await self._database.write(body)

    async def _release(self, claim: Claim, why: str) -> None:
        # Each claim has a token of its own: those beyond one per attempt were released.
        releases = max(claim.token - claim.id.number, 0)
        delay = jittered(OUTSIDE_BACKOFF.delay(releases), self._chance())
        log.warning("attempt released", key=key_of(claim.id), why=why, seconds=delay.total_seconds())

        async def body(tx: Transaction) -> None:
            await actions.release(tx, claim.id, claim.token, at=tx.now + delay, why=why)

        await self._database.write(body)


def _unprepared(error: Exception) -> Failure:
    """A fault of ours: the action is tried again as after others that are nobody's fault, and fails in the end."""
    message = f"the attempt could not be prepared ({type(error).__name__}): the server's log says why"
    return Failure(START_FAILED, ErrorKind.SYSTEM, message, retryable=True)
