"""Webhooks of conditions: what is to be told, and what was. One that is told twice has the same key both times."""

import json

from wingbeat.core.action import Phase
from wingbeat.core.callback import Callback, Callbacks
from wingbeat.core.ids import AttemptId
from wingbeat.core.webhook import BACKOFF, TRIES, Letter
from wingbeat.operations.current import record
from wingbeat.store import actions, queue, tasks, webhooks
from wingbeat.store.database import Transaction
from wingbeat.store.webhooks import Delivery
from wingbeat.wire import conditions


async def letter(tx: Transaction, delivery: Delivery, callbacks: Callbacks) -> Letter | None:
    """None, and nothing is to be told any more, when the condition is over."""
    action = await actions.find(tx, delivery.condition)
    spec = await tasks.spec(tx, action.task.spec_digest) if action else None
    if action is None or action.phase.terminal or spec is None:
        await webhooks.remove(tx, delivery.condition)
        return None
    uri = callbacks.uri(Callback(action.id, action.created_at))
    url, body = conditions.webhook(spec, callback_uri=uri)
    return Letter(action.id, url, json.dumps(body).encode())


async def told(tx: Transaction, letter: Letter) -> None:
    if await webhooks.remove(tx, letter.condition):
        await _note(tx, letter, f"the webhook at {letter.host} was told")


async def failed(tx: Transaction, delivery: Delivery, letter: Letter, why: str, *, for_good: bool = False) -> None:
    """It is tried again later, unless it was tried often enough or never can be told. The history says so."""
    if for_good or delivery.attempt >= TRIES:
        if await webhooks.remove(tx, letter.condition):
            tries = "" if for_good else f" {delivery.attempt} times, the last time"
            await _note(tx, letter, f"the webhook at {letter.host} was not told:{tries} {why}")
        return
    await webhooks.retry(tx, delivery, at=tx.now + BACKOFF.delay(delivery.attempt - 1))
    if delivery.attempt == 1:
        await _note(tx, letter, f"the webhook at {letter.host} is not told yet: {why}")


async def _note(tx: Transaction, letter: Letter, message: str) -> None:
    """In the history of a condition that still waits, which is a change that whoever watches it sees."""
    await queue.find(tx, letter.condition)  # the lock
    action = await actions.find(tx, letter.condition)
    if action is None or action.phase is not Phase.PAUSED:
        return
    await record(tx, AttemptId(action.id, action.attempts), Phase.PAUSED, tx.now, message)
    await actions.save(tx, action)
