"""The columns of the output table: the input's, the answer's, and ours, in that order.

Every input row has exactly one output row, in input order. ``OURS`` lists what is ours and what it means; the README's
table is made from it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pyarrow as pa

from pipeline.checkpoint.schema import RESULT
from pipeline.errors import DataError, Problem, SpecError
from pipeline.records import Status
from pipeline.rows.columns import suggest
from pipeline.spec.columns import Enum, FieldsError, FieldType, ListOf, Scalar, Struct

if TYPE_CHECKING:
    from pipeline.spec.job import Job

_SCALARS = {"string": pa.string(), "int": pa.int64(), "float": pa.float64(), "bool": pa.bool_(), "json": pa.string()}


@dataclass(frozen=True, slots=True)
class Ours:
    """One of our columns: what it is called before ``output.prefix``, its type, what it means, and to which jobs it belongs."""

    name: str
    type: pa.DataType
    meaning: str
    belongs: Callable[[Job], bool] = lambda _job: True


def _has_tools(job: Job) -> bool:
    return bool(job.request.get("tools") or job.extra_body.get("tools") or job.tools.functions)


def _is_streamed(job: Job) -> bool:
    return job.delivery == "stream"


OURS = (
    Ours("status", pa.string(), "what became of the row, see the table of statuses"),
    Ours("error_kind", pa.string(), "why it is not ok, in one word; null where it is"),
    Ours("error_message", pa.string(), "the same in a sentence"),
    Ours("provider", pa.string(), "who answered; `simulator` for rehearsals"),
    Ours("model", pa.string(), "the model that served the call"),
    Ours("service_tier", pa.string(), "the tier that served it, where the provider says so"),
    Ours("response_id", pa.string(), "the provider's id of the answer"),
    Ours("refusal", pa.string(), "the model's words where it declined"),
    Ours(
        "tool_calls",
        pa.string(),
        "the calls the model asked for in all rounds, as JSON, with the outputs of the job's functions; only where the job has tools",
        _has_tools,
    ),
    Ours(
        "input_tokens",
        pa.int64(),
        "tokens of the request, over all attempts of the row; null where the provider did not say",
    ),
    Ours("cached_tokens", pa.int64(), "the part of `input_tokens` that came from the provider's prompt cache"),
    Ours("output_tokens", pa.int64(), "tokens of the answer, reasoning included"),
    Ours("reasoning_tokens", pa.int64(), "the part of `output_tokens` that was reasoning"),
    Ours("total_tokens", pa.int64(), "input and output"),
    Ours("attempts", pa.int32(), "requests that left for this row, over all runs"),
    Ours("latency_s", pa.float64(), "seconds that the answering attempt took"),
    Ours(
        "first_token_s",
        pa.float64(),
        "seconds until its first piece of text was here; only where the job's delivery is `stream`",
        _is_streamed,
    ),
    Ours("finished_at", pa.timestamp("ms", tz="UTC"), "when the answer was journaled"),
    Ours(
        "shared_from",
        pa.int64(),
        "number of the row that asked the same question and carries its tokens; they are 0 here then",
    ),
)

# What a twin does not carry a second time, so that sums over the table are the bill.
_CARRIED = ("input_tokens", "cached_tokens", "output_tokens", "reasoning_tokens", "total_tokens", "attempts")


def arrow_type(type_: FieldType) -> pa.DataType:
    """Return the Arrow type of an answer's column."""
    match type_:
        case Scalar(kind):
            return _SCALARS[kind]
        case Enum():
            return pa.string()
        case ListOf(item):
            return pa.list_(arrow_type(item))
        case Struct(fields):
            return pa.struct([pa.field(field.name, arrow_type(field.type)) for field in fields])


@dataclass(frozen=True, slots=True)
class Columns:
    """The output table's schema and how a journal's result becomes cells."""

    kept: tuple[str, ...]
    schema: pa.Schema
    job: Job

    @staticmethod
    def of(job: Job, table: pa.Schema) -> Columns:
        """Derive the output's columns.

        Raises ``SpecError`` for fields and columns to keep that cannot be, and ``DataError`` where one of the output's columns would have
        the name of one of the input's, with the line that mends it.
        """
        if problems := [*_taken_names(job), *_unknown_keeps(job, table.names)]:
            raise SpecError(problems, source=job.source)
        kept = [field for field in table if not holds_bytes(field.type) or field.name in job.output.keep]
        added = [field.with_name(job.output.prefix + field.name) for field in (*_answer_fields(job), *_our_fields(job))]
        if clashes := [field.name for field in added if field.name in {field.name for field in kept}]:
            raise DataError(
                f"the input has columns that the output needs for itself: {', '.join(map(repr, clashes))}",
                hint=f'add this line under output in the spec: `prefix: "llm_{job.output.prefix}"`',
            )
        return Columns(tuple(field.name for field in kept), pa.schema([*kept, *added]), job)

    def answers(self, results: Mapping[int, Sequence[object]], numbers: Sequence[int]) -> list[pa.Array]:
        """Return the columns that are not the input's, for these rows; a row without a result is pending."""
        ours = [column.name for column in _ours(self.job)]
        cells = [self._cells(number, results.get(number), ours) for number in numbers]
        fields = list(self.schema)[len(self.kept) :]
        return [pa.array([row[index] for row in cells], field.type) for index, field in enumerate(fields)]

    def _cells(self, number: int, result: Sequence[object] | None, ours: Sequence[str]) -> list[object]:
        if result is None:
            result = (number, Status.PENDING.value, *(None,) * (len(RESULT) - 2))
        cells = dict(zip(RESULT, result, strict=True))
        if cells["shared_from"] in (None, number):
            cells["shared_from"] = None
        else:
            cells |= {name: 0 for name in _CARRIED if cells[name] is not None}
        finished = cells["finished_at"]
        cells["finished_at"] = datetime.fromtimestamp(finished, UTC) if isinstance(finished, float) else None
        cells["attempts"] = cells["attempts"] or 0
        return [*self._answer(str(cells["status"]), cells["output"]), *(cells[name] for name in ours)]

    def _answer(self, status: str, text: object) -> list[object]:
        fields = self.job.output.fields
        if fields is None:
            return [text]
        if status == Status.OK and isinstance(text, str):
            try:
                values = fields.read(text)
            except FieldsError:
                pass  # journaled as ok by an older reading of the same schema: the raw text stays visible below
            else:
                return [*(values[column.name] for column in fields.columns), None]
        return [*(None for _ in fields.columns), text]


def _answer_fields(job: Job) -> list[pa.Field]:
    columns = job.output.fields.columns if job.output.fields is not None else ()
    return [*(pa.field(column.name, arrow_type(column.type)) for column in columns), pa.field("output", pa.string())]


def _ours(job: Job) -> list[Ours]:
    return [column for column in OURS if column.belongs(job)]


def _our_fields(job: Job) -> list[pa.Field]:
    return [pa.field(column.name, column.type) for column in _ours(job)]


def _taken_names(job: Job) -> list[Problem]:
    """Fields that have the name of one of our columns: a prefix would stand before both."""
    taken = {"output", *(field.name for field in _our_fields(job))}
    columns = job.output.fields.columns if job.output.fields is not None else ()
    message = "is the name of one of the output's own columns; choose another"
    return [job.problem(f"output.fields.{column.name}", message) for column in columns if column.name in taken]


def _unknown_keeps(job: Job, known: Sequence[str]) -> list[Problem]:
    return [
        job.problem(f"output.keep.{index}", f"the input has no column {name!r}", suggestion=suggest(name, known))
        for index, name in enumerate(job.output.keep)
        if name not in known
    ]


def holds_bytes(type_: pa.DataType) -> bool:
    """True for columns that hold bytes at any depth: they are media, and the input has them already."""
    if pa.types.is_binary(type_) or pa.types.is_large_binary(type_) or pa.types.is_fixed_size_binary(type_):
        return True
    if pa.types.is_binary_view(type_):
        return True
    if pa.types.is_dictionary(type_):
        return holds_bytes(type_.value_type)
    return any(holds_bytes(type_.field(index).type) for index in range(type_.num_fields))
