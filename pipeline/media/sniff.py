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
    b"\x00\x00\x01\x00": "an icon",
    b"8BPS": "a Photoshop document",
    b"\xff\x0a": "a JPEG XL image",
    b"\x00\x00\x00\x0cJXL ": "a JPEG XL image",
    b"\x00\x00\x00\x0cjP  ": "a JPEG 2000 image",
    b"0&\xb2u": "a Windows Media video",
    b"FLV\x01": "a Flash video",
    b"OggS": "an Ogg file",
    b"\x00\x00\x01\xba": "an MPEG program stream",
    b"PK\x03\x04": "a ZIP archive or an Office document",
    b"\x1f\x8b": "a gzip file",
    b"<svg": "an SVG drawing",
    b"<?xml": "XML, perhaps an SVG drawing",
    b"<!doctype": "an HTML page",
    b"<html": "an HTML page",
    b"{": "JSON",
}

_CONVERTIBLE: tuple[tuple[bytes, str], ...] = (  # not sent as they are, but read
    (b"II*\x00", "image/tiff"),
    (b"MM\x00*", "image/tiff"),
    (b"BM", "image/bmp"),
)

_HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1", b"avif", b"avis")

_VIDEOS: Mapping[str, str] = {
    "video/mp4": "an MP4 or MOV video",
    "video/quicktime": "an MP4 or MOV video",
    "video/x-msvideo": "an AVI video",
    "video/webm": "a WebM or Matroska video",
}
_OLD_MOV = (b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")  # a MOV may begin with any of these


def image_type(data: bytes) -> str | None:
    """Return the media type of a JPEG, PNG, GIF or WebP image, or None for anything else."""
    for prefix, offset, mark, media_type in _MAGIC:
        if data.startswith(prefix) and data[offset : offset + len(mark)] == mark:
            return media_type
    return None


def convertible_type(data: bytes) -> str | None:
    """Return the media type of an image that is not sent but can be turned into one that is, or None."""
    return next((media_type for prefix, media_type in _CONVERTIBLE if data.startswith(prefix)), None)


def video_type(data: bytes) -> str | None:
    """Return the media type of an MP4, MOV, AVI or WebM video by its first bytes, or None. A Matroska file begins as a WebM does."""
    name, brand = data[4:8], data[8:12]
    if name == b"ftyp" and brand not in _HEIC_BRANDS:
        return "video/quicktime" if brand == b"qt  " else "video/mp4"
    if name in _OLD_MOV and 0 in data[:4]:  # a length; a text has no zeros
        return "video/quicktime"
    if data.startswith(b"RIFF") and brand == b"AVI ":
        return "video/x-msvideo"
    return "video/webm" if data.startswith(b"\x1aE\xdf\xa3") else None


def describe(data: bytes) -> str:
    """Say in a few words what bytes that are no image we send look like."""
    if not data:
        return "empty"
    if data[4:8] == b"ftyp" and data[8:12] in _HEIC_BRANDS:
        return "an HEIC or AVIF image"
    if (video := video_type(data)) is not None:
        return _VIDEOS[video]
    start = data[:64].removeprefix(b"\xef\xbb\xbf").lstrip()
    for prefix, name in _NAMED.items():
        if start.startswith(prefix) or start.lower().startswith(prefix):
            return name
    return f"unknown, its first bytes are {data[:8].hex(' ')}"
