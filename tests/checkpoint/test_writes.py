"""Statements for many rows at once do what the same statements do one by one."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.checkpoint.schema import CONCLUDE, TABLES
from pipeline.checkpoint.store import Statement
from pipeline.checkpoint.writes import ADD_USAGE, ANSWER, CARRY, INTEND, SETTLE, TIE, carry_out, grouped

Step = tuple[int, str]
ENDS = st.sampled_from(["none", "fails", "fails for good", "answers", "is killed"])


def life(number: int, end: str, more: int) -> list[Statement]:
    """What a request writes from its claim to its end, over ``more`` attempts that fail before the last."""
    statements: list[Statement] = [(CARRY, (number, bytes([number]) * 16, number, 1)), (TIE, (number, 0, 1, number))]
    for attempt in range(number * 10, number * 10 + more + (end != "none")):
        statements.append((INTEND, (attempt, number, number, 1, 1.5, None, "m", None, None, None, None)))
        if end == "is killed":
            break
        usage = (attempt, None, 2, None, attempt + 2, None, 0.5, None)
        settled = (attempt, "answered", 0.5, "ok", None, None, 200, None, "m-1", None, b"raw", *usage, None)
        statements.append((SETTLE, settled))
        if end == "answers" and attempt == number * 10 + more:
            answer = ("ok", f"text {number}", *[None] * 10, "p", "m-1", None, f"id-{number}", 0.5, None, 2.5)
            statements.append((ANSWER, (number, 1, 0, 0, *usage, *answer)))
        else:
            statements.append((ADD_USAGE, (number, 1, 0, 0, *usage)))
    if end == "fails for good":
        statements.append((CONCLUDE, ("failed", 0, "server", "no", "p", 2.5, number)))
    return statements


def interleaved(lives: Sequence[list[Statement]], turns: Sequence[int]) -> list[Statement]:
    """Mix the statements of lives, each in its own order."""
    left = [list(each) for each in lives]
    mixed = [waiting[turn % len(waiting)].pop(0) for turn in turns if (waiting := [each for each in left if each])]
    return mixed + [statement for each in left for statement in each]


def written(statements: Sequence[Statement], *, at_once: bool) -> list[list[object]]:
    """Return what stands in the tables after all of them."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.executescript(TABLES)
        for part in [statements] if at_once else [[statement] for statement in statements]:
            carry_out(connection, part)
        return [connection.execute(f"SELECT * FROM {table}").fetchall() for table in ("requests", "rows", "attempts")]


@given(st.lists(st.tuples(ENDS, st.integers(0, 2)), max_size=9), st.lists(st.integers(0, 9), max_size=60))
def test_many_at_once_do_what_each_does_by_itself(ends: list[tuple[str, int]], turns: list[int]) -> None:
    """However the lives of requests are mixed in a commit."""
    lives = [life(number, end, more) for number, (end, more) in enumerate(ends, 1)]
    mixed = interleaved(lives, turns)
    assert written(mixed, at_once=True) == written(mixed, at_once=False)


@pytest.mark.parametrize("rows", [1, 2, 63, 64, 65, 200])
def test_any_number_of_rows_is_written(rows: int) -> None:
    """Also more than one statement takes, and those that are left over."""
    statements = [(TIE, (row, 0, 1, row + 1)) for row in range(rows)]
    assert len(written(statements, at_once=True)[1]) == rows


def test_a_hundred_rows_are_a_few_groups() -> None:
    """As many as there are kinds of statements, wherever each row has got to."""
    lives = [life(number, "answers", 0) for number in range(1, 26)]
    assert len(list(grouped(interleaved(lives, range(100))))) == 5


def test_what_is_not_for_every_row_keeps_its_place() -> None:
    """Nothing passes it in either direction."""
    conclude = (CONCLUDE, ("failed", 0, "server", "no", "p", 2.5, 1))
    statements: list[Statement] = [(TIE, (1, 0, 1, 1)), conclude, (TIE, (2, 0, 1, 2)), (CARRY, (2, b"", 2, 1))]
    assert [(sql, len(rows)) for sql, rows in grouped(statements)] == [(TIE, 1), (CONCLUDE, 1), (CARRY, 1), (TIE, 1)]
