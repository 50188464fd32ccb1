"""What a run writes for every row: few statements, which the writer carries out for many rows at once.

They are in a form that takes any number of rows. One statement for 64 rows costs two thirds of what 64 statements cost, and it leaves
Python's lock alone for as long: the event loop, which is busy just then, is interrupted once and not 64 times.

A change of lines that are there is an INSERT that conflicts with them: of the forms that take many rows it is the cheapest. Its lines
are always there, so what it would insert only has to be something that the table accepts.
"""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import chain
from typing import TYPE_CHECKING

from pipeline.checkpoint.schema import USAGE

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator, Sequence

    from pipeline.checkpoint.store import Statement

_WIDEST = 64  # rows of one statement; more gain nothing that could be measured
_ROW = re.compile(r"VALUES (\([^)]*\))")


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)


def _marks(names: Sequence[str]) -> str:
    return _listed("?" * len(names))


# A row carries a request, which may be a new one.
CARRY = """
INSERT INTO requests(id, fingerprint, carrier, carrier_plan) VALUES (?, ?, ?, ?)
ON CONFLICT(id) DO UPDATE SET carrier = excluded.carrier, carrier_plan = excluded.carrier_plan
"""

TIE = "INSERT OR REPLACE INTO rows(row, sample, plan, request) VALUES (?, ?, ?, ?)"

INTEND = """
INSERT INTO attempts(id, request, row, session, sent_at, waited_s, asked_model, asked_tier, held_input, held_output, turn)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""

_ENDED = (
    *("state", "latency_s", "status", "error_kind", "error_message", "http_status", "request_id"),
    *("model", "service_tier", "raw", *USAGE, "response_id"),
)
# How an attempt ended: its number, then the values in the order of `_ENDED`.
SETTLE = f"""
INSERT INTO attempts(id, request, row, session, sent_at, asked_model, {_listed(_ENDED)}) VALUES (?, 0, 0, 0, 0, '', {_marks(_ENDED)})
ON CONFLICT(id) DO UPDATE SET {_listed(f"{name} = excluded.{name}" for name in _ENDED[:-1])},
  response_id = COALESCE(excluded.response_id, response_id)
"""  # noqa: S608 - our own names

_COUNTED = ("attempts", "maybe_paid", "unreported")
_ADDED = _listed(
    (
        *(f"{name} = {name} + excluded.{name}" for name in _COUNTED),
        # What neither side knows stays unknown.
        *(f"{name} = COALESCE({name} + excluded.{name}, {name}, excluded.{name})" for name in USAGE),
    )
)

# What an attempt adds to its request, which has no answer by it: the request's number, the counts, then the values of `USAGE`.
ADD_USAGE = f"""
INSERT INTO requests(id, fingerprint, {_listed(_COUNTED)}, {_listed(USAGE)}) VALUES (?, '', {_marks(_COUNTED)}, {_marks(USAGE)})
ON CONFLICT(id) DO UPDATE SET {_ADDED}
"""  # noqa: S608 - our own names

_ANSWER = (
    *("status", "text", "refusal", "tool_calls", "reasoning", "sources", "images", "notes", "confidence", "phase"),
    *("error_kind", "error_message", "provider", "model", "service_tier", "response_id"),
    *("latency_s", "first_token_s", "finished_at"),
)
# The same of an attempt that brought the answer, whose values follow in the order of `_ANSWER`.
ANSWER = f"""
INSERT INTO requests(id, fingerprint, {_listed(_COUNTED)}, {_listed(USAGE)}, {_listed(_ANSWER)})
VALUES (?, '', {_marks(_COUNTED)}, {_marks(USAGE)}, {_marks(_ANSWER)})
ON CONFLICT(id) DO UPDATE SET again = 0, answered_by = NULL, {_ADDED}, {_listed(f"{name} = excluded.{name}" for name in _ANSWER)}
"""  # noqa: S608 - our own names

# In one commit, of two of these that are about the same row, request or attempt, the one that stands first here was written first, or it
# is all the same which is. For a row waits until its intent is durable before it asks, and until its outcome is before it goes on.
_ORDER = (CARRY, TIE, INTEND, SETTLE, ADD_USAGE, ANSWER)


def carry_out(connection: sqlite3.Connection, statements: Iterable[Statement]) -> None:
    """Carry out statements to the effect that they would have in their order. Raises what SQLite raises."""
    for sql, rows in grouped(statements):
        if len(rows) == 1:
            connection.execute(sql, rows[0])
            continue
        first = 0
        while first < len(rows):
            count = min(
                _WIDEST, 1 << (len(rows) - first).bit_length() - 1
            )  # powers of two: few texts to be kept prepared
            connection.execute(_wide(sql, count), [*chain.from_iterable(rows[first : first + count])])
            first += count


def grouped(statements: Iterable[Statement]) -> Iterator[tuple[str, Sequence[Sequence[object]]]]:
    """Yield what can be carried out together: SQL, and the values for each time. What is not for every row parts those around it."""
    waiting: dict[str, list[Sequence[object]]] = {sql: [] for sql in _ORDER}
    for sql, values in statements:
        if (group := waiting.get(sql)) is not None:
            group.append(values)
            continue
        yield from _filled(waiting)
        waiting = {sql: [] for sql in _ORDER}
        yield sql, [values]
    yield from _filled(waiting)


def _filled(waiting: dict[str, list[Sequence[object]]]) -> Iterator[tuple[str, Sequence[Sequence[object]]]]:
    return ((sql, rows) for sql, rows in waiting.items() if rows)


@lru_cache(maxsize=64)
def _wide(sql: str, count: int) -> str:
    """Return a statement for so many rows."""
    return _ROW.sub(lambda row: "VALUES " + ", ".join([row[1]] * count), sql, count=1)
