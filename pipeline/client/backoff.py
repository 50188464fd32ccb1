"""Ways to wait longer each time. Pure; they take how often it was in vain in a row, from 1, and return seconds."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random

POLL_S = (1.0, 15.0)  # the first wait for an answer in the background, and the longest
POLL_GROWTH = 1.5
ENOUGH_DOUBLINGS = 60  # any cap is reached long before; more would leave the range of floats


def full_jitter(base_s: float, failures: int, cap_s: float, rng: random.Random) -> float:
    """Return anything between 0 and the doubled base: spreads rows that failed together as far as it can."""
    return rng.uniform(0.0, _doubled(base_s, failures, cap_s))


def equal_jitter(base_s: float, failures: int, cap_s: float, rng: random.Random) -> float:
    """Return at least half of the doubled base: against a rate limit a wait near zero is a wasted request."""
    most = _doubled(base_s, failures, cap_s)
    return rng.uniform(most / 2, most)


def between_polls(looks: int, rng: random.Random) -> float:
    """Return how long to leave an answer alone that is being made: half as long again each time, less up to a quarter of it."""
    shortest, longest = POLL_S
    return min(longest, shortest * POLL_GROWTH ** min(looks - 1, ENOUGH_DOUBLINGS)) * rng.uniform(0.75, 1.0)


def _doubled(base_s: float, failures: int, cap_s: float) -> float:
    return min(cap_s, math.ldexp(base_s, min(failures - 1, ENOUGH_DOUBLINGS)))
