"""A job's tools get the tokens that the job names, and rows of its table get none."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.engine.tokens import job_tokens, token_variables
from pipeline.errors import PromptError, SpecError
from pipeline.spec.job import Job

TOOLS = [{"type": "mcp", "server_label": "s", "server_url": "https://x", "authorization_env": "A_TOKEN"}]


def job(**settings: Any) -> Job:
    """Return a job whose tools name a token."""
    settings = {"provider": "openai", "request": {"tools": TOOLS}, **settings}
    return Job.model_validate({"model": "m", "input": "i.csv", "prompt": "{{ q }}", "output": "o.parquet", **settings})


def test_a_token_is_what_its_variable_holds() -> None:
    """Also where the tools stand in extra_body."""
    named = job()
    assert job_tokens(named, named.provider.endpoint(), {"A_TOKEN": "abc"})("A_TOKEN") == "abc"
    assert token_variables(job(request={}, extra_body={"tools": TOOLS})) == ["A_TOKEN"]


@pytest.mark.parametrize(
    ("environ", "provider", "says"),
    [
        ({}, "openai", "the environment variable A_TOKEN is not set"),
        ({"A_TOKEN": ""}, "openai", "the environment variable A_TOKEN is not set"),
        ({"A_TOKEN": "a b"}, "openai", "A_TOKEN holds spaces"),
        ({"A_TOKEN": "abc"}, {"base_url": "http://example.org/v1"}, "not sent over plain http to example.org"),
    ],
)
def test_a_run_does_not_start_without_its_tokens(environ: dict[str, str], provider: Any, says: str) -> None:
    """One that is missing, broken, or would be sent in the clear is refused before anything is sent."""
    named = job(provider=provider)
    with pytest.raises(SpecError, match=says):
        job_tokens(named, named.provider.endpoint(), environ)


def test_a_row_cannot_choose_a_variable() -> None:
    """A tool from a table's cell that names another variable gets nothing: it could name the provider's key."""
    named = job()
    tokens = job_tokens(named, named.provider.endpoint(), {"A_TOKEN": "abc", "OPENAI_API_KEY": "key"})
    with pytest.raises(PromptError, match="OPENAI_API_KEY; only those that the job itself names"):
        tokens("OPENAI_API_KEY")
