"""How many tokens go in with a request, by kind and before it is sent: as a band for estimates, and at worst for budgets.

A band says what is not known: another vendor's vocabulary, the size of a picture that is a URL, how a provider writes tools and schemas
into the prompt. The worst case holds against all of it, or there is none.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING

from pipeline.cost.contents import contents_of, rest_of
from pipeline.cost.families import family_of
from pipeline.cost.interval import ZERO, Interval
from pipeline.cost.showing import MEND, Showing
from pipeline.cost.tokens import count_tokens, vocabulary_of
from pipeline.errors import PromptError
from pipeline.media.extent import extent_of
from pipeline.records import Bound, Media

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pipeline.cost.contents import Contents, Shown
    from pipeline.cost.media_tokens import Family
    from pipeline.cost.tokens import Vocabulary
    from pipeline.records import MediaKind, Request
    from pipeline.spec.rules import MediaRules
    from pipeline.wire.dialect import Dialect

_NOTHING: Mapping[str, object] = MappingProxyType({})
_LARGEST = 256 * 1024 * 1024  # bytes of a file that is looked at; no vendor takes a larger one inline

# What frames a message and begins the answer: OpenAI, cookbook "How to count tokens with tiktoken" (read 2026-11). Newer models
# add a little.
_MESSAGE = Interval(3, 4, 5)
_FRAME = Interval(0, 3, 8)
_FRAME_MOST = 64  # tokens: at worst
# How providers write tools and schemas into the prompt is not published: their JSON is counted, within these factors, and some words.
_TOOL, _TOOL_FACTORS, _TOOLS = 0.8, (0.5, 1.8), Interval(0, 12, 200)
_SCHEMA_FACTORS, _SCHEMA = (0.5, 1.5), Interval(0, 10, 100)
_HOSTED = Interval(0, 4_000, 30_000)  # tokens: nothing is searched for, one search, several with long pages
_MEDIA_MOST = 1.15  # vendors change their figures before their pages
_JSON_MOST = 2  # tokens for a byte of JSON at most: each may be written anew with as much around it

_NOTES: Mapping[str, str] = {
    "tools": "how the provider writes tools into the prompt is not published: about the tokens of their JSON",
    "schema": "how the provider writes the schema into the prompt is not published: about the tokens of its JSON",
    "hosted": "what tools of the provider's put into the prompt is only known afterwards",
    "image": "pictures of unknown size are counted from a thumbnail to the most that the model takes",
    "video": "videos of unknown length are counted from five seconds to the longest that is taken",
    "file": "files whose length is unknown are counted from a letter to a book",
    "detail": "the provider's page does not list `detail`, so it may be ignored",
}


@dataclass(frozen=True, slots=True)
class Weight:
    """The input tokens of one request by kind, and ``notes``: what makes the bands as wide as they are."""

    text: Interval = ZERO
    image: Interval = ZERO
    video: Interval = ZERO
    file: Interval = ZERO
    tools: Interval = ZERO
    schema: Interval = ZERO
    notes: frozenset[str] = frozenset()

    @property
    def total(self) -> Interval:
        """All of it."""
        return sum((self.text, self.image, self.video, self.file, self.tools, self.schema), ZERO)


class Scales:
    """Weighs many requests of one job. What they share (instructions, tools, schema) is counted once for all of them.

    ``extra_body`` is what the job sends along verbatim, which wins over the request's own. Not for several threads at once.
    """

    def __init__(self, rules: MediaRules, dialect: Dialect, extra_body: Mapping[str, object] = _NOTHING) -> None:
        self._rules = rules
        self._dialect = dialect
        self._extra_body = extra_body
        self._shared: dict[str, int] = {}

    def weigh(
        self, requests: Sequence[Request], *, model: str | None = None, detail: str | None = None
    ) -> list[Weight]:
        """Return the weight of each request; ``model`` and ``detail`` take the place of its own, to compare. Blocking.

        Media whose ``extent`` is not set are of unknown size.
        """
        return self.compare(requests, [(model, detail)])[0]

    def compare(
        self, requests: Sequence[Request], variants: Sequence[tuple[str | None, str | None]]
    ) -> list[list[Weight]]:
        """Return what ``weigh`` returns, for each model and detail that take the place of the requests' own; texts are counted once."""
        held = [contents_of({**request.body, **self._extra_body}) for request in requests]
        self._count_shared(held)
        own = iter(count_tokens([text for each in held for text in each.texts]))
        texts = [sum(next(own) for _ in each.texts) for each in held]
        return [
            [
                self._weight(each, text, model or request.model, detail)
                for request, each, text in zip(requests, held, texts, strict=True)
            ]
            for model, detail in variants
        ]

    def _count_shared(self, held: Iterable[Contents]) -> None:
        texts = {text for each in held for text in (each.instructions, each.schema, *each.tools)}
        if len(self._shared) > _KEPT:
            self._shared.clear()  # they differ by row: nothing is shared
        new = [text for text in texts if text not in self._shared]
        self._shared.update(zip(new, count_tokens(new), strict=True))

    def _weight(self, held: Contents, own: int, model: str, detail: str | None) -> Weight:
        vocabulary, family = vocabulary_of(model), family_of(model)
        said = Interval.exactly(own + self._shared[held.instructions])
        if vocabulary.note is not None:
            said = said.within(vocabulary.low, vocabulary.high).at_most(_bytes([held.instructions, *held.texts]))
        media = _media(held, Showing(family, self._rules, self._dialect), detail)
        return Weight(
            text=said + _MESSAGE.times(held.messages) + _FRAME,
            image=media["image"],
            video=media["video"],
            file=media["file"],
            tools=_tools(sum(self._shared[tool] for tool in held.tools), len(held.hosted)),
            schema=_schema(self._shared[held.schema]),
            notes=_notes(held, vocabulary, family, self._dialect, detail),
        )


_KEPT = 4_096  # texts that requests may share: some instructions, tools and schemas


def _bytes(texts: Iterable[str]) -> int:
    return sum(len(text.encode("utf-8", "replace")) for text in texts)


@lru_cache(maxsize=1024)
def _tools(tokens: int, hosted: int) -> Interval:
    """Return what the definitions of tools cost, by the tokens of their JSON, and what so many tools of the provider's find."""
    if not tokens:
        return ZERO
    return Interval.exactly(tokens * _TOOL).within(*_TOOL_FACTORS) + _TOOLS + _HOSTED.times(hosted)


@lru_cache(maxsize=1024)
def _schema(tokens: int) -> Interval:
    """Return what a schema costs, by the tokens of its JSON."""
    return Interval.exactly(tokens).within(*_SCHEMA_FACTORS) + _SCHEMA if tokens else ZERO


def _media(held: Contents, showing: Showing, detail: str | None) -> dict[MediaKind, Interval]:
    spans: dict[MediaKind, Interval] = {"image": ZERO, "video": ZERO, "file": ZERO}
    for shown in held.shown:
        spans[shown.kind] += showing.span(shown, detail or shown.detail)
    return spans


def _notes(
    held: Contents, vocabulary: Vocabulary, family: Family, dialect: Dialect, detail: str | None
) -> frozenset[str]:
    """Return what makes the bands of a weight as wide as they are."""
    usual = _usual_notes(vocabulary.note, bool(held.tools), bool(held.schema), bool(held.hosted))
    if not (held.shown or held.elsewhere):
        return usual
    return usual.union(_notes_on_media(held, family, dialect, detail))


@lru_cache(maxsize=64)
def _usual_notes(vocabulary: str | None, *brings: bool) -> frozenset[str]:
    """Return what is to be said of a text, and of tools, a schema and tools of the provider's where a request ``brings`` them."""
    notes = [_NOTES[name] for name, is_there in zip(("tools", "schema", "hosted"), brings, strict=True) if is_there]
    return frozenset(notes if vocabulary is None else [vocabulary, *notes])


def _notes_on_media(held: Contents, family: Family, dialect: Dialect, detail: str | None) -> Iterator[str]:
    yield from (f"not counted: {what}" for what in held.elsewhere)
    for shown in held.shown:
        if not _measured(shown):
            yield _NOTES[shown.kind]
        if (said := family.note_on(shown.kind)) is not None:
            yield said
        if shown.kind == "image" and (detail or shown.detail) is not None and not dialect.image_detail:
            yield _NOTES["detail"]


def _measured(shown: Shown) -> bool:
    """Tell whether it is known of media by what they are counted."""
    extent = shown.extent
    by: Mapping[MediaKind, object] = {
        "image": extent.width,
        "video": extent.seconds,
        "file": extent.pages if extent.text_bytes is None else extent.text_bytes,
    }
    return by[shown.kind] is not None


def bound_of(body: Mapping[str, object], model: str, rules: MediaRules, dialect: Dialect, *, output_cap: int) -> Bound:
    """Return the most tokens that an attempt with this body can cost: no token of text is shorter than a byte.

    ``body`` is in OpenAI's names and includes what the job sends along verbatim. Media count at the most that any reading of their
    family's rules allows, and a little more. Raises ``PromptError`` where nothing limits the input: context or files that lie at the
    provider, its own tools, media of unknown size without a cap.
    """
    held = contents_of(body)
    if held.elsewhere:
        raise PromptError(f"the request takes in {held.elsewhere[0]}, whose tokens nobody here can count", hint=MEND)
    if held.hosted:
        raise PromptError(f"the tool {held.hosted[0]} puts into the prompt what it finds, without a limit", hint=MEND)
    showing = Showing(family_of(model), rules, dialect)
    text = _bytes([held.instructions, *held.texts, rest_of(body)]) + _MESSAGE.times(held.messages).high + _FRAME_MOST
    tools = _bytes(held.tools) * _JSON_MOST + _TOOLS.high if held.tools else 0
    schema = _bytes([held.schema]) * _JSON_MOST + _SCHEMA.high if held.schema else 0
    media = sum(showing.most(shown, shown.detail) for shown in held.shown) * _MEDIA_MOST
    return Bound(math.ceil(text + tools + schema + media), output_cap)


def with_extents(request: Request, limit: int = _LARGEST) -> Request:
    """Return a request whose media are measured by their headers, of up to ``limit`` bytes. Blocking.

    Raises ``MediaError`` for a file that cannot be read.
    """
    if request.content is not None and not request.shown:
        return request
    body = {name: _with_extents(value, limit) for name, value in request.body.items()}
    return replace(request, body=body)


def _with_extents(value: object, limit: int) -> object:
    if isinstance(value, Media):
        return value if value.extent is not None else replace(value, extent=extent_of(value, limit))
    if isinstance(value, list | tuple):
        return [_with_extents(item, limit) for item in value]
    if isinstance(value, Mapping):
        return {name: _with_extents(item, limit) for name, item in value.items()}
    return value
