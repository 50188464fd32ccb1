"""What a local video is, before it is sent: by its content, from a few short reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import MediaError
from pipeline.media.containers import Measures, avi, mp4, webm
from pipeline.media.sniff import describe, video_type
from pipeline.media.window import Window, window


@dataclass(frozen=True, slots=True)
class VideoFacts:
    """A video's container and media type, its seconds and displayed pixels where the file tells them, and its size in bytes."""

    container: str
    media_type: str
    duration_s: float | None
    width: int | None
    height: int | None
    bytes: int


_CONTAINERS: Mapping[str, tuple[str, Callable[[Window], Measures]]] = {
    "video/mp4": ("MP4", mp4),
    "video/quicktime": ("MOV", mp4),
    "video/x-msvideo": ("AVI", avi),
    "video/webm": ("WebM", webm),
}
_HEAD = 512  # bytes that are enough to know a container


def probe_video(source: Path | bytes) -> VideoFacts:
    """Return what an MP4, MOV, AVI or WebM video is. Blocking. Raises ``MediaError`` for anything else, and for one that is cut off."""
    with window(source) as view:
        head = view.read(0, _HEAD)
        media_type = video_type(head)
        if media_type is None:
            raise MediaError(f"the video is not MP4, MOV, AVI or WebM: it is {describe(head)}")
        container, measure = _CONTAINERS[media_type]
        facts = measure(view)
        return VideoFacts(container, media_type, facts.duration_s, facts.width, facts.height, view.size)
