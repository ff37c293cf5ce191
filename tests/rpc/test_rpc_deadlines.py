"""A call ends when its caller stops waiting."""

import pytest

from tests.rpc.edge_services import PROJECTS, Edge

GET_PROJECT = f"{PROJECTS}/GetProject"


async def test_a_unary_call_ends_at_its_deadline(edge: Edge) -> None:
    edge.projects.sleeps = 60
    response = await edge.post_json(GET_PROJECT, {"id": "p"}, headers={"connect-timeout-ms": "30"})
    assert response.status_code == 504
    assert response.json()["code"] == "deadline_exceeded"


async def test_a_call_that_is_quick_enough_is_answered(edge: Edge) -> None:
    response = await edge.post_json(GET_PROJECT, {"id": "p"}, headers={"connect-timeout-ms": "10000"})
    assert response.status_code == 200


async def test_a_deadline_of_nothing_has_passed(edge: Edge) -> None:
    edge.projects.sleeps = 60
    response = await edge.post_json(GET_PROJECT, {"id": "p"}, headers={"connect-timeout-ms": "0"})
    assert response.json()["code"] == "deadline_exceeded"


@pytest.mark.parametrize("every", [None, 0.001], ids=["idle", "busy"])
async def test_a_stream_ends_at_its_deadline_and_its_method_is_closed(edge: Edge, every: float | None) -> None:
    edge.runs.every = every
    first, *_, end = await edge.watch({"connect-timeout-ms": "50"})
    assert first == {}
    assert end["error"]["code"] == "deadline_exceeded"
    await edge.runs.closed.wait()
