"""What bytes are, by their first bytes: a file's name and a declared type are only claims."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_MAGIC: tuple[tuple[bytes, int, bytes, str], ...] = (
    # prefix, offset of a second mark, second mark, media type
    (b"\xff\xd8\xff", 0, b"", "image/jpeg"),
    (b"\x89PNG\r\n\x1a\n", 0, b"", "image/png"),
    (b"GIF87a", 0, b"", "image/gif"),
    (b"GIF89a", 0, b"", "image/gif"),
    (b"RIFF", 8, b"WEBP", "image/webp"),
)

_NAMED: Mapping[bytes, str] = {  # not sent, but worth a name in a message
    b"%PDF-": "a PDF",
    b"II*\x00": "a TIFF image",
    b"MM\x00*": "a TIFF image",
    b"BM": "a BMP image",
    b"<svg": "an SVG drawing",
    b"<?xml": "XML, perhaps an SVG drawing",
    b"<!doctype": "an HTML page",
    b"<html": "an HTML page",
    b"{": "JSON",
}

_HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1", b"avif", b"avis")


def image_type(data: bytes) -> str | None:
    """Return the media type of a JPEG, PNG, GIF or WebP image, or None for anything else."""
    for prefix, offset, mark, media_type in _MAGIC:
        if data.startswith(prefix) and data[offset : offset + len(mark)] == mark:
            return media_type
    return None


def describe(data: bytes) -> str:
    """Say in a few words what bytes that are no image we send look like."""
    if not data:
        return "empty"
    if data[4:8] == b"ftyp":
        return "an HEIC or AVIF image" if data[8:12] in _HEIC_BRANDS else "an MP4 or MOV video"
    start = data[:64].removeprefix(b"\xef\xbb\xbf").lstrip()
    for prefix, name in _NAMED.items():
        if start.startswith(prefix) or start.lower().startswith(prefix):
            return name
    return f"unknown, its first bytes are {data[:8].hex(' ')}"
