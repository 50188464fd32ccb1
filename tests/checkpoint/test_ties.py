"""Rows that are tied to their answers by the batch stand in the journal as if each had been tied by itself."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from pipeline.checkpoint import schema
from pipeline.checkpoint.ties import Ties
from pipeline.checkpoint.writes import CARRY, TIE, carry_out

REQUESTS = 40
places = st.tuples(st.integers(0, 200) | st.integers(0, 10**7), st.integers(0, 3))


def lines(statements: Sequence[tuple[str, Sequence[object]]]) -> list[Any]:
    """Carry out statements in a journal that has some requests and rows, and return what is in it then."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.executescript(schema.TABLES)
        connection.executemany(
            "INSERT INTO requests(id, fingerprint, status, carrier, carrier_plan) VALUES (?, ?, 'ok', ?, 1)",
            [(number, number.to_bytes(16, "big"), number) for number in range(1, REQUESTS + 1)],
        )
        connection.executemany(
            "INSERT INTO rows(row, sample, plan, status, error_kind) VALUES (?, 0, 1, 'failed', 'prompt')",
            [(row,) for row in range(0, 200, 3)],
        )
        carry_out(connection, statements)
        tables = ("SELECT * FROM rows ORDER BY row, sample", "SELECT * FROM requests ORDER BY id")
        return [connection.execute(table).fetchall() for table in tables]


@given(st.dictionaries(places, st.integers(1, REQUESTS), max_size=60), st.permutations(range(1, REQUESTS + 1)))
def test_a_batch_of_ties_is_as_good_as_each_by_itself(tied: dict[tuple[int, int], int], others: list[int]) -> None:
    """Whatever rows, samples and requests come together, near each other or far apart, in whatever order."""
    ties, singly = Ties(2), list[tuple[str, Sequence[object]]]()
    carried = set[int]()
    for (row, sample), number in tied.items():
        ties.tie(row, sample, number)
        singly.append((TIE, (row, sample, 2, number)))
        if number not in carried:
            carried.add(number)
            ties.carry(row, sample, number)
            singly.append((CARRY, (number, b"", row, 2)))
        if (other := others[number - 1]) not in carried and other not in tied.values():
            carried.add(other)
            ties.carry_other(row, other)
            singly.append((CARRY, (other, b"", row, 2)))
    assert lines([*ties.statements()]) == lines(singly)


def test_known_rows_that_stand_together_take_two_statements() -> None:
    """However many there are, and with gaps between them."""
    ties = Ties(1)
    for row in range(0, 2_000, 3):
        ties.tie(row, 0, row + 1)
        ties.carry(row, 0, row + 1)
    assert len([*ties.statements()]) == 2
