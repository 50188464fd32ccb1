"""The bytes of a request, where they are known before it leaves."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from secrets import token_hex

import orjson

from pipeline.errors import PromptError
from pipeline.records import Media
from pipeline.wire.credentials import filled, variables
from pipeline.wire.dialect import Dialect
from pipeline.wire.encode import encode, refusals

__all__ = ["Encoded", "content_of", "with_member", "written"]

_OPTIONS = orjson.OPT_NON_STR_KEYS | orjson.OPT_PASSTHROUGH_DATACLASS  # else orjson writes media itself


def written(value: object, stand_in: Callable[[object], str]) -> bytes:
    """Return the JSON of a body, with ``stand_in`` of each value that JSON does not know; raises ``PromptError`` where that raises."""
    try:
        return orjson.dumps(value, default=stand_in, option=_OPTIONS)
    except TypeError as error:
        raise PromptError(f"the request holds a value that JSON cannot carry: {error}") from error


@dataclass(frozen=True, slots=True)
class Encoded:
    """A body as it is sent, and its media in order, each with the place in the bytes where it goes in as a JSON text."""

    content: bytes
    shown: tuple[tuple[int, Media], ...] = ()


def content_of(body: Mapping[str, object], dialect: Dialect, extra_body: Mapping[str, object]) -> Encoded | None:
    """Return what is sent for a body in OpenAI's names, ready for every attempt; raises ``PromptError``.

    None where it is made when an attempt leaves: its tools have tokens, which nothing of ours keeps; or it shows files, which may need a
    name by then. Also where the dialect cannot take it.
    """
    if refusals(body, dialect):
        return None
    sent = encode(body, dialect, extra_body)
    if variables(sent):
        return None
    media: list[Media] = []
    token = token_hex(16)  # cannot occur in a row's text by design or by accident

    def stand_in(value: object) -> str:
        if not isinstance(value, Media):
            raise TypeError(f"a {type(value).__name__}")
        media.append(value)
        return token

    whole = written(filled(sent, str), stand_in)
    if not media:
        return Encoded(whole)
    return None if any(each.kind == "file" for each in media) else _with_places(whole, token, media)


def _with_places(whole: bytes, token: str, media: Sequence[Media]) -> Encoded:
    pieces = whole.split(f'"{token}"'.encode())
    places = accumulate(map(len, pieces[:-1]))
    return Encoded(b"".join(pieces), tuple(zip(places, media, strict=True)))


def with_member(encoded: Encoded, name: str, value: str) -> Encoded:
    """Return the bytes of a body that has one more member, in front; the body must have others, and none of this name."""
    member = orjson.dumps({name: value})[:-1] + b","
    moved = len(member) - 1  # for the brace that was there
    return Encoded(member + encoded.content[1:], tuple((place + moved, media) for place, media in encoded.shown))
