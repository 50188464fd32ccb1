"""What the requests of some rows have used so far, attempt by attempt: what a pilot learns from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from pipeline.checkpoint import schema
from pipeline.checkpoint.money import install
from pipeline.checkpoint.rundir import journal_path
from pipeline.checkpoint.store import opened
from pipeline.records import Usage

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.cost.prices import Book

# The usage stands last, in the order of `Usage`.
_ATTEMPTS = f"""
SELECT cost({", ".join(f"a.{name}" for name in schema.FACTS)}), {", ".join(f"a.{name}" for name in schema.USAGE[:-1])}
FROM rows AS r JOIN requests AS q ON q.id = r.request JOIN attempts AS a ON a.request IN (q.id, q.answered_by)
WHERE r.plan = (SELECT MAX(id) FROM plans) AND r.row = ? AND r.sample = ? ORDER BY a.id
"""  # noqa: S608 - our own names

_NOTHING = Usage(0, 0, 0, 0, 0)


class Used(NamedTuple):
    """What one attempt used, and its cost in picodollars, None where that is not known.

    One that never left, or was refused without a word on tokens, used nothing; else what ``usage`` does not tell is not known.
    """

    usage: Usage
    cost: int | None

    @property
    def free(self) -> bool:
        """Whether it used nothing."""
        return self.usage == _NOTHING


def attempts_of(run_dir: Path, places: Iterable[tuple[int, int]], book: Book) -> Iterator[list[Used]]:
    """Yield for each row and sample of the newest plan the attempts of its request, and of the one that answers it, oldest first.

    They cost what the ``book`` says.
    """
    with opened(journal_path(run_dir), read_only=True) as connection:
        install(connection, lambda: book)
        for place in places:
            yield [_used(cost, Usage(*figures)) for cost, *figures in connection.execute(_ATTEMPTS, place)]


def _used(cost: int | None, usage: Usage) -> Used:
    return Used(_NOTHING if cost == 0 and usage == Usage() else usage, cost)
