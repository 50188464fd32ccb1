"""The first rows of a job are looked at, and no others."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from pipeline.engine.check import Prepared, prepare
from pipeline.engine.first import FIRST_ROWS, first_requests
from pipeline.spec.load import load_job


def prepared(folder: Path, cells: list[str]) -> Prepared:
    """Return a checked job over rows that show what these cells name."""
    pq.write_table(pa.table({"image": cells}), folder / "t.parquet")
    spec = {
        "provider": "simulator",
        "model": "m",
        "input": "t.parquet",
        "prompt": {"user": [{"image": "image"}]},
        "output": "o.parquet",
    }
    (folder / "job.yaml").write_text(yaml.safe_dump(spec), encoding="utf-8")
    return prepare(load_job(folder / "job.yaml"), "http://127.0.0.1:9")


def test_no_row_beyond_the_first_is_rendered(tmp_path: Path) -> None:
    """A table of thousands of files starts as fast as one of a few: only the last of these rows names one."""
    (tmp_path / "a.jpg").write_bytes(b"no picture")
    job = prepared(tmp_path, [*(f"https://x.test/{row}" for row in range(FIRST_ROWS)), "a.jpg"])
    assert not job.builder.names_files
    assert len(list(first_requests(job, FIRST_ROWS + 1))) == FIRST_ROWS + 1
    assert job.builder.names_files


def test_a_short_table_has_fewer_first_rows(tmp_path: Path) -> None:
    """All of them are looked at, in their order."""
    job = prepared(tmp_path, ["https://x.test/0", "https://x.test/1"])
    assert [row for row, _ in first_requests(job, FIRST_ROWS)] == [0, 1]
