"""Whether what was just done to the ledger and to triggers could be done, by whoever did it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tests.simulation import witness
from tests.simulation.auditor import check
from tests.simulation.backfilling import judge as judge_backfill
from tests.simulation.model import History, Pause
from wingbeat.core.policy import CatchUp, Overlap, Policies
from wingbeat.store.database import Row

if TYPE_CHECKING:
    from tests.simulation.simulation import Simulation

ONE_AT_A_TIME = (Overlap.SKIP, Overlap.BUFFER_ONE, Overlap.BUFFER_ALL, Overlap.CANCEL_OTHER)


async def judge(world: "Simulation", rows: Sequence[Row], by_change: History | None) -> None:
    """`by_change`: somebody has just changed this trigger; otherwise programs did all of it. Raises Violation."""
    by_id = world.by_id()
    unattended = {
        row["trigger_id"]
        for row in rows
        if row["kind"] == "revision" and row["revision"] > by_id[row["trigger_id"]].current.revision
    }
    fired: list[History] = []
    for row in rows:
        history = by_id[row["trigger_id"]]
        match row["kind"]:
            case "revision":
                _judge_revision(world, history, row)
            case "backfill":
                check(by_change is None, f"{history.name.name} was backfilled by a change")
                judge_backfill(world, history, row)
            case "schedule" if row["outcome"] == "fired":
                check(by_change is None, f"{history.name.name} fired by a change")
                _judge_fire(world, history)
                fired.append(history)
            case "schedule":
                stopped = history is by_change or history.id in unattended
                _judge_unfired(world, history, row, stopped=stopped)
            case _:
                pass
    if fired:
        await _judge_lines(world, fired)


def _judge_revision(world: "Simulation", history: History, row: Row) -> None:
    """Those that owners made are known. Programs pause what fails, and resume what was paused for a while."""
    if row["revision"] <= history.current.revision:
        return
    name, most = history.name.name, history.current.policies.pause_after_failures
    if row["outcome"] == "DEACTIVATE":
        check(
            most is not None and history.failures_in_a_row >= most,
            f"{name} is paused though too few runs have failed",
            history.failures_in_a_row,
            most,
        )
    else:
        held = history.held
        check(row["outcome"] == "ACTIVATE", f"{name} is changed by nobody", row["outcome"])
        over = held is not None and held.until is not None and held.until <= world.clock.now
        check(over, f"{name} is resumed, but its pause is not over", held)
    world.end_era(history, active=row["outcome"] == "ACTIVATE")
    check(row["revision"] == history.current.revision, f"{name} has a revision too many", row["revision"])
    if not history.active:
        history.paused = Pause(history.current.revision, None)


def _judge_fire(world: "Simulation", history: History) -> None:
    name = history.name.name
    check(history.active, f"{name} fired though it is not active")
    check(history.id not in world.poisoned, f"{name} fired though it cannot")
    check(history.name.project not in world.archived, f"{name} fired in an archived project")


def _judge_unfired(world: "Simulation", history: History, row: Row, *, stopped: bool) -> None:
    name, reason = history.name.name, row["reason"]
    if "archived" in reason:
        check(history.name.project in world.archived, f"{name} missed a slot of an active project")
    elif "before it could fire" in reason:
        check(stopped, f"{name} missed a slot, but nobody stopped it")
    else:
        said = (history.current.policies, history.era(row["revision"]).policies)
        check(any(_says(policies, reason) for policies in said), f"{name} says why not", reason)


async def _judge_lines(world: "Simulation", fired: Sequence[History]) -> None:
    """No run ends while a program goes on, so what its fires have made too many is still there to see."""
    working = await world.database.read(witness.working)
    limits: dict[str, int] = {}
    for history in fired:
        policies, running = history.current.policies, working.by_trigger[history.id]
        alone = policies.overlap not in ONE_AT_A_TIME or running <= 1
        check(alone, f"{history.name.name} fired though a run of it was not over", policies.overlap, running)
        if policies.concurrency_limit is not None:
            group = working.groups[history.id]
            limits[group] = max(limits.get(group, 0), policies.concurrency_limit)
    for group, limit in limits.items():
        check(working.by_group[group] <= limit, f"too many runs of {group}", working.by_group[group], limit)


def _says(policies: Policies, reason: str) -> bool:
    """Whether it is a reason for a slot to come to nothing under these policies."""
    reasons = {
        "outside the catch-up window": policies.catch_up_window is not None,
        "late, and not to be caught up": policies.catch_up is CatchUp.NONE,
        "superseded by a later slot": policies.catch_up is CatchUp.LATEST or policies.overlap is Overlap.CANCEL_OTHER,
        "the run before it was not over": policies.overlap is Overlap.SKIP,
        "another slot waited already for the run before it to end": policies.overlap is Overlap.BUFFER_ONE,
        f"max-runs {policies.max_runs} is reached": policies.max_runs is not None,
    }
    return reasons.get(reason, False)
