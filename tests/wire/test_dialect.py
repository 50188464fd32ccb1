"""The dialects are data: right, complete, and open to a job's overrides without leaking a key."""

from __future__ import annotations

from dataclasses import fields

import pytest

from pipeline.wire.dialect import DIALECTS, Dialect, UnknownFact
from pipeline.wire.parameters import PARAMETERS

FACTS = {
    "openai": {
        "base_url": "https://api.openai.com/v1",
        "path": "/responses",
        "key_env": "OPENAI_API_KEY",
        "max_tokens_field": "max_output_tokens",
        "function_tool": "flat",
        "mcp_tool": "mcp",
        "instructions": "field",
        "expand_string_input": False,
        "deliveries": {"plain", "stream", "background"},
        "explicit_stream_false": False,
        "undocumented": "send",
        "parts": {"input_text", "input_image", "input_file"},
        "roles": {"user", "assistant", "system", "developer"},
        "store_by_default": False,
        "reports_cost": False,
    },
    "qingbo": {
        "base_url": "https://qingbo.dev/v1",
        "path": "/responses",
        "key_env": "QINGBO_API_KEY",
        "max_tokens_field": "max_tokens",
        "function_tool": "nested",
        "mcp_tool": "remote_mcp",
        "instructions": "system_message",
        "expand_string_input": True,
        "deliveries": {"plain", "stream"},
        "explicit_stream_false": True,
        "undocumented": "warn",
        "parts": {"input_text", "input_image", "input_video"},
        "roles": {"user", "assistant", "system"},
        "documented": {"model", "input", "tools", "temperature", "max_output_tokens", "stream"},
        "store_by_default": None,
        "reports_cost": True,
    },
    "apimart": {
        "base_url": "https://api.apimart.ai/v1",
        "path": "/responses",
        "key_env": "APIMART_API_KEY",
        "max_tokens_field": "max_tokens",
        "function_tool": "nested",
        "mcp_tool": "remote_mcp",
        "instructions": "system_message",
        "expand_string_input": True,
        "deliveries": {"plain", "stream"},
        "explicit_stream_false": True,
        "undocumented": "warn",
        "parts": {"input_text", "input_image"},
        "roles": {"user", "assistant", "system"},
        "documented": {"model", "input", "tools", "temperature", "max_output_tokens", "stream", "top_p"},
        "store_by_default": None,
        "reports_cost": False,
    },
}


@pytest.mark.parametrize(("name", "fact", "value"), [(n, f, v) for n, facts in FACTS.items() for f, v in facts.items()])
def test_the_facts_are_those_of_the_vendors_pages(name: str, fact: str, value: object) -> None:
    """Each dialect holds what its vendor's page says."""
    assert getattr(DIALECTS[name], fact) == value


def test_no_two_vendors_share_a_key_variable() -> None:
    """One vendor's key is never the default for another, although apimart's samples use OpenAI's name."""
    assert len({dialect.key_env for dialect in DIALECTS.values()}) == len(DIALECTS)


def test_openai_documents_every_parameter_we_know() -> None:
    """OpenAI's page is the reference, so nothing is undocumented there."""
    assert DIALECTS["openai"].documented == frozenset(PARAMETERS)


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=lambda dialect: dialect.name)
def test_every_vendor_takes_the_four_picture_formats_up_to_20_megabytes(dialect: Dialect) -> None:
    """JPEG, PNG, GIF and WebP of at most 20 MB are taken everywhere."""
    assert dialect.image_formats == {"image/jpeg", "image/png", "image/gif", "image/webp"}
    assert dialect.max_image_bytes == 20 * 1024 * 1024


def test_videos_are_taken_as_the_one_page_that_speaks_of_them_says() -> None:
    """MP4, MOV, AVI and WebM of at most 200 MB and ten minutes."""
    dialect = DIALECTS["qingbo"]
    assert dialect.video_formats == {"video/mp4", "video/quicktime", "video/x-msvideo", "video/webm"}
    assert (dialect.max_video_bytes, dialect.max_video_s) == (200 * 1024 * 1024, 600)


OVERRIDES = {
    "path": "/v2/responses",
    "input_tokens_path": "/count",
    "max_tokens_field": "max_output_tokens",
    "function_tool": "flat",
    "mcp_tool": "mcp",
    "instructions": "field",
    "expand_string_input": False,
    "deliveries": ["plain"],
    "explicit_stream_false": False,
    "undocumented": "refuse",
    "documented": ["model"],
    "parts": ["input_text", "input_audio"],
    "tools": ["function", "hologram"],
    "roles": ["user"],
    "image_formats": ["image/png"],
    "max_image_bytes": 1000,
    "video_formats": ["video/mp4"],
    "max_video_bytes": 2000,
    "max_video_s": 30,
    "max_file_bytes": 3000,
    "file_ids": True,
    "image_detail": True,
    "tool_results": "messages",
    "encrypted_reasoning": True,
    "store_by_default": True,
    "reports_cost": False,
}


def test_every_fact_but_the_address_and_the_key_can_be_overridden() -> None:
    """A job may override each fact, lists standing for sets, and the others stay."""
    changed = DIALECTS["qingbo"].overridden(OVERRIDES)

    assert {fact.name for fact in fields(Dialect)} - OVERRIDES.keys() == {"name", "base_url", "key_env"}
    for fact, value in OVERRIDES.items():
        assert getattr(changed, fact) == (frozenset(value) if isinstance(value, list) else value)
    assert changed.base_url == DIALECTS["qingbo"].base_url


def test_overriding_nothing_changes_nothing() -> None:
    """Without overrides the dialect is as it was."""
    assert DIALECTS["openai"].overridden({}) == DIALECTS["openai"]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"max_token_field": "max_tokens"}, "did you mean 'max_tokens_field'"),
        ({"zzz": 1}, "no fact of a dialect; known: path"),
        ({"max_tokens_field": "tokens"}, "must be one of max_output_tokens, max_tokens, not 'tokens'"),
        ({"undocumented": ["warn"]}, "must be one of send, warn, refuse, not a list"),
        ({"expand_string_input": "yes"}, "must be true or false, not 'yes'"),
        ({"expand_string_input": None}, "must be true or false, not null"),
        ({"store_by_default": 1}, "must be true, false or null, not 1"),
        ({"parts": "input_text"}, "must be a list of texts"),
        ({"parts": [1]}, "must be a list of texts"),
        ({"max_image_bytes": True}, "must be a positive whole number"),
        ({"max_image_bytes": -1}, "must be a positive whole number"),
        ({"input_tokens_path": "count"}, "must be a path that begins with a slash"),
        ({"path": "@elsewhere.example"}, "must be a path that begins with a slash"),
        ({"base_url": "https://elsewhere.example"}, "set the provider's base_url"),
        ({"key_env": "OPENAI_API_KEY"}, "set the provider's api_key_env"),
        ({"name": "x"}, "follows from the provider's dialect"),
    ],
)
def test_an_override_that_is_no_fact_says_what_is_wrong(overrides: dict[str, object], message: str) -> None:
    """Unknown names and values of a wrong type raise, and so does an address that would be sent the vendor's key."""
    with pytest.raises(UnknownFact, match=message):
        DIALECTS["openai"].overridden(overrides)
