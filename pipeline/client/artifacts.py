"""What an answer brings beside its text: the sources of all its rounds, and generated pictures, which become files."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
import pybase64

from pipeline.media.sniff import image_type
from pipeline.records import Status
from pipeline.wire.items import distinct, found_in

if TYPE_CHECKING:
    from pipeline.records import Post, Reply, Request

Keep = Callable[[str, bytes], str]
"""Makes a file of this name and content durable, and returns its path as the table shows it. Blocking. Raises ``OSError``."""

LARGEST = 40 * 1024 * 1024  # bytes of a generated picture; the largest that models make have half of that
MOST = 100  # pictures of one answer; the rest would fill a disk with files

_ENDINGS: Mapping[str, str] = {"image/png": "png", "image/jpeg": "jpg", "image/webp": "webp", "image/gif": "gif"}


@dataclass(slots=True)
class _Album:
    """What became of an answer's pictures: ``images`` lie at these paths, ``left`` could not be written and are still base64."""

    images: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def illustrated(post: Post, keep: Keep) -> Post:
    """Return a layer that adds to an answer what its earlier rounds have found, and makes its pictures files.

    It belongs before the journal: an answer that is durable has its pictures. One that cannot be read or written leaves a note, and never
    costs the answer.
    """

    async def answer(request: Request) -> Reply:
        reply = await post(request)
        if reply.turn is not None or not (request.rounds or reply.sources or reply.pictures):
            return reply
        rounds = [found for body in request.rounds if (found := found_in(body)) is not None]
        earlier = [source for found in rounds for source in found.sources]
        reply = replace(reply, sources=distinct((*reply.sources, *earlier)))
        pictures = [*(picture for found in rounds for picture in found.pictures), *reply.pictures]
        if not pictures:
            return reply
        with anyio.CancelScope(shield=True):  # as for the journal: an answer that is here is paid
            album = await anyio.to_thread.run_sync(_kept, request, pictures, keep)
        return _with(album, reply)

    return answer


def _with(album: _Album, reply: Reply) -> Reply:
    """Return the reply with its album; one that was nothing but pictures, all of which turn out to be none, is empty."""
    vain = reply.status is Status.OK and not (reply.text.strip() or album.images or album.left)
    return replace(
        reply,
        status=Status.EMPTY if vain else reply.status,
        pictures=tuple(album.left),
        images=tuple(album.images),
        notes=(*reply.notes, *album.notes),
    )


def _kept(request: Request, pictures: Sequence[str], keep: Keep) -> _Album:
    """Write pictures as files. Their names hold a digest, so that an answer that comes later never takes the place of this one."""
    album = _Album()
    row = f"{request.row}.{request.sample}" if request.sample else f"{request.row}"
    for number, picture in enumerate(pictures[:MOST], 1):
        try:
            data = _decoded(picture)
            digest = blake2b(data, digest_size=6).hexdigest()
            name = f"{row}-{number}-{digest}.{_ending(data)}"
            album.images.append(keep(name, data))
        except ValueError as error:
            album.notes.append(f"generated picture {number}: {error}")
        except OSError as error:
            reason = f"not written, and kept in the journal: {error.strerror or error}"
            album.notes.append(f"generated picture {number}: {reason}")
            album.left.append(picture)
    if len(pictures) > MOST:
        album.notes.append(f"{len(pictures)} pictures were generated, and the first {MOST} were looked at")
    return album


def _decoded(picture: str) -> bytes:
    """Return a picture's bytes; raises ``ValueError``. Some servers put line ends into base64, or a data URI's head before it."""
    base64 = "".join((picture.partition(",")[2] if picture.startswith("data:") else picture).split())
    if len(base64) // 4 * 3 > LARGEST:
        raise ValueError(f"larger than {LARGEST // 2**20} MiB")
    try:
        return pybase64.b64decode(base64, validate=True)
    except ValueError as error:
        raise ValueError("no base64") from error


def _ending(data: bytes) -> str:
    """Return the ending of a picture's name, as its bytes say; raises ``ValueError`` where they are no picture."""
    kind = image_type(data)
    if kind is None:
        raise ValueError("the bytes are no picture")
    return _ENDINGS[kind]
