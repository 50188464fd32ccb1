"""The run directory belongs to one person and to one process at a time, on a disk that keeps what it is given."""

from __future__ import annotations

import multiprocessing
import os
import signal
import stat
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from pipeline.checkpoint.rundir import (
    LOCK,
    NETWORK_FILE_SYSTEMS,
    held,
    is_held,
    journal_path,
    refuse_network_file_system,
    table_of,
)
from pipeline.errors import RunDirectoryError
from pipeline.spec.job import Job


def test_a_run_directory_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    """Nobody else may look into the folder or at its lock."""
    run_dir = tmp_path / "deep" / "out.run"
    with held(run_dir):
        assert stat.S_IMODE(run_dir.stat().st_mode) == 0o700
        assert stat.S_IMODE((run_dir / LOCK).stat().st_mode) == 0o600
    assert journal_path(run_dir).parent == run_dir


def test_a_second_run_is_refused_with_the_name_of_the_first(tmp_path: Path) -> None:
    """The message names process and host, and the first goes on undisturbed."""
    with held(tmp_path):
        with (
            pytest.raises(RunDirectoryError, match=rf"in use by process {os.getpid()} on .+ since 2") as refused,
            held(tmp_path),
        ):
            pytest.fail("two runs hold one directory")
        assert "run_dir" in str(refused.value.hint)
        assert is_held(tmp_path)


def test_a_run_directory_is_free_again_when_its_run_ends(tmp_path: Path) -> None:
    """However often, and also when the run ended in an error."""
    for _ in range(3):
        with pytest.raises(RuntimeError, match="the run failed"), held(tmp_path):
            raise RuntimeError("the run failed")
        assert not is_held(tmp_path)


def _hold(run_dir: Path, told: Connection) -> None:
    with held(run_dir):
        told.send("held")
        signal.pause()


def test_the_lock_ends_with_its_process(tmp_path: Path) -> None:
    """A killed run leaves its file, but not its lock, and the next one starts at once."""
    ours, theirs = multiprocessing.Pipe()
    holder = multiprocessing.get_context("spawn").Process(target=_hold, args=(tmp_path, theirs))
    holder.start()
    try:
        assert ours.recv() == "held"
        assert is_held(tmp_path)
        with pytest.raises(RunDirectoryError, match=f"process {holder.pid} "), held(tmp_path):
            pytest.fail("two runs hold one directory")
    finally:
        holder.kill()
        holder.join()
        holder.close()
        ours.close()
        theirs.close()
    assert not is_held(tmp_path)
    with held(tmp_path):
        assert is_held(tmp_path)


def test_a_folder_without_a_run_is_not_held(tmp_path: Path) -> None:
    """Asking does not make a lock."""
    assert not is_held(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("told", [b"", b"{", b"[]", b"\xff", b'{"pid": 7}'])
def test_a_lock_that_says_nothing_sensible_still_locks(tmp_path: Path, told: bytes) -> None:
    """The kernel's lock counts; what stands in the file is only for the message."""
    with held(tmp_path):
        (tmp_path / LOCK).write_bytes(told)
        with pytest.raises(RunDirectoryError, match="in use by another process"), held(tmp_path):
            pytest.fail("two runs hold one directory")


@pytest.mark.parametrize("place", ["file", "file/below", "n" * 300])
def test_a_place_that_cannot_be_a_folder_is_refused(tmp_path: Path, place: str) -> None:
    """With its path and the setting that names another."""
    (tmp_path / "file").touch()
    with pytest.raises(RunDirectoryError, match="cannot use the run directory"), held(tmp_path / place):
        pytest.fail("that is no folder")


def test_a_full_disk_is_found_when_the_lock_is_written(tmp_path: Path) -> None:
    """It is a named error and no traceback."""
    (tmp_path / LOCK).symlink_to("/dev/full")
    with pytest.raises(RunDirectoryError, match="cannot use the run directory"), held(tmp_path):
        pytest.fail("nothing can be written there")


def mounts(tmp_path: Path, *lines: str) -> Path:
    """Write a table of mounts as Linux has it; ``{}`` is the test's folder."""
    table = tmp_path / "mounts"
    table.write_bytes(os.fsencode("".join(f"dev {line.format(tmp_path)} rw 0 0\n" for line in ("/ ext4", *lines))))
    return table


@pytest.mark.parametrize("kind", sorted(NETWORK_FILE_SYSTEMS))
def test_a_network_file_system_is_refused(tmp_path: Path, kind: str) -> None:
    """The message names it, and what to do."""
    with pytest.raises(RunDirectoryError, match=f"network file system \\({kind}\\)") as refused:
        refuse_network_file_system(tmp_path / "out.run", mounts(tmp_path, f"{{}} {kind}"))
    assert "run_dir" in str(refused.value.hint)


@pytest.mark.parametrize(
    ("lines", "refused"),
    [
        (["{}/share nfs4"], True),
        (["{} nfs4", "{}/share ext4"], False),
        (["{}/share ext4", "{} nfs4"], False),
        (["{}/share nfs4", "{}/share ext4"], False),
        (["{}/share ext4", "{}/share nfs4"], True),
        (["{}/sha nfs4"], False),
        (["{}/share/below nfs4"], False),
        (["/ nfs"], True),
    ],
)
def test_the_nearest_mount_above_a_folder_counts(tmp_path: Path, lines: list[str], refused: bool) -> None:
    """By whole names, and of several at one place the last, which lies on top."""
    table = mounts(tmp_path, *lines)
    if refused:
        with pytest.raises(RunDirectoryError):
            refuse_network_file_system(tmp_path / "share", table)
    else:
        refuse_network_file_system(tmp_path / "share", table)


@pytest.mark.parametrize(
    ("name", "written"), [("a b", r"a\040b"), ("a\\b", r"a\134b"), ("größe", "größe"), ("a\udcffb", "a\udcffb")]
)
def test_a_mount_may_have_any_name(tmp_path: Path, name: str, written: str) -> None:
    """Spaces, backslashes, umlauts, and bytes that are no UTF-8."""
    with pytest.raises(RunDirectoryError):
        refuse_network_file_system(tmp_path / name, mounts(tmp_path, f"{{}}/{written} cifs"))


def test_a_link_to_a_network_file_system_is_refused(tmp_path: Path) -> None:
    """What counts is where the folder really lies."""
    (tmp_path / "share").mkdir()
    (tmp_path / "link").symlink_to("share")
    with pytest.raises(RunDirectoryError):
        refuse_network_file_system(tmp_path / "link", mounts(tmp_path, "{}/share nfs"))


def test_without_a_table_of_mounts_nothing_is_refused(tmp_path: Path) -> None:
    """Other systems have none."""
    refuse_network_file_system(tmp_path, tmp_path / "none")


@pytest.mark.parametrize(
    ("run_dir", "moved", "table"),
    [(None, "copy.parquet.run", "copy.parquet"), ("runs/a", "b", "out.parquet"), (None, None, "out.parquet")],
)
def test_a_table_lies_where_the_job_says_unless_its_run_was_moved(
    tmp_path: Path, run_dir: str | None, moved: str | None, table: str
) -> None:
    """A run directory of its own name keeps the job's place; one that was copied has its own."""
    spec = {"provider": "simulator", "model": "m", "input": "t.csv", "prompt": "p", "output": "out.parquet"}
    job = Job.model_validate({**spec, "run_dir": run_dir}).located(tmp_path)
    assert table_of(tmp_path / moved if moved else job.run_path, job) == tmp_path / table
