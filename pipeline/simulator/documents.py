"""What a file that was really received is: its kind, its bytes, a PDF's pages, and the words it begins with."""

from __future__ import annotations

import hashlib
import re
import zlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass

from pipeline.simulator.dialects import Dialect
from pipeline.simulator.payloads import payload
from pipeline.simulator.problems import RequestError
from pipeline.simulator.published import Rules
from pipeline.simulator.reading import Medium

__all__ = ["FileFacts", "check_ids", "skim"]

MAX_FILE_BYTES = 50 * 1024 * 1024
OPENING_WORDS = 8
INFLATED = 1024 * 1024  # bytes of one page's text; more is not read

_MARKS: tuple[tuple[bytes, str], ...] = (
    (b"PK\x03\x04", "ZIP"),
    (b"\x89PNG", "PNG"),
    (b"\xff\xd8\xff", "JPEG"),
    (b"{\\rtf", "RTF"),
)
_TEXTS: Mapping[str, str] = {"text/csv": "CSV", "text/html": "HTML", "application/json": "JSON"}
_ID = re.compile(r"file[-_][A-Za-z0-9_-]+")

_COUNT = re.compile(rb"/Type\s*/Pages\b[^>]{0,200}/Count\s+(\d{1,6})|/Count\s+(\d{1,6})[^>]{0,200}/Type\s*/Pages\b")
# No match begins with an escaped bracket: from each of a million of those it would be looked for to the end of the page.
_SHOWN = re.compile(rb"(?<!\\)\(((?:[^()\\]|\\.)*)\)\s*(?:Tj|'|\")|(?<!\\)\[((?:[^\[\]\\]|\\.)*)\]\s*TJ", re.DOTALL)
_PIECE = re.compile(rb"(?<!\\)\(((?:[^()\\]|\\.)*)\)", re.DOTALL)
_ESCAPE = re.compile(rb"\\([()\\])")


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What the model can tell about one file."""

    digest: str
    kind: str
    size: int
    pages: int | None
    opening: str

    def tokens(self, _detail: str | None, rules: Rules) -> int:
        """What it costs by the rules."""
        return rules.file(self.size, self.pages)

    def said(self, name: str) -> str:
        """What is said of it."""
        named = f" named {name}" if name else ""
        pages = f" and {self.pages} page{'s' * (self.pages != 1)}" if self.pages else ""
        opening = f', which begins "{self.opening}"' if self.opening else ""
        return f"a {self.kind} file{named} of {self.size} bytes{pages}{opening}"


def skim(given: str, place: str) -> FileFacts:
    """Read a file as far as that takes no library; what is wrong with it is HTTP 400."""
    mime, data = payload(given, place, "file", MAX_FILE_BYTES)
    kind = "PDF" if b"%PDF-" in data[:1024] else next((name for mark, name in _MARKS if data.startswith(mark)), None)
    if mime == "application/pdf" and kind != "PDF":
        raise RequestError(f"The file data does not match the media type '{mime}'.", code="invalid_file", param=place)
    text = _decoded(data) if kind is None else " ".join(_pdf_texts(data)) if kind == "PDF" else ""
    words = text.split(None, OPENING_WORDS)
    return FileFacts(
        digest=hashlib.sha256(data).hexdigest()[:16],
        kind=kind or (_TEXTS.get(mime, "text") if text else "data"),
        size=len(data),
        pages=_pdf_pages(data) if kind == "PDF" else None,
        opening=" ".join(words[:OPENING_WORDS])[:200] + ("…" if len(words) > OPENING_WORDS else ""),
    )


def check_ids(media: Iterable[Medium], dialect: Dialect, known: Collection[str] | None) -> None:
    """Refuse ids of files that there are none of; without a list of those known, any that looks like one is."""
    for medium in media:
        if not medium.place.endswith("file_id"):
            continue
        if not dialect.file_ids:
            place = medium.place.removesuffix("file_id") + f"{medium.kind}_url"
            raise RequestError(
                f"Missing required parameter: '{place}'.", code="missing_required_parameter", param=place
            )
        exists = _ID.fullmatch(medium.source) if known is None else medium.source in known
        if not exists:
            code = "image_file_not_found" if medium.kind == "image" else None
            raise RequestError(f"No such File object: {medium.source}", code=code, param=medium.place)


def _decoded(data: bytes) -> str:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return ""
    return "" if "\0" in text else text


def _pdf_pages(data: bytes) -> int | None:
    counts = [int(found[1] or found[2]) for found in _COUNT.finditer(data)]
    return max(counts, default=None)


def _streams(data: bytes) -> Iterator[bytes]:
    """What stands between the marks of each stream; without a regular expression, which takes hours where the ends are missing."""
    start = 0
    while (start := data.find(b"stream", start)) >= 0 and (end := data.find(b"endstream", start + 6)) >= 0:
        yield data[start + 6 : end].strip(b"\r\n")
        start = end + 9


def _pdf_texts(data: bytes) -> Iterator[str]:
    """The texts that the pages show, in the order of the file, where they are plain or deflated."""
    for page in _streams(data):
        with suppress(zlib.error):  # it may stand there as it is
            page = zlib.decompressobj().decompress(page, INFLATED)
        for shown in _SHOWN.finditer(page[:INFLATED]):
            pieces = [shown[1]] if shown[2] is None else _PIECE.findall(shown[2])
            yield _ESCAPE.sub(rb"\1", b"".join(pieces)).decode("cp1252", "replace")
