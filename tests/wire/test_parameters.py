"""All 29 parameters are known, checked before anything is spent, and told apart by whether they are identity."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.wire.parameters import PARAMETERS, Complaint, advise, check_parameters, identity_of, reference, texts

NAMES = {
    *("background", "context_management", "conversation", "include", "input", "instructions", "max_output_tokens"),
    *(
        "max_tool_calls",
        "metadata",
        "model",
        "parallel_tool_calls",
        "previous_response_id",
        "prompt",
        "prompt_cache_key",
    ),
    *("prompt_cache_retention", "reasoning", "safety_identifier", "service_tier", "store", "stream", "stream_options"),
    *("temperature", "text", "tool_choice", "tools", "top_logprobs", "top_p", "truncation", "user"),
}
NOT_IDENTITY = {
    *("metadata", "user", "safety_identifier", "prompt_cache_key", "prompt_cache_retention", "service_tier", "store"),
    *("background", "stream", "stream_options"),
}

FINE: dict[str, list[Any]] = {
    "background": [True],
    "context_management": [[{"type": "compaction", "compact_threshold": 1000}], []],
    "conversation": ["conv_1", {"id": "conv_1"}],
    "include": [["message.output_text.logprobs", "something.newer"]],
    "input": ["text", [{"role": "user", "content": "hi"}]],
    "instructions": ["Be brief."],
    "max_output_tokens": [1, 100_000],
    "max_tool_calls": [0, 3],
    "metadata": [{}, {"k" * 64: "v" * 512}, {str(i): "x" for i in range(16)}],
    "model": ["gpt-5.4-mini", "GPT-4o-image"],
    "parallel_tool_calls": [False],
    "previous_response_id": ["resp_1"],
    "prompt": [{"id": "pmpt_1", "variables": {"a": {"type": "input_text", "text": "x"}}, "version": "2"}],
    "prompt_cache_key": ["k"],
    "prompt_cache_retention": ["in-memory", "in_memory", "24h"],
    "reasoning": [{"effort": "xhigh"}, {"effort": "max", "summary": "concise"}, {"effort": None, "summary": None}],
    "safety_identifier": ["x" * 128],
    "service_tier": ["auto", "default", "flex", "scale", "priority"],
    "store": [False],
    "stream": [True],
    "stream_options": [{"include_obfuscation": False}],
    "temperature": [0, 2, 0.7, None],
    "text": [
        {"format": {"type": "text"}, "verbosity": "low"},
        {"format": {"type": "json_object"}},
        {"format": {"type": "json_schema", "name": "a_b-1", "schema": {"type": "object"}, "strict": True}},
    ],
    "tool_choice": [
        "none",
        "auto",
        "required",
        {"type": "web_search"},
        {"type": "function", "name": "f"},
        {"type": "mcp", "server_label": "s"},
        {"type": "allowed_tools", "mode": "required", "tools": [{"type": "web_search"}]},
        {"type": "not_invented_yet"},
    ],
    "tools": [
        [],
        [{"type": "function", "name": "f", "parameters": {}, "strict": False}],
        [{"type": "function", "function": {"name": "f", "description": "d", "parameters": {}}}],
        [{"type": "file_search"}],
        [
            {
                "type": "file_search",
                "vector_store_ids": ["vs"],
                "max_num_results": 50,
                "ranking_options": {"score_threshold": 1},
            }
        ],
        [{"type": "mcp", "server_label": "s", "server_url": "https://x", "allowed_tools": {"read_only": True}}],
        [{"type": "remote_mcp", "remote_mcp": {"url": "https://x", "timeout": 30}}],
        [{"type": "web_search_2025_08_26", "search_context_size": "low"}],
        [{"type": "not_invented_yet", "anything": {"goes": 1}}],
    ],
    "top_logprobs": [0, 20],
    "top_p": [0, 1, 0.5],
    "truncation": ["auto", "disabled"],
    "user": ["u"],
}


def test_every_documented_parameter_is_in_the_table() -> None:
    """The table holds the 29 parameters of the reference page, and no others."""
    assert set(PARAMETERS) == NAMES
    assert len(NAMES) == 29


def test_what_cannot_change_the_answer_is_not_identity() -> None:
    """Metadata, user ids, cache keys, tiers, storing and delivery do not make another request; everything else does."""
    assert {name for name, parameter in PARAMETERS.items() if not parameter.identity} == NOT_IDENTITY


def test_identity_keeps_what_counts_and_what_nobody_knows() -> None:
    """The identity of a body is the body without what cannot change its answer; unknown parameters count."""
    body = {"model": "m", "temperature": 0, "metadata": {"a": "b"}, "service_tier": "flex", "not_invented_yet": 1}

    assert identity_of(body) == {"model": "m", "temperature": 0, "not_invented_yet": 1}


def test_the_fine_values_cover_every_parameter() -> None:
    """No parameter is left out of the test below."""
    assert set(FINE) == NAMES


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in FINE.items() for value in values])
def test_documented_and_newer_values_pass(name: str, value: object) -> None:
    """What the page documents passes, and so does what ages faster than a list of ours: models, tools, include, choices."""
    assert check_parameters({name: value}) == []


@pytest.mark.parametrize("name", sorted(NAMES))
def test_a_template_is_not_judged_before_it_is_rendered(name: str) -> None:
    """Text with a placeholder passes wherever it stands."""
    assert check_parameters({name: "{{ column }}"}) == []
    assert check_parameters({name: "{% if a %}x{% endif %}"}) == []


def test_a_template_inside_a_value_is_not_judged_either() -> None:
    """A placeholder may stand for a number deep in a tool and for the type of a format."""
    request = {
        "tools": [{"type": "file_search", "max_num_results": "{{ n }}"}],
        "text": {"format": {"type": "{{ kind }}"}, "verbosity": "{{ v }}"},
    }

    assert check_parameters(request) == []


@pytest.mark.parametrize(
    ("request_", "path", "message", "suggestion"),
    [
        ({"temperature": 2.1}, ("temperature",), "must be a number from 0 to 2, not 2.1", None),
        ({"temperature": float("nan")}, ("temperature",), "must be a number from 0 to 2, not nan", None),
        ({"temperature": "warm"}, ("temperature",), "must be a number from 0 to 2, not 'warm'", None),
        ({"temperature": True}, ("temperature",), "must be a number from 0 to 2, not true", None),
        ({"top_p": -0.1}, ("top_p",), "must be a number from 0 to 1, not -0.1", None),
        ({"top_logprobs": 21}, ("top_logprobs",), "must be a whole number from 0 to 20, not 21", None),
        ({"top_logprobs": 1.5}, ("top_logprobs",), "must be a whole number from 0 to 20, not 1.5", None),
        ({"max_output_tokens": 0}, ("max_output_tokens",), "must be a whole number of at least 1, not 0", None),
        ({"store": "no"}, ("store",), "must be true or false, not 'no'", None),
        ({"truncation": "atuo"}, ("truncation",), "must be one of auto, disabled, not 'atuo'", "auto"),
        ({"service_tier": "flexx"}, ("service_tier",), "must be one of", "flex"),
        ({"include": "all"}, ("include",), "must be a list, each text, not 'all'", None),
        ({"include": [1]}, ("include", 0), "must be text, not 1", None),
        ({"metadata": {"a": 1}}, ("metadata", "a"), "must be text of at most 512 characters, not 1", None),
        ({"metadata": {"a": "v" * 513}}, ("metadata", "a"), "must be text of at most 512 characters", None),
        ({"metadata": {"k" * 65: "v"}}, ("metadata", "k" * 65), "the key must be text of at most 64 characters", None),
        ({"metadata": {str(i): "" for i in range(17)}}, ("metadata",), "has 17 pairs; at most 16 are allowed", None),
        ({"reasoning": {"effort": "hihg"}}, ("reasoning", "effort"), "must be one of", "high"),
        ({"reasoning": {"effrot": "low"}}, ("reasoning", "effrot"), "is not a documented field here", "effort"),
        ({"reasoning": "high"}, ("reasoning",), "must be a mapping with effort", None),
        ({"text": {"verbosity": "loud"}}, ("text", "verbosity"), "must be one of low, medium, high", None),
        ({"text": {"format": {"type": "json_scheme"}}}, ("text", "format", "type"), "must be one of", "json_schema"),
        ({"text": {"format": {"type": "json_schema", "name": "a"}}}, ("text", "format"), "needs 'schema'", None),
        ({"text": {"format": {}}}, ("text", "format"), "needs a 'type'", None),
        ({"prompt": {"version": "1"}}, ("prompt",), "needs 'id'", None),
        ({"conversation": 1}, ("conversation",), "must be text or a mapping with id, not 1", None),
        ({"conversation": {}}, ("conversation",), "needs 'id'", None),
        ({"tool_choice": "requirex"}, ("tool_choice",), "must be one of none, auto, required", "required"),
        (
            {"tool_choice": {"type": "allowed_tools", "mode": "x", "tools": []}},
            ("tool_choice", "mode"),
            "must be one of",
            None,
        ),
        ({"tools": {"type": "function"}}, ("tools",), "must be a list", None),
        ({"tools": ["f"]}, ("tools", 0), "must be a mapping with a type, not 'f'", None),
        ({"tools": [{"name": "f"}]}, ("tools", 0), "needs a 'type'", None),
        ({"tools": [{"type": "function"}]}, ("tools", 0), "needs 'name'", None),
        ({"tools": [{"type": "function", "function": {}}]}, ("tools", 0, "function"), "needs 'name'", None),
        (
            {"tools": [{"type": "function", "name": "f", "strict": 1}]},
            ("tools", 0, "strict"),
            "must be true or false",
            None,
        ),
        (
            {"tools": [{"type": "file_search", "max_num_results": 51}]},
            ("tools", 0, "max_num_results"),
            "from 1 to 50",
            None,
        ),
        (
            {"tools": [{"type": "image_generation", "partial_images": 4}]},
            ("tools", 0, "partial_images"),
            "from 0 to 3",
            None,
        ),
        ({"tools": [{"type": "remote_mcp"}]}, ("tools", 0), "needs 'remote_mcp'", None),
        ({"temperatuer": 1}, ("temperatuer",), "put it into extra_body", "temperature"),
        ({"max_tokens": 1}, ("max_tokens",), "put it into extra_body", "max_output_tokens"),
        ({"response_format": {}}, ("response_format",), "put it into extra_body", "text"),
        ({"qqqq": 1}, ("qqqq",), "put it into extra_body", None),
    ],
)
def test_a_mistake_is_named_with_its_place_and_a_remedy(
    request_: dict[str, object], path: tuple[str | int, ...], message: str, suggestion: str | None
) -> None:
    """Each mistake gives one complaint with the path from ``request`` down, a sentence, and a near name."""
    (complaint,) = check_parameters(request_)

    assert complaint.path == ("request", *path)
    assert message in complaint.message
    assert complaint.suggestion == suggestion


@pytest.mark.parametrize("name", [f"{length}" for length in (0, 65)] + ["a b", "ä", "a\n"])
def test_a_format_name_is_up_to_64_plain_characters(name: str) -> None:
    """The name of a JSON schema must match the documented pattern to the last character."""
    text = {"format": {"type": "json_schema", "name": "x" * int(name) if name.isdigit() else name, "schema": {}}}

    assert [c.path for c in check_parameters({"text": text})] == [("request", "text", "format", "name")]


def test_all_mistakes_are_reported_at_once() -> None:
    """Nobody has to run a check twice to see the second mistake."""
    request = {"temperature": 3, "topp": 1, "tools": [{"type": "function"}, {}], "reasoning": {"effort": "x", "y": 1}}

    assert len(check_parameters(request)) == 6


@pytest.mark.parametrize(
    ("name", "written", "read"),
    [
        ("temperature", "0.5", 0.5),
        ("temperature", " 1\n", 1),
        ("temperature", "null", None),
        ("temperature", "nan", "nan"),
        ("temperature", "", ""),
        ("max_output_tokens", "1e2", 100),
        ("max_output_tokens", "1.5", 1.5),
        ("parallel_tool_calls", "True", True),
        ("parallel_tool_calls", "FALSE", False),
        ("include", '["a"]', '["a"]'),
        ("reasoning", "{}", "{}"),
        ("user", "7", "7"),
        ("conversation", "7", "7"),
        ("truncation", "null", "null"),
    ],
)
def test_a_text_is_read_as_what_it_means_where_no_text_fits(name: str, written: str, read: object) -> None:
    """Numbers, truth values and null, as JSON or a spreadsheet writes them; all else stays text and is complained about."""
    given = PARAMETERS[name].shape.read(written)

    assert (given, type(given)) == (read, type(read))


@given(st.sampled_from(sorted(NAMES)), st.text())
def test_reading_a_text_never_stumbles(name: str, written: str) -> None:
    """Whatever a cell holds becomes a plain value."""
    assert isinstance(PARAMETERS[name].shape.read(written), str | int | float | None)


def test_every_text_of_a_request_knows_what_may_stand_in_its_place() -> None:
    """Also below a tool's type, a flat or nested function and a stored prompt; where no page says it, nothing is known."""
    request = {
        "temperature": "a",
        "reasoning": {"effort": "b", "new": "c"},
        "tools": [{"type": "mcp", "timeout": "d"}, {"type": "function", "function": {"strict": "e"}}, {"type": "x"}],
        "prompt": {"variables": {"k": {"type": "input_text", "text": "f"}}},
        "not_ours": ["g"],
    }
    found = {text: None if shape is None else shape.says for _, text, shape in texts(request)}

    assert [found[letter] for letter in "acdefg"] == [
        "a number from 0 to 2",
        None,
        "a number of at least 0",
        "true or false",
        None,
        None,
    ]
    assert [path for path, text, _ in texts(request) if text == "e"] == [("request", "tools", 1, "function", "strict")]


def test_a_conversation_and_a_previous_response_exclude_each_other() -> None:
    """Setting both ways to go on from something stored is a mistake."""
    expected = Complaint(("request", "conversation"), "excludes previous_response_id; keep one of them")

    assert check_parameters({"conversation": "c", "previous_response_id": "r"}) == [expected]
    assert check_parameters({"conversation": "c", "previous_response_id": None}) == []


KEYS = st.sampled_from(["type", "id", "name", "format"]) | st.text()
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["type", "id", "name", "format"]) | st.text(), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(sorted(NAMES)), JSON))
def test_no_value_makes_the_check_stumble(request_: dict[str, object]) -> None:
    """Whatever a spec holds, the answer is a list of complaints."""
    assert all(complaint.path[0] == "request" for complaint in check_parameters(request_))
    assert all(isinstance(advice, str) for advice in advise(request_))


@pytest.mark.parametrize(
    ("request_", "about"),
    [
        ({"temperature": 1, "top_p": 1}, "temperature and top_p"),
        ({"stream_options": {}}, "stream_options"),
        ({"safety_identifier": "x" * 65}, "64 characters"),
        ({"truncation": "auto"}, "silently"),
        ({"top_logprobs": 3}, "message.output_text.logprobs"),
        ({"user": "u"}, "safety_identifier"),
        ({"reasoning": {"generate_summary": "auto"}}, "deprecated"),
        ({"text": {"format": {"type": "json_object"}}}, "json_schema"),
        ({"tools": [{"type": "local_shell"}]}, "not answered"),
        ({"tools": [{"type": "shell", "environment": {"type": "local"}}]}, "not answered"),
        ({"tools": [{"type": "mcp", "require_approval": "always"}]}, "approval"),
        (
            {"tools": [{"type": "shell"}, {"type": "websearch"}]},
            "request.tools[1].type 'websearch' is on no vendor's page - did you mean 'web_search'?",
        ),
        ({"tools": [{"type": "hologram"}]}, "'hologram' is on no vendor's page; it is sent as it is"),
        (
            {"include": ["message.output_text.logprobs", "web_search_call.result"]},
            "request.include[1] 'web_search_call.result' is on no vendor's page - did you mean 'web_search_call.results'?",
        ),
        ({"include": ["x"]}, "request.include[0] 'x' is on no vendor's page; it is sent as it is"),
    ],
)
def test_what_is_allowed_but_hardly_meant_gets_a_warning(request_: dict[str, object], about: str) -> None:
    """Each doubtful request gives one sentence about what is doubtful."""
    (advice,) = advise(request_)

    assert about in advice


@pytest.mark.parametrize(
    "request_",
    [
        {"temperature": 1},
        {"stream": True, "stream_options": {}},
        {"safety_identifier": "x" * 64},
        {"safety_identifier": "{{ a_placeholder_whose_name_is_far_longer_than_the_limit_of_sixty_four }}"},
        {"truncation": "disabled"},
        {"top_logprobs": 3, "include": ["message.output_text.logprobs"]},
        {"include": ["{{ wanted }}"], "tools": [{"type": "{{ kind }}"}]},
        {"include": "{{ wanted }}", "tools": [{"type": "remote_mcp"}, {"type": "web_search_2025_08_26"}]},
        {"tools": [{"type": "mcp", "server_label": "s"}, {"type": "shell"}, {"type": "function", "name": "f"}]},
    ],
)
def test_an_ordinary_request_gets_no_warning(request_: dict[str, object]) -> None:
    """Warnings are for what is doubtful only."""
    assert advise(request_) == []


def test_the_reference_describes_every_parameter() -> None:
    """The generated table has one row per parameter, and no cell is empty."""
    rows = reference()

    assert [row[0] for row in rows] == list(PARAMETERS)
    assert all(cell for row in rows for cell in row)
    assert ("temperature", "a number from 0 to 2", "yes", "change this or `top_p`, not both") in rows
