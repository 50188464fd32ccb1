"""Group commit, and what becomes of it when the disk fails."""

from __future__ import annotations

import asyncio
import resource
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from pipeline.checkpoint.reader import reading
from pipeline.checkpoint.writer import Writer
from pipeline.errors import Crashed, DiskFailed
from pipeline.records import Outcome

Bench = Any  # the fixture's class lives in conftest.py, which no module can import
ADD = "INSERT INTO t VALUES (?)"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A database with one table."""
    connection = sqlite3.connect(tmp_path / "db")
    connection.execute("CREATE TABLE t(x UNIQUE)")
    connection.close()
    return tmp_path / "db"


def stored(path: Path) -> list[object]:
    """Return what is in the table, over a connection of our own."""
    connection = sqlite3.connect(path)
    try:
        return [x for (x,) in connection.execute("SELECT x FROM t ORDER BY rowid")]
    finally:
        connection.close()


@contextmanager
def disk_full_at(size: int) -> Iterator[None]:
    """Let no file of this process grow beyond ``size`` bytes."""
    _, hard = before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_writes_that_come_together_share_a_commit(path: Path) -> None:
    """Two hundred attempts at once cost some commits, not two hundred, and all of them are durable."""
    writer = Writer(path)

    async def together() -> None:
        async with anyio.create_task_group() as group:
            for x in range(200):
                group.start_soon(writer.write, (ADD, (x,)))

    asyncio.run(together())
    writer.close()
    assert writer.commits < 50
    assert sorted(stored(path)) == list(range(200))


def test_a_lone_write_is_committed_at_once(path: Path) -> None:
    """An idle journal does not wait for company."""
    writer = Writer(path)
    for x in range(3):
        asyncio.run(writer.write((ADD, (x,))))
        assert writer.commits == x + 1
    writer.close()


def test_statements_keep_their_order(path: Path) -> None:
    """What was posted before a write is durable with it."""
    writer = Writer(path)
    for x in range(5):
        writer.post((ADD, (x,)))
    asyncio.run(writer.write((ADD, (5,)), (ADD, (6,))))
    assert stored(path) == list(range(7))
    writer.close()


def test_what_is_deferred_comes_first_and_makes_no_commit_by_itself(path: Path) -> None:
    """It waits for the next statement of any kind, or for the end."""
    writer = Writer(path)
    writer.defer((ADD, (0,)))
    writer.defer((ADD, (1,)))
    asyncio.run(writer.write((ADD, (2,))))
    assert (stored(path), writer.commits) == ([0, 1, 2], 1)
    writer.defer((ADD, (3,)))
    writer.close()
    assert stored(path) == [0, 1, 2, 3]


def test_closing_makes_durable_what_was_posted(path: Path) -> None:
    """Nothing that was queued is dropped, and the thread ends."""
    writer = Writer(path)
    for x in range(100):
        writer.post((ADD, (x,)))
    writer.close()
    assert stored(path) == list(range(100))
    assert not [thread for thread in threading.enumerate() if thread.name == "journal"]


@pytest.mark.parametrize("value", [1, 2**63], ids=["twice", "huge"])
def test_after_a_failure_nothing_is_acknowledged(path: Path, value: object) -> None:
    """Whoever waits is told, whoever comes later is told at once, and nothing of the failed commit or after it is kept."""
    writer = Writer(path)
    asyncio.run(writer.write((ADD, (1,))))
    with pytest.raises(DiskFailed, match="could not be written"):
        asyncio.run(writer.write((ADD, (7,)), (ADD, (value,))))
    with pytest.raises(DiskFailed):
        asyncio.run(writer.write((ADD, (8,))))
    writer.post((ADD, (9,)))
    with pytest.raises(DiskFailed):
        writer.close()
    assert stored(path) == [1]


class Unpackable:
    """A value of which something unforeseen comes as SQLite's side asks what to write."""

    def __init__(self, error: BaseException) -> None:
        self._error = error

    def __conform__(self, _: object) -> object:
        raise self._error


async def within_a_second(*statements: tuple[str, tuple[object, ...]], of: Writer) -> None:
    """Write, and fail where nobody answers."""
    with anyio.fail_after(1):
        await of.write(*statements)


class Unforeseen(BaseException):
    """What no handler expects."""


@pytest.mark.parametrize(
    "value",
    [
        object(),
        *(Unpackable(error) for error in (AttributeError("odd"), TypeError("odd"), AssertionError(), Unforeseen())),
    ],
    ids=["unknown to SQLite", "attribute", "type", "assertion", "no exception"],
)
def test_a_mistake_of_ours_in_a_value_ends_the_run_and_does_not_hang_it(path: Path, value: object) -> None:
    """All who wait in the same commit are told, whoever comes later is told at once, and so is who closes."""
    writer = Writer(path)
    asyncio.run(writer.write((ADD, (1,))))

    async def crashes(x: object) -> None:
        with pytest.raises(Crashed):
            await within_a_second((ADD, (x,)), of=writer)

    async def together() -> None:
        async with anyio.create_task_group() as group:
            for x in (2, value, 3):
                group.start_soon(crashes, x)

    asyncio.run(together())
    with pytest.raises(Crashed, match="the program made a mistake"):
        asyncio.run(within_a_second((ADD, (4,)), of=writer))
    with pytest.raises(Crashed):
        writer.close()
    assert stored(path) == [1]
    assert not [thread for thread in threading.enumerate() if thread.name == "journal"]


def test_a_mistake_of_ours_in_the_commit_ends_the_run_and_does_not_hang_it(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The thread goes on to answer those who wait, and commits nothing any more."""

    def broken(*_: object) -> None:
        raise KeyError("odd")

    monkeypatch.setattr("pipeline.checkpoint.writer.carry_out", broken)
    writer = Writer(path)
    with pytest.raises(Crashed, match="KeyError"):
        asyncio.run(within_a_second((ADD, (1,)), of=writer))
    monkeypatch.undo()
    with pytest.raises(Crashed):
        asyncio.run(within_a_second((ADD, (2,)), of=writer))
    with pytest.raises(Crashed):
        writer.close()
    assert stored(path) == []


def test_a_mistake_of_ours_as_the_journal_is_opened_is_told(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first who writes hears of it."""

    def broken(_: Path) -> None:
        raise KeyError("odd")

    monkeypatch.setattr("pipeline.checkpoint.writer.connect", broken)
    writer = Writer(path)
    with pytest.raises(Crashed, match="KeyError"):
        asyncio.run(within_a_second((ADD, (1,)), of=writer))
    with pytest.raises(Crashed):
        writer.close()


def test_without_a_thread_there_is_no_journal(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The run ends before it has begun, and says what it lacks."""

    def none_left(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", none_left)
    with pytest.raises(DiskFailed, match="can't start new thread"):
        Writer(path)


def test_a_run_that_has_ended_holds_up_no_commit(path: Path) -> None:
    """Who waited is gone with its loop; what it wrote is durable, and so is what is posted after it."""
    writer = Writer(path)
    loop = asyncio.new_event_loop()
    waiting = loop.create_task(writer.write((ADD, (1,))))
    loop.call_soon(waiting.cancel)
    with pytest.raises(asyncio.CancelledError):
        loop.run_until_complete(waiting)
    loop.close()
    writer.post((ADD, (2,)))
    writer.close()
    assert stored(path) == [1, 2]


def test_a_text_that_is_no_unicode_is_written_as_well_as_it_can_be(path: Path) -> None:
    """It comes from a stranger, and must not take its neighbours' answers along."""
    writer = Writer(path)
    asyncio.run(writer.write((ADD, ("a\ud800",)), (ADD, ("b\0c",)), (ADD, (b"\xff",))))
    writer.close()
    assert stored(path) == ["a\ufffd", "b\0c", b"\xff"]


def test_a_journal_that_cannot_be_opened_fails_the_first_write(tmp_path: Path) -> None:
    """And not silently the last one."""
    writer = Writer(tmp_path / "no" / "folder")
    with pytest.raises(DiskFailed, match="unable to open database file"):
        asyncio.run(writer.write((ADD, (1,))))
    with pytest.raises(DiskFailed):
        writer.close()


def test_a_full_disk_loses_nothing_that_was_acknowledged(bench: Bench) -> None:
    """Every answer before it is kept, none after it is claimed, and with room again the run goes on."""
    journal = bench.open()
    acknowledged: list[int] = []

    def ask_on() -> None:
        for row in range(1000):
            bench.ask(journal, row, f"question {row}", bench.reply("x" * 3000 + str(row)))
            acknowledged.append(row)

    with disk_full_at(1_000_000), pytest.raises(DiskFailed) as failed:
        ask_on()
    assert "free space" in str(failed.value.hint)
    assert 10 < len(acknowledged) < 1000
    with pytest.raises(DiskFailed):
        bench.ask(journal, 2000, "more")
    with pytest.raises(DiskFailed):
        bench.close()
    journal = bench.open()
    assert {row for row in range(1000) if journal.knows(bench.request(row, f"question {row}"))} == set(acknowledged)
    bench.ask(journal, 2000, "more")
    bench.close()
    with reading(bench.run_dir) as reader:
        assert reader.totals().by_status["ok"] == len(acknowledged) + 1


def test_an_answer_that_cannot_be_kept_is_not_known(bench: Bench) -> None:
    """A row whose answer did not reach the disk is not taken for finished in memory either."""
    journal = bench.open()
    with journal.claim(bench.request(0, "a")) as claim:
        attempt = bench.wait(journal.intend(claim.request))
        with disk_full_at(1), pytest.raises(DiskFailed):
            bench.wait(journal.settle(claim.request, attempt, Outcome(0.1, reply=bench.reply("A"))))
    assert not journal.knows(bench.request(0, "a"))


def test_a_scan_over_known_rows_hears_of_a_full_disk(bench: Bench) -> None:
    """It waits for the disk now and then, so that what it could not write is neither heaped up nor found out at the end only."""
    bench.ask(bench.open(), 0, "a")
    bench.close()
    journal = bench.open(table="another")
    asked = [bench.request(row, "a") for row in range(20_000)]

    def scan() -> None:
        for first in range(0, len(asked), 1_000):
            bench.wait(journal.tie_known(asked[first : first + 1_000]))

    with disk_full_at(1), pytest.raises(DiskFailed):
        scan()
    with pytest.raises(DiskFailed):
        bench.close()
