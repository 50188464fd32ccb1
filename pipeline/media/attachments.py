"""Videos and files as they are sent: whole and unchanged, once their bytes have been found to be what is taken.

All of it is blocking: call it in a worker thread.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from pipeline.errors import MediaError
from pipeline.media.documents import ENDINGS, file_type
from pipeline.media.probe import VideoFacts, probe_video

_CONTAINER_NAMES: Mapping[str, str] = {
    "video/mp4": "MP4",
    "video/quicktime": "MOV",
    "video/x-msvideo": "AVI",
    "video/webm": "WebM",
}
# An Office document is a ZIP archive, and where it has a password, an old Office document. Its parts may have unusual names.
_WRAPPINGS = ("application/zip", "application/x-ole-storage")
_CLAIMS: Mapping[str, tuple[str, ...]] = {  # what a file whose name ends so may be; endings of texts claim nothing
    ending: (media_type,) if media_type == "application/pdf" else (media_type, *_WRAPPINGS)
    for media_type, ending in ENDINGS.items()
    if ending in {".pdf", ".docx", ".xlsx", ".pptx", ".odt", ".ods", ".epub"}
}


@dataclass(frozen=True, slots=True)
class VideoRules:
    """What a video must be like: its container's media type, its bytes before base64, and its seconds."""

    formats: frozenset[str]
    max_bytes: int
    max_s: float


@dataclass(frozen=True, slots=True)
class Attachment:
    """Bytes as they are sent, and their true media type."""

    data: bytes = field(repr=False)
    media_type: str


def attach_video(data: bytes, rules: VideoRules) -> Attachment:
    """Return a video as it is sent. Raises ``MediaError``."""
    return Attachment(data, sound_video(data, rules).media_type)


def sound_video(source: Path | bytes, rules: VideoRules) -> VideoFacts:
    """Return what a video that may be sent is; one whose length its container does not tell passes. Raises ``MediaError``."""
    facts = probe_video(source)
    if facts.media_type not in rules.formats:
        taken = ", ".join(name for media_type, name in _CONTAINER_NAMES.items() if media_type in rules.formats)
        raise MediaError(f"the video is {facts.container}; taken are {taken}", hint="convert it before the run")
    if facts.bytes > rules.max_bytes:
        raise MediaError(f"the video has {facts.bytes:,} bytes; {rules.max_bytes:,} are the limit")
    if facts.duration_s is not None and facts.duration_s > rules.max_s:
        raise MediaError(
            f"the video is {facts.duration_s:,.0f} seconds long; {rules.max_s:,.0f} are the limit",
            hint="cut it into pieces before the run",
        )
    return facts


def attach_file(data: bytes, filename: str | None, max_bytes: int) -> Attachment:
    """Return a file as it is sent. Raises ``MediaError`` for an empty one, and one that is not what its name claims."""
    if not data:
        raise MediaError("the file is empty")
    if len(data) > max_bytes:
        raise MediaError(f"the file has {len(data):,} bytes; {max_bytes:,} are the limit")
    media_type, description = file_type(data)
    claimed = _CLAIMS.get(PurePosixPath(filename or "").suffix.lower())
    if claimed is None:
        return Attachment(data, media_type)
    if media_type not in claimed:
        raise MediaError(f"the file is called {filename}, but it is {description}")
    return Attachment(data, claimed[0])


def name_for(media_type: str) -> str:
    """Return what a file is called that has no name of its own."""
    return f"file{ENDINGS.get(media_type, '')}"
