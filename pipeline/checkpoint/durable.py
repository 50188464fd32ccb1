"""What makes a file, and its name, survive a power cut: fsync of the file, then of the folder that lists it."""

from __future__ import annotations

import os
from pathlib import Path


def temporary(target: Path) -> Path:
    """Return where this process writes a file before it puts it into its place."""
    return target.with_name(f".{target.name}.{os.getpid()}.tmp")


def remove_orphans(folder: Path, names: str) -> None:
    """Remove the temporaries of files with such names (a glob) that processes have left behind which were killed while they wrote."""
    for orphan in folder.glob(f".{names}.*.tmp"):
        pid = orphan.name.split(".")[-2]
        if pid.isdecimal() and not _is_alive(int(pid)):
            orphan.unlink(missing_ok=True)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)  # asks, and sends nothing
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def sync(path: Path) -> None:
    """Make a file's content, or a folder's list of names, durable. Blocking. Raises ``OSError``."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def move(source: Path, target: Path) -> None:
    """Put a file into another's place in one step, both durable: after a power cut the old one is there or the new one, whole."""
    sync(source)
    source.replace(target)
    sync(target.parent)
