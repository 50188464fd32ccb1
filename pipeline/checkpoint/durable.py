"""What makes a file, and its name, survive a power cut: fsync of the file, then of the folder that lists it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


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
