"""A small copy of a picture, for people to see what a row was about."""

from __future__ import annotations

from pipeline.errors import MediaError
from pipeline.media.sniff import convertible_type
from pipeline.media.structure import MAX_PIXELS, image_facts

SIDE = 320
"""Pixels of the longest side."""

MOST_PIXELS = 30_000_000
"""Of a picture whose every pixel has to be decoded, which takes a second and some hundred megabytes."""

_QUALITY = 70


def thumbnail(data: bytes) -> bytes | None:
    """Return a picture as a small WebP, turned as EXIF asks; None for what is no picture, is broken, or is too large to be decoded.

    A JPEG may be larger than others: it is decoded at an eighth of its size. Blocking.
    """
    from pipeline.media.pixels import foreign_facts, redraw  # Pillow, which most commands never need

    try:
        facts = image_facts(data)
        if facts is None and (foreign := convertible_type(data)) is not None:
            facts = foreign_facts(data, foreign)
        if facts is None or facts.broken is not None:
            return None
        most = MAX_PIXELS if facts.media_type == "image/jpeg" else MOST_PIXELS
        if not 0 < facts.width * facts.height <= most:
            return None
        longest = max(facts.width, facts.height, SIDE)
        size = (max(1, facts.width * SIDE // longest), max(1, facts.height * SIDE // longest))
        return redraw(data, facts, size, "image/webp", quality=_QUALITY)
    except MediaError:
        return None
