"""Tell what became of a run: its journal and its input, as the values that a page draws.

Sums are over all rows, whatever their number; rows that are shown one by one are a sample, and the notes say so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from pipeline.checkpoint.gold import tallied
from pipeline.checkpoint.ledger import read_ledger
from pipeline.cost.rates import in_dollars
from pipeline.errors import DataError, Problem, SpecError
from pipeline.records import STATUS_FACTS, Status, Turn
from pipeline.report.bill import bill_of
from pipeline.report.cards import Gallery
from pipeline.report.choosing import choose
from pipeline.report.failures import failures
from pipeline.report.groups import breakdown, models, retried
from pipeline.report.input_values import few_valued
from pipeline.report.moments import course_of
from pipeline.report.outliers import Unusual, unusual
from pipeline.report.story import Breakdown, Cache, Story, Tokens
from pipeline.report.text import counted, duration
from pipeline.report.verdicts import verdicts
from pipeline.rows.columns import suggest

if TYPE_CHECKING:
    from pipeline.checkpoint.gold import Tally
    from pipeline.checkpoint.ledger import Ledger
    from pipeline.checkpoint.reader import Totals
    from pipeline.events import Caching
    from pipeline.records import Usage
    from pipeline.report.moments import Course
    from pipeline.report.subject import Subject

DAMAGED = "the input can no longer be read: {error}; what depends on it is not shown"
CHOSEN = (
    "not all rows are shown one by one: failed, retried, repaired and unusual ones come first, others by chance; "
    "all figures are over all rows"
)
NOTHING_UNUSUAL = Unusual((), ())


def story_of(
    subject: Subject, *, made_at: float, by: Sequence[str] = (), command: str = "pipeline run SPEC", cards: bool = True
) -> Story:
    """Return the story of an opened run, also of one that goes on. Blocking: a million rows take under a minute.

    ``by`` names input columns whose values are told whatever their number. ``made_at`` is now, ``command`` how the run is started. Without
    ``cards`` no single rows are shown. Raises ``SpecError`` for a column that the input does not have.
    """
    totals = subject.reader.totals()
    ledger = read_ledger(subject.reader)
    course = course_of(ledger.attempts)
    seen = _seen(subject, ledger, by)
    gallery = Gallery(subject)
    choice = choose(ledger.rows, ledger.attempts, seen.outlying, seen.wrong) if cards else None
    if choice is not None:
        gallery.fill(choice)
    chosen = choice is not None and (not choice.complete or len(gallery.cards) < len(choice.tags))
    session, facts = subject.session, _sessions(subject)
    judged = [verdicts(tally) for tally in seen.tallies]
    return Story(
        name=subject.job.name,
        provider=subject.job.provider.label,
        simulated=subject.job.provider.simulated,
        version=str(session["version"]),
        made_at=made_at,
        started_at=facts["started_at"],
        ended_at=None if subject.running else facts["ended_at"],
        running=subject.running,
        exit_code=None if subject.running else facts["exit_code"],
        rows=subject.reader.planned_rows or totals.rows,
        samples=totals.samples,
        by_status=_by_status(subject, totals),
        attempts=totals.attempts,
        tokens=_tokens(totals.usage),
        bill=bill_of(subject, totals.money, ledger.attempts),
        models=models(ledger),
        columns=seen.columns,
        moments=course.moments,
        failures=failures(subject.reader, ledger.rows, command),
        retried=retried(ledger),
        repaired=_repaired(ledger),
        outliers=seen.unusual.outliers,
        verdicts=judged[0] if judged else None,
        cards=gallery.cards,
        notes=[*seen.notes, *_notes(course, gallery, chosen=chosen)],
        more_verdicts=judged[1:],
        paused_s=course.paused_s,
        cache=_cache(totals.caching),
    )


@dataclass(frozen=True, slots=True)
class _Seen:
    """What the input shows beside the journal."""

    notes: Sequence[str]
    columns: Sequence[Breakdown] = ()
    tallies: Sequence[Tally] = ()
    unusual: Unusual = NOTHING_UNUSUAL

    @property
    def outlying(self) -> list[int]:
        return [outlier.row for outlier in self.unusual.outliers]

    @property
    def wrong(self) -> list[int]:
        return [row for tally in self.tallies for row in tally.wrong]


def _seen(subject: Subject, ledger: Ledger, by: Sequence[str]) -> _Seen:
    """Return what the input shows, as far as it is still there."""
    found = subject.input
    if found is None:
        return _Seen(subject.notes)
    for name in by:
        if name not in found.columns:
            problem = Problem("--by", f"the input has no column {name!r}", suggestion=suggest(name, found.columns))
            raise SpecError([problem], source="report")
    try:
        odd = unusual(subject, ledger)
        return _Seen(
            notes=[*subject.notes, *odd.notes],
            columns=[breakdown(ledger, name, values) for name, values in few_valued(found.source, by).items()],
            tallies=tallied(found.source, subject.reader, subject.job),
            unusual=odd,
        )
    except DataError as error:
        return _Seen([*subject.notes, DAMAGED.format(error=error.message)])


def _sessions(subject: Subject) -> dict[str, Any]:
    """Return when the first session began, and when and how the last one ended."""
    query = "SELECT MIN(started_at), (SELECT ended_at FROM sessions ORDER BY id DESC LIMIT 1) FROM sessions"
    started_at, ended_at = next(subject.reader.lines(query))
    return {"started_at": started_at, "ended_at": ended_at, "exit_code": subject.session["exit_code"]}


def _by_status(subject: Subject, totals: Totals) -> list[tuple[str, int, str, bool]]:
    counts: dict[str, int] = dict(totals.by_status)
    if (planned := subject.reader.planned_rows) is not None and (
        missing := planned * totals.samples - totals.answers
    ) > 0:
        counts[Status.PENDING] = counts.get(Status.PENDING, 0) + missing
    facts = ((status, counts.get(status, 0), STATUS_FACTS[status]) for status in Status)
    return [(status.value, count, fact.meaning, fact.ok) for status, count, fact in facts if count]


def _tokens(usage: Usage) -> Tokens:
    return Tokens(
        usage.input_tokens,
        usage.cached_tokens,
        usage.cache_write_tokens,
        usage.output_tokens,
        usage.reasoning_tokens,
        usage.total_tokens,
    )


def _cache(caching: Caching) -> Cache | None:
    if not caching.hits:
        return None
    saved = in_dollars(caching.saved)
    return Cache(caching.requests, caching.hits, caching.input_tokens, caching.cached_tokens, saved)


def _repaired(ledger: Ledger) -> int:
    """Count the requests whose answer was mended: a round asked for that, and the answer is as wished now."""
    asked = ledger.attempts.filter(pl.col("turn") == Turn.REPAIR.value).select("request").unique()
    mended = ledger.rows.filter(pl.col("status") == Status.OK.value).join(asked, on="request", how="semi")
    return mended["request"].n_unique()


def _notes(course: Course, gallery: Gallery, *, chosen: bool) -> list[str]:
    notes = [*([CHOSEN] if chosen else []), *gallery.thumbnails.notes]
    if course.pauses:
        paused = f"{counted(course.pauses, 'pause')} between starts, {duration(course.paused_s)} in all"
        notes.append(f"the course of the run leaves out {paused}")
    return notes
