"""A table of fingerprints is a dictionary that takes less room."""

from __future__ import annotations

from hashlib import blake2b

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.checkpoint.fingerprints import WIDTH, Fingerprints

# Few different bytes, so that many fall into one table and into one slot.
PRINTS = st.lists(st.sampled_from([b"\0", b"\1", b"\xff"]), min_size=WIDTH, max_size=WIDTH).map(b"".join)


@given(st.lists(st.one_of(PRINTS, st.binary(min_size=WIDTH, max_size=WIDTH))), st.integers(0, 1000), st.integers(0, 50))
def test_it_finds_what_a_dictionary_finds(prints: list[bytes], expected: int, at_once: int) -> None:
    """Numbers are given in the order of coming, whether one by one or many at once, and whatever room was made before."""
    different = list(dict.fromkeys(prints))
    table = Fingerprints(expected)
    table.extend(different[:at_once])
    assert [table.add(each) for each in different[at_once:]] == [*range(at_once + 1, len(different) + 1)]
    assert len(table) == len(different)
    assert {each: table.find(each) for each in different} == {each: place for place, each in enumerate(different, 1)}
    others = {bytes(reversed(each)) for each in different} - {*different}
    assert not any(table.find(other) for other in others)


def test_it_takes_thirty_bytes_each_at_most() -> None:
    """Its arrays do, with room to grow; and every one is found after its tables have grown."""
    table = Fingerprints()
    prints = [blake2b(number.to_bytes(4, "big"), digest_size=WIDTH).digest() for number in range(50_000)]
    numbers = [table.add(each) for each in prints]
    assert [table.find(each) for each in prints] == numbers
    arrays = [table._stored, *table._tables]
    assert sum(len(array) * getattr(array, "itemsize", 1) for array in arrays) <= 30 * len(prints)


@pytest.mark.parametrize("fingerprint", [b"", b"short", bytes(WIDTH + 1)])
def test_a_fingerprint_of_another_length_is_refused(fingerprint: bytes) -> None:
    """It would shift all that come after it."""
    table = Fingerprints()
    with pytest.raises(ValueError, match="16 bytes"):
        table.add(fingerprint)
    with pytest.raises(ValueError, match="16 bytes"):
        table.extend([bytes(WIDTH), fingerprint])
    assert len(table) == 0
