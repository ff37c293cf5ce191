"""`make demo`, as a newcomer sees it."""

import re
import time
from pathlib import Path

import pytest

from tests.e2e.running import Client, Server

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(200)]

MOST_SECONDS = 180


def test_the_demo_shows_a_result_and_a_scheduled_fire_and_leaves_nothing_behind(tmp_path: Path) -> None:
    newcomer = Client(Server(tmp_path / "unused"), tmp_path)
    began = time.monotonic()
    done = newcomer.run("wingbeat", "demo", seconds=MOST_SECONDS, variables={"TERM": "xterm"})
    printed = re.sub(r"\x1b\[[0-9;]*m", "", done.stdout)
    assert time.monotonic() - began < MOST_SECONDS
    assert "$ flyte deploy examples/scheduled.py env" in printed
    assert "greeting Ada" in printed
    assert "Hello, Ada!" in printed
    assert re.search(r"Vienna: report for \d{4}-\d\d-\d\d \d\d:\d\d", printed)
    assert printed.count("ACTION_PHASE_SUCCEEDED") >= 2
    assert "every_minute" in printed
    assert "Traceback" not in printed + done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["home"]
