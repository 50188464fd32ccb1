"""Heads of answers that the parser refuses, though every other client overlooks what is wrong with them.

The standard lets a client take a length that is said several times, if it is the same each time (RFC 9110, 8.6): proxies that copy headers
say it so, and the answer behind it has been paid.
"""

from __future__ import annotations

import re

_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})(?=[ \r\n])")
_END = re.compile(rb"\n\r?\n")
_LENGTH = re.compile(rb"(?<=\n)content-length[ \t]*:[ \t]*(\d+(?:[ \t]*,[ \t]*\d+)*)[ \t]*\r?\n", re.IGNORECASE)
_SAID = re.compile(rb"\ncontent-length", re.IGNORECASE)


def status_of(said: bytes) -> int | None:
    """Return the status of what a server said, behind whole interim answers; None where it says none."""
    line = _STATUS.match(said, _begin(said))
    return None if line is None else int(line[1])


def once(said: bytes) -> bytes | None:
    """Return what a server said with the length of its answer said once; None while more of the head is needed to tell.

    It comes back as it was where there is nothing to mend, or no telling which of several lengths counts.
    """
    begin = _begin(said)
    if _SAID.search(said, begin) is None:
        return said
    end = _END.search(said, begin)
    if end is None:
        return None
    head = said[begin : end.end()]
    lengths = [length for said_so in _LENGTH.findall(head) for length in said_so.split(b",")]
    if len(lengths) < 2 or len(set(map(int, lengths))) > 1:
        return said
    first, *_ = _LENGTH.finditer(head)
    line = b"content-length: %d\r\n" % int(lengths[0])
    mended = head[: first.start()] + line + _LENGTH.sub(b"", head[first.end() - 1 :])[1:]
    return said[:begin] + mended + said[end.end() :]


def _begin(said: bytes) -> int:
    """Return where the answer begins: behind the interim ones."""
    begin = 0
    while (line := _STATUS.match(said, begin)) and line[1] < b"200" and (end := _END.search(said, begin)):
        begin = end.end()
    return begin
