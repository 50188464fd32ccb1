"""Where generated pictures lie: a folder beside the table, which names them from there."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from pipeline.checkpoint.durable import move, remove_orphans, sync, temporary

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def folder_of(output: Path) -> Path:
    """Return the folder of the pictures that belong to the table at ``output``."""
    return output.with_name(f"{output.stem}.images")


def gallery(output: Path) -> Callable[[str, bytes], str]:
    """Return the function that makes a picture durable under a name, and returns its path from the folder of the ``output``.

    It blocks, may be called from any thread, by one at a time for each name, and raises ``OSError``. The first call makes the folder.
    """
    folder = folder_of(output)

    @cache
    def prepare() -> None:
        folder.mkdir(parents=True, exist_ok=True)
        sync(folder.parent)
        remove_orphans(folder, "*")

    def keep(name: str, data: bytes) -> str:
        prepare()
        target = folder / name
        unfinished = temporary(target)
        try:
            unfinished.write_bytes(data)
            move(unfinished, target)
        finally:
            unfinished.unlink(missing_ok=True)
        return f"{folder.name}/{name}"

    return keep
