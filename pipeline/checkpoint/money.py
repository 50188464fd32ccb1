"""What the attempts of a journal have cost: worked out when it is read, for a journal keeps facts and no prices."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from pipeline.checkpoint import schema
from pipeline.cost.prices import Unpriced
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
    """Prices attempts by their facts, in the order of ``schema.FACTS``, and remembers why costs are unknown or incomplete.

    It is called for every attempt of a journal, so it takes bare numbers.
    """

    def __init__(self, find: Callable[[], Book]) -> None:
        self._find = find
        self._book: Book | None = None
        self.gaps: dict[str, None] = {}

    @property
    def prices(self) -> tuple[str, ...]:
        """Where the prices that were used are from, one text for each model."""
        return self._book.origins() if self._book is not None else ()

    def cost(  # noqa: PLR0913, PLR0917 - the facts of an attempt, as SQL hands them over
        self,
        state: str,
        kind: str | None,
        asked_model: str,
        asked_tier: str | None,
        model: str | None,
        tier: str | None,
        taken: int | None,
        cached: int | None,
        given: int | None,
        written: int | None,
        searches: int | None,
        sent_at: float,
    ) -> int | None:
        """Return what an attempt cost, in picodollars; None where that is not known. What was turned away or never left is free."""
        if taken is None and given is None:
            return 0 if self._met(_gap(state, kind)) is None else None
        rates = self._book_of_prices().served(asked_model, asked_tier, model, tier, sent_at)
        if isinstance(rates, Unpriced):
            self._met(rates.reason)
            return None
        picos = rates.picos(taken, cached, given, written, searches)
        unsure = cached is None or (written is None and rates.cache_write != rates.input)
        if picos is None or unsure or searches or rates.doubt is not None:
            self._met(rates.lacks(Usage(taken, cached, given, None, None, written), searches))
        return picos

    def note(  # noqa: PLR0913, PLR0917 - the same
        self,
        state: str,
        kind: str | None,
        asked_model: str,
        asked_tier: str | None,
        model: str | None,
        tier: str | None,
        taken: int | None,
        cached: int | None,
        given: int | None,
        written: int | None,
        searches: int | None,
        sent_at: float,
    ) -> str | None:
        """Return why an attempt's cost is not known, or what it leaves out."""
        if taken is None and given is None:
            return _gap(state, kind)
        rates = self._book_of_prices().served(asked_model, asked_tier, model, tier, sent_at)
        if isinstance(rates, Unpriced):
            return rates.reason
        return rates.lacks(Usage(taken, cached, given, None, None, written), searches)

    def _met(self, gap: str | None) -> str | None:
        if gap is not None:
            self.gaps[gap] = None
        return gap

    def _book_of_prices(self) -> Book:
        if self._book is None:
            self._book = self._find()
        return self._book


def install(connection: sqlite3.Connection, find: Callable[[], Book]) -> Pricer:
    """Teach a connection ``cost`` and ``cost_note``. The prices are looked for when there is something to price."""
    pricer = Pricer(find)
    connection.create_function("cost", len(schema.FACTS), pricer.cost, deterministic=True)
    connection.create_function("cost_note", len(schema.FACTS), pricer.note, deterministic=True)
    return pricer


def _gap(state: str, kind: str | None) -> str | None:
    """Why an attempt without a word on its tokens has an unknown cost; None where it has none."""
    if state in ("answered", "round") or kind in _MAYBE_WORKED:
        return _UNTOLD
    return _OPEN.get(state)
