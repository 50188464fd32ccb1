"""Numbers for fingerprints, found again in about 24 bytes each, where a dictionary takes 150.

The fingerprints stand in one array in the order of their numbers; tables of slots find them by open addressing. There are 256 tables, so
that one that grows never holds up the run: with ten million fingerprints it has forty thousand to move.
"""

from __future__ import annotations

from array import array
from collections import Counter
from struct import iter_unpack
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

WIDTH = 16
"""Bytes of a fingerprint."""

_TABLES = 256
_SMALLEST = 8  # slots of an empty table; always a power of two
_KEY = f">{WIDTH - 8}xQ"  # the end of a fingerprint: seven bytes for its slot, and the last one for its table


class Fingerprints:
    """Fingerprints that are all different, numbered from 1 on in the order in which they came."""

    def __init__(self, expected: int = 0) -> None:
        """Make room for as many as are ``expected``; there may be more."""
        slots = _SMALLEST
        while slots * 3 * _TABLES < expected * 4 + _TABLES * _SMALLEST:
            slots *= 2
        self._stored = bytearray(WIDTH)  # number 0 is nobody's: in a table it means that the slot is free
        self._tables = [array("I", bytes(4 * slots)) for _ in range(_TABLES)]
        self._used = [0] * _TABLES

    def __len__(self) -> int:
        """How many there are, which is also the highest number."""
        return len(self._stored) // WIDTH - 1

    def find(self, fingerprint: bytes) -> int | None:
        """Return a fingerprint's number, None where it has none."""
        table = self._tables[fingerprint[-1]]
        mask = len(table) - 1
        slot = int.from_bytes(fingerprint[-8:-1], "big") & mask
        while number := table[slot]:
            at = number * WIDTH
            if self._stored[at : at + WIDTH] == fingerprint:
                return number
            slot = (slot + 1) & mask
        return None

    def add(self, fingerprint: bytes) -> int:
        """Number a fingerprint that has no number yet. Raises ``ValueError`` where it is not ``WIDTH`` bytes long."""
        if len(fingerprint) != WIDTH:
            raise ValueError(f"a fingerprint has {WIDTH} bytes")
        self._stored += fingerprint
        number = len(self)
        self._place(number, fingerprint)
        return number

    def extend(self, fingerprints: Sequence[bytes]) -> None:
        """Number fingerprints that have no number yet. Raises ``ValueError`` where one is not ``WIDTH`` bytes long."""
        if {*map(len, fingerprints)} - {WIDTH}:
            raise ValueError(f"a fingerprint has {WIDTH} bytes")
        first, joined, tables = len(self) + 1, b"".join(fingerprints), self._tables
        self._stored += joined
        for part, more in Counter(joined[WIDTH - 1 :: WIDTH]).items():
            self._used[part] += more
            while self._used[part] * 4 > len(tables[part]) * 3:
                self._grow(part)
        for number, (key,) in enumerate(iter_unpack(_KEY, joined), first):  # `_put`, in half the time
            table = tables[key & 0xFF]
            mask = len(table) - 1
            slot = key >> 8 & mask
            while table[slot]:
                slot = (slot + 1) & mask
            table[slot] = number

    def _place(self, number: int, fingerprint: bytes) -> None:
        part = fingerprint[-1]
        if self._used[part] * 4 >= len(self._tables[part]) * 3:
            self._grow(part)
        self._used[part] += 1
        _put(self._tables[part], number, fingerprint)

    def _grow(self, part: int) -> None:
        table = self._tables[part]
        larger = self._tables[part] = array("I", bytes(8 * len(table)))
        for number in filter(None, table):
            at = number * WIDTH
            _put(larger, number, self._stored[at : at + WIDTH])


def _put(table: array[int], number: int, fingerprint: bytes | bytearray) -> None:
    """Put a number into the first slot for its fingerprint that is free; there is one."""
    mask = len(table) - 1
    slot = int.from_bytes(fingerprint[-8:-1], "big") & mask
    while table[slot]:
        slot = (slot + 1) & mask
    table[slot] = number
