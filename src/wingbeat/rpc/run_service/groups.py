"""The runs of a project, counted by task: all groups once, then those that change."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from flyteidl2.common import list_pb2
from flyteidl2.workflow import run_service_pb2 as pb

from wingbeat.core.ids import Scope
from wingbeat.core.task_group import TaskGroup, TaskGroups, Window
from wingbeat.errors import InvalidArgument
from wingbeat.rpc.run_service.all_runs import AllRuns, RunsFollower
from wingbeat.store import task_groups as store
from wingbeat.store.database import Database, Transaction
from wingbeat.store.run_changes import RunChange
from wingbeat.wire import task_groups as wire
from wingbeat.wire import times

UPDATE_SECONDS = 0.5
"""Between two messages of a stream: counts of busy tasks change all the time."""
MAX_GROUPS = 100
"""In one message."""

_SORTED_BY: dict[str, Callable[[TaskGroup], Any]] = {
    "created_at": lambda group: (group.latest_run_at, group.task),
    "latest_run_time": lambda group: (group.latest_run_at, group.task),
    "task_name": lambda group: group.task,
    "total_runs": lambda group: (group.total, group.task),
}
_DEFAULT = list_pb2.Sort(key="created_at", direction=list_pb2.Sort.DESCENDING)


@dataclass(frozen=True, slots=True)
class GroupsWanted:
    window: Window
    sort: list_pb2.Sort
    limit: int
    """Groups in the beginning; 0: all."""

    def arranged(self, groups: Iterable[TaskGroup]) -> Sequence[TaskGroup]:
        ordered = sorted(groups, key=_by(self.sort.key), reverse=self.sort.direction == list_pb2.Sort.DESCENDING)
        return ordered[: self.limit] if self.limit else ordered


def wanted(request: pb.WatchGroupsRequest) -> GroupsWanted:
    """Raises InvalidArgument, naming the field."""
    listing = request.request
    if listing.filters or listing.raw_filters:
        field = listing.filters[0].field if listing.filters else "raw_filters"
        raise InvalidArgument(f"filter on {field!r}: groups are not filtered beyond their project and dates")
    if listing.token:
        raise InvalidArgument("token: groups have no pages, they all come in one stream")
    sorts = [
        *(list_pb2.Sort(key="created_at", direction=each.created_at) for each in request.known_sort_fields),
        *listing.sort_by_fields,
        *([listing.sort_by] if listing.sort_by.key else []),
        _DEFAULT,
    ]
    for each in sorts:
        _by(each.key)
    return GroupsWanted(
        window=Window(
            scope=Scope(request.project_id.name, request.project_id.domain),
            start=times.from_proto(request.start_date),
            end=times.from_proto(request.end_date) if request.HasField("end_date") else None,
        ),
        sort=sorts[0],
        limit=listing.limit,
    )


async def once(database: Database, wanted: GroupsWanted) -> AsyncGenerator[pb.WatchGroupsResponse]:
    """All groups; the last message says that it is the last."""
    groups = await database.read(lambda tx: store.read(tx, wanted.window))
    for message in _messages(await _shown(database, wanted, groups.groups.values()), sentinel=True):
        yield message


async def followed(database: Database, wanted: GroupsWanted, feed: AllRuns) -> AsyncGenerator[pb.WatchGroupsResponse]:
    """All groups, then each that changes, for ever."""
    groups: TaskGroups | None = None

    def wants(change: RunChange) -> bool:
        return Scope(change.run.project, change.run.domain) == wanted.window.scope

    with feed.follower(wants) as follower:
        while True:
            await follower.bell.wait()
            first = groups is None
            groups = await _moved(database, wanted, follower, groups)
            changed = [groups.groups[task] for task in groups.changed]
            groups.changed.clear()
            if first or changed:
                shown = await _shown(database, wanted if first else replace(wanted, limit=0), changed)
                for message in _messages(shown, sentinel=first):
                    yield message
            await asyncio.sleep(UPDATE_SECONDS)


async def _moved(
    database: Database, wanted: GroupsWanted, follower: RunsFollower, groups: TaskGroups | None
) -> TaskGroups:
    """The groups with what has changed since; all anew when nobody can tell."""
    changes = follower.take()
    roots = [each.root for each in changes or () if each.root.created_at >= wanted.window.start]
    if changes is None or groups is None or any(groups.doubtful(root) for root in roots):
        fresh = await database.read(lambda tx: store.read(tx, wanted.window))
        known = groups.groups if groups else {}
        fresh.changed = {task for task, group in fresh.groups.items() if known.get(task) != group}
        return fresh
    over = [root.id.run for root in roots if root.phase.terminal]
    errors = await database.read(lambda tx: store.errors_of(tx, over))
    for root in roots:
        groups.count(root, errors.get(root.id.run))
    return groups


async def _shown(database: Database, wanted: GroupsWanted, groups: Iterable[TaskGroup]) -> list[TaskGroup]:
    shown = wanted.arranged(groups)

    async def body(tx: Transaction) -> list[TaskGroup]:
        return await store.with_recent(tx, wanted.window, shown)

    return await database.read(body)


def _messages(groups: Sequence[TaskGroup], *, sentinel: bool) -> list[pb.WatchGroupsResponse]:
    pages = [groups[first : first + MAX_GROUPS] for first in range(0, len(groups), MAX_GROUPS)] or [[]]
    messages = [pb.WatchGroupsResponse(task_groups=[wire.to_proto(group) for group in page]) for page in pages]
    messages[-1].sentinel = sentinel
    return messages


def _by(field: str) -> Callable[[TaskGroup], Any]:
    if field not in _SORTED_BY:
        raise InvalidArgument(f"unknown field {field!r}: groups are sorted by {', '.join(sorted(_SORTED_BY))}")
    return _SORTED_BY[field]
