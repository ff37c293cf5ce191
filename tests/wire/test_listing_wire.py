import pytest
from flyteidl2.common import list_pb2

from wingbeat.core.listing import Filter, Function, ListQuery, Sort
from wingbeat.errors import InvalidArgument
from wingbeat.wire.listing import from_proto


def test_empty_request_asks_for_fifty_in_the_lists_own_order() -> None:
    assert from_proto(list_pb2.ListRequest()) == ListQuery(limit=50, token="", sort=(), filters=())


@pytest.mark.parametrize("limit", [1, 200])
def test_limit_is_taken_as_it_is(limit: int) -> None:
    assert from_proto(list_pb2.ListRequest(limit=limit)).limit == limit


def test_limit_above_the_maximum_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="201 exceeds the maximum of 200"):
        from_proto(list_pb2.ListRequest(limit=201))


def test_sort_fields_win_over_the_deprecated_one() -> None:
    old = list_pb2.Sort(key="a")
    assert from_proto(list_pb2.ListRequest(sort_by=old)).sort == (Sort("a", ascending=False),)
    fields = [list_pb2.Sort(key="b", direction=list_pb2.Sort.ASCENDING), list_pb2.Sort(key="c")]
    both = list_pb2.ListRequest(sort_by=old, sort_by_fields=fields)
    assert from_proto(both).sort == (Sort("b", ascending=True), Sort("c"))


def test_every_function_of_the_api_has_its_counterpart() -> None:
    for value in list_pb2.Filter.Function.DESCRIPTOR.values:
        proto = list_pb2.ListRequest(filters=[list_pb2.Filter(function=value.name, field="f", values=["1", "0"])])
        assert from_proto(proto).filters == (Filter("f", Function(value.name), ("1", "0")),)


def test_function_of_the_future_is_refused_by_field() -> None:
    unknown = list_pb2.Filter.FromString(b"\x08\x63\x12\x01f")
    with pytest.raises(InvalidArgument, match=r"'f'.*99"):
        from_proto(list_pb2.ListRequest(filters=[unknown]))
