"""A real journal on a real disk, and the few calls with which a run uses it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import ExitStack, suppress
from hashlib import blake2b
from pathlib import Path
from typing import Any, TypeVar

import pytest

from pipeline.checkpoint.journal import Journal
from pipeline.checkpoint.store import Start
from pipeline.errors import AttemptError, DiskFailed, Sent
from pipeline.prompt.build import sampled
from pipeline.records import Outcome, Reply, Request, Status, Usage

T = TypeVar("T")
USAGE = Usage(10, 2, 5, 1, 15)


class Bench:
    """One run directory, and the journal that is open in it now."""

    def __init__(self, run_dir: Path) -> None:
        self.run_dir = run_dir
        self.path = run_dir / "journal.sqlite"
        self._open: list[Journal] = []
        self._runner = asyncio.Runner()

    @staticmethod
    def request(row: int, question: str, sample: int = 0) -> Request:
        """Return the request of a row that asks ``question``."""
        return sampled(Request(row, "m", {}, blake2b(question.encode(), digest_size=16).digest(), 1), sample)

    @staticmethod
    def reply(text: str, status: Status = Status.OK, usage: Usage = USAGE) -> Reply:
        """Return a reply with a usage."""
        return Reply(status, text=text, usage=usage, model="m-1", response_id=f"id-{text}", raw={"output_text": text})

    @staticmethod
    def failure(
        sent: Sent = Sent.ANSWERED,
        *,
        transient: bool = False,
        reply: Reply | None = None,
        http_status: int | None = 500,
    ) -> AttemptError:
        """Return the error of an attempt."""
        return AttemptError("no", kind="server", sent=sent, transient=transient, http_status=http_status, reply=reply)

    def start(self, *, job: str | None = "job", table: str = "table", rows: int = 10, samples: int = 1) -> Start:
        """Return what a session begins with."""
        return Start("{}", "/", job, table, rows, names_files=False, simulated=False, version="1", samples=samples)

    def open(
        self,
        *,
        job: str | None = "job",
        table: str = "table",
        dedupe: bool = True,
        ambiguous: bool = True,
        begun: bool = True,
        samples: int = 1,
    ) -> Journal:
        """Open the journal and begin a session."""
        journal = Journal(self.path, label="somebody", dedupe=dedupe)
        self._open.append(journal)
        if begun:
            start = self.start(job=job, table=table, samples=samples)
            journal.begin(start, journal.look(start), ambiguous=ambiguous)
        return journal

    def close(self) -> None:
        """End the session."""
        self._open.pop().finish()

    def close_all(self) -> None:
        """End what a test has left open."""
        while self._open:
            with suppress(DiskFailed):
                self.close()
        self._runner.close()

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        """Run what a run awaits; opening and reading block, and have no place in a loop."""
        return self._runner.run(work)

    def ask(
        self, journal: Journal, row: int, question: str, end: Reply | AttemptError | None = None, sample: int = 0
    ) -> Status | None:
        """Carry a row's request to its end, as a run does; return the status that was known."""
        with suppress(AttemptError), journal.claim(self.request(row, question, sample)) as claim:
            if not claim.ours:
                return claim.known
            if isinstance(end, AttemptError):
                raise self.fail(journal, claim.request, end)
            attempt = self.wait(journal.intend(claim.request))
            reply = self.reply(question.upper()) if end is None else end
            self.wait(journal.settle(claim.request, attempt, Outcome(0.5, reply=reply)))
        return None

    def finished(self, samples: int = 1) -> bytearray:
        """Return the rows that a next process finds finished."""
        found = self.open(samples=samples).finished_rows()
        self.close()
        return found

    def fail(self, journal: Journal, request: Request, error: AttemptError | None = None) -> AttemptError:
        """Let an attempt leave and fail; return its error, to be raised."""
        error = error or self.failure()
        self.wait(journal.settle(request, self.wait(journal.intend(request)), Outcome(0.5, error=error)))
        return error


@pytest.fixture
def benches() -> Iterator[Callable[[Path], Bench]]:
    """Make a bench in a folder, such as a copy of a run directory."""
    with ExitStack() as stack:

        def make(run_dir: Path) -> Bench:
            bench = Bench(run_dir)
            stack.callback(bench.close_all)
            return bench

        yield make


@pytest.fixture
def bench(benches: Callable[[Path], Bench], tmp_path: Path) -> Bench:
    """A run directory without a run."""
    return benches(tmp_path)
