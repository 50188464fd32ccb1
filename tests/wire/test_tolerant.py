"""JSON that others wrote is read where a person could read it, and what comes out is safe to walk and to write."""

from __future__ import annotations

import math
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.wire import tolerant
from pipeline.wire.tolerant import MAX_DEPTH, TOO_DEEP, NotJsonError, clean, parse, read, tamed


@pytest.mark.parametrize(
    ("content", "value"),
    [
        (b'{"a": [1, 2.5, null, true]}', {"a": [1, 2.5, None, True]}),
        ('{"a": "\\u65e5"}', {"a": "日"}),
        (b'\xef\xbb\xbf {"a": 1}\n', {"a": 1}),
        (b'["\xff"]', ["\ufffd"]),
        (b'["\\ud83d\\ude00"]', ["😀"]),
        (b"[1" + b"0" * 30 + b"]", [1e30]),
        (b"[Infinity, 1" + b"0" * 30 + b"]", [math.inf, 1e30]),
        (b"[Infinity, 1" + b"0" * 5000 + b"]", [math.inf, math.inf]),
    ],
)
def test_what_a_person_could_read_is_read(content: bytes | str, value: object) -> None:
    """A strict parser's refusals are not ours."""
    assert parse(content) == value


@pytest.mark.parametrize(
    ("content", "cut"),
    [
        (b"", True),
        (b"  ", True),
        (b'{"a": 1', True),
        (b'[1, "half', True),
        (b'{"a": {"b": "}', True),
        (b"[" * 100_000, False),
        (b"words", False),
        (b"{]", False),
        (b"{} {}", False),
    ],
)
def test_what_is_no_json_says_whether_it_was_cut(content: bytes, cut: bool) -> None:
    """A text that begins as JSON and stops inside may come whole the next time."""
    with pytest.raises(NotJsonError) as caught:
        parse(content)

    assert caught.value.cut is cut


@given(st.binary() | st.text(st.characters(exclude_categories=())))
def test_no_content_makes_the_parser_stumble(content: bytes | str) -> None:
    """A value or ``NotJsonError``, whatever comes."""
    with suppress(NotJsonError):
        parse(content)


@given(st.text(st.characters(exclude_categories=())))
def test_cleaned_text_can_be_written_and_good_text_is_not_touched(text: str) -> None:
    """Only lone surrogates are replaced; pairs of them become the character they stand for."""
    assert clean(text).encode().decode() == clean(text)
    if not any("\ud800" <= character <= "\udfff" for character in text):
        assert clean(text) == text


def test_the_deepest_levels_are_cut_off() -> None:
    """What is left can be written by the journal."""
    value: Any = "bottom"
    for _ in range(5000):
        value = {"a": [value]}
    kept = tamed(value)

    assert TOO_DEEP.encode() in orjson.dumps(kept)
    assert orjson.dumps(kept).count(b"[") == MAX_DEPTH // 2 + 1


def test_keys_are_tamed_too() -> None:
    """A lone surrogate in a name would stop the writer just the same."""
    assert tamed({"a\ud800": ["b\udc00"]}) == {"a\ufffd": ["b\ufffd"]}


_BODIES = [path.read_bytes() for path in sorted(Path(__file__).with_name("golden").glob("*.res.*.json"))]
_DAMAGE = st.sampled_from(
    [b"", b"\xff", b"\\ud800", b"\\u0000", b"[" * 60, b"]" * 60, b'{"a":' * 60, b"NaN", b"9" * 30, b'"', "日".encode()]
)


@given(st.sampled_from(_BODIES), st.lists(st.tuples(st.floats(0, 1), st.integers(0, 3), _DAMAGE), max_size=3))
def test_the_short_way_to_a_body_ends_where_the_long_one_does(
    body: bytes, damages: list[tuple[float, int, bytes]]
) -> None:
    """Whatever befell it: to spare the walk through it never changes what comes out."""
    for place, removed, put in damages:
        start = int(place * len(body))
        body = body[:start] + put + body[start + removed :]
    try:
        read_slowly = repr(tolerant._tamed(parse(body)))
    except NotJsonError:
        with pytest.raises(NotJsonError):
            read(body)
    else:
        assert repr(read(body)) == read_slowly
        assert repr(tamed(parse(body))) == read_slowly


@pytest.mark.parametrize("depth", [MAX_DEPTH - 1, MAX_DEPTH, MAX_DEPTH + 1, 250, 300])
def test_only_what_nests_too_deeply_is_cut_off(depth: int) -> None:
    """By the same level whichever way is taken."""
    content = b"[" * depth + b"]" * depth
    assert read(content) == tamed(parse(content)) == tolerant._tamed(parse(content))
    assert (TOO_DEEP in str(read(content))) is (depth > MAX_DEPTH)
