"""What bytes are, whatever their name says."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pipeline.media.sniff import describe, image_type


def encoded(form: str) -> bytes:
    """Return a small picture in one of Pillow's formats."""
    buffer = io.BytesIO()
    Image.new("RGB", (3, 2), "red").save(buffer, form)
    return buffer.getvalue()


@pytest.mark.parametrize("form", ["JPEG", "PNG", "GIF", "WEBP"])
def test_the_four_formats_are_known_by_their_first_bytes(form: str) -> None:
    """The type is that of the content; no name is asked."""
    assert image_type(encoded(form)) == f"image/{form.lower()}"


@pytest.mark.parametrize("form", ["JPEG", "PNG", "GIF", "WEBP"])
@pytest.mark.parametrize("length", [0, 1, 2])
def test_a_picture_cut_off_in_its_mark_is_none(form: str, length: int) -> None:
    """What is too short to be known is not sent."""
    assert image_type(encoded(form)[:length]) is None


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty"),
        (encoded("TIFF"), "a TIFF image"),
        (b"MM\0*" + b"\0" * 8, "a TIFF image"),
        (encoded("BMP"), "a BMP image"),
        (encoded("PDF"), "a PDF"),
        (b"\0\0\0\x18ftypheic\0\0\0\0", "an HEIC or AVIF image"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0", "an HEIC or AVIF image"),
        (b"\0\0\0\x18ftypavif\0\0\0\0", "an HEIC or AVIF image"),
        (b"\0\0\0\x18ftypisom\0\0\0\0", "an MP4 or MOV video"),
        (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "an SVG drawing"),
        (b'\xef\xbb\xbf\n<?xml version="1.0"?><svg/>', "XML, perhaps an SVG drawing"),
        (b"\n<!doctype html><title>404</title>", "an HTML page"),
        (b"<!DOCTYPE HTML PUBLIC>", "an HTML page"),
        (b"<HTML>", "an HTML page"),
        (b'{"error": "not found"}', "JSON"),
        (b"RIFF\0\0\0\0WAVEfmt ", "unknown, its first bytes are 52 49 46 46 00 00 00 00"),
        (b"\xff\xd8", "unknown, its first bytes are ff d8"),
    ],
)
def test_what_is_not_sent_is_named(data: bytes, words: str) -> None:
    """A person learns what the file is, or how it begins."""
    assert image_type(data) is None
    assert describe(data) == words


@given(st.binary(max_size=80))
def test_any_bytes_are_described(data: bytes) -> None:
    """There are words for everything, and they are few."""
    assert 0 < len(describe(data)) < 80
