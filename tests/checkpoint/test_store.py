"""The journal's file, opened and checked."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest

from pipeline.checkpoint.store import connect, opened, prepare, translated
from pipeline.errors import DiskFailed, RunDirectoryError


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


def killed(folder: Path, rows: int) -> Path:
    """Return a journal as a killed process leaves it: its newest rows stand in the log."""
    folder.mkdir()
    prepare(folder / "alive")
    connection = connect(folder / "alive")
    for row in range(rows):
        connection.execute("INSERT INTO rows(row, sample, plan, status) VALUES (?, 0, 1, ?)", (row, "x" * 900))
    for ending in ("", "-wal"):
        shutil.copyfile(folder / f"alive{ending}", folder / f"j{ending}")
    connection.close()
    return folder / "j"


def test_what_a_killed_process_left_in_the_log_is_there(tmp_path: Path) -> None:
    """Journal and log belong together."""
    path = killed(tmp_path / "run", 50)
    prepare(path)
    with opened(path) as connection:
        assert connection.execute("SELECT COUNT(*) FROM rows").fetchone() == (50,)


def test_a_log_without_its_journal_is_no_new_run(tmp_path: Path) -> None:
    """It holds answers: everything would be asked again beside it, and it would ruin what is put back later."""
    path = killed(tmp_path / "run", 50)
    path.unlink()
    with pytest.raises(RunDirectoryError, match="without its journal"):
        prepare(path)
    assert path.with_name("j-wal").stat().st_size > 0


def test_the_log_of_another_copy_is_refused_before_anything_is_sent(tmp_path: Path) -> None:
    """A journal that was put back beside the log of a later one; the copy itself stays as good as it was."""
    later = killed(tmp_path / "later", 2000)
    with opened(later) as connection:
        connection.execute("DELETE FROM rows WHERE row % 3 = 0")
        connection.execute("VACUUM")
    path = killed(tmp_path / "run", 700)
    log = path.with_name("j-wal").read_bytes()
    path.with_name("j-wal").unlink()
    shutil.copyfile(later, path)
    whole = path.read_bytes()
    path.with_name("j-wal").write_bytes(log)
    with pytest.raises(RunDirectoryError, match="do not belong together"):
        prepare(path)
    assert path.read_bytes() == whole
