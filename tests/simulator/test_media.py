"""Videos and files that the simulator really received: read, told of, and refused as their vendor would."""

from __future__ import annotations

import base64
import struct
import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.simulator.documents import skim
from pipeline.simulator.problems import RequestError
from pipeline.simulator.videos import watch

DATA = Path(__file__).parents[2] / "data"
CLOCK = (DATA / "clips" / "clock.mp4").read_bytes()
BALL = (DATA / "clips" / "ball.webm").read_bytes()
POND = (DATA / "documents" / "pond.pdf").read_bytes()
MOV = struct.pack(">I8s", 12, b"ftypqt  ") + CLOCK[struct.unpack(">I", CLOCK[:4])[0] :]
_HEADER = b"avih" + struct.pack("<15I", 56, 40_000, 0, 0, 0, 75, 0, 1, 0, 320, 240, 0, 0, 0, 0)
_LIST = b"LIST" + struct.pack("<I", 4 + len(_HEADER)) + b"hdrl" + _HEADER
AVI = b"RIFF" + struct.pack("<I", 4 + len(_LIST)) + b"AVI " + _LIST


def uri(data: bytes, mime: str) -> str:
    """Return a data URI."""
    return f"data:{mime};base64,{base64.b64encode(data).decode()}"


def lasting(seconds: int) -> bytes:
    """Return the clock with another length in its head."""
    at = CLOCK.index(b"mvhd") + 20
    return CLOCK[:at] + struct.pack(">I", seconds * 1000) + CLOCK[at + 4 :]


def with_video(url: object) -> dict[str, Any]:
    """Return a request that shows a video."""
    return {"model": "m", "input": [{"role": "user", "content": [{"type": "input_video", "video_url": url}]}]}


def with_file(**part: object) -> dict[str, Any]:
    """Return a request that shows a file."""
    return {"model": "m", "input": [{"role": "user", "content": [{"type": "input_file", **part}]}]}


def pdf(*texts: bytes, packed: bool = False) -> bytes:
    """Return what is enough of a PDF: a page for each text."""
    streams = b"".join(
        b"1 0 obj << >>\nstream\n" + (zlib.compress(text) if packed else text) + b"\nendstream endobj\n"
        for text in texts
    )
    return b"%PDF-1.7\n<< /Type /Pages /Kids [] /Count " + str(len(texts)).encode() + b" >>\n" + streams


@pytest.mark.parametrize(
    ("data", "mime", "told"),
    [
        (CLOCK, "video/mp4", "An MP4 video of 3 seconds and 43132 bytes"),
        (lasting(600), "video/mp4", "An MP4 video of 600 seconds"),
        (MOV, "video/quicktime", "A MOV video of 3 seconds"),
        (BALL, "video/webm", "A WebM video of 4 seconds and 7935 bytes"),
        (AVI, "video/x-msvideo", "An AVI video of 3 seconds"),
        (lasting(0), "video/mp4", "An MP4 video of unknown length"),
    ],
)
def test_a_video_is_told_by_its_container_and_length(provider, ask, said, data, mime, told):
    """In the one dialect that takes videos."""
    assert said(ask(provider, with_video(uri(data, mime)), "qingbo")).startswith(told)


@pytest.mark.parametrize(
    ("url", "code"),
    [
        (uri(lasting(601), "video/mp4"), "longer than 10 minutes"),
        (uri(CLOCK[:-9], "video/mp4"), "could not be decoded"),
        (uri(CLOCK, "video/webm"), "does not match the media type"),
        (uri(CLOCK, "video/ogg"), "Unsupported video media type"),
        (uri(b"", "video/mp4"), "is empty"),
        ("data:video/mp4,abc", "base64-encoded data URI"),
        ("data:video/mp4;base64,!!", "not valid base64"),
        ("clips/clock.mp4", "Expected a valid URL"),
        (7, "Invalid type"),
        (None, "Missing required parameter"),
    ],
    ids=["long", "cut", "lying", "ogg", "empty", "plain", "broken", "a path", "a number", "nothing"],
)
def test_a_video_that_is_none_is_refused(provider, ask, url, code):
    """Nothing is executed."""
    reply = ask(provider, with_video(url), "qingbo")
    assert reply.status_code == 400
    assert code in reply.json()["error"]["message"]
    assert provider.stats.executed == 0


@pytest.mark.parametrize(
    ("data", "mime", "told"),
    [
        (
            POND,
            "application/pdf",
            'A PDF file named a.x of 1379 bytes and 2 pages, which begins "Field notes from the pond Six mornings in…" (',
        ),
        (pdf(b"(One \\(1\\)) Tj"), "application/pdf", ' and 1 page, which begins "One (1)" ('),
        (pdf(b"[(T) -20 (wo)] TJ", b"(x) Tj", packed=True), "application/pdf", ' and 2 pages, which begins "Two x" ('),
        (b"%PDF-1.4\n", "application/pdf", "A PDF file named a.x of 9 bytes ("),
        (b"junk\n%PDF-1.4\n", "application/pdf", "A PDF file named a.x of 14 bytes ("),
        (b"A text of four", "text/plain", 'A text file named a.x of 14 bytes, which begins "A text of four" ('),
        (b"\xff\x00", "application/x-odd", "A data file named a.x of 2 bytes ("),
        (b"PK\x03\x04", "application/zip", "A ZIP file named a.x of 4 bytes ("),
    ],
)
def test_a_file_is_told_by_its_kind_and_its_first_words(provider, ask, said, data, mime, told):
    """Pages and words of a PDF are those that it has."""
    assert told in said(ask(provider, with_file(file_data=uri(data, mime), filename="a.x")))


def test_bare_base64_is_a_file_too(provider, ask, said):
    """The reference names both forms."""
    coded = base64.b64encode(POND).decode()
    assert "2 pages" in said(ask(provider, with_file(file_data=coded, filename="a.pdf")))


@pytest.mark.parametrize(
    ("part", "told"),
    [
        ({"file_data": uri(POND, "application/pdf")}, "filename"),
        ({"file_data": uri(b"<html>", "application/pdf"), "filename": "a.pdf"}, "does not match the media type"),
        ({"file_data": uri(b"", "application/pdf"), "filename": "a.pdf"}, "is empty"),
        ({"file_data": "!!", "filename": "a.pdf"}, "not valid base64"),
        ({"file_url": "https://x/a.pdf", "detail": "original"}, "Invalid value: 'original'"),
        ({"file_id": "nonsense"}, "No such File object: nonsense"),
        ({}, "exactly one of"),
    ],
)
def test_a_file_that_is_none_is_refused(provider, ask, part, told):
    """Each with its reason."""
    reply = ask(provider, with_file(**part))
    assert reply.status_code == 400
    assert told in reply.json()["error"]["message"]


def test_a_file_counts_by_its_bytes_and_a_video_by_its_seconds(provider, ask):
    """A token for four bytes, 250 for a second; the message itself costs four."""
    file = ask(provider, with_file(file_data=uri(POND, "application/pdf"), filename="a.pdf")).json()
    video = ask(provider, with_video(uri(BALL, "video/webm")), "qingbo").json()
    assert file["usage"]["input_tokens"] == 4 + 345
    assert video["usage"]["input_tokens"] == 4 + 1000


def test_ids_are_those_of_the_script_where_it_names_some(play, ask, said):
    """An image's unknown id has the code that the reference documents."""
    provider = play({"files": ["file-a"]})
    image = {"model": "m", "input": [{"role": "user", "content": [{"type": "input_image", "file_id": "file-b"}]}]}
    assert "file-a" in said(ask(provider, with_file(file_id="file-a")))
    assert ask(provider, with_file(file_id="file-b")).status_code == 400
    assert ask(provider, image).json()["error"]["code"] == "image_file_not_found"


@pytest.mark.parametrize("dialect", ["qingbo", "apimart"])
def test_gateways_know_no_ids(provider, ask, dialect):
    """Their pages have no place to upload to, and an image is a URL there."""
    image = {"model": "m", "input": [{"role": "user", "content": [{"type": "input_image", "file_id": "file-a"}]}]}
    reply = ask(provider, image, dialect)
    assert reply.status_code == 400
    assert "image_url" in reply.json()["error"]["message"]


def test_the_same_bytes_under_two_kinds_are_two_things(provider, ask, said):
    """What is remembered of a picture is not said of a file."""
    picture = uri((DATA / "photos" / "cat.png").read_bytes(), "image/png")
    parts = [
        {"type": "input_image", "image_url": picture},
        {"type": "input_file", "file_data": picture, "filename": "cat.png"},
    ]
    text = said(ask(provider, {"model": "m", "input": [{"role": "user", "content": parts}]}))
    assert "451x300 PNG" in text
    assert "a PNG file named cat.png of 240512 bytes" in text


@given(st.sampled_from([(CLOCK, "video/mp4"), (BALL, "video/webm"), (AVI, "video/x-msvideo")]), st.data())
@settings(max_examples=150, deadline=None)
def test_damaged_videos_are_read_or_refused(video: tuple[bytes, str], drawn: st.DataObject) -> None:
    """Wherever they are cut, and whatever a few of their bytes say: no other error, and no endless walk."""
    data, mime = video
    damaged = bytearray(data[: drawn.draw(st.integers(12, len(data)))])
    for _ in range(drawn.draw(st.integers(0, 3))):
        damaged[drawn.draw(st.integers(0, len(damaged) - 1))] = drawn.draw(st.integers(0, 255))
    try:
        facts = watch(uri(bytes(damaged), mime), "here")
    except RequestError as error:
        assert error.status == 400  # noqa: PT017 - either outcome is right, depending on the damage
    else:
        assert facts.seconds is None or 0 < facts.seconds <= 600


@pytest.mark.parametrize(
    "page",
    [
        b"stream\n" * 150_000,
        b"stream\n" + rb"(\(" + rb"\(" * 500_000 + b"\nendstream",
        b"stream\n" + rb"[\[" + rb"\[" * 500_000 + b"\nendstream",
        b"/Type/Pages " * 100_000,
        b"/Count 1 " * 100_000,
    ],
    ids=["streams", "parentheses", "brackets", "pages", "counts"],
)
def test_a_file_made_to_be_slow_is_read_in_one_pass(page: bytes) -> None:
    """A megabyte of beginnings without their ends takes well below a second, where each being looked for to the end took hours."""
    skimmed = skim(uri(b"%PDF-1.4\n" + page, "application/pdf"), "here")
    assert skimmed.size == 9 + len(page)


@given(st.binary(max_size=200), st.sampled_from([b"", b"%PDF-1.4\n", b"%PDF-1.4\nstream\n"]))
@settings(max_examples=150, deadline=None)
def test_any_file_is_told_of(data: bytes, start: bytes) -> None:
    """But for an empty one."""
    if start + data:
        assert skim(uri(start + data, "application/x-any"), "here").size == len(start + data)
