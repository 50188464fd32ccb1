"""How much a picture, video or file shows, by its header: nothing is decoded, and of a file no more is read than that takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.errors import MediaError
from pipeline.media.documents import file_type, pdf_pages
from pipeline.media.load import opened, read_media
from pipeline.media.probe import probe_video
from pipeline.media.sniff import convertible_type
from pipeline.media.structure import image_size
from pipeline.records import Extent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from pipeline.records import Media, MediaKind

UNKNOWN = Extent()
"""Of what cannot be looked at, such as a URL."""

_HEADS = (8 * 1024, 256 * 1024)
"""Bytes that are read of a picture before all of it is: most tell their size in the first, the rest have a preview before it."""

_TEXTS = ("text/", "application/json", "application/xml", "image/svg")


def extent_of(media: Media, limit: int) -> Extent:
    """Return how much media show; what their bytes do not tell is unknown. Blocking.

    Raises ``MediaError`` for a file that cannot be read, and for one of more than ``limit`` bytes where all of them would have to be.
    """
    return UNKNOWN if media.url is not None else _MEASURES[media.kind](media, limit)


def _image(media: Media, limit: int) -> Extent:
    for data in _beginnings(media, limit):
        if (size := image_size(data)) is not None:
            return Extent(*size)
    return _foreign(data)


def _beginnings(media: Media, limit: int) -> Iterator[bytes]:
    """Yield the first bytes of a picture, then more of them, then all."""
    if media.data is not None:
        yield from (media.data[:length] for length in _HEADS if length < len(media.data))
    elif media.path is not None:
        with opened(media.path, media.label) as file:
            head = b""
            for length in _HEADS:
                head += file.read(length - len(head))
                yield head
    yield read_media(media, limit)


def _foreign(data: bytes) -> Extent:
    """Return the size of a picture of a format that is not sent as it is."""
    media_type = convertible_type(data)
    if media_type is None:
        return UNKNOWN
    from pipeline.media.pixels import foreign_facts  # Pillow, which most runs never need

    try:
        facts = foreign_facts(data, media_type)
    except MediaError:
        return UNKNOWN
    return Extent(*facts.displayed)


def _video(media: Media, _limit: int) -> Extent:
    source = media.path if media.data is None else media.data
    assert source is not None
    try:
        facts = probe_video(source)
    except MediaError:
        return UNKNOWN
    return Extent(facts.width, facts.height, facts.duration_s)


def _file(media: Media, limit: int) -> Extent:
    data = read_media(media, limit)
    media_type, _ = file_type(data)
    if media_type == "application/pdf":
        return Extent(pages=pdf_pages(data))
    return Extent(text_bytes=len(data)) if media_type.startswith(_TEXTS) else UNKNOWN


_MEASURES: Mapping[MediaKind, Callable[[Media, int], Extent]] = {"image": _image, "video": _video, "file": _file}
