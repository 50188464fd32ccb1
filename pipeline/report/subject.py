"""What a report is about: a run's journal and, as far as it is still there and unchanged, the input that it asked about."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.checkpoint.reader import reading
from pipeline.checkpoint.rundir import is_held, table_of
from pipeline.cost.prices import Book
from pipeline.errors import DataError, RowError, SpecError
from pipeline.prompt.build import RequestBuilder, sampled
from pipeline.records import Row
from pipeline.rows.columns import cells
from pipeline.rows.source import open_source
from pipeline.spec.job import Job
from pipeline.wire.dialect import Endpoint

if TYPE_CHECKING:
    from collections.abc import Collection

    from pipeline.checkpoint.reader import Reader
    from pipeline.records import Request
    from pipeline.rows.source import Source

CHANGED = (
    "the input has changed since its rows were asked, or is gone: inputs, pictures and requests are not shown, and nothing is "
    "told by input columns"
)
_NO_CODE = "requests are shown without the job's functions, whose code is not run for a report"


@dataclass(frozen=True, slots=True)
class Input:
    """The input of a run, as it was when its rows were asked, and what makes requests of its rows."""

    source: Source
    builder: RequestBuilder

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the input's columns."""
        return tuple(self.source.schema.names)

    def cells(
        self, rows: Collection[int], columns: Sequence[str] | None = None
    ) -> Iterator[tuple[int, dict[str, object]]]:
        """Yield the number and the cells of these rows, in order. Blocking. Raises ``DataError`` where a file is damaged."""
        wanted = sorted(rows)
        asked = set(wanted)
        for batch in self.source.batches(columns, wanted=lambda first, count: _any_in(wanted, first, count)):
            numbers = list(batch.numbers)
            places = [place for place, number in enumerate(numbers) if number in asked]
            if places:
                yield from zip((numbers[place] for place in places), cells(batch.table.take(places)), strict=True)

    def request(self, row: int, values: Mapping[str, object], sample: int = 0) -> Request | None:
        """Return the request that a row makes, or None where it makes none."""
        try:
            return sampled(self.builder.build(Row(row, values)), sample)
        except (RowError, RecursionError):
            return None


@dataclass(frozen=True, slots=True)
class Subject:
    """A run as its newest session ran it. ``input`` is None where the input is another one by now; ``notes`` say so.

    ``table`` is where the run's table has its place, with its pictures beside it.
    """

    reader: Reader
    book: Book
    session: Mapping[str, object]
    job: Job
    endpoint: Endpoint
    input: Input | None
    running: bool
    table: Path
    notes: tuple[str, ...] = ()

    def verifiable(self) -> bool:
        """Whether a request that is made again has the fingerprint under which it was asked."""
        return self.job.dedupe and not self.job.tools.functions and self.job.extra_body.get("conversation") is None


@contextmanager
def opened_subject(run_dir: Path, book: Book | None = None) -> Iterator[Subject]:
    """Open a run for a report, also while it goes on; all that is read is of one moment. Raises ``RunDirectoryError``.

    ``book`` holds the prices; by default they are those of the job as it was last run.
    """
    with reading(run_dir, book=book) as reader, reader.still():
        session, job = reader.session(), reader.job()
        endpoint = job.provider.endpoint()
        found = _input(job, endpoint, reader.input_signature)
        notes = [CHANGED] * (found is None) + [_NO_CODE] * bool(found and job.tools.functions)
        yield Subject(
            reader=reader,
            book=book or Book.of(job),
            session=session,
            job=job,
            endpoint=endpoint,
            input=found,
            running=is_held(run_dir),
            table=table_of(run_dir, job),
            notes=tuple(notes),
        )


def _input(job: Job, endpoint: Endpoint, signature: str | None) -> Input | None:
    try:
        source = open_source(job.input, job.place("."))
        if source.signature() != signature:
            return None
        return Input(source, RequestBuilder(job, endpoint, source.root))
    except (DataError, SpecError):
        return None


def _any_in(ordered: Sequence[int], first: int, count: int) -> bool:
    at = bisect_left(ordered, first)
    return at < len(ordered) and ordered[at] < first + count
