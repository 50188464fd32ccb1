"""What SQL says that an attempt costs is what the prices say; where they would say more than a number, SQL says nothing."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.checkpoint.money import Pricer
from pipeline.checkpoint.reader import Reader
from pipeline.checkpoint.schema import BILLED, FACTS, TABLES
from pipeline.checkpoint.tariff import DAY_S, KEYS, Key, formula
from pipeline.cost.prices import Book
from pipeline.spec.load import load_text

SPEC = """\
provider: openai
model: m
input: a.csv
prompt: "{{ a }}"
output: b.parquet
prices:
  m: {input: 1, output: 10, flex: 0.5}
  long: {input: 1.25, cached_input: 0.125, cache_write: 1.5, output: 10, above: [{tokens: 100, input: 2.5, cached_input: 0.25, output: 15}]}
  odd: {input: 0.0000003, output: 1}
  dear: {input: 1000000, output: 1000000}
"""
NOON = 20_000 * DAY_S + DAY_S / 2
ADD = f"INSERT INTO attempts(request, row, session, {', '.join(FACTS)}) VALUES (1, 0, 1{', ?' * len(FACTS)})"

names = st.sampled_from(["m", "long", "odd", "dear", "nobody's", "it's"])
tokens = st.none() | st.sampled_from([-1, 0, 1, 99, 100, 101, 10**7, 10**7 + 1, 2**62]) | st.integers(0, 300)
facts = st.tuples(
    *(st.sampled_from(["answered", "round", "refused", "unknown", "never"]), st.none() | st.just("cancelled")),
    *(
        names,
        st.sampled_from([None, "flex", "priority"]),
        st.none() | names,
        st.sampled_from([None, "default", "flex"]),
    ),
    *(tokens, tokens, tokens, tokens, tokens, st.none() | st.integers(0, 2)),
    st.sampled_from([NOON, NOON + DAY_S, -NOON, 1e18]),
)
USUAL = ("answered", None, "m", None, "m", "default", 30, 0, 5, 35, None, None, NOON)


def pricer() -> Pricer:
    """Return what prices the attempts of the job."""
    return Pricer(lambda: Book.of(load_text(SPEC, folder=Path("/specs"))))


def told(*attempts: tuple[object, ...]) -> list[int | None]:
    """Return what SQL says that each attempt costs."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.executescript(TABLES)
        connection.executemany(ADD, attempts)
        keys = connection.execute(KEYS.format(billed=BILLED.format(attempt="attempts"))).fetchall()
        usual = formula(map(Key._make, keys), pricer().served)
        return [cost for (cost,) in connection.execute(f"SELECT {usual} FROM attempts AS t ORDER BY id")]


@given(st.lists(facts, min_size=1, max_size=20))
@example([USUAL, (*USUAL[:5], None, *USUAL[6:])])
def test_what_sql_says_the_prices_say(attempts: list[tuple[object, ...]]) -> None:
    """To the picodollar, and only where there is nothing to note of it."""
    for attempt, cost in zip(attempts, told(*attempts), strict=True):
        alone = pricer()
        assert cost is None or (cost, None, {}) == (alone.cost(*attempt), alone.note(*attempt), alone.gaps)


@pytest.mark.parametrize(
    ("model", "taken", "cached", "written", "cost"),
    [
        ("m", 30, 0, None, 30 * 10**6 + 50 * 10**6),
        ("m", 30, None, None, 30 * 10**6 + 50 * 10**6),
        ("long", 100, 40, 10, 50 * 1_250_000 + 40 * 125_000 + 10 * 1_500_000 + 50 * 10**6),
        ("long", 101, 40, 0, 61 * 2_500_000 + 40 * 250_000 + 5 * 15_000_000),
        ("long", 100, None, 0, None),
        ("long", 100, 0, None, None),
        ("odd", 30, 0, 0, None),
        ("dear", 30, 0, 0, None),
        ("nobody's", 30, 0, 0, None),
    ],
)
def test_a_usual_attempt_is_priced_by_sql(
    model: str, taken: int, cached: int | None, written: int | None, cost: int | None
) -> None:
    """Also a long one, and one whose provider is silent on what makes no difference; null where a price needs a closer look."""
    attempt = ("answered", None, model, None, model, "default", taken, cached, 5, taken + 5, written, None, NOON)
    assert told(attempt) == [cost]


def test_a_later_day_is_not_priced_by_what_held_before() -> None:
    """The formula was made when there was no attempt of that day: a run goes on while its table is written."""
    book = Book.of(load_text(SPEC, folder=Path("/specs")))
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.executescript(TABLES)
        connection.execute(ADD, USUAL)
        reader = Reader(connection, abandoned=True, book=book)
        assert reader.totals().money.superseded == 80 * 10**6
        connection.executemany(ADD, [(*USUAL[:-1], NOON + DAY_S), (*USUAL[:2], "long", *USUAL[3:])])
        assert reader.totals().money.superseded == 3 * 80 * 10**6


def test_more_models_than_cases_are_priced_all_the_same() -> None:
    """By the prices, one by one."""
    attempts = [(*USUAL[:-1], NOON + day * DAY_S) for day in range(70)]
    assert set(told(*attempts)) == {80 * 10**6, None}
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.executescript(TABLES)
        connection.executemany(ADD, attempts)
        reader = Reader(connection, abandoned=True, book=Book.of(load_text(SPEC, folder=Path("/specs"))))
        assert reader.totals().money.superseded == 70 * 80 * 10**6
