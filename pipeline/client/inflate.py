"""Unpacks the body of an answer piece by piece, and never further than it is told.

Half a compressed text unpacks without complaint, so whoever asks ``whole`` at the end learns what a length would have said.
"""

from __future__ import annotations

import zlib
from typing import Protocol

_GZIP = 16 + zlib.MAX_WBITS
MAX_CODINGS = 4  # one in the other; each costs memory
_MAGIC = b"\x1f"  # how another member of a gzip file begins


class Inflater(Protocol):
    """Unpacks one body."""

    def feed(self, piece: bytes, most: int) -> bytes:
        """Return what a piece unpacks to, at most that many bytes and one; raises ``zlib.error``. After one too many it is done."""

    @property
    def whole(self) -> bool:
        """Whether the body came to its end."""


class _Gzip:
    """One or several members, as gzip allows; what follows them is padding."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(_GZIP)
        self._begun = False

    def feed(self, piece: bytes, most: int) -> bytes:
        content = b""
        while piece:
            if self._member.eof:
                if not piece.startswith(_MAGIC):
                    break
                self._member = zlib.decompressobj(_GZIP)
            self._begun = True
            content += self._member.decompress(piece, most + 1 - len(content))
            if len(content) > most:
                break
            piece = self._member.unused_data
        return content

    @property
    def whole(self) -> bool:
        return self._member.eof or not self._begun


class _Deflate:
    """The zlib format, which the standard means by deflate, or the bare one that some servers send."""

    def __init__(self) -> None:
        self._head = b""
        self._stream: zlib._Decompress | None = None

    def feed(self, piece: bytes, most: int) -> bytes:
        if self._stream is None:
            self._head += piece
            if len(self._head) < 2:
                return b""
            piece, self._head = self._head, b""
            wrapped = piece[0] & 15 == zlib.DEFLATED and int.from_bytes(piece[:2], "big") % 31 == 0
            self._stream = zlib.decompressobj(zlib.MAX_WBITS if wrapped else -zlib.MAX_WBITS)
        return self._stream.decompress(piece, most + 1)

    @property
    def whole(self) -> bool:
        return not self._head if self._stream is None else self._stream.eof


_KINDS: dict[str, type[_Gzip | _Deflate]] = {"gzip": _Gzip, "x-gzip": _Gzip, "deflate": _Deflate}


class _Chain:
    """Several packings, one in the other: the outermost first."""

    def __init__(self, kinds: list[type[_Gzip | _Deflate]]) -> None:
        self._stages = [kind() for kind in kinds]

    def feed(self, piece: bytes, most: int) -> bytes:
        for stage in self._stages:
            piece = stage.feed(piece, most)
            if len(piece) > most:
                break
        return piece

    @property
    def whole(self) -> bool:
        return all(stage.whole for stage in self._stages)


def inflater(codings: str) -> Inflater | None:
    """Return what unpacks a body of this ``Content-Encoding``; None for one that is not packed.

    Raises ``ValueError`` that names a coding nobody asked for, or says that there are too many.
    """
    named = [name for said in codings.lower().split(",") if (name := said.strip()) not in ("", "identity")]
    if unknown := [name for name in named if name not in _KINDS]:
        raise ValueError(f"its coding is {unknown[0][:40]!r}")
    if len(named) > MAX_CODINGS:
        raise ValueError(f"it is packed {len(named)} times")
    kinds = [_KINDS[name] for name in reversed(named)]
    return _Chain(kinds) if len(kinds) > 1 else kinds[0]() if kinds else None
