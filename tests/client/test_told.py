"""What is believed of the limits that answers tell."""

from __future__ import annotations

import pytest

from pipeline.client.told import HOLDS_S, LAPSES_S, ToldLimit


@pytest.mark.parametrize(
    ("told", "holds"),
    [
        pytest.param([(0, 600), (1, 601), (2, 600), (3, 601)], 600, id="the lower of two that alternate"),
        pytest.param([(0, 600), (1, 60)], 60, id="a lower one at once"),
        pytest.param([(0, 1), (HOLDS_S - 1, 600)], 1, id="a higher one not yet"),
        pytest.param([(0, 1), (HOLDS_S, 600)], 600, id="a higher one after a minute"),
        pytest.param([(0, 1), (HOLDS_S - 1, 1), (HOLDS_S, 600)], 1, id="one that was repeated"),
        pytest.param([(0, 600), (LAPSES_S - 1, None)], 600, id="silence that may yet be broken"),
        pytest.param([(0, 600), (LAPSES_S, None)], None, id="silence"),
        pytest.param([(0, 600), (LAPSES_S, None), (LAPSES_S, 700)], 700, id="a word after silence"),
        pytest.param([(0, None), (1, 0), (2, -1)], None, id="nothing"),
    ],
)
def test_the_lowest_of_a_minute_holds(told: list[tuple[float, float | None]], holds: float | None) -> None:
    """And none holds for good."""
    limit = ToldLimit()
    assert [limit.hear(per_minute, at) for at, per_minute in told][-1] == holds
