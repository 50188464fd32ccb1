"""What a video that was really received is: its container, its length, its bytes."""

from __future__ import annotations

import hashlib
import math
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from pipeline.simulator.payloads import payload
from pipeline.simulator.problems import RequestError
from pipeline.simulator.published import Rules

__all__ = ["VideoFacts", "watch"]

MAX_VIDEO_BYTES = 200 * 1024 * 1024
MAX_VIDEO_S = 600


@dataclass(frozen=True, slots=True)
class VideoFacts:
    """What the model can tell about one video; the seconds are None where its container does not tell them."""

    digest: str
    container: str
    seconds: float | None
    size: int

    def tokens(self, _detail: str | None, rules: Rules) -> int:
        """What it costs by the rules."""
        return rules.video(self.seconds)

    def said(self, _name: str) -> str:
        """What is said of it."""
        article = "an" if self.container in ("MP4", "AVI") else "a"
        length = "unknown length" if self.seconds is None else f"{self.seconds:g} seconds"
        return f"{article} {self.container} video of {length} and {self.size} bytes"


def watch(uri: str, place: str) -> VideoFacts:
    """Read a video's container; what is wrong with it is HTTP 400."""
    mime, data = payload(uri, place, "video", MAX_VIDEO_BYTES)
    if mime not in _CONTAINERS:
        raise _bad(f"Unsupported video media type '{mime}'.", place)
    container, is_one, measure = _CONTAINERS[mime]
    if not is_one(data):
        raise _bad(f"The video data does not match the media type '{mime}'.", place)
    try:
        seconds = measure(data)
    except (struct.error, OverflowError) as error:
        raise _bad("The video data could not be decoded.", place) from error
    if seconds is not None and seconds > MAX_VIDEO_S:
        raise _bad(f"The video is longer than {MAX_VIDEO_S // 60} minutes.", place)
    return VideoFacts(hashlib.sha256(data).hexdigest()[:16], container, seconds, len(data))


def _bad(message: str, place: str) -> RequestError:
    return RequestError(message, code="invalid_video", param=place)


def _boxes(data: bytes, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """The name, start and end of the body of each box of an MP4 or MOV."""
    while start + 8 <= end:
        size, name = struct.unpack_from(">I4s", data, start)
        body = start + 8
        if size == 1:
            (size,) = struct.unpack_from(">Q", data, body)
            body += 8
        stop = start + size if size else end
        if not body <= stop <= end:
            raise struct.error("a box is longer than what it lies in")
        yield name, body, stop
        start = stop


def _mp4_seconds(data: bytes) -> float | None:
    movie = next((span for name, *span in _boxes(data, 0, len(data)) if name == b"moov"), None)
    if movie is None:
        raise struct.error("no index")
    for name, start, _ in _boxes(data, *movie):
        if name == b"mvhd":
            (long,) = struct.unpack_from(">B", data, start)  # version 1 has times of 8 bytes
            scale, units = struct.unpack_from(">IQ" if long else ">II", data, start + (20 if long else 12))
            return units / scale if scale and units else None
    return None


def _avi_seconds(data: bytes) -> float | None:
    header = data.find(b"avih", 0, 4096)
    if header < 0:
        raise struct.error("no header")
    per_frame, *_, frames = struct.unpack_from("<5I", data, header + 8)
    return per_frame * frames / 1e6 or None


_WEBM_PARENTS = {0x18538067, 0x1549A966}  # the segment, and what it says of itself
_WEBM_SCALE, _WEBM_DURATION, _WEBM_CLUSTER = 0x2AD7B1, 0x4489, 0x1F43B675


def _number(data: bytes, at: int) -> tuple[int, int]:
    """A number of variable length with the bit that tells its length, and that length."""
    length = 9 - data[at : at + 1].ljust(1, b"\0")[0].bit_length()
    if length > 8 or at + length > len(data):
        raise struct.error("no number")
    return int.from_bytes(data[at : at + length], "big"), length


def _webm_seconds(data: bytes) -> float | None:
    at, scale, units = 0, 1_000_000, 0.0
    while at < len(data):
        tag, length = _number(data, at)
        size, more = _number(data, at + length)
        size &= (1 << 7 * more) - 1
        at += length + more
        if tag == _WEBM_CLUSTER:
            break
        if tag == _WEBM_SCALE:
            scale = int.from_bytes(data[at : at + min(size, 8)], "big")
        elif tag == _WEBM_DURATION:
            (units,) = struct.unpack_from(">f" if size == 4 else ">d", data, at)
        at += 0 if tag in _WEBM_PARENTS else size
    seconds = units * scale / 1e9
    return seconds if seconds > 0 and math.isfinite(seconds) else None


_CONTAINERS: Mapping[str, tuple[str, Callable[[bytes], bool], Callable[[bytes], float | None]]] = {
    "video/mp4": ("MP4", lambda data: data[4:8] == b"ftyp" and data[8:12] != b"qt  ", _mp4_seconds),
    "video/quicktime": ("MOV", lambda data: data[4:12] == b"ftypqt  " or data[4:8] in (b"moov", b"wide"), _mp4_seconds),
    "video/x-msvideo": ("AVI", lambda data: data[:4] == b"RIFF" and data[8:12] == b"AVI ", _avi_seconds),
    "video/webm": ("WebM", lambda data: data[:4] == b"\x1aE\xdf\xa3", _webm_seconds),
}
