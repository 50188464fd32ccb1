"""The most that an attempt can cost: what a budget holds for it before it leaves.

Where it cannot be bounded, the job's own word on it counts (``budget.per_request_usd``, ``budget.per_request_tokens``); without that, the
row fails alone and nothing is sent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from pipeline.cost.rates import PICOS, Rates, Unpriced
from pipeline.cost.tiers import tier_of
from pipeline.cost.weigh import bound_of
from pipeline.errors import PromptError, Unbounded
from pipeline.records import Amount, Bound, Request
from pipeline.wire.decode import decode

if TYPE_CHECKING:
    from pipeline.cost.prices import Book
    from pipeline.spec.job import Job
    from pipeline.wire.dialect import Dialect

_UNKNOWN = "nobody can say what a request costs at most, and the job has a budget"
_AUTO, _DEAREST = "auto", "priority"  # without a tier of its own a request gets what the project is set to
_CAP = "add request.max_output_tokens, the most tokens of one answer"
_PRICE = "write it under prices, with what a million tokens cost: {input: …, output: …}; or set budget.per_request_usd"


def picos_of(usd: float | None) -> int | None:
    """Return dollars as a spec has them in whole picodollars, None for None."""
    return None if usd is None else int(Decimal(str(usd)) * PICOS)


@dataclass(frozen=True, slots=True)
class Worst:
    """Weighs requests of one job against its budget, at the book's prices."""

    job: Job
    dialect: Dialect
    book: Book

    def of(self, request: Request, on: date) -> tuple[Bound | None, Amount]:
        """Return the most that an attempt on that day can use, where that is known by itself, and what is to be held for it.

        Raises ``Unbounded`` where neither we nor the job can say what that is.
        """
        caps, bound = self.job.budget, self._bound(request)
        if isinstance(bound, Unbounded):
            return None, self._said(bound)
        picos = 0
        if caps.usd is not None:
            picos = self.picos(request.model, tier_of(request.body), bound, on)
        return bound, Amount(picos, bound.input_tokens + bound.output_tokens)

    def picos(self, model: str, tier: str | None, bound: Bound, on: date) -> int:
        """Return the most that an attempt within a bound can cost, in picodollars. Raises ``Unbounded`` where there is no price."""
        worst = 0
        for served in (self._tier(tier), None):  # a discount that was asked for may be without effect
            rates = self.book.rates(model, served, on)
            if isinstance(rates, Unpriced):
                if (said := picos_of(self.job.budget.per_request_usd)) is None:
                    raise Unbounded(f"{rates.reason}: {_UNKNOWN}", place="model", hint=_PRICE)
                return said
            worst = max(worst, rates.most(bound))
        if (self._tier(tier) or _AUTO) == _AUTO and isinstance(dearer := self.book.rates(model, _DEAREST, on), Rates):
            return max(worst, dearer.most(bound))  # where that has no price, what it costs stays held
        return worst

    def _tier(self, asked: str | None) -> str | None:
        """Return the tier that is asked of the provider: what is sent along verbatim wins."""
        tier = self.job.extra_body.get("service_tier", asked)
        return tier if isinstance(tier, str) else None

    def kept(self, model: str, tier: str | None, bound: Bound | None) -> Amount | None:
        """Return what stays held for an attempt of an earlier run, at today's prices; None where nobody can say what it could cost."""
        try:
            if bound is None:
                return self._said(Unbounded("", place="budget"))
            picos = self.picos(model, tier, bound, today()) if self.job.budget.usd is not None else 0
        except Unbounded:
            return None
        return Amount(picos, bound.input_tokens + bound.output_tokens)

    def _said(self, otherwise: Unbounded) -> Amount:
        """Return the most that one request costs by the job's own word; raises what is given where it says nothing of a cap."""
        caps = self.job.budget
        if (caps.usd is not None and caps.per_request_usd is None) or (
            caps.tokens is not None and caps.per_request_tokens is None
        ):
            raise otherwise
        return Amount(picos_of(caps.per_request_usd) or 0, caps.per_request_tokens or 0)

    def _bound(self, request: Request) -> Bound | Unbounded:
        """Bound an attempt as it is now, in its round, or say why it has none.

        A round that goes on from a response which the provider keeps sends only what is new, and is billed for all of it.
        """
        body = {**request.body, **self.job.extra_body}
        if (cap := self._cap(request)) is None:
            return Unbounded(
                f"without request.max_output_tokens {_UNKNOWN}",
                place="request" if self.job.request else "budget",
                hint=_CAP,
            )
        before = 0
        try:
            if request.rounds and body.get("previous_response_id") is not None:
                before = _context(request.rounds[-1])
                del body["previous_response_id"]
            bound = bound_of(body, request.model, self.job.media, self.dialect, output_cap=cap)
        except PromptError as error:
            return Unbounded(f"{error.message}: {_UNKNOWN}", place="budget", hint=self._word)
        return Bound(bound.input_tokens + before, bound.output_tokens)

    def _cap(self, request: Request) -> int | None:
        """Return the most tokens that may come out; None where nothing bounds them."""
        field, name = self.dialect.max_tokens_field, "max_output_tokens"
        sent = {field: request.body.get(name), **self.job.extra_body}
        caps = [sent[each] for each in {field, name} & sent.keys()]  # with one of each, nobody knows which is obeyed
        whole = [cap for cap in caps if isinstance(cap, int) and not isinstance(cap, bool)]
        return max(whole) if len(whole) == len(caps) else None

    @property
    def _word(self) -> str:
        """What lets a job send requests that cannot be bounded by themselves."""
        caps = self.job.budget
        lines = ["budget.per_request_usd"] * (caps.usd is not None) + ["budget.per_request_tokens"] * (
            caps.tokens is not None
        )
        return f"set {' and '.join(lines)}: the most that one request costs, by your word"


def _context(reply: Mapping[str, object]) -> int:
    """Return the tokens of a conversation up to this reply. Raises ``PromptError`` where the provider did not report them."""
    usage = decode(reply).usage
    if usage.input_tokens is None or usage.output_tokens is None:
        raise PromptError("the provider did not report the tokens of the round before")
    return usage.input_tokens + usage.output_tokens


def today() -> date:
    """Return the day by which prices count."""
    return datetime.now(UTC).date()
