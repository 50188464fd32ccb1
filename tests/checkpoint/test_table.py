"""Every input row has exactly one output row, in order, and a reader never sees half a table."""

from __future__ import annotations

import csv
import json
import os
import stat
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.checkpoint import schema
from pipeline.checkpoint.columns import Columns
from pipeline.checkpoint.reader import Reader, reading
from pipeline.checkpoint.table import write_csv, write_table
from pipeline.errors import DataError, DiskFailed, NullCell
from pipeline.events import Event, Writing
from pipeline.records import Status
from pipeline.rows.source import Source, open_source
from pipeline.spec.job import Job

Bench = Any  # the fixture's class lives in conftest.py, which no module can import


class Table:
    """An input with a run of its own, and the places where its outputs go."""

    def __init__(self, folder: Path, bench: Bench, data: pa.Table, **input_: object) -> None:
        pq.write_table(data, folder / "in.parquet", row_group_size=3)
        spec = {"provider": "simulator", "model": "m", "prompt": "x", "output": "o.parquet"}
        self.job = Job.model_validate({**spec, "input": {"path": "in.parquet", **input_}}).located(folder)
        self.folder = folder
        self.bench = bench
        self.source = open_source(self.job.input, folder)
        self.columns = Columns.of(self.job, self.source.schema)
        self.journal = bench.open(table=self.source.signature())
        self.events: list[Event] = []

    def parquet(self, name: str = "out.parquet") -> pa.Table:
        """Write the table as Parquet, and read it."""
        with reading(self.bench.run_dir) as reader:
            write_table(self.source, reader, self.columns, self.folder / name, self.events.append, {"job": "j", "n": 1})
        return pq.read_table(self.folder / name)

    def csv(self) -> list[list[str]]:
        """Write the table as CSV, and return its lines."""
        with reading(self.bench.run_dir) as reader:
            write_csv(self.source, reader, self.columns, self.folder / "out.csv")
        with (self.folder / "out.csv").open(newline="") as file:
            return list(csv.reader(file))


@pytest.fixture
def table(tmp_path: Path, benches: Any) -> Callable[..., Table]:
    """Make an input."""
    (tmp_path / "run").mkdir()
    bench = benches(tmp_path / "run")

    def make(data: pa.Table | None = None, **input_: object) -> Table:
        return Table(tmp_path, bench, pa.table({"id": range(10)}) if data is None else data, **input_)

    return make


def test_every_row_is_there_once_and_in_order(table: Callable[..., Table]) -> None:
    """Answered in whatever order, shared, skipped, failed or not asked at all."""
    table = table()
    for row in (7, 2, 5, 0):
        table.bench.ask(table.journal, row, f"q{row % 5}")
    table.journal.note(4, Status.SKIPPED, NullCell("title"))
    table.bench.ask(table.journal, 9, "bad", table.bench.failure())
    table.bench.close()
    written = table.parquet()
    assert written["id"].to_pylist() == list(range(10))
    assert written["status"].to_pylist() == [
        "ok",
        "pending",
        "ok",
        "pending",
        "skipped",
        "ok",
        "pending",
        "ok",
        "pending",
        "failed",
    ]
    assert written["output"].to_pylist()[:3] == ["Q0", None, "Q2"]
    assert written["shared_from"].to_pylist() == [5 if row == 0 else 7 if row == 2 else None for row in range(10)]
    assert written["total_tokens"].to_pylist() == [0, None, 0, None, None, 15, None, 15, None, None]


def test_only_the_jobs_rows_are_written(table: Callable[..., Table]) -> None:
    """``where``, ``sample`` and ``limit`` choose, and the numbers are those of the whole input."""
    table = table(where="id % 2 = 1", limit=3)
    table.bench.ask(table.journal, 3, "a")
    table.bench.close()
    written = table.parquet()
    assert written["id"].to_pylist() == [1, 3, 5]
    assert written["status"].to_pylist() == ["pending", "ok", "pending"]


def test_a_table_without_rows_has_its_columns(table: Callable[..., Table]) -> None:
    """An empty result can be read like any other."""
    table = table(where="id > 99")
    assert table.parquet().num_rows == 0
    assert table.parquet().column_names[:3] == ["id", "output", "status"]
    assert len(table.csv()) == 1


def test_the_file_says_what_it_is(table: Callable[..., Table]) -> None:
    """The schema's metadata hold the job and the sums, as JSON, and the types are the published ones."""
    table = table()
    written = table.parquet()
    assert json.loads(written.schema.metadata[b"pipeline"]) == {"job": "j", "n": 1}
    assert written.schema.equals(table.columns.schema)
    assert pq.ParquetFile(table.folder / "out.parquet").metadata.row_group(0).column(0).compression == "ZSTD"


def test_writing_is_announced(table: Callable[..., Table]) -> None:
    """With how many rows of how many are written."""
    table = table()
    table.parquet()
    assert table.events[-1] == Writing(done=10, rows=10)


@pytest.mark.parametrize("write", ["parquet", "csv"])
@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, DataError, OSError])
def test_a_failure_midway_leaves_the_old_file_and_nothing_else(
    table: Callable[..., Table], monkeypatch: pytest.MonkeyPatch, write: str, error: type[BaseException]
) -> None:
    """Whatever stops the writing, what stands at the target is whole, and no temporary file is left."""
    table = table()
    getattr(table, write)()
    before = {path.name: path.read_bytes() for path in table.folder.glob("*.*")}
    batches = table.source.batches

    def broken(*args: Any, **options: Any) -> Iterator[Any]:
        yield next(batches(*args, **options))
        raise error("in the middle")

    monkeypatch.setattr(table.source, "batches", broken)
    with pytest.raises((error, DiskFailed), match="in the middle"):
        getattr(table, write)()
    assert {path.name: path.read_bytes() for path in table.folder.glob("*.*")} == before
    assert [path.name for path in table.folder.iterdir() if path.name.startswith(".")] == []


def test_what_a_killed_process_left_is_removed(table: Callable[..., Table]) -> None:
    """Only its own kind of file, and only where no process has that number; another's is left alone."""
    table = table()
    dead, own, huge = (table.folder / f".out.parquet.{pid}.tmp" for pid in (2**22 + 1, os.getppid(), "9" * 30))
    other = table.folder / ".out.parquet.bak"
    for path in (dead, own, huge, other):
        path.touch()
    table.parquet()
    assert [path.exists() for path in (dead, own, huge, other)] == [False, True, False, True]


def test_a_target_in_a_new_folder_is_written(table: Callable[..., Table]) -> None:
    """Its folders are made."""
    assert table().parquet("new/deep/out.parquet").num_rows == 10


def test_a_target_that_cannot_be_written_is_a_failure_of_the_disk(table: Callable[..., Table]) -> None:
    """And the hint says that the answers are safe."""
    table = table()
    (table.folder / "file").touch()
    with pytest.raises(DiskFailed, match="cannot write") as failed:
        table.parquet("file/out.parquet")
    assert "what was answered is safe" in str(failed.value.hint)


def test_rows_never_meet_strangers(table: Callable[..., Table]) -> None:
    """An input that has changed since it was asked is refused: answers would stand beside the wrong rows."""
    table = table()
    pq.write_table(pa.table({"id": range(1, 11)}), table.folder / "in.parquet")
    with pytest.raises(DataError, match="input has changed"):
        table.parquet()
    assert not (table.folder / "out.parquet").exists()


FORMULAS = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", '=HYPERLINK("http://x","y")']


@pytest.mark.parametrize(
    "kind", [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())], ids=str
)
def test_no_cell_of_a_csv_file_is_a_formula(table: Callable[..., Table], kind: pa.DataType) -> None:
    """In the input's texts, whatever their type, and in the model's answer."""
    data = pa.table({"x": pa.array(FORMULAS).cast(kind)})
    table = table(data)
    for row, formula in enumerate(FORMULAS):
        table.bench.ask(table.journal, row, f"q{row}", table.bench.reply(formula))
    table.bench.close()
    _, *lines = table.csv()
    assert [line[:2] for line in lines] == [[f"'{formula}", f"'{formula}"] for formula in FORMULAS]


def test_no_heading_of_a_csv_file_is_a_formula(table: Callable[..., Table]) -> None:
    """A column's name is a cell, too."""
    assert table(pa.table({"=1+1": [1]})).csv()[0][:2] == ["'=1+1", "output"]


def test_no_cell_of_a_csv_file_steers_a_terminal(table: Callable[..., Table]) -> None:
    """Control characters are dropped, and hide no formula; tab and line ends are text."""
    table = table(pa.table({"x\x1b": ["a\x1b[2Jb\0\x7f", "c\td\r\ne", "\x1b=1+1"]}))
    heading, *lines = table.csv()
    assert heading[0] == "x"
    assert [line[0] for line in lines] == ["a[2Jb", "c\td\r\ne", "'=1+1"]


def test_numbers_of_a_csv_file_stay_numbers(table: Callable[..., Table]) -> None:
    """A minus makes no formula of them."""
    table = table(pa.table({"i": [-1], "f": [-1.5], "d": [Decimal("-1.10")], "b": [True]}))
    assert table.csv()[1][:4] == ["-1", "-1.5", "-1.10", "true"]


def test_what_csv_cannot_hold_is_written_as_text(table: Callable[..., Table]) -> None:
    """Nested cells as JSON, times as they are read, and a null as nothing."""
    data = pa.table(
        {
            "list": pa.array([["=a", None], None]),
            "map": pa.array([{"a": {"b": 1}}, None]),
            "when": pa.array([0, None], pa.timestamp("ms", "UTC")),
            "long": pa.array([3, None], pa.duration("s")),
            "none": pa.nulls(2),
        }
    )
    _, first, second = table(data).csv()
    assert first[:5] == ['["=a", null]', '{"a": {"b": 1}}', "1970-01-01 00:00:00.000Z", "0:00:03", ""]
    assert second[:5] == [""] * 5


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary(), pa.binary(2), pa.list_(pa.binary())], ids=str)
def test_bytes_that_are_kept_are_base64_in_csv(tmp_path: Path, benches: Any, kind: pa.DataType) -> None:
    """They come back as they were."""
    (tmp_path / "run").mkdir()
    cell: object = [b"\xfb\xef"] if pa.types.is_list(kind) else b"\xfb\xef"
    table = Table(tmp_path, benches(tmp_path / "run"), pa.table({"x": pa.array([cell], kind)}))
    table.columns = Columns.of(
        table.job.model_copy(update={"output": table.job.output.model_copy(update={"keep": ["x"]})}),
        table.source.schema,
    )
    assert table.csv()[1][0] == ('["++8="]' if pa.types.is_list(kind) else "'++8=")


def test_the_target_may_be_replaced_while_it_is_read(table: Callable[..., Table]) -> None:
    """Who has the old file open reads on; the new one is another file with ordinary rights."""
    table = table()
    table.parquet()
    target = table.folder / "out.parquet"
    with target.open("rb") as old:
        before = os.fstat(old.fileno()).st_ino
        table.parquet()
        assert target.stat().st_ino != before
        assert pq.read_table(old).num_rows == 10
    assert stat.S_ISREG(target.stat().st_mode)


def test_a_table_may_be_written_while_the_run_goes_on(table: Callable[..., Table]) -> None:
    """``export`` at any moment: what is not finished is pending."""
    table = table()
    table.bench.ask(table.journal, 0, "a")
    with table.journal.claim(table.bench.request(1, "b")) as claim:
        table.bench.wait(table.journal.intend(claim.request))
        assert table.parquet()["status"].to_pylist()[:2] == ["ok", "pending"]


@pytest.mark.parametrize("at_once", [1, 4, 2**16])
def test_totals_are_the_sums_of_the_table(
    at_once: int, table: Callable[..., Table], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tokens and attempts over all rows are those of the bill, twins and failures included; in however many pieces they are added up."""
    monkeypatch.setattr(schema, "AT_ONCE", at_once)
    table = table()
    for row in range(10):
        table.bench.ask(
            table.journal,
            row,
            f"q{row % 3}",
            table.bench.failure(reply=table.bench.reply("no")) if row % 3 == 2 else None,
        )
    table.bench.close()
    written = table.parquet()
    with reading(table.bench.run_dir) as reader:
        totals = reader.totals()
    assert isinstance(reader, Reader)
    for name in ("input_tokens", "cached_tokens", "output_tokens", "reasoning_tokens", "total_tokens"):
        assert sum(written[name].to_pylist()) == getattr(totals.usage, name)
    assert sum(written["attempts"].to_pylist()) == totals.attempts
    assert totals.by_status == {"ok": 7, "failed": 3}
    assert totals.by_error == {"failed": {"server": 3}}
    assert isinstance(table.source, Source)
