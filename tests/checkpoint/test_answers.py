"""What an answer carries beside its text survives in the journal, and reaches the table as it came."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.checkpoint.columns import Columns
from pipeline.checkpoint.packing import unpack
from pipeline.checkpoint.reader import reading
from pipeline.checkpoint.schema import RESULT
from pipeline.checkpoint.table import write_csv, write_table
from pipeline.errors import AttemptError
from pipeline.records import Outcome, Reply, Source, Status, Turn, Usage
from pipeline.rows.source import open_source
from pipeline.spec.job import Job

Bench = Any  # the fixture's class lives in conftest.py, which no module can import

SOURCES = (
    Source("url_citation", 'A "page", ü', "https://a.example"),
    Source("file_citation", file_id="f", filename="n.pdf"),
)
PICTURE = "data:image/png;base64,AAAA"


def whole(bench: Bench, **more: object) -> Reply:
    """Return a reply that carries all that one can."""
    reply: Reply = bench.reply("A", usage=Usage(10, 2, 5, 1, 15, cache_write_tokens=4, vendor_cost=1250.0))
    carried = {
        "sources": SOURCES,
        "searches": 2,
        "images": ("o.images/0-1-aa.png",),
        "notes": ("generated picture 2: no base64",),
        "confidence": 0.75,
        "phase": "final_answer",
        "reasoning_summary": "Looked.",
        "raw": {"output_text": "A", "picture": PICTURE},
    }
    return replace(reply, **(carried | more))


def results(bench: Bench, *, raw: bool = False) -> list[dict[str, object]]:
    """Return what the journal says of the first rows."""
    with reading(bench.run_dir) as reader:
        return [dict(zip(RESULT, line, strict=True)) for line in reader.results(0, 9, raw=raw)]


def test_what_an_answer_carries_is_there_after_a_restart(bench: Bench) -> None:
    """Values as they were given, for the row that asked and for its twin."""
    journal = bench.open()
    bench.ask(journal, 0, "a", whole(bench))
    bench.close()
    bench.ask(bench.open(), 1, "a")
    bench.close()
    for found in results(bench):
        assert found["sources"] == [asdict(source) for source in SOURCES]
        assert (found["searches"], found["confidence"], found["phase"]) == (2, 0.75, "final_answer")
        assert (found["images"], found["notes"]) == (["o.images/0-1-aa.png"], ["generated picture 2: no base64"])
        assert (found["reasoning_summary"], found["vendor_cost"], found["cache_write_tokens"]) == ("Looked.", 1250.0, 4)
        assert found["raw"] is None


def test_what_an_answer_does_not_say_is_null(bench: Bench) -> None:
    """Not an empty list, and not 0."""
    bench.ask(bench.open(), 0, "a")
    bench.close()
    (found,) = results(bench)
    unknown = ("sources", "searches", "images", "notes", "confidence", "phase", "vendor_cost", "cache_write_tokens")
    assert {found[name] for name in unknown} == {None}


def test_costs_and_searches_add_up_over_all_attempts(bench: Bench) -> None:
    """As tokens do, failed attempts included; what one attempt does not say leaves the sum as it is."""
    journal = bench.open()
    with journal.claim(bench.request(0, "a")) as claim:
        bench.fail(journal, claim.request, bench.failure(transient=True, reply=whole(bench, status=Status.FAILED)))
        bench.fail(journal, claim.request, bench.failure(transient=True, reply=bench.reply("no", Status.FAILED)))
        attempt = bench.wait(journal.intend(claim.request))
        bench.wait(journal.settle(claim.request, attempt, Outcome(0.5, reply=whole(bench, searches=1))))
    bench.close()
    (found,) = results(bench)
    assert (found["searches"], found["vendor_cost"], found["cache_write_tokens"], found["attempts"]) == (
        3,
        2500.0,
        8,
        3,
    )
    with reading(bench.run_dir) as reader:
        assert reader.totals().usage == Usage(30, 6, 15, 3, 45, 8, 2500.0)


def test_a_better_answer_takes_the_place_of_all_that_the_old_one_carried(bench: Bench) -> None:
    """Nothing of the old one stays beside the new one's text; what it has cost stays counted."""
    bench.ask(bench.open(), 0, "a", whole(bench, status=Status.TRUNCATED))
    bench.close()
    journal = bench.open(job=None)
    journal.reopen([Status.TRUNCATED])
    bench.ask(journal, 0, "a", bench.reply("B"))
    bench.close()
    (found,) = results(bench, raw=True)
    assert {found[name] for name in ("sources", "images", "notes", "confidence", "phase")} == {None}
    assert (found["output"], found["searches"], found["raw"]) == ("B", 2, '{"output_text":"B"}')


# -- the body ----------------------------------------------------------------------------------------------------------------


def test_the_raw_body_is_that_of_the_answering_attempt_without_pictures(bench: Bench) -> None:
    """Not that of an attempt that failed before, nor of a round before the last, nor of a conversation that was broken off."""
    journal = bench.open()
    with journal.claim(bench.request(0, "a")) as claim:
        bench.fail(journal, claim.request, bench.failure(transient=True, reply=bench.reply("failed", Status.FAILED)))
        for reply in (whole(bench, turn=Turn.TOOLS, raw={"round": 1}), whole(bench)):
            attempt = bench.wait(journal.intend(claim.request))
            bench.wait(journal.settle(claim.request, attempt, Outcome(0.5, reply=reply)))
    bench.ask(journal, 1, "b", bench.failure(reply=bench.reply("no", Status.FAILED)))
    with suppress(AttemptError), journal.claim(bench.request(2, "c")) as claim:
        attempt = bench.wait(journal.intend(claim.request))
        bench.wait(journal.settle(claim.request, attempt, Outcome(0.5, reply=whole(bench, turn=Turn.TOOLS))))
        raise bench.fail(journal, claim.request)
    bench.close()
    answered, failed, broken_off = results(bench, raw=True)
    assert json.loads(str(answered["raw"])) == {
        "output_text": "A",
        "picture": "data:image/png;base64,[26 characters removed]",
    }
    assert (failed["raw"], broken_off["raw"]) == (None, None)


@pytest.mark.parametrize("pictures", [(), ("AAAA",)])
def test_a_body_keeps_the_pictures_that_have_no_file(bench: Bench, pictures: tuple[str, ...]) -> None:
    """They were paid, and the disk that could not take them may be mended; ``show`` leaves them out."""
    bench.ask(bench.open(), 0, "a", whole(bench, pictures=pictures))
    bench.close()
    with reading(bench.run_dir) as reader:
        packed = reader._connection.execute("SELECT raw FROM attempts").fetchone()[0]
        shown: Any = reader.row(0)
    assert (unpack(packed)["picture"] == PICTURE) is bool(pictures)
    assert PICTURE not in str(shown["attempts"][0]["reply"])
    assert shown["sources"][0]["url"] == "https://a.example"


# -- the table ---------------------------------------------------------------------------------------------------------------


@pytest.fixture
def written(bench: Bench, tmp_path: Path) -> Path:
    """A folder with the table of two rows, as Parquet and as CSV; the second row has no answer."""
    pq.write_table(pa.table({"id": [0, 1]}), tmp_path / "in.parquet")
    request = {"tools": "{{ tools }}", "reasoning": {"summary": "auto"}, "include": ["message.output_text.logprobs"]}
    spec = {"provider": "simulator", "model": "m", "prompt": "x", "request": request, "input": "in.parquet"}
    job = Job.model_validate({**spec, "output": {"path": "o.parquet", "raw": True}}).located(tmp_path)
    source = open_source(job.input, tmp_path)
    columns = Columns.of(job, source.schema)
    bench.ask(bench.open(table=source.signature()), 0, "a", whole(bench))
    bench.close()
    with reading(bench.run_dir) as reader:
        write_table(source, reader, columns, tmp_path / "o.parquet", lambda _event: None, {})
        write_csv(source, reader, columns, tmp_path / "o.csv")
    return tmp_path


def test_a_data_frame_gets_lists_and_structs(written: Path) -> None:
    """Sources can be exploded and unnested, pictures joined to the folder; a row without an answer has nulls."""
    frame = pl.read_parquet(written / "o.parquet")
    sources = frame.explode("sources").unnest("sources")
    assert sources["url"].to_list() == ["https://a.example", None, None]
    assert sources["kind"].to_list() == ["url_citation", "file_citation", None]
    assert frame["images"].to_list() == [["o.images/0-1-aa.png"], None]
    assert frame.schema["images"] == pl.List(pl.String)
    assert (frame.schema["searches"], frame.schema["confidence"]) == (pl.Int32, pl.Float64)
    assert frame["searches"].to_list() == [2, None]
    assert json.loads(frame["raw"][0])["output_text"] == "A"
    assert frame["raw"][1] is None


def test_csv_has_them_as_json(written: Path) -> None:
    """A spreadsheet sees every source and every path."""
    frame = pl.read_csv(written / "o.csv")
    assert json.loads(frame["sources"][0]) == [asdict(source) for source in SOURCES]
    assert json.loads(frame["images"][0]) == ["o.images/0-1-aa.png"]
    assert (frame["confidence"][0], frame["phase"][0], frame["sources"][1]) == (0.75, "final_answer", None)
