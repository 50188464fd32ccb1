"""What the attempts of a journal used, and what could be held for them: everything that the price of each depends on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from pipeline.checkpoint.rundir import journal_path
from pipeline.checkpoint.schema import BILLED, USAGE
from pipeline.checkpoint.store import opened
from pipeline.cost.prices import Charge
from pipeline.cost.untold import is_free
from pipeline.records import Bound, Usage

if TYPE_CHECKING:
    from pathlib import Path

_PAST = f"""
SELECT a.state, a.error_kind, a.held_input, a.held_output, CASE WHEN a.state = 'sent' AND a.response_id IS NOT NULL THEN q.fingerprint END,
  a.searches, a.sent_at, a.asked_model, a.asked_tier, a.model, a.service_tier, {", ".join(f"a.{name}" for name in USAGE[:-1])}
FROM attempts AS a JOIN requests AS q ON q.id = a.request WHERE a.state <> 'never' AND {BILLED.format(attempt="a")}
"""  # noqa: S608 - our own names


class Past(NamedTuple):
    """One attempt that left, ``free`` where it has surely cost nothing. ``bound`` is None where nothing was held for it by itself.
    ``awaited`` is the fingerprint of its request while the provider works on it, so that its answer will be fetched.
    """

    charge: Charge
    free: bool
    bound: Bound | None
    awaited: bytes | None


def past(run_dir: Path) -> Iterator[Past]:
    """Yield every attempt that left, of all runs but rehearsals, whatever became of it. Raises ``RunDirectoryError``."""
    with opened(journal_path(run_dir), read_only=True) as connection:
        yield from past_by(connection.execute)


def past_by(select: Callable[[str], Iterable[Sequence[Any]]]) -> Iterator[Past]:
    """Do what ``past`` does with what a journal that is open already selects, such as ``Reader.lines``."""
    for line in select(_PAST):
        yield _past(*line)


def _past(
    state: str,
    error_kind: str | None,
    held_input: int | None,
    held_output: int | None,
    awaited: bytes | None,
    searches: int | None,
    sent_at: float,
    *facts: Any,
) -> Past:
    model, tier, served, served_tier, *used = facts
    usage = Usage(*used)
    bound = None if held_input is None or held_output is None else Bound(held_input, held_output)
    charge = Charge(model, tier, served, served_tier, usage, searches, sent_at)
    return Past(charge, is_free(state, error_kind, usage), bound, awaited)
