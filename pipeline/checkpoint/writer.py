"""The one thread that writes the journal: group commit without a window.

Statements queue up while a commit is being made durable; as soon as it is, all that queued goes into the next one. An idle journal thus
adds one fsync to a request, a busy one shares each fsync among hundreds. After the first error nothing is acknowledged any more: a failed
fsync may have dropped pages that a second try would report as written. Whatever goes wrong in the thread, whoever waits for it is told: a
thread that just ended would hold the run up for ever.

Texts come from strangers, and one that is no Unicode would fail its neighbours' commit: what cannot be written becomes U+FFFD at this door.
"""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import suppress
from queue import SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING

from pipeline.checkpoint.store import connect
from pipeline.checkpoint.writes import carry_out
from pipeline.errors import Crashed, DiskFailed
from pipeline.wire.tolerant import clean

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pipeline.checkpoint.store import Statement
    from pipeline.errors import RunError

# What the disk and the machine are to blame for, or values from outside that SQLite cannot hold. Anything else is a mistake of ours.
_UNWRITABLE = (sqlite3.Error, ValueError, OverflowError, RecursionError, MemoryError)
_MISUSED = (sqlite3.InterfaceError, sqlite3.ProgrammingError)


def _null(_: None) -> None:
    return None


# Unless it is told what becomes of None, Python's sqlite3 looks for that at every one it binds, and drops an AttributeError each time:
# of a statement's time a fifth.
sqlite3.register_adapter(type(None), _null)


class Writer:
    """Owns the writing connection. What ``write`` returned for is durable; what ``post`` took is durable with the next commit.

    What keeps it from writing is raised by whatever waits for it: ``DiskFailed``, or ``Crashed`` for a mistake of ours.
    """

    def __init__(self, path: Path) -> None:
        """Start the thread. Raises ``DiskFailed`` where there can be none."""
        self._queue: SimpleQueue[tuple[Sequence[Statement], asyncio.Future[None] | None] | None] = SimpleQueue()
        self._path = path
        self._failure: RunError | None = None
        self._deferred: list[Statement] = []
        self.commits = 0
        self._thread = Thread(target=self._run, name="journal", daemon=True)
        try:
            self._thread.start()
        except RuntimeError as error:
            message = f"the journal {path} could not be written: {error}"
            raise DiskFailed(message, hint="end other programs, or allow this one more threads (ulimit -u)") from error

    def defer(self, *statements: Statement) -> None:
        """Let statements come before whatever is posted or written next. They wait for it: alone they are worth no commit."""
        self._deferred += statements

    def post(self, *statements: Statement) -> None:
        """Queue statements without waiting for them; they keep their order."""
        if statements:
            self._queue.put((self._after_deferred(statements), None))

    async def write(self, *statements: Statement) -> None:
        """Return when the statements, and all that came before, are durable. Raises ``DiskFailed`` or ``Crashed``."""
        if self._failure is not None:
            raise self._failure
        # An asyncio future, not an anyio primitive: it is the only one that a foreign thread can complete from outside the loop.
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.put((self._after_deferred(statements), done))
        await done

    def _after_deferred(self, statements: Sequence[Statement]) -> Sequence[Statement]:
        if not self._deferred:
            return statements
        deferred, self._deferred = self._deferred, []
        return (*deferred, *statements)

    def close(self) -> None:
        """Make everything durable, and end the thread. Raises ``DiskFailed`` or ``Crashed`` when something could not be written."""
        self._queue.put((self._after_deferred(()), None))
        self._queue.put(None)
        self._thread.join()
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        connection: sqlite3.Connection | None = None
        try:
            connection = connect(self._path)
        except BaseException as error:  # noqa: BLE001 - nobody above this thread could tell whoever waits
            self._fail(error)
        open_ = True
        while open_:
            batch = [self._queue.get()]
            try:
                while not self._queue.empty():
                    batch.append(self._queue.get())
                if connection is not None and self._failure is None:
                    self._commit(connection, [one for item in batch if item is not None for one in item[0]])
            except BaseException as error:  # noqa: BLE001 - as above
                self._fail(error)
            self._acknowledge([item[1] for item in batch if item is not None and item[1] is not None])
            open_ = None not in batch
        if connection is not None:
            connection.close()

    def _commit(self, connection: sqlite3.Connection, statements: Sequence[Statement]) -> None:
        if not statements:
            return
        connection.execute("BEGIN IMMEDIATE")
        try:
            carry_out(connection, statements)
        except UnicodeEncodeError:  # rare, and to look for it at every value takes as long as to bind it
            connection.execute("ROLLBACK")
            connection.execute("BEGIN IMMEDIATE")
            carry_out(connection, [(sql, _cleaned(values)) for sql, values in statements])
        connection.execute("COMMIT")
        self.commits += 1

    def _fail(self, error: BaseException) -> None:
        if isinstance(error, _UNWRITABLE) and not isinstance(error, _MISUSED):
            self._failure = DiskFailed(
                f"the journal {self._path} could not be written: {error}",
                hint="free space or mend the disk, then run the same command again: nothing finished is lost",
            )
        else:
            self._failure = Crashed(error)
        self._failure.__cause__ = error

    def _acknowledge(self, waiting: Sequence[asyncio.Future[None]]) -> None:
        if waiting:
            with suppress(RuntimeError):  # the loop is closed, and so nobody waits any more
                waiting[0].get_loop().call_soon_threadsafe(_complete, waiting, self._failure)


def _cleaned(values: Sequence[object]) -> Sequence[object]:
    return [clean(value) if isinstance(value, str) else value for value in values]


def _complete(waiting: Sequence[asyncio.Future[None]], failure: RunError | None) -> None:
    for done in waiting:
        if done.done():
            continue  # the attempt that waited was cancelled
        if failure is None:
            done.set_result(None)
        else:
            done.set_exception(failure)
