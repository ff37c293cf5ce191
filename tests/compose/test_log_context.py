"""Log records say which run and node they come from."""

import asyncio
import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context

import pytest

from wingbeat.compose.log_context import (
    NodeRunContext,
    NodeRunLogFilter,
    get_node_run_context,
    install_node_run_log_filter,
    node_run_context,
    reset_node_run_context,
    set_node_run_context,
)


def record() -> logging.LogRecord:
    made = logging.LogRecord("test", logging.INFO, "", 0, "msg", (), None)
    assert NodeRunLogFilter().filter(made)
    return made


def said() -> tuple[str, str]:
    fields = vars(record())
    return fields["run_id"], fields["node_label"]


def test_records_outside_of_nodes_are_from_none() -> None:
    assert get_node_run_context() is None
    assert said() == ("", "")


def test_records_inside_say_the_run_and_the_node() -> None:
    with node_run_context("r1", "fetch") as context:
        assert context == get_node_run_context() == NodeRunContext(run_id="r1", node_label="fetch")
        with node_run_context("r2", "inner"):
            assert said() == ("r2", "inner")
        assert said() == ("r1", "fetch")
    assert get_node_run_context() is None


def test_a_token_restores_what_was() -> None:
    token = set_node_run_context("r1", "fetch")
    assert said() == ("r1", "fetch")
    reset_node_run_context(token)
    assert said() == ("", "")


async def test_tasks_and_threads_do_not_mix() -> None:
    async def node(label: str) -> tuple[str, str]:
        with node_run_context("r", label):
            await asyncio.sleep(0)
            return await asyncio.to_thread(said)

    assert await asyncio.gather(node("a"), node("b")) == [("r", "a"), ("r", "b")]
    with ThreadPoolExecutor(1) as pool, node_run_context("r", "c"):
        assert pool.submit(copy_context().run, said).result() == ("r", "c")


@pytest.fixture
def root_filters() -> Iterator[None]:
    root = logging.getLogger()
    before = list(root.filters)
    yield
    root.filters = before


@pytest.mark.usefixtures("root_filters")
def test_the_filter_goes_to_a_handler_or_the_root() -> None:
    handler = logging.StreamHandler()
    assert install_node_run_log_filter(handler) in handler.filters
    assert install_node_run_log_filter() in logging.getLogger().filters
