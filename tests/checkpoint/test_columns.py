"""The output's columns: the input's, the answer's, and ours, each with its type."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pipeline.checkpoint.cells import answers
from pipeline.checkpoint.columns import OURS, Columns, Ours, arrow_type
from pipeline.checkpoint.schema import RESULT
from pipeline.errors import DataError, SpecError
from pipeline.spec.columns import Column, Enum, FieldType, ListOf, Scalar, Struct
from pipeline.spec.job import Job

Settings = dict[str, Any]
INPUT = pa.schema([("id", pa.int64()), ("title", pa.string()), ("photo", pa.binary())])
NAMES = [ours.name for ours in OURS if ours.belongs is Ours("", pa.null(), "").belongs]
SEARCH: Settings = {"request": {"tools": [{"type": "web_search"}]}}
DRAW: Settings = {"request": {"tools": [{"type": "image_generation"}]}}


def columns(table: pa.Schema = INPUT, settings: Settings | None = None, samples: int = 1, **output: object) -> Columns:
    """Return the columns of a job with these settings, and these of its output."""
    given = {
        "provider": "simulator",
        "model": "m",
        "input": "t.parquet",
        "prompt": "x",
        "samples": samples,
        **(settings or {}),
    }
    job = Job.model_validate({**given, "output": {"path": "o.parquet", **output}}).located(Path("/"))
    return Columns.of(job, table)


def row(columns: Columns, number: int, *results: tuple[Any, ...] | None) -> dict[str, object]:
    """Return the cells that are not the input's of one row, from the results of its samples."""
    names = columns.schema.names[len(columns.kept) :]
    lines = [result for result in results if result is not None]
    values = {name: [line[place] for line in lines] for place, name in enumerate(RESULT)}
    arrays = answers(columns, values, [number])
    return {name: array[0].as_py() for name, array in zip(names, arrays, strict=True)}


def result(status: str = "ok", text: str | None = "yes", carrier: int = 3, **more: object) -> tuple[Any, ...]:
    """Return a result as the journal gives it, for row 3."""
    kind, message = (None, None) if status == "ok" else ("why", "because")
    values = {
        "row": 3, "sample": 0, "status": status, "error_kind": kind, "error_message": message, "provider": "p", "model": "m-1",
        "service_tier": "flex", "response_id": "id", "output": text, "input_tokens": 10, "cached_tokens": 2, "output_tokens": 5,
        "reasoning_tokens": 1, "total_tokens": 15, "attempts": 2, "maybe_paid": 0, "latency_s": 0.5, "first_token_s": 0.25,
        "finished_at": 1.5, "shared_from": carrier, **more,
    }  # fmt: skip
    return tuple(values.get(name) for name in RESULT)


def test_the_input_comes_first_then_the_answer_then_ours() -> None:
    """In this order, whatever the answer is."""
    assert columns().schema.names == ["id", "title", "output", *NAMES]
    assert columns(fields={"a": "string", "b": "int"}).schema.names == ["id", "title", "a", "b", "output", *NAMES]
    everything = {
        "provider": {"name": "simulator", "dialect": "qingbo"},
        "delivery": "stream",
        "samples": 2,
        "request": {
            "tools": "{{ tools }}",
            "reasoning": {"summary": "auto"},
            "include": ["message.output_text.logprobs"],
        },
    }
    assert columns(settings=everything, raw=True).schema.names[2:] == ["output", *(ours.name for ours in OURS)]


def test_a_prefix_stands_before_everything_that_is_not_the_inputs() -> None:
    """The answer's columns and ours."""
    assert columns(prefix="x_", fields={"a": "string"}).schema.names == [
        "id",
        "title",
        "x_a",
        "x_output",
        *(f"x_{name}" for name in NAMES),
    ]


@pytest.mark.parametrize(
    ("type_", "arrow"),
    [
        (Scalar("string"), pa.string()),
        (Scalar("int"), pa.int64()),
        (Scalar("float"), pa.float64()),
        (Scalar("bool"), pa.bool_()),
        (Scalar("json"), pa.string()),
        (Enum(("a", "b")), pa.string()),
        (ListOf(Scalar("int")), pa.list_(pa.int64())),
        (ListOf(ListOf(Enum(("a",)))), pa.list_(pa.list_(pa.string()))),
        (
            Struct((Column("a", Scalar("int")), Column("b", ListOf(Scalar("bool"))))),
            pa.struct([("a", pa.int64()), ("b", pa.list_(pa.bool_()))]),
        ),
    ],
)
def test_every_type_of_a_field_has_a_column_type(type_: FieldType, arrow: pa.DataType) -> None:
    """Numbers are 64 bits, enums and raw JSON are texts, lists and maps nest."""
    assert arrow_type(type_) == arrow


def test_a_typed_answer_fills_typed_columns() -> None:
    """With nulls where they are allowed, and the raw text left out."""
    fields = {
        "a": "string?",
        "n": "int",
        "x": "float",
        "tags": "list[string]",
        "who": {"name": "string", "old": "bool"},
        "kind": "enum[a, b]",
    }
    text = '{"a": null, "n": 3.0, "x": 1, "tags": ["t"], "who": {"name": "I", "old": true}, "kind": "b"}'
    cells = row(columns(fields=fields), 3, result(text=text))
    answer = {name: cells[name] for name in [*fields, "output"]}
    assert answer == {
        "a": None,
        "n": 3,
        "x": 1.0,
        "tags": ["t"],
        "who": {"name": "I", "old": True},
        "kind": "b",
        "output": None,
    }


@pytest.mark.parametrize("status", ["invalid", "truncated", "refused", "filtered", "empty", "failed"])
def test_what_is_not_as_wished_keeps_its_text(status: str) -> None:
    """Typed columns are null, and the raw text stands beside them."""
    cells = row(columns(fields={"n": "int"}), 3, result(status, text='{"n": 1'))
    assert (cells["n"], cells["output"], cells["status"], cells["error_kind"]) == (None, '{"n": 1', status, "why")


def test_an_answer_that_fits_no_more_is_shown_as_text() -> None:
    """An answer that was journaled by another reading of the schema is neither lost nor an error."""
    cells = row(columns(fields={"n": "int"}), 3, result(text='{"n": "one"}'))
    assert (cells["n"], cells["output"]) == (None, '{"n": "one"}')


def test_a_row_without_a_result_is_pending() -> None:
    """All else is null, and it made no attempts."""
    cells = row(columns(), 9, None)
    assert cells.pop("status") == "pending"
    assert cells.pop("attempts") == 0
    assert set(cells.values()) == {None}


def test_a_row_has_what_its_call_says() -> None:
    """Usage, model, tier, id, times and attempts, each as the journal has it."""
    cells = row(columns(), 3, result())
    assert cells == {
        "output": "yes", "status": "ok", "error_kind": None, "error_message": None, "provider": "p", "model": "m-1", "service_tier": "flex",
        "response_id": "id", "refusal": None, "input_tokens": 10, "cached_tokens": 2, "cache_write_tokens": None,
         "output_tokens": 5, "reasoning_tokens": 1,
        "total_tokens": 15, "cost_usd": None, "cost_note": None, "attempts": 2, "latency_s": 0.5, "shared_from": None,
        "finished_at": datetime(1970, 1, 1, 0, 0, 1, 500_000, UTC),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        ({"delivery": "stream"}, {"first_token_s"}),
        ({"request": {"tools": []}}, set()),
        ({"request": {"tools": [{"type": "function", "name": "f"}]}}, {"tool_calls", "phase"}),
        (SEARCH, {"tool_calls", "phase", "sources", "searches"}),
        ({"tools": ["tools.py:weigh"]}, {"tool_calls", "phase"}),
        ({"extra_body": SEARCH["request"]}, {"tool_calls", "phase", "sources", "searches"}),
        (
            {"request": {"tools": [{"type": "web_search_preview_2025_03_11"}]}},
            {"tool_calls", "phase", "sources", "searches"},
        ),
        (
            {"request": {"tools": [{"type": "file_search", "vector_store_ids": ["v"]}]}},
            {"tool_calls", "phase", "sources", "searches"},
        ),
        ({"extra_body": {"tools": [{"type": "code_interpreter"}]}}, {"tool_calls", "phase", "sources"}),
        (DRAW, {"tool_calls", "phase", "images", "notes"}),
        (
            {"request": {"tools": "{{ tools }}"}},
            {"tool_calls", "phase", "sources", "searches", "images", "notes"},
        ),
        ({"request": {"reasoning": {"effort": "low"}}}, set()),
        ({"request": {"reasoning": {"effort": "low", "summary": "auto"}}}, {"reasoning_summary"}),
        ({"request": {"reasoning": {"summary": "{{ summary }}"}}}, {"reasoning_summary"}),
        ({"extra_body": {"reasoning": {"generate_summary": "auto"}}}, {"reasoning_summary"}),
        ({"request": {"include": ["web_search_call.action.sources"]}}, set()),
        ({"request": {"include": ["message.output_text.logprobs"]}}, {"confidence"}),
        ({"request": {"top_logprobs": 3}}, {"confidence"}),
        ({"request": {"top_logprobs": 0}}, set()),
        ({"extra_body": {"logprobs": True}}, {"confidence"}),
        ({"provider": {"name": "simulator", "dialect": "qingbo"}}, {"vendor_cost"}),
        ({"provider": {"name": "simulator", "dialect": "apimart"}}, set()),
        ({"provider": {"name": "simulator", "overrides": {"reports_cost": True}}}, {"vendor_cost"}),
    ],
)
def test_a_column_is_there_only_for_the_jobs_it_belongs_to(settings: Settings, names: set[str]) -> None:
    """What a job does not ask for is not even an empty column; a template may turn out to ask for anything."""
    assert set(columns(settings=settings).schema.names) - set(columns().schema.names) == names


def test_what_an_answer_carries_is_typed() -> None:
    """Lists and structs, as a data frame wants them; a row without a result has nulls."""
    page = {"kind": "url_citation", "title": "A", "url": "https://a.example", "file_id": None, "filename": None}
    sourced = columns(settings=SEARCH)
    cells = row(sourced, 3, result(sources=[page], searches=2, phase="final_answer"))
    assert (cells["sources"], cells["searches"], cells["phase"]) == ([page], 2, "final_answer")
    assert pa.types.is_struct(sourced.schema.field("sources").type.value_type)
    assert sourced.schema.field("searches").type == pa.int32()
    drawn = columns(settings=DRAW)
    cells = row(drawn, 3, result(images=["o.images/3-1-aa.png"], notes=["picture 2 is none"]))
    assert (cells["images"], cells["notes"]) == (["o.images/3-1-aa.png"], ["picture 2 is none"])
    assert (row(sourced, 9, None)["sources"], row(drawn, 9, None)["images"]) == (None, None)


def test_a_streamed_row_says_when_its_text_began() -> None:
    """In seconds, beside the latency; a row without a result does not know it."""
    streamed = columns(settings={"delivery": "stream"})
    assert (row(streamed, 3, result())["latency_s"], row(streamed, 3, result())["first_token_s"]) == (0.5, 0.25)
    assert row(streamed, 9, None)["first_token_s"] is None


def test_people_are_told_the_types_that_tables_have() -> None:
    """Of a job with one sample; a column that comes with samples only has the type it has there."""
    single, several = columns().schema, columns(samples=2).schema
    for ours in OURS:
        if ours.name in single.names:
            assert single.field(ours.name).type == ours.usual_type
        elif ours.name in several.names:
            assert several.field(ours.name).type == ours.usual_type
    assert several.field("statuses").type == pa.list_(pa.string())


def test_a_twin_carries_nothing_and_says_from_whom_it_has_it() -> None:
    """Sums over the table are the bill: tokens are 0, and null only where nobody knows them."""
    cells = row(columns(), 3, result(cached_tokens=None, carrier=1))
    assert [cells[name] for name in ("input_tokens", "cached_tokens", "total_tokens", "attempts", "shared_from")] == [
        0,
        None,
        0,
        0,
        1,
    ]
    assert (cells["output"], cells["latency_s"]) == ("yes", 0.5)
    shared = row(columns(settings=SEARCH), 3, result(searches=2, sources=[], carrier=1))
    assert (shared["searches"], shared["sources"]) == (0, [])


@pytest.mark.parametrize(
    "type_",
    [
        pa.binary(),
        pa.large_binary(),
        pa.binary(16),
        pa.binary_view(),
        pa.list_(pa.binary()),
        pa.struct([("bytes", pa.binary()), ("path", pa.string())]),
        pa.list_(pa.struct([("bytes", pa.large_binary())])),
        pa.map_(pa.string(), pa.binary()),
        pa.dictionary(pa.int32(), pa.binary()),
    ],
    ids=str,
)
def test_bytes_are_left_out_unless_they_are_kept(type_: pa.DataType) -> None:
    """At any depth; the input has them already."""
    table = pa.schema([("id", pa.int64()), ("photo", type_)])
    assert columns(table).kept == ("id",)
    assert columns(table, keep=["photo"]).kept == ("id", "photo")
    assert columns(table, keep=["photo"]).schema.field("photo").type == type_


def test_a_column_to_keep_that_is_not_there_is_named() -> None:
    """With what was probably meant, and its place in the spec."""
    with pytest.raises(SpecError, match=r"output\.keep\.1: the input has no column 'photoo' - did you mean 'photo'\?"):
        columns(keep=["photo", "photoo"])


def test_a_clash_with_the_input_prints_the_line_that_mends_it() -> None:
    """All names at once; and the prefix that is offered does mend it."""
    table = pa.schema(
        [("id", pa.int64()), ("status", pa.string()), ("output", pa.string()), ("llm_status", pa.string())]
    )
    with pytest.raises(DataError, match=r"needs for itself: 'output', 'status'$") as refused:
        columns(table)
    assert refused.value.hint == 'add this line under output in the spec: `prefix: "llm_"`'
    with pytest.raises(DataError, match=r"needs for itself: 'llm_status'$") as refused:
        columns(table, prefix="llm_")
    assert refused.value.hint == 'add this line under output in the spec: `prefix: "llm_llm_"`'
    assert columns(table, prefix="llm_llm_").kept == tuple(table.names)


def test_a_column_that_is_left_out_clashes_with_nothing() -> None:
    """A binary column named like one of ours is no trouble."""
    assert "status" not in columns(pa.schema([("status", pa.binary())])).kept


def test_a_field_named_like_a_column_of_ours_is_refused() -> None:
    """A prefix would stand before both, so another name is asked for; each field is named at once."""
    with pytest.raises(SpecError) as refused:
        columns(fields={"status": "string", "fine": "int", "output": "string"}, prefix="x_")
    assert [problem.where for problem in refused.value.problems] == ["output.fields.status", "output.fields.output"]
    assert "choose another" in refused.value.message


# -- several samples ---------------------------------------------------------------------------------------------------------------

FIELDS = {"label": "enum[a, b]", "n": "int?", "x": "float", "tags": "list[string]"}


def sampled(sample: int, status: str = "ok", text: str | None = None, **values: object) -> tuple[Any, ...]:
    """Return the result of one of row 3's samples."""
    plain = dict(zip(RESULT, result(status, text), strict=True))
    return tuple({**plain, "sample": sample, "response_id": f"id-{sample}", **values}.values())


def labelled(label: str, n: int | None = 1, x: float = 0.5) -> str:
    """Return an answer to FIELDS."""
    return json.dumps({"label": label, "n": n, "x": x, "tags": [label]})


def test_with_samples_each_field_is_a_list_with_what_its_answers_have_in_common_beside_it() -> None:
    """Votes for values that can be the same, a mean for fractions, and nothing beside lists; what is one per row keeps its type."""
    schema = columns(samples=3, fields=FIELDS, prefix="x_").schema
    share = {"_share": pa.float64(), "_agreement": pa.float64()}
    expected = {
        "x_label": pa.list_(pa.string()), "x_label_vote": pa.string(), **{f"x_label{end}": kind for end, kind in share.items()},
        "x_n": pa.list_(pa.int64()), "x_n_vote": pa.int64(), **{f"x_n{end}": kind for end, kind in share.items()},
        "x_x": pa.list_(pa.float64()), "x_x_mean": pa.float64(),
        "x_tags": pa.list_(pa.list_(pa.string())),
        "x_output": pa.list_(pa.string()), "x_status": pa.string(), "x_statuses": pa.list_(pa.string()),
    }  # fmt: skip
    assert {name: schema.field(name).type for name in schema.names[2:][: len(expected)]} == expected
    assert schema.field("x_response_id").type == pa.list_(pa.string())
    assert schema.field("x_total_tokens").type == pa.int64()


def test_a_rows_samples_become_its_cells() -> None:
    """Lists have an entry per sample, null where it gave none; tokens are summed, times the longest, and the first of all others stands."""
    found = [
        sampled(
            0, text=labelled("b"), latency_s=0.5, finished_at=1.5, cost_usd=3 * 10**11, cost_note="without its searches"
        ),
        sampled(
            1, "truncated", text='{"label', latency_s=2.0, finished_at=4.5, cost_usd=1, cost_note="without its searches"
        ),
        sampled(2, text=labelled("a", None, 1.0), latency_s=1.0, finished_at=2.5, cost_usd=0),
        sampled(3, text=labelled("a", None, 0.0), latency_s=1.0, finished_at=2.5, cost_usd=0, cost_note="a guess"),
    ]
    cells = row(columns(samples=4, fields=FIELDS), 3, *found)
    assert cells == {
        "label": ["b", None, "a", "a"], "label_vote": "a", "label_share": 0.5, "label_agreement": pytest.approx(1 / 3),
        "n": [1, None, None, None], "n_vote": None, "n_share": 0.5, "n_agreement": pytest.approx(1 / 3),
        "x": [0.5, None, 1.0, 0.0], "x_mean": 0.5, "tags": [["b"], None, ["a"], ["a"]],
        "output": [None, '{"label', None, None], "status": "truncated", "statuses": ["ok", "truncated", "ok", "ok"],
        "error_kind": "why", "error_message": "because", "provider": "p", "model": "m-1", "service_tier": "flex",
        "response_id": ["id-0", "id-1", "id-2", "id-3"], "refusal": [None] * 4, "input_tokens": 40, "cached_tokens": 8,
        "cache_write_tokens": None, "cost_usd": 300_000_000_001 / 10**12, "cost_note": "without its searches; a guess",
        "output_tokens": 20, "reasoning_tokens": 4, "total_tokens": 60, "attempts": 8, "latency_s": 2.0,
        "finished_at": datetime(1970, 1, 1, 0, 0, 4, 500_000, UTC), "shared_from": None,
    }  # fmt: skip


def test_a_row_costs_what_is_known_of_its_samples() -> None:
    """The note says what that leaves out; where nothing is known the cost is unknown. A sample that was never sent says nothing."""
    job = columns(samples=2)
    known = sampled(0, text="yes", cost_usd=5)
    lost = sampled(1, "unknown", cost_usd=None, cost_note="perhaps paid")
    cells = row(job, 3, known, lost)
    assert (cells["cost_usd"], cells["cost_note"]) == (5e-12, "perhaps paid")
    assert row(job, 3, sampled(0, text="yes", cost_usd=0), lost)["cost_usd"] is None
    assert row(job, 3, known)["cost_usd"] == 5e-12


def test_a_twin_carries_no_cost() -> None:
    """It is 0 where the cost is known, and as unknown as that of the row that carries it where it is not."""
    twin = dict(zip(RESULT, result("ok", "yes"), strict=True)) | {"shared_from": 1}
    known = row(columns(), 3, tuple({**twin, "cost_usd": 5, "cost_note": "without its searches"}.values()))
    assert (known["cost_usd"], known["cost_note"]) == (0, None)
    unknown = row(columns(), 3, tuple({**twin, "cost_usd": None, "cost_note": "no price"}.values()))
    assert (unknown["cost_usd"], unknown["cost_note"]) == (None, "no price")


def test_samples_that_are_not_there_yet_are_pending() -> None:
    """Wherever among the others they are missing; a row of which nothing is known is pending in all of them."""
    cells = row(columns(samples=3), 3, sampled(1, text="yes"))
    assert (cells["status"], cells["statuses"], cells["output"]) == (
        "pending",
        ["pending", "ok", "pending"],
        [None, "yes", None],
    )
    assert (cells["attempts"], cells["total_tokens"]) == (2, 15)
    unknown = row(columns(samples=2), 3)
    assert (unknown["statuses"], unknown["attempts"], unknown["total_tokens"]) == (["pending"] * 2, 0, None)


def test_a_row_that_asks_nothing_ends_so_in_all_its_samples() -> None:
    """The journal has one result for it."""
    noted = (3, 0, "failed", "null_cell", "empty", *(None,) * (len(RESULT) - 5))
    cells = row(columns(samples=3, fields=FIELDS), 3, noted)
    assert (cells["status"], cells["statuses"], cells["error_kind"]) == ("failed", ["failed"] * 3, "null_cell")
    assert (cells["label"], cells["label_vote"], cells["label_share"], cells["x_mean"]) == (
        [None] * 3,
        None,
        None,
        None,
    )


def test_tokens_that_one_answer_did_not_report_make_the_sum_unknown() -> None:
    """A partial sum would understate the bill; what failed without an answer takes nothing from it."""
    silent = row(columns(samples=2), 3, sampled(0, text="a"), sampled(1, text="b", total_tokens=None))
    failed = row(columns(samples=2), 3, sampled(0, text="a"), sampled(1, "failed", total_tokens=None))
    assert (silent["total_tokens"], silent["input_tokens"], failed["total_tokens"]) == (None, 20, 15)


def test_samples_shared_with_a_twin_cost_its_row_nothing() -> None:
    """Sample by sample, so that sums over the table are the bill."""
    cells = row(columns(samples=2), 3, sampled(0, text="a", shared_from=1), sampled(1, text="b"))
    assert (cells["total_tokens"], cells["attempts"], cells["shared_from"]) == (15, 2, 1)


@pytest.mark.parametrize("name", ["label_vote", "x_mean", "statuses"])
def test_a_field_named_like_a_column_of_votes_is_refused(name: str) -> None:
    """Only where there are samples, and so votes."""
    fields = {"label": "enum[a, b]", "x": "float", name: "string"}
    assert name in columns(fields=fields).schema.names
    with pytest.raises(SpecError, match=rf"output\.fields\.{name}: is the name of one of the output's own columns"):
        columns(fields=fields, samples=2)
