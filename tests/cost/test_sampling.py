"""From a random part to the whole: the interval holds as often as it says, also where a few units cost most of the money."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import astuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.cost.interval import Interval
from pipeline.cost.sampling import LEAST, quantile, slopes, surely_drawn, whole_of

Unit = tuple[tuple[float, ...], float]


def table(sigma: float, *, media: bool, rows: int = 10_000) -> list[Unit]:
    """A table's requests: their text and pictures as we count them, and a cost that skewed answers are part of."""
    dice = random.Random(f"{sigma} {media}")
    units = []
    for _ in range(rows):
        text = dice.lognormvariate(5, 1)
        image = dice.choice((300.0, 1200.0, 2400.0)) if media and dice.random() < 0.5 else 0.0
        billed = (1.2 * text + 0.98 * image) * dice.uniform(0.9, 1.1)
        units.append(((text, image), 0.75 * billed + 4.5 * 40 * math.exp(dice.gauss(0, sigma))))
    return units


def held(units: Sequence[Unit], count: int, times: int) -> float:
    """Return in which share of random draws the interval holds the true sum. As in a fit, few requests are not told apart by kind."""
    if count < 30:
        units = [((sum(size),), value) for size, value in units]
    dice = random.Random(count)
    truth = sum(value for _, value in units)
    sums = [sum(size[kind] for size, _ in units) for kind in range(len(units[0][0]))]
    hits = 0
    for _ in range(times):
        drawn = dice.sample(units, count)
        whole = whole_of([size for size, _ in drawn], [value for _, value in drawn], sums, len(units))
        assert whole is not None
        hits += whole.low <= truth <= whole.high
    return hits / times


def test_an_interval_holds_the_truth_nine_times_in_ten() -> None:
    """Of 150 draws of 100 among skewed costs; the long form walks other skews and sizes."""
    assert 0.86 <= held(table(0.8, media=True, rows=3000), 100, 150) <= 0.97


@pytest.mark.slow
@pytest.mark.parametrize("media", [True, False])
@pytest.mark.parametrize(("sigma", "least"), [(0.5, 0.87), (0.8, 0.86), (1.2, 0.82)])
@pytest.mark.parametrize("count", [20, 50, 100, 300])
def test_intervals_hold_for_every_skew_and_size(media: bool, sigma: float, least: float, count: int) -> None:
    """About nine times in ten, and never much less; the most skewed costs have answers of 25 times the median."""
    assert held(table(sigma, media=media), count, 600) >= least


def test_a_known_size_corrects_an_unlucky_draw() -> None:
    """Where the figure follows the size, ten units tell the sum, however small they happen to be."""
    units = [((float(size),), 3.0 * size + 7) for size in range(1, 101)]
    drawn = units[:10]
    whole = whole_of([size for size, _ in drawn], [value for _, value in drawn], [5050.0], 100)
    assert whole is not None
    assert whole is not None
    assert astuple(whole) == pytest.approx((15_850, 15_850, 15_850))


def test_skewed_figures_reach_further_up_than_down() -> None:
    """One large figure among many small ones says that there are more of them."""
    values = [1.0] * 30 + [40.0]
    whole = whole_of([()] * 31, values, [], 1000)
    assert whole is not None
    assert whole.high - whole.mid > 1.5 * (whole.mid - whole.low)


def test_what_was_seen_is_the_least() -> None:
    """The whole has cost no less than its part has."""
    values = [0.0] * 20 + [1000.0]
    whole = whole_of([()] * 21, values, [], 22)
    assert whole is not None
    assert whole.low >= 1000


def test_everything_seen_leaves_no_doubt_and_too_little_no_interval() -> None:
    """All units are their own sum, however few; a part of fewer than ten says nothing."""
    assert whole_of([()] * 3, [1.0, 2.0, 3.0], [], 3) == Interval(6, 6, 6)
    assert whole_of([()] * (LEAST - 1), [1.0] * (LEAST - 1), [], 100) is None
    assert astuple(whole_of([()] * LEAST, [1.0] * LEAST, [], 100)) == pytest.approx((100, 100, 100))


@given(st.lists(st.tuples(st.floats(0, 1e6), st.floats(0, 1e15)), min_size=10, max_size=40), st.integers(0, 1000))
def test_an_interval_is_in_order_whatever_the_figures(units: list[tuple[float, float]], more: int) -> None:
    """Finite, and its middle between its ends; sizes that are all the same, or one and the same twice, harm nothing."""
    sizes = [(size, size, 1.0) for size, _ in units]
    sums = [sum(size[kind] for size in sizes) * (1 + more / len(units)) for kind in range(3)]
    whole = whole_of(sizes, [value for _, value in units], sums, len(units) + more)
    assert whole is not None
    assert whole.low <= whole.mid <= whole.high
    assert all(map(math.isfinite, astuple(whole)))


def test_slopes_tell_the_factors_of_several_sizes() -> None:
    """Through the origin; a size that another one implies gets none of its own."""
    sizes = [(float(n), float(n % 3), 2.0 * n) for n in range(1, 30)]
    assert slopes(sizes, [2 * a + 5 * b for a, b, _ in sizes]) == pytest.approx([2, 5, 0])


def test_a_quantile_lies_between_values() -> None:
    """Of one value it is that value."""
    assert [quantile([1, 2, 3, 4, 5], share) for share in (0, 0.25, 0.5, 0.9, 1)] == [1, 2, 3, pytest.approx(4.6), 5]
    assert quantile([7], 0.95) == 7


def uneven(dice: random.Random, rows: int = 2000) -> list[Unit]:
    """Make a table of small requests and one that holds half of its input, with answers that have nothing to do with sizes."""
    sizes = [dice.gauss(100, 8) for _ in range(rows)] + [100.0 * rows]
    return [((size,), 0.75 * size + 4.5 * 60 * math.exp(dice.gauss(0, 0.8))) for size in sizes]


@pytest.mark.parametrize("count", [10, 30, 100])
def test_a_huge_unit_that_chance_missed_does_not_tilt_the_middle(count: int) -> None:
    """A slope among small units that chance may have made is not drawn out to the huge one, and its doubt stays in the interval."""
    dice = random.Random(count)
    for _ in range(40):
        units = uneven(dice)
        drawn = dice.sample(units[:-1], count)
        whole = whole_of(
            [size for size, _ in drawn], [value for _, value in drawn], [sum(u[0][0] for u in units)], 2001
        )
        truth = sum(value for _, value in units)
        assert whole is not None
        assert 0.4 < whole.mid / truth < 1.7
        assert whole.low < truth < whole.high


@pytest.mark.parametrize(
    ("largest", "total", "count", "expected"),
    [
        ([100.0, 12.0, 5.0], 220.0, 20, 2),  # 12 x 19 is more than the 120 that are left, 5 x 18 is less than 108
        ([5.0, 5.0], 200.0, 20, 0),
        ([100.0] * 60, 6000.0, 100, 50),  # never more than half
        ([100.0], 101.0, LEAST, 0),  # nor so many that too few are left to chance
        ([], 0.0, 50, 0),
    ],
)
def test_what_holds_more_than_its_share_is_drawn_for_certain(
    largest: list[float], total: float, count: int, expected: int
) -> None:
    """Counted from the largest down, each against what the ones before it leave."""
    assert surely_drawn(largest, total, count) == expected
