"""Which models count alike: by their names, as vendors and gateways write them."""

from __future__ import annotations

import re

import pytest

from pipeline.cost.families import FAMILIES, UNKNOWN, family_of
from pipeline.cost.media_tokens import Family


@pytest.mark.parametrize(
    ("model", "family"),
    [
        ("gpt-4o", "gpt-4o, gpt-4.1"),
        ("gpt-4o-2024-08-06", "gpt-4o, gpt-4.1"),
        ("ft:gpt-4o-mini-2024-07-18:org::id", "gpt-4o-mini"),
        ("OpenAI/GPT-5", "gpt-5"),
        ("gpt-5-2025-08-07", "gpt-5"),
        ("gpt-5-mini-2025-08-07", "mini, patches"),
        ("gpt-5.1", "gpt-5.1"),
        ("gpt-5.1-codex", "codex, patches"),
        ("gpt-5.2-2025-12-11", "gpt-5.2"),
        ("gpt-5.4-nano", "nano, patches"),
        ("gpt-5.6", "gpt-5.6"),
        ("gpt-5.6-mini", "OpenAI, not listed"),
        ("gpt-6", "OpenAI, not listed"),
        ("o3-2025-04-16", "o1, o3"),
        ("o3-mini", "OpenAI, not listed"),
        ("o4-mini", "o4-mini"),
        ("models/gemini-2.0-flash", "Gemini 2"),
        ("google/gemini-3-pro-preview", "Gemini 3"),
        ("claude-opus", "unknown"),
        ("gpt", "unknown"),
    ],
)
def test_a_model_has_the_family_of_its_name(model: str, family: str) -> None:
    """Dated, fine-tuned, and with the vendor in front; what no page names is said to be so."""
    assert family_of(model).name == family


@pytest.mark.parametrize("family", [*FAMILIES, UNKNOWN], ids=lambda family: family.name)
def test_every_rule_has_its_source_and_date(family: Family) -> None:
    """And an error that includes the rule itself; where that is wide, a note says why."""
    assert family.source
    assert re.fullmatch(r"20\d\d-\d\d", family.as_of)
    assert family.low <= 1 <= family.high
    assert family.note is not None or (family.low >= 0.9 and family.high <= 1.1)


@pytest.mark.parametrize(("model", "figure"), [("gpt-5.1", 1_452 * 1.2), ("gpt-5.2", 1_452 * 1.2)])
def test_disputed_models_have_a_band_that_holds_the_other_reading(model: str, figure: float) -> None:
    """gpt-5.1 stands in no list, and users saw gpt-5.2 billed at 1.2 times the guide's figure: here a photo of 4000 x 3000."""
    family = family_of(model)
    assert family.note is not None
    assert family.image.tokens(4000, 3000, "high") * family.high >= figure
