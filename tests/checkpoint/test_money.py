"""Which attempts cost nothing, which cost what their tokens do, and of which nobody knows it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from pipeline.checkpoint.caching import caching_of
from pipeline.checkpoint.money import Facts, Pricer, install
from pipeline.checkpoint.reader import Reader
from pipeline.checkpoint.schema import FACTS, TABLES
from pipeline.cost.prices import Book
from pipeline.events import Caching
from pipeline.spec.load import load_text

SPEC = """\
provider: openai
model: m
input: a.csv
prompt: "{{ a }}"
output: b.parquet
prices: {m: {input: 1, output: 10}}
"""
UNTOLD = "the provider did not report the tokens"
OPEN = "the end of an attempt is not known; it may have been paid"


def attempt(
    state: str, kind: str | None = None, taken: int | None = None, given: int | None = None, total: int | None = None
) -> tuple[object, ...]:
    """Return the facts of an attempt, in the order of ``schema.FACTS``."""
    return (state, kind, "m", None, "m", "default", taken, 0, given, total, None, None, 1.79e9)


@pytest.mark.parametrize(
    ("facts", "cost", "note"),
    [
        (attempt("answered", None, 3, 2), 23_000_000, None),
        (attempt("round", None, 3, 2), 23_000_000, None),
        (attempt("refused", "server_error", 3, 2), 23_000_000, None),
        (attempt("unknown", "stream_cut", 3, 2), 23_000_000, None),
        (
            attempt("answered", None, 3, 2, 25),
            23_000_000,
            "without 20 tokens of the total, which are neither input nor output",
        ),
        (attempt("answered"), None, UNTOLD),
        (attempt("refused", "server", total=9), None, UNTOLD),
        (attempt("round"), None, UNTOLD),
        (attempt("answered", None, 3), None, UNTOLD),
        (attempt("refused", "cancelled"), None, UNTOLD),
        (attempt("refused", "unrecognised"), None, UNTOLD),
        (attempt("refused", "provider_error"), 0, None),
        (attempt("never", "rate_limit"), 0, None),
        (attempt("never"), 0, None),
        (attempt("unknown", "timeout"), None, OPEN),
        (attempt("unknown", "killed"), None, OPEN),
        (attempt("sent"), None, "an attempt has no end yet"),
    ],
)
def test_an_attempt_costs_what_its_end_says(facts: tuple[object, ...], cost: int | None, note: str | None) -> None:
    """Reported tokens are paid however the attempt ended; without them only what was turned away or never left is free."""
    pricer = Pricer(lambda: Book.of(load_text(SPEC, folder=Path("/specs"))))
    known = (pricer.cost(*facts), pricer.note(*facts))
    assert known == (cost, note)


def test_what_prices_lack_is_remembered() -> None:
    """Once for all attempts that lack the same."""
    spec = SPEC.replace("m: {", "n: {") + "request: {service_tier: flex}\n"
    pricer = Pricer(lambda: Book.of(load_text(spec, folder=Path("/specs"))))
    for model, total in (("m", 5), ("m", 5), ("n", 5), ("n", 8), ("n", 9)):
        pricer.cost("answered", None, model, "flex", None, None, 3, 0, 2, total, None, None, 1.79e9)
    assert list(pricer.gaps) == [
        "genai-prices 0.2.3 lists no price for m",
        "at the standard price: prices.n says nothing of flex",
        "some totals hold tokens that are neither input nor output: these have no price",
    ]
    assert pricer.prices == ("n: the spec's prices",)


def test_prices_are_looked_for_only_when_there_is_something_to_price() -> None:
    """A journal without tokens needs no prices, and its reader no job."""
    pricer = Pricer(lambda: pytest.fail("nobody needs prices"))
    assert pricer.cost(*attempt("unknown", "killed")) is None
    assert pricer.prices == ()


def test_facts_come_in_the_order_of_the_query() -> None:
    """What SQL hands over is what is read."""
    assert Facts._fields == FACTS


def test_a_bill_of_any_size_is_added_up_exactly() -> None:
    """A provider that reports absurd tokens in every row leaves a journal that can be read, beyond what SQLite's numbers hold."""
    book = Book.of(load_text(SPEC, folder=Path("/specs")))
    add = f"INSERT INTO attempts(request, row, session, {', '.join(FACTS)}) VALUES (1, 0, 1{', ?' * len(FACTS)})"
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.executescript(TABLES)
        connection.executemany(add, [attempt("answered", None, 9_999_000_001, 0)] * 2_000)
        assert Reader(connection, abandoned=True, book=book).totals().money.superseded == 2_000 * 9_999_000_001 * 10**6


def test_what_the_cache_saved_is_what_new_input_would_have_cost_more() -> None:
    """Over all attempts that told of it; writing into the cache is taken off, and what has no price is left out."""
    rates = "{input: 1, cached_input: 0.1, cache_write: 1.25, output: 10}"
    book = Book.of(load_text(SPEC.replace("{input: 1, output: 10}", rates), folder=Path("/specs")))
    names = ("state", "asked_model", "model", "input_tokens", "cached_tokens", "output_tokens", "cache_write_tokens")
    add = f"INSERT INTO attempts(request, row, session, sent_at, {', '.join(names)}) VALUES (1, 0, 1, 1.79e9{', ?' * len(names)})"
    attempts = [
        ("answered", "m", "m", 3_000, 0, 5, 2_000),  # pays a quarter more for what it writes
        *[("answered", "m", "m", 3_000, 2_000, 5, 0)] * 3,
        ("answered", "unheard-of", "unheard-of", 3_000, 2_000, 5, 0),
        ("answered", "m", "m", 3_000, None, 5, None),
        ("unknown", "m", None, None, None, None, None),
    ]
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.executescript(TABLES)
        install(connection, lambda: book)
        assert caching_of(connection.execute) == Caching()
        connection.executemany(add, attempts)
        assert caching_of(connection.execute) == Caching(5, 4, 15_000, 8_000, (3 * 1_800 - 500) * 10**6)
        connection.execute("DELETE FROM attempts WHERE asked_model = 'm'")
        assert caching_of(connection.execute) == Caching(1, 1, 3_000, 2_000, None)
