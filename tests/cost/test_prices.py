"""Whose price holds: the job's own before a list's, the served model's before the asked one's."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from pipeline.cost.prices import PICOS, Book, Charge, Rates, Unpriced
from pipeline.records import Usage
from pipeline.spec.job import Job
from pipeline.spec.load import load_text

TODAY = date(2026, 11, 20)
NOON = 1_795_176_000.0  # 2026-11-20 12:00 UTC
MILLION = Usage(1_000_000, 0, 0)


def job(prices: str = "", provider: str = "openai", model: str = "gpt-5.4", more: str = "") -> Job:
    """Return a job with prices of its own."""
    text = f"provider: {provider}\nmodel: {model}\ninput: a.csv\nprompt: '{{{{ a }}}}'\noutput: b.parquet\n{more}"
    return load_text(text + (f"prices:\n{prices}" if prices else ""), folder=Path("/specs"))


def rates(book: Book, model: str, tier: str | None = None, on: date = TODAY) -> Rates:
    """Return rates that must be there."""
    found = book.rates(model, tier, on)
    assert isinstance(found, Rates), found
    return found


def charge(asked: str = "gpt-5.4", **facts: Any) -> Charge:
    """Return the facts of an attempt with a million tokens of input."""
    facts = {"asked_tier": None, "model": None, "service_tier": None, "usage": MILLION, "searches": None, **facts}
    return Charge(asked_model=asked, sent_at=NOON, **facts)


@pytest.mark.parametrize(
    ("model", "dollars"),
    [
        ("gpt-5.4", 4),
        ("gpt-5.4-mini", 3),
        ("gpt-5.4-mini-2026-03-17", 3),
        ("gpt-5.4-nano", 2),
        ("gpt-6", 1),
        ("gemini-2.5-pro", 5),
    ],
)
def test_the_closest_key_wins(model: str, dollars: int) -> None:
    """A provider's own key comes before others, an exact id before patterns, a longer pattern before a shorter one."""
    keys = {"'*'": 1, "gpt-5.4-*": 2, "gpt-5.4-mini": 3, "openai/gpt-5.4": 4, "gpt-5.4": 9, "gem*": 5, "apimart/*": 9}
    own = "".join(f"  {key}: {{input: {price}, output: 0}}\n" for key, price in keys.items())
    assert rates(Book.of(job(own)), model).input == dollars


def test_the_jobs_own_price_is_in_dollars_and_says_where_it_is_from() -> None:
    """A price in euros with a discount for flex is multiplied out exactly; its source and date stay with it."""
    own = (
        "  gpt-5.4: {input: 1.1, cached_input: 0.11, output: 7, per_search: 0.01, currency: EUR, usd_per_unit: 1.08,\n"
        "            flex: 0.5, priority: {input: 3, output: 9}, as_of: 2026-11-01, source: our contract,\n"
        "            above: [{tokens: 5, input: 2, output: 8}]}\n"
    )
    book = Book.of(job(own))
    usual, flex, priority = (rates(book, "gpt-5.4", tier) for tier in (None, "flex", "priority"))
    assert (usual.input, usual.cached, usual.cache_write) == (Decimal("1.188"), Decimal("0.1188"), Decimal("1.188"))
    assert (flex.input, flex.output, flex.steps[1].output) == (Decimal("0.594"), Decimal("3.78"), Decimal("4.32"))
    assert (priority.input, priority.output, len(priority.steps)) == (Decimal("3.24"), Decimal("9.72"), 1)
    assert usual.per_search == Decimal("0.0108")
    assert (usual.origin, usual.note) == ("our contract of 2026-11-01", None)


@pytest.mark.parametrize("tier", ["auto", "default", None])
def test_the_usual_tier_has_several_names(tier: str | None) -> None:
    """What is served as ``auto`` or ``default`` costs the standard price."""
    assert rates(Book.of(job()), "gpt-5.4", tier).input == Decimal("2.5")


def test_a_tier_that_nobody_knows_has_no_price() -> None:
    """An unknown tier is not silently the standard one, and a dearer tier that own prices leave out has no price."""
    book = Book.of(job("  gpt-6*: {input: 1, output: 1}\n"))
    assert book.rates("gpt-5.4", "scale", TODAY) == Unpriced("the service tier 'scale' has no price that is known")
    assert book.rates("gpt-6", "priority", TODAY) == Unpriced("prices.gpt-6* says nothing of priority")
    assert rates(book, "gpt-6", "flex").doubt == "at the standard price: prices.gpt-6* says nothing of flex"


def test_what_was_served_is_priced_before_what_was_asked() -> None:
    """The tier and the model of the reply count; what the reply does not say is taken as asked."""
    book = Book.of(job())
    costs = [
        book.cost(charge(asked_tier="flex", service_tier="default")),
        book.cost(charge(asked_tier="priority")),  # has no steps
        book.cost(charge(asked_tier="auto", service_tier="flex")),
        book.cost(charge(model="gpt-5.4-mini-2026-03-17")),
    ]
    assert costs == [5 * PICOS, 5 * PICOS, 5 * PICOS // 2, 3 * PICOS // 4]


def test_a_snapshot_that_has_no_price_costs_what_its_model_does() -> None:
    """A newer snapshot of the asked model is that model; any other model without a price leaves the cost unknown."""
    book = Book.of(job("  ours: {input: 1, output: 1}\n"))
    assert book.cost(charge("gpt-5.4", model="openai/gpt-5.4-2027-01-01")) == 5 * PICOS
    assert book.cost(charge("gpt-5.4", model="something-else")) is None
    assert book.why(charge("gpt-5.4", model="something-else")) == "genai-prices 0.2.3 lists no price for something-else"
    assert book.cost(charge("ours", model="something-else")) == PICOS
    both = Book.of(job("  gpt-5.4: {input: 1, output: 1}\n  gpt-5.4-mini: {input: 2, output: 1}\n"))
    assert both.cost(charge("gpt-5.4-mini", model="gpt-5.4")) == PICOS


@pytest.mark.parametrize(
    ("provider", "note"),
    [
        ("openai", None),
        ("apimart", "apimart may charge otherwise"),
        ("{base_url: 'https://llm.example/v1', name: ours}", "ours may charge otherwise"),
        ("simulator", "simulated: nothing is billed"),
    ],
)
def test_list_prices_of_others_are_named_so(provider: str, note: str | None) -> None:
    """Only a vendor's own list is its price; a gateway, an own server and the simulator say what the list means there."""
    found = rates(Book.of(job(provider=provider)), "gpt-5.4")
    assert (found.origin, found.note) == ("list price of OpenAI, genai-prices 0.2.3 of 2026-11-10", note)


def test_own_prices_of_a_gateway_need_no_warning() -> None:
    """Who wrote a gateway's price down knows it; in a rehearsal the key is the gateway's too."""
    own = "  apimart/gpt-5: {input: 0.875, output: 7}\n"
    assert rates(Book.of(job(own, "apimart")), "gpt-5").note is None
    rehearsal = Book.of(job(own, "{name: simulator, dialect: apimart}"))
    found = rates(rehearsal, "gpt-5")
    assert (found.note, found.cost(Usage(1_000_000, 0, 100_000))) == (
        "simulated: nothing is billed",
        1_575 * PICOS // 1000,
    )


def test_hosted_tools_beside_the_tokens_are_told() -> None:
    """Where the job's tools draw or run code, what they cost is not in the usage, and every cost says so."""
    more = "request: {tools: [{type: image_generation}, {type: code_interpreter, container: {type: auto}}]}\n"
    book = Book.of(job(more=more))
    assert book.why(charge()) == "without what the provider may charge for generated pictures and code that it runs"
    assert book.cost(charge()) == 5 * PICOS


def test_a_price_is_looked_up_once_for_a_model_a_tier_and_a_day() -> None:
    """The same question gets the same object back."""
    book = Book.of(job())
    assert book.rates("gpt-5.4", None, TODAY) is book.rates("gpt-5.4", None, TODAY)
    assert book.priced(charge()) is book.priced(charge())
