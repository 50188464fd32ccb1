"""Figures that read well, and text that cannot steer a terminal."""

from __future__ import annotations

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.records import Usage
from pipeline.report.text import (
    block,
    columns,
    compact,
    counted,
    duration,
    listed,
    percent,
    pretty,
    share,
    tally_of,
    tokens,
    visible,
)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain words", "plain words"),
        ("\x1b[31mred\x1b[0m", r"\x1b[31mred\x1b[0m"),
        ("\x1b]52;c;aGk=\x07", r"\x1b]52;c;aGk=\x07"),
        ("\x9b2J", r"\x9b2J"),
        ("evil\u202egpj.exe", r"evil\u202egpj.exe"),
        ("a\x00b\nc\r\td", r"a\x00b\nc\r\td"),
        ("no\u00a0break", "no break"),
        ("\ud800", r"\ud800"),
        ("猫がいる", "猫がいる"),
    ],
)
def test_what_a_terminal_obeys_or_hides_is_shown_as_an_escape(text: str, shown: str) -> None:
    """Control, bidirectional and lone surrogate characters come out as escapes, everything else as it is."""
    assert visible(text) == shown


@given(st.text(), st.integers(1, 30))
def test_visible_text_is_printable_and_fits(text: str, width: int) -> None:
    """Whatever goes in, what comes out is one printable line no wider than asked."""
    shown = visible(text, width)
    assert shown.isprintable()
    assert columns(shown) <= width


def test_a_cut_text_ends_in_an_ellipsis() -> None:
    """A text that does not fit says so, also where wide characters leave a column unused."""
    assert visible("abcdef", 4) == "abc…"
    assert visible("猫猫猫", 4) == "猫…"
    assert visible("abcd", 4) == "abcd"


def test_a_block_keeps_its_lines_and_nothing_else() -> None:
    """Line ends are layout in a block; carriage returns are not."""
    assert block("one\ntwo\r\x1b", "  ") == "  one\n  two\\r\\x1b"


@given(
    st.recursive(
        st.text() | st.integers() | st.none(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=10,
    )
)
def test_pretty_json_is_printable_and_still_the_same_json(value: object) -> None:
    """Escaping what is dangerous changes nothing of what the JSON says."""
    shown = pretty(value)
    assert all(line.isprintable() for line in shown.split("\n"))
    assert json.loads(shown) == value


def test_a_data_url_is_named_instead_of_shown() -> None:
    """Nobody reads megabytes of base64."""
    url = "data:image/png;base64," + "A" * 5000
    assert pretty({"image_url": url}) == '{\n  "image_url": "<data:image/png;base64,… 5,022 characters>"\n}'


@given(st.text())
def test_json_for_machines_is_printable_ascii(text: str) -> None:
    """A JSON line may be shown on a terminal, so it holds nothing but printable ASCII."""
    line = compact({"text": text})
    assert line.isascii()
    assert line.isprintable()
    assert not any(unicodedata.category(char).startswith("C") for char in line)


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (-0.5, "0.0 s"),
        (3.21, "3.2 s"),
        (9.96, "10 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (125, "2 min 05 s"),
        (4800, "1 h 20 min"),
        (90_000, "1 d 01 h"),
    ],
)
def test_a_duration_is_told_in_its_two_largest_units(seconds: float, shown: str) -> None:
    """Durations are as exact as a person needs them."""
    assert duration(seconds) == shown


@pytest.mark.parametrize(
    ("done", "rows", "shown"), [(0, 0, "0 %"), (0, 9, "0 %"), (1999, 2000, "99 %"), (9, 9, "99 %"), (12, 9, "99 %")]
)
def test_a_percentage_is_rounded_down_and_never_a_hundred(done: int, rows: int, shown: str) -> None:
    """That something is finished is not for a percentage to say."""
    assert percent(done, rows) == shown


def test_a_share_that_is_everything_says_all() -> None:
    """All rows settled is not the same as 99 %, nor as a finished run."""
    assert [share(8, 9), share(9, 9), share(0, 0)] == ["88 %", "all", "0 %"]


def test_counts_and_lists_read_as_prose() -> None:
    """One row is a row, many are rows, and too many are counted."""
    assert [counted(1, "row"), counted(12_345, "row")] == ["1 row", "12,345 rows"]
    assert [listed([3]), listed([7, 3]), listed(range(8))] == ["row 3", "rows 3 and 7", "rows 0, 1, 2, 3, 4 and 3 more"]
    assert tally_of({"media": 4, "rate_limit": 8, "a\x1b": 4}) == r"rate_limit 8, a\x1b 4, media 4"


@pytest.mark.parametrize(
    ("usage", "shown"),
    [
        (Usage(12_345, 0, 1_234, 0, 13_579), "12,345 in (0 cached) + 1,234 out = 13,579"),
        (Usage(100, 64, 50, 20, 150), "100 in (64 cached) + 50 out (20 reasoning) = 150"),
        (Usage(100, None, 50, None, None), "100 in (cached unknown) + 50 out (reasoning unknown) = unknown"),
        (Usage(), "unknown"),
    ],
)
def test_tokens_that_are_not_known_say_so(usage: Usage, shown: str) -> None:
    """Unknown is never shown as 0."""
    assert tokens(usage) == shown
