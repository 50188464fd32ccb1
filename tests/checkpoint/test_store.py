"""The journal's file, opened, checked, and kept small."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.checkpoint.store import opened, pack, prepare, translated, unpack
from pipeline.errors import DiskFailed, RunDirectoryError

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner),
    max_leaves=20,
)


@given(JSON)
def test_a_packed_reply_comes_back_as_it_was(raw: object) -> None:
    """For a better decoder of later."""
    assert unpack(pack(raw)) == raw


def test_a_packed_reply_is_small() -> None:
    """Replies repeat themselves."""
    assert len(pack({"output_text": "all work and no play " * 1000})) < 200


def test_a_commit_survives_power_loss(tmp_path: Path) -> None:
    """The connection that writes waits for the disk at every commit, with a log written ahead."""
    prepare(tmp_path / "j")
    with opened(tmp_path / "j") as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("PRAGMA synchronous").fetchone() == (2,)


def test_reading_cannot_write(tmp_path: Path) -> None:
    """A reader's connection refuses to change the file, and makes none."""
    prepare(tmp_path / "j")
    with pytest.raises(DiskFailed, match="readonly"), opened(tmp_path / "j", read_only=True) as connection:
        connection.execute("DELETE FROM rows")
    with pytest.raises(RunDirectoryError), opened(tmp_path / "none", read_only=True):
        pytest.fail("there is nothing")
    assert not (tmp_path / "none").exists()


def test_making_a_journal_twice_changes_nothing(tmp_path: Path) -> None:
    """The second run finds the first one's tables."""
    prepare(tmp_path / "j")
    before = (tmp_path / "j").read_bytes()
    prepare(tmp_path / "j")
    assert (tmp_path / "j").read_bytes() == before


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("SQLITE_FULL", DiskFailed),
        ("SQLITE_IOERR_FSYNC", DiskFailed),
        ("SQLITE_READONLY", DiskFailed),
        ("SQLITE_CORRUPT", RunDirectoryError),
        ("SQLITE_NOTADB", RunDirectoryError),
        ("SQLITE_BUSY", RunDirectoryError),
        (None, RunDirectoryError),
    ],
)
def test_every_error_of_sqlite_has_a_name_of_ours(name: str | None, kind: type[Exception]) -> None:
    """A disk that fails is one thing, a file that is no journal another."""
    error = sqlite3.OperationalError("trouble")
    if name is not None:
        error.sqlite_errorname = name
    ours = translated(error, Path("j"))
    assert type(ours) is kind
    assert "trouble" in ours.message


def test_an_error_in_the_middle_closes_the_connection(tmp_path: Path) -> None:
    """And takes back what was not committed."""
    prepare(tmp_path / "j")

    def half() -> None:
        with opened(tmp_path / "j") as connection:
            connection.execute("BEGIN")
            connection.execute("INSERT INTO rows(row, sample, plan) VALUES (1, 0, 1)")
            connection.execute("SELECT * FROM elsewhere")

    with pytest.raises(RunDirectoryError, match="no such table: elsewhere"):
        half()
    with opened(tmp_path / "j", read_only=True) as connection:
        assert connection.execute("SELECT COUNT(*) FROM rows").fetchone() == (0,)
