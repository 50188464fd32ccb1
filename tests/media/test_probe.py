"""What a local video is: from hand-made files of each container, whole, cut off and lying."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import MediaError
from pipeline.media.probe import VideoFacts, probe_video

UPRIGHT = (1, 0, 0, 0, 1, 0, 0, 0, 0x4000)
QUARTER = (0, 1, 0, -1, 0, 0, 0, 0, 0x4000)


def box(name: bytes, *parts: bytes) -> bytes:
    """Return a box of an MP4."""
    body = b"".join(parts)
    return struct.pack(">I", 8 + len(body)) + name + body


def movie_header(scale: int, units: int, *, long: bool = False) -> bytes:
    """Return the box that tells the duration."""
    if long:
        return box(b"mvhd", b"\1\0\0\0", bytes(16), struct.pack(">IQ", scale, units), bytes(80))
    return box(b"mvhd", bytes(12), struct.pack(">II", scale, units), bytes(80))


def track(width: int, height: int, matrix: tuple[int, ...] = UPRIGHT, *, long: bool = False) -> bytes:
    """Return a track of pictures, or with no size one of sound."""
    head = b"\1\0\0\7" + bytes(48) if long else b"\0\0\0\7" + bytes(36)
    numbers = struct.pack(">9i", *(number << 16 for number in matrix))
    return box(b"trak", box(b"tkhd", head, numbers, struct.pack(">II", width << 16, height << 16)), box(b"mdia"))


FTYP = box(b"ftyp", b"isom\0\0\0\0isommp42")
SOUND, PICTURES = track(0, 0), track(640, 360)
MOVIE = box(b"moov", movie_header(1000, 12_500), SOUND, PICTURES)
MP4 = FTYP + MOVIE + box(b"mdat", bytes(100))


def element(tag: int, *parts: bytes, size: int | None = None) -> bytes:
    """Return an element of a WebM; ``size`` overrides what it says of itself."""
    body = b"".join(parts)
    name = tag.to_bytes((tag.bit_length() + 7) // 8, "big")
    return name + ((1 << 56) | (len(body) if size is None else size)).to_bytes(8, "big") + body


def webm(*info: bytes, kind: bytes = b"webm", size: int | None = None) -> bytes:
    """Return a WebM of 1280 x 720 with what ``info`` says."""
    sides = element(0xB0, b"\x05\x00") + element(0xBA, b"\x02\xd0")
    tracks = element(0x1654AE6B, element(0xAE, element(0x83, b"\2")), element(0xAE, element(0xE0, sides)))
    segment = element(0x18538067, element(0x1549A966, *info), tracks, element(0x1F43B675, bytes(50)), size=size)
    return element(0x1A45DFA3, element(0x4282, kind)) + segment


SCALE = element(0x2AD7B1, (1_000_000).to_bytes(3, "big"))
WEBM = webm(SCALE, element(0x4489, struct.pack(">d", 2500.0)))


def chunk(name: bytes, *parts: bytes) -> bytes:
    """Return a chunk of an AVI."""
    body = b"".join(parts)
    return name + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)


def avi(*more: bytes, frames: int = 75) -> bytes:
    """Return an AVI of 320 x 240 with 25 pictures per second."""
    header = chunk(b"avih", struct.pack("<14I", 40_000, 0, 0, 0, frames, 0, 1, 0, 320, 240, 0, 0, 0, 0))
    return chunk(b"RIFF", b"AVI ", chunk(b"LIST", b"hdrl", header, *more), chunk(b"LIST", b"movi", bytes(31)))


TOTAL = chunk(b"LIST", b"odml", chunk(b"dmlh", struct.pack("<I", 7500)))
UNKNOWN_SIZE = (1 << 56) - 1


@pytest.mark.parametrize(
    ("data", "container", "media_type", "measures"),
    [
        (MP4, "MP4", "video/mp4", (12.5, 640, 360)),
        (FTYP + box(b"mdat", bytes(100)) + MOVIE, "MP4", "video/mp4", (12.5, 640, 360)),
        (
            FTYP + box(b"moov", movie_header(600, 1200, long=True), track(64, 48, long=True)),
            "MP4",
            "video/mp4",
            (2, 64, 48),
        ),
        (FTYP + box(b"moov", movie_header(1000, 500), track(640, 360, QUARTER)), "MP4", "video/mp4", (0.5, 360, 640)),
        (FTYP + box(b"moov", movie_header(1000, 2**32 - 1), PICTURES), "MP4", "video/mp4", (None, 640, 360)),
        (FTYP + box(b"moov", movie_header(0, 1000)), "MP4", "video/mp4", (None, None, None)),
        (FTYP + box(b"moov", PICTURES), "MP4", "video/mp4", (None, 640, 360)),
        (
            FTYP + box(b"moov", movie_header(1000, 0), box(b"mvex", box(b"mehd", bytes(4), struct.pack(">I", 3000)))),
            "MP4",
            "video/mp4",
            (3.0, None, None),
        ),
        (FTYP + MOVIE + b"\0\0\0\1mdat" + struct.pack(">Q", 20) + bytes(4), "MP4", "video/mp4", (12.5, 640, 360)),
        (FTYP + MOVIE + b"\0\0\0\0mdat" + bytes(9), "MP4", "video/mp4", (12.5, 640, 360)),
        (box(b"ftyp", b"qt  \0\0\0\0") + MOVIE, "MOV", "video/quicktime", (12.5, 640, 360)),
        (box(b"wide") + box(b"mdat", bytes(9)) + MOVIE, "MOV", "video/quicktime", (12.5, 640, 360)),
        (WEBM, "WebM", "video/webm", (2.5, 1280, 720)),
        (webm(element(0x4489, struct.pack(">f", 500.0))), "WebM", "video/webm", (0.5, 1280, 720)),
        (webm(SCALE), "WebM", "video/webm", (None, 1280, 720)),
        (webm(element(0x4489, struct.pack(">d", float("inf")))), "WebM", "video/webm", (None, 1280, 720)),
        (webm(SCALE, size=UNKNOWN_SIZE), "WebM", "video/webm", (None, 1280, 720)),
        (avi(), "AVI", "video/x-msvideo", (3.0, 320, 240)),
        (avi(TOTAL), "AVI", "video/x-msvideo", (300.0, 320, 240)),
        (avi(frames=0), "AVI", "video/x-msvideo", (None, 320, 240)),
    ],
)
def test_a_video_tells_its_length_and_size(
    data: bytes, container: str, media_type: str, measures: tuple[float | None, int | None, int | None], tmp_path: Path
) -> None:
    """From memory and from a file, wherever the index stands; what the file does not know is None."""
    facts = VideoFacts(container, media_type, *measures, bytes=len(data))
    (tmp_path / "a.bin").write_bytes(data)
    assert probe_video(data) == probe_video(tmp_path / "a.bin") == facts


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (MP4[:-1], "is cut off or damaged: a part of it is longer than the file"),
        (MP4[:100], "is cut off or damaged"),
        (FTYP + box(b"mdat", bytes(10)), r"has no index \(moov\): it is cut off, or was not finished"),
        (FTYP + box(b"moov", b"\0\0\0\2mvhd"), "is cut off or damaged"),
        (FTYP + box(b"moov", b"\xff\xff\xff\xffmvhd"), "is cut off or damaged"),
        (FTYP + b"\0\0\0\1moov" + b"\xff" * 8, "is cut off or damaged"),
        (WEBM[:-1], "is cut off: its end is missing"),
        (WEBM[:30], "is cut off"),
        (webm(SCALE, kind=b"matroska"), "is not WebM: it says that it is 'matroska'"),
        (b"\x1aE\xdf\xa3", "is not WebM"),
        (avi()[:-1], "is cut off: its end is missing"),
        (chunk(b"RIFF", b"AVI "), "is damaged: it has no header"),
        (b"", "is not MP4, MOV, AVI or WebM: it is empty"),
        (b"\0\0\0\x18ftypheic", "is not MP4, MOV, AVI or WebM: it is an HEIC or AVIF image"),
        (b"FLV\x01\0", "it is a Flash video"),
        (b"carefree", "it is unknown, its first bytes are 63 61"),
        (b"%PDF-1.7", "it is a PDF"),
    ],
)
def test_what_is_no_whole_video_is_refused(data: bytes, reason: str) -> None:
    """Before it is uploaded, with a plain reason."""
    with pytest.raises(MediaError, match=f"^the video .*{reason}"):
        probe_video(data)


def test_a_huge_video_costs_a_few_short_reads(tmp_path: Path) -> None:
    """The index at the end of a sparse file of 100 GB is found without reading what is before it."""
    path = tmp_path / "huge.mp4"
    size = 100 * 2**30
    with path.open("wb") as file:
        file.write(FTYP + b"\0\0\0\1mdat" + struct.pack(">Q", size))
        file.seek(len(FTYP) + size)
        file.write(MOVIE)
    facts = probe_video(path)
    assert (facts.duration_s, facts.width, facts.bytes) == (12.5, 640, len(FTYP) + size + len(MOVIE))


def test_a_link_in_a_videos_place_is_not_followed(tmp_path: Path) -> None:
    """As for images."""
    (tmp_path / "secret").write_bytes(MP4)
    (tmp_path / "a.mp4").symlink_to("secret")
    with pytest.raises(MediaError, match=r"cannot read a\.mp4"):
        probe_video(tmp_path / "a.mp4")


@pytest.mark.parametrize("whole", [MP4, WEBM, avi(TOTAL)], ids=["mp4", "webm", "avi"])
@given(data=st.data())
@settings(max_examples=100, deadline=None)
def test_a_lying_video_is_read_or_refused(whole: bytes, data: st.DataObject) -> None:
    """Nothing but a ``MediaError`` comes out, whichever bytes are changed, and no number that cannot be."""
    edits = data.draw(st.lists(st.tuples(st.integers(0, len(whole) - 1), st.integers(0, 255)), max_size=8))
    lying = bytearray(whole)
    for at, value in edits:
        lying[at] = value
    try:
        facts = probe_video(bytes(lying))
    except MediaError:
        return
    assert facts.duration_s is None or 0 < facts.duration_s < float("inf")


@pytest.mark.parametrize(
    "data",
    [
        FTYP + b"\0\0\0\x08free" * 250_000,
        FTYP + b"\0\0\0\x08moov" * 250_000,
        FTYP + box(b"moov", SOUND * 40_000),
        FTYP + box(b"moov", box(b"trak", box(b"free") * 1000) * 200),
        element(0x1A45DFA3, element(0x4282, b"webm")) + element(0x18538067, b"\xec\x80" * 200_000),
        chunk(b"RIFF", b"AVI ", b"LIST\0\0\0\0" * 250_000),
    ],
    ids=["free", "moov", "tracks", "nested", "void", "lists"],
)
def test_a_video_made_to_cost_time_is_given_up(data: bytes) -> None:
    """Megabytes of the smallest possible parts, on one level or nested, end after a bounded number of reads."""
    with pytest.raises(MediaError, match="too many parts to be looked at"):
        probe_video(data)
