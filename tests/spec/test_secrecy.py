"""A spec holds no keys, and no message repeats one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.errors import SpecError
from pipeline.spec.load import load_text
from pipeline.spec.secrecy import looks_like_key, masked

Mistakes = Callable[..., list[str]]
KEY = "sk-" + "proj-Ab3_" * 4


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (KEY, True),
        (f"key {KEY}.", True),
        ("Bearer xyz", True),
        ("use Bearer 0123456789abcdef0 there", True),
        ("sk-short", False),
        ("Bearer", False),
        ("The Bearer of this letter", False),
        ("Bearer tokens are explained here", False),
        ("a risk-assessment-of-something-long", False),
        ("OPENAI_API_KEY", False),
    ],
)
def test_keys_are_told_from_other_text(text: str, expected: bool) -> None:
    """API keys and bearer tokens are recognised by their form; prose about them is not."""
    assert looks_like_key(text) is expected


@pytest.mark.parametrize(
    ("line", "where"),
    [
        (f"run_dir: {KEY}", "run_dir"),
        (f"extra_body: {{a: [{{b: '{KEY}'}}]}}", "extra_body.a[0].b"),
        (f"request: {{metadata: {{a: 'Bearer {KEY}'}}}}", "request.metadata.a"),
        (f"name: x {KEY}", "name"),
        (f"on_null: {KEY}", "on_null"),
        (f"{KEY}: 1", "***"),
    ],
)
def test_a_key_is_refused_wherever_it_stands_and_never_shown(small: str, line: str, where: str) -> None:
    """The mistake says where a key belongs; neither message nor excerpt repeats it."""
    with pytest.raises(SpecError) as caught:
        load_text(f"{small}{line}\n", folder=Path("/specs"))
    (problem,) = caught.value.problems
    assert problem.where == where
    assert KEY not in str(caught.value)
    assert KEY not in repr(problem)
    assert problem.excerpt is not None
    assert "***" in problem.excerpt


def test_a_key_in_an_option_or_a_variable_is_refused(mistakes: Mistakes, small: str) -> None:
    """The command line and the environment are no way around the rule."""
    advice = (
        "keys are given by the name of an environment variable (`api_key_env: NAME`, in an MCP tool `authorization_env: NAME`), "
        "never by their value"
    )
    assert mistakes(small + "run_dir: ${X}\n", f"name={KEY}", X=KEY) == [
        f"6:10 run_dir: holds what looks like a key; {advice}",
        f"--set name: holds what looks like a key; {advice}",
    ]


def test_a_key_on_the_line_of_another_mistake_is_masked_too(small: str) -> None:
    """Excerpts are masked whatever they are shown for, comments and syntax errors included."""
    for line in (f"dedupe: 5 # {KEY}", f"a: b: {KEY}"):
        with pytest.raises(SpecError) as caught:
            load_text(f"{small}{line}\n", folder=Path("/specs"))
        assert KEY not in str(caught.value)


def test_a_key_cut_off_by_a_long_line_is_masked() -> None:
    """An excerpt is shortened after it is masked, so no first half of a key is left."""
    with pytest.raises(SpecError) as caught:
        load_text(f"a: {'x' * 150} {KEY}\n", folder=Path("/specs"))
    assert "sk-" not in str(caught.value)


def test_masking_leaves_the_rest_of_the_text() -> None:
    """Only the key itself becomes stars."""
    assert masked(f"a {KEY} b") == "a *** b"


TOKEN = "ghx-9f3a.77"  # looks like nothing in particular
MCP = "type: mcp, server_label: s, server_url: 'https://x'"
TOOLS = {
    "authorization": f"request: {{tools: [{{{MCP}, authorization: {TOKEN}}}]}}",
    "template": f"request:\n  tools:\n    - {{{MCP},\n       authorization: '{{{{ a }}}} {TOKEN}'}}",
    "auth_token": f"request:\n  tools:\n    - type: remote_mcp\n      remote_mcp: {{url: u, auth_token: '{TOKEN}'}}",
    "headers": f"request:\n  tools:\n    - {{{MCP}, headers: {{\n       Authorization: Basic {TOKEN}}}}}",
    "value": "request:\n  tools:\n    - type: shell\n      environment:\n        type: container_auto\n"
    "        network_policy:\n          type: allowlist\n          allowed_domains: [d]\n"
    f"          domain_secrets:\n            - {{domain: d, name: n, value: {TOKEN}}}",
    "extra_body": f"extra_body:\n  tools:\n    - type: mcp\n      authorization: {TOKEN}",
    "another mistake": f"request:\n  tools: [{{type: mcp, authorization: {TOKEN}, x: 'y}}]",
}


@pytest.mark.parametrize("lines", TOOLS.values(), ids=TOOLS.keys())
def test_a_token_of_a_tool_is_refused_and_never_shown(small: str, lines: str) -> None:
    """It has no form of its own, so it is known by its place; neither message nor excerpt repeats it."""
    with pytest.raises(SpecError) as caught:
        load_text(f"{small}{lines}\n", folder=Path("/specs"))
    (problem,) = caught.value.problems
    assert problem.line is not None
    assert TOKEN not in str(caught.value) + repr(problem)


def test_the_name_of_a_tools_token_is_no_secret(load: Callable[..., object]) -> None:
    """It stands in the spec, and in the copy of the spec that the journal keeps."""
    line = "request: {tools: [{type: mcp, server_label: s, server_url: 'https://x', authorization_env: A_TOKEN}]}"
    assert "A_TOKEN" in repr(load(line))
