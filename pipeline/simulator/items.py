"""The output items of an answer, in the order a model makes them: thoughts, tools, calls or words."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from pipeline.simulator.answers import Answer
from pipeline.simulator.hosted import Citation
from pipeline.simulator.logprobs import logprobs
from pipeline.simulator.reading import Asked
from pipeline.simulator.seals import seal

__all__ = ["output_items"]

_PREFIXES: Mapping[str, str] = {
    "web_search_call": "ws",
    "file_search_call": "fs",
    "code_interpreter_call": "ci",
    "image_generation_call": "ig",
    "mcp_list_tools": "mcpl",
    "mcp_call": "mcp",
    "mcp_approval_request": "mcpr",
}

_VERSION = re.compile(r"gpt-(\d+)(?:\.(\d+))?(-codex)?")


def output_items(answer: Answer, asked: Asked, stem: str) -> list[dict[str, Any]]:
    """The items with ids made of the stem; an answer that is not over has none."""
    if answer.status in ("failed", "in_progress", "queued", "cancelled"):
        return []
    items = [_reasoning(asked, stem)] if answer.usage.reasoning else []
    hosted = [item for ran in answer.hosted for item in ran.items]
    items += [{**item, "id": f"{_PREFIXES[item['type']]}_{stem}{index}"} for index, item in enumerate(hosted)]
    for index, call in enumerate(answer.calls):
        common = {"call_id": f"call_{stem[:20]}{index}", "name": call.name}
        if call.custom:
            items.append({"type": "custom_tool_call", "id": f"ctc_{stem}{index}", **common, "input": call.arguments})
        else:
            made = {"type": "function_call", "id": f"fc_{stem}{index}", **common, "arguments": call.arguments}
            items.append({**made, "status": "completed"})
    waits = bool(answer.calls) or any(ran.waits for ran in answer.hosted)
    if not waits and (answer.text or answer.refusal or answer.status == "completed"):
        items.append(_message(answer, asked, stem))
    return items


def _reasoning(asked: Asked, stem: str) -> dict[str, Any]:
    summary = [{"type": "summary_text", "text": "Looked at what was sent."}] if asked.summary else []
    item: dict[str, Any] = {"type": "reasoning", "id": f"rs_{stem}", "summary": summary}
    if "reasoning.encrypted_content" in asked.include:
        item["encrypted_content"] = seal(item["id"])
    return item


def _message(answer: Answer, asked: Asked, stem: str) -> dict[str, Any]:
    part: dict[str, Any]
    if answer.refusal is not None:
        part = {"type": "refusal", "refusal": answer.refusal}
    else:
        cited = [one for ran in answer.hosted for one in ran.cited]
        notes = [_annotation(one, answer.text) for one in cited]
        part = {"type": "output_text", "text": answer.text, "annotations": notes}
        if "message.output_text.logprobs" in asked.include:
            part["logprobs"] = logprobs(answer.text, asked.top_logprobs)
    status = "incomplete" if answer.status == "incomplete" else "completed"
    message = {"type": "message", "id": f"msg_{stem}", "status": status, "role": "assistant", "content": [part]}
    return message | ({"phase": "final_answer"} if _has_phases(asked.model) else {})


def _annotation(cited: Citation, text: str) -> dict[str, Any]:
    """Its places are those of its first and last character; where the words are missing, it is for the whole text."""
    start = text.find(cited.mark)
    first, last = (start, start + len(cited.mark) - 1) if start >= 0 else (0, max(0, len(text) - 1))
    if cited.note["type"] == "file_citation":
        return {**cited.note, "index": last}
    return {**cited.note, "start_index": first, "end_index": last}


@lru_cache(64)
def _has_phases(model: str) -> bool:
    """From gpt-5.3-codex on messages tell whether they are the final answer."""
    found = _VERSION.match(model)
    if found is None:
        return False
    version = (int(found[1]), int(found[2] or 0))
    return version > (5, 3) or (version == (5, 3) and found[3] is not None)
