"""What a job asks for beside text, which decides on the output's columns. A template may become anything, so it counts as asking."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pipeline.wire.shape import is_template

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.spec.job import Job

_LOGPROBS = "message.output_text.logprobs"


def has_tools(job: Job) -> bool:
    """Whether the model has tools."""
    return bool(job.tools.functions) or any(_given(job, "tools"))


def is_streamed(job: Job) -> bool:
    """Whether answers come as streams."""
    return job.delivery == "stream"


def may_cite(job: Job) -> bool:
    """Whether a tool of the job's finds or makes what an answer can cite."""
    return _may_use(job, "web_search", "file_search", "code_interpreter")


def may_search(job: Job) -> bool:
    """Whether a tool of the job's is a hosted search."""
    return _may_use(job, "web_search", "file_search")


def may_draw(job: Job) -> bool:
    """Whether a tool of the job's generates pictures."""
    return _may_use(job, "image_generation")


def may_run_code(job: Job) -> bool:
    """Whether a tool of the job's runs code at the provider."""
    return _may_use(job, "code_interpreter")


def asks_summary(job: Job) -> bool:
    """Whether reasoning is to be summed up."""
    return any(
        is_template(reasoning)
        or (isinstance(reasoning, Mapping) and bool(reasoning.get("summary") or reasoning.get("generate_summary")))
        for reasoning in _given(job, "reasoning")
    )


def asks_logprobs(job: Job) -> bool:
    """Whether the probabilities of tokens are asked for, under the name of either exchange."""
    included = [each for include in _given(job, "include") for each in _members(include)]
    listed = any(each == _LOGPROBS or is_template(each) for each in included)
    return listed or any(any(_given(job, name)) for name in ("top_logprobs", "logprobs"))


def _may_use(job: Job, *kinds: str) -> bool:
    """Whether one of the tools is of such a kind; newer versions of a tool only lengthen its name."""
    tools = [tool for tools in _given(job, "tools") for tool in _members(tools)]
    named = [tool.get("type") if isinstance(tool, Mapping) else tool for tool in tools]
    return any(isinstance(name, str) and (name.startswith(kinds) or is_template(name)) for name in named)


def _given(job: Job, name: str) -> Iterator[object]:
    """Yield what stands under a name in the request, and among what is sent verbatim."""
    yield from (settings[name] for settings in (job.request, job.extra_body) if name in settings)


def _members(value: object) -> list[object]:
    return value if isinstance(value, list) else [value]
