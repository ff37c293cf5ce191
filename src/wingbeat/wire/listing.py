"""common.ListRequest <-> what the core calls a list query."""

from flyteidl2.common import list_pb2

from wingbeat.core.listing import DEFAULT_LIMIT, MAX_LIMIT, Filter, Function, ListQuery, Sort
from wingbeat.errors import InvalidArgument


def from_proto(request: list_pb2.ListRequest) -> ListQuery:
    """A limit of 0 means the default; `raw_filters` mean nothing. Raises InvalidArgument."""
    if request.limit > MAX_LIMIT:
        raise InvalidArgument(f"limit {request.limit} exceeds the maximum of {MAX_LIMIT}")
    return ListQuery(
        limit=request.limit or DEFAULT_LIMIT,
        token=request.token,
        sort=_sort(request),
        filters=tuple(_filter(each) for each in request.filters),
    )


def sort_from_proto(sort: list_pb2.Sort) -> Sort:
    return Sort(sort.key, ascending=sort.direction == list_pb2.Sort.ASCENDING)


def _sort(request: list_pb2.ListRequest) -> tuple[Sort, ...]:
    if request.sort_by_fields:
        return tuple(sort_from_proto(each) for each in request.sort_by_fields)
    return (sort_from_proto(request.sort_by),) if request.sort_by.key else ()


def _filter(each: list_pb2.Filter) -> Filter:
    try:
        function = Function(list_pb2.Filter.Function.Name(each.function))
    except ValueError:
        raise InvalidArgument(f"filter on {each.field!r}: unknown function {int(each.function)}") from None
    return Filter(each.field, function, tuple(each.values))
