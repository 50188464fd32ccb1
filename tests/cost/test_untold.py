"""Attempts whose provider told no tokens: which are free, and of which nobody knows what they cost."""

from __future__ import annotations

import pytest

from pipeline.cost.untold import is_free
from pipeline.records import Usage


@pytest.mark.parametrize(
    ("state", "kind", "usage", "free"),
    [
        ("never", "rate_limit", Usage(), True),
        ("never", "too_large", Usage(), True),
        ("refused", "too_large", Usage(), False),
        ("refused", "server", Usage(), True),
        ("refused", "unrecognised", Usage(), False),
        ("refused", "cancelled", Usage(), False),
        ("unknown", "server", Usage(), False),
        ("sent", None, Usage(), False),
        ("answered", None, Usage(), False),
        ("refused", "server", Usage(total_tokens=3), False),
        ("refused", "server", Usage(0, None, 0), False),
    ],
)
def test_only_a_plain_no_without_tokens_is_free(state: str, kind: str | None, usage: Usage, free: bool) -> None:
    """Whatever may have run has a cost, known or not; told tokens have a price of their own, if of zero."""
    assert is_free(state, kind, usage) is free
