"""Videos and files on their way out: sent as they are, or refused with a plain reason."""

from __future__ import annotations

import io
import struct
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.errors import MediaError
from pipeline.media.attachments import VideoRules, attach_file, attach_video, name_for

DATA = Path(__file__).parents[2] / "data"
CLOCK = (DATA / "clips" / "clock.mp4").read_bytes()
BALL = (DATA / "clips" / "ball.webm").read_bytes()
POND = (DATA / "documents" / "pond.pdf").read_bytes()
RULES = VideoRules(frozenset({"video/mp4", "video/webm"}), 200 * 1024**2, 600)
LIMIT = 50 * 1024**2


def lasting(seconds: int) -> bytes:
    """Return the clock with another length in its head."""
    at = CLOCK.index(b"mvhd") + 20
    return CLOCK[:at] + struct.pack(">I", seconds * 1000) + CLOCK[at + 4 :]


def archive(*names: str) -> bytes:
    """Return a ZIP archive with these members."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name in names:
            file.writestr(name, "x")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("data", "media_type"), [(CLOCK, "video/mp4"), (BALL, "video/webm"), (lasting(600), "video/mp4")]
)
def test_a_video_leaves_as_it_came(data: bytes, media_type: str) -> None:
    """Not a byte is copied; the media type is that of its container, and ten minutes are still taken."""
    sent = attach_video(data, RULES)
    assert sent.data is data
    assert sent.media_type == media_type


@pytest.mark.parametrize(
    ("data", "rules", "said"),
    [
        (lasting(601), RULES, "the video is 601 seconds long; 600 are the limit"),
        (BALL, replace(RULES, formats=frozenset({"video/mp4"})), "the video is WebM; taken are MP4$"),
        (CLOCK, replace(RULES, max_bytes=43_131), "the video has 43,132 bytes; 43,131 are the limit"),
        (CLOCK[:-9], RULES, "cut off or damaged"),
        (b"", RULES, "is not MP4, MOV, AVI or WebM: it is empty"),
        (POND, RULES, "it is a PDF"),
        (BALL.replace(b"webm", b"matr"), RULES, "the video is not WebM"),
    ],
    ids=["too long", "not taken", "too large", "cut off", "empty", "a PDF", "Matroska"],
)
def test_a_video_that_cannot_be_sent_says_why(data: bytes, rules: VideoRules, said: str) -> None:
    """By its content, whatever it is called."""
    with pytest.raises(MediaError, match=said):
        attach_video(data, rules)


@pytest.mark.parametrize(
    ("data", "filename", "media_type"),
    [
        (POND, "pond.pdf", "application/pdf"),
        (POND, None, "application/pdf"),
        (POND, "scan", "application/pdf"),
        (POND, "POND.PDF", "application/pdf"),
        (b"a,b\n1,2\n", "t.csv", "text/csv"),
        (b"Hello", "a.md", "text/plain"),
        (
            archive("word/document.xml"),
            "a.docx",
            "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        ),
        (
            archive("word/document2.xml"),
            "a.docx",
            "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        ),
        (archive("a.txt"), "a.zip", "application/zip"),
        (b"\x00\x01\x02", "a.bin", "application/octet-stream"),
    ],
)
def test_a_file_leaves_under_its_true_type(data: bytes, filename: str | None, media_type: str) -> None:
    """Told by its content; an Office document with unusual members is what its name says."""
    sent = attach_file(data, filename, LIMIT)
    assert sent.data is data
    assert sent.media_type == media_type


@pytest.mark.parametrize(
    ("data", "filename", "said"),
    [
        (b"", "a.pdf", "the file is empty"),
        (b"<!doctype html><p>Please log in", "report.pdf", "the file is called report.pdf, but it is an HTML page"),
        (CLOCK, "report.pdf", "but it is an MP4"),
        (POND, "report.docx", "but it is a PDF"),
        (b"plain", "table.xlsx", "but it is a text"),
        (POND, "report.pdf", "the file has 1,379 bytes; 1,378 are the limit"),
    ],
)
def test_a_file_that_cannot_be_sent_says_why(data: bytes, filename: str, said: str) -> None:
    """A login page that was saved as a PDF is not paid for."""
    with pytest.raises(MediaError, match=said):
        attach_file(data, filename, 1378 if "bytes" in said else LIMIT)


@pytest.mark.parametrize(
    ("media_type", "name"), [("application/pdf", "file.pdf"), ("text/csv", "file.csv"), ("application/x-odd", "file")]
)
def test_a_file_without_a_name_is_called_by_its_type(media_type: str, name: str) -> None:
    """Providers want a name, and some go by its ending."""
    assert name_for(media_type) == name
