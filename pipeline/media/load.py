"""Bring the bytes of a picture into memory, in time for the attempt that sends them."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b, file_digest
from typing import TYPE_CHECKING

from pipeline.errors import MediaError
from pipeline.media.sniff import describe, image_type

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from io import BufferedReader
    from pathlib import Path

    from pipeline.records import Media
    from pipeline.wire.dialect import Dialect

_SHOWN = 120  # characters of a cell in a message
_blake = partial(blake2b, digest_size=16)


@dataclass(frozen=True, slots=True)
class Picture:
    """The bytes of one image and their real media type."""

    data: bytes
    media_type: str


def find_file(cell: str, root: Path, roots: Sequence[Path]) -> tuple[Path, os.stat_result]:
    """Return the regular file that a cell names, with its stat; relative names count from ``root``.

    Rows are untrusted: the file must lie below ``root`` or one of ``roots`` after every link is followed. Raises ``MediaError``.
    """
    shown = repr(cell if len(cell) <= _SHOWN else cell[:_SHOWN] + "…")
    try:
        path = (root / cell).resolve(strict=True)
        facts = path.stat()
    except (OSError, ValueError, RuntimeError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        too_long = isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG
        hint = "if the text is base64, write `data:image/png;base64,` before it" if too_long else None
        raise MediaError(f"cannot open {shown}: {reason}", hint=hint) from error
    if not any(path.is_relative_to(allowed) for allowed in (root, *roots)):
        raise MediaError(
            f"{shown} lies outside the folders that rows may name",
            hint="add its folder to media.roots if these rows are yours",
        )
    if not stat.S_ISREG(facts.st_mode):
        raise MediaError(f"{shown} is not a regular file")
    return path, facts


def digest(data: bytes) -> str:
    """Return what tells an image's bytes from all others."""
    return _blake(data).hexdigest()


def digest_file(path: Path) -> str:
    """Return the digest of the bytes of a file that was found by ``find_file``. Blocking. Raises ``MediaError``."""
    with opened(path, path.name) as file:
        return file_digest(file, _blake).hexdigest()


def load_picture(media: Media, dialect: Dialect) -> Picture:
    """Return the bytes of a picture that is sent inline, checked against what the dialect takes. Blocking. Raises ``MediaError``."""
    data = media.data if media.data is not None else _read(media, dialect)
    if len(data) > dialect.max_image_bytes:
        raise _too_large(media, len(data), dialect)
    media_type = image_type(data)
    if media_type is None:
        raise MediaError(f"{media.label} is not a JPEG, PNG, GIF or WebP image: it is {describe(data)}")
    if media_type not in dialect.image_formats:
        raise MediaError(f"{media.label} is {media_type}, which {dialect.name} does not take")
    return Picture(data, media_type)


def _too_large(media: Media, size: int, dialect: Dialect) -> MediaError:
    return MediaError(
        f"{media.label} has {size:,} bytes; {dialect.name} takes images up to {dialect.max_image_bytes:,}",
        hint="downscale the image, or give its URL",
    )


def _read(media: Media, dialect: Dialect) -> bytes:
    assert media.path is not None
    with opened(media.path, media.label) as file:
        size = os.fstat(file.fileno()).st_size
        if size > dialect.max_image_bytes:
            raise _too_large(media, size, dialect)
        return file.read(dialect.max_image_bytes + 1)


@contextmanager
def opened(path: Path, label: str) -> Iterator[BufferedReader]:
    """Open a file that was found by ``find_file``, without following a link that has been put in its place since."""
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise MediaError(f"{label} is not a regular file")
            yield file
    except OSError as error:
        raise MediaError(f"cannot read {label}: {error.strerror or error}") from error
