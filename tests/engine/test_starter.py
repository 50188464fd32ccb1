"""What `init` writes runs as it stands, for any table."""

from __future__ import annotations

import csv
import io
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from pipeline import api
from pipeline.engine.first import first_requests
from pipeline.engine.starter import starter
from pipeline.errors import DataError, SpecError
from pipeline.records import Media, Request

DATA = Path(__file__).parents[2] / "data"


def picture() -> bytes:
    """Return a small picture."""
    buffer = io.BytesIO()
    Image.new("RGB", (2, 2), "red").save(buffer, "PNG")
    return buffer.getvalue()


def started(table: Path, name: str = "job.yaml") -> tuple[list[object], list[str]]:
    """Write a spec beside a table, check it, and return the parts of its first row's message and the output's columns."""
    spec = api.init(table, table.parent / name)
    prepared = api.check(spec)
    ((_, request),) = first_requests(prepared, 1)
    assert isinstance(request, Request)
    (message,) = request.body["input"]
    places = ("text", "image_url", "video_url", "file_url", "file_data")
    parts = [next(part[place] for place in places if place in part) for part in message["content"]]
    return parts, prepared.columns.schema.names


def written(path: Path, rows: list[dict[str, Any]]) -> Path:
    """Write a CSV file."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def test_a_table_of_texts(tmp_path: Path) -> None:
    """Its first columns are in the prompt, each with its name."""
    parts, names = started(written(tmp_path / "films.csv", [{"title": "Alien", "year": 1979}]))
    assert parts == ["Say in one word what this is about. title: Alien. year: 1979."]
    assert names[:3] == ["title", "year", "label"]


@pytest.mark.parametrize("cell", ["bytes", "struct", "url", "path"])
def test_a_table_of_pictures(tmp_path: Path, cell: str) -> None:
    """Bytes, the struct that data sets have, addresses and file names are all sent as pictures."""
    (tmp_path / "a.png").write_bytes(picture())
    cells = {
        "bytes": picture(),
        "struct": {"bytes": picture(), "path": "a.png"},
        "url": "https://x/a.JPG?size=1",
        "path": "a.png",
    }
    pq.write_table(pa.table({"title": ["A"], "photo": [cells[cell]], "digest": [b"\1\2"]}), tmp_path / "t.parquet")
    parts, names = started(tmp_path / "t.parquet")
    assert parts[0] == "Describe this picture in one sentence. title: A."
    assert [isinstance(part, Media) for part in parts] == [False, True]
    assert "caption" in names


def test_a_first_null_hides_no_picture(tmp_path: Path) -> None:
    """What a column holds is told by its first cell that holds something."""
    spec = api.init(written(tmp_path / "t.csv", [{"photo": "", "a": 1}, {"photo": "a.png", "a": 2}]), tmp_path / "j")
    assert "- image: photo" in spec.read_text()


@pytest.mark.parametrize("cell", ["bytes", "struct", "url", "path"])
@pytest.mark.parametrize(
    ("kind", "content", "ending", "task", "provider"),
    [
        (
            "video",
            (DATA / "clips" / "clock.mp4").read_bytes(),
            "mp4",
            "Describe this video in one sentence.",
            "provider: {name: simulator, dialect: qingbo} # qingbo (what else there is takes no such media), or {base_url: …}",
        ),
        (
            "file",
            (DATA / "documents" / "pond.pdf").read_bytes(),
            "pdf",
            "Sum up this document in one sentence.",
            "provider: simulator            # openai (what else there is takes no such media), or {base_url: …}",
        ),
    ],
)
def test_a_table_of_videos_or_documents(
    tmp_path: Path, kind: str, content: bytes, ending: str, task: str, provider: str, cell: str
) -> None:
    """They are parts of their kind, sent in the dialect that takes them, and the spec says which providers do."""
    (tmp_path / f"a.{ending}").write_bytes(content)
    cells = {
        "bytes": content,
        "struct": {"bytes": None, "path": f"a.{ending}"},
        "url": f"https://x/a.{ending.upper()}?size=1",
        "path": f"a.{ending}",
    }
    pq.write_table(pa.table({"title": ["A"], "thing": [cells[cell]]}), tmp_path / "t.parquet")
    parts, _ = started(tmp_path / "t.parquet")
    assert parts[0] == f"{task} title: A."
    (media,) = parts[1:]
    assert isinstance(media, Media)
    assert media.kind == kind
    assert provider in (tmp_path / "job.yaml").read_text()


def test_a_first_job_about_videos_runs(tmp_path: Path) -> None:
    """As every other does, with nothing changed."""
    shutil.copytree(DATA / "clips", tmp_path / "clips")
    shutil.copy(DATA / "clips.csv", tmp_path)
    finished = api.run(api.init(tmp_path / "clips.csv", tmp_path / "job.yaml"))
    assert finished.by_status == {"ok": finished.rows}


def test_media_that_no_provider_takes_together_are_not_put_together(tmp_path: Path) -> None:
    """The later ones are left out, with a word, so that the job runs."""
    cells = {"photo": "https://x/a.png", "clip": "https://x/a.mp4", "paper": "https://x/a.pdf"}
    parts, _ = started(written(tmp_path / "t.csv", [cells]))
    assert [part.kind for part in parts[1:] if isinstance(part, Media)] == ["image", "video"]
    text = (tmp_path / "job.yaml").read_text()
    assert "# paper is left out: no provider takes it beside the others" in text
    assert "set provider to qingbo." in text


def test_a_folder_of_pictures(tmp_path: Path) -> None:
    """Each file is a row."""
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.png").write_bytes(picture())
    (tmp_path / "photos" / "b.txt").touch()
    parts, names = started(tmp_path / "photos")
    assert parts[0] == "Describe this picture in one sentence."
    assert isinstance(parts[1], Media)
    assert names[:4] == ["path", "name", "bytes", "caption"]


ODD = [
    "a b",
    "größe",
    "it's",
    'say "it"',
    "1st",
    "not",
    "row",
    "loop",
    "range",
    "null",
    "true",
    "no",
    "a:b #c",
    "- x",
    "{x}",
    "{{ x }}",
    "{% raw %}",
    "a\\b",
    "a\nb",
    "tab\there",
    "\u2028",
    "\x85",
    "😀",
    "${HOME}",
    "$${x}",
    "%",
    "&a",
    "*a",
    "!a",
    "'\"",
    "class",
    "x.y",
]


@pytest.mark.parametrize("name", ODD, ids=repr)
def test_a_column_may_have_any_name(tmp_path: Path, name: str) -> None:
    """It is in the prompt with its cell, or, where a template could hardly name it, left to its owner."""
    pq.write_table(pa.table({name: ["CELL"]}), tmp_path / "t.parquet")
    ((text,), names) = started(tmp_path / "t.parquet")
    assert name in names
    sayable = not set(name) & set("{}\\") and not ("'" in name and '"' in name)
    assert text == "Say in one word what this is about." + (f" {name}: CELL." if sayable else "")


def test_all_odd_columns_at_once(tmp_path: Path) -> None:
    """A prompt of four of them, and a comment with all."""
    written(tmp_path / "t.csv", [dict.fromkeys(ODD, "CELL")])
    ((text,), _) = started(tmp_path / "t.csv")
    assert str(text).count("CELL") == 4


@pytest.mark.parametrize(
    "stem", ["größe", "2024", "null", "2024-01-01", "a b", "...", "x" * 150, "no", "'", "a${HOME}"]
)
def test_a_table_may_have_any_name(tmp_path: Path, stem: str) -> None:
    """The job's name and the output's are made of it."""
    started(written(tmp_path / f"{stem}.csv", [{"a": 1}]))


@pytest.mark.parametrize(
    ("columns", "prefix"),
    [
        (["status"], "llm_"),
        (["output", "llm_status"], "llm_llm_"),
        (["label"], "llm_"),
        (["caption"], ""),
        (["llm_status"], ""),
    ],
)
def test_a_table_with_columns_like_the_outputs_gets_a_prefix(tmp_path: Path, columns: list[str], prefix: str) -> None:
    """The shortest that keeps all columns apart."""
    _, names = started(written(tmp_path / "t.csv", [dict.fromkeys(columns, "x")]))
    assert names == [*columns, *names[len(columns) :]]
    assert names[len(columns)] == f"{prefix}label"


def test_the_output_never_replaces_the_table(tmp_path: Path) -> None:
    """Also where the table is the output of an earlier job."""
    (tmp_path / "out").mkdir()
    pq.write_table(pa.table({"title": ["A"]}), tmp_path / "out" / "films.parquet")
    spec = api.init(tmp_path / "out" / "films.parquet", tmp_path / "job.yaml")
    assert api.check(spec).job.output_path == tmp_path / "out" / "films.2.parquet"


def test_a_table_without_rows_can_be_started(tmp_path: Path) -> None:
    """Its columns are known all the same."""
    pq.write_table(pa.table({"title": pa.array([], pa.string())}), tmp_path / "t.parquet")
    api.check(api.init(tmp_path / "t.parquet", tmp_path / "job.yaml"))


def test_a_table_is_named_from_where_the_spec_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever the command is given."""
    (tmp_path / "jobs").mkdir()
    (tmp_path / "data").mkdir()
    written(tmp_path / "data" / "t.csv", [{"a": 1}])
    monkeypatch.chdir(tmp_path / "data")
    api.check(api.init("t.csv", "../jobs/job.yaml"))
    assert 'path: "../data/t.csv"' in (tmp_path / "jobs" / "job.yaml").read_text()


def test_a_spec_is_not_overwritten(tmp_path: Path) -> None:
    """What a person has written is theirs."""
    table = written(tmp_path / "t.csv", [{"a": 1}])
    spec = api.init(table, tmp_path / "job.yaml")
    spec.write_text("mine")
    with pytest.raises(SpecError, match="File exists"):
        api.init(table, spec)
    assert spec.read_text() == "mine"


def test_what_is_no_table_is_refused(tmp_path: Path) -> None:
    """And no spec is written for it."""
    (tmp_path / "t.txt").write_text("a")
    with pytest.raises(DataError):
        starter(tmp_path / "t.txt", tmp_path / "job.yaml")
    with pytest.raises(DataError):
        api.init(tmp_path / "missing.csv", tmp_path / "job.yaml")
    assert not (tmp_path / "job.yaml").exists()


def test_a_text_that_some_rows_lack_stays_in_the_prompt(tmp_path: Path) -> None:
    """One empty cell leaves no column out: such rows are skipped, and the spec says so. What most rows lack is named beside it."""
    rows = [{"id": number, "note": "", "text": "" if number == 3 else "a"} for number in range(20)]
    rows[0]["note"] = "rare"
    spec = api.init(written(tmp_path / "t.csv", rows), tmp_path / "job.yaml")
    text = spec.read_text()
    assert "{{ text }}" in text
    assert "# note is left out: most of the first rows have none" in text
    assert "\non_null: skip  " in text
    assert api.run(spec).by_status == {"ok": 19, "skipped": 1}


def test_a_starter_names_what_bounds_the_bill(tmp_path: Path) -> None:
    """In its head, in one line; where no cell is empty, nulls are only mentioned."""
    text = api.init(written(tmp_path / "t.csv", [{"text": "a"}]), tmp_path / "job.yaml").read_text()
    assert sum("pipeline estimate" in line and "budget: 5" in line for line in text.splitlines()) == 1
    assert "\n# on_null: fail" in text
