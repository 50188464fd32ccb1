"""What the user pays: the ``prices`` of a job, which come before every list price.

Numbers are exact: 15 digits survive every way from the spec's text to a decimal, so no more are taken.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Annotated

from pydantic import Field, model_validator

from pipeline.spec.group import CURRENCY, Settings

DOLLAR = "USD"

Amount = Annotated[Decimal, Field(ge=0, max_digits=15)]


class Tokens(Settings):
    """What a million tokens cost."""

    input: Amount
    """A million tokens that go in."""
    cached_input: Amount | None = None
    """A million of those that came from the provider's cache; by default the same as `input`."""
    cache_write: Amount | None = None
    """A million of those that were written into it; by default the same as `input`."""
    output: Amount
    """A million tokens that come out, reasoning included."""


class LongPrompts(Tokens):
    """What a million tokens cost in requests with more than ``tokens`` tokens of input: all of them, not only those beyond."""

    tokens: int = Field(gt=0)
    """Of requests with more tokens of input than this."""


class Steps(Tokens):
    """What a million tokens cost, and what they cost in requests with long prompts."""

    above: list[LongPrompts] = []
    """Rates of requests with long prompts: `[{tokens: 200000, input: 2.5, output: 15}]`."""

    @model_validator(mode="after")
    def _each_once(self) -> Steps:
        if len({each.tokens for each in self.above}) < len(self.above):
            raise ValueError("above has two rates from the same number of tokens on")
        return self


class Price(Steps):
    """What one model costs."""

    per_search: Amount | None = None
    """One hosted search."""
    batch: Amount | Steps | None = None
    """The same for batches: a number to multiply with, such as 0.5, or rates of its own."""
    flex: Amount | Steps | None = None
    """The same for the service tier `flex`."""
    priority: Amount | Steps | None = None
    """The same for the service tier `priority`."""
    currency: str = Field(DOLLAR, pattern=CURRENCY)
    """What all these amounts are in."""
    usd_per_unit: Annotated[Decimal, Field(gt=0, max_digits=15)] | None = None
    """How many dollars one unit of another currency is worth."""
    as_of: date | None = None
    """The day on which you looked the prices up; shown beside every cost."""
    source: str | None = Field(None, min_length=1)
    """Where they are from; shown beside every cost."""

    @model_validator(mode="after")
    def _in_dollars(self) -> Price:
        if self.currency != DOLLAR and self.usd_per_unit is None:
            raise ValueError(
                f"currency {self.currency} needs usd_per_unit: how many dollars one {self.currency} is worth"
            )
        if self.currency == DOLLAR and self.usd_per_unit is not None:
            raise ValueError("usd_per_unit is for other currencies; name yours in currency")
        return self
