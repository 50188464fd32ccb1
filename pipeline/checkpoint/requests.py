"""The requests of a journal in memory, in about 33 bytes each: how each ended, and which row carries it. Ten million are planned for."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

from pipeline.checkpoint.fingerprints import WIDTH, Fingerprints
from pipeline.errors import RunDirectoryError
from pipeline.records import Status

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection, Iterable, Mapping, Sequence

# No status where it needs asking, and -1 where nobody carries it: as it is kept here, so that no line needs a look of its own.
_LOAD = """
SELECT id, fingerprint, CASE WHEN NOT again THEN status END, answered_by,
  COALESCE(CASE WHEN carrier_plan = (SELECT MAX(id) FROM plans) THEN carrier END, -1)
FROM requests ORDER BY id
"""
_CHUNK = 4_096

# What is known of a request's end is one byte: 0 where it needs asking, else its status.
_STATUSES: tuple[Status | None, ...] = (None, *Status)
_CODES: Mapping[str | None, int] = {status: code for code, status in enumerate(_STATUSES)}
_NOBODY = -1  # the carrier of a request that no row of this plan asks yet


class Requests:
    """Every request by its number, from 1 on. One with a status needs no asking; one with a carrier is asked by a row of this plan."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Read those of a journal. Raises ``RunDirectoryError`` where some are missing."""
        expected = connection.execute("SELECT COALESCE(MAX(id), 0) FROM requests").fetchone()[0]
        self.answering: dict[int, int] = {}  # request → the one whose answer stands for it since a retry
        self._fingerprints = Fingerprints(expected)
        self._codes = bytearray(1)
        self._carriers = array("q", [_NOBODY])
        lines = connection.execute(_LOAD)
        while chunk := lines.fetchmany(_CHUNK):
            self._load(*zip(*chunk, strict=True))
        for number, answering in self.answering.items():
            if self._codes[number]:
                self._codes[number] = self._codes[answering]

    def _load(
        self,
        numbers: Sequence[int],
        fingerprints: Sequence[bytes],
        statuses: Sequence[str | None],
        answering: Sequence[int | None],
        carriers: Sequence[int],
    ) -> None:
        first = len(self._codes)
        if (numbers[0], numbers[-1]) != (first, first + len(numbers) - 1) or {*map(len, fingerprints)} != {WIDTH}:
            raise RunDirectoryError("requests are missing in the journal", hint="restore it from a copy")
        self._fingerprints.extend(fingerprints)
        self._codes += bytes(map(_CODES.__getitem__, statuses))
        self._carriers.extend(carriers)
        if any(answering):
            self.answering |= {one: other for one, other in zip(numbers, answering, strict=True) if other is not None}

    def find(self, fingerprint: bytes) -> int | None:
        """Return a request's number, None where there is none yet."""
        return self._fingerprints.find(fingerprint)

    def add(self, fingerprint: bytes) -> int:
        """Number a new request."""
        self._codes.append(0)
        self._carriers.append(_NOBODY)
        return self._fingerprints.add(fingerprint)

    def status(self, number: int) -> Status | None:
        """Return how a request ended, None where it needs asking."""
        return _STATUSES[self._codes[number]]

    def end(self, numbers: Iterable[int], status: Status) -> None:
        """Note how requests ended."""
        code = _CODES[status]
        for number in numbers:
            self._codes[number] = code

    def revive(self, statuses: Collection[Status]) -> None:
        """Let requests that ended so be asked again."""
        revived = bytes(_CODES[status] for status in statuses)
        self._codes = self._codes.translate(bytes(0 if code in revived else code for code in range(256)))

    def carrier(self, number: int) -> int | None:
        """Return the row of this plan that carries a request's usage, None where no row asks it yet."""
        row = self._carriers[number]
        return None if row == _NOBODY else row

    def carry(self, number: int, row: int) -> None:
        """Let a row carry a request's usage."""
        self._carriers[number] = row

    def drop_carriers(self) -> None:
        """Begin a plan, of which no row has come by yet."""
        self._carriers = array("q", [_NOBODY]) * len(self._carriers)

    @property
    def untied(self) -> bool:
        """Whether a request that needs no asking has no row of this plan yet."""
        return any(code and row == _NOBODY for code, row in zip(self._codes, self._carriers, strict=True))
