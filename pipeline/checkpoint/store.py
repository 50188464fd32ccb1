"""The journal's file: opened, created, checked, and the one door for SQLite's errors outside the writer."""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pipeline.checkpoint import schema
from pipeline.checkpoint.durable import move
from pipeline.errors import DiskFailed, RunDirectoryError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path


Statement = tuple[str, "Sequence[object]"]
"""SQL and its values."""

KILLED = "the process ended while this attempt was in flight; it may have been paid"


@dataclass(frozen=True, slots=True)
class Start:
    """What a session begins with: the job as JSON, the folder its paths count from, and what decides whether its plan is a new one.

    ``job_digest`` is None for a retry, which goes on with the newest plan whatever the job says now, but for ``samples``, the answers per
    row. ``names_files`` says that its rows were seen to name files, ``simulated`` that the embedded simulator answers.
    ``estimate`` is what the session is expected to spend, as JSON; None where nothing was estimated.
    """

    job: str
    folder: str
    job_digest: str | None
    input_signature: str
    rows: int | None
    names_files: bool
    simulated: bool
    version: str
    samples: int = 1
    estimate: str | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """One state of job and input.

    ``fresh`` is true when it has just become the newest, ``first`` when there was none before it, ``names_files`` when its rows name files,
    whose changes the input's signature does not show. ``stands_on`` says what the answers of the newest plan so far are, where the job
    would now put answers of the other sort beside them or in their place.
    """

    id: int
    fresh: bool
    first: bool
    names_files: bool
    stands_on: Literal["simulated", "real"] | None = None


def connect(path: Path, *, read_only: bool = False) -> sqlite3.Connection:
    """Open the journal's file; ``synchronous=FULL`` in WAL mode makes a commit survive power loss."""
    if read_only:
        connection = sqlite3.connect(f"file:{_quoted(path)}?mode=ro", uri=True, isolation_level=None, timeout=30)
    else:
        connection = sqlite3.connect(path, isolation_level=None, timeout=30)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA temp_store=MEMORY")
    return connection


@contextmanager
def opened(path: Path, *, read_only: bool = False) -> Iterator[sqlite3.Connection]:
    """Hold a connection while the block runs. Raises ``RunDirectoryError`` or ``DiskFailed``, never an error of SQLite's."""
    try:
        connection = connect(path, read_only=read_only)
        try:
            yield connection
        finally:
            connection.close()
    except (sqlite3.Error, UnicodeDecodeError) as error:  # the latter from the message about a damaged page
        raise translated(error, path) from error


def translated(error: Exception, path: Path) -> RunDirectoryError | DiskFailed:
    """Return our error for one of SQLite's."""
    if getattr(error, "sqlite_errorname", "").startswith(("SQLITE_FULL", "SQLITE_IOERR", "SQLITE_READONLY")):
        return DiskFailed(
            f"the journal {path} could not be written: {error}",
            hint="free space or mend the disk, then run the same command again: nothing finished is lost",
        )
    return RunDirectoryError(
        f"{path} is not a usable journal: {error}",
        hint="restore it from a copy, with its -wal file or without either, or give the job another run_dir",
    )


def prepare(path: Path) -> None:
    """Create the journal, or check that it is one that this version can go on with. Raises ``RunDirectoryError``.

    It is made beside its place and moved there whole: an empty file under its name is therefore damage, and no new run, which would ask
    everything once more.
    """
    log = path.with_name(path.name + "-wal")
    unread = log.exists() and log.stat().st_size > 0
    if not path.exists():
        if unread:
            raise RunDirectoryError(
                f"{log} is there without its journal",
                hint=f"put {path.name} back from where it went; both belong together",
            )
        _create(path)
    if unread:  # what a killed process left, or the log of another copy of the file, which would ruin this one
        _check_together(path)
    with opened(path) as connection:
        version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version == 0:
        hint = "restore it from a copy, or remove it to ask everything again"
        raise RunDirectoryError(f"{path} is empty: it has been damaged since it was made", hint=hint)
    check_version(version, path)


def _check_together(path: Path) -> None:
    """Refuse a journal whose write-ahead log is not its own. It is only read: to close a writing connection would write the log into it."""
    with opened(path, read_only=True) as connection:
        found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if found != "ok":
        raise RunDirectoryError(
            f"{path} and its write-ahead log do not belong together: {found}",
            hint=f"copy {path.name}, {path.name}-wal and {path.name}-shm back together, or remove the latter two from beside a whole copy",
        )


def _create(path: Path) -> None:
    making = path.with_name(path.name + ".new")
    try:
        for leftover in path.parent.glob(making.name + "*"):
            leftover.unlink()  # of a process that was killed right here
        os.close(os.open(making, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600))
        with opened(making) as connection:
            connection.executescript(f"BEGIN; {schema.TABLES} PRAGMA user_version = {schema.VERSION}; COMMIT;")
        move(making, path)
    except OSError as error:
        raise RunDirectoryError(
            f"cannot use {path}: {error.strerror or error}", hint="set run_dir in the spec"
        ) from error


def check_version(version: int, path: Path) -> None:
    """Refuse a journal of another format."""
    if version != schema.VERSION:
        raise RunDirectoryError(
            f"{path} has format {version}; this version of the package reads format {schema.VERSION}",
            hint="use the version that wrote it, or give the job another run_dir",
        )


def closing(label: str, *, ambiguous: bool) -> list[tuple[str, tuple[object, ...]]]:
    """Return the statements that count attempts without an end as perhaps paid, but for those whose answer can be fetched.

    With ``ambiguous`` false they end their requests as ``unknown``, too, so that these are not asked again.
    """
    conclude = (schema.CONCLUDE_OPEN, (KILLED, label, time.time()))
    return [*(() if ambiguous else (conclude,)), (schema.COUNT_OPEN, ()), (schema.CLOSE_OPEN, (KILLED,))]


def find_plan(connection: sqlite3.Connection, start: Start) -> Plan:
    """Return the newest plan where it is of the same job and input, else the one to add. Raises ``RunDirectoryError`` for a vain retry."""
    query = (
        "SELECT id, job_digest, input_signature, names_files, simulated, samples FROM plans ORDER BY id DESC LIMIT 1"
    )
    newest = connection.execute(query).fetchone()
    if start.job_digest is None and (newest is None or newest[2] != start.input_signature):
        what = "there is no run to retry" if newest is None else "the input has changed since the last run"
        raise RunDirectoryError(what, hint="run the job once without --retry")
    if start.job_digest is None and newest[5] != start.samples:
        what = f"a retry asks each row as often as the last run did: {newest[5]}, not {start.samples} times"
        raise RunDirectoryError(what, hint="run the job once without --retry: what is answered is not asked again")
    if newest is None:
        return Plan(1, fresh=True, first=True, names_files=False)
    same = newest[2] == start.input_signature and start.job_digest in (None, newest[1])
    other: Literal["simulated", "real"] | None = None
    if bool(newest[4]) != start.simulated and connection.execute(schema.HAS_ANSWERS, (newest[0],)).fetchone()[0]:
        other = "simulated" if newest[4] else "real"
    return Plan(
        newest[0] + (not same), fresh=not same, first=False, names_files=same and bool(newest[3]), stands_on=other
    )


def add_plan(connection: sqlite3.Connection, start: Start, plan: Plan) -> None:
    """Make a plan the newest."""
    query = """INSERT INTO plans(id, job_digest, input_signature, rows, names_files, simulated, samples, created_at)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?)"""
    how = (int(start.names_files), int(start.simulated), start.samples)
    connection.execute(query, (plan.id, start.job_digest, start.input_signature, start.rows, *how, time.time()))


def add_session(connection: sqlite3.Connection, start: Start, plan: Plan) -> int:
    """Record that this process works on the plan, and return the session's number."""
    query = "INSERT INTO sessions(plan, job, folder, started_at, pid, version, estimate) VALUES (?, ?, ?, ?, ?, ?, ?)"
    values = (plan.id, start.job, start.folder, time.time(), os.getpid(), start.version, start.estimate)
    return connection.execute(query, values).lastrowid or 0


def end_session(path: Path, exit_code: int) -> None:
    """Record how the newest session ended, once its table is written: one that says nothing was killed before that."""
    with opened(path) as connection:
        connection.execute(schema.END_SESSION, (time.time(), exit_code))


def _quoted(path: Path) -> str:
    return str(path).replace("%", "%25").replace("?", "%3f").replace("#", "%23")
