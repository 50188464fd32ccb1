"""The columns of the output table: the input's, the answer's, and ours, in that order.

Every input row has exactly one output row, in input order. ``OURS`` lists what is ours and what it means; the README's
table is made from it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from pipeline.checkpoint.across import Across
from pipeline.checkpoint.votes import endings
from pipeline.errors import DataError, Problem, SpecError
from pipeline.rows.columns import suggest
from pipeline.spec.asked import (
    asks_logprobs,
    asks_summary,
    has_tools,
    is_streamed,
    may_cite,
    may_draw,
    may_search,
)
from pipeline.spec.columns import Column, Enum, FieldType, ListOf, Scalar, Struct

if TYPE_CHECKING:
    from pipeline.spec.job import Job

_SCALARS = {"string": pa.string(), "int": pa.int64(), "float": pa.float64(), "bool": pa.bool_(), "json": pa.string()}


@dataclass(frozen=True, slots=True)
class Ours:
    """One of our columns: what it is called before ``output.prefix``, its type, what it means, and to which jobs it belongs.

    ``across`` says how the cells of a row's samples become the row's, where a job asks each row several times.
    """

    name: str
    type: pa.DataType
    meaning: str
    belongs: Callable[[Job], bool] = lambda _job: True
    across: Across = "list"

    def type_in(self, job: Job) -> pa.DataType:
        """Return the column's type in a job's table."""
        return self._listed if self.across == "list" and job.samples > 1 else self.type

    @property
    def usual_type(self) -> pa.DataType:
        """The column's type in a job with one sample; where only jobs with several have the column, the type in those."""
        return self._listed if self.belongs is _has_samples else self.type

    @property
    def _listed(self) -> pa.DataType:
        return pa.list_(self.type)


def _has_samples(job: Job) -> bool:
    return job.samples > 1


OURS = (
    Ours("status", pa.string(), "what became of the row, see the table of statuses", across="deciding"),
    Ours(
        "statuses",
        pa.string(),
        "what became of each sample, in order; only where the job's `samples` are more than 1",
        _has_samples,
    ),
    Ours("error_kind", pa.string(), "why it is not ok, in one word; null where it is", across="deciding"),
    Ours("error_message", pa.string(), "the same in a sentence", across="deciding"),
    Ours("provider", pa.string(), "who answered; `simulator` for rehearsals", across="first"),
    Ours("model", pa.string(), "the model that served the call", across="first"),
    Ours("service_tier", pa.string(), "the tier that served it, where the provider says so", across="first"),
    Ours("response_id", pa.string(), "the provider's id of the answer"),
    Ours("refusal", pa.string(), "the model's words where it declined"),
    Ours(
        "tool_calls",
        pa.string(),
        "the calls the model asked for in all rounds, as JSON, with the outputs of the job's functions; only where the job has tools",
        has_tools,
    ),
    Ours(
        "sources",
        pa.list_(pa.struct([(name, pa.string()) for name in ("kind", "title", "url", "file_id", "filename")])),
        "what the answer cites, then what searches found beside it; only where the job's tools search or run code",
        may_cite,
    ),
    Ours(
        "searches",
        pa.int32(),
        "hosted searches that were completed, over all attempts; only where the job's tools search",
        may_search,
        across="sum",
    ),
    Ours(
        "images",
        pa.list_(pa.string()),
        "generated pictures: their files' paths, from the folder of `output.path`; only where the job's tools draw",
        may_draw,
    ),
    Ours(
        "notes",
        pa.list_(pa.string()),
        "what went wrong beside the answer, such as a picture that is none; only where the job's tools draw",
        may_draw,
    ),
    Ours(
        "phase",
        pa.string(),
        "what the model calls its last message: `commentary` or `final_answer`; only where the job has tools",
        has_tools,
    ),
    Ours(
        "reasoning_summary",
        pa.string(),
        "the model's summary of its reasoning; only where `request.reasoning.summary` asks for it",
        asks_summary,
    ),
    Ours(
        "confidence",
        pa.float64(),
        "geometric mean of the tokens' probabilities, 0 to 1; only where `request.include` or `top_logprobs` asks for logprobs",
        asks_logprobs,
    ),
    Ours(
        "input_tokens",
        pa.int64(),
        "tokens of the request, over all attempts of the row; null where the provider did not say",
        across="sum",
    ),
    Ours(
        "cached_tokens",
        pa.int64(),
        "the part of `input_tokens` that came from the provider's prompt cache",
        across="sum",
    ),
    Ours("cache_write_tokens", pa.int64(), "the part of `input_tokens` that was written into it", across="sum"),
    Ours("output_tokens", pa.int64(), "tokens of the answer, reasoning included", across="sum"),
    Ours("reasoning_tokens", pa.int64(), "the part of `output_tokens` that was reasoning", across="sum"),
    Ours("total_tokens", pa.int64(), "input and output", across="sum"),
    Ours(
        "cost_usd",
        pa.float64(),
        "what that cost in dollars, over all attempts of the row whose cost is known; null where that is none, or nothing was asked",
        across="known",
    ),
    Ours(
        "cost_note",
        pa.string(),
        "why the cost is not known, or what it leaves out; null where it is complete",
        across="joined",
    ),
    Ours(
        "vendor_cost",
        pa.float64(),
        "what the provider says it cost, over all attempts, in its own unit (qingbo: 500,000 to the dollar); only where it does",
        lambda job: job.provider.facts.reports_cost,
        across="sum",
    ),
    Ours("attempts", pa.int32(), "requests that left for this row, over all runs", across="sum"),
    Ours(
        "latency_s",
        pa.float64(),
        "seconds that the answering attempt took; null where an earlier run had sent it",
        across="largest",
    ),
    Ours(
        "first_token_s",
        pa.float64(),
        "seconds until its first piece of text was here; only where the job's delivery is `stream`",
        is_streamed,
        across="largest",
    ),
    Ours("finished_at", pa.timestamp("ms", tz="UTC"), "when the answer was journaled", across="largest"),
    Ours(
        "shared_from",
        pa.int64(),
        "number of the row that asked the same question and carries its tokens; they are 0 here then",
        across="first",
    ),
    Ours(
        "raw",
        pa.string(),
        "the reply that is the answer, as JSON, without pictures; only where `output.raw` is set",
        lambda job: job.output.raw,
    ),
)


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
    """The output table's schema."""

    kept: tuple[str, ...]
    added: tuple[str, ...]
    """The other columns, without ``output.prefix``."""
    schema: pa.Schema
    job: Job

    @staticmethod
    def of(job: Job, table: pa.Schema) -> Columns:
        """Derive the output's columns.

        Raises ``SpecError`` for fields and columns to keep that cannot be, and ``DataError`` where one of the output's columns would have
        the name of one of the input's, with the line that mends it.
        """
        if problems := [*_taken_names(job), *_unknown_keeps(job, table.names), *_unknown_gold(job, table.names)]:
            raise SpecError(problems, source=job.source)
        kept = [field for field in table if not holds_bytes(field.type) or field.name in job.output.keep]
        plain = [*_answer_fields(job), *_our_fields(job)]
        added = [field.with_name(job.output.prefix + field.name) for field in plain]
        if clashes := [field.name for field in added if field.name in {field.name for field in kept}]:
            raise DataError(
                f"the input has columns that the output needs for itself: {', '.join(map(repr, clashes))}",
                hint=f'add this line under output in the spec: `prefix: "llm_{job.output.prefix}"`',
            )
        names = tuple(field.name for field in plain)
        return Columns(tuple(field.name for field in kept), names, pa.schema([*kept, *added]), job)

    @property
    def types(self) -> list[pa.DataType]:
        """The types of the columns that are not the input's."""
        return [field.type for field in list(self.schema)[len(self.kept) :]]


def fields_of(job: Job) -> tuple[Column, ...]:
    """Return the fields that a job's answers have; none where they are plain text."""
    return job.output.fields.columns if job.output.fields is not None else ()


def _answer_fields(job: Job) -> list[pa.Field]:
    """The answer's columns: one for each field, with what its samples have in common beside it, and the text."""
    many = job.samples > 1
    added: list[pa.Field] = []
    for field in fields_of(job):
        type_ = arrow_type(field.type)
        added.append(pa.field(field.name, pa.list_(type_) if many else type_))
        added += [
            pa.field(f"{field.name}_{ending}", type_ if ending == "vote" else pa.float64())
            for ending in (endings(field.type) if many else ())
        ]
    return [*added, pa.field("output", pa.list_(pa.string()) if many else pa.string())]


def ours_of(job: Job) -> list[Ours]:
    """Return those of our columns that a job's table has."""
    return [column for column in OURS if column.belongs(job)]


def _our_fields(job: Job) -> list[pa.Field]:
    return [pa.field(column.name, column.type_in(job)) for column in ours_of(job)]


def _taken_names(job: Job) -> list[Problem]:
    """Fields that have the name of one of our columns: a prefix would stand before both."""
    own = {field.name for field in _our_fields(job)}
    counts = Counter(field.name for field in _answer_fields(job))
    message = "is the name of one of the output's own columns; choose another"
    return [
        job.problem(f"output.fields.{field.name}", message)
        for field in fields_of(job)
        if field.name in own or counts[field.name] > 1
    ]


def _unknown_keeps(job: Job, known: Sequence[str]) -> list[Problem]:
    return [
        job.problem(f"output.keep.{index}", f"the input has no column {name!r}", suggestion=suggest(name, known))
        for index, name in enumerate(job.output.keep)
        if name not in known
    ]


def _unknown_gold(job: Job, known: Sequence[str]) -> list[Problem]:
    return [
        job.problem(
            "output.gold" if isinstance(job.output.gold, str) else f"output.gold.{field}",
            f"the input has no column {column!r}",
            suggestion=suggest(column, known),
        )
        for field, column in job.output.known.items()
        if column not in known
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
