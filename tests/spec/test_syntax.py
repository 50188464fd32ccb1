"""JSON and TOML say the same things in the same places as YAML does."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.spec.load import load_text
from pipeline.spec.problems import Report
from pipeline.spec.syntax import read
from pipeline.spec.tree import Entries, Leaf

Mistakes = Callable[..., list[str]]

JSON = """\
{
  "provider": "simulator",
  "model": "m",
  "input": {"path": "a.csv", "limmit": 3},
  "prompt": "hi",
  "output": "o.parquet"
}
"""
TOML = """\
provider = "simulator"
model = "m"
prompt.user = [{text = "a"}, {txt = "b"}]

[input]
path = "a.csv"
limmit = 3

[output]
path = "o.parquet"
fields.a = "itn"

[[tests]]
x = 1
"""


def test_a_mistake_in_json_has_its_line(mistakes: Mistakes) -> None:
    """JSON's values have places, as YAML's have."""
    assert mistakes(JSON, format="json") == ["4:30 input.limmit: is not a setting here (limit?)"]


def test_a_mistake_in_toml_has_the_line_of_its_key(mistakes: Mistakes) -> None:
    """TOML's parser gives no places, so the keys are searched; inside an inline table the table's line is shown."""
    assert mistakes(TOML, format="toml") == [
        "3:1 prompt.user[1].txt: is not a setting here (text?)",
        "7:1 input.limmit: is not a setting here (limit?)",
        "11:1 output.fields.a: 'itn' is not a type; types are string, int, float, bool, enum[a, b], list[string] (int?)",
        "13:1 tests: is not a setting here",
    ]


def test_tables_in_a_toml_list_have_their_own_lines(mistakes: Mistakes) -> None:
    """The second `[[prompt.user]]` is the second part."""
    text = 'provider = "simulator"\nmodel = "m"\ninput = "a"\noutput = "o.parquet"\n'
    text += '[[prompt.user]]\ntext = "a"\n[[prompt.user]]\n"txt" = "b"\n'
    assert mistakes(text, format="toml") == ["8:1 prompt.user[1].txt: is not a setting here (text?)"]


@pytest.mark.parametrize(
    ("format_", "text", "mistake"),
    [
        ("json", '{"a": 1,}', "1:"),
        ("json", "{\n'a': 1}", "2:1 : is not JSON: expecting property name enclosed in double quotes"),
        ("json", '{"a": NaN}', ": is not JSON: NaN is no JSON number"),
        ("json", "[" * 100_000, ": is nested more than 50 levels deep"),
        ("json", '{"a": 1, "a": 2}', "1:10 a: stands here a second time; the first is in line 1, column 2"),
        ("json", "a: 1", "1:1 : is not JSON: expecting value"),
        ("toml", "a = \n", "1:5 : is not TOML: invalid value"),
        ("toml", "a = 1\na = 2\n", "2:6 : is not TOML: cannot overwrite a value"),
        ("toml", "a = " + "[" * 2000 + "]" * 2000, ": is nested more than 50 levels deep"),
        ("toml", "a" + ".a" * 100 + " = 1", ": is nested more than 50 levels deep"),
        ("toml", 'a = """\n', "2:1 : is not TOML: "),
        ("yaml", "", ": is empty"),
        ("yaml", "- a", "1:1 : must be a map of settings"),
        ("yaml", "a: \x00", "1:4 : holds the character U+0000, which is not text"),
        ("yaml", "a:\n b: \x1b[31m", "2:5 : holds the character U+001B, which is not text"),
        ("json", '"\ud800"', "1:2 : holds the character U+D800, which is not text"),
    ],
)
def test_a_syntax_error_has_its_place(mistakes: Mistakes, format_: str, text: str, mistake: str) -> None:
    """Broken JSON and TOML, and text that is none, are named with line and column where there is one."""
    assert any(found.startswith(mistake) for found in mistakes(text, format=format_))


@pytest.mark.parametrize("format_", ["json", "yaml", "toml"])
def test_all_escapes_of_json_strings_are_read(format_: str) -> None:
    """A surrogate pair, as JSON writers put an emoji into ASCII, is the emoji."""
    quoted = json.dumps('🦉 "a" \\ \\ud83e / \t') if format_ == "json" else '"🦉 \\"a\\" \\\\ \\\\ud83e / \\t"'
    text = f"a = {quoted}" if format_ == "toml" else f'{{"a": {quoted}}}'
    leaf = read(text, format_, Report("", "")).nodes["a"]  # type: ignore[arg-type]
    assert isinstance(leaf, Leaf)
    assert leaf.value == '🦉 "a" \\ \\ud83e / \t'


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff"), max_size=50))
def test_every_text_survives_json(text: str) -> None:
    """Whatever Python writes as JSON is read back as the same text, escaped or not."""
    for ascii_only in (True, False):
        root = read(json.dumps({"a": text}, ensure_ascii=ascii_only), "json", Report("", ""))
        leaf = root.nodes["a"]
        assert isinstance(leaf, Leaf)
        assert leaf.value == text


def test_dates_in_toml_are_text() -> None:
    """A date stays as it is written, as in YAML."""
    root = read("a = 1979-05-27\nb = {c = 07:32:00}", "toml", Report("", ""))
    inner = root.nodes["b"]
    assert isinstance(inner, Entries)
    assert [root.nodes["a"].value, inner.nodes["c"].value] == ["1979-05-27", "07:32:00"]  # type: ignore[union-attr]


def test_a_number_wider_than_python_writes_is_no_crash(mistakes: Mistakes) -> None:
    """A hexadecimal number of thousands of digits is a mistake like any other."""
    assert any("name: must be" in mistake for mistake in mistakes("name = 0x" + "f" * 9000, format="toml"))


def test_strings_of_json_stay_strings_after_interpolation() -> None:
    """In JSON and TOML all text is quoted, so a variable's text never becomes a number there."""
    text = JSON.replace('"limmit": 3', '"where": "${N}"')
    assert load_text(text, format="json", folder=Path("/specs"), environ={"N": "5"}).input.where == "5"
