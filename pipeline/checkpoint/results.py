"""What became of some rows, as columns: found in the journal with no more of it read than is asked for.

A plain text job has no tool calls, sources or pictures, and its table asks for none. What most attempts cost SQLite works out itself
(``tariff``); only the others are priced one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import orjson

from pipeline.checkpoint.packing import unpack
from pipeline.checkpoint.schema import BILLED, COST, COST_NOTE, OUT, RESULT, USAGE
from pipeline.checkpoint.tariff import KEYS, Key, formula
from pipeline.wire.slim import slim

if TYPE_CHECKING:
    import sqlite3

    from pipeline.checkpoint.tariff import Served

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
    "attempts": f"a.attempts + {OUT}",
    # A reply that told no tokens leaves those of its request unknown, whatever its other rounds told.
    **{name: f"CASE WHEN a.unreported = 0 THEN a.{name} END" for name in USAGE if name.endswith("_tokens")},
    # The answering reply's body.
    "raw": """CASE WHEN a.text IS NOT NULL THEN (
  SELECT raw FROM attempts WHERE request = a.id AND state = 'answered' AND response_id IS a.response_id ORDER BY id DESC LIMIT 1) END""",
}
"""Where a value is not just a column of the request that stands."""

_COSTS = ("cost_usd", "cost_note")
_NO_BILL = (None, None)

# A row's answer may stand in another request since a retry with changes (answered_by); the row that caused a call carries its
# usage, its twins carry 0.
_QUERY = """
SELECT {values} FROM rows AS r LEFT JOIN requests AS q ON q.id = r.request LEFT JOIN requests AS a ON a.id = COALESCE(q.answered_by, q.id)
WHERE r.plan = ?1 AND r.row BETWEEN ?2 AND ?3 ORDER BY r.row, r.sample
"""

# The cost of a request that is over with one attempt that counts, where that is a usual one.
_USUAL = """CASE WHEN a.attempts = 1 AND NOT a.again THEN (
  SELECT {usual} FROM attempts AS t WHERE t.request = a.id AND t.state <> 'never') END"""

# A cost is what is known of it: null where nothing is.
_BILLS = f"""
WITH priced AS MATERIALIZED (
  SELECT t.request, {COST} AS cost, {COST_NOTE} AS note FROM attempts AS t WHERE t.request IN (SELECT value FROM json_each(?)))
SELECT request, CASE WHEN COUNT(*) = COUNT(cost) OR SUM(cost) > 0 THEN SUM(cost) END, json_group_array(DISTINCT note)
FROM priced GROUP BY request
"""  # noqa: S608 - our own names


class Results:
    """Finds what became of the rows of a plan; made by ``Reader``. ``served`` finds the rates of an attempt, as ``Book.served`` does."""

    def __init__(self, connection: sqlite3.Connection, plan: int, served: Served) -> None:
        self._connection = connection
        self._plan = plan
        self._served = served

    @cached_property
    def usual(self) -> str:
        """The SQL of what a usual attempt costs, by the attempts that there were when it was first needed."""
        keys = self._connection.execute(KEYS.format(billed=BILLED.format(attempt="attempts")))
        return formula(map(Key._make, keys), self._served)

    def values(self, first: int, last: int, names: Sequence[str]) -> Values:
        """Return what became of the rows from ``first`` to ``last``: the values with these ``names``.

        A cost is in picodollars; ``sources``, ``images`` and ``notes``, which are stored as JSON, arrive as values.
        """
        plain = [name for name in names if name not in _COSTS]
        chosen = {name: _FOUND.get(name, f"a.{name}") for name in plain}
        if len(plain) < len(names):
            chosen |= {"request": "a.id", "cost_usd": _USUAL.format(usual=self.usual)}
        query = _QUERY.format(values=", ".join(chosen.values()))
        lines = self._connection.execute(query, (self._plan, first, last)).fetchall()
        turned = zip(*lines, strict=True) if lines else ((),) * len(chosen)
        values: dict[str, Sequence[Any]] = dict(zip(chosen, turned, strict=True))
        for name in _FORMS.keys() & values.keys():
            values[name] = [None if value is None else _FORMS[name](value) for value in values[name]]
        return values if len(plain) == len(names) else self._billed(values)

    def _billed(self, values: dict[str, Sequence[Any]]) -> Values:
        """Put in what the requests cost that are not usual, and what is to be said of each: of a usual one that is nothing."""
        requests, costs = values.pop("request"), values["cost_usd"]
        pairs = list(zip(requests, costs, strict=True))
        unusual = {request for request, cost in pairs if cost is None and request is not None}
        if not unusual:
            return {**values, "cost_note": [None] * len(costs)}
        lines = self._connection.execute(_BILLS, (orjson.dumps(list(unusual)).decode(),))
        bills = {request: (cost, _notes(notes)) for request, cost, notes in lines}
        known = [(cost, None) if cost is not None else bills.get(request, _NO_BILL) for request, cost in pairs]
        return {**values, "cost_usd": [cost for cost, _ in known], "cost_note": [note for _, note in known]}


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
