"""Mending heads: a length that is said twice is said once, and nothing else changes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.client.heads import once, status_of

FIRST = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    ("said", "mended"),
    [
        (b"content-length: 2\r\nx: 1\r\nContent-Length:2 \r\n\r\n{}", b"content-length: 2\r\nx: 1\r\n\r\n{}"),
        (b"CONTENT-LENGTH: 7, 7 ,07\n\n1234567", b"content-length: 7\r\n\n1234567"),
        (b"content-length: 2, 2\r\ncontent-length: 2\r\n\r\n\ncontent-length: 9\r\n",
         b"content-length: 2\r\n\r\n\ncontent-length: 9\r\n"),
    ],
)  # fmt: skip
def test_an_equal_length_is_said_once(said: bytes, mended: bytes) -> None:
    """However it was repeated; interim answers and bodies are left alone."""
    interim = b"HTTP/1.1 103 Hints\r\ncontent-length: 2\r\ncontent-length: 2\r\n\r\n"
    for before in (FIRST, interim + FIRST):
        assert once(before + said) == before + mended


@pytest.mark.parametrize(
    "said", [b"content-length: 2\r\ncontent-length: 3\r\n\r\n", b"content-length: 2\r\n\r\n", b"x: 1"]
)
def test_what_cannot_be_mended_is_left_as_it_is(said: bytes) -> None:
    """Two lengths that differ are not one."""
    assert once(FIRST + said) == FIRST + said


def test_half_a_head_is_waited_for() -> None:
    """The second length may not be here yet."""
    assert once(FIRST + b"content-length: 2\r\nconten") is None


@given(st.binary(max_size=200))
def test_mending_twice_is_mending_once(said: bytes) -> None:
    """So a head that is refused again is refused for good."""
    mended = once(FIRST + said)
    assert mended is None or once(mended) == mended


def test_the_last_status_counts() -> None:
    """Of all that have begun; a text that only holds one has none."""
    assert status_of(b"HTTP/1.1 100 Go\r\n\r\n" + FIRST) == 200
    assert status_of(b"220 HTTP/1.1 200 OK") is None
