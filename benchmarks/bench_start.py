"""How long the server takes to answer, against importing the same modules bare; and how much memory it holds idle."""

import re
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import psutil

ROUNDS = 5
IDLE_SECONDS = 3
READY_SECONDS = 60
MOST_TIMES_THE_IMPORT = 2.0
MOST_MEGABYTES = 150.0
WINGBEAT = Path(sys.executable).with_name("wingbeat")
MODULES = "wingbeat.server.serve"


def main() -> None:
    imports: list[float] = []
    starts: list[float] = []
    rss: list[float] = []
    pss: list[float] = []
    for _ in range(ROUNDS):
        imports.append(import_seconds())
        started, resident, proportional = start()
        starts.append(started)
        rss.append(resident)
        pss.append(proportional)
    ratio = statistics.median(starts) / statistics.median(imports)
    print(f"import of {MODULES}: {statistics.median(imports):.2f} s")
    print(f"start to first answer: {statistics.median(starts):.2f} s, {ratio:.2f} times the import")
    print(f"memory, idle for {IDLE_SECONDS} s: {max(rss):.0f} MB RSS, {max(pss):.0f} MB PSS")
    if ratio > MOST_TIMES_THE_IMPORT:
        sys.exit(f"the start takes more than {MOST_TIMES_THE_IMPORT} times the import")
    if max(rss) > MOST_MEGABYTES:
        sys.exit(f"the server holds more than {MOST_MEGABYTES:.0f} MB")


def import_seconds() -> float:
    begin = time.perf_counter()
    subprocess.run([sys.executable, "-c", f"import {MODULES}"], check=True)
    return time.perf_counter() - begin


def start() -> tuple[float, float, float]:
    """Seconds to the first answer, and megabytes when idle: resident, and proportional."""
    with tempfile.TemporaryDirectory(prefix="wingbeat-bench-") as directory, Path(directory, "out").open("w+") as out:
        begin = time.perf_counter()
        server = subprocess.Popen(
            [WINGBEAT, "serve", "--port", "0", "--data", "data"], cwd=directory, stdout=out, stderr=subprocess.DEVNULL
        )
        try:
            wait_until_ready(Path(out.name))
            took = time.perf_counter() - begin
            time.sleep(IDLE_SECONDS)
            memory = psutil.Process(server.pid).memory_full_info()
            return took, memory.rss / 1e6, memory.pss / 1e6
        finally:
            server.terminate()
            server.wait()


def wait_until_ready(output: Path) -> None:
    deadline = time.perf_counter() + READY_SECONDS
    while time.perf_counter() < deadline:
        found = re.search(r"listens on (\S+)\n", output.read_text())
        if found:
            with urllib.request.urlopen(f"{found[1]}/readyz"):
                return
        time.sleep(0.01)
    sys.exit(f"the server did not start: {output.read_text()}")


if __name__ == "__main__":
    main()
