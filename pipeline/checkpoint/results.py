"""What became of some rows, as columns: found in the journal with no more of it read than is asked for.

A plain text job has no tool calls, sources or pictures, and its table asks for none. What most attempts cost SQLite works out itself
(``tariff``); only the others are priced one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import orjson

from pipeline.checkpoint.schema import COST, COST_NOTE, RESULT, USAGE
from pipeline.checkpoint.store import unpack
from pipeline.wire.slim import slim

if TYPE_CHECKING:
    import sqlite3

Values = Mapping[str, Sequence[Any]]
"""What became of rows, by the names of ``schema.RESULT``, in the order of rows and samples."""

_FOUND: Mapping[str, str] = {
    "row": "r.row",
    "sample": "r.sample",
    "status": "COALESCE(a.status, r.status, 'pending')",
    "error_kind": "COALESCE(r.error_kind, a.error_kind)",
    "error_message": "COALESCE(r.error_message, a.error_message)",
    "output": "a.text",
    "reasoning_summary": "a.reasoning",
    "shared_from": "a.carrier",
    # A reply that told no tokens leaves those of its request unknown, whatever its other rounds told.
    **{name: f"CASE WHEN a.unreported = 0 THEN a.{name} END" for name in USAGE if name.endswith("_tokens")},
    # The answering reply's body.
    "raw": """CASE WHEN a.text IS NOT NULL THEN (
  SELECT raw FROM attempts WHERE request = a.id AND state = 'answered' AND response_id IS a.response_id ORDER BY id DESC LIMIT 1) END""",
}
"""Where a value is not just a column of the request that stands."""

_COSTS = ("cost_usd", "cost_note")

# A row's answer may stand in another request since a retry with changes (answered_by); the row that caused a call carries its
# usage, its twins carry 0.
_QUERY = """
SELECT {values} FROM rows AS r LEFT JOIN requests AS q ON q.id = r.request LEFT JOIN requests AS a ON a.id = COALESCE(q.answered_by, q.id)
WHERE r.plan = ?1 AND r.row BETWEEN ?2 AND ?3 ORDER BY r.row, r.sample
"""

# The cost of a request with one attempt that counts, where that is a usual one.
_USUAL = (
    "CASE a.attempts WHEN 1 THEN (SELECT {usual} FROM attempts AS t WHERE t.request = a.id AND t.state <> 'never') END"
)

# A cost is what is known of it: null where nothing is.
_BILLS = f"""
WITH priced AS MATERIALIZED (
  SELECT t.request, {COST} AS cost, {COST_NOTE} AS note FROM attempts AS t WHERE t.request IN (SELECT value FROM json_each(?)))
SELECT request, CASE WHEN COUNT(*) = COUNT(cost) OR SUM(cost) > 0 THEN SUM(cost) END, json_group_array(DISTINCT note)
FROM priced GROUP BY request
"""  # noqa: S608 - our own names


def found(
    connection: sqlite3.Connection, plan: int, first: int, last: int, names: Sequence[str], usual: str
) -> dict[str, Sequence[Any]]:
    """Return what became of a plan's rows from ``first`` to ``last``: the values with these ``names``.

    ``usual`` is the SQL of what a usual attempt costs. A cost is in picodollars; what is stored as JSON arrives as values, but for
    ``raw`` and ``tool_calls``.
    """
    priced = any(name in names for name in _COSTS)
    plain = [name for name in names if name not in _COSTS]
    values = [_FOUND.get(name, f"a.{name}") for name in plain]
    if priced:
        values += ["a.id", _USUAL.format(usual=usual)]
    lines = connection.execute(_QUERY.format(values=", ".join(values)), (plan, first, last)).fetchall()
    columns: dict[str, Sequence[Any]] = dict(
        zip((*plain, "request", "cost_usd") if priced else plain, _turned(lines, len(values)), strict=True)
    )
    for name in _FORMS.keys() & columns.keys():
        columns[name] = [None if value is None else _FORMS[name](value) for value in columns[name]]
    if priced:
        columns |= _billed(connection, columns.pop("request"), columns["cost_usd"])
    return columns


def _turned(lines: Sequence[Sequence[Any]], width: int) -> Iterable[Sequence[Any]]:
    return zip(*lines, strict=True) if lines else ((),) * width


def _billed(
    connection: sqlite3.Connection, requests: Sequence[int | None], costs: Sequence[int | None]
) -> dict[str, Sequence[Any]]:
    """Return the costs and what is to be said of them; of a usual attempt that is nothing."""
    open_ = {request for request, cost in zip(requests, costs, strict=True) if cost is None and request is not None}
    if not open_:
        return {"cost_usd": costs, "cost_note": [None] * len(costs)}
    lines = connection.execute(_BILLS, (orjson.dumps(list(open_)).decode(),))
    bills = {request: (cost, _notes(notes)) for request, cost, notes in lines}
    known = [
        (cost, None) if cost is not None else bills.get(request, (None, None))
        for request, cost in zip(requests, costs, strict=True)
    ]
    return {"cost_usd": [cost for cost, _ in known], "cost_note": [note for _, note in known]}


def _notes(listed: str) -> str | None:
    return "; ".join(filter(None, orjson.loads(listed))) or None


def _body(packed: bytes) -> str:
    """Return a reply's body as JSON, without what is no text."""
    return orjson.dumps(slim(unpack(packed))).decode()


# Results that are stored in another form than they are read.
_FORMS: Mapping[str, Callable[[Any], object]] = {
    **dict.fromkeys(("sources", "images", "notes"), orjson.loads),
    "raw": _body,
}


def lines_of(values: Values) -> list[tuple[object, ...]]:
    """Return the values row by row, in the order of ``schema.RESULT``; what was not asked for is None."""
    count = len(values["row"])
    return list(zip(*(values.get(name, (None,) * count) for name in RESULT), strict=True))
