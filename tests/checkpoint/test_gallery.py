"""Generated pictures lie beside the table, whole and durable."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.checkpoint.gallery import gallery


def test_a_picture_lies_in_a_folder_named_after_the_table(tmp_path: Path) -> None:
    """Its path is the one from the table's folder, so that both can be moved together."""
    keep = gallery(tmp_path / "out" / "art.parquet")
    assert not (tmp_path / "out").exists()
    assert keep("3-1-aa.png", b"picture") == "art.images/3-1-aa.png"
    assert (tmp_path / "out" / "art.images" / "3-1-aa.png").read_bytes() == b"picture"
    assert keep("3-1-aa.png", b"again") == "art.images/3-1-aa.png"
    assert [path.name for path in (tmp_path / "out" / "art.images").iterdir()] == ["3-1-aa.png"]


def test_what_a_killed_process_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    """A temporary of a process that lives, and what is not ours, stay."""
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    folder = tmp_path / "o.images"
    folder.mkdir()
    for name in (f".a.png.{dead.pid}.tmp", ".a.png.1.tmp", "mine.tmp", "old.png"):
        (folder / name).touch()
    gallery(tmp_path / "o.parquet")("b.png", b"")
    assert {path.name for path in folder.iterdir()} == {".a.png.1.tmp", "mine.tmp", "old.png", "b.png"}


def test_a_folder_that_cannot_be_is_an_error_of_the_file_system(tmp_path: Path) -> None:
    """Its caller knows what that means for the answer; nothing half written is left."""
    (tmp_path / "o.images").touch()
    with pytest.raises(OSError, match=r"o\.images"):
        gallery(tmp_path / "o.parquet")("b.png", b"")
    assert [path.name for path in tmp_path.iterdir()] == ["o.images"]
