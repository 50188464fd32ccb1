"""Pictures as a report holds them: small copies, inside of the page. Only what lies here is read; no URL is ever followed."""

from __future__ import annotations

import time
from base64 import b64encode
from typing import TYPE_CHECKING

from pipeline.checkpoint.gallery import folder_of
from pipeline.client.body import media_of
from pipeline.errors import MediaError
from pipeline.media.load import LARGEST_SOURCE, find_file, read_media
from pipeline.media.thumbnail import thumbnail
from pipeline.records import Media
from pipeline.report.text import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from pipeline.records import Request

MOST = 4
"""Pictures of one row."""


MOST_SECONDS = 20.0
"""Of processor time for all pictures of a report."""


class Thumbnails:
    """Small copies of pictures as data URIs, each made once, until the time for them is over: ``left_out`` counts those without one."""

    def __init__(self, clock: Callable[[], float] = time.thread_time, most_s: float = MOST_SECONDS) -> None:
        """Take ``most_s`` seconds of the ``clock`` at most, and one picture more."""
        self.left_out = 0
        self._clock = clock
        self._left_s = most_s
        self._made: dict[str, str | None] = {}

    def shown(self, request: Request) -> list[str]:
        """Return the first pictures that a request shows. Blocking. One that cannot be read is left out."""
        media = [media for media in media_of(request.body) if media.kind == "image" and media.url is None]
        return self._small(media[:MOST])

    def made(self, images: Iterable[str], output: Path) -> list[str]:
        """Return the first generated pictures that a table's row names; only files of the table's own folder are read."""
        root = folder_of(output).resolve()
        found: list[Media] = []
        for image in list(images)[:MOST]:
            try:
                path, facts = find_file(str(output.parent / image), root, ())
            except MediaError:
                continue
            found.append(Media(identity=str(path), label=image, path=path, size=facts.st_size))
        return self._small(found)

    @property
    def notes(self) -> list[str]:
        """What to know of pictures that there was no time for."""
        pictures = counted(self.left_out, "picture")
        return [f"{pictures} left out: drawing small copies would take too long"] if self.left_out else []

    def _small(self, pictures: Iterable[Media]) -> list[str]:
        return [uri for media in pictures if (uri := self._once(media)) is not None]

    def _once(self, media: Media) -> str | None:
        if media.identity in self._made:
            return self._made[media.identity]
        if self._left_s <= 0:
            self.left_out += 1
            return None
        began = self._clock()
        self._made[media.identity] = uri = _data_uri(media)
        self._left_s -= self._clock() - began
        return uri


def _data_uri(media: Media) -> str | None:
    try:
        small = thumbnail(read_media(media, LARGEST_SOURCE))
    except MediaError:
        return None
    return None if small is None else "data:image/webp;base64," + b64encode(small).decode()
