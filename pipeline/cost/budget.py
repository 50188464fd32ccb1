"""A budget: what may still be spent, held attempt by attempt before anything leaves.

``spent + held`` never exceeds a cap. ``held`` is the worst case of every attempt that has no known end yet, so whatever these turn out to
cost, the cap holds; only a provider that bills more than the worst case can break it, and then the real figure is counted.
"""

from __future__ import annotations

from decimal import ROUND_CEILING, Context, Decimal
from typing import TYPE_CHECKING

import anyio

from pipeline.cost.rates import PICOS, dollars
from pipeline.errors import BudgetReached
from pipeline.records import Amount, Purse

if TYPE_CHECKING:
    from pipeline.records import Usage


class Budget:
    """What is spent and what is held of the caps, which are in picodollars and tokens, and None where there is none.

    What has no cap is not counted.
    """

    def __init__(
        self, picos: int | None, tokens: int | None, *, spent: Amount | None = None, kept: Amount | None = None
    ) -> None:
        """Go on with what earlier runs have ``spent``, and with what stays ``kept`` for attempts of theirs without a known end."""
        self._picos, self._tokens = picos, tokens
        self._spent, self._held = spent or Amount(), kept or Amount()
        self._on_their_way = 0  # holds that may still give something back
        self._line = anyio.Lock()  # first come, first served
        self._news = anyio.Event()
        self._reached = False

    @property
    def purse(self) -> Purse:
        """Where the budget stands."""
        return Purse(self._picos, self._tokens, self._spent, self._held)

    @property
    def exceeded(self) -> bool:
        """Whether a provider has billed so much more than the worst case that a cap is broken."""
        return not self._fits(Amount())

    async def hold(self, worst: Amount, row: int) -> None:
        """Hold the worst case of an attempt, of a row, until it is settled.

        Waits while attempts on their way may give something back. Raises ``BudgetReached`` when it does not fit and none can, and from then
        on always. Who is cancelled while waiting holds nothing.
        """
        async with self._line:
            while self._reached or not self._fits(worst):
                if self._reached or not self._on_their_way:
                    self._reached = True
                    raise reached(self.purse, worst, row)
                self._news = anyio.Event()
                await self._news.wait()
            self._held += self._counted(worst.picos, worst.tokens)
            self._on_their_way += 1

    def take_over(self, worst: Amount, kept: Amount) -> None:
        """Let an attempt of an earlier run be on its way again: its ``worst`` case is held in the place of what was ``kept`` for it.

        It is held whether it fits or not: the attempt has left long ago.
        """
        self._held += self._counted(worst.picos - kept.picos, worst.tokens - kept.tokens)
        self._on_their_way += 1

    def settle(self, worst: Amount, picos: int | None, tokens: int | None) -> None:
        """Put what an attempt has cost, 0 if it was never sent, in the place of its worst case; where that is None, this stays held."""
        self._held -= self._counted(0 if picos is None else worst.picos, 0 if tokens is None else worst.tokens)
        self._spent += self._counted(picos or 0, tokens or 0)
        self._on_their_way -= 1
        self._news.set()

    def _counted(self, picos: int, tokens: int) -> Amount:
        return Amount(0 if self._picos is None else picos, 0 if self._tokens is None else tokens)

    def _fits(self, worst: Amount) -> bool:
        whole = self._spent + self._held + worst
        caps = (self._picos, whole.picos), (self._tokens, whole.tokens)
        return all(cap is None or need <= cap for cap, need in caps)


def reached(purse: Purse, wanted: Amount, row: int) -> BudgetReached:
    """Return the error that says which cap leaves no room for a request of this row that could cost what is ``wanted``.

    Where nothing is wanted, the row's answer has cost so much more than its worst case that a cap is broken.
    """
    spent, held = purse.spent, purse.held
    found = []
    for cap, used_up, kept, most, shown in (
        (purse.picos, spent.picos, held.picos, wanted.picos, dollars),
        (purse.tokens, spent.tokens, held.tokens, wanted.tokens, counted),
    ):
        if cap is not None and used_up + kept + most > cap:
            # Where a request does not fit, nothing is on its way any more; where one broke the cap, others may be.
            whose, why = (
                ("whose end or usage is not known", f"the next request (row {row}) could cost {shown(most)}")
                if most
                else ("on their way or of unknown cost", f"row {row} cost more than it could")
            )
            stays = f", {shown(kept)} held for attempts {whose}" if kept else ""
            found.append(f"{shown(used_up)} of {shown(cap)} spent{stays}, and {why}")
    return BudgetReached(f"the budget is reached: {'; '.join(found)}", wanted=wanted)


def enough(purse: Purse, wanted: Amount, paid: Amount, answers: int, left: int) -> list[str]:
    """Return the settings with which a run that reached its budget would finish, as far as that can be said: ``budget.usd=12``.

    It needs for each of the ``left`` rows what each of the ``answers`` has cost so far, for which this was ``paid``, or, without any, the
    worst case of the request that is ``wanted``, and room for that one at the end. Other answers of the journal, such as those to an
    earlier prompt, are spent, and say nothing of these.
    """
    least = purse.spent + purse.held + wanted
    found = []
    for name, cap, so_far, need, worst in (
        ("usd", purse.picos, paid.picos, least.picos, wanted.picos),
        ("tokens", purse.tokens, paid.tokens, least.tokens, wanted.tokens),
    ):
        whole = need + (left * so_far // answers if answers else max(left - 1, 0) * worst)
        if cap is not None and whole > cap:
            unit = PICOS if name == "usd" else 1
            found.append(f"budget.{name}={rounded_up(Decimal(whole) / unit)}")
    return found


def rounded_up(number: Decimal) -> str:
    """Return the next larger number of two digits that count: ``0.013`` for 0.01234, ``1300`` for 1234."""
    return f"{Context(prec=2, rounding=ROUND_CEILING).plus(number).normalize():f}"


def counted(tokens: int) -> str:
    """Return ``12,345 tokens``."""
    return f"{tokens:,} tokens"


def used(usage: Usage) -> int | None:
    """Return the tokens of an attempt, in and out; None where they were not reported. A total below its parts does not count."""
    if usage.input_tokens is None or usage.output_tokens is None:
        return usage.total_tokens
    return max(usage.total_tokens or 0, usage.input_tokens + usage.output_tokens)
