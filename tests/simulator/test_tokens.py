"""How the simulator counts the tokens of a text."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from pipeline.simulator.tokens import count_text, cut_text

TEXTS = st.text() | st.text(alphabet="abZ09 \t\n.,_\x00\x1c\x7fé") | st.text(alphabet="ab ", min_size=10)


@given(text=TEXTS)
def test_a_token_is_six_letters_or_digits_at_most_or_one_other_character(text: str) -> None:
    """Whatever way they are counted."""
    assert count_text(text) == len(re.findall(r"[A-Za-z0-9]{1,6}|\S", text))


@given(text=TEXTS, limit=st.integers(0, 20))
def test_a_cut_text_has_as_many_tokens_as_it_may(text: str, limit: int) -> None:
    """Or all it had, where those are fewer."""
    assert count_text(cut_text(text, limit)) == min(limit, count_text(text))
