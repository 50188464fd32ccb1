"""Tokens inside of tools are named, never written, and filled in where each dialect has them."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.wire.credentials import exposed, filled, variables
from pipeline.wire.dialect import DIALECTS
from pipeline.wire.encode import encode, refusals
from pipeline.wire.parameters import check_parameters

MCP = {"type": "mcp", "server_label": "s", "server_url": "https://x", "authorization_env": "A_TOKEN"}
CONNECTOR = {"type": "mcp", "server_label": "s", "authorization_env": "A_TOKEN"}
REMOTE = {"type": "remote_mcp", "remote_mcp": {"url": "https://x", "auth_token_env": "A_TOKEN"}}
DOMAIN = {"domain": "x.org", "name": "pass", "value_env": "A_TOKEN"}
POLICY = {"type": "allowlist", "allowed_domains": ["x.org"], "domain_secrets": [DOMAIN]}
CONTAINER = {"type": "code_interpreter", "container": {"type": "auto", "network_policy": POLICY}}
SHELL = {"type": "shell", "environment": {"type": "container_auto", "network_policy": POLICY}}
HEADERS = {
    "type": "mcp",
    "server_label": "s",
    "server_url": "u",
    "headers": {"X-A": "b"},
    "headers_env": {"X-Api-Key": "A_TOKEN"},
}


def value_of(name: str) -> str:
    """Return a value that shows whose it is."""
    return f"value of {name}"


@pytest.mark.parametrize("tool", [MCP, REMOTE], ids=["mcp", "remote_mcp"])
@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=lambda dialect: dialect.name)
def test_a_token_reaches_its_field_in_every_dialect_whichever_form_names_it(tool: Any, dialect: Any) -> None:
    """The name survives the translation and becomes the value in the field of that form; no name is sent."""
    body = encode({"model": "m", "input": "hi", "tools": [tool]}, dialect)
    (sent,) = filled(body, value_of)["tools"]  # type: ignore[misc]
    inner, field = (sent["remote_mcp"], "auth_token") if dialect.mcp_tool == "remote_mcp" else (sent, "authorization")
    assert inner[field] == "value of A_TOKEN"
    assert "_env" not in str(sent)
    assert variables(body) == ["A_TOKEN"]


@pytest.mark.parametrize(
    ("tool", "found"),
    [
        (CONTAINER, ("container", "network_policy", "domain_secrets", 0, "value")),
        (SHELL, ("environment", "network_policy", "domain_secrets", 0, "value")),
        (HEADERS, ("headers", "X-Api-Key")),
    ],
    ids=["code_interpreter", "shell", "headers"],
)
def test_secrets_of_containers_and_headers_are_filled_in_too(tool: Any, found: tuple[Any, ...]) -> None:
    """Wherever a hosted tool holds something secret; the rest of the tool stays as it is, and so does the given one."""
    before = str(tool)
    (sent,) = filled({"tools": [tool]}, value_of)["tools"]  # type: ignore[misc]
    for key in found:
        sent = sent[key]
    assert sent == "value of A_TOKEN"
    assert str(tool) == before
    assert check_parameters({"tools": [tool]}) == []


def test_plain_headers_stand_beside_secret_ones() -> None:
    """Naming a variable for one header does not lose another."""
    (sent,) = filled({"tools": [HEADERS]}, value_of)["tools"]  # type: ignore[misc]
    assert sent["headers"] == {"X-A": "b", "X-Api-Key": "value of A_TOKEN"}


def test_a_gateway_has_no_place_for_secret_headers() -> None:
    """They are refused before anything is spent, as plain headers are."""
    assert refusals({"tools": [HEADERS]}, DIALECTS["qingbo"]) == [
        "qingbo's remote_mcp tool has no place for headers",
        "qingbo's remote_mcp tool has no place for headers_env",
    ]


@pytest.mark.parametrize(
    "tools",
    [None, "{{ tools }}", ["x"], [{"type": ["odd"]}], [{"type": "mcp"}], [{"type": "shell", "environment": "x"}]],
)
def test_what_names_no_token_is_left_alone(tools: object) -> None:
    """Other tools, and what is no tool at all, neither name variables nor change."""
    assert variables({"tools": tools}) == []
    assert filled({"tools": tools}, value_of) == {"tools": tools}
    assert list(exposed(tools, ())) == []


def test_a_function_may_have_a_parameter_with_such_a_name() -> None:
    """Only the tools that hold secrets are searched."""
    function = {"type": "function", "name": "f", "parameters": {"properties": {"authorization_env": {"enum": ["A"]}}}}
    assert variables({"tools": [function]}) == []
    assert list(exposed([function], ())) == []


@pytest.mark.parametrize(
    ("tool", "place", "advice"),
    [
        ({**MCP, "authorization": "tok"}, ("authorization",), "give its name as authorization_env"),
        ({**MCP, "authorization": "{{ tok }}"}, ("authorization",), "give its name as authorization_env"),
        ({**MCP, "headers": {"authorization": "x"}}, ("headers", "authorization"), "in headers_env"),
        ({**MCP, "headers": {"Cookie": "x"}}, ("headers", "Cookie"), "in headers_env"),
        ({"type": "remote_mcp", "remote_mcp": {"url": "u", "auth_token": "t"}}, ("remote_mcp", "auth_token"), "_env"),
        ({**MCP, "authorization_env": "{{ a }}"}, ("authorization_env",), "no template"),
        ({**MCP, "authorization_env": "not a name"}, ("authorization_env",), "must be the name"),
        ({**MCP, "headers_env": {"X": 5}}, ("headers_env", "X"), "must be the name"),
        ({**MCP, "headers_env": "NAME"}, ("headers_env",), "must be a mapping"),
        ({**MCP, "auth_token_env": "A"}, ("auth_token_env",), "is not known here"),
        ({**REMOTE, "auth_token_env": "A"}, ("auth_token_env",), "is not known here"),
    ],
)
def test_what_is_secret_is_refused_with_place_and_remedy(tool: Any, place: tuple[str, ...], advice: str) -> None:
    """A token in the spec, from a row's cell, or named where nobody looks: one complaint, which does not repeat it."""
    (complaint,) = check_parameters({"tools": [tool]})
    assert complaint.path == ("request", "tools", 0, *place)
    assert advice in complaint.message
    assert "tok" not in complaint.message.replace("token", "")


@pytest.mark.parametrize(
    ("tool", "place"),
    [
        ({**MCP, "server_url": "{{ url }}"}, ("server_url",)),
        ({**MCP, "server_url": "https://{{ name }}.example/mcp"}, ("server_url",)),
        ({**CONNECTOR, "connector_id": "{% if a %}x{% endif %}"}, ("connector_id",)),
        ({**HEADERS, "server_url": "{{ url }}"}, ("server_url",)),
        ({"type": "remote_mcp", "remote_mcp": {"url": "{{ u }}", "auth_token_env": "A_TOKEN"}}, ("remote_mcp", "url")),
    ],
)
def test_no_row_chooses_where_a_token_is_sent(tool: Any, place: tuple[str, ...]) -> None:
    """A template in the address of a server that gets one is refused, wherever in the address it stands."""
    (complaint,) = check_parameters({"tools": [tool]})
    assert complaint.path == ("request", "tools", 0, *place)
    assert "is where a secret is sent, which no row chooses; write it out" in complaint.message


def test_no_row_chooses_the_domain_of_a_containers_secret() -> None:
    """Nor for one of several."""
    policy = {**POLICY, "domain_secrets": [DOMAIN, {**DOMAIN, "domain": "{{ host }}"}]}
    tool = {"type": "code_interpreter", "container": {"type": "auto", "network_policy": policy}}
    (complaint,) = exposed([tool], ("tools",))
    assert complaint.path == ("tools", 0, "container", "network_policy", "domain_secrets", 1, "domain")


def test_a_server_that_gets_no_token_may_be_a_rows_own() -> None:
    """There is nothing to lead astray."""
    assert check_parameters({"tools": [{**MCP, "server_url": "{{ url }}", "authorization_env": None}]}) == []


def test_a_secret_of_a_container_is_refused_at_its_own_place() -> None:
    """Lists on the way are gone through, one by one."""
    policy = {**POLICY, "domain_secrets": [DOMAIN, {"domain": "y.org", "name": "n", "value": "v"}]}
    tool = {"type": "shell", "environment": {"type": "container_auto", "network_policy": policy}}
    (complaint,) = exposed([tool], ("tools",))
    assert complaint.path == ("tools", 0, "environment", "network_policy", "domain_secrets", 1, "value")
