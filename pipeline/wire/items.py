"""What a reply holds: text, refusal, calls, citations, searches, pictures and probabilities, out of items or of a chat choice."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from pipeline.records import Source, ToolCall
from pipeline.wire.calls import call_of_item, calls_of_message
from pipeline.wire.tolerant import mapping_at, mappings_at, number_at, text_at

Body = Mapping[str, object]


@dataclass(slots=True)
class Found:
    """What the reader of a shape found; ``state`` is in OpenAI's words, None where the shape says nothing.

    ``searches`` is None where the shape does not show searches. ``logprobs`` has None for a token whose probability cannot be read.
    """

    text: str = ""
    refusal: str | None = None
    calls: list[ToolCall] = field(default_factory=list)
    annotations: list[Body] = field(default_factory=list)
    consulted: list[Source] = field(default_factory=list)
    searches: int | None = None
    pictures: list[str] = field(default_factory=list)
    logprobs: list[float | None] = field(default_factory=list)
    phase: str | None = None
    reasoning_summary: str | None = None
    state: str | None = None
    reason: str | None = None

    @property
    def anything(self) -> bool:
        """Whether there is something to show for the call."""
        return bool(self.text.strip() or self.refusal or self.calls or self.pictures)

    @property
    def sources(self) -> tuple[Source, ...]:
        """What the text cites, in that order, then what searches have found beside it; each page and file once."""
        if not self.annotations and not self.consulted:
            return ()
        return distinct((*map(_cited, self.annotations), *self.consulted))

    @property
    def confidence(self) -> float | None:
        """The geometric mean of the tokens' probabilities; None where that of a single one is not known."""
        known = [logprob for logprob in self.logprobs if logprob is not None]
        if not known or len(known) < len(self.logprobs):
            return None
        return math.exp(sum(known) / len(known))


def found_in(answer: Body) -> Found | None:
    """Return what a body holds, or None where it has no known shape."""
    fallback = text_at(answer, "output_text")
    if isinstance(answer.get("output"), list):
        found = _from_items(answer)
    elif isinstance(answer.get("choices"), list):
        found = _from_choices(answer)
    elif fallback is not None:
        found = Found()
    else:
        return None
    found.text = found.text or fallback or ""
    return found


def distinct(sources: tuple[Source, ...]) -> tuple[Source, ...]:
    """Return sources without those that name nothing, and without those that come again, under whatever kind or title."""
    named: dict[tuple[str | None, ...], Source] = {}
    for source in sources:
        named.setdefault((source.url, source.file_id, source.filename), source)
    named.pop((None, None, None), None)
    return tuple(named.values())


def _from_items(answer: Body) -> Found:
    """Read the Responses shape: ``output`` is a list of items of many kinds, in any order and of any length."""
    found = Found()
    summaries: list[str] = []
    for item in mappings_at(answer, "output"):
        found.searches = (found.searches or 0) + _is_finished_search(item)
        kind = item.get("type", "message")
        if kind == "message":
            _add_content(found, item)
            found.phase = text_at(item, "phase")
        elif kind == "reasoning":
            summaries += (text_at(part, "text") or "" for part in mappings_at(item, "summary"))
        elif kind == "image_generation_call":
            found.pictures += filter(None, [text_at(item, "result")])
        elif call := call_of_item(item):
            found.calls.append(call)
        else:
            found.consulted += _consulted(item)
    found.reasoning_summary = "\n".join(summaries) or None
    return found


# Why a chat-style choice ended, in the words of the Responses API. Everything else counts as completed.
_FINISHED: Mapping[str, tuple[str, str]] = {
    "length": ("incomplete", "max_output_tokens"),
    "content_filter": ("incomplete", "content_filter"),
}


def _from_choices(answer: Body) -> Found:
    """Read the chat shape: the first of the ``choices``."""
    choice = next(mappings_at(answer, "choices"), {})
    message = mapping_at(choice, "message")
    found = Found(calls=list(calls_of_message(message)), phase=text_at(message, "phase"))
    _add_content(found, message)
    found.refusal = found.refusal or text_at(message, "refusal") or None
    found.annotations += mappings_at(message, "annotations")
    found.logprobs += _logprobs(mapping_at(choice, "logprobs"), "content")
    found.state, found.reason = _FINISHED.get(text_at(choice, "finish_reason") or "", (None, None))
    return found


def _add_content(found: Found, message: Body) -> None:
    """Add what a message says. Its content is a list of parts or, on some gateways, plain text."""
    found.text += text_at(message, "content") or ""
    for part in mappings_at(message, "content"):
        if part.get("type", "text") in ("output_text", "text"):
            found.text += text_at(part, "text") or ""
            found.annotations += mappings_at(part, "annotations")
            found.logprobs += _logprobs(part, "logprobs")
        elif part.get("type") == "refusal":
            found.refusal = (found.refusal or "") + (text_at(part, "refusal") or "")


# Probabilities are computed in floats, and may come out a trifle above 1. Below the other bound they are 0 in every sense.
_ROUNDING = 1e-3
_NEVER = -1e6


def _logprobs(holder: Body, name: str) -> list[float | None]:
    """Return the logarithm of each token's probability, None for one that is none."""
    tokens = holder.get(name)
    listed = tokens if isinstance(tokens, list) else []
    return [_logprob(token) if isinstance(token, Mapping) else None for token in listed]


def _logprob(token: Body) -> float | None:
    value = number_at(token, "logprob")
    if value is None or not value <= _ROUNDING:  # NaN fails the comparison
        return None
    return float(min(max(value, _NEVER), 0.0))


def _cited(annotation: Body) -> Source:
    """Read a citation; the chat shape nests its fields under its kind."""
    kind = text_at(annotation, "type") or "citation"
    return _source(kind, mapping_at(annotation, kind) or annotation)


def _source(kind: str, fields: Body) -> Source:
    url, file_id, filename = (text_at(fields, name) or None for name in ("url", "file_id", "filename"))
    return Source(kind, text_at(fields, "title") or None, url, file_id, filename)


def _consulted(item: Body) -> Iterator[Source]:
    """Yield what a search has found, where ``include`` asked for it."""
    match item.get("type"):
        case "web_search_call":
            yield from (_source("web_search", page) for page in mappings_at(mapping_at(item, "action"), "sources"))
        case "file_search_call":
            yield from (_source("file_search", passage) for passage in mappings_at(item, "results"))


def _is_finished_search(item: Body) -> bool:
    """Say whether an item is a hosted search that was carried out. To open a page, or to look into it, is none."""
    kind = item.get("type")
    if kind not in ("web_search_call", "file_search_call") or item.get("status") not in (None, "completed"):
        return False
    return kind == "file_search_call" or (text_at(mapping_at(item, "action"), "type") or "search") == "search"
