"""What requests begin with: the beginnings that a provider can take from its prompt cache the next time, each as a digest. Pure.

A provider caches what it has read of a prompt from its first token on, and a later prompt hits as far as it begins alike: tools and schema
come first, then the instructions, then the input (OpenAI, guide "Prompt caching", read 2026-11). Less than 1,024 tokens aren't cached.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from hashlib import blake2b
from typing import TYPE_CHECKING, NamedTuple

import orjson

from pipeline.cost.contents import contents_of
from pipeline.cost.families import family_of
from pipeline.cost.showing import Showing
from pipeline.cost.tokens import BYTES_PER_TOKEN, OUTPUT_TOKENS
from pipeline.errors import RowError
from pipeline.records import Media

if TYPE_CHECKING:
    from pipeline.records import Request
    from pipeline.spec.rules import MediaRules
    from pipeline.wire.dialect import Dialect

CACHED_FROM = 1024
"""Tokens that requests must have in common at their beginning before providers cache them."""

_STEP = 1024  # bytes of a text after which a beginning may end: finer than the end of a part, and cheap
_LIGHT = CACHED_FROM // 2  # tokens by the rule of thumb, which may be half of the truth, for pictures above all
_BEFORE = (
    "model",
    "tools",
    "text",
    "reasoning",
    "prompt",
    "conversation",
    "previous_response_id",
)  # before what is said
_PLAIN = orjson.OPT_NON_STR_KEYS | orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_SORT_KEYS


class Beginning(NamedTuple):
    """The first so many ``tokens`` of a prompt, about; the same digest means the same beginning."""

    digest: bytes
    tokens: float


class Opening(NamedTuple):
    """The ``beginnings`` of a request that are long enough for a cache, the shortest first. ``size`` is about the bytes it takes here."""

    beginnings: tuple[Beginning, ...] = ()
    size: int = 0


class Openings:
    """Finds the beginnings of one job's requests."""

    def __init__(self, rules: MediaRules, dialect: Dialect) -> None:
        self._rules = rules
        self._dialect = dialect

    def of(self, request: Request) -> Opening:
        """Return what a request begins with. One that is short as a whole is told by its weight, without a look at it."""
        try:
            return self._found(request)
        except RowError:  # media that nobody can read: the row fails when it is sent
            return Opening()

    def _found(self, request: Request) -> Opening:
        output = request.body.get("max_output_tokens")
        weight = request.weight - (output if isinstance(output, int) else OUTPUT_TOKENS)
        if weight < _LIGHT:
            return Opening(size=max(weight, 0) * BYTES_PER_TOKEN)
        showing = Showing(family_of(request.model), self._rules, self._dialect)
        hashed = blake2b(digest_size=16, person=b"beginning")
        found: list[Beginning] = []
        tokens, size = 0.0, 0
        for piece, shows, loaded in _pieces(request.body, showing):
            size += len(piece) + loaded
            for start in range(0, len(piece), _STEP if shows is None else len(piece)):
                step = piece[start : start + _STEP] if shows is None else piece
                hashed.update(step)
                tokens += len(step) / BYTES_PER_TOKEN if shows is None else shows
                if tokens >= CACHED_FROM:
                    found.append(Beginning(hashed.digest(), tokens))
        return Opening(tuple(found), size)


_Piece = tuple[bytes, float | None, int]
"""What stands for a piece of a prompt, the tokens of what it shows (None: it is text), and the bytes that it holds besides."""


def _pieces(body: Mapping[str, object], showing: Showing) -> Iterator[_Piece]:
    """Yield a prompt piece by piece, in the order in which a model reads it. Parameters that no model reads are left out."""
    yield _spelled({name: body[name] for name in _BEFORE if name in body}), None, 0
    yield _spelled(body.get("instructions")), None, 0
    given = body.get("input")
    for item in given if isinstance(given, list | tuple) else (given,):
        content = item.get("content") if isinstance(item, Mapping) else None
        if not isinstance(item, Mapping) or not isinstance(content, list | tuple):
            yield _spelled(item), None, 0
            continue
        yield _spelled({name: value for name, value in item.items() if name != "content"}), None, 0
        for part in content:
            yield _part(part, showing)


def _part(part: object, showing: Showing) -> _Piece:
    """Return a part of a message. How large media are is mostly not known yet: they count as the most that they may cost."""
    spelled = _spelled(part)
    if not isinstance(part, Mapping) or part.get("type") in ("input_text", "output_text"):
        return spelled, None, 0
    held = contents_of({"input": [part]})
    tokens = sum(showing.span(shown, shown.detail).high for shown in held.shown)
    loaded = sum(len(shown.media.data or b"") for shown in held.shown if shown.media is not None)
    return spelled, tokens + sum(map(len, held.texts)) / BYTES_PER_TOKEN, loaded


def _spelled(value: object) -> bytes:
    """Return one spelling of a value, media by their identity; what JSON cannot carry fails its row when it is sent."""
    return orjson.dumps(value, default=_identity, option=_PLAIN)


def _identity(value: object) -> str:
    return value.identity if isinstance(value, Media) else repr(value)
