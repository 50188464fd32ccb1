"""Every kind of mistake that the job's model can find has words of ours."""

from __future__ import annotations

from collections.abc import Callable
from textwrap import dedent

import pytest

from pipeline.spec.group import PATTERNS
from pipeline.spec.job import Job
from pipeline.spec.settings import paths, settings_at

Mistakes = Callable[..., list[str]]
TYPES = "string, int, float, bool, enum[a, b], list[string]"


@pytest.mark.parametrize(
    ("line", "mistake"),
    [
        ("limitz: {}", "6:1 limitz: is not a setting here (limits?)"),
        ("limit: 5", "6:1 limit: is not a setting here (input.limit?)"),
        ("sample: 5", "6:1 sample: is not a setting here (samples?)"),
        ("sample: {rows: 5}", "6:1 sample: is not a setting here (input.sample?)"),
        ("samplez: 5", "6:1 samplez: is not a setting here (samples?)"),
        ("max_side: 5", "6:1 max_side: is not a setting here (media.max_side?)"),
        ("temperature: 1", "6:1 temperature: is not a setting here (request.temperature?)"),
        ("xyzzy: 1", "6:1 xyzzy: is not a setting here"),
        ("run_dir: 5", "6:10 run_dir: must be text, not 5; put quotes around it"),
        ("run_dir: [a]", "6:10 run_dir: must be text, not a list"),
        (
            "name: ''",
            "6:7 name: must be at most 100 letters, digits, dots, dashes and underscores, and begin with a letter or a digit, not ''",
        ),
        ("stop_after: many", "6:13 stop_after: must be a whole number, not 'many'"),
        ("stop_after: 1.5", "6:13 stop_after: must be a whole number, not 1.5"),
        ("stop_after: 0", "6:13 stop_after: must be at least 1"),
        ("stop_after: true", "6:1 stop_after: must be a number, not true"),
        ("stop_after:", "6:12 stop_after: is empty; give it a value, or leave the line out"),
        ("limits: {concurrency: 0}", "6:23 limits.concurrency: must be more than 0"),
        ("limits: {concurrency: 20000}", "6:23 limits.concurrency: must be at most 10000"),
        ("limits: {requests_per_minute: .inf}", "6:31 limits.requests_per_minute: must be a finite number"),
        ("limits: {requests_per_minute: 1 000}", "6:31 limits.requests_per_minute: must be a number, not '1 000'"),
        ("limits: 5", "6:9 limits: must be a map of settings, not 5"),
        ("limits: []", "6:9 limits: must be a map of settings, not a list"),
        ("limits:", "6:8 limits: is empty; give it a value, or leave the line out"),
        ("dedupe: 7", "6:9 dedupe: must be true or false, not 7"),
        ("media: {roots: a}", "6:16 media.roots: must be a list, not 'a'"),
        ("media: {roots: [a, 5]}", "6:20 media.roots[1]: must be text, not 5; put quotes around it"),
        ("request: 5", "6:10 request: must be a map, not 5"),
        ("on_null: skpi", "6:10 on_null: must be one of fail, skip, empty, not 'skpi' (skip?)"),
    ],
)
def test_a_wrong_setting_is_told_in_plain_words(mistakes: Mistakes, small: str, line: str, mistake: str) -> None:
    """Place, setting, what it must be and what came instead; no word of pydantic's."""
    assert mistakes(f"{small}{line}\n") == [mistake]


@pytest.mark.parametrize(
    ("setting", "mistake"),
    [
        (
            "provider: opnai",
            "1:1 provider: 'opnai' is not one of simulator, openai, qingbo, apimart, so it needs a base_url",
        ),
        (
            "provider: {base_url: localhost}",
            "1:22 provider.base_url: must be an address that begins with http:// or https://, not 'localhost'",
        ),
        (
            "provider: {name: openai, api_key_env: a key}",
            "1:39 provider.api_key_env: must be the name of an environment variable, not 'a key'",
        ),
        (
            "provider: {name: openai, headers: {Cookie: a}}",
            "1:1 provider: the header Cookie would put a key into the spec; name its variable in api_key_env",
        ),
        ("model: ''", "1:8 model: must have 1 or more characters"),
        ("input: 5", "1:8 input: must be text or a list, not 5; put quotes around it"),
        ("input: {path: [a, 5]}", "1:19 input.path[1]: must be text, not 5; put quotes around it"),
        ("input: {limit: 5}", "1:1 input.path: is required"),
        ("input: {path: a, delimiter: ab}", "1:29 input.delimiter: must have 1 or fewer characters"),
        (
            "input: {path: a, columns: {n: itn}}",
            "1:31 input.columns.n: must be one of string, int, float, bool, date, datetime, not 'itn' (int?)",
        ),
        ("input: {path: a, sample: some}", "1:26 input.sample: must be a whole number, not 'some'"),
        ("input: {path: a, sample: {seed: 1}}", "1:18 input.sample.rows: is required"),
        ("prompt: 5", "1:9 prompt: must be text or a list, not 5; put quotes around it"),
        ("prompt: {}", "1:1 prompt: a prompt has exactly one of user, messages and input"),
        ("prompt: [{txt: a}]", "1:11 prompt[0].txt: is not a setting here (text?)"),
        (
            "prompt: {user: [{text: a, image: b}]}",
            "1:17 prompt.user[0]: a part has exactly one of text, image, image_id, video, file, file_id",
        ),
        (
            "prompt: {messages: [{role: usr, content: [5]}]}",
            "1:28 prompt.messages[0].role: must be one of user, assistant, system, developer, not 'usr' (user?)",
        ),
        (
            "output: a.csv",
            "1:1 output: the output is a Parquet file; its name must end in .parquet (`pipeline export` writes CSV)",
        ),
        (
            "output: {path: a.parquet, fields: [a]}",
            f"1:27 output.fields: must be a map of column names to types ({TYPES}), or a JSON Schema",
        ),
        (
            "output: {path: a.parquet, fields: {a: {b: itn}}}",
            f"1:40 output.fields.a.b: 'itn' is not a type; types are {TYPES} (int?)",
        ),
    ],
)
def test_a_wrong_group_is_told_at_its_own_place(mistakes: Mistakes, small: str, setting: str, mistake: str) -> None:
    """Short forms, lists of parts and nested groups are named as the user wrote them."""
    key = setting.split(":")[0]
    others = "".join(line for line in small.splitlines(keepends=True) if not line.startswith(f"{key}:"))
    assert mistake in mistakes(f"{setting}\n{others}")


def test_of_several_possible_types_only_the_one_that_was_meant_is_judged(mistakes: Mistakes, small: str) -> None:
    """A list of parts with a wrong part is not told to be text."""
    text = small.replace('"{{ question }}"', "[{text: a}, {text: 5}, {image: x, detail: full}]")
    assert mistakes(text) == [
        "4:28 prompt[1].text: must be text, not 5; put quotes around it",
        "4:51 prompt[2].detail: must be one of low, high, auto, original, not 'full'",
    ]


def test_what_is_missing_from_the_spec_has_no_line(mistakes: Mistakes) -> None:
    """A group that isn't there stands in no line; what is missing in a group is told at the group's key."""
    text = dedent("""\
        model: m
        input:
          limit: 5
        """)
    assert mistakes(text) == [
        "2:1 input.path: is required",
        "provider: is required",
        "prompt: is required",
        "output: is required",
    ]


def test_every_pattern_of_the_model_has_words() -> None:
    """A regular expression is never shown to a user, so each has a sentence."""
    for path in paths():
        group = settings_at(path[:-1])
        assert group is not None
        for rule in group.model_fields[str(path[-1])].metadata:
            pattern = getattr(rule, "pattern", None)
            assert pattern is None or pattern in PATTERNS


HOSTED = "tools: hosted tools stand under request.tools; tools names Python functions as file.py:function"


@pytest.mark.parametrize(
    "tools",
    [
        "{type: web_search}",
        "[{type: web_search}]",
        "web_search",
        "[web_search]",
        "[a.py:f, {type: not_invented_yet}]",
        "{functions: [{type: mcp}]}",
        "{functions: {type: mcp}}",
    ],
)
def test_hosted_tools_among_the_functions_are_told_where_they_stand(mistakes: Mistakes, small: str, tools: str) -> None:
    """However they are written, and once."""
    assert mistakes(f"{small}tools: {tools}\n") == [f"6:1 {HOSTED}"]


@pytest.mark.parametrize(
    ("tools", "said"),
    [("5", "must be a list, not 5"), ("a.py:f", "must be a list, not 'a.py:f'"), ("{timeout_z: 1}", "(timeout_s?)")],
)
def test_other_mistakes_of_the_functions_are_told_as_ever(
    mistakes: Mistakes, small: str, tools: str, said: str
) -> None:
    """Only what is a tool of a request is told of those."""
    (mistake,) = mistakes(f"{small}tools: {tools}\n")
    assert said in mistake


FORCED = "6:11 request.tool_choice: asks for a tool, and the job has none: list it under request.tools or tools"


@pytest.mark.parametrize("choice", ["required", "{type: function, name: a}", "{type: web_search}"])
def test_a_tool_that_is_asked_for_must_be_there(mistakes: Mistakes, small: str, choice: str) -> None:
    """Else every row would be refused."""
    assert mistakes(f"{small}request: {{tool_choice: {choice}}}\n") == [FORCED]


@pytest.mark.parametrize(
    "more",
    [
        "request: {tool_choice: auto}",
        "request: {tool_choice: none}",
        'request: {tool_choice: "{{ choice }}"}',
        "request: {tool_choice: required, tools: [{type: web_search}]}",
        'request: {tool_choice: required, tools: "{{ tools }}"}',
        "request: {tool_choice: required, prompt: {id: p}}",
        "request: {tool_choice: required}\nextra_body: {tools: [{type: web_search}]}",
        "request: {tool_choice: required}\ntools: [a.py:f]",
    ],
)
def test_a_choice_among_tools_that_may_be_there_passes(load: Callable[..., Job], more: str) -> None:
    """A stored prompt may bring its own, and a row may name them."""
    assert load(f"{more}\n").request
