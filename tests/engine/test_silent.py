"""`check` says which of the first rows would send nothing, and why, from little reading."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image

import pipeline
from pipeline.engine import silent
from pipeline.records import Media

DATA = Path(__file__).parents[2] / "data"
PDF = (DATA / "documents" / "pond.pdf").read_bytes()
MP4 = (DATA / "clips" / "clock.mp4").read_bytes()
PREVIEW = "`pipeline preview -n 20` shows the rows"
Check = Callable[..., list[str]]


def picture(format_: str = "PNG") -> bytes:
    """Return a small picture."""
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(buffer, format_)
    return buffer.getvalue()


@pytest.fixture
def check(tmp_path: Path) -> Check:
    """Return the function that checks a job over rows whose column ``c`` holds these cells, and returns what it says of silent rows."""

    def check(cells: list[object], prompt: object = "{{ c }}", **settings: Any) -> list[str]:
        pq.write_table(pa.table({"c": cells}), tmp_path / "t.parquet")
        spec = {"provider": "simulator", "model": "m", "input": "t.parquet", "prompt": prompt, "output": "o.parquet"}
        (tmp_path / "job.yaml").write_text(yaml.safe_dump({**spec, **settings}))
        return [note for note in pipeline.check(tmp_path / "job.yaml").notes if "nothing" in note]

    return check


def test_rows_with_a_null_are_told_with_their_reason(check: Check) -> None:
    """By their numbers, as `show` knows them."""
    assert check(["a", None, "b", None]) == [
        f"2 of the first 4 rows send nothing: row 1: column 'c' is null; row 3: column 'c' is null; {PREVIEW}"
    ]


def test_many_silent_rows_are_told_by_the_first_three(check: Check) -> None:
    """Of no more than the first twenty."""
    (note,) = check(["a", *[None] * 30])
    assert note.startswith("19 of the first 20 rows send nothing: row 1: ")
    assert note.endswith(f"row 3: column 'c' is null; …; {PREVIEW}")


def test_one_silent_row_is_one(check: Check) -> None:
    """Where a template works for some rows, the others are their own mistake."""
    (note,) = check(["1", "x"], request={"temperature": "{{ c }}"})
    assert note.startswith("1 of the first 2 rows sends nothing: row 1: request.temperature must be a number")


@pytest.mark.parametrize("on_null", ["skip", "empty"])
def test_rows_that_are_silent_as_wished_are_not_told(check: Check, on_null: str) -> None:
    """Skipping nulls, say, is what the job asks for."""
    assert check(["a", None], on_null=on_null) == []


@pytest.mark.parametrize(
    ("kind", "name", "content", "reason"),
    [
        ("image", "a.png", picture()[:-20], "a.png: the image is cut off: its end is missing"),
        ("image", "a.png", b"<html>", "a.png: the image is not a JPEG, PNG, GIF or WebP: it is an HTML page"),
        ("image", "a.tiff", picture("TIFF"), "a.tiff: the image is a TIFF; taken are JPEG, PNG, GIF, WebP"),
        ("image", "a.png", b"", "a.png: the image is not a JPEG, PNG, GIF or WebP: it is empty"),
        ("video", "a.mp4", MP4[:400], "a.mp4: the video is cut off"),
        ("video", "a.mp4", PDF, "a.mp4: the video is not MP4, MOV, AVI or WebM: it is a PDF"),
        ("file", "a.pdf", b"<html>login", "a.pdf: the file is called a.pdf, but it is an HTML page"),
        ("file", "a.pdf", b"", "a.pdf: the file is empty"),
    ],
)
@pytest.mark.parametrize("as_bytes", [False, True])
def test_media_that_cannot_be_sent_are_told(
    check: Check, tmp_path: Path, kind: str, name: str, content: bytes, reason: str, as_bytes: bool
) -> None:
    """Missing or of the wrong kind, from a file as from a cell; nobody waits for the run to find out."""
    (tmp_path / name).write_bytes(content)
    dialect = "qingbo" if kind == "video" else "openai"
    cells: list[object] = [{"bytes": content if as_bytes else None, "path": path} for path in (name, "no.png")]
    (note,) = check(cells, [{"text": "x"}, {kind: "c"}], provider={"name": "simulator", "dialect": dialect})
    if as_bytes and not content:
        reason = f"{name} is empty: no {kind} bytes"
    assert f"row 0: {reason}" in note
    assert as_bytes or "row 1: cannot open 'no.png': No such file or directory" in note


@pytest.mark.parametrize(
    ("kind", "content", "settings"),
    [
        ("image", picture(), {}),
        ("image", picture("TIFF"), {"media": {"convert": True}}),
        ("image", picture(), {"media": {"max_side": 4}}),
        ("video", MP4, {}),
        ("file", PDF, {}),
    ],
)
def test_media_that_can_be_sent_are_not_told(
    check: Check, tmp_path: Path, kind: str, content: bytes, settings: Any
) -> None:
    """By the job's own rules."""
    (tmp_path / "a").write_bytes(content)
    provider = {"name": "simulator", "dialect": "qingbo" if kind == "video" else "openai"}
    assert check(["a", "https://example.org/x"], [{"text": "x"}, {kind: "c"}], provider=provider, **settings) == []


def test_a_job_that_sends_urls_only_sends_no_file(check: Check, tmp_path: Path) -> None:
    """The run would say the same."""
    (tmp_path / "a.png").write_bytes(picture())
    (note,) = check(["a.png"], [{"text": "x"}, {"image": "c"}], media={"send": "url"})
    assert "row 0: a.png is no URL, and media.send is url" in note


@pytest.mark.parametrize(("kind", "limit"), [("image", "max_image_bytes"), ("file", "max_file_bytes")])
def test_what_is_too_large_is_told_without_being_read(
    check: Check, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, limit: str
) -> None:
    """Its size is enough."""
    monkeypatch.setattr(silent, "LOOKED_AT", 0)
    (tmp_path / "a").write_bytes(picture())
    provider = {"name": "simulator", "overrides": {limit: 10}}
    (note,) = check(["a"], [{"text": "x"}, {kind: "c"}], provider=provider)
    assert "10 are the limit" in note


def test_no_more_is_read_than_a_check_has_time_for(
    check: Check, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What lies beyond is left to the run, and a picture that many rows show is read once."""
    read: list[str] = []
    really = silent.read_media

    def noted(media: Media, limit: int) -> bytes:
        read.append(media.label)
        return really(media, limit)

    monkeypatch.setattr(silent, "read_media", noted)
    damaged = picture()[:-20]
    monkeypatch.setattr(silent, "LOOKED_AT", 2 * len(damaged))
    for name in "abc":
        (tmp_path / name).write_bytes(damaged)
    (note,) = check(["a", "a", "b", "c"], [{"text": "x"}, {"image": "c"}])
    assert read == ["a", "b"]
    assert note.startswith("3 of the first 4 rows")
