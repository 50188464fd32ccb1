"""The ways to wait longer each time."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from pipeline.client.backoff import POLL_S, between_polls, equal_jitter, full_jitter

bases, caps, failures = st.floats(0.01, 10), st.floats(0.01, 1e4), st.integers(1, 2_000)


@given(base=bases, cap=caps, failures=failures, seed=st.integers())
def test_a_wait_lies_between_its_bounds(base: float, cap: float, failures: int, seed: int) -> None:
    """Neither exceeds the doubled base or the cap, and equal jitter never falls below half of it."""
    most = min(cap, base * 2.0 ** min(failures - 1, 100))
    assert 0 <= full_jitter(base, failures, cap, random.Random(seed)) <= most
    assert most / 2 <= equal_jitter(base, failures, cap, random.Random(seed)) <= most


@given(looks=failures, seed=st.integers())
def test_an_answer_is_looked_at_soon_and_then_less_often(looks: int, seed: int) -> None:
    """After about a second, then half as long again each time, and every quarter of a minute at last."""
    wait, following = (between_polls(n, random.Random(seed)) for n in (looks, looks + 1))
    assert 0.75 <= wait <= following <= min(1.5 * wait + 1e-9, POLL_S[1])
