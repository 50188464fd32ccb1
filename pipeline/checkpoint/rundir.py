"""The run directory: one folder per run, readable by its owner alone, held by one process at a time."""

from __future__ import annotations

import fcntl
import json
import os
import re
import socket
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.checkpoint.durable import sync
from pipeline.errors import RunDirectoryError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.spec.job import Job

JOURNAL = "journal.sqlite"
LOCK = "lock"
_LOOKS = 250  # tries before a lock counts as a run's
_PAUSE = 0.001  # seconds between them, in which one who only looks lets go
MOUNTS = Path("/proc/self/mounts")
_ESCAPE = re.compile(rb"\\([0-7]{3})")  # how that table writes spaces and backslashes

# SQLite's write-ahead log needs shared memory and honest fsync, which these don't give (https://sqlite.org/wal.html, "all processes
# using a database must be on the same host computer").
NETWORK_FILE_SYSTEMS = frozenset(
    {
        "nfs",
        "nfs4",
        "cifs",
        "smb3",
        "smbfs",
        "fuse.sshfs",
        "fuse.s3fs",
        "fuse.gcsfuse",
        "9p",
        "afs",
        "ceph",
        "glusterfs",
        "lustre",
    }
)


def journal_path(run_dir: Path) -> Path:
    """Return where the journal of a run directory lies."""
    return run_dir / JOURNAL


def table_of(run_dir: Path, job: Job) -> Path:
    """Return where the table of a run has its place: where the job says, or beside a run directory that was copied or moved.

    What a copy writes must not take the original's place.
    """
    here = run_dir.resolve()
    if here == job.run_path.resolve():
        return job.output_path
    return here.with_name(here.stem if here.suffix == ".run" else job.output_path.name)


@contextmanager
def held(run_dir: Path) -> Iterator[None]:
    """Create the run directory if need be and hold it while the block runs.

    The lock is the kernel's (flock), so it ends with its process, however that ends. Raises ``RunDirectoryError`` naming the owner.
    """
    try:
        run_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        sync(run_dir.parent)
        refuse_network_file_system(run_dir)
        descriptor = os.open(run_dir / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise _unusable(run_dir, error) from error
    try:
        _lock(descriptor, run_dir)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, run_dir: Path) -> None:
    try:
        if not _taken(descriptor):
            raise RunDirectoryError(
                f"{run_dir} is in use by {_owner(descriptor)}",
                hint="wait for that run, or give this one its own run_dir and output",
            )
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(_self()).encode(), 0)
    except OSError as error:
        raise _unusable(run_dir, error) from error


def _taken(descriptor: int) -> bool:
    """Take the lock, and tell whether that could be done. Who only looks (``is_held``) has it for some microseconds."""
    for _ in range(_LOOKS):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(_PAUSE)  # noqa: TID251 - no event loop runs yet
        else:
            return True
    return False


def _unusable(run_dir: Path, error: OSError) -> RunDirectoryError:
    return RunDirectoryError(
        f"cannot use the run directory {run_dir}: {error.strerror}", hint="set run_dir in the spec"
    )


def is_held(run_dir: Path) -> bool:
    """Tell whether a live process holds the run directory."""
    try:
        descriptor = os.open(run_dir / LOCK, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def refuse_network_file_system(folder: Path, mounts: Path = MOUNTS) -> None:
    """Raise ``RunDirectoryError`` when a folder lies on a network file system, by the kernel's table of mounts."""
    kind = _file_system(folder, mounts)
    if kind in NETWORK_FILE_SYSTEMS:
        raise RunDirectoryError(
            f"{folder} lies on a network file system ({kind}), where the journal would not be safe",
            hint="set run_dir to a folder on a local or persistent disk; the output may stay where it is",
        )


def _file_system(folder: Path, mounts: Path) -> str | None:
    """Return the file system's type by the longest matching mount point; None where the kernel doesn't tell (not Linux)."""
    try:
        table = mounts.read_bytes()
    except OSError:
        return None
    resolved = folder.resolve()
    best: tuple[int, str] | None = None
    for line in table.splitlines():
        _, point, kind, *_ = line.split(b" ")
        mount = Path(os.fsdecode(_ESCAPE.sub(lambda found: bytes([int(found[1], 8)]), point)))
        if resolved.is_relative_to(mount) and (best is None or len(mount.parts) >= best[0]):
            best = (len(mount.parts), kind.decode())
    return best[1] if best else None


def _self() -> dict[str, object]:
    return {"pid": os.getpid(), "host": socket.gethostname(), "since": time.strftime("%Y-%m-%d %H:%M:%S %z")}


def _owner(descriptor: int) -> str:
    try:
        owner = json.loads(os.pread(descriptor, 4096, 0))
        return f"process {owner['pid']} on {owner['host']} since {owner['since']}"
    except (ValueError, KeyError, TypeError):
        return "another process"
