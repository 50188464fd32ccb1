"""What a file is, and how many pages a PDF has."""

from __future__ import annotations

import io
import zipfile
import zlib
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pipeline.media import documents
from pipeline.media.documents import file_type, pdf_pages


def archive(*names: str, first: bytes | None = None) -> bytes:
    """Return a ZIP archive of empty files, with a `mimetype` entry where one is given."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        if first is not None:
            file.writestr("mimetype", first)
        for name in names:
            file.writestr(name, b"")
    return buffer.getvalue()


WORD = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"


@pytest.mark.parametrize(
    ("data", "media_type", "description"),
    [
        (b"%PDF-1.7\n", "application/pdf", "a PDF"),
        (b"junk\n%PDF-1.7\n", "application/pdf", "a PDF"),
        (archive("[Content_Types].xml", "word/document.xml"), WORD, "a Word document"),
        (
            archive("xl/workbook.xml"),
            WORD.replace("wordprocessingml.document", "spreadsheetml.sheet"),
            "an Excel workbook",
        ),
        (
            archive("ppt/presentation.xml"),
            WORD.replace("wordprocessingml.document", "presentationml.presentation"),
            "a PowerPoint presentation",
        ),
        (
            archive(first=b"application/vnd.oasis.opendocument.text"),
            "application/vnd.oasis.opendocument.text",
            "an OpenDocument text",
        ),
        (archive(first=b"application/epub+zip"), "application/epub+zip", "an EPUB book"),
        (archive("a.txt"), "application/zip", "a ZIP archive"),
        (b"\x1f\x8b\x08", "application/gzip", "a gzip file"),
        (b"{\\rtf1", "application/rtf", "an RTF document"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "application/x-ole-storage", "an old Office document"),
        (b"\0\0\0\x18ftypisom", "video/mp4", "an MP4 or MOV video"),
        (b"<!DOCTYPE html><p>", "text/html", "an HTML page"),
        (b"<svg/>", "image/svg+xml", "an SVG drawing"),
        (b"<?xml version='1.0'?><a/>", "application/xml", "XML"),
        (b'{"a": [1, 2]}', "application/json", "JSON"),
        (b'\xef\xbb\xbf[{"a": 1}]', "application/json", "JSON"),
        (b'{"a": 1}\n{"a": 2}\n', "application/jsonl", "JSON lines"),
        (b"{name} is a template", "text/plain", "a text"),
        (b'id,text\n1,"a, b"\n2,c\n', "text/csv", "a CSV table"),
        (b"id;text\r\n1;a\r\n", "text/csv", "a CSV table"),
        (b"id\ttext\n1\ta\n", "text/csv", "a CSV table"),
        (b'"' + b"a" * 200_000 + b'",b\n1,2\n', "text/plain", "a text"),
        (b"Dear reader,\n\nthis is a text, and no table, as one sees.\n", "text/plain", "a text"),
        ("Grüße\n".encode(), "text/plain", "a text"),
        ("Grüße\n".encode("utf-16"), "text/plain", "a text"),
        (b"", "application/octet-stream", "an empty file"),
        (b"\0\1\2", "application/octet-stream", "a file of unknown kind"),
        ("Grüße".encode("latin-1"), "application/octet-stream", "a file of unknown kind"),
        (b"[" * 100_000, "text/plain", "a text"),
    ],
)
def test_a_file_is_known_by_its_content(data: bytes, media_type: str, description: str) -> None:
    """No name is asked."""
    assert file_type(data) == (media_type, description)


def test_images_are_known_too(generate: ModuleType) -> None:
    """A picture can go as a file."""
    assert file_type(generate.encoded(generate.blocks(), "PNG")) == ("image/png", "a PNG image")


LONG = b"1," * 2**20


@pytest.mark.parametrize(
    ("data", "media_type"),
    [
        (b" [" + LONG + b"1]\n\n", "application/json"),
        (b'{"a":\n[' + LONG + b"1]}", "application/json"),
        (b"[1]\n[" + LONG + b"1]\n", "application/jsonl"),
        (b"[" + LONG + b"1}", "text/plain"),
        (b"[see below] " + b"words " * 2**18, "text/plain"),
    ],
    ids=["list", "map", "lines", "other bracket", "prose"],
)
def test_a_large_json_goes_by_its_first_and_last_mark(
    data: bytes, media_type: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No more than its first line is parsed, and of that no more than a mebibyte: the whole would take twenty times its size."""
    parsed: list[int] = []
    parses = documents._parses

    def watched(text: str) -> bool:
        parsed.append(len(text))
        return parses(text)

    monkeypatch.setattr(documents, "_parses", watched)
    assert file_type(data)[0] == media_type
    assert max(parsed, default=0) <= 2**20


@given(st.binary(max_size=300))
def test_any_bytes_have_a_type_and_perhaps_pages(data: bytes) -> None:
    """Nothing is raised."""
    assert "/" in file_type(data)[0]
    assert (pdf_pages(b"%PDF-1.5\n/Type/Pages/Type/ObjStm stream\n" + data + b"endstream") or 1) >= 1


@pytest.mark.parametrize("pages", [1, 3, 12])
def test_the_pages_of_a_real_pdf_are_counted(pages: int) -> None:
    """As Pillow writes it, with its tree in the open."""
    buffer = io.BytesIO()
    sheets = [Image.new("L", (20, 20), number) for number in range(pages)]
    sheets[0].save(buffer, "PDF", save_all=True, append_images=sheets[1:])
    assert pdf_pages(buffer.getvalue()) == pages


def packed(tree: bytes) -> bytes:
    """Return a PDF whose tree of pages stands in a compressed object stream."""
    head = b"%PDF-1.5\n5 0 obj\n<</Type /ObjStm /N 3 /First 20 /Filter /FlateDecode>>\nstream\r\n"
    return head + zlib.compress(tree) + b"\r\nendstream\nendobj\n"


@pytest.mark.parametrize(
    ("data", "pages"),
    [
        (packed(b"1 0 2 30 <</Type/Pages/Count 7/Kids[3 0 R 4 0 R]>> <</Type/Pages/Parent 1 0 R/Count 4>>"), 7),
        (packed(b"<</Type/Page/Parent 1 0 R>><</Type /Page>>"), 2),
        (b"%PDF-1.4 <</Count 5 /Type /Pages /Kids []>> <</Type /Outlines /Count 90>>", 5),
        (b"%PDF-1.4 <</Type /Pages /Count 9999999>> <</Type /Page>>", 1),
        (b"%PDF-1.5 <</Type/ObjStm>>\nstream\nencrypted\nendstream", None),
        (packed(bytes(50_000_000)), None),
        (b"%PDF-1.5" + b"/Type/ObjStm" * 100_000 + b"/Type/Pages" * 100_000, None),
    ],
    ids=["packed", "leaves", "open", "senseless", "encrypted", "bomb", "many"],
)
def test_the_pages_are_found_where_they_can_be(data: bytes, pages: int | None) -> None:
    """The root of the tree counts; a count that cannot be is not believed; None where only a real reader would know."""
    assert pdf_pages(data) == pages
