"""What a run may spend: the ``budget`` of a job."""

from __future__ import annotations

from pydantic import Field, model_validator

from pipeline.spec.group import Settings


class Caps(Settings):
    """What the job may spend over all its runs, never exceeded. A number is short for ``{usd: …}``. To raise it is no change of the job."""

    shorthand = "usd"

    usd: float | None = Field(None, gt=0)
    """US dollars, by the prices that the job uses."""
    tokens: int | None = Field(None, gt=0)
    """Tokens, in and out."""
    per_request_usd: float | None = Field(None, gt=0)
    """The most that one request costs, by your word: for those that cannot be bounded by themselves (hosted tools, file ids, no price)."""
    per_request_tokens: int | None = Field(None, gt=0)
    """The most tokens that one request uses, by your word."""

    @model_validator(mode="after")
    def _bounds_something(self) -> Caps:
        for bound, cap in (("per_request_usd", "usd"), ("per_request_tokens", "tokens")):
            if getattr(self, bound) is not None and getattr(self, cap) is None:
                raise ValueError(f"{bound} says what to hold of budget.{cap}; set that, too")
        return self

    @property
    def is_set(self) -> bool:
        """Whether there is anything not to be exceeded."""
        return self.usd is not None or self.tokens is not None
