"""The tokens that a job's tools name: found before anything is sent, and given out one by one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.client.send import no_tokens
from pipeline.engine.check import check_secret
from pipeline.wire.credentials import variables

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline.client.send import Tokens
    from pipeline.spec.job import Job
    from pipeline.wire.dialect import Endpoint


def token_variables(job: Job) -> list[str]:
    """Return the environment variables whose values the tools of a job are sent with."""
    return list(dict.fromkeys([*variables(job.request), *variables(job.extra_body)]))


def job_tokens(job: Job, endpoint: Endpoint, environ: Mapping[str, str]) -> Tokens:
    """Return what gives the tokens of a job's tools, and no others: a row of the table must not choose a variable.

    Raises ``SpecError`` where one is missing, or would be sent in the clear.
    """
    named = {variable: environ.get(variable) for variable in token_variables(job)}
    for variable, value in named.items():
        check_secret(endpoint, variable, value)
    return lambda variable: named.get(variable) or no_tokens(variable)
