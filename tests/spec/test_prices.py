"""Prices in a spec are exact, and a mistake in them is shown at its place."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import pytest

from pipeline.spec.job import Job


@pytest.mark.parametrize("text", ["0.1", "'0.1'", "1e-1", ".1", "${RATE}", "${NONE:-0.1}"])
def test_a_price_is_the_decimal_that_was_written(load: Callable[..., Job], text: str) -> None:
    """A tenth is a tenth, however it is written, and not the nearest binary fraction."""
    job = load(f"prices:\n  gpt-5:\n    input: {text}\n    output: 123456.789012345\n", RATE="0.1")
    price = job.prices["gpt-5"]
    assert (price.input, price.output) == (Decimal("0.1"), Decimal("123456.789012345"))


def test_prices_come_back_from_the_journal_as_they_were(load: Callable[..., Job]) -> None:
    """A job that is kept as JSON keeps its prices to the last digit."""
    job = load("prices:\n  a/b*: {input: 0.1, output: 0.3, batch: 0.5, above: [{tokens: 9, input: 0.7, output: 1}]}\n")
    assert Job.model_validate_json(job.model_dump_json()).prices == job.prices


@pytest.mark.parametrize(
    ("line", "mistake"),
    [
        ("gpt-5: {input: -1, output: 1}", "7:18 prices.gpt-5.input: must be at least 0"),
        ("gpt-5: {input: true, output: 1}", "7:11 prices.gpt-5.input: must be a number, not true"),
        ("gpt-5: {input: 1, output: free}", "7:29 prices.gpt-5.output: must be a number, not 'free'"),
        ("gpt-5: {input: 1}", "7:3 prices.gpt-5.output: is required"),
        ("gpt-5: 3", "7:10 prices.gpt-5: must be a map of settings, not 3"),
        (
            "gpt-5: {input: 0.1234567890123456, output: 1}",
            "7:18 prices.gpt-5.input: must have 15 or fewer digits",
        ),
        (
            "gpt-5: {input: 1, output: 1, prority: 2}",
            "7:32 prices.gpt-5.prority: is not a setting here (priority?)",
        ),
        (
            "gpt-5: {input: 1, output: 1, flex: {input: 1, outptu: 1}}",
            "7:32 prices.gpt-5.flex.output: is required",
        ),
        (
            "gpt-5: {input: 1, output: 1, currency: euro}",
            "7:42 prices.gpt-5.currency: must be the three letters of a currency, such as USD, EUR or CNY, not 'euro'",
        ),
        (
            "gpt-5: {input: 1, output: 1, currency: EUR}",
            "7:3 prices.gpt-5: currency EUR needs usd_per_unit: how many dollars one EUR is worth",
        ),
        (
            "gpt-5: {input: 1, output: 1, usd_per_unit: 2}",
            "7:3 prices.gpt-5: usd_per_unit is for other currencies; name yours in currency",
        ),
        (
            "gpt-5: {input: 1, output: 1, as_of: lately}",
            "7:39 prices.gpt-5.as_of: must be a day, such as 2026-11-20",
        ),
        (
            "gpt-5: {input: 1, output: 1, above: [{tokens: 5, input: 1, output: 1}, {tokens: 5, input: 2, output: 2}]}",
            "7:3 prices.gpt-5: above has two rates from the same number of tokens on",
        ),
    ],
)
def test_a_mistake_in_prices_is_shown_at_its_place(
    mistakes: Callable[..., list[str]], small: str, line: str, mistake: str
) -> None:
    """Negative amounts, missing rates, currencies without a rate of exchange and misspelled tiers are found before anything is sent."""
    assert mistakes(f"{small}prices:\n  {line}\n")[0] == mistake


def test_prices_change_neither_what_is_asked_nor_what_was_answered(load: Callable[..., Job]) -> None:
    """The settings that decide on a request leave the prices out."""
    from pipeline.engine.check import _DECIDING

    assert "prices" in Job.model_fields
    assert "prices" not in _DECIDING
