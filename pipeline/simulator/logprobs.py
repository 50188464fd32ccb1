"""How sure the model was of each token, with the tokens it might have said instead."""

from __future__ import annotations

import hashlib
import math
import random
import re
from typing import Any

__all__ = ["logprobs"]

_TOKEN = re.compile(r"\s*(?:[A-Za-z0-9]{1,6}|\S)|\s+")
_OTHERS = (" a", " the", " of", " and", ",", ".", " is", " in", " to", " that", " it", " for", " on", " with", " as",
           " at", " by", " from", " or", " an")  # fmt: skip


def logprobs(text: str, top: int) -> list[dict[str, Any]]:
    """One entry per token, which joined are the text; the `top` most likely ones begin with the token itself."""
    chances = random.Random(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest())
    return [_entry(found[0], 1 - 0.4 * chances.random() ** 2, top) for found in _TOKEN.finditer(text)]


def _entry(token: str, chance: float, top: int) -> dict[str, Any]:
    """The others share what is left, each half of the one before."""
    others = [other for other in _OTHERS if other != token]
    ranked = [(token, chance), *((other, (1 - chance) / 2 ** (rank + 1)) for rank, other in enumerate(others))]
    return {**_told(token, chance), "top_logprobs": [_told(*one) for one in ranked[:top]]}


def _told(token: str, chance: float) -> dict[str, Any]:
    logprob = math.log(chance) if chance > 0 else -9999.0  # what the reference writes for next to impossible
    return {"token": token, "bytes": list(token.encode("utf-8", "surrogatepass")), "logprob": round(logprob, 6)}
