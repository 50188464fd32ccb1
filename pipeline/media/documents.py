"""What a file for ``input_file`` is, by its content, and how many pages a PDF has."""

from __future__ import annotations

import csv
import re
import zlib
from collections.abc import Iterator, Mapping
from itertools import islice

import orjson

from pipeline.media.sniff import describe, image_type, video_type

_OFFICE: tuple[tuple[bytes, str, str], ...] = (
    # a name or mark that stands uncompressed in the archive, media type, description
    (
        b"word/document.xml",
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        "a Word document",
    ),
    (b"xl/workbook.xml", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "an Excel workbook"),
    (
        b"ppt/presentation.xml",
        "application/vnd.openxmlformats-officedocument.presentationml.presentation",
        "a PowerPoint presentation",
    ),
    (
        b"mimetypeapplication/vnd.oasis.opendocument.text",
        "application/vnd.oasis.opendocument.text",
        "an OpenDocument text",
    ),
    (
        b"mimetypeapplication/vnd.oasis.opendocument.spreadsheet",
        "application/vnd.oasis.opendocument.spreadsheet",
        "an OpenDocument spreadsheet",
    ),
    (b"mimetypeapplication/epub+zip", "application/epub+zip", "an EPUB book"),
)
_BINARY: tuple[tuple[bytes, str, str], ...] = (
    # first bytes, media type, description
    (b"{\\rtf", "application/rtf", "an RTF document"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "application/x-ole-storage", "an old Office document"),
    (b"PK\x03\x04", "application/zip", "a ZIP archive"),
    (b"\x1f\x8b", "application/gzip", "a gzip file"),
)
_MARKED: tuple[tuple[str, str, str], ...] = (
    # how a text begins, in lower case, media type, description
    ("<!doctype html", "text/html", "an HTML page"),
    ("<html", "text/html", "an HTML page"),
    ("<svg", "image/svg+xml", "an SVG drawing"),
    ("<?xml", "application/xml", "XML"),
)
ENDINGS: Mapping[str, str] = {
    "application/pdf": ".pdf",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": ".docx",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": ".xlsx",
    "application/vnd.openxmlformats-officedocument.presentationml.presentation": ".pptx",
    "application/vnd.oasis.opendocument.text": ".odt",
    "application/vnd.oasis.opendocument.spreadsheet": ".ods",
    "application/epub+zip": ".epub",
    "application/rtf": ".rtf",
    "application/json": ".json",
    "application/jsonl": ".jsonl",
    "application/xml": ".xml",
    "text/html": ".html",
    "text/csv": ".csv",
    "text/plain": ".txt",
}
"""How the names of files end, by their media type."""

_PDF_WITHIN = 1024  # bytes that may stand before a PDF's mark
_LINES = 10  # of a table, that must agree in their number of cells
_PARSED = (
    2**20
)  # characters of JSON that are parsed to name a file's type: to parse all of a large one takes twenty times its size
_LONGEST_CELL = 2**17  # characters; a first line without an end is no header


def file_type(data: bytes) -> tuple[str, str]:
    """Return the media type of a file by its content, and what to call it: PDF, Office, text, CSV, JSON, HTML, images, videos."""
    if (image := image_type(data)) is not None:
        return image, f"a {image.removeprefix('image/').upper()} image"
    if (video := video_type(data)) is not None:
        return video, describe(data)
    if b"%PDF-" in data[:_PDF_WITHIN]:
        return "application/pdf", "a PDF"
    for prefix, media_type, description in _BINARY:
        if data.startswith(prefix):
            return _archive_type(data) if media_type == "application/zip" else (media_type, description)
    return _text_type(data)


def _archive_type(data: bytes) -> tuple[str, str]:
    """Return what kind of document a ZIP archive is; its directory is searched, not parsed, for it may lie."""
    for mark, media_type, description in _OFFICE:
        if mark in data:
            return media_type, description
    return "application/zip", "a ZIP archive"


def _text_type(data: bytes) -> tuple[str, str]:
    encoding = "utf-16" if data.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        text = "\0"
    if not text:
        return "application/octet-stream", "an empty file"
    if "\0" in text:
        return "application/octet-stream", "a file of unknown kind"
    start = text[:64].lstrip().lower()
    for mark, media_type, description in _MARKED:
        if start.startswith(mark):
            return media_type, description
    if start.startswith(("{", "[")) and (kind := _json_type(text)) is not None:
        return kind
    if any(_is_table(text, delimiter) for delimiter in ",;\t"):
        return "text/csv", "a CSV table"
    return "text/plain", "a text"


def _json_type(text: str) -> tuple[str, str] | None:
    """Return whether a text that begins with a bracket is JSON, or lines of it; a large one goes by how it begins and ends."""
    whole = text.rstrip()
    if len(whole) <= _PARSED and _parses(whole):
        return "application/json", "JSON"
    end = whole.find("\n", 0, _PARSED)
    if end >= 0 and _parses(whole[:end]):
        return "application/jsonl", "JSON lines"
    if len(whole) > _PARSED and whole[:64].lstrip()[0] + whole[-1] in ("{}", "[]"):
        return "application/json", "JSON"
    return None


def _parses(text: str) -> bool:
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError:
        return False
    return True


def _is_table(text: str, delimiter: str) -> bool:
    """Tell whether the first lines have the same number of cells, and more than one."""
    try:
        rows = list(islice(csv.reader(islice(_lines(text), 2 * _LINES), delimiter=delimiter), _LINES))
    except csv.Error:
        return False
    if any(len(cell) > _LONGEST_CELL for row in rows for cell in row):
        return False  # csv's own limit is the process's, and reading a table may have raised it
    widths = {len(row) for row in rows if row}
    return len(rows) > 1 and len(widths) == 1 and widths != {1}


def _lines(text: str) -> Iterator[str]:
    start = 0
    while start < len(text):
        end = text.find("\n", start) + 1 or len(text)
        yield text[start:end]
        start = end


# PDF pages. The tree of pages stands in the open, or since PDF 1.5 in compressed object streams.

_PAGES = re.compile(rb"/Type\s{0,8}/Pages\b")
_PAGE = re.compile(rb"/Type\s{0,8}/Page\b")
_COUNT = re.compile(rb"/Count\s{1,8}(\d{1,7})\b")
_OBJECTS = re.compile(rb"/Type\s{0,8}/ObjStm\b")
_REACH = 4096  # bytes around a node of the tree in which its count is looked for
_NODES = 10_000  # at most so many nodes and streams are looked at
_STREAM = 1024 * 1024  # bytes of one packed object stream
_INFLATED = 32 * 1024 * 1024  # bytes that all object streams may have together


def pdf_pages(data: bytes) -> int | None:
    """Return how many pages a PDF has, or None where that takes a real reader: an estimate for costs, not a promise."""
    texts = [data, *_object_streams(data)]
    counts = [count for text in texts for count in _counts(text)]
    if counts:
        return max(counts)
    leaves = sum(1 for text in texts for _ in _PAGE.finditer(text))
    return leaves or None


def _counts(text: bytes) -> Iterator[int]:
    """Yield the count of pages below each node of the tree; the root has the largest."""
    for node in islice(_PAGES.finditer(text), _NODES):
        first, last = max(node.start() - _REACH, 0), node.end() + _REACH
        opening, closing = text.rfind(b"<<", first, node.start()), text.find(b">>", node.end(), last)
        found = _COUNT.search(text, max(opening, first), closing if closing >= 0 else last)
        if found is not None and 0 < int(found[1]) <= len(text):
            yield int(found[1])


def _object_streams(data: bytes) -> Iterator[bytes]:
    view, left = memoryview(data), _INFLATED
    for mark in islice(_OBJECTS.finditer(data), _NODES):
        start = data.find(b"stream", mark.end(), mark.end() + _REACH)
        end = data.find(b"endstream", start, start + _STREAM)
        if min(start, end, left) <= 0:
            continue
        body = start + len(b"stream")
        body += 2 if data[body : body + 2] == b"\r\n" else 1
        try:
            text = zlib.decompressobj().decompress(view[body:end], left)
        except zlib.error:  # encrypted, or packed in another way
            continue
        left -= len(text)
        yield text
