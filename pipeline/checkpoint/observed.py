"""What the requests of some rows have used so far, attempt by attempt: what a pilot learns from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline.checkpoint import schema
from pipeline.checkpoint.rundir import journal_path
from pipeline.checkpoint.store import opened
from pipeline.records import Usage

if TYPE_CHECKING:
    from pathlib import Path

# The usage stands last, in the order of `Usage`.
_ATTEMPTS = f"""
SELECT a.state, a.sent_at, a.asked_model, a.asked_tier, a.model, a.service_tier, a.searches,
  {", ".join(f"a.{name}" for name in schema.USAGE[:-1])}
FROM rows AS r JOIN requests AS q ON q.id = r.request JOIN attempts AS a ON a.request IN (q.id, q.answered_by)
WHERE r.plan = (SELECT MAX(id) FROM plans) AND r.row = ? AND r.sample = ? ORDER BY a.id
"""  # noqa: S608 - our own names

_FREE = frozenset({"never", "refused"})


@dataclass(frozen=True, slots=True)
class Spent:
    """One attempt as its bill sees it. ``sent_at`` is in seconds since 1970.

    ``free`` says that it never left, or was refused and no tokens were reported; else what ``usage`` does not tell is not known.
    """

    asked_model: str
    asked_tier: str | None
    model: str | None
    service_tier: str | None
    usage: Usage
    searches: int | None
    sent_at: float
    free: bool


def attempts_of(run_dir: Path, places: Iterable[tuple[int, int]]) -> Iterator[list[Spent]]:
    """Yield for each row and sample of the newest plan the attempts of its request, and of the one that answers it, oldest first."""
    with opened(journal_path(run_dir), read_only=True) as connection:
        for place in places:
            yield [_spent(line) for line in connection.execute(_ATTEMPTS, place)]


def _spent(line: Sequence[Any]) -> Spent:
    state, sent_at, asked_model, asked_tier, model, service_tier, searches, *used = line
    usage = Usage(*used)
    free = state in _FREE and usage == Usage()
    return Spent(asked_model, asked_tier, model, service_tier, usage, searches, sent_at, free)
