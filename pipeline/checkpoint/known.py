"""What a journal has answered already, for who only looks: nothing is tied to a row, held or written."""

from __future__ import annotations

import sqlite3
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from pipeline.checkpoint import schema
from pipeline.checkpoint.fingerprints import Fingerprints
from pipeline.checkpoint.index import Index
from pipeline.checkpoint.rundir import journal_path
from pipeline.checkpoint.store import check_version, find_plan, opened
from pipeline.cost.output import Observed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from pipeline.checkpoint.store import Start
    from pipeline.records import Request


class Known:
    """Sorts the requests of a job as a run would: which have an answer, and which ask what a row before them asks."""

    def __init__(self, index: Index, observed: Mapping[str, Observed]) -> None:
        """Made by ``known_answers``. ``observed`` has the calls of this job so far, by the model that was asked."""
        self.observed = observed
        self._index = index
        self._seen = Fingerprints()

    def sort(self, request: Request) -> tuple[bool, bool]:
        """Return whether a request needs no asking, and whether it is the first that asks this. Each request comes by once, in order."""
        request = self._index.told_apart(request)
        number = self._index.requests.find(request.fingerprint)
        is_first = self._seen.find(request.fingerprint) is None
        if is_first:
            self._seen.add(request.fingerprint)
        known = number is not None and (
            self._index.requests.status(number) is not None or number in self._index.submitted
        )
        return known, is_first


def known_answers(run_dir: Path, start: Start, *, dedupe: bool) -> Known:
    """Read what the journal of a run directory has of a job, also while a run goes on. Where there is none, nothing is known.

    Raises ``RunDirectoryError`` for a journal that this version cannot read.
    """
    path = journal_path(run_dir)
    with opened(path, read_only=True) if path.exists() else _empty() as connection:
        check_version(connection.execute("PRAGMA user_version").fetchone()[0], path)
        index = Index(connection, dedupe=dedupe)
        plan = find_plan(connection, start)
        if plan.fresh or plan.names_files:
            index.requests.drop_carriers()
        observed = _observed(connection, start.job_digest)
    return Known(index, observed)


def observed_calls(run_dir: Path, job_digest: str) -> Mapping[str, Observed]:
    """Return what the calls of a job came to, by model, from its journal, which there is."""
    with opened(journal_path(run_dir), read_only=True) as connection:
        return _observed(connection, job_digest)


def _observed(connection: sqlite3.Connection, job_digest: str | None) -> dict[str, Observed]:
    return {
        model: Observed(calls, output, max(squares - output * output, 0.0) ** 0.5, latency_s)
        for model, calls, output, squares, latency_s in connection.execute(schema.OBSERVED, (job_digest,))
    }


@contextmanager
def _empty() -> Iterator[sqlite3.Connection]:
    """Hold a journal in which nothing stands."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.executescript(f"{schema.TABLES} PRAGMA user_version = {schema.VERSION};")
        yield connection
