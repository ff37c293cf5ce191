"""The order of a graph's nodes, from its edges alone. Work grows with the number of edges, not with their square."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from heapq import heapify, heappop, heappush

Links = Mapping[str, Sequence[str]]


def links(edges: Iterable[tuple[str, str]]) -> tuple[Links, Links]:
    """By label, what comes before it and what comes after it, in the order of edges. A repeated one counts once."""
    before: defaultdict[str, list[str]] = defaultdict(list)
    after: defaultdict[str, list[str]] = defaultdict(list)
    for upstream, downstream in dict.fromkeys(edges):
        before[downstream].append(upstream)
        after[upstream].append(downstream)
    return before, after


def ordered(labels: Iterable[str], *, before: Links, after: Links) -> list[str]:
    """Every label after all that come before it, by name where that leaves a choice; without those on a cycle."""
    waiting = {label: len(before.get(label, ())) for label in labels}
    ready = [label for label, count in waiting.items() if not count]
    heapify(ready)
    found: list[str] = []
    while ready:
        label = heappop(ready)
        found.append(label)
        for following in after.get(label, ()):
            waiting[following] -= 1
            if not waiting[following]:
                heappush(ready, following)
    return found


def cycle(labels: Sequence[str], *, before: Links, after: Links) -> list[str]:
    """The labels of one cycle, in order, the least first; empty when there is none."""
    on_or_behind = set(labels).difference(ordered(labels, before=before, after=after))
    if not on_or_behind:
        return []
    path: dict[str, None] = {}
    label = min(on_or_behind)
    while label not in path:
        path[label] = None
        label = next(each for each in before[label] if each in on_or_behind)
    seen = list(path)
    found = seen[seen.index(label) :][::-1]
    first = found.index(min(found))
    return found[first:] + found[:first]


def behind(labels: Iterable[str], *, after: Links) -> set[str]:
    """The labels, and all that come after them."""
    found: set[str] = set()
    waiting = list(labels)
    while waiting:
        label = waiting.pop()
        if label not in found:
            found.add(label)
            waiting.extend(after.get(label, ()))
    return found
