"""Media cost what the vendors' public pages say: the vectors of those pages, and figures worked out from them by hand.

OpenAI: guide "Images and vision" (read 2026-11). The guide itself gives 1024 patches for 1024 x 1024 and 1452 for 1800 x 2400, older
copies 765 tokens for 1024 x 1024 and 1105 for 2048 x 4096. Google: "Image understanding", "Media resolution" and "Video understanding"
(read 2026-11), of which 960 x 540 in six tiles is an example.
"""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.cost.families import FAMILIES, UNKNOWN, family_of
from pipeline.cost.media_tokens import Family, image_tokens, page_tokens, video_tokens

MODELS = (
    ("gpt-4o", "gpt-4.1"),
    ("gpt-5", "gpt-5-chat-latest"),
    ("o3", "o1-pro"),
    ("gpt-4o-mini",),
    ("gpt-5.2", "gpt-5.3-codex"),
    ("gpt-5-mini", "gpt-5.4-mini", "gpt-4.1-mini"),
    ("gpt-5-nano", "gpt-5.4-nano", "gpt-4.1-nano"),
    ("o4-mini",),
    ("gpt-5.4", "gpt-5.5"),
)
AT_HIGH = (
    # size, then the tokens of each of those at detail high
    ((256, 256), 255, 210, 225, 8_500, 64, 103.68, 157.44, 110.08, 64),
    ((512, 512), 255, 210, 225, 8_500, 256, 414.72, 629.76, 440.32, 256),
    ((640, 480), 425, 350, 375, 14_167, 300, 486, 738, 516, 300),
    ((1024, 1024), 765, 630, 675, 25_501, 1_024, 1_658.88, 2_519.04, 1_761.28, 1_024),
    ((1920, 1080), 1_105, 910, 975, 36_835, 1_508, 2_442.96, 3_709.68, 2_593.76, 2_040),
    ((1800, 2400), 765, 630, 675, 25_501, 1_452, 2_352.24, 3_571.92, 2_497.44, 2_451),
    ((2048, 4096), 1_105, 910, 975, 36_835, 1_458, 2_361.96, 3_586.68, 2_507.76, 2_048),
    ((4000, 3000), 765, 630, 675, 25_501, 1_452, 2_352.24, 3_571.92, 2_497.44, 2_451),
    ((6000, 4000), 1_105, 910, 975, 36_835, 1_536, 2_488.32, 3_778.56, 2_641.92, 2_400),
)
AT_ORIGINAL = (
    # size, gpt-5.4 and gpt-5.5, gpt-5.6
    ((256, 256), 64, 64),
    ((512, 512), 256, 256),
    ((640, 480), 300, 300),
    ((1024, 1024), 1_024, 1_024),
    ((1920, 1080), 2_040, 2_040),
    ((1800, 2400), 4_275, 4_275),
    ((2048, 4096), 8_192, 8_192),
    ((4000, 3000), 9_890, 11_750),
    ((6000, 4000), 9_882, 23_500),
)
SIDES = st.integers(1, 12_000)
DETAILS = st.sampled_from([None, "auto", "low", "high", "original"])
EVERY = (*FAMILIES, UNKNOWN)


@pytest.mark.parametrize(
    ("model", "size", "tokens"),
    [
        (model, size, tokens)
        for size, *row in AT_HIGH
        for models, tokens in zip(MODELS, row, strict=True)
        for model in models
    ],
)
def test_a_picture_at_high_costs_what_the_guide_says(model: str, size: tuple[int, int], tokens: float) -> None:
    """Tiles or patches, scaled to fit, times the model's factor."""
    assert image_tokens(family_of(model), *size, "high") == pytest.approx(tokens, abs=0.005)


@pytest.mark.parametrize(
    ("model", "size", "tokens"),
    [
        (model, size, tokens)
        for size, limited, free in AT_ORIGINAL
        for model, tokens in (("gpt-5.4", limited), ("gpt-5.5", limited), ("gpt-5.6", free))
    ],
)
def test_original_has_a_limit_until_gpt_5_6(model: str, size: tuple[int, int], tokens: float) -> None:
    """Ten thousand patches or 6,000 pixels; the newest has none at all."""
    assert image_tokens(family_of(model), *size, "original") == tokens


@pytest.mark.parametrize("omitted", [None, "auto"])
@pytest.mark.parametrize(("model", "tokens"), [("gpt-5.4", 2_451), ("gpt-5.5", 9_890), ("gpt-5.6", 11_750)])
def test_what_is_left_out_differs_by_model(model: str, tokens: float, omitted: str | None) -> None:
    """A photo of 4000 x 3000 without a detail: high, then original, then original without a limit."""
    assert image_tokens(family_of(model), 4000, 3000, omitted) == tokens


@pytest.mark.parametrize(
    ("model", "tokens"), [("gpt-4o", 85), ("gpt-5", 70), ("o3", 75), ("gpt-4o-mini", 2_833), ("gpt-5-mini", 414.72)]
)
def test_low_is_cheap(model: str, tokens: float) -> None:
    """The base alone where tiles are counted, some 256 patches elsewhere."""
    assert image_tokens(family_of(model), 4096, 4096, "low") == pytest.approx(tokens)


@pytest.mark.parametrize(
    ("size", "tokens"),
    [
        ((384, 384), 258),
        ((960, 540), 1_548),
        ((640, 480), 1_032),
        ((1024, 1024), 1_032),
        ((1920, 1080), 1_548),
        ((4000, 3000), 1_032),
    ],
)
def test_gemini_2_counts_squares(size: tuple[int, int], tokens: float) -> None:
    """By shape and not by size, once a picture is larger than 384 pixels."""
    assert image_tokens(family_of("gemini-2.5-flash"), *size) == tokens
    assert image_tokens(family_of("gemini-2.5-flash"), *size, "low") == 64


@pytest.mark.parametrize(
    ("detail", "tokens"), [(None, 1_120), ("low", 280), ("medium", 560), ("high", 1_120), ("ultra_high", 2_240)]
)
def test_gemini_3_counts_every_picture_alike(detail: str | None, tokens: float) -> None:
    """The resolution that is asked for decides, whatever its size."""
    assert {image_tokens(family_of("gemini-3-pro"), *size, detail) for size in ((1, 1), (9000, 50))} == {tokens}


@pytest.mark.parametrize(
    ("model", "detail", "fps", "seconds", "tokens"),
    [
        ("gemini-2.5-pro", None, 1, 60, 17_400),
        ("gemini-2.5-pro", "low", 1, 60, 5_880),
        ("gemini-3-pro", None, 1, 60, 5_700),
        ("gemini-3-pro", "high", 1, 1, 305),
        ("gemini-3-pro", None, 5, 1, 375),
    ],
)
def test_a_video_costs_by_the_second(model: str, detail: str | None, fps: float, seconds: float, tokens: float) -> None:
    """Its frames and its sound; the vendor's rule of thumb (18,000 and 6,000 for a minute) lies within the error."""
    family = family_of(model)
    assert video_tokens(family, seconds, detail, fps=fps) == tokens
    assert family.video.high * 17_400 > 18_000
    assert 5_700 * family_of("gemini-3-pro").video.high > 6_000


@pytest.mark.parametrize(("detail", "tokens"), [(None, 560), ("low", 280), ("medium", 560), ("high", 1_120)])
def test_gemini_3_counts_a_page_as_a_picture(detail: str | None, tokens: float) -> None:
    """At 560 unless another resolution is asked for."""
    assert page_tokens(family_of("gemini-3-flash"), detail) == tokens


def test_openai_does_not_say_what_a_page_costs() -> None:
    """Its text and a picture of it, of no stated size."""
    assert page_tokens(family_of("gpt-5")) is None


@pytest.mark.parametrize("family", EVERY, ids=lambda family: family.name)
@given(SIDES, SIDES, DETAILS)
def test_the_most_holds_against_the_rule(family: Family, width: int, height: int, detail: str | None) -> None:
    """No size costs more than the most for it, nor more than the cap where there is one; and none is free."""
    meant = family.detail(detail)
    tokens, most, cap = (
        image_tokens(family, width, height, detail),
        family.image.most(width, height, meant),
        family.image.cap(meant),
    )
    assert 0 < tokens <= most
    assert cap is None or tokens <= cap
    sided = family.image.cap(meant, max(width, height))
    assert sided is None or tokens <= sided


@given(SIDES, SIDES, st.integers(0, 3_000), st.integers(0, 3_000))
def test_a_larger_picture_is_never_cheaper_without_a_limit(width: int, height: int, wider: int, higher: int) -> None:
    """Where a limit scales pictures down, a larger one may cost a little less, for it is cut to whole patches."""
    newest = family_of("gpt-5.6")
    assert image_tokens(newest, width, height) <= image_tokens(newest, width + wider, height + higher)


@given(st.integers(1, 48), st.integers(1, 32), DETAILS)
def test_patches_within_the_budget_are_those_that_cover_the_picture(across: int, down: int, detail: str | None) -> None:
    """Nothing is scaled then."""
    assert image_tokens(family_of("gpt-5.2"), 32 * across, 32 * down, "high") == across * down


@given(st.floats(0.1, 600), st.floats(0.1, 600))
def test_a_longer_video_is_never_cheaper(one: float, other: float) -> None:
    """By any family's rule."""
    for family in EVERY:
        assert video_tokens(family, min(one, other)) <= video_tokens(family, max(one, other))
        assert math.isfinite(video_tokens(family, one))
