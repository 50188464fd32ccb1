"""A stranger's text becomes a message that is short, plain and keeps no secret."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.wire.wording import presentable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain words", "plain words"),
        ("two\n  lines\tand more ", "two lines and more"),
        ("red \x1b[31mink", "red \\x1b[31mink"),
        ("turned \u202e around\x00", "turned \\u202e around\\x00"),
        ("日本 é 😀", "日本 é 😀"),
        ("a\ud800", "a\\ud800"),
        ("x" * 501, "x" * 499 + "…"),
        (7, "7"),
    ],
)
def test_a_message_is_one_short_line_of_plain_text(text: object, shown: str) -> None:
    """White space is collapsed, control characters are escaped, and 500 characters are enough."""
    assert presentable(text) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Incorrect API key provided: sk-proj-ab12***wxyz. See", "Incorrect API key provided: *** See"),
        ("the key sk-abcdef123456 is bad", "the key sk-*** is bad"),
        ("Authorization: Bearer abc.def-123", "Authorization: Bearer ***"),
        ("bearer TOKEN", "bearer ***"),
        ('{"api_key": "abcdef"}', '{"api_key": "***"}'),
        ("https://user:secret@host/x?api_key=abc&b=1", "https://***@host/x?api_key=***&b=1"),
        ("https://h/p.png?X-Amz-Signature=abc123&y=2", "https://h/p.png?X-Amz-Signature=***&y=2"),
        ("https://h/p?access_token=abc", "https://h/p?access_token=***"),
        ("the risk-free task-force", "the risk-free task-force"),
        ("see https://example.com/a@b", "see https://example.com/a@b"),
    ],
)
def test_what_looks_like_a_secret_is_masked(text: str, shown: str) -> None:
    """Keys, bearer tokens, logins in addresses and signed query parameters never reach a message."""
    assert presentable(text) == shown


def test_a_picture_is_not_shown() -> None:
    """A data URI in an error text is cut down to what it is."""
    assert presentable(f"Invalid 'data:image/png;base64,{'iVBORw0KGgo' * 9}='!") == "Invalid 'data:image/png;base64,…'!"


@given(st.text(st.characters(exclude_categories=())), st.integers(1, 100))
def test_every_message_is_printable_and_within_its_limit(text: str, limit: int) -> None:
    """Whatever a provider says, a terminal can show it."""
    shown = presentable(text, limit=limit)

    assert len(shown) <= limit
    assert shown.isprintable()
