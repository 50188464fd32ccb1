"""One process's work on a run: open the journal, decide what is left to ask, ask it, write the table, add everything up."""

from __future__ import annotations

import importlib.util
import signal
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING

import anyio

from pipeline.checkpoint.gold import tallied
from pipeline.checkpoint.journal import Journal
from pipeline.checkpoint.reader import Reader, Totals, reading
from pipeline.checkpoint.rundir import held, journal_path
from pipeline.checkpoint.schema import PILOT
from pipeline.checkpoint.store import end_session
from pipeline.checkpoint.table import write_table
from pipeline.cost.prices import Book
from pipeline.cost.tiers import tier_of
from pipeline.engine.check import Prepared
from pipeline.engine.feed import all_but, everything, only, questions
from pipeline.engine.forecast import look_ahead
from pipeline.engine.hearing import counting, heard_once
from pipeline.engine.leaving import downloads
from pipeline.engine.live import Secrets, ask_all, interrupted
from pipeline.engine.purse import Till, larger, open_till
from pipeline.engine.ready import ready
from pipeline.errors import BudgetReached, Interrupted, Problem, RunError, SpecError
from pipeline.events import Calls, Expected, Notice, Offer, RunFinished, RunStarted
from pipeline.records import STATUS_FACTS, Request, Status

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from pipeline.checkpoint.store import Plan
    from pipeline.engine.consent import Consent
    from pipeline.engine.feed import Selection
    from pipeline.engine.live import Brake
    from pipeline.events import Observer
    from pipeline.spec.job import Job


@dataclass(frozen=True, slots=True)
class _Left:
    """What is left to ask: the rows to go through, how many that are, and how many answers of the job's are known.

    None where only a pass over the table can tell. ``wanted`` is the number of single answers that a retry asks.
    """

    selection: Selection
    rows: int | None
    known: int | None
    wanted: int | None = None

    def answers(self, samples: int) -> int | None:
        """Return how many answers these rows may lack, each asking for so many."""
        return self.wanted if self.wanted is not None or self.rows is None else self.rows * samples - (self.known or 0)


Choose = Callable[[Prepared], set[tuple[int, int]]]
"""Chooses the answers that a pilot asks for, each by its row and its sample."""


def run_job(  # noqa: PLR0913 - what a run takes, each by its name
    job: Job,
    *,
    retry: Collection[Status],
    consent: Consent,
    environ: Mapping[str, str],
    observe: Observer,
    brake: Brake,
    allow_code: bool = False,
    choose: Choose | None = None,
) -> RunFinished:
    """Run a job, or go on with it, and write its table. ``consent`` decides whether a provider that may cost money is asked, and
    whether the simulator's run downloads from addresses that the spec writes.

    With ``allow_code`` the functions that the job names are loaded, and run when the model calls them. With ``choose`` it is a pilot:
    only the answers chosen are asked for, into the same journal, and no table is written.

    Returns the closing figures; raises the ``RunError`` that kept the run from starting or made it stop, after the table was written.
    """
    try:
        with ExitStack() as stack:
            prepared, secrets = stack.enter_context(ready(job, environ, allow_code=allow_code))
            chosen = choose(prepared) if choose is not None else None
            stack.enter_context(held(job.run_path))
            session = _Session(prepared, heard_once(observe), chosen)
            stack.callback(session.close)
            selection = session.begin(retry, consent)
            return session.carry_out(selection, secrets, brake)
    except KeyboardInterrupt as error:  # before the sending, or while the table was written
        raise interrupted(signal.SIGINT) from error


class _Session:
    """Holds the journal from the first look to the last line. ``close`` may be called at any point, once or twice.

    ``chosen`` are the answers that a pilot asks for; None is no pilot.
    """

    def __init__(self, prepared: Prepared, observe: Observer, chosen: set[tuple[int, int]] | None = None) -> None:
        self._prepared = prepared
        self._chosen = chosen
        self._job = prepared.job
        self._till: Till | None = None
        self._functions: dict[str | None, Calls] = {}
        self._observe = counting(observe, self._functions)
        self._started = time.monotonic()
        self._expected: Expected | None = None
        self._journal: Journal | None = Journal(
            journal_path(self._job.run_path),
            label=self._job.provider.label,
            dedupe=prepared.dedupe,
            tier=tier_of(self._job.extra_body),
        )

    def close(self) -> None:
        """Make the journal durable and close it. Raises ``DiskFailed`` when something could not be made durable."""
        if (journal := self._journal) is not None:
            self._journal = None
            journal.finish(names_files=self._prepared.builder.names_files)

    def begin(self, retry: Collection[Status], consent: Consent) -> Selection:
        """Return the rows that are left to ask, once ``consent`` is given; only then is anything written into the journal."""
        journal, job, prepared = self._open(), self._job, self._prepared
        start = prepared.start(retry=bool(retry))
        plan = journal.look(start)
        _keep_apart(plan, job, retry=bool(retry))
        left = self._left(plan, retry)
        if not job.provider.simulated:
            ahead = look_ahead(prepared, left.selection, left.answers(job.samples), journal.knows)
            self._expected = ahead.expected()
            if self._chosen is None:  # what is expected of a pilot says nothing of the whole run
                start = replace(start, estimate=ahead.record())
        if not job.provider.simulated or downloads(job):
            consent(lambda: self._offer(left, self._count_known() if left.known is None else left.known))
        journal.begin(start, plan, ambiguous=job.retry.ambiguous)
        self._till = open_till(job)
        self._announce(plan, left, self._till)
        return left.selection

    def _left(self, plan: Plan, retry: Collection[Status]) -> _Left:
        if retry:
            places = self._open().reopen(retry)
            return _Left(only(places), len({row for row, _ in places}), 0, len(places))
        if self._chosen is not None:
            known = 0 if plan.first else None
            return _Left(only(self._chosen), len({row for row, _ in self._chosen}), known, len(self._chosen))
        rows, samples = self._prepared.rows, self._job.samples
        if plan.fresh or plan.names_files or self._prepared.builder.names_files:
            return _Left(everything(samples), rows, 0 if plan.first else None)
        finished = self._open().finished_rows()
        return _Left(all_but(finished, samples), rows, finished.count(1) * samples)

    def _count_known(self) -> int:
        """Compare the whole table with the journal, so that the offer says what is really new."""
        journal = self._open()
        self._observe(Notice("comparing the table with what was answered before"))
        selection = only(self._chosen) if self._chosen is not None else everything(self._job.samples)
        return sum(map(journal.knows, self._requests(selection)))

    def _requests(self, selection: Selection) -> Iterator[Request]:
        """Yield the selected requests of every row that has one."""
        for batch in questions(self._prepared.source, self._prepared.builder, selection):
            yield from (each.built for each in batch if isinstance(each.built, Request))

    def _offer(self, left: _Left, known: int) -> Offer:
        job = self._job
        return Offer(
            name=job.name,
            provider=job.provider.label,
            url=self._prepared.endpoint.url,
            model=job.model,
            rows=left.rows,
            known=known,
            output=job.output_path,
            limits=job.limits.model_dump(),
            notes=self._prepared.notes,
            samples=job.samples,
            wanted=left.wanted,
            secrets=self._prepared.secrets,
            simulated=job.provider.simulated,
            expected=self._expected,
        )

    def _announce(self, plan: Plan, left: _Left, till: Till) -> None:
        job = self._job
        started = RunStarted(
            name=job.name,
            provider=job.provider.label,
            model=job.model,
            rows=left.rows,
            known=left.known or 0,
            run_dir=job.run_path,
            simulated=job.provider.simulated,
            samples=job.samples,
            wanted=left.wanted,
            expected=self._expected,
            purse=till.purse,
        )
        self._observe(started)
        for note in (*self._prepared.notes, *till.notes):
            self._observe(Notice(note))
        if plan.fresh and not plan.first:
            self._observe(
                Notice("the job or the input has changed since the last run: rows that ask the same keep their answers")
            )

    def carry_out(self, selection: Selection, secrets: Secrets, brake: Brake) -> RunFinished:
        """Ask the rows, then write the table whatever came of that."""
        failure: RunError | None = None
        assert self._till is not None  # since `begin`
        try:
            ask = partial(ask_all, self._prepared, self._open(), secrets, self._till, self._observe, selection, brake)
            uvloop = importlib.util.find_spec("uvloop") is not None
            anyio.run(ask, backend_options={"use_uvloop": uvloop})
        except RunError as error:
            failure = error
        try:
            try:
                if failure is not None or self._chosen is not None:
                    self._open().recall(self._requests(everything(self._job.samples)))
            finally:
                self.close()
        except RunError as error:
            failure = failure or error  # the journal's disk is full, say: the table may lie on another one
        try:
            finished = self._write(failure)
        except RunError as error:
            self._end((failure or error).exit_code)
            raise failure or error from error
        pilot = self._chosen is not None
        self._end(PILOT if pilot and failure is None else finished.exit_code)
        if not pilot:  # else no table is there to tell of
            self._observe(finished)
        if isinstance(failure, BudgetReached) and (purse := self._till.purse) is not None:
            failure.hint = larger(failure, purse, finished)
        if isinstance(failure, Interrupted) and not pilot:
            failure.told = True
        if failure is not None:
            raise failure
        return finished

    def _write(self, failure: RunError | None) -> RunFinished:
        """Write the table from the journal, unless this is a pilot, and return the closing figures of the whole run."""
        job = self._job
        with reading(job.run_path, abandoned=True, book=Book.of(job)) as reader:  # nothing is in flight any more
            totals = reader.totals()
            rows = totals.rows if self._chosen is not None else _publish(self._prepared, reader, totals, self._observe)
            maybe_paid = reader.maybe_paid_rows()
            judged = tallied(self._prepared.source, reader, job)
        by_status = dict(totals.by_status)
        if (missing := rows * job.samples - totals.answers) > 0:
            by_status[Status.PENDING] = by_status.get(Status.PENDING, 0) + missing
        return RunFinished(
            output=job.output_path,
            rows=rows,
            by_status=by_status,
            by_error=totals.by_error,
            usage=totals.usage,
            attempts=totals.attempts,
            maybe_paid=totals.maybe_paid,
            seconds=time.monotonic() - self._started,
            exit_code=failure.exit_code
            if failure is not None
            else int(not all(STATUS_FACTS[Status(name)].ok for name in by_status)),
            simulated=job.provider.simulated,
            notes=_closing_notes(totals, maybe_paid),
            unknown_usage=totals.unknown_usage,
            samples=job.samples,
            functions=tuple(self._functions.values()),
            accuracy=tuple((tally.name, tally.right, tally.rows) for tally in judged),
            money=totals.money,
            caching=totals.caching,
        )

    def _end(self, exit_code: int) -> None:
        """Note how the session ended. Where even that fails the run has said worse before, and its answers are safe."""
        with suppress(RunError):
            end_session(journal_path(self._job.run_path), exit_code)

    def _open(self) -> Journal:
        if self._journal is None:
            raise SpecError([Problem("", "the session is closed")])
        return self._journal


def _keep_apart(plan: Plan, job: Job, *, retry: bool) -> None:
    """Never put simulated answers beside real ones, or silently in their place. Raises ``SpecError``."""
    if plan.stands_on is None or (plan.stands_on == "simulated" and not retry):
        return
    harm = "mix both in one table" if retry else "put simulated answers in their place"
    message = f"the answers of the last run are {plan.stands_on}; asking {job.provider.label} now would {harm}"
    hint = "give the same --set as in the last run, or another output.path"
    raise SpecError([job.problem("provider", message)], source=job.source, hint=hint)


def _publish(prepared: Prepared, reader: Reader, totals: Totals, observe: Observer) -> int:
    """Write the table and return how many rows it has."""
    job = prepared.job
    return write_table(prepared.source, reader, prepared.columns, job.output_path, observe, metadata(job, totals))


def metadata(job: Job, totals: Totals) -> dict[str, object]:
    """Return what the output file says of itself under the key ``pipeline``: the job's name, who answered, and what the rows add up to."""
    return {
        "job": job.name,
        "provider": job.provider.label,
        "model": job.model,
        "version": version("responses-pipeline"),
        "rows": totals.rows,
        "samples": totals.samples,
        "by_status": dict(totals.by_status),
        "input_tokens": totals.usage.input_tokens,
        "cached_tokens": totals.usage.cached_tokens,
        "output_tokens": totals.usage.output_tokens,
        "reasoning_tokens": totals.usage.reasoning_tokens,
        "total_tokens": totals.usage.total_tokens,
        "cache_write_tokens": totals.usage.cache_write_tokens,
        "vendor_cost": totals.usage.vendor_cost,
        "superseded_total_tokens": totals.superseded.total_tokens,
        "attempts": totals.attempts,
        "maybe_paid_attempts": totals.maybe_paid,
        "rows_without_usage": totals.unknown_usage,
        **totals.money.figures(),
        "prompt_cache": totals.caching.figures(),
    }


def _closing_notes(totals: Totals, maybe_paid: list[int]) -> tuple[str, ...]:
    notes = []
    if maybe_paid:
        rows = ", ".join(map(str, maybe_paid[:10])) + (", …" if len(maybe_paid) > 10 else "")
        notes.append(
            f"1 attempt left and its end is not known; it may have been paid (row {rows})"
            if totals.maybe_paid == 1
            else f"{totals.maybe_paid:,} attempts left and their end is not known; they may have been paid (rows {rows})"
        )
    if totals.to_fetch == 1:
        notes.append("1 background response is still with the provider; the same command fetches it")
    elif totals.to_fetch:
        notes.append(
            f"{totals.to_fetch:,} background responses are still with the provider; the same command fetches them"
        )
    if totals.cancelled == 1:
        notes.append("1 response was cancelled at the provider; what it cost is not known")
    elif totals.cancelled:
        notes.append(f"{totals.cancelled:,} responses were cancelled at the provider; what they cost is not known")
    if totals.superseded.total_tokens:
        notes.append(f"{totals.superseded.total_tokens:,} tokens went into answers that the table no longer uses")
    return tuple(notes)
