import subprocess
import sys
from pathlib import Path

import pytest

from tests.postgresql import free_port

SCRIPT = """
import atexit, sys
atexit.register(print, "the interpreter ends")
sys.argv[0] = "wingbeat"
from wingbeat.cli.main import main
main()
"""


def program(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([sys.executable, "-c", SCRIPT, *arguments], capture_output=True, text=True, timeout=60)


def test_a_client_leaves_before_the_threads_of_its_http_client_can_abort_it(desk: Path) -> None:
    unreachable = f"http://127.0.0.1:{free_port()}"
    done = program("run", "list", "--url", unreachable, "--project", "p", "--domain", "d")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"wingbeat: no Wingbeat server answers at {unreachable}")


@pytest.mark.parametrize(("arguments", "code"), [(("--version",), 0), (("run", "--nonsense"), 2)])
def test_every_other_command_ends_as_python_does(desk: Path, arguments: tuple[str, ...], code: int) -> None:
    done = program(*arguments)
    assert done.returncode == code
    assert done.stdout.endswith("the interpreter ends\n")
