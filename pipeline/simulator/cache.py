"""Which long beginnings of prompts were read before, for the prices of cached input.

As OpenAI's guide "Prompt caching" has it: what counts is all that a model reads, in its order (tools and schema, instructions, input), up
to the first difference; 1,024 tokens at least, in steps of 128. A beginning is there once a request with it was answered: those that are
under way together all miss it. Here all requests meet in one cache, which forgets what was not asked for longest: by number, not by time.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from pipeline.simulator import tokens

__all__ = ["PrefixCache", "Step", "steps_of"]

STEP_CHARS = 512
SHORTEST = 1024
KEPT = 50_000


class Step(NamedTuple):
    """A beginning of a prompt, and how many tokens it has."""

    key: bytes
    tokens: int


def steps_of(body: Mapping[str, Any], items: Sequence[Mapping[str, Any]], media: Mapping[str, int]) -> tuple[Step, ...]:
    """The beginnings of a prompt, the shortest first: ``items`` are its input, ``media`` the tokens of what they show, by its source."""
    hashed = hashlib.sha256()
    found = []
    count = 0
    for text, weight in _pieces(body, items, media):
        for start in range(0, len(text), STEP_CHARS if weight is None else len(text)):
            step = text[start : start + STEP_CHARS] if weight is None else text
            hashed.update(step.encode("utf-8", "surrogatepass"))
            count += tokens.count_text(step) if weight is None else weight
            found.append(Step(hashed.digest(), count))
    return tuple(found)


def _pieces(
    body: Mapping[str, Any], items: Sequence[Mapping[str, Any]], media: Mapping[str, int]
) -> Iterator[tuple[str, int | None]]:
    """Texts, and sources of media with their tokens. The model stands first: none reads another's cache."""
    yield f"{body.get('model')}\x1e", 0
    settings = {name: body[name] for name in ("tools", "text") if body.get(name)}
    yield orjson.dumps(settings, option=orjson.OPT_SORT_KEYS).decode() if settings else "\x1e", None
    yield f"{body.get('instructions') or ''}\x1e", None
    for item in items:
        content = item.get("content")
        yield f"{item.get('role') or item.get('type')}\x1e", tokens.MESSAGE
        if not isinstance(content, list):
            yield str(content if content is not None else item), None
            continue
        for part in content:
            source = next((text for text in map(str, part.values()) if text in media), None)
            yield (str(part.get("text") or part), None) if source is None else (source, media[source])
        yield "\x1e", 0


class PrefixCache:
    """Remembers the beginnings of prompts that were answered."""

    def __init__(self) -> None:
        self._seen: OrderedDict[bytes, None] = OrderedDict()

    def tokens_seen(self, steps: Sequence[Step]) -> int:
        """The tokens of the longest beginning that was answered before."""
        longest = 0
        for step in steps:
            if step.key not in self._seen:
                break
            longest = step.tokens
        return longest // 128 * 128 if longest >= SHORTEST else 0

    def remember(self, steps: Sequence[Step]) -> None:
        """From now on these are there."""
        for step in steps:
            self._seen[step.key] = None
            self._seen.move_to_end(step.key)
        while len(self._seen) > KEPT:
            self._seen.popitem(last=False)
