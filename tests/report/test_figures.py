"""Figures read well, and no text hides anything."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.report.figures import count, money, plain, points, seconds, share, short, shown, signed, when


@pytest.mark.parametrize(
    ("usd", "text"),
    [
        (None, "unknown"),
        (0.0, "$0.00"),
        (1204.4, "$1,204"),
        (12.4, "$12.40"),
        (0.9999, "$1.00"),
        (0.0123, "$0.0123"),
        (0.5, "$0.500"),
        (0.034, "$0.0340"),
        (0.000864, "$0.000864"),
        (0.0999999, "$0.100"),
        (-2.0, "-$2.00"),
    ],
)
def test_money_has_cents_from_a_dollar_on_and_three_digits_below(usd: float | None, text: str) -> None:
    """What is small still says how much it is, and unknown is not nothing."""
    assert money(usd) == text


@pytest.mark.parametrize(
    ("told", "text"),
    [
        (short(None), "unknown"),
        (short(812), "812"),
        (short(12_345), "12.3 k"),
        (short(1_204_000), "1.20 M"),
        (short(999_700), "1.00 M"),
        (short(9_999), "10.0 k"),
        (short(3.2e9), "3.20 B"),
        (count(12_345), "12,345"),
        (count(None), "unknown"),
        (seconds(0.34), "340 ms"),
        (seconds(125), "2 min 05 s"),
        (seconds(0), "0.0 s"),
        (seconds(None), "unknown"),
        (share(1, 3), "33.3 %"),
        (share(2, 2), "100 %"),
        (share(9_999_999, 10_000_000), "> 99.9 %"),
        (share(1, 10_000_000), "< 0.1 %"),
        (share(0, 5), "0 %"),
        (share(1, 0), "unknown"),
        (signed(0.041), "+4.1 %"),
        (signed(-0.2), "\N{MINUS SIGN}20.0 %"),
        (signed(0.0), "±0 %"),
        (signed(None), "unknown"),
        (points(0.0227), "+2.3 points"),
        (points(-0.1), "\N{MINUS SIGN}10.0 points"),
        (points(0.0), "±0 points"),
        (seconds(-5.0), "unknown"),
        (seconds(float("inf")), "unknown"),
        (when(1.2e12), "unknown"),
        (when(-1e11), "unknown"),
        (when(float("inf")), "unknown"),
        (when(0.0), "1 Jan 1970, 00:00 UTC"),
        (when(None), "unknown"),
    ],
)
def test_figures_read_well(told: str, text: str) -> None:
    """Counts, shares, times and errors, each in its form."""
    assert told == text


def test_hidden_characters_are_shown_and_scripts_of_the_world_stay() -> None:
    """Overrides, controls and lone surrogates become escapes; joiners, which emoji and Persian need, line ends and tabs stay."""
    assert shown("a\u202eb\x00\ud800\u2028") == "a\\u202eb\\x00\\ud800\\u2028"
    assert shown("\u0645\u06cc\u200c\u062e 👩‍👧 漢字\tx\r\ny") == "\u0645\u06cc\u200c\u062e 👩‍👧 漢字\tx\ny"


@given(st.text(st.characters()))
def test_shown_text_can_be_written_as_utf_8_and_shows_everything(text: str) -> None:
    """Whatever a stranger writes, and showing it twice changes nothing more."""
    once = shown(text)
    once.encode()
    assert shown(once) == once


def test_long_texts_are_cut_where_they_would_break_the_page() -> None:
    """Names of values and keys too."""
    assert plain({"k" * 9: ["v" * 9, 1, None]}, 5) == {"kkkkk…": ["vvvvv…", 1, None]}
