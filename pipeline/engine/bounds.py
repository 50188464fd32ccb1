"""What `check` demands of a job with a budget: that the worst case of its requests is known, and that one of them fits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.checkpoint.known import known_answers
from pipeline.cost.budget import counted
from pipeline.cost.prices import Book
from pipeline.cost.rates import dollars
from pipeline.cost.worst import Worst, picos_of, today
from pipeline.engine.first import FIRST_ROWS, first_requests
from pipeline.errors import Problem, RowError, SpecError, Unbounded
from pipeline.records import Amount

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.engine.check import Prepared
    from pipeline.records import Request
    from pipeline.spec.job import Job

USUAL = 64
"""Requests at once, below which a budget that allows no more is worth a word where the job does not set its concurrency."""


def check_budget(prepared: Prepared) -> tuple[str, ...]:
    """Weigh the first requests against the job's budget, and return what should be known about it. Blocking.

    Raises ``SpecError`` where nobody can say of any of them what it could cost at most, or where not even one fits and one of them has no
    answer yet. A single row that cannot be bounded fails alone.
    """
    job = prepared.job
    if not job.budget.is_set:
        return ()
    worst = Worst(job, prepared.endpoint.dialect, Book.of(job))
    asked: list[Request] = []
    bounded: list[Amount] = []
    failed: list[tuple[int, Unbounded]] = []
    for row, request in first_requests(prepared, FIRST_ROWS, measured=True):
        if isinstance(request, RowError):
            continue
        asked.append(request)
        try:
            bounded.append(worst.of(request, today())[1])
        except Unbounded as error:
            failed.append((row, error))
    if failed and not bounded:
        raise SpecError(_mistakes(job, failed), source=job.source, hint=failed[0][1].hint)
    return (*_fitting(prepared, bounded, asked), *_exceptions(failed, len(bounded)))


def _mistakes(job: Job, failed: Sequence[tuple[int, Unbounded]]) -> list[Problem]:
    found: dict[str, Problem] = {}
    for row, error in failed:
        message = f"{error.message} (row {row}; no row can be bounded)"
        found.setdefault(error.place, job.problem(error.place, message))
    return list(found.values())


def _fitting(prepared: Prepared, bounded: Sequence[Amount], asked: Sequence[Request]) -> tuple[str, ...]:
    """Say what each cap means, and how many requests it allows at once where that is few. Raises ``SpecError`` where it is none, unless
    all that were ``asked`` have an answer: who only writes the table again needs no money.
    """
    job, caps, notes = prepared.job, prepared.job.budget, []
    for name, cap, worst, shown in (
        ("usd", picos_of(caps.usd), [each.picos for each in bounded], dollars),
        ("tokens", caps.tokens, [each.tokens for each in bounded], counted),
    ):
        if cap is None or not worst:
            continue
        if min(worst) > cap:
            message = f"is less than one request could cost: {shown(min(worst))}"
            if not _all_known(prepared, asked):
                raise SpecError([job.problem(f"budget.{name}", message)], source=job.source)
            notes.append(f"budget.{name} {message}; no new one can leave")
            continue
        held = f"up to {shown(max(worst))} is held for each request on its way"
        at_once = cap // max(max(worst), 1)
        few = f", so that it allows {at_once:,} at once; a lower request.max_output_tokens allows more"
        tight = at_once < (job.limits.concurrency or USUAL)
        notes.append(f"budget: at most {shown(cap)} over all runs; {held}{few if tight else ''}")
    return tuple(notes)


def _all_known(prepared: Prepared, asked: Sequence[Request]) -> bool:
    """Tell whether the journal has an answer to each of these requests. Raises ``RunDirectoryError``."""
    known = known_answers(prepared.job.run_path, prepared.start(), dedupe=prepared.dedupe)
    return all(known.sort(request)[0] for request in asked)


def _exceptions(failed: Sequence[tuple[int, Unbounded]], bounded: int) -> tuple[str, ...]:
    if not failed:
        return ()
    row, error = failed[0]
    return (f"{len(failed)} of the first {len(failed) + bounded} rows will fail (row {row}: {error.message})",)
