from collections.abc import AsyncGenerator

import pytest

from tests.rpc.edge_services import Edge, running_edge


@pytest.fixture
async def edge() -> AsyncGenerator[Edge]:
    async with running_edge(Edge()) as edge:
        yield edge
