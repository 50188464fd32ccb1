"""Pictures as a report holds them: small copies, inside of the page. Only what lies here is read; no URL is ever followed."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING

from pipeline.checkpoint.gallery import folder_of
from pipeline.client.send import media_of
from pipeline.errors import MediaError
from pipeline.media.load import LARGEST_SOURCE, find_file, read_media
from pipeline.media.thumbnail import thumbnail
from pipeline.records import Media

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from pipeline.records import Request

MOST = 4
"""Pictures of one row."""


def shown_pictures(request: Request) -> list[str]:
    """Return the first pictures that a request shows, as data URIs. Blocking. One that cannot be read is left out."""
    media = [media for media in media_of(request.body) if media.kind == "image" and media.url is None]
    return _small(media[:MOST])


def made_pictures(images: Iterable[str], output: Path) -> list[str]:
    """Return the first generated pictures that a table's row names, as data URIs; only files of the table's own folder are read."""
    root = folder_of(output).resolve()
    found: list[Media] = []
    for image in list(images)[:MOST]:
        try:
            path, facts = find_file(str(output.parent / image), root, ())
        except MediaError:
            continue
        found.append(Media(identity=image, label=image, path=path, size=facts.st_size))
    return _small(found)


def _small(pictures: Iterable[Media]) -> list[str]:
    return [uri for media in pictures if (uri := _data_uri(media)) is not None]


def _data_uri(media: Media) -> str | None:
    try:
        small = thumbnail(read_media(media, LARGEST_SOURCE))
    except MediaError:
        return None
    return None if small is None else "data:image/webp;base64," + b64encode(small).decode()
