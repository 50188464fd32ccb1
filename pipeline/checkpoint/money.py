"""What the attempts of a journal have cost: worked out when it is read, for a journal keeps facts and no prices."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from pipeline.checkpoint import schema
from pipeline.cost.prices import Unpriced
from pipeline.cost.untold import untold
from pipeline.records import Usage

if TYPE_CHECKING:
    import sqlite3

    from pipeline.cost.prices import Book, Rates

_STRAY = "some totals hold tokens that are neither input nor output: these have no price"


class Facts(NamedTuple):
    """What an attempt's cost depends on: the columns of ``schema.FACTS``."""

    state: str
    error_kind: str | None
    asked_model: str
    asked_tier: str | None
    model: str | None
    service_tier: str | None
    input_tokens: int | None
    cached_tokens: int | None
    output_tokens: int | None
    total_tokens: int | None
    cache_write_tokens: int | None
    searches: int | None
    sent_at: float

    @property
    def silent(self) -> bool:
        """Whether the provider said nothing of the tokens."""
        return self.input_tokens is None and self.output_tokens is None and self.total_tokens is None


class Pricer:
    """Prices attempts by their ``Facts``, which SQL hands over one by one, and remembers what its prices lacked.

    A journal has a million of them, so the way to a price is short.
    """

    def __init__(self, find: Callable[[], Book]) -> None:
        self._find = find
        self._book: Book | None = None
        self.gaps: dict[str, None] = {}

    @property
    def prices(self) -> tuple[str, ...]:
        """Where the prices that were used are from, one text for each model."""
        return self._book.origins() if self._book is not None else ()

    def cost(self, *values: Any) -> int | None:
        """Return what an attempt cost, in picodollars; None where that is not known. What was turned away or never left is free."""
        facts = Facts(*values)
        if facts.silent:
            return 0 if untold(facts.state, facts.error_kind) is None else None
        rates = self._rates(facts)
        if isinstance(rates, Unpriced):
            self.gaps[rates.reason] = None
            return None
        cached, written, searches = facts.cached_tokens, facts.cache_write_tokens, facts.searches
        picos = rates.picos(facts.input_tokens, cached, facts.output_tokens, written, searches)
        unsure = cached is None or (written is None and rates.cache_write != rates.input)
        if (picos is None or unsure or searches or rates.doubt) and (gap := _lack(rates, _plain(facts))) is not None:
            self.gaps[gap] = None
        if picos is not None and (facts.total_tokens or 0) > (facts.input_tokens or 0) + (facts.output_tokens or 0):
            self.gaps[_STRAY] = None
        return picos

    def saved(self, *values: Any) -> int | None:
        """Return how much more an attempt would have cost, had all its input been new; None where that is not known.

        What is written into the cache may cost more than new input: then the first request of many saves less than nothing.
        """
        facts = Facts(*values)
        if isinstance(rates := self._rates(facts), Unpriced):
            return None
        taken, given, searches = facts.input_tokens, facts.output_tokens, facts.searches
        picos = rates.picos(taken, facts.cached_tokens, given, facts.cache_write_tokens, searches)
        new = rates.picos(taken, 0, given, 0, searches)
        return None if picos is None or new is None else new - picos

    def note(self, *values: Any) -> str | None:
        """Return why an attempt's cost is not known, or what it leaves out."""
        facts = Facts(*values)
        if facts.silent:
            return untold(facts.state, facts.error_kind)
        rates = self._rates(facts)
        return rates.reason if isinstance(rates, Unpriced) else _lack(rates, facts)

    def served(
        self, asked_model: str, asked_tier: str | None, model: str | None, tier: str | None, sent_at: float
    ) -> Rates | Unpriced:
        """Return the rates that hold for an attempt, as ``Book.served`` does. The prices are looked for at the first one."""
        if self._book is None:
            self._book = self._find()
        return self._book.served(asked_model, asked_tier, model, tier, sent_at)

    def _rates(self, facts: Facts) -> Rates | Unpriced:
        return self.served(facts.asked_model, facts.asked_tier, facts.model, facts.service_tier, facts.sent_at)


def install(connection: sqlite3.Connection, find: Callable[[], Book]) -> Pricer:
    """Teach a connection ``cost``, ``saved`` and ``cost_note``. The prices are looked for when there is something to price."""
    pricer = Pricer(find)
    connection.create_function("cost", len(schema.FACTS), pricer.cost, deterministic=True)
    connection.create_function("saved", len(schema.FACTS), pricer.saved, deterministic=True)
    connection.create_function("cost_note", len(schema.FACTS), pricer.note, deterministic=True)
    return pricer


def _lack(rates: Rates, facts: Facts) -> str | None:
    usage = Usage(
        facts.input_tokens,
        facts.cached_tokens,
        facts.output_tokens,
        total_tokens=facts.total_tokens,
        cache_write_tokens=facts.cache_write_tokens,
    )
    return rates.lacks(usage, facts.searches)


def _plain(facts: Facts) -> Facts:
    """Return the facts without their total, which differs from attempt to attempt: what all lack is remembered once."""
    return facts._replace(total_tokens=None)
