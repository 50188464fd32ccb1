"""Prices as SQL: what a usual attempt costs is arithmetic on its tokens, which SQLite does by itself, and faster than it asks us.

The formula is null for every attempt that is not usual: whose price, tokens or time it does not know, or whose cost leaves something out.
What it says is what ``money.Pricer`` would have said, with nothing to note.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, NamedTuple

from pipeline.cost.rates import Unpriced

if TYPE_CHECKING:
    from pipeline.cost.rates import Rates, Step

DAY_S = 86_400
MOST_KEYS = 64
"""Combinations of model, tier and day that are looked up; with more of them the rest is priced one by one."""
_MOST_CASES = 8  # each one is compared with every attempt

_MOST_TOKENS = 10**7  # of input, and of output: beyond lies what may be nonsense
_MOST_GRAINS = 5 * 10**8  # picodollars for a token, so that no sum leaves what is believed

KEYS = f"""
SELECT DISTINCT asked_model, asked_tier, model, service_tier, CAST(sent_at / {DAY_S} AS INTEGER) FROM attempts
WHERE input_tokens IS NOT NULL AND output_tokens IS NOT NULL AND {{billed}} LIMIT {MOST_KEYS}
"""  # noqa: S608 - our own names

_CASE = """
WHEN t.asked_model IS {asked_model} AND t.asked_tier IS {asked_tier} AND t.model IS {model} AND t.service_tier IS {service_tier}
  AND t.sent_at >= {begins} AND t.sent_at < {ends} AND COALESCE(t.searches, 0) = 0 AND {told}
  AND COALESCE(t.cached_tokens, 0) >= 0 AND COALESCE(t.cache_write_tokens, 0) >= 0
  AND t.output_tokens BETWEEN 0 AND {most}
  AND t.input_tokens BETWEEN COALESCE(t.cached_tokens, 0) + COALESCE(t.cache_write_tokens, 0) AND {most}
  AND COALESCE(t.total_tokens, 0) <= t.input_tokens + t.output_tokens
THEN {cost}
"""


class Key(NamedTuple):
    """What the rates of an attempt depend on; the ``day`` counts from 1970, in UTC."""

    asked_model: str
    asked_tier: str | None
    model: str | None
    service_tier: str | None
    day: int


Served = Callable[[str, "str | None", "str | None", "str | None", float], "Rates | Unpriced"]
"""Finds the rates for a key, as ``Book.served`` does."""


def formula(keys: Iterable[Key], served: Served) -> str:
    """Return the SQL of what an attempt ``t`` costs in picodollars, null where it is not usual."""
    cases: list[str] = []
    for key in keys:
        rates = served(*key[:4], float(key.day * DAY_S))
        if not isinstance(rates, Unpriced) and _is_usual(rates):
            cases.append(_case(key, rates))
    return f"CASE {' '.join(cases[:_MOST_CASES])} END" if cases else "NULL"


def _is_usual(rates: Rates) -> bool:
    """Tell whether costs by these rates are whole picodollars that nothing need be said of."""
    return rates.doubt is None and all(
        step.per_pico == 1 and min(step.grains) >= 0 and max(step.grains) <= _MOST_GRAINS for step in rates.steps
    )


def _case(key: Key, rates: Rates) -> str:
    named = {name: _literal(text) for name, text in key._asdict().items() if name != "day"}
    told = [
        f"t.{name} IS NOT NULL"
        for name, differs in (
            ("cached_tokens", any(step.cached != step.input for step in rates.steps)),
            ("cache_write_tokens", any(step.cache_write != step.input for step in rates.steps)),
        )
        if differs  # else it makes no difference what was not reported
    ]
    begins, ends = (float(day * DAY_S) for day in (key.day, key.day + 1))
    return _CASE.format(
        **named, begins=begins, ends=ends, told=" AND ".join(told) or "1", most=_MOST_TOKENS, cost=_cost(rates.steps)
    )


def _cost(steps: Iterable[Step]) -> str:
    """The whole request is at the rates of the last step that its input reaches."""
    first, *longer = steps
    cases = "".join(f" WHEN t.input_tokens > {step.above} THEN {_product(step)}" for step in reversed(longer))
    return f"CASE{cases} ELSE {_product(first)} END" if cases else _product(first)


def _product(step: Step) -> str:
    new, read, write, out = step.grains
    return (
        f"{new} * t.input_tokens + {read - new} * COALESCE(t.cached_tokens, 0)"
        f" + {write - new} * COALESCE(t.cache_write_tokens, 0) + {out} * t.output_tokens"
    )


def _literal(text: str | None) -> str:
    return "NULL" if text is None else f"CAST(x'{text.encode().hex()}' AS TEXT)"  # so that nothing in it is SQL
