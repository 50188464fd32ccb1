"""How what became of rows becomes the cells of the output table.

With one sample a column is made from a column, without looking at single rows: a table has a million of them. Several samples of a row
are combined row by row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.checkpoint.across import Cells, answered, combined, completed
from pipeline.checkpoint.columns import fields_of, ours_of
from pipeline.checkpoint.results import Values, lines_of
from pipeline.checkpoint.schema import RESULT, USAGE
from pipeline.checkpoint.votes import tallied
from pipeline.cost.rates import in_dollars
from pipeline.records import Status
from pipeline.spec.columns import FieldsError

if TYPE_CHECKING:
    from pipeline.checkpoint.columns import Columns, Ours
    from pipeline.spec.job import Job

# What a twin does not carry a second time, so that sums over the table are the bill.
_CARRIED = (*USAGE, "attempts", "cost_usd")
_MS_US = 1000


def needed(columns: Columns) -> tuple[str, ...]:
    """Return the names of what the cells of these columns are made from, in the order of ``schema.RESULT``."""
    job = columns.job
    if job.samples > 1:
        return tuple(name for name in RESULT if name != "raw" or job.output.raw)
    wanted = {"row", "status", "output", "attempts", "shared_from", *columns.added}
    return tuple(name for name in RESULT if name in wanted)


def answers(columns: Columns, values: Values, numbers: Sequence[int]) -> list[pa.Array]:
    """Return the columns that are not the input's, for these rows, from what became of them; what the journal does not know is pending."""
    job = columns.job
    cells = _cells(job, _aligned(values, numbers), numbers) if job.samples == 1 else _several(columns, values, numbers)
    shown = {name: _FORMS[name](cells[name]) if name in _FORMS else cells[name] for name in columns.added}
    return [pa.array(shown[name], type_) for name, type_ in zip(columns.added, columns.types, strict=True)]


def _cells(job: Job, values: Values, numbers: Sequence[int]) -> dict[str, Sequence[Any]]:
    """Return the cells of rows, or of samples, each of which has one result; a cost is still in picodollars, and times are in seconds."""
    cells = _unshared(values, numbers)
    cells["attempts"] = [attempts or 0 for attempts in cells["attempts"]]
    cells["statuses"] = cells["status"]
    if not (fields := fields_of(job)):
        return cells
    texts = cells["output"]
    read = [_answer(job, status, text) for status, text in zip(cells["status"], texts, strict=True)]
    for field in fields:
        cells[field.name] = [None if answer is None else answer[field.name] for answer in read]
    cells["output"] = [text if answer is None else None for text, answer in zip(texts, read, strict=True)]
    return cells


def _aligned(values: Values, numbers: Sequence[int]) -> dict[str, Sequence[Any]]:
    """Return the values of exactly these rows, in their order."""
    if list(values["row"]) == list(numbers):
        return dict(values)
    places = {row: place for place, row in enumerate(values["row"])}
    found = [places.get(number) for number in numbers]
    aligned: dict[str, Sequence[Any]] = {
        name: [None if place is None else column[place] for place in found] for name, column in values.items()
    }
    aligned["status"] = [Status.PENDING.value if status is None else status for status in aligned["status"]]
    return aligned


def _unshared(values: Values, numbers: Sequence[int]) -> dict[str, Sequence[Any]]:
    """Take from twins what the row that caused the call carries, and name that row."""
    carriers = values["shared_from"]
    twins = [carrier is not None and carrier != number for carrier, number in zip(carriers, numbers, strict=True)]
    if not any(twins):
        return {**values, "shared_from": [None] * len(twins)}
    cells = {
        name: [0 if twin and cell is not None else cell for twin, cell in zip(twins, column, strict=True)]
        if name in _CARRIED
        else column
        for name, column in values.items()
    }
    cells["shared_from"] = [carrier if twin else None for twin, carrier in zip(twins, carriers, strict=True)]
    cells["cost_note"] = [
        None if twin and cost is not None else note
        for twin, cost, note in zip(twins, values["cost_usd"], values["cost_note"], strict=True)
    ]
    return cells


def _moments(seconds: Sequence[float | None]) -> pa.Array:
    """Return times in seconds since 1970 as Arrow has them, cut to milliseconds."""
    micros = pc.round(pc.multiply(pa.array(seconds, pa.float64()), 1e6), round_mode="half_to_even")
    return pc.divide(micros.cast(pa.int64()), _MS_US).cast(pa.timestamp("ms", tz="UTC"))


# A cost is an exact number of picodollars until it is a cell.
_FORMS: Mapping[str, Callable[[Sequence[Any]], Any]] = {
    "cost_usd": lambda picos: list(map(in_dollars, picos)),
    "finished_at": _moments,
}


def _answer(job: Job, status: object, text: object) -> Mapping[str, object] | None:
    """Return an answer by its fields; None where it has none."""
    if job.output.fields is None or status != Status.OK or not isinstance(text, str):
        return None
    try:
        return job.output.fields.read(text)
    except FieldsError:
        return None  # journaled as ok by an older reading of the same schema: the raw text stays visible


def _several(columns: Columns, values: Values, numbers: Sequence[int]) -> dict[str, Sequence[Any]]:
    """Return the cells of rows that have several samples each."""
    job, ours = columns.job, ours_of(columns.job)
    results = {row: list(lines) for row, lines in groupby(lines_of(values), key=itemgetter(0))}
    every = [line for number in numbers for line in completed(number, results.get(number, ()), job.samples)]
    flat = dict(zip(RESULT, zip(*every, strict=True), strict=True))
    cells = _cells(job, flat, [number for number in numbers for _ in range(job.samples)])
    samples = [dict(zip(cells, line, strict=True)) for line in zip(*cells.values(), strict=True)]
    rows = [_row(job, ours, list(of_row)) for of_row in zip(*[iter(samples)] * job.samples, strict=True)]
    return {name: [row[name] for row in rows] for name in columns.added}


def _row(job: Job, ours: Sequence[Ours], samples: Sequence[Cells]) -> Cells:
    row = {column.name: combined(samples, column.name, column.across) for column in ours}
    for name in (*(field.name for field in fields_of(job)), "output"):
        row[name] = combined(samples, name, "list")
    given = [cells for cells in samples if cells["status"] == Status.OK and cells["output"] is None]
    answered_ = sum(map(answered, samples))
    for field in fields_of(job):
        beside = tallied(field.type, [cells[field.name] for cells in given], answered_)
        row |= {f"{field.name}_{ending}": value for ending, value in beside.items()}
    return row
