"""The final table reads no more of a journal than its columns need, and holds no more of it than a few rows."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.checkpoint import table
from pipeline.checkpoint.columns import Columns
from pipeline.checkpoint.money import Pricer
from pipeline.checkpoint.reader import reading
from pipeline.checkpoint.results import Results
from pipeline.cost.prices import Book
from pipeline.errors import AttemptError
from pipeline.events import Event, Writing
from pipeline.rows.source import Source, open_source
from pipeline.spec.job import Job

Bench = Any  # the fixture's class lives in conftest.py, which no module can import
RARE = (
    "tool_calls",
    "sources",
    "images",
    "notes",
    "raw",
    "confidence",
    "phase",
    "reasoning",
    "vendor_cost",
    "searches",
)
PRICED = {"prices": {"m": {"input": 1, "output": 10}, "m-1": {"input": 1, "output": 10}}}


class Run:
    """A run over a table of so many rows, all of whose answers are there, and what its final write does."""

    def __init__(self, folder: Path, bench: Bench, data: pa.Table, settings: dict[str, Any], **output: object) -> None:
        pq.write_table(data, folder / "in.parquet", row_group_size=100)
        spec = {"provider": "openai", "model": "m", "prompt": "x", "input": "in.parquet", **settings}
        self.job = Job.model_validate({**spec, "output": {"path": "o.parquet", **output}}).located(folder)
        self.source: Source = open_source(self.job.input, folder)
        self.columns = Columns.of(self.job, self.source.schema)
        self.bench, self.folder = bench, folder
        self.journal = bench.open(table=self.source.signature())
        self.statements: list[str] = []
        self.events: list[Event] = []

    def ask(self, rows: int, answer: Callable[[int], str] = str) -> None:
        """Answer the rows."""
        for row in range(rows):
            self.bench.ask(self.journal, row, f"q{row}", self.bench.reply(answer(row)))
        self.bench.close()

    def write(self) -> pq.ParquetFile:
        """Write the final table, and note what the journal is asked meanwhile."""
        with reading(self.bench.run_dir, book=Book.of(self.job)) as reader:
            reader.lines.__self__.set_trace_callback(self.statements.append)  # type: ignore[attr-defined]
            table.write_table(self.source, reader, self.columns, self.folder / "o.parquet", self.events.append, {})
        return pq.ParquetFile(self.folder / "o.parquet")


@pytest.fixture
def run(tmp_path: Path, benches: Any) -> Callable[..., Run]:
    """Make a run."""
    (tmp_path / "run").mkdir()

    def make(data: pa.Table, settings: dict[str, Any] | None = None, **output: object) -> Run:
        return Run(tmp_path, benches(tmp_path / "run"), data, PRICED | (settings or {}), **output)

    return make


@pytest.fixture
def priced_by_us(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """The attempts that SQL hands over to be priced one by one."""
    calls: list[tuple[Any, ...]] = []
    cost = Pricer.cost

    def counted(self: Pricer, *values: Any) -> int | None:
        calls.append(values)
        return cost(self, *values)

    monkeypatch.setattr(Pricer, "cost", counted)
    return calls


def test_a_plain_text_job_reads_nothing_that_its_table_lacks(
    run: Callable[..., Run], priced_by_us: list[tuple[Any, ...]]
) -> None:
    """Neither columns of tools and pictures nor bodies; and it prices no usual attempt by itself."""
    run = run(pa.table({"id": range(200)}))
    run.ask(200)
    run.write()
    results = [statement for statement in run.statements if "FROM rows" in statement]
    assert not [
        name for name in RARE for statement in results if re.search(rf"\b{name}\b", statement.replace("t.searches", ""))
    ]
    assert len(results) == len(run.statements) - 1  # the other one looks at which prices there are
    assert priced_by_us == []


def test_the_journal_is_asked_once_for_many_rows(run: Callable[..., Run]) -> None:
    """As many rows at a time as a row group of the input has, once it is known that they are light."""
    run = run(pa.table({"id": range(1_000)}))
    run.ask(50)
    run.write()
    assert len(run.statements) < 4 + 1_000 / 100


def test_only_attempts_that_are_not_usual_are_priced_one_by_one(
    run: Callable[..., Run], priced_by_us: list[tuple[Any, ...]]
) -> None:
    """Such as one that was turned away, and is free."""
    run = run(pa.table({"id": range(3)}))
    failed: AttemptError = run.bench.failure(transient=True)
    run.bench.ask(run.journal, 0, "q0", failed)
    run.ask(3)
    written = run.write().read()
    assert written["cost_usd"].to_pylist() == [0.0, 6e-05, 6e-05]
    assert [call[0] for call in priced_by_us] == ["refused"]


@pytest.mark.parametrize("name", ["sources", "raw", "searches"])
def test_what_a_job_asks_for_is_read(name: str, run: Callable[..., Run]) -> None:
    """Where its table has the column."""
    settings = {"request": {"tools": [{"type": "web_search"}]}}
    run = run(pa.table({"id": range(2)}), settings, raw=True)
    run.ask(2)
    run.write()
    assert [statement for statement in run.statements if name in statement and "FROM rows" in statement]


def test_answers_far_larger_than_a_batch_are_written_a_few_at_a_time(
    run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many rows are read at once from the input: what is in memory is bounded by bytes, and so is a row group of the output."""
    monkeypatch.setattr(table, "TARGET_BYTES", 2**16)
    heavy: list[int] = []
    values = Results.values

    def weighed(self: Results, *asked: Any) -> Any:
        found = values(self, *asked)
        heavy.append(sum(map(len, filter(None, found["output"]))))
        return found

    monkeypatch.setattr(Results, "values", weighed)
    run = run(pa.table({"id": range(100)}))
    run.ask(100, lambda row: f"{row:08}" * 2**11)
    file = run.write()
    groups = [file.metadata.row_group(number).num_rows for number in range(file.num_row_groups)]
    assert sum(groups) == 100
    assert max(heavy[1:]) <= 2 * 2**16
    assert max(groups[4:]) <= 5
    assert [int(text[:8]) for text in file.read()["output"].to_pylist()] == list(range(100))


def test_kept_pictures_are_never_all_in_memory(run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch) -> None:
    """A column of bytes many times larger than a batch passes through in batches of its weight."""
    monkeypatch.setattr(table, "TARGET_BYTES", 2**16)
    batches = Source.batches
    weights: list[int] = []

    def weighed(self: Source, *asked: Any, **more: Any) -> Iterator[Any]:
        for batch in batches(self, *asked, **{**more, "target_bytes": 2**16}):
            weights.append(batch.table.nbytes)
            yield batch

    monkeypatch.setattr(Source, "batches", weighed)
    run = run(
        pa.table({"id": range(300), "photo": [number.to_bytes(2, "big") * 2**12 for number in range(300)]}),
        keep=["photo"],
    )
    run.ask(1)
    file = run.write()
    assert max(weights) <= 2 * 2**16
    assert max(file.metadata.row_group(number).num_rows for number in range(file.num_row_groups)) <= 2 * 2**16 / 2**13
    assert file.read()["photo"].to_pylist() == pq.read_table(run.folder / "in.parquet")["photo"].to_pylist()
    assert run.events[-1] == Writing(done=300, rows=300)
