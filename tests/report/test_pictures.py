"""Pictures in a report: small copies of what lies here, and nothing of what does not or cannot be shown."""

from __future__ import annotations

import base64
import json
import struct
import zlib
from pathlib import Path

import polars as pl
import pytest

import pipeline
from pipeline.media.structure import image_facts
from pipeline.report.cards import Gallery
from pipeline.report.choosing import Choice
from pipeline.report.pictures import Thumbnails
from pipeline.report.subject import opened_subject

PHOTO = Path(__file__).parents[2] / "data" / "photos" / "coffee.webp"


@pytest.fixture(autouse=True)
def _no_blocking_calls() -> None:
    """These functions block whoever calls them, on purpose."""


def bomb() -> bytes:
    """Return a PNG of 400 megapixels in a few bytes."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", 20_000, 20_000, 1, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 99)) + chunk(b"IEND", b"")
    )


def test_only_pictures_that_lie_here_and_are_sound_are_shown(tmp_path: Path) -> None:
    """A URL is not followed, a file outside is not read, a bomb is not decoded: their rows stand there without a picture."""
    folder = tmp_path / "job"
    folder.mkdir()
    (folder / "photo.webp").write_bytes(PHOTO.read_bytes())
    (tmp_path / "outside.webp").write_bytes(PHOTO.read_bytes())
    (folder / "bomb.png").write_bytes(bomb())
    (folder / "page.jpeg").write_text("<html>")
    paths = ["photo.webp", "../outside.webp", "bomb.png", "page.jpeg", "http://127.0.0.1:9/x.png", "gone.png"]
    pl.DataFrame({"path": paths}).write_csv(folder / "in.csv")
    prompt = [{"text": "What is this?"}, {"image": "path"}]
    spec = {
        "provider": "simulator",
        "model": "gpt-5.4-mini",
        "input": "in.csv",
        "prompt": prompt,
        "output": "out.parquet",
    }
    (folder / "job.json").write_text(json.dumps(spec))
    pipeline.run(folder / "job.json")
    with opened_subject(folder / "out.parquet.run") as subject:
        gallery = Gallery(subject)
        gallery.fill(Choice({(row, 0): ["sampled"] for row in range(len(paths))}, complete=True))
    assert [len(card.pictures) for card in gallery.cards] == [1, 0, 0, 0, 0, 0]
    head, _, data = gallery.cards[0].pictures[0].partition(",")
    facts = image_facts(base64.b64decode(data))
    assert head == "data:image/webp;base64"
    assert facts is not None
    assert max(facts.width, facts.height) == 320


def test_generated_pictures_are_shown_from_their_folder_only(tmp_path: Path) -> None:
    """The journal names them; a name that leads elsewhere is not read."""
    (tmp_path / "out.images").mkdir()
    (tmp_path / "out.images" / "made.webp").write_bytes(PHOTO.read_bytes())
    (tmp_path / "secret.webp").write_bytes(PHOTO.read_bytes())
    shown = Thumbnails().made(
        ["out.images/made.webp", "secret.webp", "out.images/../secret.webp", "out.images/gone.png"],
        tmp_path / "out.parquet",
    )
    assert len(shown) == 1


def test_a_picture_is_drawn_once_and_no_longer_than_there_is_time(tmp_path: Path) -> None:
    """Rows that show the same share its copy; what comes when the time is over has none, and is counted."""
    folder = tmp_path / "out.images"
    folder.mkdir()
    for name in ("a", "b", "c"):
        (folder / f"{name}.webp").write_bytes(PHOTO.read_bytes())
    ticks = iter(range(100))
    thumbnails = Thumbnails(clock=lambda: next(ticks), most_s=1.5)
    names = [f"out.images/{name}.webp" for name in ("a", "a", "b", "c")]
    assert len(thumbnails.made(names, tmp_path / "out.parquet")) == 3
    assert thumbnails.notes == ["1 picture left out: drawing small copies would take too long"]
    assert next(ticks) == 4
