"""The top-level parameters of a request: type, range and allowed values, one row each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.simulator.dialects import Dialect
from pipeline.simulator.problems import RequestError

__all__ = ["PARAMETERS", "check_counted", "check_parameters"]


@dataclass(frozen=True, slots=True)
class Parameter:
    """What one parameter may be."""

    types: tuple[type, ...]
    low: float | None = None
    high: float | None = None
    values: frozenset[str] | None = None


_STRING = Parameter((str,))
_BOOL = Parameter((bool,))
_OBJECT = Parameter((dict,))
_LIST = Parameter((list,))

PARAMETERS: Mapping[str, Parameter] = {
    "background": _BOOL,
    "context_management": _LIST,
    "conversation": Parameter((str, dict)),
    "include": _LIST,
    "input": Parameter((str, list)),
    "instructions": _STRING,
    "max_output_tokens": Parameter((int,), low=1),
    "max_tool_calls": Parameter((int,), low=1),
    "metadata": _OBJECT,
    "model": _STRING,
    "parallel_tool_calls": _BOOL,
    "previous_response_id": _STRING,
    "prompt": _OBJECT,
    "prompt_cache_key": _STRING,
    "prompt_cache_retention": Parameter((str,), values=frozenset({"in-memory", "in_memory", "24h"})),
    "reasoning": _OBJECT,
    "safety_identifier": _STRING,
    "service_tier": Parameter(
        (str,), values=frozenset({"auto", "default", "flex", "scale", "priority", "fast", "ultrafast"})
    ),
    "store": _BOOL,
    "stream": _BOOL,
    "stream_options": _OBJECT,
    "temperature": Parameter((int, float), low=0, high=2),
    "text": _OBJECT,
    "tool_choice": Parameter((str, dict)),
    "tools": _LIST,
    "top_logprobs": Parameter((int,), low=0, high=20),
    "top_p": Parameter((int, float), low=0, high=1),
    "truncation": Parameter((str,), values=frozenset({"auto", "disabled"})),
    "user": _STRING,
    # newer than the reference page, seen in the current SDK
    "access_programs": _LIST,
    "image": _OBJECT,
    "moderation": Parameter((dict, str)),
    "prompt_cache_options": _OBJECT,
}

# What the page on counting input tokens lists: neither the output cap nor how the answer comes.
_COUNTED = frozenset(
    [
        "conversation",
        "input",
        "instructions",
        "model",
        "parallel_tool_calls",
        "previous_response_id",
        "reasoning",
        "text",
        "tool_choice",
        "tools",
        "truncation",
    ]
)

# The same ranges under the gateways' name for the output cap.
_GATEWAY_PARAMETERS: Mapping[str, Parameter] = {**PARAMETERS, "max_tokens": PARAMETERS["max_output_tokens"]}

_EFFORTS = frozenset({"none", "minimal", "low", "medium", "high", "xhigh", "max"})

_NAMES: Mapping[type, str] = {
    bool: "a boolean",
    int: "an integer",
    float: "a decimal",
    str: "a string",
    list: "an array",
    dict: "an object",
    type(None): "null",
}


def check_counted(body: Mapping[str, Any]) -> None:
    """Each parameter is one that input tokens are counted of."""
    for name in body:
        if name not in _COUNTED:
            raise RequestError(f"Unknown parameter: '{name}'.", code="unknown_parameter", param=name)


def check_parameters(body: Mapping[str, Any], dialect: Dialect) -> None:
    """Each parameter is known, of its type and in its range."""
    known = PARAMETERS if dialect.parameters_closed else _GATEWAY_PARAMETERS
    for name, value in body.items():
        if name == dialect.max_tokens_refused:
            raise _unsupported(name)
        parameter = known.get(name)
        if parameter is None:
            if dialect.parameters_closed:
                raise RequestError(f"Unknown parameter: '{name}'.", code="unknown_parameter", param=name)
        elif value is not None:  # the wire's null means "not set"
            _check(name, value, parameter)
    if dialect.model_required and not body.get("model"):
        raise RequestError("Missing required parameter: 'model'.", code="missing_required_parameter", param="model")
    if body.get("stream_options") is not None and not body.get("stream"):
        raise RequestError(
            "The 'stream_options' parameter is only allowed when 'stream' is enabled.", param="stream_options"
        )
    _check_include(body.get("include") or ())
    _check_metadata(body.get("metadata") or {})
    _check_effort(body.get("reasoning") or {})


def _unsupported(name: str) -> RequestError:
    return RequestError(f"Unsupported parameter: '{name}'.", code="unsupported_parameter", param=name)


def _check(name: str, value: Any, parameter: Parameter) -> None:
    if not _fits(value, parameter.types):
        expected = " or ".join(_NAMES[kind] for kind in parameter.types)
        got = _NAMES.get(type(value), "something else")
        raise RequestError(
            f"Invalid type for '{name}': expected {expected}, but got {got} instead.", code="invalid_type", param=name
        )
    if parameter.values is not None and value not in parameter.values:
        allowed = ", ".join(f"'{choice}'" for choice in sorted(parameter.values))
        raise RequestError(
            f"Invalid value: '{value}'. Supported values are: {allowed}.", code="invalid_value", param=name
        )
    if parameter.low is not None and value < parameter.low:
        raise _range(name, value, "below minimum", ">=", parameter.low)
    if parameter.high is not None and value > parameter.high:
        raise _range(name, value, "above maximum", "<=", parameter.high)


def _fits(value: object, types: tuple[type, ...]) -> bool:
    return isinstance(value, types) and (bool in types or not isinstance(value, bool))


def _range(name: str, value: float, side: str, sign: str, bound: float) -> RequestError:
    kind = "integer" if isinstance(value, int) else "decimal"
    return RequestError(
        f"Invalid '{name}': {kind} {side} value. Expected a value {sign} {bound:g}, but got {value} instead.",
        code=f"{kind}_{side.replace('minimum', 'min').replace('maximum', 'max').replace(' ', '_')}_value",
        param=name,
    )


def _check_include(include: Sequence[Any]) -> None:
    for index, name in enumerate(include):
        if not isinstance(name, str):
            place = f"include[{index}]"
            raise RequestError(f"Invalid type for '{place}': expected a string.", code="invalid_type", param=place)


def _check_metadata(metadata: Mapping[str, Any]) -> None:
    if len(metadata) > 16:
        raise RequestError(
            f"Invalid 'metadata': too many properties. Expected at most 16, but got {len(metadata)}.",
            code="object_above_max_properties",
            param="metadata",
        )
    for key, value in metadata.items():
        place = f"metadata.{key}"
        if not isinstance(value, str):
            raise RequestError(f"Invalid type for '{place}': expected a string.", code="invalid_type", param=place)
        if len(key) > 64 or len(value) > 512:
            raise RequestError(
                f"Invalid '{place}': string too long. Keys hold at most 64 characters and values at most 512.",
                code="string_above_max_length",
                param=place,
            )


def _check_effort(reasoning: Mapping[str, Any]) -> None:
    effort = reasoning.get("effort")
    if effort is not None and str(effort) not in _EFFORTS:
        allowed = ", ".join(f"'{choice}'" for choice in sorted(_EFFORTS))
        raise RequestError(
            f"Invalid value: '{effort}'. Supported values are: {allowed}.",
            code="invalid_value",
            param="reasoning.effort",
        )
