"""Templates are strict, see the row and nothing else, and never turn a null into a word."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import NullCell, PromptError
from pipeline.prompt.template import Context, Templates, is_template, sole_column

PLACE = "prompt.user"


def render(source: str, cells: Mapping[str, object], *, null_is_empty: bool = False) -> str:
    """Compile a template, and render it with just the columns that it uses."""
    templates = Templates(null_is_empty=null_is_empty)
    templates.add(PLACE, source)
    return templates.render(PLACE, Context(cells, templates.columns[PLACE]))


def used(source: str) -> set[str]:
    """Return the columns that a template is found to use."""
    templates = Templates()
    templates.add(PLACE, source)
    return templates.columns[PLACE]


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_a_text_stands_in_the_prompt_as_it_is(text: str) -> None:
    """No character of a cell is escaped, trimmed or read as a template."""
    assert render("<{{ x }}>\n", {"x": text}) == f"<{text}>\n"


@pytest.mark.parametrize("text", ["{{ secret }}", "{% for i in range(9) %}x{% endfor %}", "{# gone #}", "{{ x }}"])
def test_a_cell_is_never_a_template_again(text: str) -> None:
    """Jinja in a cell is text, by itself, in a list and after a filter."""
    assert render("{{ x }} {{ xs|join }} {{ x|trim }}", {"x": text, "xs": [text]}) == f"{text} {text} {text}"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Decimal("1.10"), "1.10"),
        (Decimal("12345678901234567890.123456789012345678"), "12345678901234567890.123456789012345678"),
        (2**63 - 1, "9223372036854775807"),
        (-(2**63), "-9223372036854775808"),
        (2**64 - 1, "18446744073709551615"),
        (1.0, "1.0"),
        (0.1, "0.1"),
        (True, "True"),
        (date(2026, 1, 2), "2026-01-02"),
        (time(1, 2, 3), "01:02:03"),
        (datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "2026-01-02 03:04:05+00:00"),
        (timedelta(days=3), "3 days, 0:00:00"),
        ([1, [Decimal("2.50")]], "[1, ['2.50']]"),
        ({"a": {"b": Decimal("2.50")}}, "{'a': {'b': '2.50'}}"),
    ],
)
def test_a_value_is_written_exactly(value: object, text: str) -> None:
    """Numbers lose no digit, decimals keep their zeros, dates are ISO."""
    assert render("{{ x }}", {"x": value}) == text


WRITINGS = [
    "{{ x }}",
    "{{ row.x }}",
    "{{ row['x'] }}",
    "{{ x|upper }}",
    "{{ x|trim }}",
    "{{ x|string }}",
    "{{ x|tojson }}",
    "{{ x|escape }}",
    "{{ x|safe }}",
    "{{ x|urlencode }}",
    "{{ x|replace('a', 'b') }}",
    "{{ 'abc'|replace('b', x) }}",
    "{{ 'a %s'|format(x) }}",
    "{{ x ~ 'a' }}",
    "{{ [x]|join(', ') }}",
    "{{ [x] }}",
    "{{ {'key': x} }}",
    "{% set y = x %}{{ y }}",
    "{% for y in [x] %}{{ y }}{% endfor %}",
    "{% macro m(y) %}{{ y }}{% endmacro %}{{ m(x) }}",
    "{% if x is none %}{{ x }}{% endif %}",
    "{{ x if true }}",
]


@pytest.mark.parametrize("source", WRITINGS)
def test_a_null_that_would_become_text_fails_the_row(source: str) -> None:
    """By itself, in a filter, joined or concatenated: the row has a null cell, with the column's name."""
    with pytest.raises(NullCell, match="column 'x' is null"):
        render(source, {"x": None})


@pytest.mark.parametrize("source", WRITINGS)
def test_an_empty_null_is_never_the_word_none(source: str) -> None:
    """With ``on_null: empty`` nothing is written for a null, wherever it would have become text."""
    assert "none" not in render(source, {"x": None}, null_is_empty=True).lower()


def test_an_empty_null_writes_nothing() -> None:
    """With ``on_null: empty`` what stands around a null stays."""
    assert render("a{{ x }}b {{ y }}", {"x": None, "y": 1}, null_is_empty=True) == "ab 1"


@pytest.mark.parametrize(
    ("cells", "source", "named"),
    [
        ({"x": ["a", None]}, "{{ x|join }}", r"x\[1\]"),
        ({"x": {"a": {"b": None}}}, "{{ x }}", r"x\.a\.b"),
        ({"x": {"a": None}}, "{{ x.a }}", r"x\.a"),
        ({"a b": None}, "{{ row['a b'] }}", "a b"),
    ],
)
def test_a_null_inside_a_cell_is_named(cells: Mapping[str, object], source: str, named: str) -> None:
    """The message says which item of a list or member of a struct is null."""
    with pytest.raises(NullCell, match=f"column '{named}' is null"):
        render(source, cells)


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("{% if x is none %}no{% else %}{{ x }}{% endif %}", "no"),
        ("{% if x is not none %}{{ x }}{% endif %}", ""),
        ("{% if x %}{{ x }}{% endif %}", ""),
        ("{{ x or 'no' }}", "no"),
        ("{{ x|default('no') }}", "no"),
        ("{{ x|d('no') }}", "no"),
        ("{{ x|default('no', true) }}", "no"),
        ("{{ [x, 'a']|reject('none')|join }}", "a"),
        ("{{ 'yes' if x is defined }}", "yes"),
    ],
)
def test_a_null_may_be_tested(source: str, text: str) -> None:
    """Tests, ``or`` and ``default`` see a null without failing the row."""
    assert render(source, {"x": None}) == text


@pytest.mark.parametrize(
    "source", ["{{ x + 1 }}", "{{ x|int }}", "{{ x|length }}", "{% for y in x %}{% endfor %}", "{{ x() }}"]
)
def test_a_null_is_no_number_and_no_list(source: str) -> None:
    """Reckoning with a null fails the row, and the message says so."""
    with pytest.raises(PromptError, match=r"(?i)null"):
        render(source, {"x": None}, null_is_empty=True)


def test_a_refused_null_does_not_stick_to_the_next_text() -> None:
    """A row's later templates are judged by what they write themselves."""
    templates = Templates()
    templates.add("a", "{{ x }}")
    templates.add("b", "{{ x or 'none' }}")
    context = Context({"x": None}, {"x"})
    with pytest.raises(NullCell):
        templates.render("a", context)
    assert templates.render("b", context) == "none"


@pytest.mark.parametrize("value", [b"\xff\xd8", bytearray(b"a"), memoryview(b"a"), b""])
@pytest.mark.parametrize("source", ["{{ x }}", "{{ x|upper }}", "{{ [x]|tojson }}", "{{ 'a' ~ x }}"])
@pytest.mark.parametrize("null_is_empty", [True, False])
def test_bytes_are_no_text(value: bytes, source: str, null_is_empty: bool) -> None:
    """Bytes never reach a prompt as text, and the message says where they belong."""
    with pytest.raises(PromptError, match="column 'x' holds bytes, which are no text; use it as an image part"):
        render(source, {"x": value}, null_is_empty=null_is_empty)


def test_bytes_may_be_tested() -> None:
    """A template may ask whether there is a picture."""
    assert render("{{ 'yes' if x else 'no' }}", {"x": b"a"}) == "yes"


@pytest.mark.parametrize("source", ["{{ x }}", "{{ x|upper }}"])
def test_a_lone_surrogate_is_replaced(source: str) -> None:
    """What UTF-8 cannot carry becomes the replacement character, and the prompt can be sent."""
    text = render(source, {"x": "A\ud800B"})
    assert text.strip("AB").strip("\ufffd") == ""
    assert text.encode()


@pytest.mark.parametrize(
    "source",
    [
        "{{ x.y }}",
        "{{ x['y'] }}",
        "{{ x[7] }}",
        "{{ x|nonsense }}",
        "{{ x is nonsense }}",
        "{% include 'other' %}",
        "{{ 1 / 0 }}",
    ],
)
def test_what_is_not_there_fails_the_row(source: str) -> None:
    """Nothing undefined is written as an empty text."""
    with pytest.raises(PromptError, match=PLACE):
        render(source, {"x": {"a": 1}})


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("{{ x", "unexpected end of input"),
        ("{% if %}", "unexpected"),
        ("{{ x }}{% endfor %}", "unknown statement endfor"),
    ],
)
def test_what_is_no_template_is_refused_before_the_first_row(source: str, said: str) -> None:
    """The compiler's message comes in one line, with the place and the template's line."""
    with pytest.raises(PromptError, match=f"{said}.*in {PLACE}:1") as refused:
        Templates().add(PLACE, source)
    assert "\n" not in refused.value.message


VALUES = [None, b"a", "a", 1, 1.5, Decimal(1), date(2026, 1, 1), timedelta(1), ["a"], {"a": 1}]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
@pytest.mark.parametrize(
    "source",
    [
        "{{ x.__class__ }}",
        "{{ x['__class__'] }}",
        "{{ x|attr('__class__') }}",
        "{{ x.__init__.__globals__ }}",
        "{{ x.__class__.__mro__[1].__subclasses__() }}",
        "{{ x._refusal }}",
        "{{ x.strftime('%Y') }}",
        "{{ x.resolution }}",
        "{{ x.upper() }}",
    ],
)
def test_templates_reach_no_python(value: object, source: str) -> None:
    """Nothing of Python's objects can be had from a template but the methods of plain lists and dicts."""
    with pytest.raises(PromptError):
        render(source, {"x": value})


@pytest.mark.parametrize(
    "source",
    [
        "{{ x.pop(7) }}",
        "{{ x.index('z') }}",
        "{{ y.pop('z') }}",
        "{{ y.items(1) }}",
        "{{ y() }}",
        "{{ x|default(1, 2, 3) }}",
    ],
)
def test_a_method_that_is_used_wrongly_fails_the_row(source: str) -> None:
    """An error of Python's, raised below a template, is the row's and not the run's."""
    with pytest.raises(PromptError, match=PLACE):
        render(source, {"x": ["a"], "y": {"a": 1}})


@pytest.mark.parametrize(
    "source",
    [
        "{% for i in range(100000000) %}x{% endfor %}",
        "{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}",
        "{{ 'a' * 10000000000 }}",
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
        "{% include 'prompt.user' %}",
    ],
)
def test_a_runaway_template_fails_the_row(source: str) -> None:
    """Loops, repetitions and recursion without an end are stopped."""
    with pytest.raises(PromptError):
        render(source, {})


@pytest.mark.parametrize(
    ("source", "columns"),
    [
        ("no template", set()),
        ("{{ a }} {{ b.c }} {{ a }}", {"a", "b"}),
        ("{{ row.a }} {{ row.b.c }}", {"a", "b"}),
        ("{{ row['a b'] }} {{ row[ \"it's\" ] }} {{ row['c.d'].e }}", {"a b", "it's", "c.d"}),
        ("{{ größe }}", {"größe"}),
        ("{% if a %}{% else %}{{ b }}{% endif %}", {"a", "b"}),
        ("{% for item in items %}{{ item.name }}{{ loop.index }}{% endfor %}", {"items"}),
        ("{% set a = b %}{{ a }}", {"b"}),
        ("{% with a = b %}{{ a }}{% endwith %}", {"b"}),
        ("{{ a|map('upper')|join(b) }}", {"a", "b"}),
        ("{% raw %}{{ a }}{% endraw %}{# {{ b }} #}", set()),
        ("this row['x'] is text: {{ row.a }}", {"a"}),
        ("{% for i in range(3) %}{% endfor %}{% set n = namespace(a=1) %}", set()),
        ("{{ range }} {{ dict }} {{ debug }}", {"range", "dict", "debug"}),
        ("{% with row = {'a': 1} %}{{ row.a }}{% endwith %}", set()),
    ],
)
def test_the_columns_a_template_uses_are_known(source: str, columns: set[str]) -> None:
    """What is read of the table, and what ``check`` looks for in it, are the template's free names."""
    assert used(source) == columns


@pytest.mark.parametrize("name", ["range", "dict", "debug", "namespace", "loop"])
def test_a_column_named_like_a_function_is_a_column(name: str) -> None:
    """A function of the language is one only where it is called."""
    assert render(f"{{{{ {name} }}}}", {name: "5 km"}) == "5 km"


@pytest.mark.parametrize(
    "source",
    [
        "{{ row }}",
        "{{ row|tojson }}",
        "{% for name in row %}{% endfor %}",
        "{% set c = 'a' %}{{ row[c] }}",
        "{{ row|items }}",
    ],
)
def test_the_row_as_a_whole_is_refused(source: str) -> None:
    """Which columns are read must stand in the template: a whole row would be an empty one without a word."""
    with pytest.raises(PromptError, match="name the columns of the row"):
        used(source)


@pytest.mark.parametrize(
    ("text", "column"),
    [
        ("{{ n }}", "n"),
        ("  {{n}}\n", "n"),
        ("{{ row['a b'] }}", "a b"),
        ('{{ row["it\'s"] }}', "it's"),
        ("{{ n }} ", "n"),
        ("{{ n }}{{ n }}", None),
        ("{{ n|int }}", None),
        ("{{ n.m }}", None),
        ("n", None),
        ("{{ 1 }}", None),
    ],
)
def test_a_template_that_is_one_column_is_known(text: str, column: str | None) -> None:
    """Only ``{{ column }}`` and nothing else keeps the column's type."""
    assert sole_column(text) == column


@pytest.mark.parametrize(
    ("text", "answer"), [("a", False), ("{ a }", False), ("{{ a }}", True), ("{% x %}", True), ("{# x #}", True)]
)
def test_a_text_with_marks_is_a_template(text: str, answer: bool) -> None:
    """A text without any of the language's marks is sent as it is."""
    assert is_template(text) is answer


@pytest.mark.parametrize("place", ["request.metadata.html", "request.metadata.json", "request.metadata.xml"])
def test_no_place_makes_a_template_a_file_of_a_kind(place: str) -> None:
    """A parameter may be called like one, and its text is still as it is."""
    templates = Templates()
    templates.add(place, "{{ x }}")
    assert templates.render(place, Context({"x": '<"&>'}, ["x"])) == '<"&>'
