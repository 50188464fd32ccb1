"""Find the file of a picture, video or document, and bring its bytes into memory in time for the attempt that sends them."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import contextmanager
from functools import partial
from hashlib import blake2b, file_digest
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import MediaError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from io import BufferedReader

    from pipeline.records import Media, MediaKind

LARGEST_SOURCE = 64 * 1024 * 1024
"""Bytes of a picture that is made smaller before it is sent: a camera's largest files fit, and one for each core fits into memory."""

_PIECE = 1024 * 1024  # bytes
_SHOWN = 120  # characters of a cell in a message
_blake = partial(blake2b, digest_size=16)


def find_file(cell: str, root: Path, roots: Sequence[Path]) -> tuple[Path, os.stat_result]:
    """Return the regular file that a cell names, with its stat; relative names count from ``root``.

    Rows are untrusted: the file must lie below ``root`` or one of ``roots`` after every link is followed. Raises ``MediaError``.
    """
    shown = repr(cell if len(cell) <= _SHOWN else cell[:_SHOWN] + "…")
    try:
        real = os.path.realpath(os.path.join(root, cell), strict=True)  # noqa: PTH118 - a third of a Path's time, for every row
        facts = os.stat(real)  # noqa: PTH116
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        too_long = isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG
        hint = "if the text is base64, write `data:image/png;base64,` before it" if too_long else None
        raise MediaError(f"cannot open {shown}: {reason}", hint=hint) from error
    if all(name_below(allowed, real) is None for allowed in (root, *roots)):
        raise MediaError(
            f"{shown} lies outside the folders that rows may name",
            hint="add its folder to media.roots if these rows are yours",
        )
    if not stat.S_ISREG(facts.st_mode):
        raise MediaError(f"{shown} is not a regular file")
    return Path(real), facts


def name_below(folder: Path, path: str) -> str | None:
    """Return how a file is called from a folder that it lies in, or None where it lies elsewhere; both are resolved."""
    if path == str(folder):
        return ""
    inside = os.path.join(folder, "")  # noqa: PTH118 - as above
    return path.removeprefix(inside) if path.startswith(inside) else None


def digest(data: bytes) -> str:
    """Return what tells some bytes from all others."""
    return _blake(data).hexdigest()


def digest_file(path: Path) -> str:
    """Return the digest of the bytes of a file that was found by ``find_file``. Blocking. Raises ``MediaError``."""
    with opened(path, path.name) as file:
        return file_digest(file, _blake).hexdigest()


def read_media(media: Media, limit: int) -> bytes:
    """Return the bytes of media from their cell or file, up to ``limit`` of them. Blocking. Raises ``MediaError``."""
    if media.data is not None:
        _require(len(media.data), limit, media)
        return media.data
    assert media.path is not None
    with _descriptor(media.path, media.label) as (file, size):  # a file object takes a third of the time
        _require(size, limit, media)
        data = os.read(file, size + 1)  # room for as much as may be there takes longer to get than the file to read
        if len(data) != size:  # it has changed, or came in pieces
            data = _rest(file, data, limit + 1)
    _require(len(data), limit, media)
    return data


def _rest(file: int, data: bytes, most: int) -> bytes:
    """Return what was read of a file and what follows, up to so many bytes in all."""
    pieces, size = [data], len(data)
    while size < most and (piece := os.read(file, min(most - size, _PIECE))):
        pieces.append(piece)
        size += len(piece)
    return b"".join(pieces)


_SMALLER: Mapping[MediaKind, str] = {
    "image": f"scale it down before the run; media.max_side does so for up to {LARGEST_SOURCE:,} bytes",
    "video": "cut or compress it before the run",
    "file": "split it before the run",
}


def _require(size: int, limit: int, media: Media) -> None:
    if size > limit:
        raise MediaError(f"{media.label} has {size:,} bytes; {limit:,} are the limit", hint=_SMALLER[media.kind])


@contextmanager
def labelled(media: Media) -> Iterator[None]:
    """Say in a ``MediaError`` that is raised inside which picture, video or file it is about."""
    try:
        yield
    except MediaError as error:
        raise MediaError(f"{media.label}: {error.message}", hint=error.hint, transient=error.transient) from error


@contextmanager
def opened(path: Path, label: str) -> Iterator[BufferedReader]:
    """Open a file that was found by ``find_file``, without following a link that has been put in its place since."""
    with _descriptor(path, label) as (descriptor, _), os.fdopen(descriptor, "rb", closefd=False) as file:
        yield file


@contextmanager
def _descriptor(path: Path, label: str) -> Iterator[tuple[int, int]]:
    """Open a regular file as ``opened`` does, and tell its size."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            facts = os.fstat(file)
            if not stat.S_ISREG(facts.st_mode):
                raise MediaError(f"{label} is not a regular file")
            yield file, facts.st_size
        finally:
            os.close(file)
    except OSError as error:
        raise MediaError(f"cannot read {label}: {error.strerror or error}") from error
