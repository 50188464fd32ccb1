"""Read a journal, also while a run writes it: for the final table, ``status``, ``show`` and ``export``."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from pipeline.checkpoint import schema
from pipeline.checkpoint.across import asks_nothing, completed, deciding
from pipeline.checkpoint.caching import caching_of
from pipeline.checkpoint.money import install
from pipeline.checkpoint.packing import unpack
from pipeline.checkpoint.results import Results, lines_of
from pipeline.checkpoint.rundir import is_held, journal_path
from pipeline.checkpoint.store import check_version, opened
from pipeline.cost.prices import Book
from pipeline.cost.rates import in_dollars
from pipeline.errors import RunDirectoryError
from pipeline.events import Caching, Money
from pipeline.records import Status, Usage
from pipeline.spec.job import Job
from pipeline.wire.slim import slim

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Sequence


@dataclass(frozen=True, slots=True)
class Totals:
    """What a run's rows add up to; ``by_error`` says for each status how many of its rows ended so for which kind of error.

    Where each of the ``rows`` is asked for several ``samples``, every figure but ``rows`` counts single answers.
    ``usage`` and ``attempts`` are what the table's rows carry; ``superseded`` is what the journal paid for answers that no row of the
    table uses any more. Together they are the provider's bill, but for ``maybe_paid``: attempts that left and whose end is not known.
    ``to_fetch`` counts attempts that the provider works on or has finished in the background, and whose answers are not here yet; those
    to questions that no row asks any more count as ``maybe_paid`` instead.
    ``cancelled`` counts attempts that were cancelled at the provider without a word on what they cost.
    ``unknown_usage`` counts the answers whose tokens the provider did not report.
    """

    rows: int
    by_status: Mapping[str, int]
    by_error: Mapping[str, Mapping[str, int]]
    usage: Usage
    superseded: Usage
    attempts: int
    maybe_paid: int
    to_fetch: int = 0
    cancelled: int = 0
    unknown_usage: int = 0
    samples: int = 1
    money: Money = field(default_factory=Money)
    caching: Caching = field(default_factory=Caching)

    @property
    def answers(self) -> int:
        """How many answers these rows have, or lack for a known reason; with one sample, how many rows."""
        return sum(self.by_status.values())


_RAW = schema.RESULT.index("raw")

# What is shown of a row, or of a sample, before its attempts.
_SHOWN = (
    *(
        "row",
        "sample",
        "status",
        "error_kind",
        "error_message",
        "provider",
        "model",
        "service_tier",
        "response_id",
        "refusal",
    ),
    *(
        "output",
        "tool_calls",
        "sources",
        "searches",
        "images",
        "notes",
        "confidence",
        "phase",
        "reasoning_summary",
        "vendor_cost",
        "cost_usd",
        "cost_note",
    ),
)


class Reader:
    """What the newest plan of a journal says; made by ``reading``.

    ``abandoned`` says that no process holds the run: attempts that have no end by then will never have one, and may have been paid.
    """

    def __init__(self, connection: sqlite3.Connection, *, abandoned: bool, book: Book | None = None) -> None:
        """Read from an open connection. Costs are by the prices in ``book``, else by those of the job as the newest session ran it."""
        self._connection = connection
        self.lines = (
            connection.execute
        )  # finds whatever is asked of the tables in `schema`, for sums that only a report needs
        self._pricer = install(connection, lambda: book if book is not None else self._book())
        self._abandoned = abandoned
        query = "SELECT id, rows, input_signature, samples, simulated FROM plans ORDER BY id DESC LIMIT 1"
        newest = connection.execute(query).fetchone() or (0, None, None, 1, 0)
        self.plan: int = newest[0]
        self.planned_rows: int | None = newest[1]
        self.input_signature: str | None = newest[2]
        self.samples: int = newest[3]
        self._simulated = bool(newest[4])
        self.found = Results(connection, self.plan, self._pricer.served)

    def session(self) -> Mapping[str, object]:
        """Return the newest session: the job as it was run (``job``, ``folder``), when it started and ended, and its exit code."""
        names = ("job", "folder", "started_at", "ended_at", "exit_code", "pid", "version")
        found = self._connection.execute(f"SELECT {', '.join(names)} FROM sessions ORDER BY id DESC LIMIT 1").fetchone()  # noqa: S608
        if found is None:
            raise RunDirectoryError("the run has not started yet", hint="run the job first")
        return {**dict(zip(names, found, strict=True)), "job": json.loads(found[0])}

    def job(self) -> Job:
        """Return the job as its newest session ran it: with its ``--set`` changes, and variables already filled in."""
        session = self.session()
        return Job.model_validate(session["job"]).located(Path(str(session["folder"])))

    def _book(self) -> Book:
        try:
            return Book.of(self.job())
        except ValidationError:  # written by a version that knew other settings: everything but the prices can be told
            return Book.without_prices(
                "this version cannot read the job of the last run, and so not its prices: give the spec"
            )

    def results(self, first: int, last: int, *, raw: bool = False) -> list[tuple[object, ...]]:
        """Return the results of the rows from ``first`` to ``last``, each row's samples in order, as ``schema.RESULT`` lists them.

        With ``raw`` they hold the body of the answering reply too, as JSON.
        """
        return lines_of(
            self.found.values(first, last, schema.RESULT if raw else schema.RESULT[:_RAW] + schema.RESULT[_RAW + 1 :])
        )

    def totals(self) -> Totals:
        """Add up the newest plan's rows, and what was spent beside them, all as of one moment."""
        with self.still():
            by_status, by_error = _endings(self)
            *carried, unknown_usage = self._connection.execute(schema.CARRIED, (self.plan,)).fetchone()
            spent = self._connection.execute(schema.SPENT).fetchone()
            left, submitted = (count or 0 for count in self._connection.execute(schema.COUNT_SENT).fetchone())
            awaited = self._connection.execute(schema.COUNT_AWAITED, (self.plan,)).fetchone()[0] if submitted else 0
            maybe = (left if self._abandoned else 0) + submitted - awaited
            beside = [
                None if whole is None else whole - (part or 0) for whole, part in zip(spent, carried, strict=True)
            ]
            return Totals(
                rows=self._connection.execute(schema.COUNT_ROWS, (self.plan,)).fetchone()[0],
                by_status=by_status,
                by_error=by_error,
                usage=Usage(*carried[:5], *carried[7:]),
                superseded=Usage(*beside[:5], *beside[7:]),
                attempts=spent[5] or 0,
                maybe_paid=(spent[6] or 0) + maybe,
                to_fetch=awaited,
                cancelled=self._connection.execute(schema.COUNT_CANCELLED).fetchone()[0],
                unknown_usage=unknown_usage or 0,
                samples=self.samples,
                money=self._money(maybe),
                caching=caching_of(self.lines),
            )

    @contextmanager
    def still(self) -> Iterator[None]:
        """Let all that is read inside be of one moment: a run that goes on would change the figures between one query and the next."""
        if self._connection.in_transaction:
            yield
            return
        self._connection.execute("BEGIN")
        try:
            yield
        finally:
            self._connection.execute("COMMIT")

    def _money(self, open_ended: int) -> Money:
        """Add up what the attempts cost; ``open_ended`` ones among those without an end will never have one."""
        query, (last,) = schema.MONEY.format(usual=self.found.usual), self.lines(schema.LAST_ATTEMPT).fetchone()
        table, superseded = [0] * 6, [0] * 6
        for first, end in _pieces(1, last):
            for carried, *parts in self.lines(query, (self.plan, first, end)):
                sums = table if carried else superseded
                sums[:] = [one + (other or 0) for one, other in zip(sums, parts, strict=True)]
        maybe_paid, unreported, unpriced = (one + other for one, other in zip(table[3:], superseded[3:], strict=True))
        return Money(
            table=_sum_known(table),
            superseded=_sum_known(superseded),
            maybe_paid=maybe_paid + open_ended,
            unreported=unreported,
            unpriced=unpriced,
            prices=self._pricer.prices,
            gaps=tuple(self._pricer.gaps),
            simulated=self._simulated,
        )

    def maybe_paid_rows(self, limit: int = 20) -> list[int]:
        """Return the first rows that have an attempt which may have been paid without an answer."""
        found = self._connection.execute(schema.MAYBE_PAID_ROWS, (self._abandoned, self.plan, limit))
        return [row for (row,) in found]

    def row(self, number: int) -> Mapping[str, object]:
        """Return everything known of one row: its result, and every attempt of its request with the reply's body.

        Where the row asks several times, ``samples`` holds that for each of its requests, and the status is the one of the table.
        """
        found = self.results(number, number)
        if not found:
            return {"row": number, "status": Status.PENDING.value, "attempts": []}
        if self.samples == 1 or asks_nothing(found[0]):
            return self._sample(found[0])
        shown = [self._sample(line) for line in completed(number, found, self.samples)]
        statuses = [str(sample["status"]) for sample in shown]
        return {"row": number, "status": statuses[deciding(statuses)], "samples": shown}

    def _sample(self, result: Sequence[object]) -> dict[str, object]:
        values = dict(zip(schema.RESULT, result, strict=True))
        attempts = [
            {
                **_in_dollars(dict(zip(schema.ATTEMPT, line[:-1], strict=True))),
                "reply": slim(unpack(line[-1])) if line[-1] is not None else None,
            }
            for line in self._connection.execute(schema.ATTEMPTS, (values["row"], values["sample"], self.plan))
        ]
        return {**_in_dollars({name: values[name] for name in _SHOWN}), "attempts": attempts}


def _endings(reader: Reader) -> tuple[dict[str, int], dict[str, dict[str, int]]]:
    """Count the plan's answers by their status, and those that are not as wished by the kind of their error, too."""
    by_status: Counter[str] = Counter()
    by_error: dict[str, Counter[str]] = {}
    (rows,) = reader.lines(schema.ROWS_KNOWN, (reader.plan,)).fetchone()
    for first, end in _pieces(0, rows - 1):
        for status, kind, count in reader.lines(schema.BY_STATUS, (reader.plan, reader.samples, first, end)):
            by_status[status] += count
            if kind is not None and status not in (Status.OK, Status.PENDING):
                by_error.setdefault(status, Counter())[kind] += count
    return dict(by_status), {status: dict(kinds) for status, kinds in by_error.items()}


def _pieces(first: int, last: int) -> Iterator[tuple[int, int]]:
    """Yield the ends of consecutive spans of ``schema.AT_ONCE`` numbers."""
    return ((start, min(start + schema.AT_ONCE - 1, last)) for start in range(first, last + 1, schema.AT_ONCE))


def _sum_known(line: Sequence[int | None]) -> int | None:
    """Return the sum of a line of ``schema.MONEY``; None where it has attempts of unknown cost and no others."""
    parts, rest, known, *unknown = line
    return None if not known and any(unknown) else (parts or 0) * schema.PART + (rest or 0)


def _in_dollars(values: Mapping[str, Any]) -> dict[str, object]:
    return {**values, "cost_usd": in_dollars(values["cost_usd"])}


@contextmanager
def reading(run_dir: Path, *, abandoned: bool | None = None, book: Book | None = None) -> Iterator[Reader]:
    """Open a run directory's journal for reading. Raises ``RunDirectoryError`` where there is none that this version reads.

    ``abandoned`` is given by who holds the run and knows that nothing is in flight any more; others look whether somebody holds it.
    ``book`` holds the prices; by default they are those of the job as it was last run.
    """
    path = journal_path(run_dir)
    if not path.exists():
        raise RunDirectoryError(
            f"{run_dir} holds no run", hint="give the spec or the run directory of a job that was run"
        )
    with opened(path, read_only=True) as connection:
        check_version(connection.execute("PRAGMA user_version").fetchone()[0], path)
        yield Reader(connection, abandoned=not is_held(run_dir) if abandoned is None else abandoned, book=book)
