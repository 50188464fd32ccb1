"""How heavy a request is before anybody has counted."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.cost.tokens import request_weight

SIZES = st.integers(0, 10**9)


@given(SIZES, st.integers(0, 50), st.none() | st.integers(1, 10**6))
def test_a_weight_is_a_whole_number_of_tokens(text_bytes: int, images: int, cap: int | None) -> None:
    """At least one, for the throttle reserves it."""
    weight = request_weight(text_bytes, ["image"] * images, cap)
    assert isinstance(weight, int)
    assert weight >= 1


@given(SIZES, SIZES, st.integers(0, 50))
def test_more_text_and_more_pictures_are_never_lighter(one: int, other: int, images: int) -> None:
    """Weight grows with what is sent."""
    shown = ["image"] * images
    assert request_weight(min(one, other), shown, None) <= request_weight(max(one, other), shown, None)
    assert request_weight(one, shown, None) < request_weight(one, [*shown, "file"], None)
    assert request_weight(one, [*shown, "file"], None) < request_weight(one, [*shown, "video"], None)


@pytest.mark.parametrize(
    ("cap", "output"), [(None, 300), (10, 10), (300, 300), (100_000, 100_000), ("{{ n }}", 300), (50.5, 300)]
)
def test_the_output_counts_at_its_cap(cap: object, output: int) -> None:
    """As providers count it until the answer is there; without a cap it is an ordinary answer."""
    assert request_weight(0, [], cap) == output


def test_a_text_weighs_about_what_it_costs() -> None:
    """Four bytes to a token, a photograph a thousand."""
    assert request_weight(4000, ["image", "image"], 1) == 1000 + 2000 + 1
