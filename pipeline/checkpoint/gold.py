"""How answers compare with the known ones that the input brings along (``output.gold``)."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

from pipeline.checkpoint.across import deciding
from pipeline.checkpoint.votes import endings, mean, vote
from pipeline.records import STATUS_FACTS, Status
from pipeline.rows.columns import to_python
from pipeline.spec.columns import FieldsError, Scalar

if TYPE_CHECKING:
    from pipeline.checkpoint.reader import Reader
    from pipeline.rows.source import Source
    from pipeline.spec.columns import FieldType
    from pipeline.spec.job import Job

MOST_WRONG = 10_000
"""Rows that are remembered as wrong; further ones are counted only."""

_WORDS: Mapping[str, str] = {
    **dict.fromkeys(("true", "t", "yes", "y", "1"), "true"),
    **dict.fromkeys(("false", "f", "no", "n", "0"), "false"),
}
_DIGITS = 12  # significant ones of a number with a fraction: the last ones are rounding, as in 0.1 + 0.2
_LARGEST = 400  # digits up to which a whole number is written out

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
    type: FieldType
    right: int = 0
    unanswered: int = 0
    pairs: Counter[tuple[str, str]] = field(default_factory=Counter)
    wrong: list[int] = field(default_factory=list)

    @property
    def rows(self) -> int:
        """How many rows have both."""
        return self.pairs.total()

    def count(self, row: int, known: object, answer: object) -> None:
        """Take in one row; None, NaN and an empty text are no known answer."""
        wanted, got = spelled(known, self.type), spelled(answer, self.type)
        if not wanted or (isinstance(known, float) and math.isnan(known)):
            return
        if got is None:
            self.unanswered += 1
            return
        self.pairs[wanted, got] += 1
        if wanted == got:
            self.right += 1
        elif len(self.wrong) < MOST_WRONG:
            self.wrong.append(row)


def spelled(value: object, type_: FieldType | None) -> str | None:
    """Return one spelling of a value as a field of that type has it, so that `0.50` or `TRUE` of a CSV file are the answers 0.5 and true.

    What is no value of the type keeps its own spelling; without a type every value does.
    """
    match type_:
        case Scalar("int" | "float" as kind):
            return _number(value, kind)
        case Scalar("bool"):
            text = plain(value)
            return text if text is None else _WORDS.get(text.lower(), text)
        case Scalar("json") if isinstance(value, str):
            return _json(value)
    return plain(value)


def plain(value: object) -> str | None:
    """Return one spelling of a value of any type: `1` and `1.0`, `true` and `True`, or objects in any order, are the same."""
    if value is None:
        return None
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else str(value)
    if isinstance(value, Mapping | list | tuple):
        return json.dumps(_sortable(value), sort_keys=True, ensure_ascii=False)
    text = str(value).strip()
    return text.lower() if text in ("True", "False") else text


def _number(value: object, kind: str) -> str | None:
    text = plain(value)
    try:
        number = Decimal(text) if text is not None and not isinstance(value, bool) else None
    except InvalidOperation:
        return text
    if number is None or not number.is_finite() or abs(number.adjusted()) > _LARGEST:
        return text
    if kind == "int":
        return str(int(number)) if number == number.to_integral_value() else text
    nearest = float(number)
    return plain(nearest if nearest.is_integer() else float(f"{nearest:.{_DIGITS}g}"))


def _json(text: str) -> str | None:
    try:
        return plain(json.loads(text))
    except (ValueError, RecursionError):
        return plain(text)


def _sortable(value: object) -> object:
    match value:
        case Mapping():
            return {str(name): _sortable(member) for name, member in value.items()}
        case list() | tuple():
            return [_sortable(member) for member in value]
        case None | bool() | int() | float() | str():
            return value
    return str(value)


def tallied(source: Source, reader: Reader, job: Job) -> list[Tally]:
    """Compare the answers of the newest plan with the known ones, for each field that has any. Blocking; raises ``DataError``."""
    types = field_types(job)
    tallies = [Tally(name, column, types[name]) for name, column in job.output.known.items()]
    for batch in source.batches([tally.gold for tally in tallies]) if tallies else ():
        numbers = list(batch.numbers)
        answers = dict(answers_between(reader, job, numbers[0], numbers[-1])) if numbers else {}
        known = {tally.gold: to_python(batch.table.column(tally.gold)) for tally in tallies}
        for place, number in enumerate(numbers):
            for tally in tallies:
                tally.count(number, known[tally.gold][place], answers.get(number, _NONE).get(tally.name))
    return tallies


_NONE: Mapping[str, object] = {}


def field_types(job: Job) -> Mapping[str, FieldType]:
    """Return the types of a job's fields by their names; a job without fields has none."""
    return {} if job.output.fields is None else {column.name: column.type for column in job.output.fields.columns}


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
