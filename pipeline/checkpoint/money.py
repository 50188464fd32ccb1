"""What the attempts of a journal have cost: worked out when it is read, for a journal keeps facts and no prices."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from pipeline.checkpoint import schema
from pipeline.cost.prices import Charge
from pipeline.records import Usage

if TYPE_CHECKING:
    import sqlite3

    from pipeline.cost.prices import Book

_OPEN = {
    "sent": "an attempt has no end yet",
    "unknown": "the end of an attempt is not known; it may have been paid",
}
# Kinds of failure after which the provider may have done the work all the same. Who says plainly that a request failed bills nothing.
_MAYBE_WORKED = frozenset({"cancelled", "unrecognised", "too_large"})
_UNTOLD = "the provider did not report the tokens"


class Pricer:
    """Prices attempts by their facts, in the order of ``schema.FACTS``, and remembers every gap it has met."""

    def __init__(self, find: Callable[[], Book]) -> None:
        self._find = find
        self._book: Book | None = None
        self.gaps: dict[str, None] = {}

    @property
    def prices(self) -> tuple[str, ...]:
        """Where the prices that were used are from, one text for each model."""
        return self._book.origins() if self._book is not None else ()

    def cost(self, state: str, kind: str | None, *facts: object) -> int | None:
        """Return what an attempt cost, in picodollars; None where that is not known. What was turned away or never left is free."""
        charge = _charge(facts)
        if _is_reported(charge):
            book = self._known()
            self._meet(book.why(charge))
            return book.cost(charge)
        return 0 if _gap(state, kind) is None else None

    def note(self, state: str, kind: str | None, *facts: object) -> str | None:
        """Return why an attempt's cost is not known, or what it leaves out."""
        charge = _charge(facts)
        gap = self._known().why(charge) if _is_reported(charge) else _gap(state, kind)
        self._meet(gap)
        return gap

    def _meet(self, gap: str | None) -> None:
        if gap is not None:
            self.gaps[gap] = None

    def _known(self) -> Book:
        if self._book is None:
            self._book = self._find()
        return self._book


def install(connection: sqlite3.Connection, find: Callable[[], Book]) -> Pricer:
    """Teach a connection ``cost`` and ``cost_note``. The prices are looked for when there is something to price."""
    pricer = Pricer(find)
    connection.create_function("cost", len(schema.FACTS), pricer.cost, deterministic=True)
    connection.create_function("cost_note", len(schema.FACTS), pricer.note, deterministic=True)
    return pricer


def _charge(facts: tuple[object, ...]) -> Charge:
    asked_model, asked_tier, model, tier, taken, cached, given, written, searches, sent_at = facts
    usage = Usage(taken, cached, given, None, None, written)  # type: ignore[arg-type]  # the journal's own columns
    return Charge(asked_model, asked_tier, model, tier, usage, searches, sent_at)  # type: ignore[arg-type]


def _is_reported(charge: Charge) -> bool:
    return charge.usage.input_tokens is not None or charge.usage.output_tokens is not None


def _gap(state: str, kind: str | None) -> str | None:
    """Why an attempt without a word on its tokens has an unknown cost; None where it has none."""
    if state in ("answered", "round") or kind in _MAYBE_WORKED:
        return _UNTOLD
    return _OPEN.get(state)
