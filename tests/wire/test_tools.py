"""Tools are translated between the forms of the dialects, in both directions, and lose nothing that matters."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.wire.dialect import DIALECTS
from pipeline.wire.tools import strict_qualifies, translated

OPENAI, QINGBO = DIALECTS["openai"], DIALECTS["qingbo"]

STRICT = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": False}
LOOSE = {"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "string"}}, "required": ["a"]}


def closed(**properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def nested(depth: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(depth):
        schema = closed(inner=schema)
    return schema


@pytest.mark.parametrize(
    ("schema", "qualifies"),
    [
        (STRICT, True),
        (closed(), True),
        (closed(a=closed(b={"type": "integer", "minimum": 0})), True),
        (closed(a={"type": ["string", "null"]}), True),
        (closed(a={"anyOf": [{"type": "string"}, closed(b={"type": "null"})]}), True),
        (closed(a={"type": "array", "items": closed(b={"enum": [1, 2]}), "minItems": 1}), True),
        ({**closed(a={"$ref": "#/$defs/b"}), "$defs": {"b": closed(c={"type": "string"})}}, True),
        ({**closed(a={"type": "string"}), "title": "T", "description": "D"}, True),
        (LOOSE, False),
        ({"type": "object", "properties": {}}, False),
        ({"type": "object"}, False),
        ({"type": "object", "additionalProperties": False}, False),
        ({**STRICT, "additionalProperties": True}, False),
        ({**STRICT, "required": ["a", "b"]}, False),
        ({**STRICT, "required": [["a"]]}, False),
        (closed(a=LOOSE), False),
        (closed(a={"type": "array", "items": LOOSE}), False),
        (closed(a={"anyOf": [LOOSE]}), False),
        (closed(a={"anyOf": "x"}), False),
        ({**closed(a={"$ref": "#/$defs/b"}), "$defs": {"b": LOOSE}}, False),
        ({**closed(a={"$ref": "#/$defs/b", "description": "B"}), "$defs": {"b": STRICT}}, False),
        ({**closed(a={"$ref": "#/$defs/b"}), "$defs": []}, False),
        (closed(a={}), False),
        (closed(a={"type": "string", "default": "x"}), False),
        (closed(a={"type": "string", "not": {}}), False),
        ({**STRICT, "anyOf": [STRICT]}, False),
        ({"type": "array", "items": STRICT}, False),
        (nested(5), True),
        (nested(50), False),
        (None, False),
        ("object", False),
    ],
)
def test_a_schema_qualifies_for_strict_mode_only_when_it_is_closed_throughout(schema: object, qualifies: bool) -> None:
    """Every object closed and every property required, at every depth, with nothing outside the published subset."""
    assert strict_qualifies(schema) is qualifies


@pytest.mark.parametrize(
    ("tool", "strict"),
    [
        ({"type": "function", "name": "f", "parameters": STRICT}, True),
        ({"type": "function", "name": "f", "parameters": LOOSE}, False),
        ({"type": "function", "name": "f"}, False),
        ({"type": "function", "name": "f", "parameters": LOOSE, "strict": True}, True),
        ({"type": "function", "name": "f", "parameters": STRICT, "strict": False}, False),
        ({"type": "function", "name": "f", "parameters": LOOSE, "strict": None}, False),
        ({"type": "function", "function": {"name": "f", "description": "d", "parameters": LOOSE}}, False),
        ({"type": "function", "function": {"name": "f", "description": "d", "parameters": STRICT}}, True),
    ],
)
def test_a_flat_function_is_strict_only_if_its_schema_qualifies_or_the_job_says_so(
    tool: dict[str, Any], strict: bool
) -> None:
    """Left out, ``strict`` would mean true at OpenAI and refuse the gateways' own samples."""
    (flat,) = translated([tool], OPENAI)  # type: ignore[misc]

    assert flat["strict"] is strict
    assert flat["name"] == "f"
    assert "function" not in flat
    assert flat["parameters"]["type"] == "object"


def test_a_nested_function_always_has_name_description_and_parameters() -> None:
    """The gateways call all three required."""
    assert translated([{"type": "function", "name": "f", "description": None}], QINGBO) == [
        {
            "type": "function",
            "function": {"name": "f", "description": "", "parameters": {"type": "object", "properties": {}}},
        }
    ]


def test_what_the_job_says_about_a_function_travels_inside_it() -> None:
    """``strict`` and newer fields are not dropped where the function is nested."""
    tool = {"type": "function", "name": "f", "description": "d", "parameters": LOOSE, "strict": True, "newer": 1}

    assert translated([tool], QINGBO) == [
        {
            "type": "function",
            "function": {"name": "f", "description": "d", "parameters": LOOSE, "strict": True, "newer": 1},
        }
    ]


def test_a_function_written_in_a_dialects_own_form_stays_as_it_is() -> None:
    """A nested function for a gateway needs no translation."""
    tool = {"type": "function", "function": {"name": "f", "description": "d", "parameters": LOOSE}}

    assert translated([tool], QINGBO) == [tool]


def test_an_mcp_server_asks_for_no_approval_unless_the_job_wants_it() -> None:
    """Nobody is there to approve in a batch, so ``never`` is the default; the job's word stands."""
    tool = {"type": "mcp", "server_label": "s", "server_url": "https://x"}

    assert translated([tool], OPENAI) == [{**tool, "require_approval": "never"}]
    assert translated([{**tool, "require_approval": "always"}], OPENAI) == [{**tool, "require_approval": "always"}]


def test_an_mcp_server_is_translated_in_both_directions() -> None:
    """Address and token keep their meaning under the names of either form; a label is made up where one is needed."""
    remote = {"type": "remote_mcp", "remote_mcp": {"url": "https://x", "auth_token": "t", "timeout": 30}}
    mcp = {"type": "mcp", "server_label": "s", "server_url": "https://x", "authorization": "t", "timeout": 30}

    assert translated([mcp, remote], QINGBO) == [remote, remote]
    assert translated([{"type": "web_search"}, remote], OPENAI) == [
        {"type": "web_search"},
        {
            "type": "mcp",
            "server_label": "mcp_2",
            "server_url": "https://x",
            "authorization": "t",
            "require_approval": "never",
        },
    ]


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=lambda dialect: dialect.name)
@pytest.mark.parametrize(
    "tools",
    [
        [{"type": "web_search", "newer": {"a": 1}}, {"type": "custom", "name": "c"}, {"type": "local_shell"}],
        ["{{ tool }}", {"no": "type"}, {"type": ["odd"]}],
        "{{ tools }}",
        {"type": "function"},
    ],
)
def test_every_other_tool_passes_untouched(dialect: Any, tools: object) -> None:
    """Hosted tools, newer ones and what is no tool at all are left to the vendor to judge."""
    assert translated(tools, dialect) == tools
