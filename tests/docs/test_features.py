"""The README's table of what each dialect takes is what really happens."""

from __future__ import annotations

import features
import pytest

pytestmark = pytest.mark.usefixtures("quick_looks")


def test_the_table_has_every_feature() -> None:
    """And no other."""
    assert list(features.read_back()) == [feature.name for feature in features.FEATURES]


@pytest.mark.parametrize("feature", features.FEATURES, ids=lambda feature: feature.name)
def test_what_the_readme_says_of_a_feature_is_what_happens(feature: features.Feature) -> None:
    """In every dialect and delivery; a delivery that a dialect does not have is refused by its name.

    `python tests/docs/features.py` makes the table anew.
    """
    outcomes = features.found(feature)
    assert features.told(outcomes) == features.read_back()[feature.name]
    for dialect, by in outcomes.items():
        for delivery in set(features.DELIVERIES) - features.DIALECTS[dialect].deliveries:
            assert by[delivery].startswith(f"{dialect} has no delivery {delivery}")
