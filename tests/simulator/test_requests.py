"""Requests are checked as strictly as the dialect's page, and errors have the dialect's shape."""

from __future__ import annotations

import base64
from pathlib import Path

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

USER = {"role": "user", "content": "Hello"}
FLAT = {"type": "function", "name": "f", "description": "d", "parameters": {"type": "object"}}
NESTED = {"type": "function", "function": {"name": "f", "description": "d", "parameters": {"type": "object"}}}
MCP = {"type": "mcp", "server_label": "s", "server_url": "https://example.com", "require_approval": "never"}
REMOTE = {"type": "remote_mcp", "remote_mcp": {"url": "https://example.com"}}
VIDEO = {"role": "user", "content": [{"type": "input_video", "video_url": "https://example.com/a.mp4"}]}
FILE = {"role": "user", "content": [{"type": "input_file", "file_url": "https://example.com/a.pdf"}]}
OPEN = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
BESIDE = {**OPEN, "properties": {"a": {"$ref": "#/$defs/a", "description": "A"}}, "additionalProperties": False}
CALL = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
OUTPUT = {"type": "function_call_output", "call_id": "c", "output": "1"}

REFUSED = [
    ("openai", {"max_tokens": 5}, "unsupported_parameter", "max_tokens"),
    ("openai", {"max_token": 5}, "unknown_parameter", "max_token"),
    ("openai", {"temperature": 2.5}, "decimal_above_max_value", "temperature"),
    ("openai", {"temperature": "hot"}, "invalid_type", "temperature"),
    ("openai", {"temperature": True}, "invalid_type", "temperature"),
    ("openai", {"top_p": -0.1}, "decimal_below_min_value", "top_p"),
    ("openai", {"top_logprobs": 21}, "integer_above_max_value", "top_logprobs"),
    ("openai", {"max_output_tokens": 0}, "integer_below_min_value", "max_output_tokens"),
    ("openai", {"truncation": "maybe"}, "invalid_value", "truncation"),
    ("openai", {"metadata": {"a": 1}}, "invalid_type", "metadata.a"),
    ("openai", {"metadata": {"a": "x" * 513}}, "string_above_max_length", "metadata.a"),
    ("openai", {"metadata": {str(n): "" for n in range(17)}}, "object_above_max_properties", "metadata"),
    ("openai", {"reasoning": {"effort": "huge"}}, "invalid_value", "reasoning.effort"),
    ("openai", {"stream_options": {}}, None, "stream_options"),
    ("openai", {"tools": [NESTED]}, "missing_required_parameter", "tools[0].name"),
    ("openai", {"tools": [REMOTE]}, "invalid_value", "tools[0].type"),
    ("openai", {"tools": [{"type": "file_search"}]}, "missing_required_parameter", "tools[0].vector_store_ids"),
    ("openai", {"tools": [{**FLAT, "strict": True, "parameters": OPEN}]}, "invalid_json_schema", "tools[0].parameters"),
    (
        "openai",
        {"tools": [{**FLAT, "strict": True, "parameters": BESIDE}]},
        "invalid_json_schema",
        "tools[0].parameters",
    ),
    ("openai", {"input": [VIDEO]}, "invalid_value", "input[0].content[0].type"),
    ("openai", {"input": [{"role": "tool", "content": "x"}]}, "invalid_value", "input[0].role"),
    ("openai", {"input": [{"role": "user"}]}, "missing_required_parameter", "input[0].content"),
    ("openai", {"input": [{"type": "nonsense"}]}, "invalid_value", "input[0].type"),
    ("openai", {"input": ["x"]}, "invalid_type", "input[0]"),
    ("openai", {"input": [{"role": "user", "content": 1}]}, "invalid_type", "input[0].content"),
    ("openai", {"input": [{"role": "user", "content": ["x"]}]}, "invalid_type", "input[0].content[0]"),
    (
        "openai",
        {"input": [{"role": "assistant", "content": [{"type": "input_text", "text": "x"}]}]},
        "invalid_value",
        "input[0].content[0].type",
    ),
    (
        "openai",
        {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": {"url": "x"}}]}]},
        "invalid_type",
        "input[0].content[0].image_url",
    ),
    (
        "openai",
        {"input": [{"role": "user", "content": [{"type": "input_file"}]}]},
        "missing_required_parameter",
        "input[0].content[0]",
    ),
    (
        "openai",
        {"input": [{"type": "function_call_output", "call_id": "c"}]},
        "missing_required_parameter",
        "input[0].output",
    ),
    ("openai", {"input": [{**OUTPUT, "call_id": 1}]}, "invalid_type", "input[0].call_id"),
    ("openai", {"tools": ["x"]}, "invalid_type", "tools[0]"),
    ("openai", {"tools": [{"type": "mcp"}]}, "missing_required_parameter", "tools[0].server_label"),
    ("openai", {"tools": [{"type": "mcp", "server_label": "s"}]}, "missing_required_parameter", "tools[0].server_url"),
    ("openai", {"tools": [{**FLAT, "name": "a b"}]}, "invalid_value", "tools[0].name"),
    ("openai", {"tools": [{**FLAT, "parameters": []}]}, "invalid_type", "tools[0].parameters"),
    ("openai", {"text": {"format": {"type": "xml"}}}, "invalid_value", "text.format.type"),
    ("openai", {"text": {"format": {"type": "json_schema"}}}, "missing_required_parameter", "text.format.name"),
    ("openai", {"previous_response_id": "a", "conversation": "b"}, "mutually_exclusive_parameters", None),
    ("openai", {"input": [USER, OUTPUT]}, None, "input"),
    ("openai", {"input": [USER, CALL]}, None, "input"),
    ("openai", {"input": None}, "missing_required_parameter", "input"),
    ("openai", {"previous_response_id": "resp_0"}, "previous_response_not_found", "previous_response_id"),
    ("openai", {"text": {"format": {"type": "json_object"}}}, None, "input"),
    (
        "openai",
        {"text": {"format": {"type": "json_schema", "name": "a b", "schema": {}}}},
        "invalid_value",
        "text.format.name",
    ),
    (
        "openai",
        {"text": {"format": {"type": "json_schema", "name": "a", "strict": True, "schema": OPEN}}},
        "invalid_json_schema",
        "text.format.schema",
    ),
    ("apimart", {"max_output_tokens": 5}, "unsupported_parameter", "max_output_tokens"),
    ("apimart", {"tools": [FLAT]}, "missing_required_parameter", "tools[0].function"),
    ("apimart", {"tools": [MCP]}, "invalid_value", "tools[0].type"),
    ("apimart", {"input": [VIDEO]}, "invalid_value", "input[0].content[0].type"),
    ("apimart", {"input": [FILE]}, "invalid_value", "input[0].content[0].type"),
    ("apimart", {"input": [{"role": "developer", "content": "x"}]}, "invalid_value", "input[0].role"),
    ("apimart", {"model": None}, "missing_required_parameter", "model"),
    ("apimart", {"temperature": 3}, "integer_above_max_value", "temperature"),
]


@pytest.mark.parametrize(("dialect", "more", "code", "param"), REFUSED)
def test_what_the_page_does_not_allow_is_refused(provider, ask, dialect, more, code, param):
    """HTTP 400 with code and place, and nothing executed."""
    reply = ask(provider, {"model": "m", "input": "Hello"} | more, dialect)

    assert reply.status_code == 400
    error = reply.json()["error"]
    assert (error["code"] if code else code, error["param"]) == (code, param)
    assert provider.stats.executed == 0


@pytest.mark.parametrize("more", [{"max_output_tokens": 5}, {"tools": [FLAT]}, {"tools": [MCP]}, {"model": ""}])
def test_qingbo_says_the_status_as_code(provider, ask, more):
    """qingbo's errors carry a number, and no place."""
    reply = ask(provider, {"model": "m", "input": "Hello"} | more, "qingbo")

    assert reply.status_code == 400
    assert set(reply.json()["error"]) == {"code", "message", "type"}
    assert reply.json()["error"]["code"] == 400


@pytest.mark.parametrize("dialect", ["qingbo", "apimart"])
def test_gateways_take_what_they_do_not_document(provider, ask, dialect):
    """Parameters of the reference and unknown ones pass."""
    more = {"metadata": {"a": "b"}, "reasoning": {"effort": "low"}, "store": True, "whatever": 1, "tools": [NESTED]}

    assert ask(provider, dialect=dialect, **more).status_code == 200


def test_qingbo_takes_video(provider, ask, said):
    """A video is named in the answer."""
    assert "a.mp4" in said(ask(provider, {"model": "m", "input": [VIDEO]}, "qingbo"))


IMAGES = [
    ("data:image/png;base64,!!!!", "invalid_base64_image"),
    ("data:image/png,abc", "invalid_base64_image"),
    ("data:image/tiff;base64,AAAA", "unsupported_image_media_type"),
    ("data:image/png;base64,", "empty_image_file"),
    ("data:image/png;base64," + base64.b64encode(b"no image at all").decode(), "invalid_image"),
    ("data:image/png;base64," + base64.b64encode(b"\x89PNG\r\n\x1a\n and then nothing").decode(), "invalid_image"),
    ("file:///etc/passwd", "invalid_image_url"),
]


@pytest.mark.parametrize(("url", "code"), IMAGES)
def test_images_that_are_none_are_refused(provider, ask, shown, url, code):
    """Each way an image can be wrong has its documented code."""
    reply = ask(provider, shown(url))

    assert (reply.status_code, reply.json()["error"]["code"]) == (400, code)


def test_an_image_must_be_what_its_media_type_says(provider, ask, shown, picture):
    """A JPEG called PNG is refused, and so is half a JPEG."""
    for url in (picture(form="JPEG", mime="image/png"), picture(form="JPEG", size=(600, 400))[:600]):
        assert ask(provider, shown(url)).json()["error"]["code"] in ("invalid_image", "invalid_base64_image")


def test_a_conversation_goes_on(provider, ask):
    """The items of earlier turns count as input of the next."""
    first, second = (ask(provider, "Hello", conversation="conv_1").json()["usage"] for _ in range(2))

    assert second["input_tokens"] > first["input_tokens"]


def test_a_key_is_asked_for_when_the_script_has_one(play, ask, http):
    """Another key, or another dialect's, gets 401."""
    simulator = play({"api_key": {"openai": "right", "apimart": "other"}})
    codes = {}
    for dialect in ("openai", "apimart", "qingbo"):
        reply = http.post(
            simulator.base_url(dialect) + "/responses",
            headers={"authorization": "Bearer right"},
            json={"model": "m", "input": "x"},
        )
        codes[dialect] = reply.status_code

    assert codes == {"openai": 200, "apimart": 401, "qingbo": 200}
    assert ask(simulator).status_code == 401


def test_unknown_addresses_are_not_found(provider, http):
    """Gateways keep nothing, so there is nothing to fetch; other paths do not exist anywhere."""
    for path in ("/v1/nothing", "/qingbo/v1/responses/resp_1", "/", "/apimart/v1/responses/input_tokens"):
        assert http.get(provider.url + path).status_code == 404
    assert http.get(provider.base_url("apimart") + "/models").status_code == 200


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'"x"', b"\xff", b'{"input": "\\ud800"}'])
def test_what_is_no_json_object_is_refused(provider, http, content):
    """Anything but a JSON object is HTTP 400."""
    assert http.post(provider.base_url() + "/responses", content=content).status_code == 400


@pytest.mark.parametrize("deep", [b"[" * 300 + b"]" * 300, b'{"a":' * 900 + b"1" + b"}" * 900])
@pytest.mark.parametrize("field", [b"input", b"tools", b"metadata", b"text"])
def test_a_body_nested_without_sense_is_refused(provider, http, field, deep):
    """Depth is an error of the request, not of the server."""
    reply = http.post(provider.base_url() + "/responses", content=b'{"model":"m","%b":%b}' % (field, deep))

    assert reply.status_code == 400


KEYWORDS = [
    *("encrypted_content", "variables", "filters", "allowed_domains", "allowed_tools", "require_approval", "never"),
    *("server_label", "server_url", "remote_mcp", "url", "container", "max_num_results", "headers", "approve"),
    *("type", "role", "content", "text", "function", "name", "tools", "format", "schema", "enum", "$ref", "anyOf"),
    *("properties", "required", "items", "minimum", "maximum", "multipleOf", "minItems", "pattern", "const", "allOf"),
    *("image_url", "call_id", "output", "arguments", "tool_calls", "id", "summary", "effort", "parameters", "mode"),
]
TYPES = ["web_search", "file_search", "code_interpreter", "image_generation", "mcp", "remote_mcp", "function", "custom",
         "reasoning", "function_call", "function_call_output", "item_reference", "compaction", "mcp_approval_request",
         "mcp_approval_response", "allowed_tools", "message.output_text.logprobs"]  # fmt: skip
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 5)
    | st.text(max_size=5)
    | st.sampled_from(["user", "message", "object", *TYPES]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(KEYWORDS),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
FIELDS = [
    "input",
    "tools",
    "tool_choice",
    "text",
    "reasoning",
    "include",
    "metadata",
    "conversation",
    "stream",
    "model",
    "prompt",
    "background",
    "max_tool_calls",
    "top_logprobs",
    "previous_response_id",
]


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.dictionaries(st.sampled_from(FIELDS), JSON), st.sampled_from(["openai", "qingbo", "apimart"]))
def test_no_body_makes_the_server_fail(provider, http, body, dialect):
    """Whatever the JSON, the reply is an answer or a refusal, never an accident."""
    body.setdefault("model", "m")
    body.setdefault("input", "Hello json")
    reply = http.post(provider.base_url(dialect) + "/responses", content=orjson.dumps(body))

    assert reply.status_code in (200, 400, 404), orjson.dumps(body)


EXAMPLES = sorted((Path(__file__).parent / "golden").glob("*-req-*.json"))


def places(node, path=()):
    """All places within a JSON value."""
    yield path
    if isinstance(node, dict | list):
        for key in node if isinstance(node, dict) else range(len(node)):
            yield from places(node[key], (*path, key))


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(EXAMPLES), st.randoms(use_true_random=False), JSON)
def test_no_damage_to_a_good_body_makes_the_server_fail(provider, http, example, random, junk):
    """A documented request with any one value replaced is answered or refused."""
    body = orjson.loads(example.read_bytes())
    *way, last = random.choice(list(places(body))[1:])
    node = body
    for key in way:
        node = node[key]
    node[last] = junk
    dialect = example.stem.partition("-")[0]
    reply = http.post(provider.base_url(dialect) + "/responses", content=orjson.dumps(body))

    assert reply.status_code in (200, 400, 404), orjson.dumps(body)


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(JSON)
def test_no_schema_makes_the_server_fail(provider, http, schema):
    """A schema that makes no sense is refused or answered somehow."""
    form = {"type": "json_schema", "name": "a", "schema": {"type": "object", "properties": {"a": schema}}}
    body = {"model": "m", "input": "Hello", "text": {"format": form}}
    reply = http.post(provider.base_url() + "/responses", content=orjson.dumps(body))

    assert reply.status_code in (200, 400), orjson.dumps(body)
