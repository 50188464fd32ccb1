"""What an image says of itself, read from its structure: no pixel is decoded and no library is asked.

One walk over the parts of a JPEG, PNG, GIF or WebP gives its size, how it is turned, what kind of pixels it holds, how many frames,
and whether its end is there. Lengths in a file are claims: every walk is bounded, and nothing is allocated by them.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice

from pipeline.media.sniff import image_type

MAX_PIXELS = 1024**3 // 12
"""The largest picture that is decoded: 89 megapixels, a third of a gigabyte in memory. Pillow warns above the same number."""

_MAX_PARTS = 1_000_000  # chunks or blocks; an image of 20 MB has less than a tenth, one made to cost time may have more
_CUT_OFF = "is cut off: its end is missing"


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """What the structure of an image tells. Sides are in pixels, as stored; 0 means that none was found."""

    media_type: str
    width: int = 0
    height: int = 0
    orientation: int | None = 1
    """1 to 8, by EXIF: how the stored picture is turned. None when it stands beyond the bytes that were given."""
    bits: int = 8
    """Per color."""
    cmyk: bool = False
    lossless: bool = False
    """Whether a WebP keeps its pixels exactly."""
    frames: int = 1
    broken: str | None = None
    """Why no decoder will read it whole, as the end of a sentence that begins with "the image"."""

    @property
    def displayed(self) -> tuple[int, int]:
        """Width and height as a viewer shows them."""
        sideways = (self.orientation or 1) >= 5
        return (self.height, self.width) if sideways else (self.width, self.height)


def image_facts(data: bytes) -> ImageFacts | None:
    """Return what the structure of a JPEG, PNG, GIF or WebP tells, or None for anything else."""
    media_type = image_type(data)
    return _WALKS[media_type](data) if media_type is not None else None


def image_size(data: bytes) -> tuple[int, int] | None:
    """Return an image's width and height in pixels as it is displayed, or None where the bytes do not tell.

    The first kilobytes are enough, but for a WebP with EXIF, which stands at its end.
    """
    facts = image_facts(data)
    if facts is None or facts.orientation is None or not (facts.width and facts.height):
        return None
    return facts.displayed


def essential_parts(data: bytes) -> bytes:
    """Return the image with no more than its first picture and its colors: a decoder can trip over the rest, and has no use for it.

    From a JPEG go EXIF, XMP and comments, from a PNG texts, EXIF and the further frames; other formats stay whole.
    """
    strip = _STRIPS.get(image_type(data) or "")
    return data if strip is None else b"".join(strip(data))


def _number(data: bytes, at: int, length: int) -> int:
    return int.from_bytes(data[at : at + length], "big")


def _little(data: bytes, at: int, length: int) -> int:
    return int.from_bytes(data[at : at + length], "little")


def _orientation(exif: bytes) -> int:
    """Return the orientation that EXIF asks for; 1, as it is, where it is missing or damaged."""
    tiff = exif.removeprefix(b"Exif\0\0")
    read = {b"II*\0": _little, b"MM\0*": _number}.get(tiff[:4])
    if read is None:
        return 1
    directory = read(tiff, 4, 4)
    first = directory + 2
    for at in range(first, min(first + 12 * read(tiff, directory, 2), len(tiff) - 11), 12):
        if read(tiff, at, 2) == 0x0112 and read(tiff, at + 2, 2) == 3:
            turned = read(tiff, at + 8, 2)
            return turned if 1 <= turned <= 8 else 1
    return 1


# JPEG: segments, each a marker and mostly a length, up to the start of the scan, which has none.

_MARKER = re.compile(rb"\xff[\x01-\xfe]")
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # SOF0 to SOF15; the three between are other things
_ALONE = frozenset({0x01, *range(0xD0, 0xDA)})  # markers without a length
_SCAN, _EXIF, _COMMENT = 0xDA, 0xE1, 0xFE  # XMP has the marker of EXIF
_SEGMENTS = 100_000


def _segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield the marker, the start and the end of each segment that is there as a whole, the scan's header the last."""
    at = 2
    for _ in range(_SEGMENTS):
        found = _MARKER.search(data, at)
        if found is None:
            return
        at = found.end()
        marker = data[at - 1]
        if marker in _ALONE:
            continue
        start, at = at + 2, at + max(_number(data, at, 2), 2)
        if at > len(data):
            return
        yield marker, start, at
        if marker == _SCAN:
            return


def _jpeg(data: bytes) -> ImageFacts:
    width = height = 0
    turned: int | None = None
    broken: str | None = _CUT_OFF
    bits, cmyk = 8, False
    for marker, start, end in _segments(data):
        if marker in _FRAMES and not width:
            bits, height, width = _number(data, start, 1), _number(data, start + 1, 2), _number(data, start + 3, 2)
            cmyk = data[start + 5 : start + 6] == b"\x04"
        elif marker == _EXIF and turned is None and data.startswith(b"Exif\0\0", start):
            turned = _orientation(data[start:end])
        elif marker == _SCAN and data.rfind(b"\xff\xd9", end) >= 0:  # a scan's own FF is followed by 0: this is an end
            broken = None
    return ImageFacts("image/jpeg", width, height, turned or 1, bits, cmyk, broken=broken)


def _bare_jpeg(data: bytes) -> Iterator[bytes]:
    yield data[:2]
    end = 2
    for marker, start, end in _segments(data):
        if marker not in {_EXIF, _COMMENT}:
            yield data[start - 4 : end]
    yield data[end:]


# PNG: chunks of a length, a name, a body and a checksum.


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield the name, the start and the end of the body of each chunk, as far as the head of one is there."""
    at = 8
    while at + 8 <= len(data):
        end = at + 8 + _number(data, at, 4)
        yield data[at + 4 : at + 8], at + 8, end
        at = end + 4


def _png(data: bytes) -> ImageFacts:
    facts = ImageFacts("image/png", broken=_CUT_OFF)
    view, animated, frames = memoryview(data), False, 0
    for name, start, end in islice(_png_chunks(data), _MAX_PARTS):
        if name == b"IHDR" and start == 16 and len(data) > 24:
            facts = replace(facts, width=_number(data, 16, 4), height=_number(data, 20, 4), bits=data[24])
        if end + 4 > len(data):
            break
        if name[:1].isupper() and zlib.crc32(view[start - 4 : end]) != _number(data, end, 4):
            return replace(facts, broken="is damaged: a checksum is wrong")
        if name == b"acTL":
            animated = True
        elif name == b"fcTL" and animated:
            frames += 1
        elif name == b"eXIf":
            facts = replace(facts, orientation=_orientation(data[start:end]))
        elif name == b"IEND":
            facts = replace(facts, broken=None)
            break
    return replace(facts, frames=max(frames, 1))


_COLORS = frozenset({b"tRNS", b"iCCP"})


def _bare_png(data: bytes) -> Iterator[bytes]:
    yield data[:8]
    for name, start, end in islice(_png_chunks(data), _MAX_PARTS):
        if name[:1].isupper() or name in _COLORS:
            yield data[start - 8 : end + 4]


# GIF: a canvas, then blocks of sub-blocks of up to 255 bytes.

_INTRODUCER = re.compile(rb"[!,;]")


def _color_table(flags: int) -> int:
    """Return the length in bytes of the color table that a field of flags announces."""
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _past_sub_blocks(data: bytes, at: int) -> int:
    while size := data[at]:
        at += size + 1
    return at + 1


def _gif(data: bytes) -> ImageFacts:
    facts = ImageFacts("image/gif", _little(data, 6, 2), _little(data, 8, 2), broken=_CUT_OFF)
    frames = 0
    try:
        at = 13 + _color_table(data[10])
        for _ in range(_MAX_PARTS):
            block = _INTRODUCER.search(data, at)  # some writers leave zeros between two blocks
            if block is None:
                break
            if block.group() == b";":
                return replace(facts, frames=max(frames, 1), broken=None if frames else "holds no picture")
            if block.group() == b"!":
                at = _past_sub_blocks(data, block.end() + 1)
            else:
                at = _past_sub_blocks(data, block.end() + 10 + _color_table(data[block.end() + 8]))
                frames += 1
    except IndexError:
        pass  # the end of the data, in the middle of a block
    return replace(facts, frames=max(frames, 1))


# WebP: a RIFF file, whose first chunk tells the size.


def _webp_chunks(data: bytes, end: int) -> Iterator[tuple[bytes, int, int]]:
    at = 12
    while at + 8 <= end:
        size = _little(data, at + 4, 4)
        yield data[at : at + 4], at + 8, at + 8 + size
        at += 8 + size + size % 2


def _webp_size(data: bytes) -> tuple[int, int]:
    """Return the size that the first chunk tells, or zeros."""
    name = data[12:16]
    if name == b"VP8 " and data[23:26] == b"\x9d\x01\x2a" and len(data) >= 30:
        return _little(data, 26, 2) & 0x3FFF, _little(data, 28, 2) & 0x3FFF
    if name == b"VP8L" and data[20:21] == b"\x2f" and len(data) >= 25:
        packed = _little(data, 21, 4)
        return (packed & 0x3FFF) + 1, (packed >> 14 & 0x3FFF) + 1
    if name == b"VP8X" and len(data) >= 30:
        return _little(data, 24, 3) + 1, _little(data, 27, 3) + 1
    return 0, 0


def _webp(data: bytes) -> ImageFacts:
    width, height = _webp_size(data)
    end = 8 + _little(data, 4, 4)
    cut_off = end > len(data)
    facts = ImageFacts("image/webp", width, height, broken=_CUT_OFF if cut_off else None)
    flags = data[20] if data[12:16] == b"VP8X" and len(data) > 20 else 0
    orientation, frames = (None if flags & 0x08 and cut_off else 1), 0
    for name, start, stop in islice(_webp_chunks(data, min(end, len(data))), _MAX_PARTS):
        if name == b"EXIF" and stop <= len(data):
            orientation = _orientation(data[start:stop])
        elif name == b"ANMF":
            frames += 1
        elif name == b"VP8L":
            facts = replace(facts, lossless=True)
        if stop > end:
            facts = replace(facts, broken=_CUT_OFF)
    return replace(facts, orientation=orientation, frames=max(frames, 1))


_WALKS: Mapping[str, Callable[[bytes], ImageFacts]] = {
    "image/jpeg": _jpeg,
    "image/png": _png,
    "image/gif": _gif,
    "image/webp": _webp,
}
_STRIPS: Mapping[str, Callable[[bytes], Iterator[bytes]]] = {"image/jpeg": _bare_jpeg, "image/png": _bare_png}
