"""What of YAML a spec may use, and the words for what it may not."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pipeline.errors import SpecError
from pipeline.spec.compose import MOST_NODES, compose
from pipeline.spec.problems import Report
from pipeline.spec.tree import DEEPEST, Entries, Items, Leaf, Node

Mistakes = Callable[..., list[str]]


def plain(node: Node | None) -> object:
    """Return the plain value of a tree."""
    if isinstance(node, Entries):
        return {key: plain(value) for key, value in node.nodes.items()}
    return [plain(item) for item in node.nodes] if isinstance(node, Items) else node.value if node else None


def composed(text: str) -> tuple[object, list[str]]:
    """Return the value of a text and its mistakes, each as ``line:column where: message``."""
    report = Report(text, "job.yaml")
    try:
        value = plain(compose(text, report))
    except SpecError:
        value = None
    return value, [f"{p.line}:{p.column} {p.where}: {p.message}" for p in report.problems]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("country: no", {"country": "no"}),
        ("at: 12:30", {"at": "12:30"}),
        ("n: 010", {"n": 10}),
        ("n: '010'", {"n": "010"}),
        ("day: 2024-01-31", {"day": "2024-01-31"}),
        ("a:\nb: ~", {"a": None, "b": None}),
        ("no: 1\n'1': 2\n\"<<\": 3", {"no": 1, "1": 2, "<<": 3}),
        ("text: |\n  a\n  b\n", {"text": "a\nb\n"}),
        ("a: &x {n: [1]}\nb: *x", {"a": {"n": [1]}, "b": {"n": [1]}}),
        ("a: &x 1\nb: &x 2\nc: *x", {"a": 1, "b": 2, "c": 2}),
        ('{a: [string], b: "enum[c, d]"}', {"a": ["string"], "b": "enum[c, d]"}),
        ("", None),
        ("# only a comment", None),
    ],
)
def test_plain_yaml_has_its_plain_value(text: str, value: object) -> None:
    """Everything YAML 1.2 calls core is read, anchors and aliases too."""
    assert composed(text) == (value, [])


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("a: 1\nb: 2\na: 3", "3:1 a: stands here a second time; the first is in line 1, column 1"),
        ("x: {a: 1, a: 1}", "1:11 x.a: stands here a second time; the first is in line 1, column 5"),
        ("a: !!str 1", "1:4 a: has the tag !!str; a spec is plain data, without tags"),
        (
            "a: !!python/object/apply:os.system [ls]",
            "1:4 a: has the tag !!python/object/apply:os.system; a spec is plain data, without tags",
        ),
        ("a: !env X", "1:4 a: has the tag !env; a spec is plain data, without tags"),
        ("1: a", "1:1 : has the key 1; keys are text, so put quotes around it"),
        ("a: {true: b}", "1:5 a: has the key true; keys are text, so put quotes around it"),
        ("~: a", "1:1 : has the key null; keys are text, so put quotes around it"),
        ("? [a]\n: b", "1:1 : has a list or a map for a key; keys are text"),
        ("a: &x [*x]", "1:8 a[0]: *x refers to a value that contains it"),
        ("a: *x", "1:4 a: *x refers to an anchor that is not defined above it"),
        ("a: 1\n---\nb: 2", "2:1 : holds a second document; a job spec is one"),
    ],
)
def test_what_makes_yaml_surprising_is_refused(text: str, mistake: str) -> None:
    """Duplicate keys, tags, keys that are no text, loops and further documents are mistakes at their own place."""
    assert composed(text)[1] == [mistake]


def test_merge_keys_are_refused_with_the_reason() -> None:
    """`<<` is named, and what to do instead."""
    assert composed("a: &x {n: 1}\nb:\n  <<: *x\n")[1] == [
        "3:3 b: merge keys (<<) belong to YAML 1.1 and hide where a setting comes from; "
        "write the settings out, or alias the whole map"
    ]


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("a: b: c", "1:5 : a value with `: ` in it needs quotes around it"),
        ("\ta: 1", "1:1 : no value begins with a tab, @, % or `; use spaces, or quotes"),
        ("a: @b", "1:4 : no value begins with a tab, @, % or `; use spaces, or quotes"),
        ('a: 1\nb: "x\nc: 2\n', "2:4 : a quote is opened here and never closed"),
        ("a:\n  - b\n c: 1", "3:2 : is not of the form `key: value`, or not indented like its neighbours"),
        ('a: "\\d"', "1:5 : this backslash means nothing between double quotes; double it, or use single quotes"),
        ('a: "\\x4"', "1:7 : this backslash means nothing between double quotes; double it, or use single quotes"),
        ("path: *.csv", "1:7 : a value that begins with * or & needs quotes around it"),
        ("a: !<", "1:4 : a value that begins with ! needs quotes around it"),
        ("%a", "1:1 : a value that begins with % needs quotes around it"),
        ("a: ? b", "1:4 : a value that begins with ? needs quotes around it"),
        ("a: - b", "1:4 : the items of a list begin on a line of their own"),
        ("a:\n  b\n\tc: 1", "3:1 : a tab cannot indent; use spaces"),
        (
            "a: |b\n",
            "1:5 : nothing but a comment may follow | or > on its line; a text that begins with them needs quotes",
        ),
        ("{a: 1}\nb: 2", "2:1 : does not belong to what stands above it; check the indentation"),
        ("a: [1,\n", "1:6 : ends before a [ or { is closed"),
        ("a: [1, ,2]\nb: 1", "1:8 : a value is missing, or a [ or { is not closed"),
        (
            "a: {b: list[string]}",
            "1:12 : a comma or a closing bracket is missing; a value with [ ] { } or a comma inside [ ] or { } needs quotes",
        ),
    ],
)
def test_broken_yaml_is_explained_in_plain_words(text: str, mistake: str) -> None:
    """A syntax error says what to do about it, at the place where it began."""
    assert composed(text)[1] == [mistake]


@pytest.mark.parametrize("text", ["a: {{ t }}", "a: {{ t }} and more", "b:\n  - 1\na: {{ t }}\n"])
def test_a_template_without_quotes_is_told_to_take_quotes(text: str) -> None:
    """`{{` opens two maps in YAML; what was meant is a template."""
    (mistake,) = composed(text)[1]
    assert mistake.endswith(": a value that begins with {{ needs quotes around it")


def test_a_template_without_quotes_is_one_mistake(mistakes: Mistakes, small: str) -> None:
    """The setting counts as given, so that it is not called missing or of the wrong type besides."""
    assert mistakes(small.replace('"{{ question }}"', "{{ question }}")) == [
        "4:9 : a value that begins with {{ needs quotes around it"
    ]


def test_an_alias_bomb_is_stopped_by_the_budget() -> None:
    """Nine lines that would be a billion values end at the hundred-thousandth."""
    lines = ["a: &a [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"{new}: &{new} [{', '.join([f'*{old}'] * 10)}]" for old, new in zip("abcdefgh", "bcdefghi", strict=True)]
    (mistake,) = composed("\n".join(lines))[1]
    assert mistake.endswith(" : holds more than 100,000 values, aliases counted where they are used")


def test_a_long_list_within_the_budget_is_read() -> None:
    """The budget is above any spec that a person writes."""
    value, mistakes = composed("a: [" + "1," * (MOST_NODES - 10) + "]")
    assert mistakes == []
    assert isinstance(value, dict)


@pytest.mark.parametrize("opening", ["[", "{a: ", "- ", "? "])
def test_nesting_is_capped(opening: str) -> None:
    """However a spec is nested, the fifty-first level ends it; a deep file can't exhaust the stack."""
    assert f"is nested more than {DEEPEST} levels deep" in composed(opening * 100_000)[1][0]


def test_aliases_count_for_nesting() -> None:
    """A value that is deep only through its aliases is deep all the same."""
    chain = [
        "a: &a [1]",
        *(f"{new}: &{new} [[[[[[[*{old}]]]]]]]" for old, new in zip("abcdefgh", "bcdefghi", strict=True)),
    ]
    assert f"is nested more than {DEEPEST} levels deep" in composed("\n".join(chain))[1][0]


def test_an_alias_is_a_copy() -> None:
    """Changing one use of an anchor leaves the others alone, which `--set` relies on."""
    root = compose("a: &x {n: 1}\nb: *x", Report("", ""))
    assert isinstance(root, Entries)
    first = root.nodes["a"]
    assert isinstance(first, Entries)
    first.put("n", Leaf(2, first.place), first.place)
    assert plain(root) == {"a": {"n": 2}, "b": {"n": 1}}
