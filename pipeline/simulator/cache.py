"""Which long beginnings of prompts were seen before, for the prices of cached input."""

from __future__ import annotations

import hashlib
from collections import OrderedDict

from pipeline.simulator import tokens
from pipeline.simulator.reading import Asked

__all__ = ["PrefixCache"]

STEP_CHARS = 512
SHORTEST = 1024
KEPT = 50_000


class PrefixCache:
    """Remembers prefixes of the text in steps; only those of 1,024 tokens and more count, in multiples of 128."""

    def __init__(self) -> None:
        self._seen: OrderedDict[bytes, None] = OrderedDict()

    def tokens_seen(self, asked: Asked) -> int:
        """The tokens of the longest beginning seen before; this one is remembered from now on."""
        text = asked.text
        hashed = hashlib.sha256()
        longest = 0
        for end in range(STEP_CHARS, len(text) + 1, STEP_CHARS):
            hashed.update(text[end - STEP_CHARS : end].encode("utf-8", "surrogatepass"))
            key = hashed.digest()
            if key in self._seen and longest == end - STEP_CHARS:
                longest = end
            self._seen[key] = None
        while len(self._seen) > KEPT:
            self._seen.popitem(last=False)
        count = tokens.count_text(text[:longest])
        return count // 128 * 128 if count >= SHORTEST else 0
