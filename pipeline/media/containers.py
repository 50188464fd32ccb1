"""How long and how large a video is, by the heads of its container: MP4 and MOV, WebM, AVI.

Each reader takes a window on the bytes and returns what it finds; what a file does not say is None. Files may lie about every length:
a walk goes forward only and reads a few bytes at each step, and the window bounds the steps.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING

from pipeline.errors import MediaError

if TYPE_CHECKING:
    from pipeline.media.window import Window


@dataclass(frozen=True, slots=True)
class Measures:
    """What a container's head tells: seconds, and pixels as displayed."""

    duration_s: float | None = None
    width: int | None = None
    height: int | None = None


def _seconds(units: float, per_second: float) -> float | None:
    """Return a duration; None for one that is not given, or that nobody could watch."""
    seconds = units / per_second if per_second > 0 else 0.0
    return seconds if math.isfinite(seconds) and seconds > 0 else None


# MP4 and MOV: boxes of a size and a name, some of which hold boxes. https://developer.apple.com/documentation/quicktime-file-format


def boxes(view: Window, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield the name, the start and the end of the body of each box between two offsets. Raises ``MediaError`` at one that is cut off."""
    at = start
    while at + 8 <= end:
        head = view.read(at, 16)
        size, body = int.from_bytes(head[:4], "big"), at + 8
        if size == 1:
            size, body = int.from_bytes(head[8:16], "big"), at + 16
        elif size == 0:  # up to the end
            size = end - at
        if size < body - at or at + size > end:
            raise MediaError("the video is cut off or damaged: a part of it is longer than the file")
        yield head[4:8], body, at + size
        at += size


def _child(view: Window, parent: tuple[int, int], *path: bytes) -> tuple[int, int] | None:
    """Return the start and the end of the first box below ``parent`` by names, or None."""
    start, end = parent
    for name in path:
        found = next(((first, last) for box, first, last in boxes(view, start, end) if box == name), None)
        if found is None:
            return None
        start, end = found
    return start, end


def mp4(view: Window) -> Measures:
    """Read an MP4 or MOV. Raises ``MediaError`` for one without its index."""
    parts = {name: (start, end) for name, start, end in boxes(view, 0, view.size)}  # all: one may be cut off
    movie = parts.get(b"moov")
    if movie is None:
        raise MediaError("the video has no index (moov): it is cut off, or was not finished")
    measures = Measures(_mp4_duration(view, movie))
    for name, start, end in boxes(view, *movie):
        if name == b"trak" and (header := _child(view, (start, end), b"tkhd")) is not None:
            width, height = _track_size(view, header[0])
            if width and height:
                return replace(measures, width=width, height=height)
    return measures


def _mp4_duration(view: Window, movie: tuple[int, int]) -> float | None:
    header = _child(view, movie, b"mvhd")
    if header is None:
        return None
    long = view.number(header[0], 1) == 1  # version 1 has times of 8 bytes
    scale = view.number(header[0] + (20 if long else 12), 4)
    units = _units(view, header[0] + (24 if long else 16), long)
    if units == 0 and (fragments := _child(view, movie, b"mvex", b"mehd")) is not None:
        units = _units(view, fragments[0] + 4, view.number(fragments[0], 1) == 1)
    return _seconds(units, scale)


def _units(view: Window, at: int, long: bool) -> int:
    """Return a duration in the file's own units; 0 for the highest number, which stands for an unknown one."""
    length = 8 if long else 4
    units = view.number(at, length)
    return 0 if units == (1 << 8 * length) - 1 else units


def _track_size(view: Window, at: int) -> tuple[int, int]:
    """Return a track's size as displayed; that of a sound is 0."""
    matrix = at + (52 if view.number(at, 1) == 1 else 40)
    width, height = view.number(matrix + 36, 4) >> 16, view.number(matrix + 40, 4) >> 16
    sideways = view.number(matrix, 4) == 0 and view.number(matrix + 4, 4) != 0
    return (height, width) if sideways else (width, height)


# WebM: EBML elements of an id, a size and a body. https://www.rfc-editor.org/rfc/rfc8794

_DOC_TYPE, _HEAD, _SEGMENT, _INFO, _TRACKS = 0x4282, 0x1A45DFA3, 0x18538067, 0x1549A966, 0x1654AE6B
_SCALE, _DURATION, _ENTRY, _VIDEO, _WIDTH, _HEIGHT = 0x2AD7B1, 0x4489, 0xAE, 0xE0, 0xB0, 0xBA
_CLUSTER = 0x1F43B675
_NANOSECONDS = 1e9


def _variable(head: bytes, *, marked: bool) -> tuple[int, int] | None:
    """Return a number of variable length and its length; ``marked`` keeps the bit that tells the length, as ids do."""
    if not head or not head[0]:
        return None
    length = 9 - head[0].bit_length()
    if len(head) < length:
        return None
    value = int.from_bytes(head[:length], "big")
    return (value if marked else value & ((1 << 7 * length) - 1)), length


def elements(view: Window, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Yield the id, the start and the claimed end of the body of each element between two offsets, as far as they can be read."""
    at = start
    while at < end:
        head = view.read(at, 12)
        tag = _variable(head, marked=True)
        size = _variable(head[tag[1] :], marked=False) if tag else None
        if tag is None or size is None:
            return
        body = at + tag[1] + size[1]
        unknown = size[0] == (1 << 7 * size[1]) - 1  # a live recording does not know how long it will be
        at = end if unknown else body + size[0]
        yield tag[0], body, at


def webm(view: Window) -> Measures:
    """Read a WebM, up to its first pictures. Raises ``MediaError`` for another Matroska file and for one that is cut off."""
    parts = {tag: (start, end) for tag, start, end in islice(elements(view, 0, view.size), 4)}
    kind = _doc_type(view, *parts.get(_HEAD, (0, 0)))
    if kind != "webm":
        raise MediaError(f"the video is not WebM: it says that it is {kind[:16]!r}")
    start, end = parts.get(_SEGMENT, (0, math.inf))
    if end > view.size:
        raise MediaError("the video is cut off: its end is missing")
    measures = Measures()
    for tag, first, last in elements(view, start, view.size):
        if tag == _INFO:
            measures = replace(measures, duration_s=_webm_duration(view, first, last))
        elif tag == _TRACKS:
            measures = replace(measures, **_webm_size(view, first, last))
        elif tag == _CLUSTER:
            break
    return measures


def _doc_type(view: Window, start: int, end: int) -> str:
    for tag, first, last in elements(view, start, end):
        if tag == _DOC_TYPE:
            return view.read(first, min(last - first, 16)).rstrip(b"\0").decode("ascii", "replace")
    return ""


def _webm_duration(view: Window, start: int, end: int) -> float | None:
    scale, duration = 1_000_000, 0.0
    for tag, first, last in elements(view, start, end):
        if tag == _SCALE:
            scale = view.number(first, min(last - first, 8))
        elif tag == _DURATION and last - first in (4, 8):
            packed = view.read(first, last - first)
            if len(packed) == last - first:
                (duration,) = struct.unpack(">f" if len(packed) == 4 else ">d", packed)
    return _seconds(duration * scale, _NANOSECONDS)


def _webm_size(view: Window, start: int, end: int) -> dict[str, int]:
    """Return the sides of the first track that has them."""
    names = {_WIDTH: "width", _HEIGHT: "height"}
    for entry, first, last in elements(view, start, end):
        for inner, low, high in elements(view, first, last) if entry == _ENTRY else ():
            if inner == _VIDEO:
                return {
                    names[tag]: view.number(at, min(stop - at, 8))
                    for tag, at, stop in elements(view, low, high)
                    if tag in names
                }
    return {}


# AVI: RIFF chunks, all lengths little-endian. The main header comes first; a long file's total stands in `dmlh`.

_MICROSECONDS = 1e6


def _riff_chunks(view: Window, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield the name, the start and the end of each chunk's body; a list has the name of its kind."""
    at = start
    while at + 8 <= end:
        head = view.read(at, 12)
        body = at + 8
        stop = min(body + int.from_bytes(head[4:8], "little"), end)
        if head[:4] == b"LIST":
            yield head[8:12], body + 4, stop
        else:
            yield head[:4], body, stop
        at = stop + stop % 2


def avi(view: Window) -> Measures:
    """Read an AVI. Raises ``MediaError`` for one that is cut off."""
    if 8 + view.little(4, 4) > view.size:
        raise MediaError("the video is cut off: its end is missing")
    for name, start, end in _riff_chunks(view, 12, view.size):
        if name != b"hdrl":
            continue
        frames = per_frame = width = height = 0
        for inner, first, last in _riff_chunks(view, start, end):
            if inner == b"avih":
                per_frame, frames = view.little(first, 4), max(frames, view.little(first + 16, 4))
                width, height = view.little(first + 32, 4), view.little(first + 36, 4)
            elif inner == b"odml":
                totals = (view.little(at, 4) for name, at, _ in _riff_chunks(view, first, last) if name == b"dmlh")
                frames = max(frames, next(totals, 0))
        return Measures(_seconds(frames * per_frame, _MICROSECONDS), width or None, height or None)
    raise MediaError("the video is damaged: it has no header")
