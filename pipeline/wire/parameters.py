"""The 29 parameters of the Responses API: what each takes, and whether it is part of a request's identity.

Only what is documented as a type or a range is refused. Model ids, tool types, ``include`` values and hosted tool
choices pass unseen: their lists age faster than a release of ours, and the vendor's own lists leave members out.
Everything else can be sent through ``extra_body``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from pipeline.wire.credentials import exposed
from pipeline.wire.shape import (
    Complaint,
    Path,
    Shape,
    boolean,
    choice,
    closest,
    either,
    integer,
    is_template,
    items,
    number,
    pairs,
    record,
    shown,
    tagged,
    text,
)
from pipeline.wire.tool_shapes import DOCUMENTED_TOOLS, TOOL, TOOL_CHOICE

__all__ = [
    "PARAMETERS",
    "Complaint",
    "Parameter",
    "advise",
    "check_parameters",
    "identity_of",
    "reference",
    "texts",
]


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter. ``identity`` says whether another value can make another answer, and so another request."""

    name: str
    shape: Shape
    notes: str
    identity: bool = True


_SUMMARY = choice("auto", "concise", "detailed")
_REASONING = record(
    {
        # `max`, `context` and `mode` are newer than the reference page; the vendor's SDK lists them.
        "effort": choice("none", "minimal", "low", "medium", "high", "xhigh", "max"),
        "summary": _SUMMARY,
        "generate_summary": _SUMMARY,
        "context": text(),
        "mode": text(),
    }
)

_FORMAT = tagged(
    {
        "text": record({"type": text()}),
        "json_object": record({"type": text()}),
        "json_schema": record(
            {
                "type": text(),
                "name": text(pattern="[A-Za-z0-9_-]{1,64}", says="1 to 64 letters, digits, _ or -"),
                "schema": record({}, extensible=True),
                "description": text(),
                "strict": boolean(),
            },
            required=("name", "schema"),
        ),
    },
    closed=True,
)

_VARIABLE = either(text(), tagged({}, closed=False))  # a text, or an input part

_ROWS = (
    Parameter("background", boolean(), "run at the provider and poll; a delivery of the job sets it", identity=False),
    Parameter(
        "context_management",
        items(
            record({"type": choice("compaction"), "compact_threshold": number(0)}, required=("type",), extensible=True)
        ),
        "`compaction` shrinks a long conversation once it passes the threshold, in tokens",
    ),
    Parameter(
        "conversation",
        either(text(), record({"id": text()}, required=("id",))),
        "a stored conversation; excludes `previous_response_id`",
    ),
    Parameter("include", items(text()), "asks for more in the reply, such as `message.output_text.logprobs`"),
    Parameter("input", either(text(), items(record({}, extensible=True))), "set by the job's `prompt`"),
    Parameter("instructions", text(), "system text; set by `prompt.system`"),
    Parameter(
        "max_output_tokens",
        integer(1),
        "upper bound of visible and reasoning tokens; hitting it ends the row as `truncated`",
    ),
    Parameter("max_tool_calls", integer(0), "total over all hosted tools"),
    Parameter("metadata", pairs(text(512), at_most=16, key_length=64), "echoed back", identity=False),
    Parameter("model", text(), "set by the job's `model`; any id passes"),
    Parameter("parallel_tool_calls", boolean(), "false gives one call at a time"),
    Parameter("previous_response_id", text(), "goes on from a stored response; excludes `conversation`"),
    Parameter(
        "prompt",
        record({"id": text(), "variables": pairs(_VARIABLE), "version": text()}, required=("id",)),
        "a prompt template stored at the provider",
    ),
    Parameter("prompt_cache_key", text(), "bucket for cache hits", identity=False),
    Parameter(
        "prompt_cache_retention",
        text(),
        "`in-memory` or `24h`; spelled differently by different pages, so sent as written",
        identity=False,
    ),
    Parameter("reasoning", _REASONING, "for reasoning models"),
    Parameter("safety_identifier", text(), "stable per end user; hash personal data", identity=False),
    Parameter(
        "service_tier",
        # The reference lists the first five; gateways and newer SDKs the others.
        choice("auto", "default", "flex", "scale", "priority", "standard", "fast", "ultrafast"),
        "the reply says which tier really served, and that one is billed",
        identity=False,
    ),
    Parameter(
        "store", boolean(), "keep for later retrieval; false by default on OpenAI, not sent to gateways", identity=False
    ),
    Parameter("stream", boolean(), "server-sent events; a delivery of the job sets it", identity=False),
    Parameter(
        "stream_options",
        record({"include_obfuscation": boolean()}, extensible=True),
        "only with `stream`",
        identity=False,
    ),
    Parameter("temperature", number(0, 2), "change this or `top_p`, not both"),
    Parameter(
        "text",
        record({"format": _FORMAT, "verbosity": choice("low", "medium", "high")}),
        "output format (`text`, `json_schema`, `json_object`) and verbosity",
    ),
    Parameter("tool_choice", TOOL_CHOICE, "`none`, `auto`, `required`, or a mapping that names a tool"),
    Parameter("tools", items(TOOL), "functions, hosted tools and MCP servers; other kinds are passed through"),
    Parameter(
        "top_logprobs",
        integer(0, 20),
        'most likely tokens per position; needs `include: ["message.output_text.logprobs"]`',
    ),
    Parameter("top_p", number(0, 1), "nucleus mass; change this or `temperature`, not both"),
    Parameter("truncation", choice("auto", "disabled"), "`auto` drops the start of an over-long input without a word"),
    Parameter("user", text(), "older form of `safety_identifier` and `prompt_cache_key`", identity=False),
)

PARAMETERS: Mapping[str, Parameter] = {parameter.name: parameter for parameter in _ROWS}

_TOOL_TYPES = DOCUMENTED_TOOLS | {"remote_mcp"}
_INCLUDE = frozenset(
    {
        "code_interpreter_call.outputs",
        "computer_call_output.output.image_url",
        "file_search_call.results",
        "message.input_image.image_url",
        "message.output_text.logprobs",
        "reasoning.encrypted_content",
        "web_search_call.action.sources",
        "web_search_call.results",
    }
)

# What other APIs call these; too far from our names for a spelling match.
_OTHER_NAMES: Mapping[str, str] = {
    "functions": "tools",
    "function_call": "tool_choice",
    "max_completion_tokens": "max_output_tokens",
    "max_tokens": "max_output_tokens",
    "messages": "input",
    "reasoning_effort": "reasoning",
    "response_format": "text",
    "system": "instructions",
    "verbosity": "text",
}


def check_parameters(request: Mapping[str, object]) -> list[Complaint]:
    """Return every mistake in a request's parameters, before anything is spent.

    Text that is still a template is not judged; call again with the rendered request.
    """
    complaints: list[Complaint] = []
    for name, value in request.items():
        if name in PARAMETERS:
            complaints += PARAMETERS[name].shape.complaints(value, ("request", name))
        else:
            suggestion = _OTHER_NAMES.get(name) or closest(str(name), PARAMETERS)
            complaints.append(
                Complaint(
                    ("request", str(name)),
                    "is not a documented parameter; put it into extra_body to send it anyway",
                    suggestion,
                )
            )
    complaints += exposed(request.get("tools"), ("request", "tools"))
    if _has(request, "conversation", "previous_response_id"):
        complaints.append(Complaint(("request", "conversation"), "excludes previous_response_id; keep one of them"))
    return complaints


def advise(request: Mapping[str, object]) -> list[str]:
    """Return a sentence for everything that is allowed but probably not meant."""
    return [*_strange_words(request), *(sentence for applies, sentence in _ADVICE if applies(request))]


def identity_of(body: Mapping[str, object]) -> dict[str, object]:
    """Return the part of a body that can change the answer; unknown parameters count."""
    return {name: value for name, value in body.items() if name not in PARAMETERS or PARAMETERS[name].identity}


def texts(request: Mapping[str, object]) -> Iterator[tuple[Path, str, Shape | None]]:
    """Yield every text in a request, with its path from ``request`` down and what may stand there; None where no page says it."""
    for name, value in request.items():
        yield from _texts(value, ("request", name), PARAMETERS[name].shape if name in PARAMETERS else None)


def _texts(value: object, path: Path, shape: Shape | None) -> Iterator[tuple[Path, str, Shape | None]]:
    if isinstance(value, str):
        yield path, value, shape
    members = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
    for key, member in members:
        yield from _texts(member, (*path, key), None if shape is None else shape.below(value, key))


def reference() -> list[tuple[str, str, str, str]]:
    """Return a table for the documentation: name, what it takes, part of identity (``yes`` or ``no``), notes."""
    return [(p.name, p.shape.says, "yes" if p.identity else "no", p.notes) for p in _ROWS]


def _has(request: Mapping[str, object], *names: str) -> bool:
    return all(request.get(name) is not None for name in names)


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}


def _tools(request: Mapping[str, object]) -> list[Mapping[str, object]]:
    tools = request.get("tools")
    return [_mapping(tool) for tool in tools] if isinstance(tools, list | tuple) else []


def _strange_words(request: Mapping[str, object]) -> Iterator[str]:
    """Yield a sentence for each word of an open list that no page has; one that is much like a known one was hardly meant."""
    types = [(f"tools[{index}].type", tool.get("type")) for index, tool in enumerate(_tools(request))]
    include = request.get("include")
    included = include if isinstance(include, list | tuple) else ()
    asked = [(f"include[{index}]", value) for index, value in enumerate(included)]
    for written, known in ((types, _TOOL_TYPES), (asked, _INCLUDE)):
        for place, word in written:
            if isinstance(word, str) and not is_template(word) and word not in known:
                meant = closest(word, sorted(known))
                mend = f" - did you mean {meant!r}?" if meant else "; it is sent as it is"
                yield f"request.{place} {shown(word)} is on no vendor's page{mend}"


def _long_identifier(request: Mapping[str, object]) -> bool:
    identifier = request.get("safety_identifier")
    return isinstance(identifier, str) and not is_template(identifier) and len(identifier) > 64


def _unanswerable(tool: Mapping[str, object]) -> bool:
    local_shell = tool.get("type") == "shell" and _mapping(tool.get("environment")).get("type") == "local"
    return local_shell or tool.get("type") in ("local_shell", "apply_patch", "computer", "computer_use_preview")


def _lacks_logprobs(request: Mapping[str, object]) -> bool:
    include = request.get("include")
    asked = isinstance(include, list | tuple) and "message.output_text.logprobs" in include
    return _has(request, "top_logprobs") and not asked


_ADVICE: tuple[tuple[Callable[[Mapping[str, object]], bool], str], ...] = (
    (
        lambda r: _has(r, "temperature", "top_p"),
        "temperature and top_p are both set; the vendors advise to change only one of them",
    ),
    (
        lambda r: _has(r, "stream_options") and r.get("stream") is not True,
        "stream_options only works with stream, so it is not sent",
    ),
    (
        _long_identifier,
        "safety_identifier is longer than the 64 characters of the reference; the provider may refuse it",
    ),
    (
        lambda r: r.get("truncation") == "auto",
        "truncation: auto drops the start of an over-long input silently; disabled makes such rows fail instead",
    ),
    (_lacks_logprobs, 'top_logprobs shows nothing without include: ["message.output_text.logprobs"]'),
    (lambda r: _has(r, "user"), "user is being replaced by safety_identifier and prompt_cache_key"),
    (
        lambda r: "generate_summary" in _mapping(r.get("reasoning")),
        "reasoning.generate_summary is deprecated; use reasoning.summary",
    ),
    (
        lambda r: _mapping(_mapping(r.get("text")).get("format")).get("type") == "json_object",
        "text.format json_object works only if the prompt itself asks for JSON; json_schema is surer",
    ),
    (
        lambda r: any(_unanswerable(tool) for tool in _tools(r)),
        "a tool that runs on your machine (shell, patch, computer) is not answered in a batch; its calls are recorded",
    ),
    (
        lambda r: r.get("stream") is not True and any(tool.get("partial_images") for tool in _tools(r)),
        "partial_images of image_generation come only with a stream",
    ),
    (
        lambda r: any(
            tool.get("type") == "mcp" and tool.get("require_approval", "never") != "never" for tool in _tools(r)
        ),
        "an mcp tool asks for approval, which nobody gives in a batch; require_approval: never is the default",
    ),
)
