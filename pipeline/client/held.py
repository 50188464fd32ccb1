"""What attempts cost: a layer that holds the worst case of each before it may leave, and puts its price in that place when it has ended.

It stands between ``watched`` and ``throttled``. So each attempt is held by itself, a repeated one anew, and money comes first: who waits
for it has neither a start, nor a permit, nor room for its pictures, so that nobody else waits because of it, the throttle learns from the
true time that answers take, and no line of requests falls upon the server when money comes back. Money, permit, room and gate are taken
in this order by all, and who has money waits for nobody who lacks it, so nothing can lock up. The layer lies outside of the gate: a
request that gets its money after a stop goes no further.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import anyio

from pipeline.client.attempt import on_its_way
from pipeline.cost.budget import reached, used
from pipeline.cost.rates import Unpriced, dollars
from pipeline.cost.tiers import tier_of
from pipeline.cost.untold import STATES, is_free
from pipeline.cost.worst import today
from pipeline.errors import AttemptError, BudgetReached, RowError, Sent, Unfetched
from pipeline.events import Notice, Spent
from pipeline.records import Amount, Usage

if TYPE_CHECKING:
    from pipeline.cost.budget import Budget
    from pipeline.cost.prices import Book
    from pipeline.cost.worst import Worst
    from pipeline.records import Post, Purse, Reply, Request


@dataclass(frozen=True, slots=True)
class Cost:
    """What an ended attempt has cost, in picodollars and in tokens; None is what nobody knows. ``left`` says whether it was sent."""

    picos: int | None
    tokens: int | None
    left: bool = True


UNKNOWN = Cost(None, None)
FREE = Cost(0, 0)
NOTHING = Cost(0, 0, left=False)


class Keeper:
    """Holds what attempts could cost of a budget, and settles what they did.

    ``kept`` says, by fingerprint, what earlier runs hold for attempts that the provider still works on, None where they could hold nothing:
    these are only fetched, and not held twice. ``exceeded`` is told once if a provider bills more than a worst case and breaks a cap.
    """

    def __init__(
        self,
        budget: Budget,
        worst: Worst,
        kept: dict[bytes, Amount | None],
        *,
        announce: Callable[[Notice], None],
        exceeded: Callable[[BudgetReached], None],
    ) -> None:
        self._budget = budget
        self._worst = worst
        self._kept = kept
        self._announce = announce
        self._exceeded = exceeded
        self._told = False

    @property
    def purse(self) -> Purse:
        """Where the budget stands."""
        return self._budget.purse

    async def hold(self, request: Request) -> tuple[Request, Amount]:
        """Wait until the worst case is held; return it, and the request with its bound.

        Raises ``Unbounded`` for a request that nobody can bound, and ``BudgetReached``.
        """
        if request.fingerprint in self._kept:
            return request, self._taken_over(request, self._kept.pop(request.fingerprint))
        bound, worst = self._worst.of(request, today())
        since = anyio.current_time()
        await self._budget.hold(worst, request.row)
        return on_its_way(request, bound=bound, waited_s=anyio.current_time() - since), worst

    def _taken_over(self, request: Request, kept: Amount | None) -> Amount:
        worst = self._worst.of(request, today())[1] if kept is None else kept
        self._budget.take_over(worst, kept or Amount())
        return worst

    def settle(self, request: Request, worst: Amount, cost: Cost) -> None:
        """Put what an attempt has cost in the place of its worst case, where it is known."""
        self._budget.settle(worst, cost.picos, cost.tokens)
        purse = self._budget.purse
        over = (purse.picos is not None and (cost.picos or 0) > worst.picos) or (
            purse.tokens is not None and (cost.tokens or 0) > worst.tokens
        )
        if over and not self._told:
            self._told = True
            self._announce(Notice(_beyond(request, worst, cost)))
        if over and self._budget.exceeded:
            self._exceeded(reached(purse, Amount(), request.row))


def _beyond(request: Request, worst: Amount, cost: Cost) -> str:
    return (
        f"the provider billed row {request.row} beyond its worst case: {cost.tokens} tokens, {dollars(cost.picos)}, where "
        f"{worst.tokens} tokens, {dollars(worst.picos)}, were held; the real figures count"
    )


def held(post: Post, book: Book, keeper: Keeper | None, announce: Callable[[Spent], None]) -> Post:
    """Return a layer that announces what each attempt has cost, and with a keeper lets it pass only once its worst case is held.

    What was never sent costs nothing. Where the end or the usage is not known, and where a run is cut off, the worst case stays held.
    Raises ``Unbounded`` and ``BudgetReached``.
    """

    nothing = Amount()

    async def ask(request: Request) -> Reply:
        worst = nothing
        if keeper is not None:
            request, worst = await keeper.hold(request)
        cost, sent_at = UNKNOWN, time.time()
        try:
            reply = await post(request)
        except RowError as error:
            cost = _of_error(error, request, book, sent_at)
            raise
        else:
            cost = _of_reply(reply, request, book, sent_at)
            return reply
        finally:
            if keeper is not None:
                keeper.settle(request, worst, cost)
            if cost.left:
                announce(Spent(cost.picos, keeper.purse if keeper is not None else None))

    return ask


def _of_error(error: RowError, request: Request, book: Book, sent_at: float) -> Cost:
    if isinstance(error, Unfetched):
        return UNKNOWN  # the provider has it: a later run fetches its answer, and then learns what it cost
    if not isinstance(error, AttemptError) or error.sent is Sent.NEVER:
        return NOTHING
    if is_free(STATES[error.sent], error.kind, error.reply.usage if error.reply is not None else Usage()):
        return FREE
    return UNKNOWN if error.reply is None else _of_reply(error.reply, request, book, sent_at)


def _of_reply(reply: Reply, request: Request, book: Book, sent_at: float) -> Cost:
    tier = book.tier or tier_of(request.body)
    rates = book.served(request.model, tier, reply.model, reply.service_tier, sent_at)
    picos = None if isinstance(rates, Unpriced) else rates.cost(reply.usage, reply.searches)
    return Cost(picos, used(reply.usage))
