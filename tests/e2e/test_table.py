"""The table: typed, whole, in input order, with sums that are the provider's, and never beside the wrong rows."""

from __future__ import annotations

import datetime
import decimal
from collections.abc import Callable
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest
from PIL import Image

import pipeline
from pipeline.errors import DataError, SpecError
from pipeline.events import RowFinished

if TYPE_CHECKING:
    from tests.e2e.bench import Bench, Provider

TOKENS = ("input_tokens", "cached_tokens", "output_tokens", "reasoning_tokens", "total_tokens")


def test_the_tokens_of_the_rows_are_the_totals_of_the_run_and_of_the_provider(
    bench: Callable[..., Bench], play: Callable[..., Provider]
) -> None:
    """Every figure of the usage adds up the same way in the rows, the closing figures, the file's metadata and the ledger."""
    provider = play({"cache": True})
    system = "You are thorough. " * 400
    job = bench(provider, request={"reasoning": {"effort": "low"}}, limits={"concurrency": 1})
    job.spec["prompt"] = {"system": system, "user": "#{{ id }}# {{ text }}"}
    job.fill([{"id": f"r{number}", "text": f"text {number % 30}"} for number in range(40)])
    closing = job.run()
    details = {"cached_tokens": "input_tokens_details", "reasoning_tokens": "output_tokens_details"}
    for name in TOKENS:
        billed = sum(
            (line["usage"][details[name]] if name in details else line["usage"])[name]
            for line in provider.ledger.executed()
        )
        assert billed > 0, name
        assert sum(job.column(name)) == getattr(closing.usage, name) == job.metadata()[name] == billed, name


def test_input_columns_keep_their_types_and_values_and_ours_are_typed(
    bench: Callable[..., Bench], provider: Provider
) -> None:
    """Dates, decimals, nested values and nulls come through; bytes are left out unless they are kept; the answer has the asked types."""
    schema = pa.schema(
        [
            ("id", pa.string()),
            ("day", pa.date32()),
            ("at", pa.timestamp("us", tz="Europe/Berlin")),
            ("price", pa.decimal128(10, 2)),
            ("tags", pa.list_(pa.string())),
            ("where", pa.struct([("lat", pa.float64()), ("name", pa.string())])),
            ("note", pa.dictionary(pa.int32(), pa.string())),
            ("photo", pa.binary()),
            ("thumb", pa.binary()),
        ]
    )
    day = datetime.date(2024, 2, 29)
    at = datetime.datetime(2024, 2, 29, 12, tzinfo=datetime.UTC)
    rows = [
        ["a", day, at, decimal.Decimal("1.10"), ["x", None], {"lat": 1.5, "name": "é"}, "n", b"1", b"2"],
        ["b", None, None, None, None, None, None, None, None],
    ]
    job = bench(provider)
    job.fill([dict(zip(schema.names, row, strict=True)) for row in rows], schema)
    job.spec["prompt"] = "#{{ id }}# Judge this."
    job.spec["output"] |= {
        "keep": ["thumb"],
        "fields": {"label": "enum[x, y]", "score": "float", "parts": "list[string]"},
    }
    assert job.run().by_status == {"ok": 2}
    before, after = pq.read_table(job.input), pq.read_table(job.output)
    kept = [name for name in schema.names if name != "photo"]
    assert after.column_names[: len(kept)] == kept
    assert after.select(kept).to_pylist() == before.select(kept).to_pylist()
    types = {field.name: field.type for field in after.schema}
    assert {name: types[name] for name in kept} == {name: schema.field(name).type for name in kept}
    assert types["score"] == pa.float64()
    assert types["parts"] == pa.list_(pa.string())
    assert types["finished_at"] == pa.timestamp("ms", tz="UTC")
    assert all(types[name] == pa.int64() for name in TOKENS)
    assert after.column("label").null_count == 0


def test_an_export_is_the_table_and_neutralises_formulas(bench: Callable[..., Bench], provider: Provider) -> None:
    """As Parquet it is the run's own table; as CSV no cell begins with what a spreadsheet would run."""
    job = bench(provider)
    job.fill([{"id": "a", "text": "=1+1"}, {"id": "b", "text": "plain"}])
    job.run()
    assert pipeline.export(job.job, job.folder / "again.parquet")[1] == 2
    assert job.table(job.folder / "again.parquet") == job.table()
    pipeline.export(job.job, job.folder / "again.csv")
    assert pa_csv.read_csv(job.folder / "again.csv").column("text").to_pylist() == ["'=1+1", "plain"]


def test_an_export_never_puts_answers_beside_the_rows_of_another_table(
    bench: Callable[..., Bench], provider: Provider
) -> None:
    """Where the input has changed since the run, answers found by row number would stand beside the wrong rows: it is refused."""
    job = bench(provider, rows=10)
    job.run()
    job.fill([{"id": f"r{number}", "text": f"text {number}"} for number in reversed(range(10))])
    with pytest.raises(DataError, match="has changed"):
        pipeline.export(job.job, job.folder / "again.parquet")
    assert not (job.folder / "again.parquet").exists()


def test_a_table_that_is_replaced_during_the_run_gets_no_wrong_answers(
    bench: Callable[..., Bench], provider: Provider
) -> None:
    """The run ends with an error and the old output; the next one finds the answers by their questions."""
    job = bench(provider, rows=50)
    replaced = []

    def replace(event: object) -> None:
        if isinstance(event, RowFinished) and not replaced:
            replaced.append(
                job.fill([{"id": f"r{number}", "text": f"text {number}"} for number in reversed(range(50))])
            )

    with pytest.raises(DataError, match="has changed"):
        pipeline.run(job.job, yes=True, observe=replace)
    assert not job.output.exists()
    assert job.run().by_status == {"ok": 50}
    assert all(f"#{row['id']}#" in row["output"] for row in job.table())
    assert len(provider.ledger.requests()) == 50


def test_an_output_that_would_replace_the_input_is_refused(bench: Callable[..., Bench], provider: Provider) -> None:
    """Nobody loses a table to its own job, by whatever name it is called."""
    job = bench(provider, rows=3)
    before = job.input.read_bytes()
    (job.folder / "link.parquet").symlink_to(job.input)
    for name in ("input.parquet", "./input.parquet", "link.parquet"):
        job.spec["output"]["path"] = name
        with pytest.raises((SpecError, DataError), match="input"):
            job.run()
        assert job.input.read_bytes() == before
    assert provider.ledger.requests() == []


@pytest.mark.parametrize(
    ("settings", "numbers"),
    [
        ({"limit": 5}, [0, 1, 2, 3, 4]),
        ({"where": "size > 15"}, [16, 17, 18, 19]),
        ({"where": "size % 2 = 1", "limit": 3}, [1, 3, 5]),
    ],
)
def test_a_choice_of_rows_is_asked_and_written_and_a_wider_one_asks_the_rest(
    bench: Callable[..., Bench], provider: Provider, settings: dict[str, object], numbers: list[int]
) -> None:
    """``limit`` and ``where`` choose the output's rows; without them only the others are asked."""
    job = bench(provider)
    rows = [{"id": f"r{number}", "text": f"{settings}", "size": number} for number in range(20)]
    job.fill(rows)
    job.spec["input"] = {"path": "input.parquet", **settings}
    job.run()
    assert job.column("size") == numbers
    assert len(provider.ledger.requests()) == len(numbers)
    job.spec["input"] = "input.parquet"
    assert job.run().by_status == {"ok": 20}
    assert job.column("size") == list(range(20))
    assert provider.ledger.asked() == {f"r{number}": 1 for number in range(20)}


def test_an_empty_table_gives_an_empty_table(bench: Callable[..., Bench], provider: Provider) -> None:
    """No rows are no requests, and every row of none is as wished."""
    job = bench(provider)
    job.fill([], pa.schema([("id", pa.string()), ("text", pa.string())]))
    closing = job.run()
    assert (closing.rows, closing.exit_code, closing.by_status) == (0, 0, {})
    assert job.table() == []
    assert provider.ledger.requests() == []


def test_pictures_with_the_same_content_share_an_answer_until_one_changes(
    bench: Callable[..., Bench], provider: Provider
) -> None:
    """When the row that carries the usage asks something new, its twin carries what both had shared."""
    job = bench(provider, prompt=[{"text": "What is this?"}, {"image": "photo"}], media={"identity": "content"})
    for name in ("a.png", "b.png"):
        Image.new("RGB", (8, 8), "red").save(job.folder / name)
    job.fill([{"id": "a", "photo": "a.png"}, {"id": "b", "photo": "b.png"}])
    job.run()
    assert job.column("shared_from") == [None, 0]
    Image.new("RGB", (8, 8), "blue").save(job.folder / "a.png")
    closing = job.run()
    assert len(provider.ledger.requests()) == 2
    assert job.column("shared_from") == [None, None]
    assert sum(job.column("total_tokens")) == closing.usage.total_tokens == provider.ledger.tokens()
