"""Rows that need no asking, tied to their requests by the batch: a statement or two for all of them, not for each.

The numbers of the requests stand in a JSON list, at the place of their row, null where a row is not tied: it is made in one go, and SQLite
takes it apart without Python's lock.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import orjson

from pipeline.checkpoint.writes import CARRY, TIE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pipeline.checkpoint.store import Statement

_SPARSE = 8  # places of a list for each row in it; from there on a statement for each row is cheaper

_TIE_SPAN = """
INSERT OR REPLACE INTO rows(row, sample, plan, request) SELECT key + ?, ?, ?, value FROM json_each(?) WHERE value IS NOT NULL
"""
_CARRY_SPAN = """
INSERT INTO requests(id, fingerprint, carrier, carrier_plan) SELECT value, '', key + ?, ? FROM json_each(?) WHERE value IS NOT NULL
ON CONFLICT(id) DO UPDATE SET carrier = excluded.carrier, carrier_plan = excluded.carrier_plan
"""


class Ties:
    """What rows of a plan tie themselves to, collected for the journal."""

    def __init__(self, plan: int) -> None:
        self._plan = plan
        self._tied: defaultdict[int, dict[int, int]] = defaultdict(dict)  # sample → row → request
        self._carried: defaultdict[int, dict[int, int]] = defaultdict(dict)
        self._others: list[Statement] = []

    def tie(self, row: int, sample: int, number: int) -> None:
        """Let a row's sample ask a request."""
        self._tied[sample][row] = number

    def carry(self, row: int, sample: int, number: int) -> None:
        """Let a row carry the usage of the request that its sample asks. Each request is carried once."""
        self._carried[sample][row] = number

    def carry_other(self, row: int, number: int) -> None:
        """Let a row carry the usage of a request that none of its samples asks."""
        self._others.append((CARRY, (number, b"", row, self._plan)))

    def statements(self) -> Iterator[Statement]:
        """Yield what the journal has to record. All the requests must be there."""
        for places in self._carried.values():
            if _is_sparse(places):
                yield from ((CARRY, (number, b"", row, self._plan)) for row, number in places.items())
            else:
                yield _CARRY_SPAN, (min(places), self._plan, _spread(places))
        yield from self._others
        for sample, places in self._tied.items():
            if _is_sparse(places):
                yield from ((TIE, (row, sample, self._plan, number)) for row, number in places.items())
            else:
                yield _TIE_SPAN, (min(places), sample, self._plan, _spread(places))


def _is_sparse(places: Mapping[int, int]) -> bool:
    return max(places) - min(places) >= _SPARSE * len(places)


def _spread(places: Mapping[int, int]) -> str:
    return orjson.dumps([*map(places.get, range(min(places), max(places) + 1))]).decode()
