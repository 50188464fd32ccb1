"""The one door through which errors of the file system, pyarrow and polars leave this package, as ``DataError``."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import pyarrow as pa

from pipeline.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FOREIGN: tuple[type[BaseException], ...] = (
    pa.ArrowException,
    OSError,
    UnicodeError,  # pyarrow decodes the names in a damaged footer
)


@contextmanager
def translated(
    place: Path | str, *, hint: str | None = None, also: tuple[type[BaseException], ...] = ()
) -> Iterator[None]:
    """Turn whatever goes wrong below us while we read ``place`` into a ``DataError`` that names it.

    ``hint`` is for content that cannot be read; where the system refuses the file, its reason says enough. ``also`` are errors of a
    library that is loaded only where it is needed.
    """
    try:
        yield
    except (*FOREIGN, *also) as error:
        refused = getattr(error, "errno", None) is not None
        raise DataError(f"{place}: {_reason(error)}", hint=None if refused else hint) from error


def _reason(error: BaseException) -> str:
    """Say what went wrong in one line; what a long message adds is of use to its library's authors only."""
    lines = (getattr(error, "strerror", None) or str(error)).strip().splitlines()
    return lines[0].rstrip(".:") if lines else type(error).__name__
