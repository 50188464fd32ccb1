"""What the requests of a journal took from the provider's prompt cache, and what that saved."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline.checkpoint.schema import BILLED, FACTS, PART
from pipeline.events import Caching

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable

_FACTS = ", ".join(f"t.{name}" for name in FACTS)
_TOLD = f"t.input_tokens IS NOT NULL AND t.cached_tokens IS NOT NULL AND {BILLED.format(attempt='t')}"

_TAKEN = f"""
SELECT COUNT(*), SUM(t.cached_tokens > 0), SUM(t.input_tokens), SUM(t.cached_tokens) FROM attempts AS t WHERE {_TOLD}
"""  # noqa: S608 - our own names

# Only what read from the cache, or wrote into it, is priced once more. In two parts, as `schema.MONEY` is added up.
_SAVED = f"""
WITH used AS MATERIALIZED (
  SELECT saved({_FACTS}) AS saved FROM attempts AS t WHERE {_TOLD} AND (t.cached_tokens > 0 OR t.cache_write_tokens > 0))
SELECT COUNT(*), COUNT(saved), SUM(saved / {PART}), SUM(saved % {PART}) FROM used
"""  # noqa: S608 - our own names


def caching_of(lines: Callable[[str], sqlite3.Cursor]) -> Caching:
    """Return what all attempts took from the cache, where the provider told it; ``lines`` runs a query that knows the prices."""
    requests, hits, taken, cached = (count or 0 for count in lines(_TAKEN).fetchone())
    if not requests:
        return Caching()
    used, priced, parts, rest = lines(_SAVED).fetchone()
    return Caching(requests, hits, taken, cached, _sum(used, priced, parts, rest))


def _sum(used: int, priced: int, parts: Any, rest: Any) -> int | None:
    return None if used and not priced else (parts or 0) * PART + (rest or 0)
