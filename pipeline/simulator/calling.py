"""Which of the client's functions the model calls, and with what.

With `tool_choice: auto` it calls the functions whose names the user's last words mention, each once, and those the
system's words mention, each once in the conversation; when there is none and nothing was called before, the first one
whose name or description shares a word of four letters or more with the text. Calls go out together, or one per round
when parallel calls are off. `required` or a forced function calls in every round, as on the reference: a client that
wants an answer at last must lift it. A script may set the number of rounds instead.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from pipeline.simulator.evidence import Evidence
from pipeline.simulator.filling import Filler
from pipeline.simulator.reading import Asked, Tool

__all__ = ["CLIENT_TOOLS", "Call", "allowed", "calls_of", "family", "is_required"]

CLIENT_TOOLS = frozenset({"function", "custom"})
"""What the client executes; every other tool runs at the provider's."""

_WORD = re.compile(r"[a-z]{4,}")
# fmt: off
_EMPTY_WORDS = frozenset({
    "about", "also", "each", "file", "find", "from", "give", "given", "have", "into", "item", "look", "make", "more",
    "most", "must", "name", "only", "other", "please", "return", "some", "tell", "text", "that", "their", "them", "then",
    "there", "these", "they", "this", "tool", "used", "user", "value", "what", "when", "where", "which", "will", "with",
    "word", "would", "your",
})
# fmt: on


@dataclass(frozen=True, slots=True)
class Call:
    """A tool call the model wants the client to make."""

    name: str
    arguments: str
    custom: bool = False


def calls_of(asked: Asked, digest: str, rounds: float | None) -> tuple[Call, ...]:
    """The calls of this round; `rounds`, when given, is how many rounds there are to be."""
    return tuple(_call(tool, asked, digest) for tool in _chosen(asked, rounds))


def _call(tool: Tool, asked: Asked, digest: str) -> Call:
    said = asked.last or asked.text
    if tool.type == "custom":
        return Call(tool.name, " ".join(said.split())[:200], custom=True)
    filler = Filler(tool.parameters, said, asked.text, digest, evidence=Evidence(said))
    return Call(tool.name, orjson.dumps(filler.fill(), option=orjson.OPT_NON_STR_KEYS).decode())


def _chosen(asked: Asked, rounds: float | None) -> list[Tool]:
    functions = [tool for tool in allowed(asked) if tool.type in CLIENT_TOOLS]
    if not functions:
        return []
    if rounds is not None and (asked.rounds < rounds or not is_required(asked)):
        return _by_script(functions, asked, rounds)
    told = [tool for tool in functions if _mentions(asked.last, tool) and tool.name not in asked.called_last]
    ruled = [tool for tool in functions if _mentions("\n".join(asked.system), tool) and tool.name not in asked.called]
    due = [tool for tool in functions if tool in told or tool in ruled]
    if not due and not asked.called:
        due = [tool for tool in functions if _hints(tool, asked.text)][:1]
    if not due and is_required(asked):
        due = functions[:1]
    return due if asked.parallel else due[:1]


def _by_script(functions: list[Tool], asked: Asked, rounds: float) -> list[Tool]:
    """In each round all that are mentioned, or one after the other when parallel calls are off."""
    if asked.rounds >= rounds:
        return []
    wanted = [tool for tool in functions if _mentions(asked.text, tool)] or functions[:1]
    return wanted if asked.parallel else [wanted[asked.rounds % len(wanted)]]


def is_required(asked: Asked) -> bool:
    """Whether some tool must be called."""
    choice = asked.tool_choice
    if isinstance(choice, Mapping):
        return choice.get("type") != "allowed_tools" or choice.get("mode") == "required"
    return bool(choice == "required")


def allowed(asked: Asked) -> list[Tool]:
    """The tools the choice leaves: all, none, a forced one, or a subset."""
    choice = asked.tool_choice
    if choice == "none":
        return []
    if not isinstance(choice, Mapping):
        return list(asked.tools)
    listed = choice.get("tools") if choice.get("type") == "allowed_tools" else [choice]
    options = [option for option in listed if isinstance(option, Mapping)] if isinstance(listed, list) else []
    return [tool for tool in asked.tools if any(_is_meant(tool, option) for option in options)]


def _is_meant(tool: Tool, option: Mapping[str, Any]) -> bool:
    """A client's tool is meant by its name, in either nesting; an MCP server by its label; another tool by its type."""
    if tool.type in CLIENT_TOOLS:
        inner = option.get("function")
        return (inner if isinstance(inner, Mapping) else option).get("name") == tool.name
    if tool.server:
        return option.get("server_label") == tool.server or (
            option.get("type") == tool.type and "server_label" not in option
        )
    return family(str(option.get("type"))) == family(tool.type)


def family(kind: str) -> str:
    """A dated or preview tool is of the same family as the plain one."""
    return "web_search" if kind.startswith("web_search") else kind


def _mentions(text: str, tool: Tool) -> bool:
    """Whether the text names the tool, as it is written or with spaces."""
    words = r"[_ -]".join(re.escape(word) for word in re.split(r"[_-]", tool.name))
    return bool(tool.name) and bool(re.search(rf"(?<!\w){words}(?!\w)", text, re.IGNORECASE))


def _hints(tool: Tool, text: str) -> bool:
    """Whether the text speaks of what the tool is for."""
    return bool(_telling(f"{tool.name.replace('_', ' ')} {tool.description}") & _telling(text))


def _telling(text: str) -> set[str]:
    return {word.removesuffix("s") for word in _WORD.findall(text.casefold())} - _EMPTY_WORDS
