"""List prices are those of the library, which is asked here about thousands of bills; and where it would say nothing, we do."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import product

import pytest
from genai_prices import Usage as ListUsage
from genai_prices import calc_price
from genai_prices.data_snapshot import get_snapshot

from pipeline.cost.listed import listed
from pipeline.cost.rates import PICOS, Rates, Unpriced
from pipeline.cost.tiers import TIERS
from pipeline.records import Usage

TODAY = date(2026, 11, 20)
MIXES = [(0, 0, 0, 0), (1, 0, 0, 1), (100_000, 40_000, 0, 20_000), (642, 512, 100, 184), (272_000, 0, 0, 10)]
MIXES += [(272_001, 7, 3, 10), (300_000, 299_999, 0, 0), (200_000, 0, 0, 1), (200_001, 0, 200_001, 1_000_000)]
MODELS = [
    (provider.id, model.id)
    for provider in get_snapshot().providers
    if provider.id in ("openai", "google", "anthropic", "x-ai")
    for model in provider.models
]


def dollars(model: str, tier: str | None, tokens: tuple[int, int, int], on: date = TODAY) -> Decimal:
    """Return what input, cached and output tokens cost by our rates."""
    rates = listed(model, tier, on)
    assert isinstance(rates, Rates)
    picos = rates.cost(Usage(tokens[0], tokens[1], tokens[2]))
    assert picos is not None
    return Decimal(picos) / PICOS


@pytest.mark.parametrize("vendor", ["openai", "google", "anthropic", "x-ai"])
def test_every_model_costs_to_the_picodollar_what_the_library_says(vendor: str) -> None:
    """For each model of four vendors, in each tier, on three days and for nine mixes of tokens, both name the same price."""
    compared = 0
    days = (TODAY, date(2026, 10, 13), date(2025, 1, 1))
    for (owner, model), tier, day in product(MODELS, (None, *TIERS), days):
        rates = listed(model, tier, day, vendor=vendor) if owner == vendor else None
        if not isinstance(rates, Rates):
            continue
        moment = datetime(day.year, day.month, day.day, 9, tzinfo=UTC)
        context = dict(TIERS[tier].selects) if tier is not None else {}
        for taken, cached, written, out in MIXES:
            usage = ListUsage(
                input_tokens=taken, cache_read_tokens=cached, cache_write_tokens=written, output_tokens=out
            )
            theirs = calc_price(
                usage, model, provider_id=vendor, genai_request_timestamp=moment, price_context=context
            ).total_price
            ours = rates.cost(Usage(taken, cached, out, cache_write_tokens=written))
            assert ours == theirs * PICOS, (model, tier, day, usage)
            compared += 1
    assert compared > 1000


@pytest.mark.parametrize(
    ("model", "tier", "expected"),
    [
        ("gpt-5", None, "0.28"),
        ("gpt-5", "flex", "0.14"),
        ("gpt-5", "priority", "0.56"),
        ("gpt-5", "batch", "0.14"),
        ("gpt-5-mini", None, "0.056"),
        ("gpt-5-nano", None, "0.0112"),
        ("gpt-5-pro", None, "3.9"),
        ("gpt-5-pro", "batch", "1.95"),
        ("gpt-5.1-codex", None, "0.28"),
        ("gpt-5.2", None, "0.392"),
        ("gpt-5.3-codex", None, "0.392"),
        ("gpt-5.4", None, "0.46"),
        ("gpt-5.5", None, "0.92"),
        ("gpt-5.6", None, "0.656"),
        ("gpt-4o", None, "0.4"),
        ("gpt-4o", "batch", "0.225"),
        ("gpt-4.1", None, "0.3"),
        ("o3", None, "0.3"),
        ("gemini-2.5-pro", None, "0.28"),
        ("gemini-2.5-pro", "batch", "0.1425"),
    ],
)
def test_bills_of_known_models_are_as_computed_by_hand(model: str, tier: str | None, expected: str) -> None:
    """100,000 tokens of input, of which 40,000 are cached, and 20,000 of output cost what their published rates say."""
    assert dollars(model, tier, (100_000, 40_000, 20_000)) == Decimal(expected)


@pytest.mark.parametrize(
    ("model", "tokens", "expected"),
    [
        ("gemini-2.5-pro", (300_000, 0, 20_000), "1.05"),
        ("gpt-5.4", (200_000, 0, 1_000), "0.515"),
        ("gpt-5.4", (272_000, 0, 1_000), "0.695"),
        ("gpt-5.4", (300_000, 0, 1_000), "1.5225"),
        ("gpt-5", (642, 512, 184), "0.0020665"),
    ],
)
def test_a_long_prompt_takes_the_whole_request_to_the_higher_rate(
    model: str, tokens: tuple[int, int, int], expected: str
) -> None:
    """From the first token beyond the limit on all tokens cost more, those that come out too; at the limit none do."""
    assert dollars(model, None, tokens) == Decimal(expected)


def test_reasoning_is_a_part_of_the_output_and_not_paid_twice() -> None:
    """How many of the output tokens were reasoning changes nothing."""
    rates = listed("gpt-5", None, TODAY)
    assert isinstance(rates, Rates)
    assert rates.cost(Usage(1_000, 0, 1_000, 900)) == rates.cost(Usage(1_000, 0, 1_000, 0)) == 11_250_000_000


def test_a_snapshot_has_the_price_of_its_model() -> None:
    """An id with a date is found under the model's name."""
    assert listed("gpt-5.4-mini-2026-03-17", None, TODAY) == listed("gpt-5.4-mini", None, TODAY)


def test_a_price_is_that_of_the_day() -> None:
    """A model whose price fell costs the old price on the day before and the new one from that day on."""
    before, after = listed("o3", None, date(2025, 6, 9)), listed("o3", None, date(2025, 6, 10))
    assert isinstance(before, Rates)
    assert isinstance(after, Rates)
    assert (before.input, after.input) == (Decimal(10), Decimal(2))


@pytest.mark.parametrize(
    ("model", "tier", "reason"),
    [
        ("gpt-4o-image", None, "genai-prices 0.2.3 lists no price for gpt-4o-image"),
        ("no-such-model", None, "genai-prices 0.2.3 lists no price for no-such-model"),
        ("o1", "priority", "genai-prices 0.2.3 lists no priority price for o1"),
        ("whisper-1", None, "OpenAI does not sell whisper-1 by tokens of input and output"),
        ("deepseek-chat", None, "the list price of deepseek-chat depends on the time of day"),
        (
            "gpt-image-1",
            None,
            "OpenAI prices cache image read, input image of gpt-image-1 apart, which usage does not tell apart",
        ),
    ],
)
def test_what_has_no_price_says_why(model: str, tier: str | None, reason: str) -> None:
    """An unknown model, a dearer tier without a price and a model sold by other measures are unknown, never free."""
    assert listed(model, tier, TODAY) == Unpriced(reason)


@pytest.mark.parametrize("day", [TODAY, date(2026, 10, 1)])
def test_a_discount_that_changes_nothing_is_told(day: date) -> None:
    """Where a model has no price for a cheaper tier, today or on that day, the standard price holds and says so."""
    model = "gpt-4o" if day == TODAY else "gpt-5"
    found = listed(model, "flex", day)
    assert isinstance(found, Rates)
    assert found.doubt == f"at the standard price: no flex price of {model} is known"
    assert (found.input, found.output) == {
        "gpt-4o": (Decimal("2.5"), Decimal(10)),
        "gpt-5": (Decimal("1.25"), Decimal(10)),
    }[model]


def test_a_model_of_another_vendor_is_not_in_a_vendors_own_list() -> None:
    """OpenAI's list does not price Google's models; where any list will do, Google's does."""
    assert isinstance(listed("gemini-2.5-pro", None, TODAY, vendor="openai"), Unpriced)
    for name in ("gemini-2.5-pro", "google/gemini-2.5-pro"):
        found = listed(name, None, TODAY)
        assert isinstance(found, Rates)
        assert found.origin == "list price of Google, genai-prices 0.2.3 of 2026-11-10"


def test_the_library_is_loaded_only_for_a_list_price() -> None:
    """Importing the prices loads neither it nor its data."""
    program = "import pipeline.cost.prices, sys; print('genai_prices' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "False"
