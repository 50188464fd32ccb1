"""Looking at what came with a request, each kind of media in its own way, and remembering it."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Protocol

from pipeline.simulator.documents import skim
from pipeline.simulator.images import look
from pipeline.simulator.published import Rules
from pipeline.simulator.reading import Medium
from pipeline.simulator.videos import watch

__all__ = ["Seen", "SeenCache", "brings_bytes", "see"]


class Seen(Protocol):
    """What the model can tell about one image, video or file."""

    @property
    def digest(self) -> str:
        """What tells its bytes from all others."""

    def tokens(self, detail: str | None, rules: Rules, /) -> int:
        """What it costs by the rules."""

    def said(self, name: str, /) -> str:
        """What is said of it."""


_LOOKS: Mapping[str, Callable[[str, str], Seen]] = {"image": look, "video": watch, "file": skim}


def brings_bytes(medium: Medium) -> bool:
    """Whether the medium itself came, and not only its name."""
    return medium.source.startswith("data:") or medium.place.endswith("file_data")


def see(medium: Medium) -> Seen:
    """Look at a medium that brings its bytes; what is wrong with it is HTTP 400."""
    return _LOOKS[medium.kind](medium.source, medium.place)


class SeenCache:
    """Remembers what was seen last."""

    def __init__(self, size: int = 4096) -> None:
        self._size = size
        self._seen: OrderedDict[bytes, Seen] = OrderedDict()

    def get(self, medium: Medium) -> Seen | None:
        """What is known of this medium."""
        return self._seen.get(_key(medium))

    def put(self, medium: Medium, seen: Seen) -> None:
        """Keep what was seen, forgetting the oldest."""
        self._seen[_key(medium)] = seen
        if len(self._seen) > self._size:
            self._seen.popitem(last=False)


def _key(medium: Medium) -> bytes:
    return hashlib.sha256(f"{medium.kind} {medium.source}".encode("utf-8", "surrogatepass")).digest()
