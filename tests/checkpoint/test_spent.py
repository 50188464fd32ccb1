"""What a budget remembers of the attempts of earlier runs."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import astuple
from pathlib import Path

import pytest

from pipeline.checkpoint.past import past_by
from pipeline.checkpoint.reader import Reader
from pipeline.checkpoint.schema import TABLES, USAGE
from pipeline.checkpoint.spent import purse_of
from pipeline.cost.prices import Book
from pipeline.records import Amount, Purse, Usage
from pipeline.spec.job import Job
from pipeline.spec.load import load_text

SPEC = """\
provider: simulator
model: m
input: a.csv
prompt: "{{ a }}"
output: b.parquet
prices: {m: {input: 1, output: 1}}
budget: {usd: 1, tokens: 1000}
"""
MICRO = 10**6  # picodollars; a token costs one of them


def job(spec: str = SPEC) -> Job:
    """Return a job whose tokens cost a micro-dollar each."""
    return load_text(spec, folder=Path("/specs"))


@pytest.mark.parametrize(
    ("state", "kind", "usage", "spent", "held"),
    [
        ("answered", None, Usage(3, 0, 4, 0, 7), 7, 0),
        ("answered", None, Usage(), 0, 30),
        ("refused", "server", Usage(), 0, 0),
        ("refused", "server", Usage(0, None, 0, None, 0), 0, 0),
        ("refused", "unrecognised", Usage(), 0, 30),
        ("unknown", "server", Usage(), 0, 30),
        ("sent", None, Usage(), 0, 30),
    ],
)
def test_a_budget_and_a_bill_say_the_same_of_each_end(
    state: str, kind: str | None, usage: Usage, spent: int, held: int
) -> None:
    """What is free by the one holds nothing of the other, and what is unknown stays held."""
    book = Book.of(job())
    facts = {"state": state, "error_kind": kind, "asked_model": "m", "sent_at": 1.79e9, "row": 0, "session": 1}
    figures = dict(zip(USAGE[:5], astuple(usage), strict=False))
    values = {**facts, **figures, "held_input": 20, "held_output": 10, "request": 1}
    add = f"INSERT INTO attempts({', '.join(values)}) VALUES ({', '.join('?' * len(values))})"
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.executescript(TABLES)
        connection.execute("INSERT INTO requests(id, fingerprint) VALUES (1, 'f')")
        connection.execute(add, [*values.values()])
        purse = purse_of(job(), past_by(connection.execute), book)
        money = Reader(connection, abandoned=True, book=book).totals().money
    assert purse == Purse(10**12, 1000, Amount(spent * MICRO, spent), Amount(held * MICRO, held))
    assert (money.superseded or 0, money.unknown) == (spent * MICRO, int(bool(held)))


def test_a_job_without_a_budget_has_no_purse() -> None:
    """Nothing is counted for it."""
    without = job(SPEC.replace("budget: {usd: 1, tokens: 1000}\n", ""))
    assert purse_of(without, [], Book.of(without)) is None
