"""What a client sends back of earlier turns: as strict as the reference about what belongs together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.simulator.problems import RequestError
from pipeline.simulator.seals import unseal, unverified

__all__ = ["check_replay"]

Items = Sequence[Mapping[str, Any]]

_SPOKEN: Mapping[str, str] = {"function_call": "function call", "custom_tool_call": "custom tool call"}


def check_replay(history: Items, items: Items) -> None:
    """Refuse thoughts torn from what followed them, seals that were changed, and calls or outputs without the other."""
    if all(item.get("type", "message") == "message" for item in (*history, *items)):
        return
    _check_thoughts(items)
    for item in items:
        sealed = item.get("encrypted_content") if item.get("type") == "reasoning" else None
        if sealed and unseal(sealed, item["id"]) != item["id"]:
            raise unverified(item["id"])
    for kind in _SPOKEN:
        _check_pairs([*history, *items], kind)


def _check_thoughts(items: Items) -> None:
    """A thought is sent back with the item it led to, right after it."""
    for index, item in enumerate(items):
        if item.get("type") == "reasoning" and not any(map(_is_models, items[index + 1 : index + 2])):
            raise RequestError(
                f"Item '{item['id']}' of type 'reasoning' was provided without its required following item.",
                param="input",
            )


def _is_models(item: Mapping[str, Any]) -> bool:
    """Whether the model made the item, and not the client."""
    kind = str(item.get("type", "message"))
    if kind == "message":
        return item.get("role") == "assistant"
    return not kind.endswith(("_output", "_response"))


def _check_pairs(items: Items, kind: str) -> None:
    calls = {item["call_id"] for item in items if item.get("type") == kind}
    outputs = {item["call_id"] for item in items if item.get("type") == f"{kind}_output"}
    for call_id in sorted(outputs - calls):
        raise RequestError(f"No tool call found for {_SPOKEN[kind]} output with call_id {call_id}.", param="input")
    for call_id in sorted(calls - outputs):
        raise RequestError(f"No tool output found for {_SPOKEN[kind]} {call_id}.", param="input")
