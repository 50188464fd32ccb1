"""How answers compare with the known ones that the input brings along (``output.gold``)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pipeline.checkpoint.across import deciding
from pipeline.checkpoint.votes import endings, mean, vote
from pipeline.records import STATUS_FACTS, Status
from pipeline.rows.columns import to_python
from pipeline.spec.columns import FieldsError

if TYPE_CHECKING:
    from pipeline.checkpoint.reader import Reader
    from pipeline.rows.source import Source
    from pipeline.spec.columns import FieldType
    from pipeline.spec.job import Job

MOST_WRONG = 10_000
"""Rows that are remembered as wrong; further ones are counted only."""

_TEXTS = """
SELECT r.row, r.sample, COALESCE(a.status, r.status, 'pending'), a.text
FROM rows AS r LEFT JOIN requests AS q ON q.id = r.request LEFT JOIN requests AS a ON a.id = COALESCE(q.answered_by, q.id)
WHERE r.plan = ? AND r.row BETWEEN ? AND ? ORDER BY r.row, r.sample
"""


@dataclass(slots=True)
class Tally:
    """How often the field ``name`` has the value of the input column ``gold``, over the rows with both.

    ``pairs`` counts (known, answered); ``unanswered`` counts rows with a known answer that have none of ours. ``wrong`` are row numbers.
    """

    name: str
    gold: str
    right: int = 0
    unanswered: int = 0
    pairs: Counter[tuple[str, str]] = field(default_factory=Counter)
    wrong: list[int] = field(default_factory=list)

    @property
    def rows(self) -> int:
        """How many rows have both."""
        return self.pairs.total()

    def count(self, row: int, known: object, answer: object) -> None:
        """Take in one row; None and an empty text are no known answer."""
        wanted, got = plain(known), plain(answer)
        if not wanted:
            return
        if got is None:
            self.unanswered += 1
            return
        self.pairs[wanted, got] += 1
        if wanted == got:
            self.right += 1
        elif len(self.wrong) < MOST_WRONG:
            self.wrong.append(row)


def plain(value: object) -> str | None:
    """Return one spelling of a value, so that `1`, `1.0` and the text `1` of a CSV file, or `true` and `True`, are the same answer."""
    if value is None:
        return None
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return str(int(value)) if float(value).is_integer() else str(value)
    text = str(value).strip()
    return text.lower() if text in ("True", "False") else text


def tallied(source: Source, reader: Reader, job: Job) -> list[Tally]:
    """Compare the answers of the newest plan with the known ones, for each field that has any. Blocking; raises ``DataError``."""
    tallies = [Tally(name, column) for name, column in job.output.known.items()]
    for batch in source.batches([tally.gold for tally in tallies]) if tallies else ():
        numbers = list(batch.numbers)
        answers = dict(answers_between(reader, job, numbers[0], numbers[-1])) if numbers else {}
        known = {tally.gold: to_python(batch.table.column(tally.gold)) for tally in tallies}
        for place, number in enumerate(numbers):
            for tally in tallies:
                tally.count(number, known[tally.gold][place], answers.get(number, _NONE).get(tally.name))
    return tallies


_NONE: Mapping[str, object] = {}


def answers_between(reader: Reader, job: Job, first: int, last: int) -> Iterator[tuple[int, Mapping[str, object]]]:
    """Yield the answer of each row from ``first`` to ``last`` by its fields; a job without fields has one, ``output``.

    Of several samples it is the vote, of numbers with a fraction the mean. Rows without an answer have no fields.
    """
    samples: list[tuple[str, str | None]] = []
    before: int | None = None
    for row, _, status, text in reader.lines(_TEXTS, (reader.plan, first, last)):
        if row != before and before is not None:
            yield before, _answer(job, samples)
            samples = []
        samples.append((status, text))
        before = row
    if before is not None:
        yield before, _answer(job, samples)


def _answer(job: Job, samples: list[tuple[str, str | None]]) -> Mapping[str, object]:
    fields = job.output.fields
    if fields is None:
        text = samples[deciding([status for status, _ in samples])][1]
        return {} if text is None else {"output": text}
    read: list[Mapping[str, object]] = []
    for status, text in samples:
        if status == Status.OK and text is not None:
            try:
                read.append(fields.read(text))
            except FieldsError:
                continue  # journaled as ok by an older reading of the same schema
    if len(samples) == 1 or not read:
        return read[0] if read else {}
    answered = sum(STATUS_FACTS[Status(status)].answered for status, _ in samples)
    return {
        column.name: _common([each[column.name] for each in read], column.type, answered) for column in fields.columns
    }


def _common(values: list[Any], type_: FieldType, answered: int) -> object:
    match endings(type_):
        case ("mean",):
            return mean(values)
        case ("vote", *_):
            return vote(values, answered).value
        case _:
            return values[0]  # lists and maps have no vote: the first stands for them
