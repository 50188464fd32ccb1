"""Bring the bytes of a picture into memory, in time for the attempt that sends them."""

from __future__ import annotations

import os
import stat
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import MediaError
from pipeline.media.sniff import describe, image_type

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.records import Media
    from pipeline.wire.dialect import Dialect

MEGABYTE = 1_000_000


@dataclass(frozen=True, slots=True)
class Picture:
    """The bytes of one image and their real media type."""

    data: bytes
    media_type: str


def find_file(cell: str, root: Path, roots: Sequence[Path]) -> tuple[Path, os.stat_result]:
    """Return the regular file that a cell names, with its stat; relative names count from ``root``.

    Rows are untrusted: the file must lie below ``root`` or one of ``roots`` after every link is followed. Raises ``MediaError``.
    """
    try:
        path = (root / cell).resolve(strict=True)
        facts = path.stat()
    except (OSError, ValueError, RuntimeError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise MediaError(f"cannot open {cell!r}: {reason}") from error
    if not any(path.is_relative_to(allowed) for allowed in (root, *roots)):
        raise MediaError(
            f"{cell!r} lies outside the folders that rows may name",
            hint="add its folder to media.roots if these rows are yours",
        )
    if not stat.S_ISREG(facts.st_mode):
        raise MediaError(f"{cell!r} is not a regular file")
    return path, facts


def load_picture(media: Media, dialect: Dialect) -> Picture:
    """Return the bytes of a picture that is sent inline, checked against what the dialect takes. Blocking. Raises ``MediaError``."""
    data = media.data if media.data is not None else _read(media, dialect.max_image_bytes)
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
        f"{media.label} has {size / MEGABYTE:.1f} MB; {dialect.name} takes images up to {dialect.max_image_bytes / MEGABYTE:.0f} MB",
        hint="downscale the image, or give its URL",
    )


def _read(media: Media, limit: int) -> bytes:
    """Read a file that was found by ``find_file``, without following a link that has been put in its place since."""
    path = media.path
    assert path is not None
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
        with closing(os.fdopen(descriptor, "rb")) as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise MediaError(f"{media.label} is not a regular file")
            return file.read(limit + 1)
    except OSError as error:
        raise MediaError(f"cannot read {media.label}: {error.strerror or error}") from error
