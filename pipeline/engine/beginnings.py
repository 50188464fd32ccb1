"""What requests begin with: the beginnings that a provider can take from its prompt cache the next time, each as a digest. Pure.

A provider caches what it has read of a prompt from its first token on, and a later prompt hits as far as it begins alike: tools and schema
come first, then the instructions, then the input (OpenAI, guide "Prompt caching", read 2026-11). Less than 1,024 tokens aren't cached.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from hashlib import blake2b
from typing import TYPE_CHECKING, NamedTuple

import orjson

from pipeline.cost.contents import Shown, contents_of
from pipeline.cost.families import family_of
from pipeline.cost.showing import Showing
from pipeline.cost.tokens import BYTES_PER_TOKEN, OUTPUT_TOKENS
from pipeline.errors import RowError
from pipeline.media.extent import UNKNOWN
from pipeline.records import Media

if TYPE_CHECKING:
    from pipeline.records import MediaKind, Request
    from pipeline.spec.rules import MediaRules
    from pipeline.wire.dialect import Dialect

CACHED_FROM = 1024
"""Tokens that requests must have in common at their beginning before providers cache them."""

REMEMBERED = 10_000
"""Beginnings that are kept in mind: a row that comes back to one of them belongs to the others."""
_STEP = 1024  # bytes of a text after which a beginning may end: finer than the end of a part, and cheap
_LIGHT = CACHED_FROM // 2  # tokens by the rule of thumb, which may be half of the truth, for pictures above all
# Of a body: what a model reads before what is said, and what else decides whose cache it finds.
_BEFORE = ("model", "tools", "text", "reasoning", "prompt", "conversation", "previous_response_id")
_PLAIN = orjson.OPT_NON_STR_KEYS | orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_SORT_KEYS


_Most = Callable[[Shown], float]


class Beginning(NamedTuple):
    """The first so many ``tokens`` of a prompt, about; the same digest means the same beginning."""

    digest: bytes
    tokens: float


class Opening(NamedTuple):
    """The ``beginnings`` of a request that are long enough for a cache, the shortest first. ``size`` is about the bytes it takes here."""

    beginnings: tuple[Beginning, ...] = ()
    size: int = 0


_SHORT = Opening(size=_LIGHT * BYTES_PER_TOKEN)


_KNOWN = 64  # costs that are remembered: a raw input may name any detail, and a row any model


class Openings:
    """Finds the beginnings of one job's requests."""

    def __init__(self, rules: MediaRules, dialect: Dialect) -> None:
        self._rules = rules
        self._dialect = dialect
        self._unmeasured: dict[tuple[str, MediaKind, str | None, bool], float] = {}  # what such media may cost

    def of(self, request: Request) -> Opening:
        """Return what a request begins with. One that is short as a whole is told by its weight, without a look at it."""
        output = request.body.get("max_output_tokens")
        if request.weight - (output if isinstance(output, int) else OUTPUT_TOKENS) < _LIGHT:
            return _SHORT
        showing = Showing(family_of(request.model), self._rules, self._dialect)
        try:
            return _opening(_pieces(request.body, partial(self._most, showing)))
        except RowError:  # media that nobody can read: the row fails when it is sent
            return Opening()

    def _most(self, showing: Showing, shown: Shown) -> float:
        """Return the most tokens that a medium may cost. Those of unknown extent, which are nearly all, cost alike."""
        if shown.extent is not UNKNOWN:
            return showing.span(shown, shown.detail).high
        key = (showing.family.name, shown.kind, shown.detail, showing.inline(shown))
        if (most := self._unmeasured.get(key)) is None:
            most = showing.span(shown, shown.detail).high
            if len(self._unmeasured) < _KNOWN:
                self._unmeasured[key] = most
        return most


class Piece(NamedTuple):
    """What stands for a piece of a prompt: the tokens of what it shows (None: it is text), and the bytes that it holds besides."""

    spelled: bytes
    tokens: float | None = None
    loaded: int = 0

    def steps(self) -> Iterator[tuple[bytes, float]]:
        """Yield the steps after each of which a beginning may end, with their tokens: a text has many, a picture is one."""
        if self.tokens is not None:
            yield self.spelled, self.tokens
            return
        for start in range(0, len(self.spelled), _STEP):
            step = self.spelled[start : start + _STEP]
            yield step, len(step) / BYTES_PER_TOKEN


def _opening(pieces: Iterator[Piece]) -> Opening:
    hashed = blake2b(digest_size=16, person=b"beginning")
    found: list[Beginning] = []
    total, size = 0.0, 0
    for piece in pieces:
        size += len(piece.spelled) + piece.loaded
        for step, tokens in piece.steps():
            hashed.update(step)
            total += tokens
            if total >= CACHED_FROM:
                found.append(Beginning(hashed.digest(), total))
    return Opening(tuple(found), size)


def _pieces(body: Mapping[str, object], most: _Most) -> Iterator[Piece]:
    """Yield a prompt piece by piece, in the order in which a model reads it. Parameters that no model reads are left out."""
    yield Piece(_spelled({name: body[name] for name in _BEFORE if name in body}))
    yield Piece(_spelled(body.get("instructions")))
    given = body.get("input")
    for item in given if isinstance(given, list | tuple) else (given,):
        content = item.get("content") if isinstance(item, Mapping) else None
        if not isinstance(item, Mapping) or not isinstance(content, list | tuple):
            yield Piece(_spelled(item))
            continue
        yield Piece(_spelled({name: value for name, value in item.items() if name != "content"}))
        for part in content:
            yield _part(part, most)


def _part(part: object, most: _Most) -> Piece:
    """Return a part of a message. How large media are is mostly not known yet: they count as the most that they may cost."""
    spelled = _spelled(part)
    if not isinstance(part, Mapping) or part.get("type") in ("input_text", "output_text"):
        return Piece(spelled)
    held = contents_of({"input": [part]})
    shown = sum(map(most, held.shown))
    loaded = sum(len(each.media.data or b"") for each in held.shown if each.media is not None)
    return Piece(spelled, shown + sum(map(len, held.texts)) / BYTES_PER_TOKEN, loaded)


def _spelled(value: object) -> bytes:
    """Return one spelling of a value, media by their identity; what JSON cannot carry fails its row when it is sent."""
    return orjson.dumps(value, default=_identity, option=_PLAIN)


def _identity(value: object) -> str:
    return value.identity if isinstance(value, Media) else repr(value)
