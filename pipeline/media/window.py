"""Bytes at an offset, from memory or from a file, never more than asked for and never more than a bound."""

from __future__ import annotations

import os
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from pipeline.errors import MediaError
from pipeline.media.load import opened

if TYPE_CHECKING:
    from collections.abc import Iterator

LARGEST_READ = 64 * 1024
"""Bytes; what the heads of containers need is far below, and a length that a file claims is never trusted with more."""

MOST_READS = 100_000
"""A video has some hundreds of parts that are looked at; one made to cost time has millions."""


class Window:
    """A readable stretch of bytes of a known ``size``. Who reads too often is stopped by a ``MediaError``."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._left = MOST_READS
        self.size = stream.seek(0, os.SEEK_END)

    def read(self, at: int, length: int) -> bytes:
        """Return up to ``length`` bytes from ``at``, fewer where they end."""
        if at >= self.size:
            return b""
        self._left -= 1
        if self._left < 0:
            raise MediaError("the video consists of too many parts to be looked at")
        self._stream.seek(at)
        return self._stream.read(min(length, LARGEST_READ))

    def number(self, at: int, length: int) -> int:
        """Return the big-endian number of ``length`` bytes at ``at``; what lies beyond the end counts as 0."""
        return int.from_bytes(self.read(at, length).ljust(length, b"\0"), "big")

    def little(self, at: int, length: int) -> int:
        """Return the little-endian number of ``length`` bytes at ``at``."""
        return int.from_bytes(self.read(at, length), "little")


@contextmanager
def window(source: Path | bytes) -> Iterator[Window]:
    """Open a file that ``find_file`` has found, or bytes, for reading here and there. Blocking. Raises ``MediaError``."""
    if isinstance(source, bytes):
        yield Window(BytesIO(source))
    else:
        with opened(source, source.name) as file:
            yield Window(file)
