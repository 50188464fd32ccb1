"""The bytes of a request's body at the moment when it leaves: its media are put in, as URLs or as data URIs."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import anyio.to_thread
import orjson
import pybase64

from pipeline.media.attachments import Attachment, name_for
from pipeline.media.prepare import PreparedImage
from pipeline.records import Media, Request
from pipeline.wire.content import written

if TYPE_CHECKING:
    from pipeline.client.loader import Inline, Loader

_LARGE = 1024 * 1024  # bytes of media; to put more into a body takes milliseconds, which others should not wait for


def media_of(value: object) -> Iterator[Media]:
    """Yield the media of a body, or of a part of one, that are references."""
    if isinstance(value, Media):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from media_of(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from media_of(item)


def shown_by(request: Request) -> Iterable[Media]:
    """Return the media of a request; one that is encoded knows them, and nobody looks through its body."""
    return media_of(request.body) if request.content is None else [media for _, media in request.shown]


async def serialized(body: Mapping[str, object], loader: Loader) -> bytes:
    """Return a body's bytes, its media as URLs or data URIs; raises ``MediaError``.

    JSON is written around tokens, and the base64 put in their places as bytes: a picture is copied twice instead of five times.
    """
    shows_media = any(media_of(body))
    token = os.urandom(16).hex() if shows_media else ""  # cannot occur in a row's text by design or by accident
    inline: list[Inline] = []

    def stand_in(value: object) -> str:
        if not isinstance(value, PreparedImage | Attachment):
            raise TypeError
        inline.append(value)
        return token

    skeleton = written(await _loaded(body, loader) if shows_media else body, stand_in)
    return await _joined(skeleton.split(f'"{token}"'.encode()), inline) if inline else skeleton


async def completed(content: bytes, shown: Sequence[tuple[int, Media]], loader: Loader) -> bytes:
    """Return a request's ``content`` with what it has ``shown`` in its places; raises ``MediaError``.

    It was encoded when the row was read, so only media are left to do for an attempt.
    """
    if not shown:
        return content
    urls = [media.url if loader.goes_as_url(media) else None for _, media in shown]
    loaded = iter(await loader.inline_all([media for (_, media), url in zip(shown, urls, strict=True) if url is None]))
    places = [place for place, _ in shown]
    pieces = [content[start:end] for start, end in zip([0, *places], [*places, len(content)], strict=True)]
    return await _joined(pieces, [next(loaded) if url is None else url for url in urls])


async def _loaded(body: Mapping[str, object], loader: Loader) -> object:
    """Return a body with each reference as the URL or the bytes that are sent."""
    wanted = [media for media in media_of(body) if not loader.goes_as_url(media)]
    bytes_of = dict(zip(map(id, wanted), await loader.inline_all(wanted), strict=True))
    return _shown(body, lambda media: bytes_of.get(id(media), media.url))


def _shown(value: object, sent: Callable[[Media], Inline | str | None]) -> object:
    """Return a body, or a part of one, with what is sent for each reference."""
    if isinstance(value, Media):
        return sent(value)
    if isinstance(value, list | tuple):
        return [_shown(item, sent) for item in value]
    if not isinstance(value, Mapping):
        return value
    shown = {name: _shown(item, sent) for name, item in value.items()}
    if value.get("type") == "input_file":
        for name in ("file_url", "file_data"):
            media, given = value.get(name), shown.get(name)
            if isinstance(media, Media) and isinstance(given, Attachment):
                del shown[name]  # a URL that was fetched here is no URL any more
                shown |= {"filename": media.filename or name_for(given.media_type), "file_data": given}
    return shown


async def _joined(pieces: Sequence[bytes], inline: Sequence[Inline | str]) -> bytes:
    if sum(len(each) if isinstance(each, str) else len(each.data) for each in inline) > _LARGE:
        return await anyio.to_thread.run_sync(_spliced, pieces, inline)
    return _spliced(pieces, inline)


def _spliced(pieces: Sequence[bytes], inline: Sequence[Inline | str]) -> bytes:
    """Return the pieces of a body with a URL or the bytes of a medium between each two."""
    out = [pieces[0]]
    for each, piece in zip(inline, pieces[1:], strict=True):
        if isinstance(each, str):
            out += [orjson.dumps(each), piece]
        else:
            out += [f'"data:{each.media_type};base64,'.encode(), pybase64.b64encode(each.data), b'"', piece]
    return b"".join(out)
