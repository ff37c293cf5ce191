"""Files of the embedded library: what was acknowledged is there, whoever else uses the file, dies or forks."""

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from wingbeat.errors import Conflict, FailedPrecondition, ResourceExhausted, StartError, Unavailable, Unstorable
from wingbeat.store.compose import connection
from wingbeat.store.compose import writer as writing
from wingbeat.store.compose.connection import File, open_file
from wingbeat.store.compose.transaction import Transaction, translate

SLOT = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "app.db"


@pytest.fixture
def file(path: Path) -> File:
    file = open_file(path, busy_seconds=10)
    file.write(create)
    return file


def create(tx: Transaction) -> None:
    tx.execute("CREATE TABLE IF NOT EXISTS item (name TEXT PRIMARY KEY, amount INTEGER)")


def add(tx: Transaction, name: str) -> int:
    return tx.execute("INSERT INTO item (name, amount) VALUES (?, 1)", name)


def add_any(tx: Transaction) -> int:
    return tx.execute("INSERT INTO item (name, amount) VALUES (hex(randomblob(16)), 1)")


def count(tx: Transaction) -> int:
    row = tx.fetchrow("SELECT count(*) FROM item")
    assert row
    return row[0]


def names(tx: Transaction) -> list[str]:
    return [name for (name,) in tx.fetch("SELECT name FROM item ORDER BY name")]


def version(connection: sqlite3.Connection) -> int:
    """Another number after each commit of others that changed something."""
    return connection.execute("PRAGMA data_version").fetchone()[0]


async def together(file: File, *bodies: Callable[[Transaction], Any], durable: bool = False) -> list[Any]:
    """What the bodies return or raise, that share a COMMIT."""
    begun, submitted = threading.Event(), threading.Event()
    before = file.acommit(lambda tx: begun.set() or submitted.wait())
    await asyncio.to_thread(begun.wait)
    answers = [(file.awrite if durable else file.acommit)(body) for body in bodies]
    submitted.set()
    await before
    return await asyncio.gather(*answers, return_exceptions=True)


def test_a_write_is_read_back_and_anybody_can_read_it_with_sqlite3(file: File, path: Path) -> None:
    assert file.write(lambda tx: add(tx, "a")) == 1
    assert file.read(names) == ["a"]
    assert sqlite3.connect(path).execute("SELECT name FROM item").fetchall() == [("a",)]


async def test_the_loop_writes_and_reads(file: File) -> None:
    await file.awrite(lambda tx: add(tx, "a"))
    assert await file.aread(names) == ["a"]


async def test_synchronous_calls_work_inside_of_a_running_loop(file: File) -> None:
    file.write(lambda tx: add(tx, "a"))
    assert file.read(names) == ["a"]


def test_the_log_is_written_ahead_and_every_commit_reaches_the_disk(file: File) -> None:
    assert file.write(lambda tx: tx.fetchrow("PRAGMA synchronous")) == (2,)
    assert file.read(lambda tx: tx.fetchrow("PRAGMA journal_mode")) == ("wal",)


async def test_a_commit_can_be_heard_of_before_the_disk_has_it(file: File, path: Path) -> None:
    assert await file.acommit(lambda tx: tx.fetchrow("PRAGMA synchronous")) == (1,)
    assert await file.acommit(lambda tx: add(tx, "a")) == 1
    assert sqlite3.connect(path).execute("SELECT name FROM item").fetchall() == [("a",)]
    assert await file.awrite(lambda tx: tx.fetchrow("PRAGMA synchronous")) == (2,)


@pytest.fixture
def lingering(monkeypatch: pytest.MonkeyPatch) -> None:
    """However slow this machine is, the writer has not yet brought to the disk what a test has committed."""
    monkeypatch.setattr(writing, "LINGER_SECONDS", 60.0)
    monkeypatch.setattr(writing, "LONGEST_SECONDS", 60.0)


async def changed(other: sqlite3.Connection, before: int) -> None:
    """Wait until somebody has committed."""
    async with asyncio.timeout(30):
        while version(other) == before:
            await asyncio.sleep(0.001)


@pytest.mark.usefixtures("lingering")
async def test_what_is_committed_is_on_the_disk_after_a_flush(file: File, path: Path) -> None:
    with closing(sqlite3.connect(path)) as other:
        await file.acommit(lambda tx: add(tx, "a"))
        committed = version(other)
        await file.flush()
        assert version(other) != committed, "a commit that changes nothing asks the disk for nothing"
        flushed = version(other)
        await file.flush()
        assert version(other) == flushed


@pytest.mark.usefixtures("lingering")
async def test_a_write_that_changes_nothing_brings_what_is_committed_to_the_disk(file: File, path: Path) -> None:
    with closing(sqlite3.connect(path)) as other:
        await file.acommit(lambda tx: add(tx, "a"))
        committed = version(other)
        assert await file.awrite(lambda tx: tx.execute("DELETE FROM item WHERE name = 'nobody'")) == 0
        assert version(other) != committed


async def test_what_is_committed_is_on_the_disk_soon(file: File, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "LINGER_SECONDS", 0.5)
    monkeypatch.setattr(writing, "LONGEST_SECONDS", 60.0)
    with closing(sqlite3.connect(path)) as other:
        await file.acommit(lambda tx: add(tx, "a"))
        await changed(other, version(other))


async def test_what_is_committed_is_on_the_disk_soon_however_much_is_written(
    file: File, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "LONGEST_SECONDS", 0.0)
    begun, submitted = threading.Event(), threading.Event()
    before = file.acommit(lambda tx: (add_any(tx) and begun.set()) or submitted.wait())
    await asyncio.to_thread(begun.wait)
    after = file.acommit(lambda tx: tx.fetchrow("PRAGMA synchronous"))
    submitted.set()
    assert (await before, await after) == (True, (2,))


async def test_a_disk_that_fails_is_not_asked_without_a_pause(file: File, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = threading.Semaphore(0)

    def fail(connection: sqlite3.Connection) -> None:
        asked.release()
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(writing, "AFTER_ERROR_SECONDS", 60.0)
    with monkeypatch.context() as broken:
        broken.setattr(writing, "_touch", fail)
        await file.acommit(lambda tx: add(tx, "a"))
        await asyncio.to_thread(asked.acquire)
        await asyncio.sleep(0.05)
        assert not asked.acquire(blocking=False)


async def test_a_commit_that_changes_nothing_leaves_nothing_to_flush(file: File, path: Path) -> None:
    """Or processes that look at a file in turns would wake each other for ever."""
    with closing(sqlite3.connect(path)) as other:
        before = version(other)
        await file.acommit(lambda tx: tx.execute("UPDATE item SET amount = 2 WHERE name = 'nobody'"))
        await file.flush()
        assert version(other) == before


@pytest.mark.usefixtures("lingering")
async def test_a_write_that_raises_does_not_make_anybody_forget_what_is_committed(file: File, path: Path) -> None:
    with closing(sqlite3.connect(path)) as other:
        await file.acommit(lambda tx: add(tx, "a"))
        committed = version(other)
        with pytest.raises(Conflict):
            await file.awrite(lambda tx: add(tx, "a"))
        assert version(other) == committed
        await file.flush()
        assert version(other) != committed


@pytest.mark.usefixtures("lingering")
async def test_what_a_neighbour_has_not_written_counts_for_no_change(file: File, path: Path) -> None:
    def add_and_raise(tx: Transaction) -> None:
        add(tx, "b")
        raise KeyError("b")

    with closing(sqlite3.connect(path)) as other:
        await file.acommit(lambda tx: add(tx, "a"))
        committed = version(other)
        broken, nothing = await together(file, add_and_raise, lambda tx: None, durable=True)
        assert (type(broken), nothing) == (KeyError, None)
        assert version(other) != committed, "the disk was to have what was committed before"


async def brief(file: File, body: Callable[[Transaction], Any]) -> tuple[Any, bool]:
    """What the body returns, and whether it ran in this thread."""
    answer, thread = await file.acommit(lambda tx: (body(tx), threading.get_ident()), brief=True)
    return answer, thread == threading.get_ident()


@pytest.mark.usefixtures("lingering")
async def test_a_brief_body_runs_on_the_loop_while_there_is_nothing_to_wait_for(file: File) -> None:
    assert await brief(file, lambda tx: add(tx, "a")) == (1, False), "the log may begin anew"
    assert await brief(file, lambda tx: add(tx, "b")) == (1, True)
    assert await brief(file, lambda tx: tx.fetchrow("PRAGMA wal_autocheckpoint")) == ((0,), True)
    assert await file.awrite(lambda tx: tx.fetchrow("PRAGMA wal_autocheckpoint")) == (1000,)
    assert await brief(file, lambda tx: add(tx, "c")) == (1, False)
    assert await file.aread(names) == ["a", "b", "c"]


@pytest.mark.usefixtures("lingering")
async def test_a_brief_body_joins_those_that_wait(file: File) -> None:
    await brief(file, lambda tx: add(tx, "a"))
    writing, submitted = threading.Event(), threading.Event()
    before = file.acommit(lambda tx: writing.set() or submitted.wait())
    await asyncio.to_thread(writing.wait)
    waiting = asyncio.ensure_future(brief(file, lambda tx: add(tx, "b")))
    await asyncio.sleep(0)
    submitted.set()
    assert (await before, await waiting) == (True, (1, False))
    await together(file, count, count)
    assert await brief(file, lambda tx: add(tx, "d")) == (1, False), "others write as well"


async def test_a_brief_body_is_on_the_disk_soon(file: File, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "LONGEST_SECONDS", 60.0)
    monkeypatch.setattr(writing, "LINGER_SECONDS", 0.5)
    with closing(sqlite3.connect(path)) as other:
        await brief(file, lambda tx: add(tx, "a"))
        assert await brief(file, lambda tx: add(tx, "b")) == (1, True)
        await changed(other, version(other))


@pytest.mark.usefixtures("lingering")
async def test_brief_bodies_leave_others_their_turn(file: File) -> None:
    await brief(file, add_any)
    here = [await brief(file, add_any) for _ in range(2 * writing.MOST_IN_A_ROW)]
    assert here.count((1, False)) == 1
    assert here.index((1, False)) == writing.MOST_IN_A_ROW


@pytest.mark.usefixtures("lingering")
async def test_a_brief_body_does_not_run_on_the_loop_after_another_program_has_written(file: File, path: Path) -> None:
    """Which may have moved the log into the file: whoever writes next begins it anew, and waits for the disk."""
    await brief(file, add_any)
    assert await brief(file, add_any) == (1, True)
    with closing(sqlite3.connect(path)) as other, other:
        add_any(Transaction(other, SLOT))
    assert await brief(file, add_any) == (1, False)
    assert await brief(file, add_any) == (1, True)


@pytest.mark.usefixtures("lingering")
async def test_a_signal_does_not_leave_the_file_locked(file: File, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Signal(BaseException):
        pass

    class Interrupted:
        """A lock while which is taken a signal comes: its handler runs before anything else does."""

        def __init__(self, lock: Any) -> None:
            self.lock = lock
            self.release = lock.release

        def acquire(self, *, blocking: bool) -> bool:
            self.lock.acquire(blocking=blocking)
            raise Signal

    await brief(file, add_any)
    its = connection._shared[path.resolve()].writer
    with monkeypatch.context() as signalled:
        signalled.setattr(its, "_quiet", Interrupted(its._quiet))
        with pytest.raises(Signal):
            await brief(file, add_any)
    async with asyncio.timeout(30):
        assert await file.awrite(count) == 1


@pytest.mark.usefixtures("lingering")
async def test_a_brief_body_for_which_the_file_is_busy_is_run_again(file: File) -> None:
    def busy_on_the_loop(tx: Transaction) -> int:
        added = add_any(tx)
        if threading.current_thread() is threading.main_thread():
            error = sqlite3.OperationalError("database is locked")
            error.sqlite_errorcode = sqlite3.SQLITE_BUSY
            raise error
        return added

    await brief(file, add_any)
    assert await brief(file, busy_on_the_loop) == (1, False)
    assert await file.aread(count) == 2


async def test_brief_bodies_are_on_the_disk_soon_however_many_there_are(
    file: File, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "LINGER_SECONDS", 60.0)
    await brief(file, add_any)
    assert await brief(file, add_any) == (1, True)
    began = time.monotonic()
    while await brief(file, add_any) == (1, True):
        assert time.monotonic() < began + 30


@pytest.mark.usefixtures("lingering")
async def test_a_brief_body_does_not_wait_for_another_program(file: File, path: Path) -> None:
    await brief(file, lambda tx: add(tx, "a"))
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        waiting = asyncio.ensure_future(file.acommit(lambda tx: add(tx, "b"), brief=True))
        await asyncio.sleep(0.01)
        assert not waiting.done()
        other.execute("COMMIT")
        assert await waiting == 1


@pytest.mark.usefixtures("lingering")
async def test_a_brief_body_that_raises_writes_nothing(file: File) -> None:
    await brief(file, lambda tx: add(tx, "a"))
    with pytest.raises(Conflict, match=r"app\.db"):
        await brief(file, lambda tx: add(tx, "b") + add(tx, "a"))
    assert await file.aread(names) == ["a"]
    assert await brief(file, lambda tx: add(tx, "b")) == (1, True)


@pytest.mark.usefixtures("lingering")
async def test_a_brief_body_cannot_write_another_transaction(file: File) -> None:
    await brief(file, lambda tx: add(tx, "a"))
    with pytest.raises(RuntimeError, match="its own transaction"):
        await brief(file, lambda tx: file.write(count))
    with pytest.raises(RuntimeError, match="its own transaction"):
        await brief(file, lambda tx: file.acommit(count, brief=True))
    assert await brief(file, count) == (1, True)


async def test_a_commit_that_raises_writes_nothing(file: File) -> None:
    await file.awrite(lambda tx: add(tx, "a"))
    with pytest.raises(Conflict):
        await file.acommit(lambda tx: add(tx, "a"))
    assert await file.aread(names) == ["a"]


def test_a_path_is_opened_once_in_a_process(file: File, path: Path) -> None:
    again = open_file(path.parent / ".." / "deep" / "app.db")
    before = again.edition()
    file.write(lambda tx: add(tx, "a"))
    assert again.edition() == before
    assert sum(thread.name == "compose-writer" for thread in threading.enumerate()) >= 1


def test_each_user_of_a_file_has_a_clock_of_its_own(path: Path) -> None:
    early, late = open_file(path, clock=lambda: SLOT), open_file(path, clock=lambda: SLOT + timedelta(days=1))
    assert early.write(lambda tx: tx.now) == SLOT
    assert late.write(lambda tx: tx.now) == late.read(lambda tx: tx.now) == SLOT + timedelta(days=1)


def test_a_body_that_raises_writes_nothing_and_its_neighbours_are_written(file: File) -> None:
    def add_all_but_broken(tx: Transaction, name: str) -> int:
        added = add(tx, name)
        if name == "broken":
            raise KeyError(name)
        return added + count(tx)

    bodies = [partial(add_all_but_broken, name=name) for name in ("a", "broken", "b")]
    first, second, third = asyncio.run(together(file, *bodies))
    assert (first, type(second), third) == (2, KeyError, 3)
    assert file.read(names) == ["a", "b"]


def test_an_error_that_is_kept_with_its_traceback_holds_nothing(file: File) -> None:
    """D5: the traceback of a broken write kept the file locked against its own process."""
    file.write(lambda tx: add(tx, "a"))
    with pytest.raises(Conflict, match=r"app\.db") as kept:
        file.write(lambda tx: add(tx, "a"))
    assert file.write(lambda tx: add(tx, "b")) == 1
    assert kept.value


def test_a_body_cannot_write_another_transaction(file: File) -> None:
    with pytest.raises(RuntimeError, match="its own transaction"):
        file.write(lambda tx: file.write(create))


def test_a_reader_cannot_write(file: File) -> None:
    with pytest.raises(FailedPrecondition):
        file.read(lambda tx: add(tx, "a"))


def test_a_writer_waits_for_another_program(file: File, path: Path) -> None:
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    release = threading.Timer(0.2, other.execute, ["COMMIT"])
    release.start()
    assert file.write(lambda tx: add(tx, "a")) == 1
    release.join()


def test_a_writer_gives_up_with_an_error_that_says_who_to_ask(path: Path) -> None:
    file = open_file(path, busy_seconds=0.1)
    file.write(create)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(Unavailable, match="locked by another program"):
        file.write(lambda tx: add(tx, "a"))
    assert file.read(names) == [], "readers wait for nobody"
    other.execute("ROLLBACK")
    assert file.write(lambda tx: add(tx, "a")) == 1


async def test_the_loop_goes_on_while_another_program_holds_the_file(file: File, path: Path) -> None:
    """D22."""
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    waiting = asyncio.ensure_future(file.awrite(lambda tx: add(tx, "a")))
    turns = 0
    while turns < 50:
        await asyncio.sleep(0.001)
        turns += 1
    assert not waiting.done()
    other.execute("COMMIT")
    assert await waiting == 1


def test_what_another_program_writes_is_noticed_and_own_writes_are_not(file: File, path: Path) -> None:
    before = file.edition()
    file.write(lambda tx: add(tx, "mine"))
    assert file.edition() == before
    with sqlite3.connect(path) as other:
        other.execute("UPDATE item SET amount = 2")
    assert file.edition() != before
    assert asyncio.run(file.aedition()) == file.edition()


def test_a_file_that_was_replaced_is_opened_anew_and_nothing_goes_into_the_old_one(file: File, path: Path) -> None:
    for each in path.parent.iterdir():
        each.unlink()
    with pytest.raises(FailedPrecondition, match=r"app\.db' was removed or replaced"):
        file.write(lambda tx: add(tx, "lost"))
    with pytest.raises(FailedPrecondition, match="open it again"):
        file.read(names)
    assert not path.exists()
    again = open_file(path)
    again.write(create)
    assert again.read(names) == []
    assert sqlite3.connect(path).execute("SELECT count(*) FROM item").fetchone() == (0,)


def test_a_file_that_nobody_uses_any_more_is_closed(path: Path) -> None:
    file = open_file(path)
    file.write(create)
    place = path.resolve()
    writer = connection._shared[place].writer
    del file
    writer.join()
    assert place not in connection._shared


def test_a_file_is_whole_without_its_log_when_its_process_has_ended(path: Path) -> None:
    script = "import sys; from wingbeat.store.compose.connection import open_file; file = open_file(sys.argv[1])\n"
    script += (
        "file.write(lambda tx: tx.execute('CREATE TABLE item (name)')); file.read(lambda tx: tx.fetch('SELECT 1'))"
    )
    subprocess.run([sys.executable, "-c", script, str(path)], check=True)
    assert [each.name for each in path.parent.iterdir()] == ["app.db"]


async def test_a_disk_that_is_full_is_told_to_all_that_share_a_commit(file: File) -> None:
    def add_much(tx: Transaction) -> int:
        return add(tx, "x" * 1_000_000)

    file.write(lambda tx: tx.fetch("PRAGMA max_page_count = 20"))
    for answer in await together(file, lambda tx: add(tx, "a"), add_much):
        assert isinstance(answer, ResourceExhausted)
    assert file.write(lambda tx: add(tx, "a")) == 1


def test_a_rollback_that_fails_is_no_end(file: File, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(connection: sqlite3.Connection) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    file.write(lambda tx: add(tx, "a"))
    with monkeypatch.context() as broken:
        broken.setattr(writing, "roll_back", fail)
        with pytest.raises(Conflict):
            file.write(lambda tx: add(tx, "a"))
    assert file.write(lambda tx: add(tx, "b")) == 1


def test_a_thread_that_cannot_be_started_is_started_later(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    file = open_file(path)
    with monkeypatch.context() as crowded:
        crowded.setattr(threading.Thread, "start", fail)
        with pytest.raises(RuntimeError, match="new thread"):
            file.write(create)
    file.write(create)


@pytest.mark.usefixtures("lingering")
async def test_a_fork_while_another_program_holds_the_file_forgets_no_flush(path: Path) -> None:
    file = open_file(path, busy_seconds=0.1)
    file.write(create)
    await file.acommit(add_any)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        if (child := os.fork()) == 0:
            os._exit(0)
        os.waitpid(child, 0)
        other.execute("ROLLBACK")
        committed = version(other)
        await file.flush()
        assert version(other) != committed


def test_the_driver_speaks_of_the_disk_and_callers_hear_what_to_do(path: Path) -> None:
    for code, kind in ((sqlite3.SQLITE_FULL, ResourceExhausted), (sqlite3.SQLITE_IOERR_FSYNC, Unavailable)):
        error = sqlite3.OperationalError("the disk")
        error.sqlite_errorcode = code
        assert isinstance(translate(error, path), kind)
    assert isinstance(translate(OverflowError("Python int too large to convert to SQLite INTEGER"), path), Unstorable)


def test_a_file_of_a_rollback_journal_becomes_one_with_a_log(path: Path) -> None:
    path.parent.mkdir()
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE item (name TEXT PRIMARY KEY, amount INTEGER)")
    file = open_file(path)
    file.write(lambda tx: add(tx, "a"))
    assert file.read(lambda tx: tx.fetchrow("PRAGMA journal_mode")) == ("wal",)


def test_a_file_that_is_no_database_is_refused(path: Path) -> None:
    path.parent.mkdir()
    path.write_text("not a database, but long enough to be taken for one" * 100)
    with pytest.raises(StartError, match=r"app\.db"):
        open_file(path)


def test_threads_write_at_the_same_time(file: File) -> None:
    def some(prefix: str) -> None:
        for number in range(20):
            file.write(partial(add, name=f"{prefix}{number}"))

    threads = [threading.Thread(target=some, args=(prefix,)) for prefix in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert file.read(count) == 80


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_parent_and_child_of_a_fork_both_go_on(file: File) -> None:
    file.write(lambda tx: add(tx, "before"))
    child = os.fork()
    if child == 0:
        signal.alarm(30)  # nobody else ends it when it waits for ever
        done = file.write(lambda tx: add(tx, "child")) and file.read(count)
        os._exit(0 if done else 1)
    file.write(lambda tx: add(tx, "parent"))
    assert os.waitpid(child, 0)[1] == 0
    assert file.read(names) == ["before", "child", "parent"]
    assert file.read(lambda tx: tx.fetchrow("PRAGMA integrity_check")) == ("ok",)


WRITE_UNTIL_KILLED = """
import sys
from wingbeat.store.compose.connection import open_file
file = open_file(sys.argv[1])
for number in range(1_000_000):
    file.write(lambda tx: tx.execute("INSERT INTO item (name, amount) VALUES (?, 1)", f"{sys.argv[2]}{number}"))
    print(number, flush=True)
"""


def writer(path: Path, prefix: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WRITE_UNTIL_KILLED, str(path), prefix]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def kill(process: subprocess.Popen[str], *, after: int) -> int:
    """The last write that it was told of."""
    assert process.stdout
    for line in process.stdout:
        if int(line) >= after:
            break
    process.send_signal(signal.SIGKILL)
    rest = process.stdout.read().split("\n")
    process.wait()
    return max([after, *(int(line) for line in rest[:-1] if line)])


def test_nothing_that_was_acknowledged_is_lost_when_the_writer_is_killed(file: File, path: Path) -> None:
    acknowledged = kill(writer(path, "n"), after=100)
    written = file.read(count)
    assert acknowledged + 1 <= written <= acknowledged + 2
    assert file.write(lambda tx: add(tx, "next")) == 1
    assert file.read(lambda tx: tx.fetchrow("PRAGMA integrity_check")) == ("ok",)


def test_two_processes_write_one_file(file: File, path: Path) -> None:
    first, second = writer(path, "a"), writer(path, "b")
    least = kill(first, after=20) + kill(second, after=20) + 2
    assert file.read(count) >= least
