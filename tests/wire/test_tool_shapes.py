"""Every kind of tool and of choice that is documented passes; every documented limit is refused before money is spent."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.wire.parameters import advise, check_parameters

URL = {"server_label": "s", "server_url": "https://x"}
ALLOWED = {"type": "allowlist", "allowed_domains": ["x.org"], "domain_secrets": [{"domain": "x.org", "name": "n"}]}
LOCATION = {"type": "approximate", "city": "Kyoto", "country": "JP", "region": "Kyoto", "timezone": "Asia/Tokyo"}
FILTER = {"type": "and", "filters": [{"type": "eq", "key": "k", "value": 1}, {"type": "or", "filters": []}]}
SCREEN = {"display_height": 768, "display_width": 1024, "environment": "browser"}

TOOLS: dict[str, list[dict[str, Any]]] = {
    "function": [
        {"name": "f", "parameters": {}, "strict": True, "description": "d", "defer_loading": True},
        {"function": {"name": "f", "description": "d", "parameters": {}}},
    ],
    "custom": [
        {"name": "c", "description": "d", "defer_loading": False, "format": {"type": "text"}},
        {"name": "c", "format": {"type": "grammar", "definition": "start: /a/", "syntax": "lark"}},
    ],
    "namespace": [
        {"name": "n", "description": "d", "tools": [{"type": "function", "name": "f"}, {"type": "custom", "name": "c"}]}
    ],
    "web_search": [{}, {"filters": {"allowed_domains": ["x.org"]}, "search_context_size": "low"}],
    "web_search_2025_08_26": [{"user_location": LOCATION}],
    "web_search_preview": [{"search_content_types": ["text", "image"], "user_location": LOCATION}],
    "web_search_preview_2025_03_11": [{"search_context_size": "high"}],
    "file_search": [
        {},
        {"vector_store_ids": ["vs"], "max_num_results": 1, "filters": FILTER},
        {"max_num_results": 50, "filters": {"type": "in", "key": "k", "value": ["a"]}},
        {"ranking_options": {"ranker": "auto", "score_threshold": 0.5}},
        {"ranking_options": {"hybrid_search": {"embedding_weight": 1, "text_weight": 0.5}}},
    ],
    "mcp": [
        {**URL, "allowed_tools": ["a"], "require_approval": "never", "server_description": "d", "headers": {"A": "b"}},
        {**URL, "allowed_tools": {"read_only": True}, "require_approval": {"never": {"tool_names": ["a"]}}},
        {"server_label": "s", "connector_id": "connector_gmail", "authorization_env": "TOKEN"},
    ],
    "remote_mcp": [{"remote_mcp": {"url": "https://x", "auth_token_env": "TOKEN", "timeout": 30}}],
    "code_interpreter": [
        {"container": "cntr_1"},
        {"container": {"type": "auto", "file_ids": ["f"], "memory_limit": "4g", "network_policy": ALLOWED}},
        {"container": {"type": "auto", "network_policy": {"type": "disabled"}}},
    ],
    "image_generation": [
        {},
        {"action": "edit", "background": "opaque", "input_fidelity": "high", "moderation": "low", "quality": "high"},
        {"input_image_mask": {"file_id": "f"}, "model": "gpt-image-1", "output_compression": 100, "size": "auto"},
        {"output_format": "webp", "partial_images": 0},
    ],
    "shell": [
        {},
        {"environment": {"type": "container_auto", "skills": [{"type": "skill_reference", "skill_id": "s"}]}},
        {"environment": {"type": "local"}},
        {"environment": {"type": "container_reference", "container_id": "c"}},
    ],
    "local_shell": [{}],
    "apply_patch": [{}],
    "computer": [{}],
    "computer_use_preview": [SCREEN],
    "tool_search": [{}, {"execution": "client", "description": "d", "parameters": {"type": "object"}}],
}
FIFTEEN = {name for name in TOOLS if not name.startswith(("web_search_2", "web_search_preview_", "remote_mcp"))}


def test_all_kinds_of_the_reference_are_in_the_table() -> None:
    """Fifteen, with two dated names and the gateways' form of an MCP server."""
    assert len(FIFTEEN) == 15
    assert len(TOOLS) == 18


@pytest.mark.parametrize(("kind", "fields"), [(kind, fields) for kind, all_ in TOOLS.items() for fields in all_])
def test_a_documented_tool_passes(kind: str, fields: dict[str, Any]) -> None:
    """With each of its documented fields, and with one that is newer than our list."""
    assert check_parameters({"tools": [{"type": kind, **fields}]}) == []
    assert check_parameters({"tools": [{"type": kind, **fields, "not_invented_yet": 1}]}) == []


@pytest.mark.parametrize(
    ("tool", "place", "message"),
    [
        ({"type": "function", "name": "f", "parameters": "x"}, ("parameters",), "must be a mapping"),
        ({"type": "function", "name": "f", "defer_loading": 1}, ("defer_loading",), "must be true or false"),
        ({"type": "custom"}, (), "needs 'name'"),
        (
            {"type": "custom", "name": "c", "format": {"type": "grammar", "syntax": "lark"}},
            ("format",),
            "needs 'definition'",
        ),
        (
            {"type": "custom", "name": "c", "format": {"type": "grammar", "definition": "x", "syntax": "ebnf"}},
            ("format", "syntax"),
            "must be one of lark, regex",
        ),
        ({"type": "namespace", "name": "n", "description": "d"}, (), "needs 'tools'"),
        (
            {"type": "namespace", "name": "n", "description": "d", "tools": [{"type": "web_search"}]},
            ("tools", 0, "type"),
            "must be one of function, custom",
        ),
        ({"type": "web_search", "search_context_size": "huge"}, ("search_context_size",), "must be one of low"),
        ({"type": "web_search", "filters": {"allowed_domains": "x"}}, ("filters", "allowed_domains"), "must be a list"),
        (
            {"type": "web_search", "user_location": {"country": "Japan"}},
            ("user_location", "country"),
            "a country's code of two letters",
        ),
        (
            {"type": "web_search_preview", "search_content_types": ["video"]},
            ("search_content_types", 0),
            "must be one of text, image",
        ),
        ({"type": "file_search", "max_num_results": 0}, ("max_num_results",), "from 1 to 50"),
        ({"type": "file_search", "max_num_results": 51}, ("max_num_results",), "from 1 to 50"),
        ({"type": "file_search", "vector_store_ids": "vs"}, ("vector_store_ids",), "must be a list"),
        (
            {"type": "file_search", "filters": {"type": "like", "key": "k", "value": 1}},
            ("filters", "type"),
            "one of eq",
        ),
        ({"type": "file_search", "filters": {"type": "eq", "key": "k"}}, ("filters",), "needs 'value'"),
        (
            {"type": "file_search", "ranking_options": {"score_threshold": 1.1}},
            ("ranking_options", "score_threshold"),
            "from 0 to 1",
        ),
        ({"type": "mcp", "server_url": "u"}, (), "needs 'server_label'"),
        ({"type": "mcp", "server_label": "s"}, (), "needs either 'server_url' or 'connector_id'"),
        ({"type": "mcp", **URL, "connector_id": "c"}, (), "needs either 'server_url' or 'connector_id'"),
        ({"type": "mcp", **URL, "require_approval": "sometimes"}, ("require_approval",), "one of always, never"),
        ({"type": "mcp", **URL, "require_approval": {"ever": {}}}, ("require_approval", "ever"), "no"),
        ({"type": "mcp", **URL, "headers": {"a": 1}}, ("headers", "a"), "must be text"),
        ({"type": "remote_mcp", "remote_mcp": {}}, ("remote_mcp",), "needs 'url'"),
        ({"type": "remote_mcp", "remote_mcp": {"url": "u", "timeout": -1}}, ("remote_mcp", "timeout"), "at least 0"),
        ({"type": "code_interpreter"}, (), "needs 'container'"),
        (
            {"type": "code_interpreter", "container": {"type": "auto", "memory_limit": "2g"}},
            ("container", "memory_limit"),
            "must be one of 1g, 4g, 16g, 64g",
        ),
        (
            {"type": "code_interpreter", "container": {"type": "auto", "network_policy": {"type": "allowlist"}}},
            ("container", "network_policy"),
            "needs 'allowed_domains'",
        ),
        ({"type": "image_generation", "partial_images": 4}, ("partial_images",), "from 0 to 3"),
        ({"type": "image_generation", "partial_images": -1}, ("partial_images",), "from 0 to 3"),
        ({"type": "image_generation", "output_compression": 101}, ("output_compression",), "from 0 to 100"),
        ({"type": "image_generation", "background": "green"}, ("background",), "must be one of transparent"),
        ({"type": "image_generation", "output_format": "gif"}, ("output_format",), "must be one of png, webp, jpeg"),
        ({"type": "shell", "environment": {"type": "cloud"}}, ("environment", "type"), "must be one of container_auto"),
        ({"type": "shell", "environment": {"type": "container_reference"}}, ("environment",), "needs 'container_id'"),
        (
            {"type": "computer_use_preview", **SCREEN, "environment": "amiga"},
            ("environment",),
            "must be one of windows",
        ),
        ({"type": "computer_use_preview", **SCREEN, "display_width": 0}, ("display_width",), "of at least 1"),
        ({"type": "tool_search", "execution": "both"}, ("execution",), "must be one of server, client"),
    ],
)
def test_a_limit_of_a_tool_is_kept(tool: dict[str, Any], place: tuple[str | int, ...], message: str) -> None:
    """One complaint, at the place where the mistake stands."""
    (complaint,) = check_parameters({"tools": [tool]})
    assert complaint.path == ("request", "tools", 0, *place)
    assert message in complaint.message


@pytest.mark.parametrize(
    "choice",
    [
        *("none", "auto", "required"),
        {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "mcp", "server_label": "s"}]},
        *(
            {"type": kind}
            for kind in (
                *("file_search", "web_search", "web_search_preview", "web_search_preview_2025_03_11", "computer"),
                *(
                    "computer_use_preview",
                    "computer_use",
                    "code_interpreter",
                    "image_generation",
                    "apply_patch",
                    "shell",
                ),
            )
        ),
        {"type": "function", "name": "f"},
        {"type": "function", "function": {"name": "f"}},
        {"type": "mcp", "server_label": "s"},
        {"type": "mcp", "server_label": "s", "name": "n"},
        {"type": "custom", "name": "c"},
    ],
    ids=str,
)
def test_every_form_of_tool_choice_passes(choice: object) -> None:
    """A word, a subset, a hosted tool, or one that is named."""
    assert check_parameters({"tool_choice": choice}) == []


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ("any", "must be one of none, auto, required"),
        ({"name": "f"}, "needs a 'type'"),
        ({"type": "function"}, "needs 'name'"),
        ({"type": "custom"}, "needs 'name'"),
        ({"type": "mcp"}, "needs 'server_label'"),
        ({"type": "allowed_tools", "mode": "auto"}, "needs 'tools'"),
        ({"type": "allowed_tools", "mode": "none", "tools": []}, "must be one of auto, required"),
    ],
)
def test_half_a_choice_is_refused(choice: object, message: str) -> None:
    """A forced tool needs the name that tells it from the others."""
    (complaint,) = check_parameters({"tool_choice": choice})
    assert message in complaint.message


@pytest.mark.parametrize(
    ("request_", "place", "message"),
    [
        ({"context_management": [{"type": "compact"}]}, ("context_management", 0, "type"), "must be one of compaction"),
        ({"context_management": [{"compact_threshold": 5}]}, ("context_management", 0), "needs 'type'"),
        ({"context_management": {"type": "compaction"}}, ("context_management",), "must be a list"),
        ({"prompt": {"id": "p", "version": 2}}, ("prompt", "version"), "must be text"),
        ({"prompt": {"id": "p", "variables": {"a": 1}}}, ("prompt", "variables", "a"), "must be text or a mapping"),
        ({"prompt": {"id": "p", "variables": {"a": {}}}}, ("prompt", "variables", "a"), "needs a 'type'"),
        ({"prompt": "pmpt_1"}, ("prompt",), "must be a mapping"),
        ({"prompt_cache_key": 1}, ("prompt_cache_key",), "must be text"),
        ({"previous_response_id": 1}, ("previous_response_id",), "must be text"),
        ({"max_tool_calls": -1}, ("max_tool_calls",), "of at least 0"),
        ({"parallel_tool_calls": "no"}, ("parallel_tool_calls",), "must be true or false"),
        ({"background": 1}, ("background",), "must be true or false"),
        ({"stream_options": {"include_obfuscation": 1}}, ("stream_options", "include_obfuscation"), "true or false"),
        ({"safety_identifier": 1}, ("safety_identifier",), "must be text"),
        ({"user": 1}, ("user",), "must be text"),
    ],
)
def test_further_limits_of_parameters_are_kept(
    request_: dict[str, Any], place: tuple[str | int, ...], message: str
) -> None:
    """Those that have a shape of their own."""
    (complaint,) = check_parameters(request_)
    assert complaint.path == ("request", *place)
    assert message in complaint.message


def test_partial_images_need_a_stream() -> None:
    """They come as events; in a plain answer there is no place for them."""
    request: dict[str, Any] = {"tools": [{"type": "image_generation", "partial_images": 2}]}
    assert advise(request) == ["partial_images of image_generation come only with a stream"]
    assert advise({**request, "stream": True}) == []
