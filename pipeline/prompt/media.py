"""From a cell to the pictures, videos or files it means: a URL, a data URI, a path, bytes, ``{bytes, path}``, or a list of those."""

from __future__ import annotations

from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal
from urllib.parse import unquote

from pipeline.errors import MediaError, NullCell
from pipeline.media.load import digest, digest_file, find_file, name_below
from pipeline.records import Media, MediaKind

_LABEL_LENGTH = 120
_LARGEST_READ = 1024**3  # bytes; larger files are refused when they would be sent, and to read one may take hours


@dataclass(frozen=True, slots=True)
class MediaFinder:
    """How the media of a job are found: relative names count from ``root``, and lie below it or below one of ``roots``.

    Both are resolved. With ``null_is_empty`` a null is none.
    """

    root: Path
    roots: tuple[Path, ...] = ()
    identity: Literal["stat", "content"] = "stat"
    null_is_empty: bool = False

    def find(self, cell: object, column: str, kind: MediaKind = "image") -> list[Media]:
        """Return what a cell means, in order; files are read only for their digests. Raises ``NullCell`` or ``MediaError``."""
        if cell is None:
            return self._null(column)
        if isinstance(cell, str):
            return [self._from_text(cell, column, kind)]
        if isinstance(cell, bytes | bytearray | memoryview):
            return [_from_bytes(bytes(cell), column, kind)]
        if isinstance(cell, Mapping):
            return self._from_struct(cell, column, kind)
        if isinstance(cell, Sequence):
            return [media for item in cell for media in self.find(item, column, kind)]
        raise MediaError(f"column {column!r} holds a {type(cell).__name__}, which is no URL, path or {kind}")

    def _null(self, column: str) -> list[Media]:
        if self.null_is_empty:
            return []
        raise NullCell(column)

    def _from_text(self, text: str, column: str, kind: MediaKind) -> Media:
        text = text.strip()
        lowered = text[:8].lower()
        if lowered.startswith(("http://", "https://")):
            return Media(identity=f"url:{text}", label=_shown(text), url=text, kind=kind, filename=_last_name(text))
        if lowered.startswith("data:"):
            return _from_data_uri(text, column, kind)
        if not text:
            raise MediaError(f"column {column!r} is an empty text, which names no {kind}")
        if "://" in text[:16]:
            raise MediaError(
                f"{text[:_LABEL_LENGTH]!r} has a scheme that is not sent; use http(s), a path or the bytes"
            )
        return self._from_path(text, kind)

    def _from_path(self, cell: str, kind: MediaKind) -> Media:
        path, facts = find_file(cell, self.root, self.roots)
        named = name_below(self.root, str(path)) or str(path)
        by_stat = f"file:{named}:{facts.st_size}:{facts.st_mtime_ns}"
        return Media(
            identity=by_stat
            if self.identity == "stat" or facts.st_size > _LARGEST_READ
            else "bytes:" + digest_file(path),
            label=named[-_LABEL_LENGTH:].encode(errors="replace").decode(),  # names need not be text, the journal is
            path=path,
            kind=kind,
            filename=path.name,
            size=facts.st_size,
        )

    def _from_struct(self, cell: Mapping[object, object], column: str, kind: MediaKind) -> list[Media]:
        data, path = cell.get("bytes"), cell.get("path")
        named = path if isinstance(path, str) and path else None
        if isinstance(data, bytes | bytearray | memoryview):
            return [_from_bytes(bytes(data), named or column, kind, PurePosixPath(named).name if named else None)]
        if data is not None:
            raise MediaError(f"column {column!r} holds a {type(data).__name__} where the {kind}'s bytes should be")
        if named is not None:
            return [self._from_text(named, column, kind)]
        if {"bytes", "path"} & cell.keys():
            return self._null(column)
        raise MediaError(f"column {column!r} is a struct without bytes or path")


def _shown(url: str) -> str:
    """Return a URL without its query, which may be a signature that is as good as a key."""
    return url.partition("#")[0].partition("?")[0][:_LABEL_LENGTH]


def _last_name(url: str) -> str | None:
    """Return the last name in a URL's path, or None where it has none."""
    address = url.partition("#")[0].partition("?")[0]
    return unquote(address.partition("://")[2].partition("/")[2].rpartition("/")[2]) or None


def _from_bytes(data: bytes, label: str, kind: MediaKind, filename: str | None = None) -> Media:
    if not data:
        raise MediaError(f"{label} is empty: no {kind} bytes")
    return Media(
        identity="bytes:" + digest(data),
        label=label[-_LABEL_LENGTH:],
        data=data,
        kind=kind,
        filename=filename,
        size=len(data),
    )


def _from_data_uri(text: str, column: str, kind: MediaKind) -> Media:
    head, comma, payload = text.partition(",")
    if not comma or not head.lower().endswith(";base64"):
        raise MediaError(f"column {column!r} holds a data URI that is not base64")
    try:
        data = b64decode(payload, validate=True)
    except (Base64Error, ValueError) as error:
        raise MediaError(f"column {column!r} holds a data URI whose base64 is broken: {error}") from error
    return _from_bytes(data, f"data URI of {column}", kind)
