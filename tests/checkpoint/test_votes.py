"""What the answers of several samples have in common."""

from __future__ import annotations

from collections import Counter
from itertools import combinations
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.checkpoint.votes import Vote, endings, mean, tallied, vote
from pipeline.spec.columns import Enum, FieldType, ListOf, Scalar, Struct

VALUES = st.lists(st.sampled_from(["ok", "spam", "insult", None]), min_size=1, max_size=12)


@pytest.mark.parametrize(
    ("values", "answers", "expected"),
    [
        (["a"], 1, Vote("a", 1.0, None)),
        (["a", "b", "b"], 3, Vote("b", 2 / 3, 1 / 3)),
        (["b", "a"], 2, Vote("b", 0.5, 0.0)),
        (["b", "a", "a", "b"], 4, Vote("b", 0.5, 1 / 3)),
        ([True, True], 2, Vote(True, 1.0, 1.0)),
        ([None, None, 3], 3, Vote(None, 2 / 3, 1 / 3)),
        (["a", "a"], 4, Vote("a", 0.5, 1.0)),
        ([], 4, Vote(None, None, None)),
        ([], 0, Vote(None, None, None)),
    ],
    ids=[
        "one",
        "most",
        "tie",
        "tie of two",
        "truth",
        "null is a value",
        "answers without a value",
        "none",
        "no answer",
    ],
)
def test_the_most_frequent_value_wins_and_of_equals_the_first(
    values: list[object], answers: int, expected: Vote
) -> None:
    """With its share of all answers, and the share of pairs that agree."""
    assert vote(values, answers) == expected


@given(VALUES, st.integers(0, 20))
def test_shares_are_shares_of_what_was_counted(values: list[str | None], more: int) -> None:
    """The share is that of the winner among all answers; the agreement is what comparing all pairs gives."""
    found = vote(values, len(values) + more)
    assert found.share == pytest.approx(Counter(values)[found.value] / (len(values) + more))
    assert 0 < found.share <= 1
    pairs = [left == right for left, right in combinations(values, 2)]
    assert found.agreement == (pytest.approx(fmean(pairs)) if pairs else None)


@given(VALUES.flatmap(lambda values: st.tuples(st.just(values), st.permutations(values))))
def test_the_order_of_the_samples_decides_ties_only(orders: tuple[list[str | None], list[str | None]]) -> None:
    """Shares and agreement do not depend on it, and the vote only among values that are equally frequent."""
    one, other = (vote(values, len(values)) for values in orders)
    assert (one.share, one.agreement) == (other.share, other.agreement)
    counts = Counter(orders[0])
    assert counts[one.value] == counts[other.value] == max(counts.values())
    if list(counts.values()).count(max(counts.values())) == 1:
        assert one.value == other.value


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False) | st.none(), max_size=12))
def test_a_mean_lies_among_its_numbers(values: list[float | None]) -> None:
    """Also where their sum is beyond what a float holds; nulls are left out."""
    known = [value for value in values if value is not None]
    found = mean(values)
    assert (found is None) == (not known)
    if found is not None:
        assert min(known) <= found <= max(known)


@pytest.mark.parametrize(
    ("type_", "expected"),
    [
        (Scalar("string"), ("vote", "share", "agreement")),
        (Scalar("int"), ("vote", "share", "agreement")),
        (Scalar("bool", nullable=True), ("vote", "share", "agreement")),
        (Enum(("a",)), ("vote", "share", "agreement")),
        (Scalar("float"), ("mean",)),
        (Scalar("json"), ()),
        (ListOf(Scalar("int")), ()),
        (Struct(()), ()),
    ],
)
def test_every_type_has_the_columns_that_make_sense_for_it(type_: FieldType, expected: tuple[str, ...]) -> None:
    """And a value for each, also where no sample gave one."""
    assert endings(type_) == tuple(tallied(type_, [], 0)) == expected
    assert set(tallied(type_, [], 0).values()) <= {None}
