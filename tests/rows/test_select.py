"""Which rows belong to the job: a choice that is the same at every run."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.rows import select
from pipeline.rows.select import sampled


def chunks(count: int, size: int) -> Iterator[pa.Array]:
    """Yield the numbers below ``count`` in arrays of ``size``."""
    for first in range(0, count, size):
        yield pa.array(range(first, min(first + size, count)), pa.int64())


@given(total=st.integers(0, 300), count=st.integers(1, 320), seed=st.integers(), size=st.integers(1, 100))
def test_a_sample_has_exactly_the_rows_asked_for_in_order_however_they_arrive(
    total: int, count: int, seed: int, size: int
) -> None:
    """It is exact, sorted, without a repetition, and the same whatever the batches were."""
    numbers = sampled(chunks(total, size), count, seed)
    assert len(numbers) == min(count, total)
    assert numbers == sorted(set(numbers))
    assert all(0 <= number < total for number in numbers)
    assert numbers == sampled(chunks(total, total or 1), count, seed)


def test_another_seed_gives_another_sample() -> None:
    """And the same seed the same one, in this version and the next."""
    assert sampled(chunks(1000, 100), 5, 0) != sampled(chunks(1000, 100), 5, 1)
    assert sampled(chunks(1000, 100), 5, 0) == [221, 380, 402, 417, 730]


def test_every_row_has_the_same_chance() -> None:
    """Over many seeds each of ten rows is drawn about as often as the others."""
    drawn = [0] * 10
    for seed in range(2000):
        for number in sampled(chunks(10, 10), 3, seed):
            drawn[number] += 1
    assert all(500 < times < 700 for times in drawn)


def test_pruning_on_the_way_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is bounded by forgetting rows that cannot win any more."""
    whole = sampled(chunks(5000, 50), 20, 3)
    monkeypatch.setattr(select, "_PRUNE_AT", 10)
    assert sampled(chunks(5000, 50), 20, 3) == whole
    shuffled = random.Random(1).sample(range(5000), 5000)
    assert sampled([pa.array(shuffled[start : start + 70], pa.int64()) for start in range(0, 5000, 70)], 20, 3) == whole
